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
	"maps"
	"slices"

	"github.com/vishvananda/netlink/nl"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// findAgain finds the links that are made again, because the kernel does not change what is different of them, with all that
// stands on them, and the bonds that have to go down. What is known of them is kept: fields that are not named stay.
func (p *planner) findAgain() error {
	for _, e := range slices.Clone(p.entries) {
		if e.state() != "up" || e.is == nil {
			continue
		}
		fixed, free, err := p.settingsOf(e)
		if err != nil {
			return wrap(e, err)
		}
		if e.kind == "bond" && e.is.Kind == "bond" {
			changed := slices.Concat(differing(fixed, e.is.Data, p.index), differing(free, e.is.Data, p.index))
			if down, _ := bondNeeds(changed); down {
				p.again[e.name] = true
				e.fields = p.kept(e, "ipv4", "ipv6")
			}
			continue
		}
		if p.mustRemake(e, fixed) {
			p.remake(e)
		}
	}
	p.keepCycled()
	return nil
}

// mustRemake tells whether a link that is there has to be made again.
func (p *planner) mustRemake(e *entry, fixed []setting) bool {
	_, known := families()[e.kind]
	if !known || e.is.Elsewhere && e.kind == "veth" {
		return false
	}
	if base := p.base(e); base != "" && p.nameOf(e.is.Parent) != base {
		return true
	}
	if e.kind == "veth" {
		peer := p.name(tree.StringAt(e.section(), "peer"))
		return peer != "" && e.is.Kind == "veth" && p.nameOf(e.is.Parent) != peer
	}
	return e.is.Kind != e.kernelKind() || len(differing(fixed, e.is.Data, p.index)) > 0
}

// remake has a link made again, and those that the kernel removes with it.
func (p *planner) remake(e *entry) {
	if p.again[e.name] {
		return
	}
	p.again[e.name] = true
	sameKind := tree.StringAt(e.current, "type") == e.kind
	if sameKind {
		desired := e.fields
		e.fields = p.kept(e)
		e.dropUnfit(desired)
		if desired["mtu"] == nil {
			e.mtu = e.fields["mtu"]
			delete(e.fields, "mtu")
		}
	}
	index := e.is.Index
	if e.kind != "veth" && e.is.Kind != "veth" {
		for _, name := range slices.Sorted(maps.Keys(p.links)) {
			l := p.links[name]
			over := l.Parent == index && !l.Elsewhere && l.Kind != "veth" && l.Kind != "" ||
				l.Kind == "vxlan" && slices.Equal(l.Data[nl.IFLA_VXLAN_LINK], width(uint64(index), 4))
			if !over || l.Index == index {
				continue
			}
			if other := p.toKeep(name); other != nil {
				p.remake(other)
			}
		}
	}
	if controller := p.nameOf(e.is.Controller); controller != "" && p.byName[controller] == nil && p.controllerOf(e.name) == controller {
		p.keepPort(controller)
	}
	e.is = nil
}

// keepPort has a controller set again for its ports what it has set for them.
func (p *planner) keepPort(controller string) {
	fields := map[string]any{"name": controller, "type": p.there[controller]["type"]}
	for _, section := range []string{"bridge", "link-aggregation", "vrf"} {
		if is := tree.Object(p.there[controller][section]); is != nil {
			kept := map[string]any{}
			for _, key := range []string{"port", "ports-config", "route-table-id"} {
				if is[key] != nil {
					kept[key] = is[key]
				}
			}
			fields[section] = kept
		}
	}
	p.add(controller, fields).unnamed = true
}

// toKeep returns the entry of a link that is there and is to be up. A link that the state does not name gets one. It returns nil if there is
// none, and for what nmstate does not show.
func (p *planner) toKeep(name string) *entry {
	e := p.byName[name]
	if e == nil && p.there[name] != nil {
		e = p.add(name, map[string]any{"name": name, "type": p.there[name]["type"]})
		e.unnamed = true
	}
	if e == nil || e.state() != "up" || e.current == nil {
		return nil
	}
	return e
}

// shownOnly are the fields of an interface that nobody sets.
var shownOnly = []string{"driver", "permanent-mac-address", "pci-address", "min-mtu", "max-mtu", "mptcp", "lldp", "ethernet", "wait-ip", "statistics"}

// kept returns the fields that an interface is to have: those that are desired, and those that it has and the state does
// not name. With sections, only these are kept.
func (p *planner) kept(e *entry, sections ...string) map[string]any {
	has := map[string]any{}
	for key, value := range e.current {
		if len(sections) == 0 && !slices.Contains(shownOnly, key) {
			has[key] = value
		}
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		delete(has, family)
		if ip := lasting(tree.Object(e.current[family])); ip != nil && !p.isPortWithoutIP(e.name) {
			has[family] = ip
		}
	}
	delete(has, "state")
	delete(has, "ethtool") // what a link can do depends on what it stands on
	if p.links[e.name].Follows {
		delete(has, "mac-address")
	}
	return merged(has, e.fields)
}

// dropUnfit drops what does not fit a tunnel that is made again, unless the state gives it. What is shown as the MAC address of a tunnel
// is its local address, which cannot be set. Over another version of IP it has other addresses, options and room.
func (e *entry) dropUnfit(desired map[string]any) {
	if e.kind == "ip-tunnel" && desired["mac-address"] == nil {
		delete(e.fields, "mac-address")
	}
	sections := families()[e.kind].sections
	had, wanted := section(e.current, sections...), section(desired, sections...)
	was, isKnown := overIPv6(e.kind, had)
	if six, isGiven := overIPv6(e.kind, wanted); !isKnown || !isGiven || six == was {
		return
	}
	had = maps.Clone(had)
	for _, name := range []string{"local", "remote", "tos", "pmtu-disc", "encap-limit", "flow-label", "ip6tun-flags"} {
		delete(had, name)
	}
	e.fields[sections[0]] = merged(had, wanted)
	if desired["mtu"] == nil {
		delete(e.fields, "mtu")
	}
}

// lasting returns what of an IP section outlives the link: no leases, and no addresses that the kernel makes itself; nil if
// nothing does.
func lasting(ip map[string]any) map[string]any {
	var list []any
	for _, fields := range static(ip) {
		list = append(list, map[string]any{"ip": fields["ip"], "prefix-length": fields["prefix-length"]})
	}
	if len(list) == 0 {
		return nil
	}
	return map[string]any{"enabled": true, "address": list}
}
