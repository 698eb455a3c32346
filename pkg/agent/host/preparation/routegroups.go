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
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// place is where the kernel looks for a route. Of IPv4 there is one route in a place, with all its next hops.
type place struct {
	destination   string
	table, metric uint64
	isIPv6        bool
}

// placeOf returns the place of an entry; what it does not give is the kernel's default.
func placeOf(route map[string]any) place {
	at := place{destination: tree.Text(route["destination"]), table: unix.RT_TABLE_MAIN}
	if prefix, err := tree.Prefix(route["destination"]); err == nil {
		at.destination, at.isIPv6 = prefix.Masked().String(), prefix.Addr().Is6()
	}
	if at.isIPv6 {
		at.metric = 1024
	}
	for name, to := range map[string]*uint64{"table-id": &at.table, "metric": &at.metric} {
		if number, err := integer(route[name]); err == nil && number != 0 && tree.Text(route[name]) != "-1" {
			*to = number
		}
	}
	return at
}

// nextHop is an entry of a route that is to be there.
type nextHop struct {
	fields map[string]any
	// was is the entry that is there, nil if it is new.
	was map[string]any
	// isWanted tells that the state asks for it, isDue that it has to be set: it is new, different, or forgotten by the kernel.
	isWanted, isDue bool
}

// routeGroup has the entries of one place.
type routeGroup struct {
	place
	gone []map[string]any
	hops []*nextHop
	// loses tells that a next hop goes with its link, and that the kernel may forget the others with it.
	loses bool
}

// routeGroups sorts entries by their places: those that are left and gone of what is there, and the wanted ones.
func (p *planner) routeGroups(left, gone, wanted []map[string]any) []*routeGroup {
	var groups []*routeGroup
	byPlace := map[place]*routeGroup{}
	of := func(route map[string]any) *routeGroup {
		at := placeOf(route)
		if byPlace[at] == nil {
			byPlace[at] = &routeGroup{place: at}
			groups = append(groups, byPlace[at])
		}
		return byPlace[at]
	}
	for _, is := range gone {
		of(is).gone = append(of(is).gone, is)
	}
	var all []*nextHop
	for _, is := range left {
		over := tree.StringAt(is, "next-hop-interface")
		e := p.byName[over]
		group := of(is)
		if e != nil && e.state() == "absent" {
			group.loses = true
			continue
		}
		hop := &nextHop{fields: is, was: is, isDue: p.keepsRoute(is)}
		all, group.hops = append(all, hop), append(group.hops, hop)
	}
	for _, route := range wanted {
		if at := slices.IndexFunc(all, func(hop *nextHop) bool { return MeansRoute(route, hop.was, true) }); at >= 0 {
			hop := all[at]
			hop.isWanted, hop.isDue = true, hop.isDue || p.again[tree.StringAt(hop.was, "next-hop-interface")]
			if route["weight"] != nil {
				hop.fields = merged(hop.was, map[string]any{"weight": route["weight"]})
			}
			continue
		}
		of(route).want(route)
	}
	return groups
}

// want adds a wanted entry that is not there, or in place of one over the same next hop.
func (g *routeGroup) want(route map[string]any) {
	for _, hop := range g.hops {
		if sameHop(route, hop.fields) {
			hop.fields, hop.isWanted, hop.isDue = merged(hop.fields, route), true, true
			return
		}
	}
	g.hops = append(g.hops, &nextHop{fields: route, isWanted: true, isDue: true})
}

// sameHop tells whether a wanted entry is over the next hop of another one.
func sameHop(wanted, other map[string]any) bool {
	over := tree.StringAt(wanted, "next-hop-interface")
	return gateway(wanted).Equal(gateway(other)) && (over == "" || over == tree.StringAt(other, "next-hop-interface")) &&
		tree.Text(wanted["route-type"]) == tree.Text(other["route-type"])
}

// isOne tells whether the entries are the next hops of one route, which the kernel sets as a whole. Of IPv6 each is set by itself.
func (g *routeGroup) isOne() bool {
	weighs := func(route map[string]any) bool { return route["weight"] != nil }
	return !g.isIPv6 && (slices.ContainsFunc(g.gone, weighs) || slices.ContainsFunc(g.hops, func(hop *nextHop) bool { return weighs(hop.fields) }))
}

// isThere tells whether something has the place.
func (g *routeGroup) isThere() bool {
	return len(g.gone) > 0 || g.loses || slices.ContainsFunc(g.hops, func(hop *nextHop) bool { return hop.was != nil })
}

// hasStranger tells whether a new entry cannot be a next hop among others: it has no weight.
func (g *routeGroup) hasStranger() bool {
	return len(g.hops) > 1 && slices.ContainsFunc(g.hops, func(hop *nextHop) bool { return hop.was == nil && hop.fields["weight"] == nil })
}

// setAsOne tells whether the entries are set as one route, which takes the place of what is there.
func (g *routeGroup) setAsOne() bool { return g.isOne() && len(g.hops) > 0 && !g.hasStranger() }

// removed returns what is removed before others are added.
func (g *routeGroup) removed() []map[string]any {
	left := slices.ContainsFunc(g.hops, func(hop *nextHop) bool { return hop.was != nil })
	switch {
	case g.setAsOne(), g.isOne() && left: // a next hop that is left is not removed for a stranger
		return nil
	case g.isOne() && len(g.gone) > 0: // all go with one
		return g.gone[:1]
	}
	return g.gone
}

// due returns the next hops that have to be set.
func (g *routeGroup) due() []*nextHop {
	return slices.DeleteFunc(slices.Clone(g.hops), func(hop *nextHop) bool { return !hop.isDue })
}

// stepGroups first removes what is to be absent, then adds what is to be there: routes without a next hop first, since others are
// reached over them.
func (p *planner) stepGroups(groups []*routeGroup) error {
	slices.SortStableFunc(groups, func(a, b *routeGroup) int { return a.viaHop() - b.viaHop() })
	for _, g := range groups {
		for _, is := range g.removed() {
			p.stepRemoval(is)
		}
	}
	for _, g := range groups {
		if err := p.stepGroup(g); err != nil {
			return fmt.Errorf("route to %s: %w", g.destination, err)
		}
	}
	return nil
}

// viaHop is 1 if an entry has a next hop, else 0.
func (g *routeGroup) viaHop() int {
	if slices.ContainsFunc(g.hops, func(hop *nextHop) bool { return gateway(hop.fields) != nil }) {
		return 1
	}
	return 0
}

func (p *planner) stepGroup(g *routeGroup) error {
	due := g.due()
	switch {
	case !g.setAsOne():
		return p.stepEach(g, due)
	case !g.isThere():
		return p.stepRoute("add", g.hops, (*routeToBe).add)
	case len(due) > 0 || len(g.gone) > 0 || g.loses:
		return p.stepRoute("replace", g.hops, (*routeToBe).replace)
	}
	return nil
}

// stepEach sets entries one by one. The kernel replaces routes of IPv6 by their metric alone, so a different one is removed there.
func (p *planner) stepEach(g *routeGroup, due []*nextHop) error {
	for _, hop := range due {
		verb, do := "add", (*routeToBe).add
		isOther := hop.was != nil && !MeansRoute(hop.fields, hop.was, true)
		if isOther && g.isIPv6 {
			p.stepRemoval(hop.was)
		} else if isOther {
			verb, do = "replace", (*routeToBe).replace
		}
		if err := p.stepRoute(verb, []*nextHop{hop}, do); err != nil {
			return err
		}
	}
	return nil
}

// stepRoute sets a route of some next hops. If the state asks for none of them, its failure is no error.
func (p *planner) stepRoute(verb string, hops []*nextHop, do func(*routeToBe) error) error {
	var group []map[string]any
	lenient, text := true, verb+" route"
	for _, hop := range hops {
		group = append(group, hop.fields)
		text += " " + describedRoute(hop.fields)
		lenient = lenient && !hop.isWanted
	}
	route, err := kernelRoute(group)
	if err != nil {
		return err
	}
	p.steps = append(p.steps, Step{text: text, lenient: lenient, do: func() error { return do(route) }})
	return nil
}

// stepRemoval removes a route; of IPv4 with all its next hops.
func (p *planner) stepRemoval(is map[string]any) {
	route, err := kernelRoute([]map[string]any{is})
	if err != nil {
		return // libnmstate will say what it is
	}
	if len(route.hops) > 0 && route.Family == netlink.FAMILY_V4 {
		route.gw = nil
	}
	route.hops = nil
	p.step("remove route "+describedRoute(is), func() error {
		if err := route.remove(); !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENODEV) {
			return err
		}
		return nil
	})
}

// inTheWay names the route in whose place another one was to be added. It is no error if that is the same.
func inTheWay(route *netlink.Route) error {
	list, err := rtnetlink.Dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(route.Family, route, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
	})
	if err != nil {
		return err
	}
	for _, other := range list {
		if other.Priority != route.Priority {
			continue
		}
		isSet := slices.Contains([]netlink.RouteProtocol{unix.RTPROT_STATIC, unix.RTPROT_BOOT}, other.Protocol)
		if isSet && other.Type == max(route.Type, unix.RTN_UNICAST) && hopsOf(other) == hopsOf(*route) {
			return nil
		}
		return fmt.Errorf("the route to %s%s of protocol %s has that place: remove it, by an entry with state: absent, or give this one another metric",
			other.Dst, hopsOf(other), other.Protocol)
	}
	return unix.EEXIST
}

// hopsOf writes the next hops of a route.
func hopsOf(route netlink.Route) string {
	hops := route.MultiPath
	if len(hops) == 0 {
		hops = []*netlink.NexthopInfo{{Gw: route.Gw, LinkIndex: route.LinkIndex}}
	}
	text := ""
	for _, hop := range hops {
		if hop.Gw != nil {
			text += " via " + hop.Gw.String()
		}
		if l, err := netlink.LinkByIndex(hop.LinkIndex); err == nil {
			text += " dev " + l.Attrs().Name
		}
		if len(hops) > 1 {
			text += fmt.Sprint(" weight ", hop.Hops+1)
		}
	}
	return text
}
