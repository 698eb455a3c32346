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
}
