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
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// routeTypes are the routes that lead nowhere.
var routeTypes = map[string]int{"blackhole": unix.RTN_BLACKHOLE, "unreachable": unix.RTN_UNREACHABLE, "prohibit": unix.RTN_PROHIBIT}

// routeFields are the fields by which nmstate tells routes apart.
var routeFields = []string{
	"destination", "next-hop-interface", "next-hop-address", "table-id", "metric", "weight", "route-type", "cwnd", "source", "initcwnd",
	"initrwnd", "mtu", "quickack", "advmss", "lock-mtu",
}

// configured returns the entries of a section of a state that are configured.
func configured(state map[string]any, section string) []map[string]any {
	var list []map[string]any
	for _, item := range tree.List(tree.Object(state[section]), "config") {
		if fields := tree.Object(item); fields != nil {
			list = append(list, fields)
		}
	}
	return list
}

// setRoutes removes the routes that are to be absent and adds those that are to be there, with those that the kernel forgets
// because their links are made again.
func (p *planner) setRoutes() error {
	wanted, absent := &p.routes.wanted, &p.routes.absent
	for _, given := range configured(p.desired, "routes") {
		route, err := p.route(given)
		if err != nil {
			return fmt.Errorf("routes: %w", err)
		}
		if route["state"] == "absent" {
			*absent = append(*absent, route)
		} else if route["state"] != "ignore" {
			*wanted = append(*wanted, route)
		}
	}
	var left, gone []map[string]any
	for _, is := range configured(p.current, "routes") {
		if isMeant(*absent, is, false) || p.stripped[tree.StringAt(is, "next-hop-interface")] {
			gone = append(gone, is)
		} else {
			left = append(left, is)
		}
	}
	return p.stepGroups(p.routeGroups(left, gone, *wanted))
}

// routes are the desired routes, with the kernel's names.
type routes struct{ wanted, absent []map[string]any }

// isMeant tells whether one of several entries means a route that is there.
func isMeant(entries []map[string]any, is map[string]any, withMetric bool) bool {
	return slices.ContainsFunc(entries, func(route map[string]any) bool { return MeansRoute(route, is, withMetric) })
}

// UnheldRoutes names the desired routes that do not hold in a current state, as libnmstate's verification does: those that
// are not there, and those that are to be absent, are there and are not desired by another entry.
func (p *Plan) UnheldRoutes(current []byte) ([]string, error) {
	state, err := tree.Decode(current)
	if err != nil {
		return nil, fmt.Errorf("reading the current state: %w", err)
	}
	there := configured(state, "routes")
	var unheld []string
	for _, route := range p.routes.wanted {
		if !slices.ContainsFunc(there, func(is map[string]any) bool { return MeansRoute(route, is, true) }) {
			unheld = append(unheld, describedRoute(route)+" is not there")
		}
	}
	for _, is := range there {
		if isMeant(p.routes.absent, is, false) && !isMeant(p.routes.wanted, is, true) {
			unheld = append(unheld, describedRoute(is)+" is still there")
		}
	}
	return unheld, nil
}

// route returns a desired route with the kernel's names, and its VRF's table.
func (p *planner) route(given map[string]any) (map[string]any, error) {
	route := merged(given, nil)
	if over := tree.StringAt(given, "next-hop-interface"); over != "" {
		route["next-hop-interface"] = p.name(over)
	}
	vrf := tree.StringAt(given, "vrf-name")
	if vrf == "" {
		return route, nil
	}
	name := p.name(vrf)
	table := section(p.there[name], "vrf")["route-table-id"]
	if e := p.byName[name]; e != nil && e.section()["route-table-id"] != nil {
		table = e.section()["route-table-id"]
	}
	if table == nil {
		return nil, fmt.Errorf("there is no VRF %s", vrf)
	}
	route["table-id"] = table
	return route, nil
}

// MeansRoute tells whether an entry means a route that is there. nmstate does not look at the metric; a route that is wanted
// with another metric is another one all the same.
func MeansRoute(wanted, is map[string]any, withMetric bool) bool {
	for _, field := range routeFields {
		value := wanted[field]
		switch {
		case field == "next-hop-interface" && wanted["route-type"] != nil && is[field] == nil: // IPv4's black holes are over no interface
		case value == nil, field == "table-id" && tree.Text(value) == "0", field == "destination" && value == "":
		case field == "weight" && withMetric && is[field] == nil: // the kernel shows none where there is one next hop
		case field == "metric":
			if withMetric && tree.Text(value) != "-1" && !tree.SameValue(value, is[field]) && !(tree.Text(value) == "0" && is[field] == nil) {
				return false
			}
		case field == "destination":
			if !tree.SamePrefix(value, is[field]) {
				return false
			}
		case field == "quickack" || field == "lock-mtu":
			if (tree.Text(value) == "true") != (tree.Text(is[field]) == "true") {
				return false
			}
		case !tree.SameValue(value, is[field]):
			return false
		}
	}
	if wanted["table-id"] == nil || tree.Text(wanted["table-id"]) == "0" {
		return !withMetric || tree.Text(is["table-id"]) == "254"
	}
	return true
}

func describedRoute(route map[string]any) string {
	text := tree.Text(route["destination"])
	for _, field := range routeFields[1:] {
		if value := route[field]; value != nil && tree.Text(value) != "" {
			text += " " + field + "=" + tree.Text(value)
		}
	}
	return text
}

func isUnspecified(text string) bool {
	ip, err := netip.ParseAddr(text)
	return err == nil && ip.IsUnspecified()
}

// hop is a next hop, by the name of its link.
type hop struct {
	link   string
	gw     net.IP
	weight int
}

// routeToBe is a route whose links are known by name: their indexes are found when it is added.
type routeToBe struct {
	netlink.Route
	link string
	gw   net.IP
	hops []hop
}

// kernelRoute returns the route of an entry, or of several that are its next hops.
func kernelRoute(group []map[string]any) (*routeToBe, error) {
	fields := group[0]
	destination, err := tree.Prefix(fields["destination"])
	if err != nil {
		return nil, err
	}
	family := netlink.FAMILY_V4
	if destination.Addr().Is6() {
		family = netlink.FAMILY_V6
	}
	r := &routeToBe{link: tree.StringAt(fields, "next-hop-interface")}
	r.Route = netlink.Route{
		Dst:    &net.IPNet{IP: destination.Addr().AsSlice(), Mask: net.CIDRMask(destination.Bits(), destination.Addr().BitLen())},
		Family: family, Protocol: unix.RTPROT_STATIC, Table: unix.RT_TABLE_MAIN, Type: routeTypes[tree.StringAt(fields, "route-type")],
	}
	for name, to := range map[string]*int{
		"table-id": &r.Table, "metric": &r.Priority, "mtu": &r.MTU, "advmss": &r.AdvMSS, "initcwnd": &r.InitCwnd, "initrwnd": &r.InitRwnd,
	} {
		if text := tree.Text(fields[name]); fields[name] == nil || text == "-1" || name == "table-id" && text == "0" {
			continue
		}
		number, err := integer(fields[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		*to = int(number)
	}
	r.MTULock = tree.Text(fields["lock-mtu"]) == "true"
	if tree.Text(fields["quickack"]) == "true" {
		r.QuickACK = 1
	}
	if source := tree.StringAt(fields, "source"); source != "" {
		r.Src = net.ParseIP(source)
	}
	r.gw = gateway(fields)
	if fields["weight"] == nil && len(group) == 1 {
		return r, nil
	}
	for _, one := range group {
		weight := uint64(1)
		if one["weight"] != nil {
			if weight, err = integer(one["weight"]); err != nil || weight == 0 {
				return nil, fmt.Errorf("weight: %q is no weight", tree.Text(one["weight"]))
			}
		}
		r.hops = append(r.hops, hop{link: tree.StringAt(one, "next-hop-interface"), gw: gateway(one), weight: int(weight)})
	}
	return r, nil
}

func gateway(fields map[string]any) net.IP {
	if text := tree.StringAt(fields, "next-hop-address"); text != "" && !isUnspecified(text) {
		return net.ParseIP(text)
	}
	return nil
}

// resolved returns the route with the indexes that its links have now.
func (r *routeToBe) resolved() (*netlink.Route, error) {
	route := r.Route
	for _, h := range r.hops {
		l, err := netlink.LinkByName(h.link)
		if err != nil {
			return nil, err
		}
		route.MultiPath = append(route.MultiPath, &netlink.NexthopInfo{LinkIndex: l.Attrs().Index, Hops: h.weight - 1, Gw: h.gw})
	}
	if len(r.hops) > 0 || r.Type != 0 && r.link == "" {
		return &route, nil
	}
	route.Gw = r.gw
	if r.link != "" {
		l, err := netlink.LinkByName(r.link)
		if err != nil {
			return nil, err
		}
		route.LinkIndex = l.Attrs().Index
	}
	if r.gw == nil && r.Family == netlink.FAMILY_V4 && r.Type == 0 {
		route.Scope = netlink.SCOPE_LINK
	}
	return &route, nil
}

// add adds the route. Of IPv6 it becomes one more next hop where there are others, of IPv4 it must not have the place of another one.
func (r *routeToBe) add() error {
	route, err := r.resolved()
	if err != nil {
		return err
	}
	if r.Family == netlink.FAMILY_V6 {
		if err := netlink.RouteAppend(route); !errors.Is(err, unix.EEXIST) {
			return err
		}
		return nil
	}
	if err := netlink.RouteAdd(route); !errors.Is(err, unix.EEXIST) {
		return err
	}
	return inTheWay(route)
}

// replace sets the route in place of the one that has its place, or adds it.
func (r *routeToBe) replace() error {
	route, err := r.resolved()
	if err != nil {
		return err
	}
	return netlink.RouteReplace(route)
}

func (r *routeToBe) remove() error {
	route, err := r.resolved()
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil // it went with its link
	}
	if err != nil {
		return err
	}
	route.Protocol, route.Scope = 0, unix.RT_SCOPE_NOWHERE // any
	return netlink.RouteDel(route)
}
