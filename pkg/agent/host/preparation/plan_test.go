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
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// current is the network that the cases start from, as nmstate shows it.
const current = `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, mac-address: '02:00:00:00:00:01', permanent-mac-address: '02:00:00:00:00:01', alt-names: [{name: port-a}]}
- {name: eth2, type: ethernet, state: up, mtu: 1500, mac-address: '02:00:00:00:00:02'}
- {name: bond0, type: bond, state: up, link-aggregation: {mode: balance-xor, port: [eth3]}, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}
- {name: eth3, type: ethernet, state: up, controller: bond0}
- {name: br1, type: linux-bridge, state: up, mac-address: '02:00:00:00:00:06'}
- {name: v5, type: vlan, state: up, vlan: {base-iface: eth1, id: 5}, ipv4: {enabled: true, address: [{ip: 198.51.100.1, prefix-length: 24}]}}
routes:
  config:
  - {destination: 203.0.113.0/24, next-hop-interface: v5, next-hop-address: 198.51.100.2, metric: 7, table-id: 254}
route-rules:
  config:
  - {priority: 100, ip-from: 192.0.2.0/24, route-table: 77, family: ipv4}
`

func link(index int, name, kind string, more func(*rtnetlink.Link)) rtnetlink.Link {
	mac, _ := net.ParseMAC("02:00:00:00:00:0" + string(rune('0'+index)))
	l := rtnetlink.Link{Index: index, Name: name, Kind: kind, Flags: unix.IFF_UP, MTU: 1500, MAC: mac}
	if more != nil {
		more(&l)
	}
	return l
}

func currentLinks() []rtnetlink.Link {
	return []rtnetlink.Link{
		link(1, "eth1", "", func(l *rtnetlink.Link) { l.AltNames = []string{"port-a"} }), link(2, "eth2", "", nil),
		link(3, "eth3", "", func(l *rtnetlink.Link) { l.Controller = 4 }),
		link(4, "bond0", "bond", func(l *rtnetlink.Link) {
			l.Data = rtnetlink.Attributes{nl.IFLA_BOND_MODE: {2}, nl.IFLA_BOND_MIIMON: width(100, 4)}
		}),
		link(5, "v5", "vlan", func(l *rtnetlink.Link) {
			l.Parent, l.Data = 1, rtnetlink.Attributes{nl.IFLA_VLAN_ID: width(5, 2), nl.IFLA_VLAN_PROTOCOL: {0x81, 0}}
		}),
		link(6, "br1", "bridge", nil),
	}
}

func asJSON(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// rest is what libnmstate is to apply on the network that the steps have left.
func rest(t *testing.T, plan *Plan, shown string, links []rtnetlink.Link) string {
	t.Helper()
	state, err := plan.Rest(asJSON(t, shown), links, nmstate.FormatNetState)
	if err != nil {
		t.Fatal(err)
	}
	return string(state)
}

func stepsOf(plan *Plan) string {
	var texts []string
	for _, step := range plan.Steps {
		texts = append(texts, step.String())
	}
	return strings.Join(texts, "; ")
}

// planOf returns a plan, which is to have these steps.
func planOf(t *testing.T, desired, current string, links []rtnetlink.Link, steps string) *Plan {
	t.Helper()
	plan, err := New(asJSON(t, desired), asJSON(t, current), links)
	if err != nil {
		t.Fatal(err)
	}
	if got := stepsOf(plan); got != steps {
		t.Errorf("the steps are\n%s\nand should be\n%s", got, steps)
	}
	return plan
}

// TestPlan: what is there already is not done, and the order is one that the kernel takes.
func TestPlan(t *testing.T) {
	for _, one := range []struct{ name, desired, steps string }{
		{"nothing", "{interfaces: []}", ""},
		{"what is there", "{interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1500, alt-names: [{name: port-a}]}, {name: bond0, type: bond, state: up, link-aggregation: {mode: '2', options: {miimon: '100'}, port: [eth3]}}]}", ""},
		{"a VLAN over a bond that is named later", "{interfaces: [{name: b.7, type: vlan, state: up, vlan: {base-iface: b, id: 7}}, {name: b, type: bond, state: up, link-aggregation: {mode: active-backup, options: {miimon: 10, primary: eth1}, port: [eth1, eth2]}}]}",
			"make b: bond mode=active-backup; set b: miimon=10; make b.7: vlan base-iface=b id=7; attach eth1 to b; attach eth2 to b; set b: primary=eth1; set b up; set b.7 up; set v5 up; add address 198.51.100.1/24 to v5; add route 203.0.113.0/24 next-hop-interface=v5 next-hop-address=198.51.100.2 table-id=254 metric=7"},
		{"ports by MAC address and by another name", "{interfaces: [{name: first, type: ethernet, state: up, identifier: mac-address, mac-address: '02:00:00:00:00:02'}, {name: br0, type: linux-bridge, state: up, bridge: {port: [{name: first}, {name: port-a}]}}]}",
			"make br0: bridge; attach eth2 to br0; attach eth1 to br0; set br0 up; await the spanning tree of br0"},
		{"another mode of a bond", "{interfaces: [{name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup}}]}",
			"detach eth3; set bond0 down; set bond0: mode=active-backup; set the MAC address of bond0: 02:00:00:00:00:04; attach eth3 to bond0; set bond0 up; add address 192.0.2.1/24 to bond0; set eth3 up"},
		{"a bridge of the given MAC address gets a port", "{interfaces: [{name: br1, type: linux-bridge, state: up, mac-address: '02:00:00:00:00:06', bridge: {port: [{name: eth1}]}}]}",
			"set the MAC address of br1: 02:00:00:00:00:06; attach eth1 to br1; await the spanning tree of br1"},
		{"a bridge of the given MAC address stays", "{interfaces: [{name: br1, type: linux-bridge, state: up, mac-address: '02:00:00:00:00:06', bridge: {port: []}}]}", ""},
		{"another id of a VLAN", "{interfaces: [{name: v5, type: vlan, state: up, vlan: {base-iface: eth1, id: 6}}]}",
			"remove v5; make v5: vlan base-iface=eth1 id=6; set v5 up; add address 198.51.100.1/24 to v5; add route 203.0.113.0/24 next-hop-interface=v5 next-hop-address=198.51.100.2 table-id=254 metric=7"},
		{"a port with an address", "{interfaces: [{name: b, type: bond, state: up, link-aggregation: {mode: active-backup, port: [v5]}}]}",
			"make b: bond mode=active-backup; remove address 198.51.100.1/24 from v5; remove the routes over v5; attach v5 to b; set b up; remove route 203.0.113.0/24 next-hop-interface=v5 next-hop-address=198.51.100.2 table-id=254 metric=7"},
		{"a port with an address and another id", "{interfaces: [{name: v5, type: vlan, state: up, vlan: {base-iface: eth1, id: 6}}, {name: b, type: bond, state: up, link-aggregation: {mode: active-backup, port: [v5]}}]}",
			"remove v5; make v5: vlan base-iface=eth1 id=6; make b: bond mode=active-backup; attach v5 to b; set v5 up; set b up"},
		{"a port of a VRF with another id", "{interfaces: [{name: v5, type: vlan, state: up, vlan: {base-iface: eth1, id: 6}}, {name: red, type: vrf, state: up, vrf: {port: [v5], route-table-id: 77}}]}",
			"remove v5; make v5: vlan base-iface=eth1 id=6; make red: vrf route-table-id=77; have routes looked up by VRF; attach v5 to red; set v5 up; set red up; add address 198.51.100.1/24 to v5"},
		{"a bond taken away", "{interfaces: [{name: bond0, type: bond, state: absent}]}", "remove bond0; set eth3 up"},
		{"hardware taken away, and down", "{interfaces: [{name: eth1, type: ethernet, state: absent}, {name: eth2, type: ethernet, state: down}]}",
			"take the controller and the addresses of eth1 away; set eth2 down"},
		{"a rule in place of another", "{route-rules: {config: [{priority: 100, state: absent}, {ip-to: 198.51.100.0/24, route-table: 78}]}}",
			`remove rule 100: from "192.0.2.0/24" to "null" table 77; add rule 30000: from "null" to "198.51.100.0/24" table 78`},
		{"rules, the narrower one first, and again", "{route-rules: {config: [{ip-from: 192.0.2.0/24, ip-to: 198.51.100.0/24, route-table: 77}, {ip-from: 192.0.2.0/24, fwmark: 0, route-table: 77}, {ip-to: 198.51.100.0/24}, {ip-to: 198.51.100.0/24, route-table: 77}, {ip-from: 192.0.2.0/24, suppress-prefix-length: 0, route-table: 77}]}}",
			`add rule 30000: from "192.0.2.0/24" to "198.51.100.0/24" table 77; add rule 30001: from "null" to "198.51.100.0/24" table 254; add rule 30002: from "null" to "198.51.100.0/24" table 77; add rule 30003: from "192.0.2.0/24" to "null" table 77`},
		{"a route of several next hops", "{routes: {config: [{destination: 198.18.0.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.2, weight: 1}, {destination: 198.18.0.0/24, next-hop-interface: eth2, next-hop-address: 192.0.2.3, weight: 2}]}}",
			"add route 198.18.0.0/24 next-hop-interface=eth1 next-hop-address=192.0.2.2 weight=1 198.18.0.0/24 next-hop-interface=eth2 next-hop-address=192.0.2.3 weight=2"},
	} {
		t.Run(one.name, func(t *testing.T) {
			plan := planOf(t, one.desired, current, currentLinks(), one.steps)
			if hasRoutes := strings.Contains(one.desired, "routes:"); hasRoutes != (len(plan.routes.wanted)+len(plan.routes.absent) > 0) || strings.Contains(rest(t, plan, current, currentLinks()), `"routes"`) {
				t.Errorf("the routes are %v, and the rest is %s", plan.routes, rest(t, plan, current, currentLinks()))
			}
		})
	}
}

// TestIPv6Off: a link without IPv6 addresses, sent back as it is shown, stays as it is, unless its addresses are still to come.
func TestIPv6Off(t *testing.T) {
	shown := asJSON(t, "{interfaces: [{name: eth2, type: ethernet, state: up, ipv6: {enabled: false}}]}")
	for flags, want := range map[uint32]string{
		unix.IFF_UP | unix.IFF_RUNNING: "", unix.IFF_UP | unix.IFF_SLAVE: "",
		unix.IFF_UP: "set disable_ipv6 of eth2: 1", unix.IFF_RUNNING: "set eth2 up; set disable_ipv6 of eth2: 1",
	} {
		plan, err := New(shown, shown, []rtnetlink.Link{link(2, "eth2", "", func(l *rtnetlink.Link) { l.Flags = flags })})
		if err != nil {
			t.Fatal(err)
		}
		if got := stepsOf(plan); got != want {
			t.Errorf("flags %x: the steps are %q and should be %q", flags, got, want)
		}
	}
}

// TestHSRStays: a link that is as desired is not made again, although the kernel does not show its version.
func TestHSRStays(t *testing.T) {
	shown := "{interfaces: [{name: eth1, type: ethernet, state: up}, {name: eth2, type: ethernet, state: up}, {name: hsr1, type: hsr, state: up}]}"
	for _, one := range []struct {
		config string
		proto  byte
		again  bool
	}{
		{"multicast-spec: 40, protocol: prp", protoPRP, false},
		{"multicast-spec: 40, protocol: hsr-2012", protoHSR, false},
		{"multicast-spec: 41, protocol: prp", protoPRP, true},
		{"multicast-spec: 40, protocol: hsr", protoPRP, true},
	} {
		desired := "{interfaces: [{name: hsr1, type: hsr, state: up, hsr: {port1: eth1, port2: eth2, supervision-address: '01:15:4E:00:01:28', " + one.config + "}}]}"
		plan, err := New(asJSON(t, desired), asJSON(t, shown), []rtnetlink.Link{
			link(1, "eth1", "", nil), link(2, "eth2", "", nil),
			link(3, "hsr1", "hsr", func(l *rtnetlink.Link) {
				l.Data = rtnetlink.Attributes{hsrPort1: width(1, 4), hsrPort2: width(2, 4), hsrMulticast: {40}, hsrProtocol: {one.proto}}
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		if again := len(plan.Steps) > 0; again != one.again {
			t.Errorf("%s: the steps are %v", one.config, plan.Steps)
		}
	}
}

// TestARestOfNothing: an empty list stays one. libnmstate does not read null in its place.
func TestARestOfNothing(t *testing.T) {
	for _, desired := range []string{`{"interfaces":[]}`, `{"interfaces":[{"name":"eth1","type":"ethernet","state":"down"}]}`} {
		plan, err := New([]byte(desired), asJSON(t, current), currentLinks())
		if err != nil {
			t.Fatal(err)
		}
		if got := rest(t, plan, current, currentLinks()); got != `{"interfaces":[]}` {
			t.Errorf("%s: the rest is %s", desired, got)
		}
	}
}

// TestUnheldRoutes: a route counts as it does for libnmstate, which shows more fields than a state gives.
func TestUnheldRoutes(t *testing.T) {
	desired := asJSON(t, `
routes:
  config:
  - {destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.2}
  - {destination: 203.0.113.0/24, route-type: blackhole}
  - {destination: 203.0.113.0/25, next-hop-interface: eth1, metric: 7}
  - {state: absent, next-hop-interface: eth2}
`)
	plan, err := New(desired, asJSON(t, "{interfaces: []}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := plan.UnheldRoutes(asJSON(t, `
routes:
  config:
  - {destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.2, table-id: 254, metric: 0}
  - {destination: 203.0.113.0/24, route-type: blackhole, table-id: 254}
  - {destination: 203.0.113.0/25, next-hop-interface: eth1, metric: 8, table-id: 254}
  - {destination: 192.0.2.0/25, next-hop-interface: eth2, table-id: 254}
`))
	want := []string{
		"203.0.113.0/25 next-hop-interface=eth1 metric=7 is not there",
		"192.0.2.0/25 next-hop-interface=eth2 table-id=254 is still there",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// TestRefusals: each is by the interface's name, and says what would be needed. What holds is not refused.
func TestRefusals(t *testing.T) {
	root := field.NewPath("spec", "desiredState")
	for _, one := range []struct{ desired, want string }{
		{"{interfaces: [{name: br0, type: ovs-bridge, state: up}]}", "spec.desiredState.interfaces[name=br0].type: Forbidden: without NetworkManager this cannot be set on this node; it would need Open vSwitch"},
		{"{interfaces: [{name: br0, type: ovs-bridge, state: absent}]}", ""},
		{"{interfaces: [{name: eth1, type: ethernet, state: up, ethernet: {sr-iov: {total-vfs: 2}}}]}", "interfaces[name=eth1].ethernet.sr-iov"},
		{"{interfaces: [{name: eth1, type: ethernet, state: up, ethernet: {sr-iov: {total-vfs: 0}}}]}", ""},
		{"{interfaces: [{name: eth1, type: ethernet, state: up, 802.1x: {password: geheim}}]}", "interfaces[name=eth1].802.1x"},
		{"{interfaces: [{name: eth1, type: ethernet, state: up, ipv4: {enabled: true, dhcp: true}}]}", "a DHCP client"},
		{"{interfaces: [{name: eth1, type: ethernet, state: up, lldp: {enabled: false}, ipv4: {enabled: true, dhcp: false}}]}", ""},
		{"{ovs-db: {external_ids: {a: b}}}", "spec.desiredState.ovs-db"},
		{"{interfaces: [{name: eth1, type: ethernet, state: up, ipv4: {enabled: true, dhcp: false, prefix-route-metric: 4}}]}", "interfaces[name=eth1].ipv4.prefix-route-metric"},
		{"{interfaces: [{name: eth1, type: ethernet, state: up, ipv6: {enabled: true, dhcp: false, autoconf: false, token: '::', addr-gen-mode: eui64}}]}", "interfaces[name=eth1].ipv6.addr-gen-mode"},
		{"{interfaces: [{name: eth1, type: ethernet, state: up, wait-ip: ipv4}]}", "interfaces[name=eth1].wait-ip"},
		{"{interfaces: [{name: eth1, type: ethernet, state: up, wait-ip: any, profile-name: eth1}]}", ""},
		{"{interfaces: [{name: eth1, type: ethernet, state: up, profile-name: first}]}", "interfaces[name=eth1].profile-name"},
	} {
		errs, err := Refusals(root, asJSON(t, one.desired), asJSON(t, current))
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		if len(errs) > 0 {
			text = errs.ToAggregate().Error()
		}
		if one.want == "" && text != "" || !strings.Contains(text, one.want) || strings.Contains(text, "geheim") {
			t.Errorf("%s: refused with %q", one.desired, text)
		}
	}
}

// TestPortVLANs: without a native VLAN the bridge's default one stays.
func TestPortVLANs(t *testing.T) {
	for _, one := range []struct {
		filter string
		want   vlans
	}{
		{"{mode: access, tag: 7}", vlans{7: native}},
		{"{mode: trunk, trunk-tags: [{id: 7}, {id-range: {min: 20, max: 21}}]}", vlans{1: native, 7: 0, 20: 0, 21: 0}},
		{"{mode: trunk, tag: 9, enable-native: true, trunk-tags: [{id: '1'}]}", vlans{1: 0, 9: native}},
		{"{}", vlans{1: native}},
	} {
		var filter map[string]any
		if err := yaml.Unmarshal([]byte(one.filter), &filter); err != nil {
			t.Fatal(err)
		}
		got, err := portVLANs(filter, 1)
		if err != nil || len(got) != len(one.want) {
			t.Errorf("%s: %v, %v", one.filter, got, err)
		}
		for id, flags := range one.want {
			if is, there := got[id]; !there || is != flags {
				t.Errorf("%s: VLAN %d has %d in %v", one.filter, id, is, got)
			}
		}
	}
}

// TestNamed: a MAC address that identifies an interface is not one to set.
func TestNamed(t *testing.T) {
	const desired = "{interfaces: [{name: first, type: ethernet, state: up, identifier: mac-address, mac-address: '02:00:00:00:00:02', mtu: 1400}]}"
	got, err := Named(asJSON(t, desired), asJSON(t, current))
	if want := `{"interfaces":[{"mtu":1400,"name":"eth2","state":"up","type":"ethernet"}]}`; err != nil || string(got) != want {
		t.Errorf("%v: %s, not %s", err, got, want)
	}
}
