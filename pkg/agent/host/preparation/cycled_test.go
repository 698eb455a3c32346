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

package preparation

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// stacked is a network with VLANs over a bond and with a VRF.
const stacked = `
interfaces:
- {name: eth1, type: ethernet, state: up, controller: bond0}
- {name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, port: [eth1]}}
- {name: v2, type: vlan, state: up, vlan: {base-iface: bond0, id: 2}, ipv6: {enabled: true, address: [{ip: '2001:db8::1', prefix-length: 64}, {ip: 'fe80::1', prefix-length: 64}]}}
- {name: v2.3, type: vlan, state: up, vlan: {base-iface: v2, id: 3}, ipv4: {enabled: true, address: [{ip: 198.51.100.1, prefix-length: 24}]}}
- {name: v4, type: vlan, state: up, vlan: {base-iface: bond0, id: 4, loose-binding: true}, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}
- {name: v5, type: vlan, state: down, vlan: {base-iface: bond0, id: 5}}
- {name: red, type: vrf, state: up, vrf: {port: [eth2, eth3], route-table-id: 77}}
- {name: eth2, type: ethernet, state: up, controller: red, ipv6: {enabled: true, address: [{ip: '2001:db8:2::1', prefix-length: 64}]}}
- {name: eth3, type: ethernet, state: up, controller: red, ipv6: {enabled: true, address: [{ip: '2001:db8:3::1', prefix-length: 64}]}}
- {name: v9, type: vlan, state: up, vlan: {base-iface: eth2, id: 9}, ipv6: {enabled: true, address: [{ip: '2001:db8:9::1', prefix-length: 64}]}}
routes:
  config:
  - {destination: '::/0', next-hop-interface: v2, next-hop-address: '2001:db8::2', table-id: 254}
  - {destination: '2001:db8:7::/64', next-hop-interface: eth2, next-hop-address: '2001:db8:2::2', table-id: 77}
  - {destination: '2001:db8:8::/64', next-hop-interface: v9, next-hop-address: '2001:db8:9::2', table-id: 254}
`

func stackedLinks() []rtnetlink.Link {
	port := func(controller int) func(*rtnetlink.Link) {
		return func(l *rtnetlink.Link) { l.Controller = controller }
	}
	vlan := func(base int, flags uint32) func(*rtnetlink.Link) {
		return func(l *rtnetlink.Link) {
			l.Parent, l.Data = base, rtnetlink.Attributes{nl.IFLA_VLAN_ID: width(uint64(l.Index), 2), nl.IFLA_VLAN_FLAGS: append(width(uint64(flags), 4), 255, 255, 255, 255)}
		}
	}
	v5 := link(8, "v5", "vlan", vlan(4, vlanReorderHeaders))
	v5.Flags &^= unix.IFF_UP
	return []rtnetlink.Link{
		link(1, "eth1", "", port(4)), link(2, "eth2", "", port(9)), link(3, "eth3", "", port(9)),
		link(4, "bond0", "bond", func(l *rtnetlink.Link) { l.Data = rtnetlink.Attributes{nl.IFLA_BOND_MODE: {1}} }),
		link(5, "v2", "vlan", vlan(4, vlanReorderHeaders)), link(6, "v2.3", "vlan", vlan(5, vlanReorderHeaders)),
		link(7, "v4", "vlan", vlan(4, vlanReorderHeaders|vlanLooseBinding)), v5,
		link(9, "red", "vrf", func(l *rtnetlink.Link) { l.Data = rtnetlink.Attributes{nl.IFLA_VRF_TABLE: width(77, 4)} }),
		link(10, "v9", "vlan", vlan(2, vlanReorderHeaders)),
	}
}

// TestCycled: what the kernel sets down and up has its addresses and routes afterwards, and what was down is down.
func TestCycled(t *testing.T) {
	const ofV2 = "add address 2001:db8::1/64 to v2; add address 198.51.100.1/24 to v2.3"
	for _, one := range []struct{ name, desired, steps, asked string }{
		{"a bond that goes down", "{interfaces: [{name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, options: {ad_select: count}}}]}",
			"set bond0 down; set bond0: ad_select=count; set bond0 up; set v2 up; set v2.3 up; set v5 down; set disable_ipv6 of v2: 0; " + ofV2 +
				"; add route ::/0 next-hop-interface=v2 next-hop-address=2001:db8::2 table-id=254; set v5 down", "bond0"},
		{"a VLAN of it with another address", "{interfaces: [{name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, options: {ad_select: count}}}, {name: v2, type: vlan, state: up, ipv6: {enabled: true, address: [{ip: '2001:db8::5', prefix-length: 64}]}}, {name: v2.3, type: vlan, state: absent}, {name: v5, type: vlan, state: up}]}",
			"remove v2.3; set bond0 down; set bond0: ad_select=count; set bond0 up; set v2 up; set v5 up; set disable_ipv6 of v2: 0; add address 2001:db8::5/64 to v2; add route ::/0 next-hop-interface=v2 next-hop-address=2001:db8::2 table-id=254", "bond0 v2 v2.3 v5"},
		{"a port leaves a bond", "{interfaces: [{name: bond0, type: bond, state: absent}, {name: v10, type: vlan, state: up, vlan: {base-iface: eth1, id: 10}}]}",
			"remove bond0; make v10: vlan base-iface=eth1 id=10; set v10 up; set eth1 up", "bond0 v10"},
		{"a port leaves a VRF", "{interfaces: [{name: red, type: vrf, state: up, vrf: {port: [eth3], route-table-id: 77}}]}",
			"detach eth2; set eth2 up; set v9 up; set disable_ipv6 of eth2: 0; set disable_ipv6 of v9: 0; add address 2001:db8:2::1/64 to eth2; add address 2001:db8:9::1/64 to v9; " +
				"add route 2001:db8:8::/64 next-hop-interface=v9 next-hop-address=2001:db8:9::2 table-id=254", "red"},
		{"a VRF goes", "{interfaces: [{name: red, type: vrf, state: absent}, {name: eth3, type: ethernet, state: up}, {name: eth2, type: ethernet, state: up}, {name: v9, type: vlan, state: absent}]}",
			"remove v9; remove red; set eth3 up; set eth2 up; set disable_ipv6 of eth3: 0; set disable_ipv6 of eth2: 0; add address 2001:db8:3::1/64 to eth3; add address 2001:db8:2::1/64 to eth2", "eth2 eth3 red v9"},
		{"a port leaves a VRF by its own entry", "{interfaces: [{name: eth3, type: ethernet, state: up, controller: ''}]}",
			"detach eth3; set eth3 up; set disable_ipv6 of eth3: 0; add address 2001:db8:3::1/64 to eth3", "eth3"},
		{"a port leaves a VRF for a bridge", "{interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth3}]}}, {name: red, type: vrf, state: up, vrf: {port: [eth2]}}]}",
			"make br0: bridge; detach eth3; remove address 2001:db8:3::1/64 from eth3; remove the routes over eth3; attach eth3 to br0; set br0 up; set eth3 up; await the spanning tree of br0", "br0 red"},
	} {
		t.Run(one.name, func(t *testing.T) {
			plan := planOf(t, one.desired, stacked, stackedLinks(), one.steps)
			var asked struct{ Interfaces []struct{ Name string } }
			if err := json.Unmarshal([]byte(rest(t, plan, stacked, stackedLinks())), &asked); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, i := range asked.Interfaces {
				names = append(names, i.Name)
			}
			slices.Sort(names)
			if got := strings.Join(names, " "); got != one.asked {
				t.Errorf("libnmstate is asked for %s instead of %s", got, one.asked)
			}
		})
	}
}

// TestMadeAgainElsewhere: a link that gets another base does not take over what it had of the old one.
func TestMadeAgainElsewhere(t *testing.T) {
	const moved = "{interfaces: [{name: v5, type: vlan, state: up, vlan: {base-iface: eth2, id: 5}}]}"
	had := strings.Replace(current, "id: 5},", "id: 5}, mtu: 9000, mac-address: '02:00:00:00:00:01', ethtool: {feature: {rx-gro: true}},", 1)
	for follows, given := range map[bool]string{true: "", false: "02:00:00:00:00:01"} {
		links := currentLinks()
		links[4].Follows = follows
		plan := planOf(t, moved, had, links, "remove v5; make v5: vlan base-iface=eth2 id=5; keep the MTU of v5: 9000; set v5 up; add address 198.51.100.1/24 to v5; "+
			"add route 203.0.113.0/24 next-hop-interface=v5 next-hop-address=198.51.100.2 table-id=254 metric=7")
		var asked struct{ Interfaces []map[string]any }
		text := rest(t, plan, had, links)
		if err := json.Unmarshal([]byte(text), &asked); err != nil || len(asked.Interfaces) != 1 {
			t.Fatalf("%v: %s", err, text)
		}
		mac, _ := asked.Interfaces[0]["mac-address"].(string)
		if asked.Interfaces[0]["mtu"] != nil || asked.Interfaces[0]["ethtool"] != nil || mac != given {
			t.Errorf("libnmstate is asked for %s", text)
		}
	}
}
