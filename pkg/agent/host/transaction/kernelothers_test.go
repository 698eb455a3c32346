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

// otherCases are the cases of TestWithoutNetworkManager that are no bonds and VRFs.
var otherCases = []kernelCase{
	{
		name: "bridge with options and STP", kinds: []string{"bridge"},
		before: []string{"ip link add br1 type bridge stp_state 1 forward_delay 700 hello_time 300 max_age 1500 priority 4096 ageing_time 12345 group_fwd_mask 16 mcast_snooping 0; ip link set br1 up; ip link set eth2 master br1; bridge link set dev eth2 cost 77 priority 9; bridge link set dev eth2 hairpin on isolated on; ip addr add 198.51.100.3/24 dev br1"},
		state: `
interfaces:
- name: br0
  type: linux-bridge
  state: up
  mtu: 1400
  ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}
  bridge:
    options: {group-forward-mask: 8, multicast-snooping: false, stp: {enabled: true, hello-time: 3, forward-delay: 16, max-age: 20, priority: 20480}}
    port: [{name: eth1, stp-hairpin-mode: true, stp-path-cost: 50, stp-priority: 16}]
- {name: br1, type: linux-bridge, state: up, bridge: {options: {stp: {enabled: false}, mac-ageing-time: 60}, port: [{name: eth3}]}}
`,
		seen: map[string][]string{
			"ip -d link show br0":  {"mtu 1400", "group_fwd_mask 0x8", "mcast_snooping 0", "stp_state 1", "hello_time 300", "forward_delay 1600", "priority 20480"},
			"ip -d link show eth1": {"hairpin on", "cost 50", "priority 16"}, "ip -d link show br1": {"stp_state 0", "ageing_time 6000"}, "ip link show eth2": {"mtu 1500 qdisc"},
		},
	},
	{
		name: "bridge takes over the addresses of its port, and the default route", kinds: []string{"bridge"},
		before: []string{"ip addr add 192.0.2.9/24 dev eth1; ip addr add 192.0.2.10/24 dev eth1; ip -6 addr add 2001:db8::9/64 dev eth1 nodad; ip addr add 198.51.100.9/24 dev eth1 valid_lft 3600 preferred_lft 3600",
			"ip route add default via 192.0.2.1; ip route add 203.0.113.0/24 via 192.0.2.2 table 77; ip route add 198.18.0.0/24 via 198.51.100.1 proto dhcp; ip -6 route add 2001:db8:1::/64 via 2001:db8::1; ip -6 route add default via fe80::1 dev eth1"},
		state: `
interfaces:
- name: br0
  type: linux-bridge
  state: up
  ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.9, prefix-length: 24}]}
  ipv6: {enabled: true, dhcp: false, autoconf: false, address: [{ip: '2001:db8::9', prefix-length: 64}]}
  bridge: {options: {stp: {enabled: false}}, port: [{name: eth1}]}
routes:
  config:
  - {destination: 0.0.0.0/0, next-hop-interface: br0, next-hop-address: 192.0.2.1}
  - {destination: '::/0', next-hop-interface: br0, next-hop-address: '2001:db8::1'}
`,
		seen: map[string][]string{
			"ip -o addr show eth1 scope global; ip route show table all dev eth1 | grep -v 'proto kernel'; echo end": {"^end$"},
			"ip route": {"default via 192.0.2.1 dev br0", "192.0.2.0/24 dev br0"}, "ip -6 route": {"default via 2001:db8::1 dev br0"}, "ip addr show br0": {"192.0.2.9/24", "2001:db8::9/64"},
		},
	},
	{
		name: "port of a bridge that the state names, and that had addresses", kinds: []string{"bridge"},
		before: []string{"ip link add br0 type bridge; ip link set br0 up; ip link set eth2 master br0; ip addr add 192.0.2.9/24 dev eth1; ip addr add 198.51.100.9/24 dev eth2; ip route add 203.0.113.0/24 via 192.0.2.1"},
		state: `
interfaces:
- {name: eth1, type: ethernet, state: up, ipv4: {enabled: false}}
- {name: eth2, type: ethernet, state: up, ipv4: {enabled: false}}
- {name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth1}, {name: eth2}]}}
`,
		seen: map[string][]string{"ip -4 -o addr show | grep -v ' lo '; ip route; echo end": {"^end$"}},
	},
	{
		name: "bridge with STP over a new link", kinds: []string{"bridge", "dummy"},
		state: `
interfaces:
- {name: dummy0, type: dummy, state: up}
- {name: br0, type: linux-bridge, state: up, bridge: {options: {stp: {enabled: true, hello-time: 1, forward-delay: 4, max-age: 6}}, port: [{name: dummy0, stp-path-cost: 77}]}}
`,
		seen: map[string][]string{"ip -d link show br0": {"stp_state 1", "forward_delay 400"}},
		gone: "{interfaces: [{name: br0, type: linux-bridge, state: absent}, {name: dummy0, type: dummy, state: absent}]}",
	},
	{
		name: "bridge with STP over a link that the state has", kinds: []string{"bridge"},
		state: `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1400}
- {name: br0, type: linux-bridge, state: up, bridge: {options: {stp: {enabled: true, hello-time: 1, forward-delay: 4, max-age: 6}}, port: [{name: eth1}]}}
`,
		seen: map[string][]string{"ip -d link show br0": {"stp_state 1", "forward_delay 400"}, "bridge link show dev eth1": {"mtu 1400 master br0 state forwarding"}},
		gone: "{interfaces: [{name: br0, type: linux-bridge, state: absent}, {name: eth1, type: ethernet, state: up, mtu: 1500}]}",
	},
	{
		name: "bridge that filters VLANs", kinds: []string{"filtering"},
		state: `
interfaces:
- name: br0
  type: linux-bridge
  state: up
  bridge:
    options: {stp: {enabled: false}, vlan-default-pvid: 5}
    port:
    - {name: eth1, vlan: {mode: access, tag: 305}}
    - {name: eth2, vlan: {mode: trunk, trunk-tags: [{id: 7}, {id-range: {min: 500, max: 599}}]}}
    - {name: eth3, vlan: {mode: trunk, tag: 100, enable-native: true, trunk-tags: [{id: 101}]}}
`,
		seen: map[string][]string{
			"ip -d link show br0": {"vlan_filtering 1", "vlan_default_pvid 5"}, "bridge vlan show dev eth1": {"305 PVID Egress Untagged"},
			"bridge vlan show dev eth2": {" 7 ", " 500 ", " 599"}, "bridge vlan show dev eth3": {"100 PVID Egress Untagged", " 101"},
		},
		gone: "{interfaces: [{name: br0, type: linux-bridge, state: absent}]}",
	},
	{
		name: "bridge that filtered VLANs filters them otherwise", kinds: []string{"filtering"},
		before: []string{"ip link add br0 type bridge vlan_filtering 1 vlan_default_pvid 3; ip link set br0 up; ip link set eth1 master br0; ip link set eth2 master br0; bridge vlan add dev eth1 vid 20-29; bridge vlan add dev eth2 vid 9 pvid untagged; bridge vlan add dev br0 vid 44 self"},
		state:  "{interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {options: {vlan-default-pvid: 4}, port: [{name: eth1, vlan: {mode: access, tag: 12}}, {name: eth3, vlan: {}}]}}]}",
		seen:   map[string][]string{"bridge vlan show dev eth1": {"12 PVID Egress Untagged"}, "bridge vlan show dev eth3": {"4 PVID Egress Untagged"}, "ip link show master br0": {"eth1", "eth3"}},
	},
	{
		name: "MACVLAN, MACVTAP, IPVLAN, VXLAN", kinds: []string{"macvlan", "macvtap", "ipvlan", "vxlan"},
		state: `
interfaces:
- {name: mv0, type: mac-vlan, state: up, mac-vlan: {base-iface: eth1, mode: vepa, promiscuous: true}}
- {name: mt0, type: mac-vtap, state: up, mac-vtap: {base-iface: eth2, mode: private, promiscuous: true}}
- {name: iv0, type: ipvlan, state: up, ipvlan: {base-iface: eth3, mode: l2, private: true, vepa: false}}
- {name: vx0, type: vxlan, state: up, mtu: 1400, vxlan: {base-iface: eth1, id: 77, remote: 192.0.2.77, local: 192.0.2.1, destination-port: 4790, learning: false}}
`,
		seen: map[string][]string{
			"ip -d link show mv0": {"macvlan mode vepa"}, "ip -d link show mt0": {"macvtap mode private"}, "ip -d link show iv0": {"ipvlan mode l2 private"},
			"ip -d link show vx0": {"vxlan id 77 remote 192.0.2.77 local 192.0.2.1 dev eth1", "dstport 4790 nolearning", "mtu 1400"},
		},
		gone: "{interfaces: [{name: mv0, type: mac-vlan, state: absent}, {name: mt0, type: mac-vtap, state: absent}, {name: iv0, type: ipvlan, state: absent}, {name: vx0, type: vxlan, state: absent}]}",
	},
	{
		name: "VXLAN that is there gets a local address", kinds: []string{"vxlan"},
		before: []string{"ip link add vx0 type vxlan id 9 remote 192.0.2.9 dev eth3 dstport 4789 ttl inherit; ip link set vx0 up; ip addr add 198.51.100.1/24 dev vx0"},
		state:  "{interfaces: [{name: vx0, type: vxlan, state: up, vxlan: {base-iface: eth3, id: 9, remote: 192.0.2.9, local: 192.0.2.1, destination-port: 4789}}]}",
		seen:   map[string][]string{"ip -d link show vx0": {"local 192.0.2.1", "dev eth3"}, "ip addr show vx0": {"198.51.100.1/24"}},
	},
	{
		name: "MACVLAN over another link, which takes smaller frames", kinds: []string{"macvlan"},
		before: []string{"ip link set eth1 mtu 9000; ip link add mv0 link eth1 type macvlan mode bridge; ip link set mv0 up; ip link add mv1 link eth1 mtu 1400 type macvlan mode bridge"},
		state:  "{interfaces: [{name: mv0, type: mac-vlan, state: up, mac-vlan: {base-iface: eth2, mode: bridge}}, {name: mv1, type: mac-vlan, state: up, mac-vlan: {base-iface: eth2, mode: bridge}}]}",
		seen:   map[string][]string{"ip link show mv0": {"mv0@eth2", "mtu 1500"}, "ip link show mv1": {"mv1@eth2", "mtu 1400"}},
	},
	{
		name: "VXLAN takes another id, and what is down with it stays down", kinds: []string{"vxlan", "macvlan", "bridge"},
		before: []string{
			"ip link add vx0 type vxlan id 9 remote 192.0.2.9 dev eth3 dstport 4789; ip link set vx0 up; ip link add mv0 link vx0 type macvlan mode bridge; ip addr add 198.51.100.1/24 dev mv0; ip -6 addr add 2001:db8::1/64 dev mv0 nodad",
			"ip link add mv1 link vx0 type macvlan mode bridge; ip link set mv1 up; ip link add br0 type bridge stp_state 1; ip link set mv1 master br0",
		},
		state: "{interfaces: [{name: vx0, type: vxlan, state: up, vxlan: {base-iface: eth3, id: 10, remote: 192.0.2.9, destination-port: 4789}}]}",
		seen: map[string][]string{
			"ip -d link show vx0": {"vxlan id 10", "LOWER_UP"}, "ip link show mv0": {"<BROADCAST,MULTICAST>"}, "ip addr show mv0": {"198.51.100.1/24", "2001:db8::1/64"},
			"ip link show br0": {"<BROADCAST,MULTICAST>"}, "ip link show mv1": {"LOWER_UP", "master br0"},
		},
	},
	{
		name: "VXLAN over IPv6, which is switched on for it", kinds: []string{"vxlan"},
		before: []string{"echo 1 > /proc/sys/net/ipv6/conf/eth3/disable_ipv6"},
		state: `
interfaces:
- {name: eth3, type: ethernet, state: up, ipv6: {enabled: true, dhcp: false, autoconf: false}}
- {name: vx0, type: vxlan, state: up, vxlan: {base-iface: eth3, id: 9, remote: '2001:db8::9'}}
`,
		seen: map[string][]string{"ip -d link show vx0": {"vxlan id 9 remote 2001:db8::9 dev eth3"}},
	},
	{
		name: "no IPv6 address but the kernel's", kinds: []string{"vxlan"},
		before: []string{"echo 1 > /proc/sys/net/ipv6/conf/eth1/disable_ipv6; ip addr add 2001:db8:2::1/64 dev eth2 nodad"},
		state: `
interfaces:
- {name: eth1, type: ethernet, state: up, ipv6: {enabled: true, dhcp: false, autoconf: false}}
- {name: eth2, type: ethernet, state: up, ipv6: {enabled: true, dhcp: false, autoconf: false, address: []}}
- {name: eth3, type: ethernet, state: up, mtu: 1400, ipv6: {enabled: true, dhcp: false, autoconf: false, address: [{ip: 'fe80::ff:fe00:103', prefix-length: 64}]}}
- {name: vx0, type: vxlan, state: up, vxlan: {base-iface: eth3, id: 9, remote: 192.0.2.9}, ipv6: {enabled: true, dhcp: false, autoconf: false}}
`,
		seen: map[string][]string{
			"ip -6 -o addr show eth1": {"fe80::ff:fe00:101"}, "ip -6 -o addr show eth2; echo end": {"fe80::ff:fe00:102/64 scope link"},
			"ip -6 -o addr show eth3": {"fe80::ff:fe00:103"}, "ip -6 -o addr show vx0": {"fe80::"},
		},
	},
	{
		name:  "more addresses of the loopback",
		state: "{interfaces: [{name: lo, type: loopback, state: up, ipv4: {enabled: true, address: [{ip: 127.0.0.1, prefix-length: 8}, {ip: 198.51.100.9, prefix-length: 32}]}}]}",
		seen:  map[string][]string{"ip addr show lo": {"inet 198.51.100.9/32"}},
		gone:  "{interfaces: [{name: lo, type: loopback, state: absent}]}",
	},
	{
		name: "what is there and is taken away is put back", kinds: []string{"macvlan", "macvtap", "ipvlan", "vxlan", "vlan", "bond"},
		before: []string{
			"ip link add mv0 link eth1 type macvlan mode passthru; ip link add mt0 link eth2 type macvtap mode bridge; ip link add iv0 link eth3 type ipvlan mode l3s; ip link add vx0 type vxlan id 9 local 192.0.2.1 remote 192.0.2.9 dev eth3 dstport 4789 ttl 9 ageing 77",
			"ip link set eth2 down; ip link add bond0 type bond mode 802.3ad miimon 100 lacp_rate fast ad_select count; ip link set bond0 up; ip link add v0 link bond0 type vlan id 9 protocol 802.1ad gvrp on ingress-qos-map 1:2 egress-qos-map 3:4; ip link set v0 up; ip link set v0 alias uplink; ip link set dev v0 txqueuelen 55; ip addr add 198.51.100.9/24 dev v0; ip route add 203.0.113.0/24 via 198.51.100.1 metric 77",
			"ip link property add dev v0 altname other0; echo 1 > /proc/sys/net/ipv4/conf/v0/proxy_arp; echo 1 > /proc/sys/net/ipv4/conf/v0/forwarding; echo 0 > /proc/sys/net/ipv6/conf/v0/accept_ra",
		},
		state: "{interfaces: [{name: mv0, state: absent}, {name: mt0, state: absent}, {name: iv0, state: absent}, {name: vx0, state: absent}, {name: v0, state: absent}, {name: bond0, type: bond, state: absent}]}",
	},
	{
		name: "MTU, MAC address, promiscuity and alternative names",
		state: `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1400, mac-address: '02:00:00:00:0A:0A', accept-all-mac-addresses: true, alt-names: [{name: uplink0}]}
`,
		seen: map[string][]string{"ip -d link show eth1": {"mtu 1400", "02:00:00:00:0a:0a", "PROMISC", "altname uplink0"}},
	},
	{
		name:   "routes and rules",
		before: []string{"ip addr add 2001:db8::1/64 dev eth1 nodad"},
		state: `
interfaces:
- {name: eth1, type: ethernet, state: up, ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.1, prefix-length: 24}]}}
- {name: eth2, type: ethernet, state: up, ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}}
routes:
  config:
  - {destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 198.51.100.2, metric: 50, table-id: 1000, mtu: 1300, source: 198.51.100.1}
  - {destination: 198.18.0.0/24, next-hop-interface: eth1, next-hop-address: 198.51.100.2, weight: 1}
  - {destination: 198.18.0.0/24, next-hop-interface: eth2, next-hop-address: 192.0.2.2, weight: 3}
  - {destination: 198.18.2.1, next-hop-interface: eth1, next-hop-address: 198.51.100.2}
  - {destination: 198.18.1.0/24, route-type: blackhole}
  - {destination: '2001:db8:7::/48', next-hop-interface: eth1, next-hop-address: '2001:db8::9'}
route-rules:
  config:
  - {ip-from: 198.51.100.0/24, route-table: 1000, priority: 1007}
  - {ip-to: '2001:db8:7::/48', route-table: 1000}
  - {family: ipv4, fwmark: 0x20, fwmask: 0x30, action: prohibit, priority: 2000}
  - {ip-from: 198.51.100.0/24, ip-to: 203.0.113.0/24, action: blackhole, priority: 2001}
  - {ip-from: 198.51.100.0/24, route-table: 1000, suppress-prefix-length: 8, priority: 2002}
`,
		seen: map[string][]string{
			"ip route show table 1000": {"203.0.113.0/24 via 198.51.100.2 dev eth1 proto static src 198.51.100.1 metric 50 mtu 1300"},
			"ip route":                 {"198.18.0.0/24 proto static", "nexthop via 198.51.100.2 dev eth1 weight 1", "nexthop via 192.0.2.2 dev eth2 weight 3", "blackhole 198.18.1.0/24"},
			"ip -6 route":              {"2001:db8:7::/48 via 2001:db8::9 dev eth1"},
			"ip rule":                  {"1007: from 198.51.100.0/24 lookup 1000", "2000: from all fwmark 0x20/0x30 prohibit", "2001: from 198.51.100.0/24 to 203.0.113.0/24 blackhole", "2002: from 198.51.100.0/24 lookup 1000 suppress_prefixlength 8"}, "ip -6 rule": {"30000: from all to 2001:db8:7::/48 lookup 1000"},
		},
		gone: "{interfaces: [{name: eth1, type: ethernet, state: up, ipv4: {enabled: false}}, {name: eth2, type: ethernet, state: up, ipv4: {enabled: false}}]," +
			"routes: {config: [{state: absent, next-hop-interface: eth1}, {state: absent, next-hop-interface: eth2}, {state: absent, destination: 198.18.1.0/24, route-type: blackhole}]}," +
			"route-rules: {config: [{state: absent, priority: 1007}, {state: absent, ip-to: '2001:db8:7::/48'}, {state: absent, priority: 2000, action: prohibit}, {state: absent, priority: 2001}, {state: absent, priority: 2002}]}}",
	},
	{
		name:   "hostname",
		before: []string{"hostname node-b; echo node-b >/etc/hostname"},
		state:  "{hostname: {config: node-a.example.org, running: node-a.example.org}}",
		seen:   map[string][]string{"hostname; cat /etc/hostname": {"node-a.example.org node-a.example.org"}},
		gone:   "{hostname: {config: node-b, running: node-b}}",
	},
	{
		name:  "down, and up again",
		state: "{interfaces: [{name: eth1, type: ethernet, state: down}, {name: eth2, type: ethernet, state: up, ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}}]}",
		seen:  map[string][]string{"ip link show eth1": {"state DOWN"}, "ip addr show eth2": {"192.0.2.1/24"}},
		gone:  "{interfaces: [{name: eth1, type: ethernet, state: up}, {name: eth2, type: ethernet, state: up, ipv4: {enabled: false}}]}",
	},
}
