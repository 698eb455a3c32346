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

// bridge is br0 with the given ports, and the interfaces in them.
func bridge(ports string, others ...string) string {
	state := "{interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {" + ports + "}}"
	for _, other := range others {
		state += ", " + other
	}
	return state + "]}"
}

// What ports look like in what nmstate reads: NetworkManager does not manage pod0.
const (
	port1 = "{name: eth1, type: ethernet, state: up, controller: br0}"
	port2 = "{name: eth2, type: ethernet, state: up, controller: br0}"
	pod0  = "{name: pod0, type: veth, state: ignore, controller: br0, veth: {peer: pod0c}}"

	readPort1 = "{name: eth1, stp-hairpin-mode: false, stp-path-cost: 100, stp-priority: 32}"
	readPort2 = "{name: eth2, stp-hairpin-mode: false, stp-path-cost: 100, stp-priority: 32}"
	readPod0  = "{name: pod0, stp-hairpin-mode: false, stp-path-cost: 2, stp-priority: 32}"
)

// trunk is eth1 as a port with a filter.
func trunk(vlan string) string {
	return bridge("port: [{name: eth1, stp-hairpin-mode: false, stp-path-cost: 2, stp-priority: 32, vlan: "+vlan+"}]", port1)
}

// portCases are of bridges, bonds and VRFs.
var portCases = []comparisonCase{
	{"port", bridge("port: [{name: eth1}]"), bridge("options: {stp: {enabled: false}}, port: ["+readPort1+"]", port1), ""},
	{"ports in another order", bridge("port: [{name: eth2}, {name: eth1}]"), bridge("port: ["+readPort1+", "+readPort2+"]", port1, port2), ""},
	{"port with its path cost", bridge("port: [{name: eth1, stp-path-cost: 100}]"), bridge("port: ["+readPort1+"]", port1), ""},
	{"port with another path cost", bridge("port: [{name: eth1, stp-path-cost: 5}]"), bridge("port: ["+readPort1+"]", port1), bridge("port: [{name: eth1, stp-path-cost: 5}]")},
	{"port missing", bridge("port: [{name: eth1}, {name: eth2}]"), bridge("port: ["+readPort1+"]", port1, "{name: eth2, type: ethernet, state: up}"), bridge("port: [{name: eth1}, {name: eth2}]")},
	{"one port too many", bridge("port: [{name: eth1}]"), bridge("port: ["+readPort1+", "+readPort2+"]", port1, port2), bridge("port: [{name: eth1}]")},
	{"one port more that may be", bridge("allow-extra-ports: true, port: [{name: eth1}]"), bridge("port: ["+readPort1+", "+readPort2+"]", port1, port2), ""},
	{"a port missing where more may be", bridge("allow-extra-ports: true, port: [{name: eth1}]"), bridge("port: ["+readPort2+"]", "{name: eth1, type: ethernet, state: up}", port2), bridge("allow-extra-ports: true, port: [{name: eth1}]")},
	{"a pod's port", bridge("port: [{name: eth1}]"), bridge("port: ["+readPort1+", "+readPod0+"]", port1, pod0), ""},
	{"a pod's port, and another one", bridge("port: [{name: eth1}]"), bridge("port: ["+readPort1+", "+readPort2+", "+readPod0+"]", port1, port2, pod0), bridge("port: [{name: eth1}]")},
	{"a pod's port, and one missing", bridge("port: [{name: eth1}]"), bridge("port: ["+readPod0+"]", "{name: eth1, type: ethernet, state: up}", pod0), bridge("port: [{name: eth1}]")},
	{"a port that the state ignores", bridge("port: [{name: eth1}]", "{name: eth2, type: ethernet, state: ignore}"), bridge("port: ["+readPort1+", "+readPort2+"]", port1, port2), ""},
	{"a port that is no interface", bridge("port: [{name: eth1}]"), bridge("port: ["+readPort1+", {name: hidden}]", port1), ""},
	{"no port, and there is a pod's", bridge("port: []"), bridge("port: ["+readPod0+"]", pod0), ""},
	{"no port, and there is one", bridge("port: []"), bridge("port: ["+readPort1+"]", port1), bridge("port: []")},

	{"trunk", bridge("port: [{name: eth1, vlan: {mode: trunk, trunk-tags: [{id: 200}]}}]"), trunk("{mode: trunk, enable-native: false, trunk-tags: [{id: 200}]}"), ""},
	{"trunk by ranges", bridge("port: [{name: eth1, vlan: {mode: trunk, trunk-tags: [{id-range: {min: 10, max: 11}}, {id: 12}, {id: 5}]}}]"), trunk("{mode: trunk, enable-native: false, trunk-tags: [{id: 5}, {id-range: {min: 10, max: 12}}]}"), ""},
	{"trunk with another tag", bridge("port: [{name: eth1, vlan: {mode: trunk, trunk-tags: [{id: 200}]}}]"), trunk("{mode: trunk, enable-native: false, trunk-tags: [{id: 201}]}"), bridge("port: [{name: eth1, vlan: {mode: trunk, trunk-tags: [{id: 200}]}}]")},
	{"trunk with one more tag", bridge("port: [{name: eth1, vlan: {mode: trunk, trunk-tags: [{id: 200}]}}]"), trunk("{mode: trunk, enable-native: false, trunk-tags: [{id-range: {min: 200, max: 201}}]}"), bridge("port: [{name: eth1, vlan: {mode: trunk, trunk-tags: [{id: 200}]}}]")},
	{"access port where a trunk was", bridge("port: [{name: eth1, vlan: {mode: access, tag: 5}}]"), trunk("{mode: trunk, enable-native: true, tag: 5, trunk-tags: [{id: 200}]}"), bridge("port: [{name: eth1, vlan: {mode: access, tag: 5}}]")},
	{"no filter", bridge("port: [{name: eth1, vlan: {}}]"), bridge("port: ["+readPort1+"]", port1), ""},
	{"no filter where one is", bridge("port: [{name: eth1, vlan: {}}]"), trunk("{mode: access, tag: 5, trunk-tags: []}"), bridge("port: [{name: eth1, vlan: {}}]")},

	{"options of a bridge", one("name: br0", "type: linux-bridge", "bridge: {options: {gc-timer: 1, group-forward-mask: 8, multicast-router: 1, stp: {enabled: 'no'}}}"),
		one("name: br0", "type: linux-bridge", "state: up", "bridge: {options: {gc-timer: 2, group-forward-mask: 8, group-fwd-mask: 8, multicast-router: auto, stp: {enabled: false, hello-time: 2}}, port: []}"), ""},
	{"options of a bridge, others", one("name: br0", "type: linux-bridge", "bridge: {options: {mac-ageing-time: 300, stp: {enabled: true}}}"),
		one("name: br0", "type: linux-bridge", "state: up", "bridge: {options: {mac-ageing-time: 200, stp: {enabled: false, hello-time: 2}}, port: []}"),
		one("name: br0", "type: linux-bridge", "state: up", "bridge: {options: {mac-ageing-time: 300, stp: {enabled: true}}}")},

	{"ageing time of a bridge whose spanning tree changes", bridge("options: {mac-ageing-time: 300}"), bridge("options: {mac-ageing-time: 32, stp: {enabled: true, forward-delay: 16}}"), ""},
	{"ageing time of a bridge, another one", bridge("options: {mac-ageing-time: 300}"), bridge("options: {mac-ageing-time: 32, stp: {enabled: false, forward-delay: 16}}"), bridge("options: {mac-ageing-time: 300}")},

	{"ports of a bond", bond("mode: 1, port: [eth2, eth1]"), bond("mode: active-backup, options: {miimon: 0}, port: [eth1, eth2], ports-config: [{name: eth1, priority: 0, queue-id: 0}, {name: eth2, priority: 0, queue-id: 0}]", port1, port2), ""},
	{"port of a bond missing", bond("port: [eth1, eth2]"), bond("mode: active-backup, port: [eth1], ports-config: [{name: eth1}]", port1, "{name: eth2, type: ethernet, state: up}"), bond("port: [eth1, eth2]")},
	{"queues of a bond", bond("ports-config: [{name: eth1, queue-id: 1}]"), bond("mode: active-backup, port: [eth1], ports-config: [{name: eth1, priority: 0, queue-id: 1}]", port1), ""},
	{"queues of a bond, others", bond("ports-config: [{name: eth1, queue-id: 1}]"), bond("mode: active-backup, port: [eth1], ports-config: [{name: eth1, priority: 0, queue-id: 0}]", port1), bond("ports-config: [{name: eth1, queue-id: 1}]")},
	{"options of a bond by number or by name", bond("options: {all_slaves_active: 1, arp_ip_target: '', fail_over_mac: none, use_carrier: 'on', ad_actor_sys_prio: 65535}"),
		bond("mode: active-backup, options: {all_slaves_active: delivered, fail_over_mac: none, use_carrier: true}, port: []"), ""},
	{"delays of a bond", bond("options: {miimon: 100, updelay: 250, downdelay: 99}"), bond("mode: active-backup, options: {miimon: 100, updelay: 200, downdelay: 0}, port: []"), ""},
	{"options of a bond, others", bond("options: {miimon: 100, updelay: 200, primary: eth1}"), bond("mode: active-backup, options: {miimon: 140, updelay: 140}, port: [eth1]", port1), bond("options: {miimon: 100, updelay: 200, primary: eth1}")},

	{"ports of a VRF", vrf("port: [eth1], route-table-id: 102"), vrf("port: [eth1], route-table-id: 102", portOfVRF), ""},
	{"ports of a VRF with a pod's", vrf("port: [eth1]"), vrf("port: [pod0, eth1], route-table-id: 102", portOfVRF, pod0), ""},
	{"port of a VRF missing", vrf("port: [eth1], route-table-id: 102"), vrf("port: [], route-table-id: 102", "{name: eth1, type: ethernet, state: up}"), vrf("port: [eth1]")},
	{"another table of a VRF", vrf("port: [eth1], route-table-id: 103"), vrf("port: [eth1], route-table-id: 102", portOfVRF), vrf("route-table-id: 103")},

	{"ports of a bridge of Open vSwitch", ovs("port: [{name: b0, link-aggregation: {mode: lacp, port: [{name: eth2}, {name: eth1}]}}, {name: br0}]"),
		ovs("options: {stp: {enabled: false}}, port: [{name: br0}, {name: b0, link-aggregation: {mode: lacp, bond-updelay: 0, port: [{name: eth1}, {name: eth2}]}}]", port1, port2, "{name: br0, type: ovs-interface, state: up}"), ""},
	{"a bond of Open vSwitch too many", ovs("port: [{name: br0}]"),
		ovs("port: [{name: br0}, {name: b0, link-aggregation: {mode: lacp, port: [{name: eth1}, {name: eth2}]}}]", port1, port2, "{name: br0, type: ovs-interface, state: up}"), ovs("port: [{name: br0}]")},
	{"a patch port that may be", ovs("allow-extra-patch-ports: true, port: [{name: br0}]"), ovs("port: [{name: br0}, {name: p0}]", "{name: br0, type: ovs-interface, state: up}", "{name: p0, type: ovs-interface, state: up, patch: {peer: p1}}"), ""},
	{"a port that is no patch", ovs("allow-extra-patch-ports: true, port: [{name: br0}]"), ovs("port: [{name: br0}, {name: p0}]", "{name: br0, type: ovs-interface, state: up}", "{name: p0, type: ovs-interface, state: up}"), ovs("allow-extra-patch-ports: true, port: [{name: br0}]")},
}

const portOfVRF = "{name: eth1, type: ethernet, state: up, controller: vrf102, ipv4: {enabled: true, address: [" + wantedAddress + "]}}"

func with(state string, others []string) string {
	for _, other := range others {
		state += ", " + other
	}
	return state + "]}"
}

func bond(fields string, others ...string) string {
	return with("{interfaces: [{name: bond0, type: bond, state: up, link-aggregation: {"+fields+"}}", others)
}

func vrf(fields string, others ...string) string {
	return with("{interfaces: [{name: vrf102, type: vrf, state: up, vrf: {"+fields+"}}", others)
}

func ovs(fields string, others ...string) string {
	return with("{interfaces: [{name: br0, type: ovs-bridge, state: up, bridge: {"+fields+"}}", others)
}

// refusedCases are of states that nmstate has applied and refuses to compare.
var refusedCases = []comparisonCase{
	{"a VRF whose port has an address", vrf("port: [eth1], route-table-id: 102", "{name: eth1, type: ethernet, state: up, ipv4: {enabled: true, address: ["+wantedAddress+"]}}"), vrf("port: [eth1], route-table-id: 102", portOfVRF), ""},
	{"a VRF whose port has another address", vrf("port: [eth1], route-table-id: 102", "{name: eth1, type: ethernet, state: up, ipv4: {enabled: true, address: ["+otherAddress+"]}}"), vrf("port: [eth1], route-table-id: 102", portOfVRF),
		one("name: eth1", "type: ethernet", "state: up", "ipv4: {address: ["+otherAddress+"]}")},
	{"a port of a VRF alone", eth1("ipv4: {enabled: true, address: [" + wantedAddress + "]}"), vrf("port: [eth1], route-table-id: 102", portOfVRF), ""},
	{"MACsec", one("name: ms0", "type: macsec", "macsec: {base-iface: eth1, encrypt: true, mka-cak: "+secret.Mask+", mka-ckn: '1234', port: 5, validation: strict, send-sci: true}"),
		one("name: ms0", "type: macsec", "state: up", "macsec: {base-iface: eth1, encrypt: true, mka-cak: "+secret.Mask+", mka-ckn: '1234', port: 5, validation: strict, send-sci: true, offload: off}"), ""},
	{"MACsec whose key is not read back", one("name: ms0", "type: macsec", "macsec: {base-iface: eth1, encrypt: true, mka-cak: "+secret.Mask+", mka-ckn: '1234', port: 5, validation: strict, send-sci: true}"),
		one("name: ms0", "type: macsec", "state: up", "macsec: {base-iface: eth1, encrypt: true, mka-ckn: '1234', port: 5, validation: strict, send-sci: true}"), ""},
	{"MACsec with another port", one("name: ms0", "type: macsec", "macsec: {base-iface: eth1, encrypt: true, mka-cak: "+secret.Mask+", mka-ckn: '1234', port: 5, validation: strict, send-sci: true}"),
		one("name: ms0", "type: macsec", "state: up", "macsec: {base-iface: eth1, encrypt: true, mka-cak: "+secret.Mask+", mka-ckn: '1234', port: 6, validation: strict, send-sci: true}"),
		one("name: ms0", "type: macsec", "state: up", "macsec: {base-iface: eth1, encrypt: true, mka-cak: "+secret.Mask+", mka-ckn: '1234', port: 5, validation: strict, send-sci: true}")},
	{"VXLAN with a field that differs", one("name: vx0", "type: vxlan", "vxlan: {id: 5, base-iface: eth1, remote: 192.0.2.3, learning: true}"),
		one("name: vx0", "type: vxlan", "state: up", "vxlan: {id: 5, base-iface: eth1, remote: 192.0.2.3, learning: false, destination-port: 4789}"),
		one("name: vx0", "type: vxlan", "state: up", "vxlan: {id: 5, base-iface: eth1, remote: 192.0.2.3, learning: true}")},
	{"an interface of unknown type that is missing", "{interfaces: [{name: eth9, mtu: 1400}, {name: eth1, mtu: 1500}]}", one("name: eth1", "type: ethernet", "state: up", "mtu: 1500"), one("name: eth9", "type: unknown", "state: up", "mtu: 1400")},
	{"another type", one("name: d0", "type: dummy", "mtu: 1400"), one("name: d0", "type: linux-bridge", "state: up", "mtu: 1400"), one("name: d0", "type: dummy", "state: up")},
	{"a veth whose peer has gone elsewhere", one("name: v0", "type: veth", "veth: {peer: v1}", "mtu: 1500"), one("name: v0", "type: veth", "state: up", "mtu: 1500"), one("name: v0", "type: veth", "state: up", "veth: {peer: v1}")},
}
