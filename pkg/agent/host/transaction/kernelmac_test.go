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

import (
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// macCase is a link br0 that follows another one, and two states. The first takes it away.
type macCase struct {
	name     string
	kinds    []string
	before   string
	states   [2]string
	followed string
}

// TestFollowedMAC: a link whose MAC address is that of the link below, or of a port, still follows it after it was made again, by a change
// and by its undoing.
func TestFollowedMAC(t *testing.T) {
	for _, one := range []macCase{
		{
			name: "bridge with ports", kinds: []string{"bridge"},
			before: "ip link add br0 type bridge; ip link set br0 up; ip link set eth3 master br0; ip link set eth2 master br0",
			states: [2]string{
				"{interfaces: [{name: br0, type: linux-bridge, state: absent}]}",
				"{interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth1}, {name: eth3}]}}]}",
			},
			followed: "eth3",
		},
		{
			name: "VLAN", kinds: []string{"vlan"}, before: "ip link add br0 link eth1 type vlan id 7; ip link set br0 up",
			states:   [2]string{"{interfaces: [{name: br0, state: absent}]}", "{interfaces: [{name: br0, type: vlan, state: up, vlan: {base-iface: eth1, id: 8}}]}"},
			followed: "eth1",
		},
		{
			name: "the only MACVLAN", kinds: []string{"vxlan", "macvlan"},
			before:   "ip link add vx0 type vxlan id 9 remote 192.0.2.9 dev eth3 dstport 4789; ip link set vx0 up; ip link add br0 link vx0 type macvlan mode passthru; ip link set br0 up",
			states:   [2]string{"{interfaces: [{name: br0, state: absent}]}", "{interfaces: [{name: vx0, type: vxlan, state: up, vxlan: {base-iface: eth3, id: 10, remote: 192.0.2.9, destination-port: 4789}}]}"},
			followed: "vx0",
		},
	} {
		t.Run(one.name, func(t *testing.T) {
			freshNetwork(t)
			for _, kind := range one.kinds {
				if !has(kind) {
					t.Skipf("this kernel has no %s", kind)
				}
			}
			netns.Run(t, "sh", "-c", one.before)
			before := netns.Run(t, "cat", "/sys/class/net/br0/address")
			for _, text := range one.states {
				state := asJSON(t, text)
				current, _, err := nmstate.RetrieveNetState(nmstate.KernelOnly | nmstate.IncludeSecrets)
				if err != nil {
					t.Fatal(err)
				}
				noted, err := undo.Note(t.Context(), undo.Request{Desired: state, Current: current})
				if err != nil {
					t.Fatal(err)
				}
				if err := applyState(t.Context(), state); err != nil {
					t.Fatal(err)
				}
				if leftover := noted.Restore(t.Context(), applyState); leftover != "" {
					t.Errorf("%s: not put back: %s", text, leftover)
				}
				noted.Close()
				if after := netns.Run(t, "cat", "/sys/class/net/br0/address"); after != before {
					t.Errorf("%s: the MAC address is %s, and was %s", text, after, before)
				}
				one.follows(t)
			}
			if err := applyState(t.Context(), asJSON(t, one.states[1])); err != nil {
				t.Fatal(err)
			}
			one.follows(t)
		})
	}
}

// follows gives the link that is followed another MAC address, and its own back.
func (one macCase) follows(t *testing.T) {
	t.Helper()
	const other = "02:00:00:00:00:0a"
	path := "/sys/class/net/" + one.followed + "/address"
	own := strings.TrimSpace(netns.Run(t, "cat", path))
	netns.Run(t, "ip", "link", "set", one.followed, "address", other)
	if is := strings.TrimSpace(netns.Run(t, "cat", "/sys/class/net/br0/address")); is != other {
		t.Errorf("the MAC address is %s, and that of %s %s", is, one.followed, other)
	}
	netns.Run(t, "ip", "link", "set", one.followed, "address", own)
}
