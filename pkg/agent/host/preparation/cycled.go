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
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// keepCycled keeps the addresses and routes of the links that the kernel sets down and up, and thereby takes IPv6 addresses and routes from:
//   - ports that come to a VRF or leave it;
//   - VLANs over these, over bonds that have to go down, and over ports that come to a bond or leave it.
func (p *planner) keepCycled() {
	for _, name := range slices.Sorted(keysOf(p.links)) {
		e := p.byName[name]
		switch {
		case p.isIgnored(name), e != nil && (e.state() != "up" || e.is == nil):
			// Nobody touches it, or it goes, or it is made again with all that stands on it.
		case p.changesController(name, "vrf"):
			p.keepIP(name)
			p.keepOver(name)
		case p.again[name], p.changesController(name, "bond"):
			p.keepOver(name)
		}
	}
}

// changesController tells whether a link is attached to a controller of some type, or detached from it.
func (p *planner) changesController(name, kind string) bool {
	was, will := p.nameOf(p.links[name].Controller), p.portOf(name, kind)
	if p.links[was].Kind != kind {
		was = ""
	}
	if was != will || will == "" {
		return was != will
	}
	e := p.byName[will]
	return e != nil && (e.is == nil || p.isEmptied(e))
}

// keepIP keeps the addresses and routes of a link. One that the state does not name needs an entry only if it has some, or is down: the
// kernel sets some links up that were not.
func (p *planner) keepIP(name string) {
	l := p.links[name]
	if p.again[name] || p.isPortWithoutIP(name) || p.byName[name] == nil && l.Is(unix.IFF_UP) && !p.hasIP(name) {
		return
	}
	if e := p.toKeep(name); e != nil {
		p.again[name] = true
		e.fields = p.kept(e, "ipv4", "ipv6")
	}
}

// hasIP tells whether a link has static addresses, or routes over it.
func (p *planner) hasIP(name string) bool {
	return lasting(tree.Object(p.there[name]["ipv4"])) != nil || lasting(tree.Object(p.there[name]["ipv6"])) != nil || p.hasRoutes(name)
}

// keepOver is keepIP for the VLANs over a link, which go down and up with it.
func (p *planner) keepOver(name string) {
	for _, over := range slices.Sorted(keysOf(p.links)) {
		l, e := p.links[over], p.byName[over]
		isOver := l.Kind == "vlan" && !l.Elsewhere && l.Parent == p.links[name].Index && !isLoose(l)
		if !isOver || e != nil && (e.state() != "up" || e.is == nil) {
			continue
		}
		p.keepIP(over)
		p.keepOver(over)
	}
}

// isLoose tells whether a VLAN stays up while the link below is down.
func isLoose(l rtnetlink.Link) bool {
	flags := l.Data[nl.IFLA_VLAN_FLAGS]
	return len(flags) == 8 && nl.NativeEndian().Uint32(flags)&vlanLooseBinding != 0
}

// keepsRoute tells whether a route has to be added again, since its link is made again, or goes down and up. A route in the table of a VRF
// does not outlive the time that its link is a port there, as one in another table does not outlive that it becomes one.
func (p *planner) keepsRoute(is map[string]any) bool {
	over := tree.StringAt(is, "next-hop-interface")
	e := p.byName[over]
	if e == nil || e.state() != "up" || !p.again[over] || p.isNewPort(e) || p.isPortWithoutIP(over) {
		return false
	}
	vrf := p.nameOf(p.links[over].Controller)
	table := tree.Object(p.there[vrf]["vrf"])["route-table-id"]
	return table == nil || p.portOf(over, "vrf") == vrf || !tree.SameValue(table, is["table-id"])
}

// staysDown tells whether a link is down, and the state does not say that it is to be up.
func (p *planner) staysDown(e *entry) bool {
	l := p.links[e.name]
	return e.unnamed && !l.Is(unix.IFF_UP)
}
