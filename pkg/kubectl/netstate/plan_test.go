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

import "testing"

const current = `
interfaces:
- name: eth1
  type: veth
  state: up
  mtu: 1500
  ipv4: {enabled: true, dhcp: true, address: [{ip: 192.0.2.5, prefix-length: 24, valid-life-time: dynamic}, {ip: 198.51.100.7, prefix-length: 24}]}
  ipv6: {enabled: true, address: [{ip: fe80::1, prefix-length: 64}]}
- name: br1
  type: linux-bridge
  state: up
  mtu: 1500
  bridge: {options: {stp: {enabled: false, priority: 1}}, port: [{name: eth2, stp-priority: 32}, {name: eth3, stp-priority: 32}]}
- {name: eth2, type: veth, state: up, mtu: 1500, controller: br1}
routes:
  config:
  - {destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.1, metric: 100, table-id: 254}
  running:
  - {destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.1, metric: 100, table-id: 254}
  - {destination: 0.0.0.0/0, next-hop-interface: br1, next-hop-address: 192.0.2.1, metric: 100, table-id: 254}
dns-resolver: {config: {server: [192.0.2.53]}, running: {server: [192.0.2.53]}}
`

// TestPlan: what is compared is what the change is about, no more.
func TestPlan(t *testing.T) {
	for _, c := range []struct{ name, difference, before, after string }{{
		"a field",
		"interfaces: [{name: eth1, type: ethernet, mtu: 9000}]",
		"interfaces: [{name: eth1, type: veth, mtu: 1500}]",
		"interfaces: [{name: eth1, type: veth, mtu: 9000}]",
	}, {
		"an address: leases and link-local ones are not a change's",
		"interfaces: [{name: eth1, ipv4: {address: [{ip: 198.51.100.8, prefix-length: 24}]}, ipv6: {address: [{ip: '2001:db8::1', prefix-length: 64}]}}]",
		"interfaces: [{name: eth1, ipv4: {address: [{ip: 198.51.100.7, prefix-length: 24}]}, ipv6: {address: []}}]",
		"interfaces: [{name: eth1, ipv4: {address: [{ip: 198.51.100.8, prefix-length: 24}]}, ipv6: {address: [{ip: '2001:db8::1', prefix-length: 64}]}}]",
	}, {
		"ports",
		"interfaces: [{name: br1, type: linux-bridge, bridge: {port: [{name: eth2}, {name: eth4}], options: {stp: {enabled: true}}}}]",
		"interfaces: [{name: br1, type: linux-bridge, bridge: {port: [{name: eth2}, {name: eth3}], options: {stp: {enabled: false}}}}]",
		"interfaces: [{name: br1, type: linux-bridge, bridge: {port: [{name: eth2}, {name: eth4}], options: {stp: {enabled: true}}}}]",
	}, {
		"a new interface",
		"interfaces: [{name: dummy0, type: dummy, state: up}]",
		"interfaces: []",
		"interfaces: [{name: dummy0, type: dummy, state: up}]",
	}, {
		"one that goes",
		"interfaces: [{name: br1, type: linux-bridge, state: absent, mtu: 9000}]",
		"interfaces: [{name: br1, type: linux-bridge, state: up}]",
		"interfaces: [{name: br1, type: linux-bridge, state: absent}]",
	}, {
		"a port that is one no more",
		"interfaces: [{name: eth2, type: veth, controller: '', mtu: 1400}]",
		"interfaces: [{name: eth2, type: veth, controller: br1, mtu: 1500}]",
		"interfaces: [{name: eth2, type: veth, mtu: 1400}]",
	}, {
		"routes",
		"routes: {config: [{state: absent, next-hop-interface: eth1}, {destination: 198.18.0.0/15, next-hop-interface: br1}]}",
		"routes: {config: [{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.1, metric: 100, table-id: 254}]}",
		"routes: {config: [{destination: 198.18.0.0/15, next-hop-interface: br1}]}",
	}, {
		"DNS",
		"dns-resolver: {config: {server: [192.0.2.54]}}",
		"dns-resolver: {config: {server: [192.0.2.53]}}",
		"dns-resolver: {config: {server: [192.0.2.54]}}",
	}} {
		before, after := Plan(state(t, current), state(t, c.difference))
		same(t, c.name+", before,", before, state(t, c.before))
		same(t, c.name+", after,", after, state(t, c.after))
	}
}

// TestAsking: what a revert of nmstate's asks for.
func TestAsking(t *testing.T) {
	same(t, "a revert of DNS", Asking(state(t, "{dns-resolver: {running: {server: [a]}, config: {}}, hostname: {running: a, config: b}, interfaces: []}")),
		state(t, "{dns-resolver: {config: {}}, hostname: {config: b}}"))
	same(t, "another one", Asking(state(t, "{interfaces: [{name: a, state: absent}], routes: {config: [{state: absent}]}}")),
		state(t, "{interfaces: [{name: a, state: absent}], routes: {config: [{state: absent}]}}"))
	// What is left empty must not take the place of what is desired.
	same(t, "what is running alone", Merge(state(t, "{hostname: {config: a}, dns-resolver: {config: {server: [b]}}}"),
		Asking(state(t, "{hostname: {running: c}, dns-resolver: {running: {server: [d]}}}"))), state(t, "{hostname: {config: a}, dns-resolver: {config: {server: [b]}}}"))
}

// TestMerge: what a revert does not speak of stays desired.
func TestMerge(t *testing.T) {
	for _, c := range []struct{ name, desired, revert, want string }{{
		"an interface that the change has made",
		"interfaces: [{name: br0, type: linux-bridge, state: up}, {name: br1, type: linux-bridge, state: up, mtu: 9000}]",
		"interfaces: [{name: br1, type: linux-bridge, state: absent}]",
		"interfaces: [{name: br0, type: linux-bridge, state: up}, {name: br1, type: linux-bridge, state: absent}]",
	}, {
		"a field that the change has set",
		"interfaces: [{name: eth1, type: ethernet, state: up, mtu: 9000, ipv4: {enabled: true, dhcp: true}}]",
		"interfaces: [{name: eth1, type: ethernet, mtu: 1500}, {name: eth2, type: ethernet, state: down}]",
		"interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1500, ipv4: {enabled: true, dhcp: true}}, {name: eth2, type: ethernet, state: down}]",
	}, {
		"an interface that the change has removed",
		"interfaces: [{name: br1, state: absent}]",
		"interfaces: [{name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}]",
		"interfaces: [{name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}]",
	}, {
		"a route that the change has added",
		"routes: {config: [{destination: 198.18.0.0/15, next-hop-interface: eth1, metric: 7}, {destination: 198.51.100.0/24, next-hop-interface: eth1}]}",
		"routes: {config: [{destination: 198.18.0.0/15, next-hop-interface: eth1, state: absent}]}",
		"routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: eth1}, {destination: 198.18.0.0/15, next-hop-interface: eth1, state: absent}]}",
	}, {
		"a route that the change has removed",
		"routes: {config: [{next-hop-interface: eth1, state: absent}]}",
		"routes: {config: [{destination: 198.18.0.0/15, next-hop-interface: eth1}]}",
		"routes: {config: [{destination: 198.18.0.0/15, next-hop-interface: eth1}]}",
	}, {
		"nothing was desired",
		"{}",
		"{interfaces: [{name: br1, state: absent}], dns-resolver: {config: {}}}",
		"{interfaces: [{name: br1, state: absent}], dns-resolver: {config: {}}}",
	}, {
		"DNS as a whole, OVN's mappings by name, other sections field by field",
		"{dns-resolver: {config: {server: [a], search: [b]}}, ovn: {bridge-mappings: [{localnet: x, bridge: br0}, {localnet: y, bridge: br1}]}, ovs-db: {external_ids: {a: '1', b: '2'}}}",
		"{dns-resolver: {config: {server: [c]}}, ovn: {bridge-mappings: [{localnet: y, state: absent}]}, ovs-db: {external_ids: {b: null}}}",
		"{dns-resolver: {config: {server: [c]}}, ovn: {bridge-mappings: [{localnet: x, bridge: br0}, {localnet: y, state: absent}]}, ovs-db: {external_ids: {a: '1', b: null}}}",
	}} {
		desired := state(t, c.desired)
		same(t, c.name, Merge(desired, state(t, c.revert)), state(t, c.want))
		same(t, c.name+": what was desired", desired, state(t, c.desired))
	}
}
