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
			"ip -6 addr add 2001:db8::5/64 dev bond0.5 nodad; ip -6 route add default via 2001:db8::1; ip link add link bond0 name bond0.6 type vlan id 6 loose_binding on; ip link add link bond0.5 name bond0.7 type vlan id 7; ip -6 addr add 2001:db8:7::5/64 dev bond0.7 nodad",
		},
		state: "{interfaces: [{name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, options: {miimon: 70, num_grat_arp: 2}, port: [eth2]}}]}",
		seen: map[string][]string{
			"ip -d link show bond0":     {"bond mode active-backup", "miimon 70", "num_grat_arp 2"},
			"ip addr show bond0":        {"192.0.2.9/24"},
			"ip link show master bond0": {"eth2"},
			"ip addr show bond0.5":      {"198.51.100.9/24", "2001:db8::5/64", "LOWER_UP"}, "ip route; ip -6 route": {"203.0.113.0/24 via 198.51.100.1 dev bond0.5", "default via 2001:db8::1 dev bond0.5"},
			"ip link show bond0.6": {"<BROADCAST,MULTICAST>"}, "ip addr show bond0.7": {"<BROADCAST,MULTICAST>", "2001:db8:7::5/64"},
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
		name: "VRF has a port less, with a VLAN over it", kinds: []string{"vrf", "vlan"},
		before: []string{
			"ip link add red type vrf table 77; ip link set red up; ip link set eth1 master red; ip link set eth2 master red; ip -6 addr add 2001:db8::7/64 dev eth1 nodad; ip -6 addr add 2001:db8:2::7/64 dev eth2 nodad; ip addr add 198.51.100.1/24 dev eth2",
			"ip link add link eth2 name v type vlan id 5; ip link set v up; ip -6 addr add 2001:db8:5::7/64 dev v nodad; ip -6 route add 2001:db8:6::/64 via 2001:db8:5::1; ip -6 route add 2001:db8:8::/64 via 2001:db8:2::1 dev eth2 table 77",
		},
		state: "{interfaces: [{name: red, type: vrf, state: up, vrf: {port: [eth1], route-table-id: 77}}]}",
		seen: map[string][]string{
			"ip addr show eth1": {"2001:db8::7/64", "master red"}, "ip addr show eth2": {"2001:db8:2::7/64", "198.51.100.1/24"}, "ip addr show v": {"2001:db8:5::7/64"},
			"ip -6 route": {"2001:db8:6::/64 via 2001:db8:5::1 dev v"}, "ip -6 route show table 77 | grep eth2; echo end": {"^end$"},
		},
	},
	{
		name: "bond takes over the addresses of its ports", kinds: []string{"bond"},
		before: []string{"ip addr add 192.0.2.9/24 dev eth1; ip route add default via 192.0.2.1; ip -6 addr add 2001:db8::9/64 dev eth2 nodad"},
		state: `
interfaces:
- {name: bond0, type: bond, state: up, ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.9, prefix-length: 24}]}, link-aggregation: {mode: active-backup, options: {miimon: 100}, port: [eth1, eth2]}}
routes: {config: [{destination: 0.0.0.0/0, next-hop-interface: bond0, next-hop-address: 192.0.2.1}]}
`,
		seen: map[string][]string{
			"ip -o addr show eth1 scope global; ip -o addr show eth2 scope global; ip route show dev eth1; echo end": {"^end$"},
			"ip route": {"default via 192.0.2.1 dev bond0"}, "ip addr show bond0": {"192.0.2.9/24"},
		},
	},
	{
		name: "VLAN over another link, which takes smaller frames", kinds: []string{"vlan"},
		before: []string{"ip link set eth1 mtu 9000; ip link add link eth1 name v type vlan id 5; ip link set v up"},
		state:  "{interfaces: [{name: v, type: vlan, state: up, vlan: {base-iface: eth2, id: 5}}]}",
		seen:   map[string][]string{"ip link show v": {"v@eth2", "mtu 1500", "02:00:00:00:01:02"}},
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
