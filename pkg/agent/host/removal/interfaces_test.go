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

package removal

import (
	"strings"
	"testing"
)

func TestInterfacesThatTheSpecHasMadeGo(t *testing.T) {
	n := &node{t: t, current: plain}
	n.commit(bonded, false)
	n.current = made("")
	n.asks("", `
interfaces:
- {name: bond1, type: bond, state: absent}
- {name: bond1.7, type: vlan, state: absent}
- {name: eth1, type: ethernet, state: up, controller: "", ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}, ipv6: {enabled: false}}
- {name: eth2, type: ethernet, state: up, controller: "", ipv4: {enabled: false}, ipv6: {enabled: false}}
routes: {config: [{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, table-id: 254}]}`)
	n.asks("interfaces:\n"+bond, "interfaces:\n"+bond+"\n- {name: bond1.7, type: vlan, state: absent}")
	// One that somebody has removed meanwhile is no more.
	n.current = plain
	n.asks("interfaces:\n"+bond, "interfaces:\n"+bond)
}

// TestAnotherInterfaceOfTheNameStays: others have removed the one that the spec had made, or changed, and made one of another type.
func TestAnotherInterfaceOfTheNameStays(t *testing.T) {
	const bridges = "interfaces: [{name: br1, type: linux-bridge, state: up}, {name: br9, type: linux-bridge, mtu: 1400}]"
	n := &node{t: t, current: plain}
	n.commit(bridges, true)
	n.current = strings.Replace(plain, "name: br9, type: linux-bridge", "name: br9, type: vrf", 1)
	n.current = strings.Replace(n.current, "routes: {config", "- {name: br1, type: vxlan, state: up}\nroutes: {config", 1)
	n.asks("", "{}")
}

func TestWhatIsNeededIsNotRemoved(t *testing.T) {
	for name, one := range map[string]struct{ current, desired, words string }{
		"vlan":      {made(""), "interfaces:\n" + vlan, "spec.desiredState.interfaces[name=bond1]: Forbidden: it leaves the spec, and spec.removal is Revert, but it is needed by interface bond1.7: "},
		"bridge":    {made(""), "interfaces:\n- {name: br1, type: linux-bridge, state: up, bridge: {port: [{name: bond1}]}}", "interfaces[name=bond1]: Forbidden: it leaves the spec, and spec.removal is Revert, but it is needed by interface br1: "},
		"port":      {made(""), "interfaces:\n- {name: eth2, type: ethernet, state: up, controller: bond1}", "needed by interface eth2: "},
		"route":     {made(""), "routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: bond1}]}", "needed by route to 198.51.100.0/24: "},
		"server":    {made(""), "dns-resolver: {config: {server: ['fe80::1%bond1']}}", "needed by DNS server fe80::1%bond1: "},
		"others":    {made("- {name: bond1.8, type: vlan, state: up, vlan: {id: 8, base-iface: bond1}}"), "", "interfaces[name=bond1]: Forbidden: it leaves the spec, and spec.removal is Revert, but it is needed by interface bond1.8: "},
		"othersEnd": {made("- {name: pod1, type: ethernet, state: up, controller: bond1}"), "", "needed by interface pod1: "},
	} {
		t.Run(name, func(t *testing.T) {
			n := &node{t: t, current: plain}
			n.commit(bonded, false)
			n.current = one.current
			n.refuses(one.desired, one.words)
			n.commit(one.desired, false)
		})
	}
}

// TestWhatHasStayedIsNobodys: the policy when something leaves decides, and coming again counts anew.
func TestWhatHasStayedIsNobodys(t *testing.T) {
	n := &node{t: t, current: plain}
	n.commit(bonded, true)
	n.current = made("")
	n.commit("interfaces:\n"+vlan, false)
	n.asks("", "interfaces: [{name: bond1.7, type: vlan, state: absent}]")
	n.commit("", false)
	if n.notes != nil {
		t.Errorf("noted is %s", n.notes)
	}
	n.commit("interfaces:\n"+vlan, true)
	n.asks("", `interfaces: [{name: bond1.7, type: vlan, state: up, vlan: {id: 7, base-iface: bond1}}]`)
}

// TestFieldsLeave: each is what it was before it came, and lists and sections are as their entry says.
func TestFieldsLeave(t *testing.T) {
	const mtu = "interfaces: [{name: eth1, type: ethernet, state: up, mtu: 9000}]"
	const both = "interfaces: [{name: eth1, type: ethernet, state: up, mtu: 9001, ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.7, prefix-length: 24}]}}]"
	const address = "interfaces: [{name: eth1, state: up, ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.8, prefix-length: 24}]}}]"
	n := &node{t: t, current: plain}
	n.commit(mtu, true)
	n.current = strings.Replace(plain, "mtu: 1500", "mtu: 9000", 1)
	n.commit(both, true)
	n.current = strings.NewReplacer("192.0.2.1,", "192.0.2.7,").Replace(n.current)
	n.asks(mtu, `
interfaces: [{name: eth1, type: ethernet, state: up, mtu: 9000, ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}}]
routes: {config: [{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, table-id: 254}]}`)
	n.asks(address, "interfaces: [{name: eth1, state: up, mtu: 1500, ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.8, prefix-length: 24}]}}]")
	plan := n.commit(address, true)
	if len(plan.Left) != 1 || plan.Left[0] != "mtu of interface eth1" {
		t.Errorf("left are %q", plan.Left)
	}
	n.current = plain
	n.asks("interfaces:\n"+bond, "interfaces:\n"+bond)
	n.asks("", `
interfaces: [{name: eth1, type: ethernet, state: up, ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}}]
routes: {config: [{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, table-id: 254}]}`)
}

// TestDividedObjects: of a bridge, each option is a part of its own; a name beside others is, too.
func TestDividedObjects(t *testing.T) {
	n := &node{t: t, current: strings.Replace(plain, "name: br9, type", "name: br9, alt-names: [{name: old}], type", 1)}
	n.commit("interfaces: [{name: br9, alt-names: [{name: new}, {name: old, state: absent}], bridge: {options: {mac-ageing-time: 100, stp: {enabled: true, hello-time: 2}}}}]", true)
	n.current = strings.Replace(plain, "name: br9, type", "name: br9, alt-names: [{name: new}], type", 1)
	n.asks("interfaces: [{name: br9, alt-names: [{name: new}], bridge: {options: {stp: {hello-time: 2}}}}]",
		"interfaces: [{name: br9, alt-names: [{name: new}, {name: old}], bridge: {options: {mac-ageing-time: 300, stp: {hello-time: 2, enabled: false}}}}]")
	n.asks("", `
interfaces: [{name: br9, type: linux-bridge, state: up, alt-names: [{name: new, state: absent}, {name: old}], bridge: {options: {mac-ageing-time: 300, stp: {enabled: false}}}}]`)
}

// TestPortsOfOthersStay: pods come and go while the spec has the bridge's ports.
func TestPortsOfOthersStay(t *testing.T) {
	n := &node{t: t, current: plain}
	n.commit("interfaces: [{name: br9, type: linux-bridge, state: up, bridge: {port: [{name: veth9}, {name: eth2}]}}]", true)
	n.current = strings.NewReplacer("port: [{name: veth9}]", "port: [{name: eth2}, {name: veth8}]", "veth9", "veth8").Replace(plain)
	n.asks("", `
interfaces:
- {name: br9, type: linux-bridge, state: up, bridge: {port: [{name: veth8}]}}
- {name: eth2, type: ethernet, state: up, controller: "", ipv4: {enabled: false}, ipv6: {enabled: false}}`)
}

// TestPortsGoBackToTheirBridge: unless it is gone, or is to have other ports.
func TestPortsGoBackToTheirBridge(t *testing.T) {
	const taken = "interfaces: [{name: br1, type: linux-bridge, state: up, bridge: {port: [{name: veth9}]}}]"
	n := &node{t: t, current: plain}
	n.commit(taken, true)
	after := strings.NewReplacer("controller: br9", "controller: br1", "port: [{name: veth9}]", "port: []").Replace(plain)
	back := func(controller string) string {
		return `
- {name: br1, type: linux-bridge, state: absent}
- {name: veth9, type: veth, state: up, controller: "` + controller + `", ipv4: {enabled: false}, ipv6: {enabled: false}}`
	}
	n.current = strings.Replace(after, "routes: {config", "- {name: br1, type: linux-bridge, state: up, bridge: {port: [{name: veth9}]}}\nroutes: {config", 1)
	n.asks("", "interfaces:"+back("br9"))
	const others = "\n- {name: br9, type: linux-bridge, state: up, bridge: {port: [{name: eth2}]}}"
	n.asks("interfaces:"+others, "interfaces:"+others+back(""))
	n.current = strings.Replace(n.current, "name: br9", "name: br8", 1)
	n.asks("", "interfaces:"+back(""))
}

// TestAbsentInterfacesComeBack: with all that went with them, however late.
func TestAbsentInterfacesComeBack(t *testing.T) {
	n := &node{t: t, current: made("")}
	const gone = "interfaces: [{name: bond1, type: bond, state: absent}]"
	n.commit(gone, true)
	n.current = plain
	n.commit(gone+"\nhostname: {running: b}", true)
	n.asks("hostname: {running: b}", `
interfaces:
- {name: bond1, type: bond, state: up, link-aggregation: {mode: active-backup, port: [eth1, eth2]}, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: bond1.7, type: vlan, state: up, vlan: {id: 7, base-iface: bond1}, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: eth1, type: ethernet, state: up, controller: bond1, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: eth2, type: ethernet, state: up, controller: bond1, ipv4: {enabled: false}, ipv6: {enabled: false}}
hostname: {running: b}`)
	// One that was not there does not come.
	n = &node{t: t, current: plain}
	n.commit(gone, true)
	n.asks("", "{}")
}

// TestHardwareThatNetworkManagerDidNotUse: it forgets the profile that the spec has brought.
func TestHardwareThatNetworkManagerDidNotUse(t *testing.T) {
	n := &node{t: t, managed: true, current: strings.NewReplacer("name: eth2, type: ethernet, state: up", "name: eth2, type: ethernet, state: down",
		"name: eth1,", "name: eth1, identifier: name,").Replace(plain)}
	n.commit("interfaces: [{name: eth1, mtu: 1400}, {name: eth2, mtu: 1400}]", true)
	n.current = plain
	n.asks("", "interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1500}, {name: eth2, type: ethernet, state: absent}]")
	n.asks("interfaces: [{name: eth1, mtu: 1400}, {name: br1, type: linux-bridge, bridge: {port: [{name: eth2}]}}]",
		"interfaces: [{name: eth1, mtu: 1400}, {name: br1, type: linux-bridge, bridge: {port: [{name: eth2}]}}, {name: eth2, type: ethernet, state: up, mtu: 1500}]")
}

// TestByAddress: an interface that is meant by its MAC address keeps it.
func TestByAddress(t *testing.T) {
	n := &node{t: t, current: plain}
	n.commit(`interfaces: [{name: uplink, type: ethernet, identifier: mac-address, mac-address: "02:00:00:00:00:02", mtu: 1400}]
routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: uplink}]}`, true)
	n.current = strings.Replace(plain, "table-id: 254}]}", "table-id: 254}, {destination: 198.51.100.0/24, next-hop-interface: eth2, table-id: 254}]}", 1)
	n.asks("", `interfaces: [{name: eth2, type: ethernet, state: up, mtu: 1500}]
routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: eth2, table-id: 254, state: absent}]}`)
}
