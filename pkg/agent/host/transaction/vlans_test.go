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

package transaction

import "testing"

// TestLeaveProtocols: only the protocol that a VLAN has already is left to its profile.
func TestLeaveProtocols(t *testing.T) {
	const current = `{"interfaces":[{"name":"eth1","type":"ethernet"},{"name":"eth1.7","type":"vlan","vlan":{"base-iface":"eth1","id":7,"protocol":"802.1q"}}]}`
	for desired, want := range map[string]string{
		`{"interfaces":[{"name":"eth1.7","type":"vlan","vlan":{"base-iface":"eth1","id":7,"protocol":"802.1q"}}]}`:  `{"interfaces":[{"name":"eth1.7","type":"vlan","vlan":{"base-iface":"eth1","id":7}}]}`,
		`{"interfaces":[{"name":"eth1.7","type":"vlan","vlan":{"base-iface":"eth1","id":7,"protocol":"802.1ad"}}]}`: "",
		`{"interfaces":[{"name":"eth1.8","type":"vlan","vlan":{"base-iface":"eth1","id":8,"protocol":"802.1q"}}]}`:  "",
		`{"interfaces":[{"name":"eth1.7","type":"vlan","state":"absent"}]}`:                                         "",
		`{}`: "",
	} {
		got, err := leaveProtocols([]byte(desired), []byte(current))
		if want == "" {
			want = desired
		}
		if err != nil || string(got) != want {
			t.Errorf("%s becomes %s, %v", desired, got, err)
		}
	}
}
