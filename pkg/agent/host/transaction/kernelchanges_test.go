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

// changeCases are the cases of TestWithoutNetworkManager in which the kernel changes what the state has, or takes a change only as a
// whole.
var changeCases = []kernelCase{
	{
		name: "bridge keeps its MTU when a port joins", kinds: []string{"bridge"},
		before: []string{"ip link set eth1 mtu 9000; ip link set eth2 mtu 1400; ip link add br0 type bridge; ip link set br0 up; ip link set eth1 master br0"},
		state:  "{interfaces: [{name: br0, type: linux-bridge, state: up, mtu: 9000, bridge: {options: {stp: {enabled: false}}, port: [{name: eth1}, {name: eth2}]}}]}",
		seen:   map[string][]string{"ip link show br0": {"mtu 9000"}, "ip link show eth2": {"mtu 1400"}},
	},
	{
		name: "bridge keeps its MTU when its port gets another", kinds: []string{"bridge"},
		before: []string{"ip link add br0 type bridge; ip link set br0 up; ip link set eth2 master br0"},
		state:  "{interfaces: [{name: br0, type: linux-bridge, state: up, mtu: 1500, bridge: {options: {stp: {enabled: false}}, port: [{name: eth2}]}}, {name: eth2, type: ethernet, state: up, mtu: 9000}]}",
		seen:   map[string][]string{"ip link show br0": {"mtu 1500"}, "ip link show eth2": {"mtu 9000"}},
	},
	{
		name: "bridge keeps its MTU when a port leaves", kinds: []string{"bridge"},
		before: []string{"ip link set eth1 mtu 9000; ip link add br0 type bridge; ip link set br0 up; ip link set eth1 master br0; ip link set eth2 master br0"},
		state:  "{interfaces: [{name: br0, type: linux-bridge, state: up, mtu: 1500, bridge: {options: {stp: {enabled: false}}, port: [{name: eth1}]}}]}",
		seen:   map[string][]string{"ip link show br0": {"mtu 1500"}, "ip link show eth2": {"mtu 1500 qdisc"}},
	},
	{
		name: "IPVLAN keeps its MTU when its base gets another", kinds: []string{"ipvlan"},
		before: []string{"ip link add iv0 link eth3 type ipvlan mode l2; ip link set iv0 up"},
		state:  "{interfaces: [{name: iv0, type: ipvlan, state: up, mtu: 1500, ipvlan: {base-iface: eth3, mode: l2}}, {name: eth3, type: ethernet, state: up, mtu: 9000}]}",
		seen:   map[string][]string{"ip link show iv0": {"mtu 1500"}, "ip link show eth3": {"mtu 9000"}},
	},
	{
		name: "VXLANs get addresses of another version of IP", kinds: []string{"vxlan"},
		before: []string{
			"ip link add vx0 type vxlan id 9 local 192.0.2.1 remote 192.0.2.9 dev eth3 dstport 4789; ip link set vx0 up; ip addr add 198.51.100.1/24 dev vx0; ip route add 203.0.113.0/24 via 198.51.100.2 dev vx0",
			"ip link add vx1 type vxlan id 10 dstport 4789; ip link set vx1 up",
		},
		state: `
interfaces:
- {name: vx0, type: vxlan, state: up, vxlan: {base-iface: eth3, id: 9, remote: '2001:db8::9'}}
- {name: vx1, type: vxlan, state: up, vxlan: {id: 10, local: '2001:db8::1'}}
- {name: eth3, type: ethernet, state: up, ipv6: {enabled: true, dhcp: false, autoconf: false}}
`,
		seen: map[string][]string{
			"ip -d link show vx0": {"vxlan id 9 remote 2001:db8::9 dev eth3"}, "ip addr show vx0": {"198.51.100.1/24"}, "ip route": {"203.0.113.0/24 via 198.51.100.2 dev vx0"},
			"ip -d link show vx1": {"local 2001:db8::1"},
		},
	},
}
