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

package preparation

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/nl"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// TestTunnels: the kernel takes the parameters of a tunnel only as a whole, and a tunnel of another kind is another link.
func TestTunnels(t *testing.T) {
	shown := `
interfaces:
- {name: t0, type: ip-tunnel, state: up, mac-address: 'C0:00:02:01', mtu: 1480, ip-tunnel: {mode: ipip, local: 192.0.2.1, remote: 192.0.2.2, ttl: 33, tos: 0, pmtu-disc: true}}
- {name: t6, type: ip-tunnel, state: up, ip-tunnel: {mode: ip6ip6, local: '2001:db8::1', remote: '2001:db8::2', encap-limit: 4}}
- {name: vx0, type: vxlan, state: up, vxlan: {id: 9, local: 192.0.2.1, remote: 192.0.2.2}}
- {name: vx6, type: vxlan, state: up, vxlan: {id: 9, local: '2001:db8::1', remote: '2001:db8::2'}}
- {name: vx1, type: vxlan, state: up, vxlan: {id: 10}}
`
	addr := func(text string) []byte { return netip.MustParseAddr(text).AsSlice() }
	id := width(9, 4)
	with := func(data rtnetlink.Attributes) func(*rtnetlink.Link) {
		return func(l *rtnetlink.Link) { l.Data = data }
	}
	links := []rtnetlink.Link{
		link(1, "t0", "ipip", with(rtnetlink.Attributes{tunnelLocal: addr("192.0.2.1"), tunnelRemote: addr("192.0.2.2"), tunnelTTL: {33}, tunnelProto: {protoIPIP}, tunnelPMTUDisc: {1}})),
		link(2, "t6", "ip6tnl", with(rtnetlink.Attributes{tunnelLocal: addr("2001:db8::1"), tunnelRemote: addr("2001:db8::2"), tunnelEncapLimit: {4}, tunnelProto: {protoIPv6}})),
		link(3, "vx0", "vxlan", with(rtnetlink.Attributes{nl.IFLA_VXLAN_ID: id, nl.IFLA_VXLAN_LOCAL: addr("192.0.2.1"), nl.IFLA_VXLAN_GROUP: addr("192.0.2.2")})),
		link(4, "vx6", "vxlan", with(rtnetlink.Attributes{nl.IFLA_VXLAN_ID: id, nl.IFLA_VXLAN_LOCAL6: addr("2001:db8::1"), nl.IFLA_VXLAN_GROUP6: addr("2001:db8::2")})),
		link(5, "vx1", "vxlan", with(rtnetlink.Attributes{nl.IFLA_VXLAN_ID: width(10, 4)})),
	}
	for _, one := range []struct{ desired, steps string }{
		{"name: t0, type: ip-tunnel, ip-tunnel: {mode: ipip, ttl: 64}", "set t0: ttl=64"},
		{"name: t0, type: ip-tunnel, ip-tunnel: {mode: sit}", "remove t0; make t0: sit local=192.0.2.1 remote=192.0.2.2 ttl=33 tos=0 pmtu-disc=true; keep the MTU of t0: 1480; set t0 up"},
		{"name: t0, type: ip-tunnel, ip-tunnel: {mode: ipip6, local: '2001:db8::1', remote: '2001:db8::2'}", "remove t0; make t0: ip6tnl mode=ipip6 local=2001:db8::1 remote=2001:db8::2 ttl=33; set t0 up"},
		{"name: t6, type: ip-tunnel, ip-tunnel: {mode: ip6ip6, encap-limit: 5}", "set t6: encap-limit=5"},
		{"name: t6, type: ip-tunnel, ip-tunnel: {mode: ipip6}", "remove t6; make t6: ip6tnl mode=ipip6 local=2001:db8::1 remote=2001:db8::2 encap-limit=4; set t6 up"},
		{"name: t6, type: ip-tunnel, ip-tunnel: {mode: ipip, local: 192.0.2.1, remote: 192.0.2.2}", "remove t6; make t6: ipip local=192.0.2.1 remote=192.0.2.2; set t6 up"},
		{"name: vx0, type: vxlan, vxlan: {id: 9, remote: 192.0.2.3}", "set vx0: remote=192.0.2.3"},
		{"name: vx0, type: vxlan, vxlan: {id: 9, remote: '2001:db8::2'}", "remove vx0; make vx0: vxlan id=9 remote=2001:db8::2; set vx0 up"},
		{"name: vx6, type: vxlan, vxlan: {id: 9, local: 192.0.2.1, remote: 192.0.2.2}", "remove vx6; make vx6: vxlan id=9 remote=192.0.2.2 local=192.0.2.1; set vx6 up"},
		{"name: vx6, type: vxlan, vxlan: {id: 9, remote: '2001:db8::3'}", "set vx6: remote=2001:db8::3"},
		{"name: vx1, type: vxlan, vxlan: {id: 10, local: '2001:db8::1'}", "remove vx1; make vx1: vxlan id=10 local=2001:db8::1; set vx1 up"},
	} {
		plan, err := New(asJSON(t, "{interfaces: [{state: up, "+one.desired+"}]}"), asJSON(t, shown), links)
		if err != nil {
			t.Errorf("%s: %v", one.desired, err)
			continue
		}
		if got := stepsOf(plan); got != one.steps {
			t.Errorf("%s: the steps are\n%s\nand should be\n%s", one.desired, got, one.steps)
		}
		if left := rest(t, plan, shown, links); strings.Contains(left, "C0:00:02:01") {
			t.Errorf("%s: the rest is %s", one.desired, left)
		}
	}
}

// TestVLANOverALinkThatIsDown: the kernel sets a VLAN up only over a link that is up, unless it is bound loosely.
func TestVLANOverALinkThatIsDown(t *testing.T) {
	shown := "{interfaces: [{name: eth1, type: ethernet, state: down}, {name: v, type: vlan, state: down, vlan: {base-iface: eth1, id: 5}}]}"
	data := rtnetlink.Attributes{nl.IFLA_VLAN_ID: width(5, 2), nl.IFLA_VLAN_PROTOCOL: {0x81, 0}, nl.IFLA_VLAN_FLAGS: slices.Concat(width(1, 4), width(0xffffffff, 4))}
	down := func(l *rtnetlink.Link) { l.Flags = 0 }
	links := []rtnetlink.Link{link(1, "eth1", "", down), link(2, "v", "vlan", func(l *rtnetlink.Link) { l.Flags, l.Parent, l.Data = 0, 1, data })}
	for _, one := range []struct{ desired, steps string }{
		{"{name: w, type: vlan, state: up, vlan: {base-iface: eth1, id: 6}}", "make w: vlan base-iface=eth1 id=6; set eth1 up; set w up"},
		{"{name: w, type: vlan, state: up, vlan: {base-iface: v, id: 6}}", "make w: vlan base-iface=v id=6; set eth1 up; set v up; set w up"},
		{"{name: v, type: vlan, state: up}", "set eth1 up; set v up"},
		{"{name: w, type: vlan, state: up, vlan: {base-iface: v, id: 6}}, {name: v, type: vlan, state: up}", "make w: vlan base-iface=v id=6; set eth1 up; set v up; set w up"},
		{"{name: v, type: vlan, state: up, vlan: {base-iface: eth1, id: 5, loose-binding: true}}", "set v: flags=0x4/0x4; set v up"},
		{"{name: v, type: vlan, state: up}, {name: eth1, type: ethernet, state: up}", "set eth1 up; set v up"},
	} {
		plan, err := New(asJSON(t, "{interfaces: ["+one.desired+"]}"), asJSON(t, shown), links)
		if err != nil {
			t.Fatal(err)
		}
		if got := stepsOf(plan); got != one.steps {
			t.Errorf("%s: the steps are\n%s\nand should be\n%s", one.desired, got, one.steps)
		}
	}
}
