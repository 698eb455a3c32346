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

package host

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// driftCase is a state, and what somebody else does to a node that has it.
type driftCase struct {
	name, state string
	// harmless are commands after which applying again would change nothing.
	harmless []string
	// drift are commands after which it would.
	drift []string
	// managed tells that the case is tried with NetworkManager, too.
	managed bool
}

// driftCases are states over the interfaces p1 and p2.
var driftCases = []driftCase{
	{
		name:     "a description of the whole",
		state:    "{description: what it is for, interfaces: [{name: p1, type: ethernet, state: up}]}",
		harmless: []string{"ip link set p2 mtu 1400"},
		drift:    []string{"ip link del p1"},
	},
	{
		name:     "an address beside another one",
		state:    "{interfaces: [{name: p1, type: ethernet, state: up, ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.11, prefix-length: 24}]}}]}",
		harmless: []string{"ip addr add 198.51.100.100/32 dev p1"},
		drift:    []string{"ip addr del 198.51.100.11/24 dev p1"},
		managed:  true,
	},
	{
		name:  "no address beside another one",
		state: "{interfaces: [{name: p1, type: ethernet, state: up, ipv4: {enabled: true, dhcp: false, allow-extra-address: false, address: [{ip: 198.51.100.11, prefix-length: 24}]}}]}",
		drift: []string{"ip addr add 198.51.100.100/32 dev p1"},
	},
	{
		name:     "alternative names",
		state:    "{interfaces: [{name: p1, type: ethernet, state: up, alt-names: [{name: wanted}, {name: gone, state: absent}]}]}",
		harmless: []string{"ip link property add dev p1 altname another"},
		drift:    []string{"ip link property add dev p1 altname gone"},
		managed:  true,
	},
	{
		name:  "an alternative name missing",
		state: "{interfaces: [{name: p1, type: ethernet, state: up, alt-names: [{name: wanted}]}]}",
		drift: []string{"ip link property del dev p1 altname wanted"},
	},
	{
		name:  "ports of a bridge",
		state: "{interfaces: [{name: br7, type: linux-bridge, state: up, bridge: {options: {stp: {enabled: false}}, port: [{name: p1}]}}]}",
		drift: []string{"ip link set p2 master br7"},
	},
	{
		name:     "a port of a bridge missing",
		state:    "{interfaces: [{name: br7, type: linux-bridge, state: up, bridge: {allow-extra-ports: true, options: {stp: {enabled: false}}, port: [{name: p1}]}}]}",
		harmless: []string{"ip link set p2 master br7"},
		drift:    []string{"ip link set p1 nomaster"},
	},
	{
		name: "a route with defaults",
		state: "{interfaces: [{name: p1, type: ethernet, state: up, ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.11, prefix-length: 24}]}}], routes: {config: [" +
			"{destination: 203.0.113.7/24, next-hop-interface: p1, next-hop-address: 198.51.100.1, metric: -1}]}}",
		harmless: []string{"ip route add 203.0.113.128/25 via 198.51.100.1 proto static"},
		drift:    []string{"ip route del 203.0.113.0/24"},
	},
	{
		name:  "what is off",
		state: "{interfaces: [{name: p1, type: ethernet, state: up, accept-all-mac-addresses: false, controller: '', mptcp: {address-flags: []}, ipv4: {enabled: false}, ipv6: {enabled: true, dhcp: false, autoconf: false, address: [{ip: '2001:DB8:0::1', prefix-length: 64}]}}]}",
		drift: []string{"ip addr add 198.51.100.100/24 dev p1"},
	},
}

// managedDriftCases are states that nmstate applies with NetworkManager alone, or
// not reliably without it.
var managedDriftCases = []driftCase{
	{
		name: "routes of which one stays",
		state: "{interfaces: [{name: p1, type: ethernet, state: up, ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.11, prefix-length: 24}]}}], routes: {config: [" +
			"{state: absent, next-hop-interface: p1}, {destination: 203.0.113.7/24, next-hop-interface: p1, next-hop-address: 198.51.100.1, metric: -1, table-id: 0}]}}",
		harmless: []string{"ip route add 203.0.113.128/25 via 198.51.100.1 proto bird"},
		drift:    []string{"ip route add 203.0.113.0/25 via 198.51.100.1 proto static"},
	},
	{
		name: "a rule with defaults",
		state: "{interfaces: [{name: p1, type: ethernet, state: up, ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.11, prefix-length: 24}]}}], routes: {config: [" +
			"{destination: 203.0.113.0/24, next-hop-interface: p1, next-hop-address: 198.51.100.1, table-id: 200}]}, route-rules: {config: [{ip-from: 198.51.100.11, route-table: 200}]}}",
		harmless: []string{"ip rule add from 198.51.100.12 lookup 200 priority 31000"},
		drift:    []string{"ip rule del from 198.51.100.11 lookup 200"},
	},
	{
		name:     "a pod's port",
		state:    "{interfaces: [{name: br7, type: linux-bridge, state: up, bridge: {options: {stp: {enabled: false}}, port: [{name: p1}]}}]}",
		harmless: []string{"ip link add pod0 type veth peer name pod0c", "ip link set pod0c up", "ip link set pod0 master br7 up"},
		drift:    []string{"nmcli device disconnect p1"},
	},
	{
		name:  "a port that is down",
		state: "{interfaces: [{name: p1, type: ethernet, state: down}, {name: p2, type: ethernet, state: up, lldp: {enabled: false}}]}",
		drift: []string{"nmcli device connect p1"},
	},
	{
		name:  "an interface that NetworkManager has not made to be absent",
		state: "{interfaces: [{name: p2, type: ethernet, state: absent}, {name: eth3, type: ethernet, state: absent}, {name: p1, type: ethernet, state: up, lldp: {enabled: false}}]}",
		drift: []string{"ip link del p1"},
	},
}

// testDrift applies each state and sees what somebody else's commands make of it.
func testDrift(t *testing.T, h *Host, prepare func(t *testing.T), cases []driftCase) {
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			prepare(t)
			state := string(fromYAML(t, test.state).Raw)
			if _, err := h.Apply(t.Context(), desire(t, h, state)); err != nil {
				t.Fatal(err)
			}
			same(t, h, "right after the apply")
			commands(t, test.harmless)
			same(t, h, "after what is no drift")
			if _, err := h.Validate(t.Context(), desire(t, h, state)); err != nil {
				t.Errorf("the dry run of what was committed: %v", err)
			}
			// A spec that differs in a space is applied in earnest.
			again := strings.Replace(state, "{", `{"description":"again",`, 1)
			if test.name == "a description of the whole" {
				again = strings.Replace(state, "what it is for", "again", 1)
			}
			if _, err := h.Apply(t.Context(), desire(t, h, again)); err != nil {
				t.Fatal(err)
			}
			same(t, h, "applied again")
			commands(t, test.drift)
			if _, err := h.Barrier(t.Context()); err != nil {
				t.Fatal(err)
			}
			if h.feed.Last().Status.Difference == nil {
				t.Errorf("after %q there is no difference", test.drift)
			}
		})
	}
}

// same fails the test if there is a difference.
func same(t *testing.T, h *Host, when string) {
	t.Helper()
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := h.feed.Last().Status; status.Difference != nil {
		t.Errorf("%s there is a difference: %s; the node has %s", when, status.Difference.Raw, status.CurrentState.Raw)
	}
}

func commands(t *testing.T, lines []string) {
	t.Helper()
	for _, line := range lines {
		args := strings.Fields(line)
		netns.Run(t, args[0], args[1:]...)
	}
}

// pairs makes the interfaces p1 and p2, as they are before anything is applied.
func pairs(t *testing.T) {
	t.Helper()
	for _, name := range []string{"p1", "p2"} {
		netns.Run(t, "ip", "link", "add", name, "up", "type", "veth", "peer", "name", name+"peer")
		netns.Run(t, "ip", "link", "set", name+"peer", "up")
	}
	t.Cleanup(func() {
		netns.Run(t, "sh", "-c", "for l in p1 p2 br7; do ip link del $l 2>/dev/null; done; ip rule | grep -E '198.51.100.1[12]' | sed 's/:.*//' | xargs -r -n1 ip rule del priority")
	})
}

// TestDrift on a node that has the kernel alone.
func TestDrift(t *testing.T) {
	testDrift(t, newHost(t, t.TempDir()), pairs, driftCases)
}

// TestManagedDrift on a node with NetworkManager, which does not manage pods' veths.
func TestManagedDrift(t *testing.T) {
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	cases := slices.DeleteFunc(slices.Clone(driftCases), func(test driftCase) bool { return !test.managed })
	testDrift(t, newManagedHost(t, t.TempDir()), func(t *testing.T) {
		pairs(t)
		t.Cleanup(func() { netns.Run(t, "sh", "-c", "nmcli connection delete p1 p2 br7 || true") })
	}, append(cases, managedDriftCases...))
	if links := netns.Run(t, "ip", "link"); !strings.Contains(links, "pod0@") {
		t.Errorf("the pod's interface is gone: %s", links)
	}
}
