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

package netstate

import (
	"slices"
	"strings"
	"testing"
)

// TestChanges: each thing that differs is told once, in an order that does not vary.
func TestChanges(t *testing.T) {
	before := state(t, `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, ipv4: {enabled: true, dhcp: true, address: [{ip: 192.0.2.5, prefix-length: 24, valid-life-time: dynamic}]}}
- {name: old0, type: dummy, state: up, ipv4: {enabled: true, address: [{ip: 198.18.0.1, prefix-length: 32}]}}
- {name: br1, type: linux-bridge, state: up, bridge: {options: {stp: {enabled: false}}, port: [{name: eth2, vlan: {mode: access, tag: 5}}]}}
routes: {running: [{destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.1, table-id: 254}], config: []}
route-rules: {config: []}
dns-resolver: {running: {server: [192.0.2.53]}, config: {}}
hostname: {running: a}
`)
	after := state(t, `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 9000, ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.6, prefix-length: 24}]}}
- {name: new0, type: vlan, state: up, mtu: 1500, vlan: {base-iface: eth1, id: 3}}
- {name: br1, type: linux-bridge, state: up, bridge: {options: {stp: {enabled: true}}, port: [{name: eth2, vlan: {mode: access, tag: 6}}, {name: eth3}]}}
routes: {running: [{destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.2, table-id: 254}], config: []}
route-rules: {config: [{priority: 7, ip-to: 192.0.2.0/24, route-table: 100}]}
dns-resolver: {running: {server: [192.0.2.54, 192.0.2.53]}, config: {server: [192.0.2.54]}}
hostname: {running: b}
ovs-db: {external_ids: {a: "1"}}
`)
	want := []string{
		"interface br1 bridge.options.stp.enabled: false → true",
		"interface br1 bridge.port[eth2].vlan.tag: 5 → 6",
		"interface br1 bridge.port[eth3]:  → present",
		"interface eth1 ipv4.dhcp: true → false",
		"interface eth1 mtu: 1500 → 9000",
		"address eth1 : 192.0.2.5/24 (dynamic) → ",
		"address eth1 :  → 192.0.2.6/24",
		"interface new0 :  → vlan, up, mtu 1500, vlan 3 on eth1",
		"interface old0 : dummy, up → ",
		"address old0 : 198.18.0.1/32 → ",
		"route 0.0.0.0/0 via 192.0.2.1 dev eth1 : present → ",
		"route 0.0.0.0/0 via 192.0.2.2 dev eth1 :  → present",
		"rule priority 7 to 192.0.2.0/24 lookup 100 :  → present",
		"dns  server: 192.0.2.53 → 192.0.2.54,192.0.2.53",
		"hostname  : a → b",
		"other  ovs-db.external_ids.a:  → 1",
	}
	for range 20 {
		var got []string
		for _, c := range Changes(before, after) {
			got = append(got, string(c.Kind)+" "+c.Name+" "+c.Field+": "+c.Before+" → "+c.After)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the changes are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
