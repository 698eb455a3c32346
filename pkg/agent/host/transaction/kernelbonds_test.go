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

// kernelCases are the cases of TestWithoutNetworkManager.
var kernelCases = []kernelCase{
	{
		name: "bond, active-backup", kinds: []string{"bond"},
		state: `
interfaces:
- name: bond0
  type: bond
  state: up
  mac-address: 02:00:00:00:0B:01
  ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.1, prefix-length: 24}]}
  ipv6: {enabled: false}
  link-aggregation: {mode: active-backup, options: {miimon: '140', primary: eth2, primary_reselect: better, num_grat_arp: 3}, port: [eth1, eth2]}
`,
		seen: map[string][]string{
			"ip -d link show bond0":     {"bond mode active-backup", "miimon 140", "primary eth2", "primary_reselect better", "num_grat_arp 3", "02:00:00:00:0b:01"},
			"ip link show master bond0": {"eth1", "eth2"}, "ip addr show bond0": {"198.51.100.1/24"},
		},
		gone: "{interfaces: [{name: bond0, type: bond, state: absent}]}",
	},
	{
		name: "bond, LACP, with a VLAN and QinQ", kinds: []string{"bond", "vlan"},
		state: `
interfaces:
- {name: bond0.100.7, type: vlan, state: up, vlan: {base-iface: bond0.100, id: 7}, ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.1, prefix-length: 24}]}}
- {name: bond0.100, type: vlan, state: up, mtu: 1400, vlan: {base-iface: bond0, id: 100, protocol: 802.1ad, registration-protocol: none, reorder-headers: true, loose-binding: true}}
- name: bond0
  type: bond
  state: up
  mtu: 1450
  link-aggregation:
    mode: 802.3ad
    options: {miimon: 100, updelay: 200, lacp_rate: fast, xmit_hash_policy: layer3+4, ad_actor_sys_prio: 100, ad_select: bandwidth, min_links: 1, all_slaves_active: delivered}
    port: [eth1, eth2]
`,
		seen: map[string][]string{
			"ip -d link show bond0":       {"mtu 1450", "bond mode 802.3ad", "updelay 200", "lacp_rate fast", "xmit_hash_policy layer3+4", "ad_actor_sys_prio 100", "ad_select bandwidth", "min_links 1", "all_slaves_active 1"},
			"ip -d link show bond0.100":   {"mtu 1400", "802.1ad id 100", "LOOSE_BINDING"},
			"ip -d link show bond0.100.7": {"802.1Q id 7"},
		},
		gone: "{interfaces: [{name: bond0, type: bond, state: absent}, {name: bond0.100, state: absent}, {name: bond0.100.7, state: absent}]}",
	},
	{
		name: "bond that is there gets another mode, and a port less", kinds: []string{"bond", "vlan"},
		before: []string{
			"ip link add bond0 type bond mode balance-xor miimon 50 xmit_hash_policy layer2+3; ip link set eth1 down; ip link set eth2 down; ip link set eth1 master bond0; ip link set eth2 master bond0; ip link set bond0 up",
			"ip link add link bond0 name bond0.5 type vlan id 5 egress-qos-map 1:2; ip link set bond0.5 up; ip addr add 198.51.100.9/24 dev bond0.5; ip route add 203.0.113.0/24 via 198.51.100.1 dev bond0.5; ip addr add 192.0.2.9/24 dev bond0",
		},
		state: "{interfaces: [{name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, options: {miimon: 70, num_grat_arp: 2}, port: [eth2]}}]}",
		seen: map[string][]string{
			"ip -d link show bond0":     {"bond mode active-backup", "miimon 70", "num_grat_arp 2"},
			"ip addr show bond0":        {"192.0.2.9/24"},
			"ip link show master bond0": {"eth2"},
		},
	},
	{
		name: "bond that is there ceases to watch carriers, and gets a primary port", kinds: []string{"bond"},
		before: []string{"ip link add bond0 type bond mode active-backup miimon 50 updelay 100; ip link set eth1 down; ip link set eth2 down; ip link set eth1 master bond0; ip link set eth2 master bond0; ip link set bond0 up"},
		state:  "{interfaces: [{name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, options: {miimon: 0, updelay: 0, primary: eth2}, port: [eth1, eth2]}}]}",
		seen:   map[string][]string{"ip -d link show bond0": {"miimon 0 updelay 0", "primary eth2"}},
	},
	{
		name: "bond that is there watches carriers, no addresses any more", kinds: []string{"bond"},
		before: []string{"ip link add bond0 type bond mode active-backup arp_interval 200 arp_ip_target 198.51.100.1,198.51.100.2; ip link set eth1 down; ip link set eth1 master bond0; ip link set bond0 up; ip link set bond0 type bond primary eth1"},
		state:  "{interfaces: [{name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, options: {miimon: 50, updelay: 100, arp_interval: 0, arp_ip_target: ''}, port: [eth1]}}]}",
		seen:   map[string][]string{"ip -d link show bond0": {"miimon 50 updelay 100", "arp_interval 0"}},
	},
	{
		name: "dummy and VRF with routes", kinds: []string{"dummy", "vrf"},
		state: `
interfaces:
- {name: red, type: vrf, state: up, vrf: {port: [dummy0, eth1], route-table-id: 1001}}
- {name: dummy0, type: dummy, state: up, mtu: 9000, mac-address: '02:00:00:00:0D:01', ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.1, prefix-length: 24}]}, ipv6: {enabled: true, dhcp: false, autoconf: false, address: [{ip: '2001:db8::1', prefix-length: 64}]}}
routes:
  config:
  - {destination: 203.0.113.0/24, next-hop-interface: dummy0, next-hop-address: 198.51.100.2, table-id: 1001}
  - {destination: '2001:db8:1::/64', next-hop-interface: dummy0, next-hop-address: '2001:db8::2', vrf-name: red}
`,
		seen: map[string][]string{
			"ip -d link show red": {"vrf table 1001"}, "ip link show master red": {"dummy0", "eth1"}, "ip -d link show dummy0": {"mtu 9000", "02:00:00:00:0d:01"},
			"ip route show table 1001": {"203.0.113.0/24 via 198.51.100.2 dev dummy0"}, "ip -6 route show table 1001": {"2001:db8:1::/64 via 2001:db8::2 dev dummy0"},
			"ip rule": {"l3mdev-table"},
		},
		gone: "{interfaces: [{name: red, type: vrf, state: absent}, {name: dummy0, type: dummy, state: absent}]}",
	},
	{
		name: "VRF takes another table", kinds: []string{"vrf"},
		before: []string{"ip link add red type vrf table 77; ip link set red up; ip link set eth1 master red; ip addr add 198.51.100.1/24 dev eth1; ip -6 addr add 2001:db8::7/64 dev eth1 nodad; ip route add 203.0.113.0/24 via 198.51.100.2 dev eth1 table 77"},
		state:  "{interfaces: [{name: red, type: vrf, state: up, vrf: {port: [eth1], route-table-id: 78}}]}",
		seen:   map[string][]string{"ip -d link show red": {"vrf table 78"}, "ip addr show eth1": {"198.51.100.1/24", "2001:db8::7/64", "master red"}},
	},
	{
		name: "VLAN takes another id, with what stands on it", kinds: []string{"vlan", "macvlan"},
		before: []string{"ip link add link eth1 name v type vlan id 5; ip link set v up; ip addr add 198.51.100.1/24 dev v; ip route add 203.0.113.0/24 via 198.51.100.2 dev v; ip link add link v name mv type macvlan mode bridge; ip link set mv up; ip addr add 192.0.2.1/24 dev mv"},
		state:  "{interfaces: [{name: v, type: vlan, state: up, vlan: {base-iface: eth1, id: 6}}]}",
		seen: map[string][]string{
			"ip -d link show v": {"id 6"}, "ip addr show v": {"198.51.100.1/24"}, "ip addr show mv": {"192.0.2.1/24"}, "ip -d link show mv": {"macvlan mode bridge"},
			"ip route": {"203.0.113.0/24 via 198.51.100.2 dev v"},
		},
	},
	{
		name: "bond by the MAC addresses of its ports", kinds: []string{"bond"},
		state: `
interfaces:
- {name: first, type: ethernet, state: up, identifier: mac-address, mac-address: '02:00:00:00:01:01'}
- {name: second, type: ethernet, state: up, identifier: mac-address, mac-address: '02:00:00:00:01:02'}
- {name: bond0, type: bond, state: up, link-aggregation: {mode: balance-tlb, options: {tlb_dynamic_lb: false, miimon: 100}, port: [first, second]}}
`,
		seen: map[string][]string{"ip link show master bond0": {"eth1", "eth2"}, "ip -d link show bond0": {"balance-tlb", "tlb_dynamic_lb 0"}},
		gone: "{interfaces: [{name: bond0, type: bond, state: absent}]}",
	},
}
