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

// TestSpellVLANs: only the protocol that a VLAN has already is left to its profile, and only trunks of Open vSwitch are joined.
func TestSpellVLANs(t *testing.T) {
	const current = `{"interfaces":[{"name":"eth1","type":"ethernet"},{"name":"eth1.7","type":"vlan","vlan":{"base-iface":"eth1","id":7,"protocol":"802.1q"}}]}`
	for desired, want := range map[string]string{
		`{"interfaces":[{"name":"eth1.7","type":"vlan","vlan":{"base-iface":"eth1","id":7,"protocol":"802.1q"}}]}`:  `{"interfaces":[{"name":"eth1.7","type":"vlan","vlan":{"base-iface":"eth1","id":7}}]}`,
		`{"interfaces":[{"name":"eth1.7","type":"vlan","vlan":{"base-iface":"eth1","id":7,"protocol":"802.1ad"}}]}`: "",
		`{"interfaces":[{"name":"eth1.8","type":"vlan","vlan":{"base-iface":"eth1","id":8,"protocol":"802.1q"}}]}`:  "",
		`{"interfaces":[{"name":"eth1.7","type":"vlan","state":"absent"}]}`:                                         "",
		trunks("ovs-bridge", `{"id":5},{"id":1},{"id":"2"},{"id-range":{"max":4095,"min":4094}}`):                   trunks("ovs-bridge", `{"id-range":{"max":2,"min":1}},{"id":5},{"id-range":{"max":4095,"min":4094}}`),
		trunks("ovs-bridge", `{"id":1},{"id-range":{"max":3,"min":1}}`):                                             "", // nmstate refuses tags that are there twice,
		trunks("ovs-bridge", `{"id":4096}`):                    "", // and tags that there are not
		trunks("ovs-bridge", `{"id-range":{"max":1,"min":2}}`): "",
		trunks("ovs-bridge", ``):                               "",
		trunks("linux-bridge", `{"id":1},{"id":2}`):            "",
		`{}`: "",
	} {
		got, err := spellVLANs([]byte(desired), []byte(current))
		if want == "" {
			want = desired
		}
		if err != nil || string(got) != want {
			t.Errorf("%s becomes %s, %v", desired, got, err)
		}
	}
}

func trunks(kind, tags string) string {
	return `{"interfaces":[{"bridge":{"port":[{"name":"eth1","vlan":{"mode":"trunk","trunk-tags":[` + tags + `]}}]},"name":"br1","type":"` + kind + `"}]}`
}
