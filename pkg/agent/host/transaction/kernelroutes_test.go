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

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// routeCases are the cases of TestWithoutNetworkManager about routes and rules that are there.
var routeCases = []kernelCase{
	{
		name: "bridge keeps its MAC address, and the routes over it, when a port comes", kinds: []string{"bridge"},
		before: []string{"ip link add br0 type bridge; ip link set eth2 master br0; ip link set br0 up; ip addr add 192.0.2.9/24 dev br0; ip route add 198.18.0.0/16 via 192.0.2.1; ip route add default via 192.0.2.1"},
		state:  "{interfaces: [{name: br0, type: linux-bridge, state: up, mac-address: '02:00:00:00:01:02', bridge: {port: [{name: eth1}, {name: eth2}]}}]}",
		seen: map[string][]string{
			"ip link show br0": {"02:00:00:00:01:02"}, "ip link show master br0": {"eth1", "eth2"}, "ip route": {"default via 192.0.2.1 dev br0", "198.18.0.0/16 via 192.0.2.1 dev br0"},
		},
	},
	{
		name: "port that libnmstate sets down and up keeps the routes over it", kinds: []string{"bridge"},
		before: []string{
			"ip link add br0 type bridge; ip link set eth1 master br0; ip link set br0 up; ip addr add 198.51.100.1/24 dev eth1; ip addr add 2001:db8:1::1/64 dev eth1 nodad",
			"ip route add 203.0.113.0/24 via 198.51.100.2; ip route add default via 198.51.100.2 proto dhcp metric 100 src 198.51.100.1; ip -6 route add 2001:db8:2::/64 via 2001:db8:1::2 metric 77",
		},
		state: "{interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1400}]}",
		seen: map[string][]string{
			"ip link show eth1": {"mtu 1400 qdisc noqueue master br0"}, "ip route": {"203.0.113.0/24 via 198.51.100.2 dev eth1", "default via 198.51.100.2 dev eth1 proto dhcp src 198.51.100.1 metric 100"},
			"ip -6 route": {"2001:db8:2::/64 via 2001:db8:1::2 dev eth1 metric 77"},
		},
	},
	{
		name: "route of two next hops gets a third, and another weight", before: []string{threeNets, "ip route add 198.18.0.0/24 proto static nexthop via 192.0.2.2 dev eth1 weight 1 nexthop via 192.0.3.2 dev eth2 weight 1"},
		state: "{routes: {config: [{destination: 198.18.0.0/24, next-hop-interface: eth3, next-hop-address: 192.0.4.2, weight: 3}, {destination: 198.18.0.0/24, next-hop-interface: eth2, next-hop-address: 192.0.3.2, weight: 2}]}}",
		seen:  map[string][]string{"ip route show 198.18.0.0/24": {"via 192.0.2.2 dev eth1 weight 1", "via 192.0.3.2 dev eth2 weight 2", "via 192.0.4.2 dev eth3 weight 3"}},
	},
	{
		name: "route of two next hops in place of the same with another weight", before: []string{threeNets, "ip route add 198.18.0.0/24 proto static nexthop via 192.0.2.2 dev eth1 weight 1 nexthop via 192.0.3.2 dev eth2 weight 1"},
		state: `
routes:
  config:
  - {destination: 198.18.0.0/24, next-hop-interface: eth2, next-hop-address: 192.0.3.2, weight: 1, metric: 0, table-id: 254, state: absent}
  - {destination: 198.18.0.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.2, weight: 1, metric: 0, table-id: 254}
  - {destination: 198.18.0.0/24, next-hop-interface: eth2, next-hop-address: 192.0.3.2, weight: 7, metric: 0, table-id: 254}
`,
		seen: map[string][]string{"ip route show 198.18.0.0/24": {"via 192.0.2.2 dev eth1 weight 1", "via 192.0.3.2 dev eth2 weight 7"}},
	},
	{
		name: "route of two next hops keeps one", before: []string{threeNets, "ip route add 198.18.0.0/24 proto static nexthop via 192.0.2.2 dev eth1 weight 1 nexthop via 192.0.3.2 dev eth2 weight 1"},
		state: "{routes: {config: [{next-hop-interface: eth2, state: absent}, {destination: 198.18.0.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.2, weight: 1}]}}",
		seen:  map[string][]string{"ip route show 198.18.0.0/24": {"198.18.0.0/24 via 192.0.2.2 dev eth1"}},
	},
	{
		name: "route of one next hop gets a second, and an MTU", before: []string{threeNets, "ip route add default via 192.0.2.2; ip route add 198.18.0.0/24 via 192.0.2.2"},
		state: `
routes:
  config:
  - {destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.2, weight: 1}
  - {destination: 0.0.0.0/0, next-hop-interface: eth2, next-hop-address: 192.0.3.2, weight: 2}
  - {destination: 198.18.0.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.2, mtu: 1300}
`,
		seen: map[string][]string{"ip route": {"default proto static nexthop via 192.0.2.2 dev eth1 weight 1 nexthop via 192.0.3.2 dev eth2 weight 2", "198.18.0.0/24 via 192.0.2.2 dev eth1 proto static mtu 1300"}},
	},
	{
		name: "route of several next hops over links that are made again, or go", kinds: []string{"vxlan"},
		before: []string{
			"for i in 5 6; do ip link add vx$i type vxlan id $i dstport 478$i dev eth1 local 192.0.2.1; ip link set vx$i up; ip addr add 198.51.$i.1/24 brd + dev vx$i; done",
			threeNets, "ip route add 198.18.0.0/24 proto static nexthop via 198.51.5.2 weight 1 nexthop via 198.51.6.2 weight 2", "ip route add 198.18.1.0/24 nexthop via 192.0.3.2 weight 1 nexthop via 198.51.6.2 weight 2",
		},
		state: "{interfaces: [{name: vx5, type: vxlan, state: up, vxlan: {base-iface: eth1, id: 7, local: 192.0.2.1, destination-port: 4785}}]}",
		seen:  map[string][]string{"ip -d link show vx5": {"vxlan id 7"}, "ip route show 198.18.0.0/24": {"via 198.51.5.2 dev vx5 weight 1", "via 198.51.6.2 dev vx6 weight 2"}},
		gone:  "{interfaces: [{name: vx5, type: vxlan, state: up, vxlan: {base-iface: eth1, id: 5, local: 192.0.2.1, destination-port: 4785}}]}",
	},
	{
		name: "a next hop goes with its link, the others stay", kinds: []string{"vxlan"},
		before: []string{threeNets, "ip link add vx5 type vxlan id 5 dstport 4789 dev eth1; ip link set vx5 up; ip addr add 198.51.5.1/24 dev vx5; ip route add 198.18.0.0/24 proto static nexthop via 198.51.5.2 weight 1 nexthop via 192.0.3.2 weight 2"},
		state:  "{interfaces: [{name: vx5, type: vxlan, state: absent}]}",
		seen:   map[string][]string{"ip route show 198.18.0.0/24": {"198.18.0.0/24 via 192.0.3.2 dev eth2"}},
	},
	{
		name: "IPv6 routes of the same metric", before: []string{threeNets, "ip -6 route add 2001:db8:8::/64 metric 50 nexthop via 2001:db8:1::2 nexthop via 2001:db8:2::2; ip -6 route add 2001:db8:9::/64 via 2001:db8:1::2 metric 50"},
		state: `
routes:
  config:
  - {destination: '2001:db8:7::/64', next-hop-interface: eth1, next-hop-address: '2001:db8:1::2', metric: 50}
  - {destination: '2001:db8:7::/64', next-hop-interface: eth2, next-hop-address: '2001:db8:2::2', metric: 50}
  - {destination: '2001:db8:8::/64', next-hop-interface: eth3, next-hop-address: '2001:db8:3::2', metric: 50}
  - {destination: '2001:db8:9::/64', next-hop-interface: eth1, next-hop-address: '2001:db8:1::2', metric: 50, state: absent}
  - {destination: '2001:db8:9::/64', next-hop-interface: eth2, next-hop-address: '2001:db8:2::2', metric: 50}
  - {destination: '2001:db8:a::/64', next-hop-interface: eth2}
  - {destination: '2001:db8:a::/64', next-hop-interface: eth3}
`,
		seen: map[string][]string{
			"ip -6 route show 2001:db8:7::/64": {"via 2001:db8:1::2 dev eth1 weight 1", "via 2001:db8:2::2 dev eth2 weight 1"},
			"ip -6 route show 2001:db8:8::/64": {"via 2001:db8:1::2 dev eth1 weight 1", "via 2001:db8:2::2 dev eth2 weight 1", "via 2001:db8:3::2 dev eth3 weight 1"},
			"ip -6 route show 2001:db8:9::/64": {"2001:db8:9::/64 via 2001:db8:2::2 dev eth2"}, "ip -6 route show 2001:db8:a::/64": {"dev eth2", "dev eth3"},
		},
	},
	{
		name: "a broader rule after a narrower one", before: []string{"ip rule add priority 900 from 192.0.2.0/24 to 203.0.113.0/24 table 301"},
		state: "{route-rules: {config: [{ip-from: 192.0.2.0/24, ip-to: 198.51.100.0/24, route-table: 300}, {ip-from: 192.0.2.0/24, route-table: 300}, {ip-from: 192.0.2.0/24, route-table: 301}]}}",
		seen:  map[string][]string{"ip rule": {"900: from 192.0.2.0/24 to 203.0.113.0/24 lookup 301", "30000: from 192.0.2.0/24 to 198.51.100.0/24 lookup 300", "30001: from 192.0.2.0/24 lookup 300", "30002: from 192.0.2.0/24 lookup 301"}},
	},
}

// threeNets gives each of eth1 to eth3 an address of either family.
const threeNets = "for i in 1 2 3; do ip addr add 192.0.$((i + 1)).1/24 dev eth$i; ip addr add 2001:db8:$i::1/64 dev eth$i nodad; done"

// TestRouteInTheWay: a route that cannot be there beside another one is refused by name, whoever has set that.
func TestRouteInTheWay(t *testing.T) {
	for _, one := range []struct{ before, desired, want string }{
		{"ip route add default via 192.0.2.2", "{destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.3}", "the route to 0.0.0.0/0 via 192.0.2.2 dev eth1 of protocol boot has that place"},
		{"ip route add default via 192.0.2.2 proto dhcp", "{destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.2}", "via 192.0.2.2 dev eth1 of protocol dhcp"},
		{"ip route add 198.18.0.0/24 metric 5 nexthop via 192.0.2.2 nexthop via 192.0.3.2 weight 2", "{destination: 198.18.0.0/24, next-hop-interface: eth3, next-hop-address: 192.0.4.2, metric: 5}", "198.18.0.0/24 via 192.0.2.2 dev eth1 weight 1 via 192.0.3.2 dev eth2 weight 2"},
		{"true", "{destination: 198.18.0.0/24, next-hop-interface: eth1}, {destination: 198.18.0.0/24, next-hop-interface: eth2}", "198.18.0.0/24 dev eth1 of protocol static"},
		{"ip route add blackhole 198.18.0.0/24", "{destination: 198.18.0.0/24, route-type: unreachable}", "198.18.0.0/24 of protocol boot"},
	} {
		freshNetwork(t)
		netns.Run(t, "sh", "-c", threeNets+"; "+one.before)
		err := applyState(t.Context(), asJSON(t, "{routes: {config: ["+one.desired+"]}}"))
		if err == nil || !strings.Contains(err.Error(), one.want) {
			t.Errorf("%s, then %s: %v", one.before, one.desired, err)
		}
	}
}
