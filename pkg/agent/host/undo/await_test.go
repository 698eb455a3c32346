/*
Copyright The Kubernetes NMState Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package undo

import "testing"

// TestWhichDevicesAreWaitedFor: those that NetworkManager works on, and those that wait for somebody outside but did not before.
func TestWhichDevicesAreWaitedFor(t *testing.T) {
	const disconnected, config, ipConfig, activated, deactivating = 30, 50, 70, 100, 110
	for _, test := range []struct {
		state         uint32
		waited        bool
		busy, waiting bool
	}{
		{state: disconnected},
		{state: config, busy: true},
		{state: config, waited: true, busy: true},
		{state: ipConfig, waiting: true},
		{state: ipConfig, waited: true},
		{state: activated, waited: true},
		{state: deactivating, busy: true},
	} {
		busy, waiting := unfinished(map[string]uint32{"eth1": test.state}, map[string]device{"eth1": {Waits: test.waited}})
		if busy != test.busy || waiting != test.waiting {
			t.Errorf("%+v: busy %t, waiting %t", test, busy, waiting)
		}
	}
}
