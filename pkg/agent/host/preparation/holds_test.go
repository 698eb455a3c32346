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
	"testing"

	"github.com/vishvananda/netlink/nl"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// TestPortsLeftOut: libnmstate is not asked for a port that is as wanted, in whatever words.
func TestPortsLeftOut(t *testing.T) {
	shown := `
interfaces:
- {name: br0, type: linux-bridge, state: up, bridge: {port: [{name: bond1}]}}
- {name: bond1, type: bond, state: up, controller: br0, mac-address: '02:00:00:00:00:0A', link-aggregation: {mode: active-backup, options: {xmit_hash_policy: layer2+3}, port: [eth1, eth2]}}
- {name: eth1, type: ethernet, state: up, controller: bond1, mac-address: '02:00:00:00:00:0A', alt-names: [{name: port-a}, {name: port-b}]}
- {name: eth2, type: ethernet, state: up, controller: bond1, mac-address: '02:00:00:00:00:0A', permanent-mac-address: '02:00:00:00:00:02'}
- {name: red, type: vrf, state: up, vrf: {port: [eth3], route-table-id: 7}}
- {name: eth3, type: ethernet, state: up, controller: red, ipv6: {enabled: true, dhcp: false, autoconf: false, address: [{ip: 'fe80::1', prefix-length: 64}, {ip: '2001:db8::1', prefix-length: 64}, {ip: '2001:db8::2', prefix-length: 64}]}}
`
	data := rtnetlink.Attributes{nl.IFLA_BOND_MODE: {1}, nl.IFLA_BOND_XMIT_HASH_POLICY: {2}}
	links := []rtnetlink.Link{
		link(1, "eth1", "", func(l *rtnetlink.Link) { l.Controller, l.AltNames = 4, []string{"port-a", "port-b"} }), link(2, "eth2", "", func(l *rtnetlink.Link) { l.Controller = 4 }),
		link(3, "eth3", "", func(l *rtnetlink.Link) { l.Controller = 6 }), link(4, "bond1", "bond", func(l *rtnetlink.Link) { l.Controller, l.Data = 5, data }),
		link(5, "br0", "bridge", nil), link(6, "red", "vrf", func(l *rtnetlink.Link) { l.Data = rtnetlink.Attributes{nl.IFLA_VRF_TABLE: width(7, 4)} }),
	}
	for desired, isLeftOut := range map[string]bool{
		"name: bond1, type: bond, state: up, link-aggregation: {mode: '1', options: {xmit_hash_policy: 2}, port: [eth2, eth1]}":                                                                                true,
		"name: bond1, type: bond, state: up, link-aggregation: {mode: active-backup, ports: [port-a, eth2]}":                                                                                                   true,
		"name: bond1, type: bond, state: up, link-aggregation: {mode: active-backup, port: [eth2]}":                                                                                                            false,
		"name: bond1, type: bond, state: up, link-aggregation: {mode: '2', port: [eth2, eth1]}":                                                                                                                false,
		"name: bond1, type: bond, state: up, mac-address: '02:00:00:00:00:0a', wait-ip: any, profile-name: bond1":                                                                                              true,
		"name: bond1, type: bond, state: up, mac-address: '02:00:00:00:00:0B'":                                                                                                                                 false,
		"name: second, type: ethernet, state: up, identifier: mac-address, mac-address: '02:00:00:00:00:02'":                                                                                                   true,
		"name: eth2, type: ethernet, state: up, mac-address: '02:00:00:00:00:02'":                                                                                                                              false, // libnmstate sets it
		"name: port-a, type: ethernet, state: up, alt-names: [{name: port-b}, {name: port-c, state: absent}]":                                                                                                  true,
		"name: eth1, type: ethernet, state: up, alt-names: [{name: port-c}]":                                                                                                                                   false,
		"name: eth3, type: ethernet, state: up, ipv6: {enabled: true, dhcp: false, autoconf: false, token: '::', address: [{ip: '2001:db8:0::2', prefix-length: 64}, {ip: '2001:db8::1', prefix-length: 64}]}": true,
		"name: eth3, type: ethernet, state: up, ipv6: {enabled: true, dhcp: false, autoconf: false, address: [{ip: '2001:db8::1', prefix-length: 64}]}":                                                        false,
		"name: eth3, type: ethernet, state: up, controller: ''":                                                                                                                                                false,
	} {
		plan, err := New(asJSON(t, "{interfaces: [{"+desired+"}]}"), asJSON(t, shown), links)
		if err != nil {
			t.Fatal(err)
		}
		if got := rest(t, plan, shown, links); (got == `{"interfaces":[]}`) != isLeftOut {
			t.Errorf("%s: the rest is %s", desired, got)
		}
	}
}
