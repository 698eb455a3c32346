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

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// snapshot is the network as the kernel has it, in what an apply can change:
// each thing under a name that tells it from all others.
type snapshot struct {
	scope scope
	// full is the network in nmstate's format, with its secrets, to make links
	// again from.
	full  []byte
	links map[string]link
	// indexes are the kernel's of the links: one that was made again has another.
	indexes map[string]int
	// disturbed are the links that lost something after the snapshot was taken; see disturbances.
	disturbed map[string]bool
	// pods are veths whose other ends are in other namespaces, and which the state
	// does not mean: ports of a bridge, say. They end with their pods.
	pods      map[string]bool
	addresses map[string]addresses
	routes    map[string]route
	rules     map[string]netlink.Rule
	// files are the texts of those that are there.
	files    map[string]string
	hostname string
}

// link is one link, in what a failed apply may have left different.
type link struct {
	kind   string
	up     bool
	mtu    int
	mac    string
	master string
	// aliases are the alternative names, sorted.
	aliases string
}

// route is one route and the links that it and its next hops go over, by name: a
// link that was made again has another index.
type route struct {
	netlink.Route
	link string
	hops []string
	// others tells that it goes over links that are out of the scope: the apply
	// can have taken it away, and cannot have made it.
	others bool
	// daemons tells that a routing daemon has made it, which takes its routes away
	// when it likes.
	daemons bool
}

// configured are the protocols of routes that nmstate, NetworkManager or somebody
// by hand has made; all others are those of routing daemons, see rtnetlink(7).
var configured = []netlink.RouteProtocol{unix.RTPROT_UNSPEC, unix.RTPROT_BOOT, unix.RTPROT_STATIC, unix.RTPROT_DHCP}

// takeSnapshot notes what is in the scope of the network as it is; full is the
// same in nmstate's format.
func takeSnapshot(in scope, full []byte) (*snapshot, error) {
	s := &snapshot{
		scope:     in,
		full:      full,
		links:     map[string]link{},
		indexes:   map[string]int{},
		pods:      map[string]bool{},
		addresses: map[string]addresses{},
		routes:    map[string]route{},
		rules:     map[string]netlink.Rule{},
		files:     map[string]string{},
	}
	links, err := dump(netlink.LinkList)
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
		s.indexes[a.Name] = a.Index
		s.pods[a.Name] = l.Type() == "veth" && a.NetNsID >= 0 && !in.all && !in.meant[a.Name]
		s.links[a.Name] = link{
			kind: l.Type(), up: a.Flags&unix.IFF_UP != 0, mtu: a.MTU,
			mac: a.HardwareAddr.String(), master: names[a.MasterIndex],
			aliases: strings.Join(slices.Sorted(slices.Values(a.AltNames)), " "),
		}
	}
	if err := errors.Join(s.noteAddresses(links), s.noteRoutes(names), s.noteRules(), s.noteFiles()); err != nil {
		return nil, err
	}
	if in.hostname {
		s.hostname, err = os.Hostname()
		return s, err
	}
	return s, nil
}

// nowhere are the types of routes that are over no link, although IPv6's have the loopback.
var nowhere = []int{unix.RTN_BLACKHOLE, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT}

// dumpTries is how often a list is asked for that others change all the while.
const dumpTries = 100

// dump returns what list does, asked again while the kernel says that something
// changed in the midst of its answer (NLM_F_DUMP_INTR).
func dump[T any](list func() ([]T, error)) ([]T, error) {
	for range dumpTries - 1 {
		if found, err := list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return found, err
		}
	}
	return list()
}

// noteRoutes notes the routes that somebody has set: not those that the kernel
// or a router's advertisement makes.
func (s *snapshot) noteRoutes(names map[int]string) error {
	all := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	routes, err := dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_ALL, all, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return fmt.Errorf("listing routes: %w", err)
	}
	for _, r := range routes {
		if r.Table == unix.RT_TABLE_LOCAL || r.Protocol == unix.RTPROT_KERNEL || r.Protocol == unix.RTPROT_RA {
			continue
		}
		mine := s.hasRoute(r, names)
		if !mine && !s.scope.takesAway(r) {
			continue
		}
		key := fmt.Sprintf("%s via %s dev %s table %d metric %d proto %d type %d",
			r.Dst, r.Gw, names[r.LinkIndex], r.Table, r.Priority, r.Protocol, r.Type)
		noted := route{Route: r, link: names[r.LinkIndex], others: !mine, daemons: !slices.Contains(configured, r.Protocol)}
		for _, hop := range r.MultiPath {
			noted.hops = append(noted.hops, names[hop.LinkIndex])
			key += fmt.Sprintf(" nexthop %s dev %s weight %d", hop.Gw, names[hop.LinkIndex], hop.Hops)
		}
		s.routes[key] = noted
	}
	return nil
}

// hasRoute tells whether a route, or one of its next hops, goes over a link in the scope.
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
	rules, err := dump(func() ([]netlink.Rule, error) { return netlink.RuleList(netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("listing rules: %w", err)
	}
	for _, r := range rules {
		if !s.scope.hasRule(r) {
			continue
		}
		key := fmt.Sprintf("family %d %s iif %q oif %q mark %#x suppress %d", r.Family, r, r.IifName, r.OifName, r.Mark, r.SuppressPrefixlen)
		if r.Mask != nil {
			key += fmt.Sprintf(" mask %#x", *r.Mask)
		}
		s.rules[key] = r
	}
	return nil
}

func (s *snapshot) noteFiles() error {
	for _, name := range s.scope.files {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		s.files[name] = string(text)
	}
	return nil
}

// differences tells what is there now and was not, or the other way round.
func (s *snapshot) differences(now *snapshot) []string {
	var found []string
	found = append(found, differing("link", s.lasting(now), now.links, func(a, b link) bool { return a == b })...)
	for _, title := range slices.Sorted(maps.Keys(s.addresses)) {
		if is, there := now.addresses[title]; there {
			found = append(found, s.addresses[title].differences(title, is)...)
		}
	}
	found = append(found, differing("route", s.due(now), s.owned(now.routes), nil)...)
	found = append(found, differing("rule", s.rules, now.rules, nil)...)
	found = append(found, differing("file", s.texts(), now.texts(), func(a, b string) bool { return a == b })...)
	if s.hostname != now.hostname {
		found = append(found, "hostname "+now.hostname)
	}
	return found
}

// lasting are the links, without pods' that are gone.
func (s *snapshot) lasting(now *snapshot) map[string]link {
	links := maps.Clone(s.links)
	maps.DeleteFunc(links, func(name string, _ link) bool {
		_, is := now.links[name]
		return s.pods[name] && !is
	})
	return links
}

// owned leaves out the routes that the apply cannot have made.
func (s *snapshot) owned(routes map[string]route) map[string]route {
	owned := maps.Clone(routes)
	maps.DeleteFunc(owned, func(key string, r route) bool {
		_, was := s.routes[key]
		return !was && (r.others || r.daemons)
	})
	return owned
}

// disturbances returns the links that have lost what makes the kernel flush their
// routes, whoever has made these: that they were up, an address, their place in a
// controller such as a VRF, themselves.
func (s *snapshot) disturbances(now *snapshot) map[string]bool {
	disturbed := map[string]bool{}
	for name, was := range s.links {
		is := now.links[name]
		disturbed[name] = now.indexes[name] != s.indexes[name] || was.up && !is.up || was.master != is.master
	}
	for title, was := range s.addresses {
		is := now.addresses[title].keys()
		lost := slices.ContainsFunc(was.keys(), func(key string) bool { return !slices.Contains(is, key) })
		disturbed[was.link] = disturbed[was.link] || lost
	}
	return disturbed
}

// due leaves out the routes that the apply cannot have taken away: those of
// daemons over links that it has not disturbed. And those over pods' links that
// are gone.
func (s *snapshot) due(now *snapshot) map[string]route {
	due := maps.Clone(s.routes)
	maps.DeleteFunc(due, func(key string, r route) bool {
		if _, is := now.routes[key]; is {
			return false
		}
		disturbed, ended := false, false
		for _, name := range slices.Concat(r.hops, []string{r.link}) {
			_, is := now.links[name]
			disturbed = disturbed || s.disturbed[name]
			ended = ended || s.pods[name] && !is
		}
		return ended || r.daemons && !disturbed
	})
	return due
}

// texts are the files by their meaning: NetworkManager has its own comments and
// ends of lines in what it writes.
func (s *snapshot) texts() map[string]string {
	if !s.scope.managed {
		return s.files
	}
	texts := map[string]string{}
	for name, text := range s.files {
		var lines []string
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
		texts[name] = strings.Join(lines, "\n")
	}
	for _, name := range s.scope.files {
		if texts[name] == "" { // no file means no more than an empty one
			delete(texts, name)
		}
	}
	return texts
}

// differing names what one map has and the other has not, or has otherwise.
func differing[T any](what string, before, now map[string]T, same func(a, b T) bool) []string {
	var found []string
	for _, key := range slices.Sorted(maps.Keys(before)) {
		other, there := now[key]
		switch {
		case !there:
			found = append(found, what+" "+key+" is missing")
		case same != nil && !same(before[key], other):
			found = append(found, what+" "+key+" is different")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if _, there := before[key]; !there {
			found = append(found, what+" "+key+" is left")
		}
	}
	return found
}
