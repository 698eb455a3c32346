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

package host

import "github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"

// interfaceCases are of interfaces, but for addresses and ports.
var interfaceCases = []comparisonCase{
	{"interface", one("name: eth1", "type: ethernet", "state: up"), one("name: eth1", "type: ethernet", "state: up", "mtu: 1500"), ""},
	{"no type", one("name: eth1"), one("name: eth1", "type: ethernet", "state: up"), ""},
	{"a veth as ethernet", one("name: v0", "type: ethernet", "mtu: 1400"), one("name: v0", "type: veth", "state: up", "mtu: 1500", "veth: {peer: v1}"), one("name: v0", "type: ethernet", "state: up", "mtu: 1400")},
	{"down that is up", one("name: eth1", "type: ethernet", "state: up"), one("name: eth1", "type: ethernet", "state: down"), one("name: eth1", "type: ethernet", "state: up")},
	{"no longer managed", one("name: eth1", "type: ethernet", "state: up"), one("name: eth1", "type: ethernet", "state: ignore"), one("name: eth1", "type: ethernet", "state: up")},
	{"missing", one("name: d0", "type: dummy", "mtu: 1400"), "{interfaces: []}", one("name: d0", "type: dummy", "state: up", "mtu: 1400")},
	{"absent and missing", one("name: d0", "type: dummy", "state: absent"), "{interfaces: []}", ""},
	{"absent and there", one("name: d0", "type: dummy", "state: absent"), one("name: d0", "type: dummy", "state: up"), one("name: d0", "type: dummy", "state: absent")},
	{"absent and physical", one("name: eth1", "type: ethernet", "state: absent"), one("name: eth1", "type: ethernet", "state: down"), ""},
	{"absent and the loopback", one("name: lo", "type: loopback", "state: absent"), one("name: lo", "type: loopback", "state: up"), ""},
	{"absent and a veth that is up", one("name: v0", "type: ethernet", "state: absent"), one("name: v0", "type: veth", "state: up", "veth: {peer: v1}"), one("name: v0", "type: ethernet", "state: absent")},
	{"absent and a veth that NetworkManager has not made", one("name: eth2", "type: ethernet", "state: absent"), one("name: eth2", "type: veth", "state: down", "ipv4: {enabled: false}"), ""},
	{"down and missing", one("name: d0", "type: dummy", "state: down"), "{interfaces: []}", ""},
	{"down and physical", one("name: eth1", "type: ethernet", "state: down", "mtu: 1400"), one("name: eth1", "type: ethernet", "state: down", "mtu: 1500"), ""},
	{"down and up with an address", one("name: eth1", "type: ethernet", "state: down"), eth1("ipv4: {enabled: true, address: [" + wantedAddress + "]}"), one("name: eth1", "type: ethernet", "state: down")},
	{"down and up with DHCP", one("name: eth1", "type: ethernet", "state: down"), eth1("ipv4: {enabled: true, dhcp: true}"), one("name: eth1", "type: ethernet", "state: down")},
	{"down and up without IP", one("name: eth1", "type: ethernet", "state: down"), eth1("ipv6: {enabled: true, address: [{ip: 'fe80::1', prefix-length: 64}]}"), one("name: eth1", "type: ethernet", "state: down")},
	{"down and virtual", one("name: d0", "type: dummy", "state: down"), one("name: d0", "type: dummy", "state: up"), one("name: d0", "type: dummy", "state: down")},
	{"ignored", one("name: eth1", "type: ethernet", "state: ignore", "mtu: 1400"), one("name: eth1", "type: ethernet", "state: up", "mtu: 1500"), ""},
	{"a bridge of Open vSwitch and its interface of the same name",
		"{interfaces: [{name: br0, type: ovs-bridge, bridge: {port: [{name: br0}]}}, {name: br0, type: ovs-interface, mtu: 1400}]}",
		"{interfaces: [{name: br0, type: ovs-interface, state: up, mtu: 1500, controller: br0}, {name: br0, type: ovs-bridge, state: up, bridge: {port: [{name: br0}]}}]}",
		one("name: br0", "type: ovs-interface", "state: up", "mtu: 1400")},

	{"alternative names", one("name: eth1", "type: ethernet", "alt-names: [{name: a}, {name: gone, state: absent}]"),
		one("name: eth1", "type: ethernet", "state: up", "alt-names: [{name: b}, {name: a}]"), ""},
	{"alternative names, none there", one("name: eth1", "type: ethernet", "alt-names: [{name: gone, state: absent}]"), one("name: eth1", "type: ethernet", "state: up"), ""},
	{"alternative names, others", one("name: eth1", "type: ethernet", "alt-names: [{name: a}, {name: b, state: absent}, {name: c}]"),
		one("name: eth1", "type: ethernet", "state: up", "alt-names: [{name: a}, {name: b}]"),
		one("name: eth1", "type: ethernet", "state: up", "alt-names: [{name: b, state: absent}, {name: c}]")},
	{"by an alternative name", one("name: port-a", "type: ethernet", "profile-name: eth1", "mtu: 1500"), one("name: eth1", "type: ethernet", "state: up", "mtu: 1500", "alt-names: [{name: port-a}]"), ""},

	{"by an alternative name, another MTU", one("name: port-a", "type: ethernet", "profile-name: eth1", "mtu: 1400"), one("name: eth1", "type: ethernet", "state: up", "mtu: 1500", "alt-names: [{name: port-a}]"),
		one("name: port-a", "type: ethernet", "state: up", "mtu: 1400")},
	{"no type, another MTU", one("name: eth1", "mtu: 1400"), one("name: eth1", "type: ethernet", "state: up", "mtu: 1500"), one("name: eth1", "type: ethernet", "state: up", "mtu: 1400")},
	{"by its MAC address", one("name: uplink", "type: ethernet", "identifier: mac-address", "mac-address: '02:00:00:00:00:aa'", "mtu: 1500"),
		one("name: eth1", "type: ethernet", "state: up", "profile-name: uplink", "identifier: mac-address", "mac-address: '02:00:00:00:00:AA'", "mtu: 1500"), ""},
	{"by its permanent MAC address", one("name: uplink", "type: ethernet", "identifier: mac-address", "mac-address: '02:00:00:00:00:aa'", "mtu: 1500"),
		one("name: eth1", "type: ethernet", "state: up", "profile-name: uplink", "identifier: mac-address", "mac-address: '02:00:00:00:00:BB'", "permanent-mac-address: '02:00:00:00:00:AA'", "mtu: 1500"), ""},
	{"the MAC address of another one", one("name: br0", "type: linux-bridge", "copy-mac-from: eth1"),
		"{interfaces: [{name: br0, type: linux-bridge, state: up, mac-address: '02:00:00:00:00:AA', bridge: {port: []}}, {name: eth1, type: ethernet, state: up, mac-address: '02:00:00:00:00:AA'}]}", ""},
	{"a profile of the interface's name", one("name: eth1", "type: ethernet", "profile-name: eth1"), one("name: eth1", "type: ethernet", "state: up"), ""},
	{"another profile", one("name: eth1", "type: ethernet", "profile-name: uplink"), one("name: eth1", "type: ethernet", "state: up", "profile-name: old"), one("name: eth1", "type: ethernet", "state: up", "profile-name: uplink")},
	{"identifier name", one("name: eth1", "type: ethernet", "identifier: name"), one("name: eth1", "type: ethernet", "state: up"), ""},

	{"MAC address in small letters", one("name: eth1", "type: ethernet", "mac-address: '02:00:00:00:00:aa'"), one("name: eth1", "type: ethernet", "state: up", "mac-address: '02:00:00:00:00:AA'"), ""},
	{"another MAC address", one("name: eth1", "type: ethernet", "mac-address: '02:00:00:00:00:AA'"), one("name: eth1", "type: ethernet", "state: up", "mac-address: '02:00:00:00:00:BB'"),
		one("name: eth1", "type: ethernet", "state: up", "mac-address: '02:00:00:00:00:AA'")},
	{"MAC address of a VRF", one("name: vrf1", "type: vrf", "mac-address: '02:00:00:00:00:aa'", "vrf: {route-table-id: 0}"), one("name: vrf1", "type: vrf", "state: up", "mac-address: '02:00:00:00:00:BB'", "vrf: {route-table-id: 102, port: []}"), ""},
	{"MAC address of a bond that takes its port's", one("name: bond0", "type: bond", "mac-address: '02:00:00:00:00:aa'"),
		one("name: bond0", "type: bond", "state: up", "mac-address: '02:00:00:00:00:BB'", "link-aggregation: {mode: active-backup, options: {fail_over_mac: active}}"), ""},

	{"MTU as text", one("name: eth1", "type: ethernet", "mtu: '1400'"), one("name: eth1", "type: ethernet", "state: up", "mtu: 1400"), ""},
	{"another MTU", one("name: eth1", "type: ethernet", "mtu: 1400"), one("name: eth1", "type: ethernet", "state: up", "mtu: 1500"), one("name: eth1", "type: ethernet", "state: up", "mtu: 1400")},
	{"MTU of a bridge of Open vSwitch", one("name: br0", "type: ovs-bridge", "mtu: 1400", "ipv4: {enabled: false}"), one("name: br0", "type: ovs-bridge", "state: up", "bridge: {port: [{name: br0}]}"), ""},

	{"no controller", one("name: eth1", "type: ethernet", "controller: ''"), one("name: eth1", "type: ethernet", "state: up"), ""},
	{"no controller, and there is", one("name: eth1", "type: ethernet", "controller: ''"), "{interfaces: [{name: eth1, type: ethernet, state: up, controller: br0}, {name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}]}",
		one("name: eth1", "type: ethernet", "state: up", "controller: ''")},
	{"what is only shown", one("name: eth1", "type: ethernet", "permanent-mac-address: '02:00:00:00:00:AA'", "min-mtu: 68", "max-mtu: 9000", "driver: virtio_net", "lldp: {enabled: false, neighbors: []}"),
		one("name: eth1", "type: ethernet", "state: up"), ""},
	{"what is off", one("name: eth1", "type: ethernet", "accept-all-mac-addresses: false", "lldp: {enabled: false}", "mptcp: {address-flags: []}", "ovs-db: {external_ids: {}}", "dispatch: {post-activation: ''}", "description: ''"),
		one("name: eth1", "type: ethernet", "state: up"), ""},
	{"what is to be on", one("name: eth1", "type: ethernet", "accept-all-mac-addresses: true", "lldp: {enabled: true}", "mptcp: {address-flags: [signal]}", "ovs-db: {external_ids: {a: b}}", "dispatch: {post-activation: echo}", "description: uplink"),
		one("name: eth1", "type: ethernet", "state: up", "lldp: {enabled: false}"),
		one("name: eth1", "type: ethernet", "state: up", "accept-all-mac-addresses: true", "lldp: {enabled: true}", "mptcp: {address-flags: [signal]}", "ovs-db: {external_ids: {a: b}}", "dispatch: {post-activation: echo}", "description: uplink")},
	{"capitals", one("name: eth1", "type: ethernet", "description: Uplink", "alt-names: [{name: Uplink}]", "dispatch: {post-activation: echo A}"),
		one("name: eth1", "type: ethernet", "state: up", "description: uplink", "alt-names: [{name: uplink}]", "dispatch: {post-activation: echo a}"),
		one("name: eth1", "type: ethernet", "state: up", "description: Uplink", "alt-names: [{name: Uplink}]", "dispatch: {post-activation: echo A}")},
	{"MPTCP flags in another order", one("name: eth1", "type: ethernet", "mptcp: {address-flags: [subflow, backup]}"), one("name: eth1", "type: ethernet", "state: up", "mptcp: {address-flags: [backup, subflow]}"), ""},
	{"flags of a tunnel", one("name: t0", "type: ip-tunnel", "ip-tunnel: {mode: ip6ip6, ip6tun-flags: [use-orig-tclass, cap-xmit]}"),
		one("name: t0", "type: ip-tunnel", "state: up", "ip-tunnel: {mode: ip6ip6, local: '2001:db8::1', ip6tun-flags: [cap-rcv, use-orig-tclass]}"), ""},
	{"flags of a tunnel, others", one("name: t0", "type: ip-tunnel", "ip-tunnel: {mode: ip6ip6, ip6tun-flags: [use-orig-tclass]}"),
		one("name: t0", "type: ip-tunnel", "state: up", "ip-tunnel: {mode: ip6ip6, ip6tun-flags: [mip6-dev, use-orig-tclass]}"),
		one("name: t0", "type: ip-tunnel", "state: up", "ip-tunnel: {ip6tun-flags: [use-orig-tclass]}")},

	{"speed of a link that negotiates", one("name: eth1", "type: ethernet", "ethernet: {auto-negotiation: true, speed: 1000, duplex: full}"), one("name: eth1", "type: ethernet", "state: up", "ethernet: {auto-negotiation: true, speed: 10000, duplex: half}"), ""},
	{"speed of a link that does not", one("name: eth1", "type: ethernet", "ethernet: {auto-negotiation: false, speed: 1000}"), one("name: eth1", "type: ethernet", "state: up", "ethernet: {auto-negotiation: false, speed: 10000}"),
		one("name: eth1", "type: ethernet", "state: up", "ethernet: {speed: 1000}")},
	{"virtual functions", one("name: eth1", "type: ethernet", "ethernet: {sr-iov: {total-vfs: 2, max-vfs: 8, vfs: [{id: 1, trust: true, iface-name: eth1v1}]}}"),
		one("name: eth1", "type: ethernet", "state: up", "ethernet: {sr-iov: {total-vfs: 2, max-vfs: 16, vfs: [{id: 0, trust: false}, {id: 1, trust: true, spoof-check: true, iface-name: other}]}}"), ""},
	{"virtual functions by default", one("name: eth1", "type: ethernet", "ethernet: {sr-iov: {vfs: []}}"), one("name: eth1", "type: ethernet", "state: up", "ethernet: {sr-iov: {total-vfs: 1, vfs: [{id: 0}]}}"), ""},
	{"ethtool", one("name: eth1", "type: ethernet", "ethtool: {feature: {tso: false}, ring: {rx: '512'}, fec: {auto: true, mode: rs}}"),
		one("name: eth1", "type: ethernet", "state: up", "ethtool: {feature: {tx-tcp-segmentation: false, rx-gro: true}, ring: {rx: 512, rx-max: 4096}, fec: {auto: true, mode: baser}}"), ""},
	{"ethtool, others", one("name: eth1", "type: ethernet", "ethtool: {feature: {rx-gro: false, rx-hashing: true}, ring: {rx: 512}, pause: {rx: true}}"),
		one("name: eth1", "type: ethernet", "state: up", "ethtool: {feature: {rx-gro: true, rx-hashing: true}, ring: {rx: 256}, pause: {rx: false, tx: true}}"),
		one("name: eth1", "type: ethernet", "state: up", "ethtool: {feature: {rx-gro: false}, ring: {rx: 512}, pause: {rx: true}}")},

	{"VLAN", one("name: eth1.5", "type: vlan", "vlan: {id: 5, base-iface: eth1, ingress-qos-map: [{from: 2, to: 2}, {from: 1, to: 1}]}"),
		one("name: eth1.5", "type: vlan", "state: up", "vlan: {id: 5, base-iface: eth1, protocol: 802.1q, reorder-headers: true, ingress-qos-map: [{from: 1, to: 1}, {from: 2, to: 2}]}"), ""},
	{"VLAN, another", one("name: eth1.5", "type: vlan", "vlan: {id: 6, base-iface: eth1}"), one("name: eth1.5", "type: vlan", "state: up", "vlan: {id: 5, base-iface: eth1, reorder-headers: true}"),
		one("name: eth1.5", "type: vlan", "state: up", "vlan: {id: 6, base-iface: eth1}")},
	{"802.1X", one("name: eth1", "type: ethernet", "802.1x: {identity: me, eap-methods: [tls], password: "+secret.Mask+"}"),
		one("name: eth1", "type: ethernet", "state: up", "802.1x: {identity: me, eap-methods: [tls], password: "+secret.Mask+", ca-cert: /a}"), ""},
	{"802.1X, a secret that is not read back", one("name: eth1", "type: ethernet", "802.1x: {identity: me, private-key-password: "+secret.Mask+"}"), one("name: eth1", "type: ethernet", "state: up", "802.1x: {identity: me}"), ""},
	{"802.1X, another one", one("name: eth1", "type: ethernet", "802.1x: {identity: me, password: "+secret.Mask+"}"), one("name: eth1", "type: ethernet", "state: up", "802.1x: {identity: you, password: "+secret.Mask+"}"),
		one("name: eth1", "type: ethernet", "state: up", "802.1x: {identity: me}")},
	{"802.1X, methods", one("name: eth1", "type: ethernet", "802.1x: {identity: me, eap-methods: [tls, tls]}"), one("name: eth1", "type: ethernet", "state: up", "802.1x: {identity: me, eap-methods: [tls, peap]}"),
		one("name: eth1", "type: ethernet", "state: up", "802.1x: {eap-methods: [tls, tls]}")},
	{"HSR", one("name: hsr0", "type: hsr", "hsr: {port1: eth1, port2: eth2, multicast-spec: 40, protocol: prp, supervision-address: '01:15:4e:00:01:00'}"),
		"{interfaces: [{name: hsr0, type: hsr, state: up, hsr: {port1: eth1, port2: eth2, multicast-spec: 40, protocol: prp, supervision-address: '01:15:4E:00:01:28'}}, {name: eth1, type: ethernet, state: up}, {name: eth2, type: ethernet, state: up}]}", ""},
}
