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

package undo

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// snapshot is the network as the kernel has it, in what an apply can change:
// each thing under a name that tells it from all others, with its owner.
type snapshot struct {
	scope scope
	// full is the network in nmstate's format, with its secrets, to make links
	// again from.
	full  []byte
	links map[string]link
	// indexes are the kernel's of the links, controllers those of their controllers.
	indexes, controllers map[string]int
	addresses            map[string]addresses
	routes               map[string]route
	rules                map[string]notedRule
	// neighbours are those that somebody has set, and the entries of forwarding databases.
	neighbours map[string]neighbour
	// subnets are the routes to subnets that NetworkManager has made, without their metric in the name.
	subnets map[string]route
	// files are those of the scope that are there.
	files    map[string]file
	hostname string
	// uncovered names what is in the scope and cannot be put back.
	uncovered []string
	// disturbances are what happens to the links from then on, nil if nobody watches.
	disturbances *disturbances
}

// link is one link, in what a failed apply may have left different.
type link struct {
	Name   string `json:"name"`
	Owner  owner  `json:"owner,omitempty"`
	Kind   string `json:"kind,omitempty"`
	Up     bool   `json:"up,omitempty"`
	MTU    int    `json:"mtu,omitempty"`
	MAC    string `json:"mac,omitempty"`
	Master string `json:"master,omitempty"`
	// Aliases are the alternative names, sorted.
	Aliases string `json:"aliases,omitempty"`
	// Follows tells that the MAC address is that of another link, see rtnetlink.Link. Guests are the ports that it may be of and that
	// nobody puts back, those of pods and those outside of the scope, with their MAC addresses.
	Follows bool   `json:"follows,omitempty"`
	Guests  string `json:"guests,omitempty"`
	// Detail is what is peculiar to the link's kind; nil where it is not noted.
	Detail *detail `json:"detail,omitempty"`
}

func (l link) ownedBy() owner { return l.Owner }
func (l link) over() []string { return []string{l.Name} }

// same tells whether two links are the same to the state; a pod may have begun or
// ended meanwhile.
func (l link) same(other link) bool {
	alike := l.Detail.same(other.Detail)
	if l.isGivenMAC(other) {
		other.MAC = l.MAC
	}
	l.Detail, other.Detail = nil, nil
	other.Owner, other.Follows, other.Guests = l.Owner, l.Follows, l.Guests
	return alike && l == other
}

// isGivenMAC tells whether the MAC address of a link is the kernel's to choose, so that none is owed: that of a link below, which is
// compared itself, or that of a port, of which some have come or gone that nobody puts back.
func (l link) isGivenMAC(was link) bool {
	return l.Follows && was.Follows && (!rtnetlink.FollowsPorts(l.Kind) || l.Guests != was.Guests)
}

// route is one route and the links that it and its next hops go over, by name: a
// link that was made again has another index.
type route struct {
	netlink.Route
	owner owner
	link  string
	hops  []string
}

func (r route) ownedBy() owner { return r.owner }
func (r route) over() []string { return slices.Concat(r.hops, []string{r.link}) }

// notedRule is one rule for routing. Only those that the state means are noted.
type notedRule struct{ netlink.Rule }

func (notedRule) ownedBy() owner { return ours }
func (notedRule) over() []string { return nil }

// configured are the protocols of routes that nmstate, NetworkManager or somebody
// by hand has made; all others are those of routing daemons, see rtnetlink(7).
var configured = []netlink.RouteProtocol{unix.RTPROT_UNSPEC, unix.RTPROT_BOOT, unix.RTPROT_STATIC, unix.RTPROT_DHCP}

// newSnapshot returns a snapshot that has nothing noted.
func newSnapshot(in scope, full []byte) *snapshot {
	return &snapshot{
		scope: in, full: full,
		links: map[string]link{}, indexes: map[string]int{}, controllers: map[string]int{},
		addresses: map[string]addresses{}, routes: map[string]route{}, rules: map[string]notedRule{}, neighbours: map[string]neighbour{},
		subnets: map[string]route{},
		files:   map[string]file{},
	}
}

// takeSnapshot notes what is in the scope of the network as it is; full is the
// same in nmstate's format.
func takeSnapshot(in scope, full []byte) (*snapshot, error) {
	s := newSnapshot(in, full)
	links, err := rtnetlink.Dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	for _, l := range links {
		a := l.Attrs()
		if !in.has(a.Name) {
			continue
		}
		noted := link{
			Name: a.Name, Kind: l.Type(), Up: a.Flags&unix.IFF_UP != 0, MTU: a.MTU,
			MAC: a.HardwareAddr.String(), Master: names[a.MasterIndex],
			Aliases: strings.Join(slices.Sorted(slices.Values(a.AltNames)), " "), Follows: rtnetlink.Follows(a.Name, l.Type()),
		}
		if l.Type() == "veth" && a.NetNsID >= 0 && !in.all && !in.meant[a.Name] {
			noted.Owner = pods
		}
		s.links[a.Name], s.indexes[a.Name], s.controllers[a.Name] = noted, a.Index, a.MasterIndex
	}
	s.noteGuests(links)
	if err := errors.Join(s.noteDetails(), s.noteAddresses(links), s.noteRoutes(names), s.noteRules(), s.noteFiles()); err != nil {
		return nil, err
	}
	if in.hostname {
		s.hostname, err = os.Hostname()
		return s, err
	}
	return s, nil
}

// noteGuests notes the guests of the links that follow their ports.
func (s *snapshot) noteGuests(links []netlink.Link) {
	guests := map[int][]string{}
	for _, l := range links {
		if a := l.Attrs(); !s.scope.has(a.Name) || s.links[a.Name].Owner == pods {
			guests[a.MasterIndex] = append(guests[a.MasterIndex], a.Name+" "+a.HardwareAddr.String())
		}
	}
	for name, noted := range s.links {
		if list := guests[s.indexes[name]]; noted.Follows && rtnetlink.FollowsPorts(noted.Kind) && len(list) > 0 {
			slices.Sort(list)
			noted.Guests = strings.Join(list, ", ")
			s.links[name] = noted
		}
	}
}

// takeWatchedSnapshot is takeSnapshot, with a watch over what happens to the links
// from before it on, which close ends.
func takeWatchedSnapshot(in scope, full []byte) (*snapshot, error) {
	watch, err := watchDisturbances()
	if err != nil {
		return nil, err
	}
	s, err := takeSnapshot(in, full)
	if err != nil {
		watch.close()
		return nil, err
	}
	s.watchBy(watch)
	return s, nil
}

// watch begins a watch over what happens to the links from now on.
func (s *snapshot) watch() error {
	watch, err := watchDisturbances()
	if err == nil {
		s.watchBy(watch)
	}
	return err
}

func (s *snapshot) watchBy(watch *disturbances) {
	watch.indexes, watch.controllers = s.indexes, s.controllers
	s.disturbances = watch
}

// close ends the watch.
func (s *snapshot) close() {
	if s != nil {
		s.disturbances.close()
		s.disturbances = nil
	}
}

// nowhere are the types of routes that go over no link. Those of IPv6 name the loopback.
var nowhere = []int{unix.RTN_BLACKHOLE, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT}

// noteRoutes notes the routes that somebody has set: not those that the kernel
// or a router's advertisement makes. NetworkManager makes routes over the loopback
// that say they are the kernel's, and leaves them behind.
func (s *snapshot) noteRoutes(names map[int]string) error {
	all := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	routes, err := rtnetlink.Dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_ALL, all, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return fmt.Errorf("listing routes: %w", err)
	}
	for _, r := range routes {
		isKernels := r.Table == unix.RT_TABLE_LOCAL || r.Protocol == unix.RTPROT_RA || r.Protocol == unix.RTPROT_KERNEL && names[r.LinkIndex] != loopback
		if isKernels && !(s.scope.managed && isLoopbackNet(r, names[r.LinkIndex])) {
			s.noteSubnet(r, names)
			continue
		}
		mine := s.hasRoute(r, names)
		if !mine && !s.scope.takesAway(r) {
			continue
		}
		key := fmt.Sprintf("%s via %s dev %s table %d metric %d proto %d type %d",
			r.Dst, r.Gw, names[r.LinkIndex], r.Table, r.Priority, r.Protocol, r.Type) + attributesOf(r)
		if _, isProgram := r.Encap.(*netlink.BpfEncap); isProgram {
			s.uncovered = append(s.uncovered, "route "+key+", which has a BPF program")
			continue
		}
		if r.Dst != nil && len(r.Dst.Mask) == net.IPv4len { // the library makes 16 bytes of 0.0.0.0
			r.Dst = &net.IPNet{IP: r.Dst.IP.To4(), Mask: r.Dst.Mask}
		}
		noted := route{Route: r, link: names[r.LinkIndex]}
		switch {
		case !slices.Contains(configured, r.Protocol) && r.Protocol != unix.RTPROT_KERNEL:
			noted.owner = daemons
		case !mine:
			noted.owner = others
		}
		for _, hop := range r.MultiPath {
			noted.hops = append(noted.hops, names[hop.LinkIndex])
			key += fmt.Sprintf(" nexthop %s dev %s weight %d", hop.Gw, names[hop.LinkIndex], hop.Hops)
			key += attributes(map[string]any{"via": viaOf(hop.Via), "label": labelsOf(hop.NewDst), "encap": encapOf(hop.Encap)})
		}
		s.routes[key] = noted
	}
	return nil
}

// isLoopbackNet tells whether a route makes a whole net of addresses the node's own, such as 127.0.0.0/8. The kernel makes it with
// the loopback's address. NetworkManager takes it away when it changes the loopback, and when it rolls that back, and leaves the address.
func isLoopbackNet(r netlink.Route, link string) bool {
	if r.Table != unix.RT_TABLE_LOCAL || r.Type != unix.RTN_LOCAL || r.Dst == nil || link != loopback {
		return false
	}
	ones, bits := r.Dst.Mask.Size()
	return bits == 8*net.IPv4len && ones < bits
}

// attributesOf names what else a route has, such as its source and metrics, but for what
// another kernel, or the same one later, gives other numbers.
func attributesOf(r netlink.Route) string {
	return attributes(filled(r, map[string]any{
		"Src": addrOf(r.Src), "Via": viaOf(r.Via), "NewDst": labelsOf(r.NewDst), "Encap": encapOf(r.Encap),
		// These are elsewhere in a route's name, or change by themselves.
		"Dst": nil, "Gw": nil, "Table": nil, "Priority": nil, "Protocol": nil, "Type": nil, "MultiPath": nil,
		"Family": nil, "Flags": nil, "LinkIndex": nil, "ILinkIndex": nil,
	}))
}

// attributes writes the attributes that are set, in order.
func attributes(of map[string]any) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if value, err := json.Marshal(of[name]); err == nil && string(value) != "null" {
			text += " " + strings.ToLower(name) + " " + strings.Trim(string(value), `"`)
		}
	}
	return text
}

// hasRoute tells whether a route, or one of its next hops, goes over a link in the
// scope, or an entry of the state means it although it goes over no link.
func (s *snapshot) hasRoute(r netlink.Route, names map[int]string) bool {
	switch {
	case len(r.MultiPath) > 0:
		return slices.ContainsFunc(r.MultiPath, func(hop *netlink.NexthopInfo) bool {
			return s.scope.has(names[hop.LinkIndex])
		})
	case slices.Contains(nowhere, r.Type):
		return s.scope.hasNowhere(r)
	}
	return s.scope.has(names[r.LinkIndex])
}

func (s *snapshot) noteRules() error {
	if !s.scope.all && len(s.scope.rules) == 0 {
		return nil
	}
	rules, err := rtnetlink.Rules(netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("listing rules: %w", err)
	}
	for _, r := range rules {
		if !s.scope.hasRule(r) {
			continue
		}
		key := fmt.Sprintf("family %d %s iif %q oif %q mark %#x suppress %d type %d", r.Family, r, r.IifName, r.OifName, r.Mark, r.SuppressPrefixlen, r.Type)
		if r.Mask != nil {
			key += fmt.Sprintf(" mask %#x", *r.Mask)
		}
		s.rules[key] = notedRule{r}
	}
	return nil
}

// differences tells what undoing has to do to make now what it was, or has not achieved.
func (s *snapshot) differences(now *snapshot) []string {
	found := differing(s, now, "link", s.links, now.links)
	for _, name := range slices.Sorted(maps.Keys(s.links)) {
		if is, there := now.links[name]; there && !is.same(s.links[name]) {
			found = append(found, "link "+name+" is different")
		}
	}
	for _, title := range slices.Sorted(maps.Keys(s.addresses)) {
		if is, there := now.addresses[title]; there {
			found = append(found, s.addresses[title].differences(title, is)...)
		}
	}
	found = append(found, differing(s, now, "route", s.routes, now.routes)...)
	found = append(found, differing(s, now, "rule", s.rules, now.rules)...)
	found = append(found, differing(s, now, "neighbour", s.neighbours, now.neighbours)...)
	found = append(found, s.differingFiles(now)...)
	if s.hostname != now.hostname {
		found = append(found, "hostname "+now.hostname)
	}
	return found
}

// differing names the things that are to be put back, and those to be taken away.
func differing[T thing](s, now *snapshot, what string, before, after map[string]T) []string {
	var found []string
	for _, key := range slices.Sorted(maps.Keys(owed(s, now, before, after))) {
		found = append(found, what+" "+key+" is missing")
	}
	for _, key := range slices.Sorted(maps.Keys(surplus(before, after))) {
		found = append(found, what+" "+key+" is left")
	}
	return found
}
