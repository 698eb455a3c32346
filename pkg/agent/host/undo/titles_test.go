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

// TestDevicesOfOneName: Open vSwitch's interface, port and bridge of one name are three devices, and the link is a fourth.
func TestDevicesOfOneName(t *testing.T) {
	const ethernet, tun = 1, 16
	titles := map[string]uint32{}
	for _, kind := range []uint32{tun, 24, 25, 26} {
		title := titleOf("ovs0", kind)
		if other, twice := titles[title]; twice {
			t.Errorf("devices of the types %d and %d are both called %q", other, kind, title)
		}
		titles[title] = kind
	}
	if title := titleOf("eth1", ethernet); title != "eth1" {
		t.Errorf("eth1 is called %q", title)
	}
}
