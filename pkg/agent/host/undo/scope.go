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
	"maps"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// scope is the part of the network that an apply may change, and that undoing may
// have to put back. The rest belongs to others, such as pods, whose links come and
// go meanwhile: undoing leaves it alone.
type scope struct {
	// all means everything, links that are not named included.
	all bool
	// links are the links that the state means, and those that depend on them.
	// meant are only the links that it means.
	links, meant map[string]bool
	// routes and rules are the state's entries. absentRoutes are the entries that
	// remove routes over any link. What matches no entry belongs to others.
	routes, rules, absentRoutes []map[string]any
	// dns and hostname tell whether the state has such a section.
	dns, hostname bool
	// drivers tells whether the state says something of what drivers have.
	drivers bool
	// files are those that the apply may write.
	files []string
	// managed tells that NetworkManager keeps DNS, and writes ResolvConf.
	managed bool
	// foreign are the links among them that others have configured where NetworkManager carries changes out: it sets
	// settings of a link that it takes over, and does not put them back.
	foreign map[string]bool
}

// everything returns the scope of a whole network.
func everything() scope {
	return scope{
		all: true, links: map[string]bool{}, meant: map[string]bool{},
		dns: true, hostname: true, files: []string{ResolvConf, HostnameFile},
	}
}

// has tells whether a link is in the scope.
func (s scope) has(link string) bool { return s.all || s.links[link] }

// hasRule tells whether a rule is in the scope.
func (s scope) hasRule(r netlink.Rule) bool {
	return s.all || slices.ContainsFunc(s.rules, func(entry map[string]any) bool { return matchesRule(entry, r) })
}

// hasNowhere tells whether a route that is over no link, such as a blackhole, is
// in the scope.
func (s scope) hasNowhere(r netlink.Route) bool {
	return s.all || slices.ContainsFunc(s.routes, func(entry map[string]any) bool { return matchesNowhere(entry, r) })
}

// takesAway tells whether the state may remove this route, whatever link it is over.
func (s scope) takesAway(r netlink.Route) bool {
	return slices.ContainsFunc(s.absentRoutes, func(entry map[string]any) bool { return matchesRoute(entry, r) })
}

// references are the fields in which an interface, or a route, names others.
var references = []string{"name", "peer", "controller", "base-iface", "next-hop-interface", "vrf-name", "port1", "port2"}

// scopeOf returns the scope of the desired state on a network that is full; managed tells
// that NetworkManager carries the change out.
func scopeOf(desired, full []byte, managed bool) (scope, error) {
	wanted, err := tree.Decode(desired)
	if err != nil {
		return scope{}, err
	}
	there, err := tree.Decode(full)
	if err != nil {
		return scope{}, err
	}
	s := scope{links: map[string]bool{}, managed: managed}
	for _, section := range []string{"interfaces", "routes"} {
		s.name(wanted[section])
	}
	s.drivers = slices.ContainsFunc(tree.List(wanted, "interfaces"), func(item any) bool { return tree.Object(item)["ethtool"] != nil })
	s.routes = entries(wanted, "routes")
	s.absentRoutes = overAnyLink(s.routes)
	s.rules = entries(wanted, "route-rules")
	s.resolve(tree.List(wanted, "interfaces"), tree.List(there, "interfaces"))
	if managed && slices.ContainsFunc(s.routes, func(entry map[string]any) bool { return entry["next-hop-interface"] == nil }) {
		s.links[loopback] = true
	}
	s.meant = maps.Clone(s.links)
	s.hangOn(tree.List(there, "interfaces"))
	s.noteFiles(wanted)
	return s, nil
}

// loopback is the link in whose profile of NetworkManager nmstate keeps routes that are over no link.
const loopback = "lo"

// overAnyLink returns the entries that remove routes over any link.
func overAnyLink(routes []map[string]any) []map[string]any {
	var found []map[string]any
	for _, entry := range routes {
		if entry["state"] == "absent" && entry["next-hop-interface"] == nil {
			found = append(found, entry)
		}
	}
	return found
}

// entries returns the entries of routes or rules.
func entries(root map[string]any, section string) []map[string]any {
	fields, _ := root[section].(map[string]any)
	var found []map[string]any
	for _, item := range tree.List(fields, "config") {
		if entry, ok := item.(map[string]any); ok {
			found = append(found, entry)
		}
	}
	return found
}

// name adds every interface that something in node names, ports as texts included.
func (s scope) name(node any) {
	switch node := node.(type) {
	case map[string]any:
		for _, key := range references {
			if link, ok := node[key].(string); ok && link != "" {
				s.links[link] = true
			}
		}
		for _, key := range []string{"port", "ports"} {
			for _, port := range tree.List(node, key) {
				if link, ok := port.(string); ok {
					s.links[link] = true
				}
			}
		}
		for _, child := range node {
			s.name(child)
		}
	case []any:
		for _, child := range node {
			s.name(child)
		}
	}
}

// resolve adds the interfaces that are meant by something else than their name:
// an alternative name, a profile's name, a MAC or PCI address.
func (s scope) resolve(wanted, there []any) {
	for _, item := range there {
		is, _ := item.(map[string]any)
		name, _ := is["name"].(string)
		meant := s.links[tree.StringAt(is, "profile-name")]
		for _, alias := range tree.List(is, "alt-names") {
			fields, _ := alias.(map[string]any)
			meant = meant || s.links[tree.StringAt(fields, "name")]
		}
		for _, other := range wanted {
			fields, _ := other.(map[string]any)
			meant = meant || tree.Identifies(fields, is)
		}
		if meant && name != "" {
			s.links[name] = true
		}
	}
}

// hangOn adds the interfaces that depend on one in the scope: an interface in the
// scope names them, or they name it.
func (s scope) hangOn(interfaces []any) {
	for grown := true; grown; {
		grown = false
		for _, item := range interfaces {
			mine := scope{links: map[string]bool{}}
			mine.name(item)
			touched := false
			for link := range mine.links {
				touched = touched || s.links[link]
			}
			for link := range mine.links {
				if touched && !s.links[link] {
					s.links[link], grown = true, true
				}
			}
		}
	}
}
