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
	"maps"
	"slices"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// leaving is what leaves the desired state, and how it is taken away.
type leaving struct {
	*network
	was        *notes
	prev, next *meaning
	// interfaces are the entries that take it away, by key. gone has the interfaces that are removed, by key.
	interfaces map[string]map[string]any
	gone       map[string]*part
	// addedRoutes and addedRules are further entries, settings are further fields of sections.
	addedRoutes, addedRules []map[string]any
	settings                map[string]any
	// taken are the sections, such as ipv4, of interfaces from which addresses are taken.
	taken []map[string]any
	// names are what is taken away, for messages.
	names []string
}

// leave finds out what leaves.
func leave(n *network, was *notes, prev, next *meaning) *leaving {
	l := &leaving{network: n, was: was, prev: prev, next: next, interfaces: map[string]map[string]any{}, gone: map[string]*part{}}
	keys := slices.Sorted(maps.Keys(was.Interfaces))
	for _, key := range keys {
		l.remove(key)
	}
	for _, key := range keys {
		l.putBack(key, was.Interfaces[key])
	}
	l.addedRoutes = append(l.addedRoutes, l.withoutEntries(was.Routes, prev.routes, next.routes)...)
	l.addedRules = l.withoutEntries(was.Rules, prev.rules, next.rules)
	l.settings = settable("", less("", was.Settings, next.settings))
	l.names = append(l.names, paths("", l.settings)...)
	return l
}

// remove removes an interface that was not there before and that nothing makes any more.
func (l *leaving) remove(key string) {
	note, had, has := l.was.Interfaces[key], l.prev.interfaces[key], l.next.interfaces[key]
	if note.State != absent || had == nil || !had.makes || has != nil && (has.makes || has.whole) {
		return
	}
	is := l.current(had.name, key)
	if is == nil || isOther(is, had.kind) {
		return
	}
	l.gone[key] = had
	l.interfaces[key] = map[string]any{"name": had.name, "type": is["type"], "state": absent}
	l.names = append(l.names, "interface "+had.name)
}

// putBack gives the fields of an interface back that the desired state does not mean any more.
func (l *leaving) putBack(key string, note *interfaceNote) {
	has := l.next.interfaces[key]
	if note.State == absent || has != nil && has.whole || l.next.keeps(note) {
		return
	}
	name := nameOf(key, note)
	is := l.current(name, key)
	had := l.prev.interfaces[key]
	if !note.Whole && (is == nil || isOther(is, note.Type) && (had == nil || isOther(is, had.kind))) {
		return // others have removed it
	}
	if has == nil && note.Bare {
		// NetworkManager does not use it any more, and forgets its profile.
		l.interfaces[key] = map[string]any{"name": name, "type": is["type"], "state": absent}
		l.names = append(l.names, "interface "+name)
		return
	}
	left, title := note.Fields, "interface "+name
	if has != nil {
		left = less("", note.Fields, has.fields)
	}
	fields := settable("", left)
	if len(fields) == 0 {
		return
	}
	if has != nil {
		for _, path := range paths("", fields) {
			l.names = append(l.names, path+" of "+title)
		}
	} else {
		l.names = append(l.names, title)
	}
	l.putPortsBack(key, name, fields)
	l.putAddressesBack(key, is, fields)
	if list := tree.Object(fields["alt-names"]); list != nil {
		fields["alt-names"] = asList(list, "name")
	}
	fields["name"], fields["type"] = name, note.Type
	switch {
	case fields["state"] == "ignore": // NetworkManager left it alone, and has been made to use it
		fields["state"] = "up"
	case fields["state"] == nil && is != nil:
		fields["state"] = is["state"]
	}
	l.interfaces[key] = fields
	if (&part{fields: left}).losesRoutes() && tree.StringAt(fields, "controller") == "" {
		l.putRoutesBack(note)
	}
}

// isOther tells whether an interface is of another type than the one that had its name: others have removed that one, and made this one.
func isOther(is map[string]any, kind string) bool {
	now := tree.StringAt(is, "type")
	if isHardware(now) && isHardware(kind) {
		return false // an end of a veth is an ethernet, too
	}
	return now != kind && !slices.Contains([]string{now, kind}, "") && !slices.Contains([]string{now, kind}, "unknown")
}

// putRoutesBack adds the routes over an interface that it can have lost. Those that are there are added, too: they can get lost while the
// interface changes.
func (l *leaving) putRoutesBack(note *interfaceNote) {
	for _, route := range note.Routes {
		if !l.next.routes.wants(route) && !l.next.routes.forbids(route) {
			l.addedRoutes = append(l.addedRoutes, route)
		}
	}
}

// nameOf returns the kernel's name of an interface.
func nameOf(key string, note *interfaceNote) string {
	if tree.InUserspace(note.Type) {
		return key[:len(key)-len(note.Type)-1]
	}
	return key
}

// putPortsBack corrects what was noted of an interface's ports, and of the one whose port it was, by what there is now.
func (l *leaving) putPortsBack(key, name string, fields map[string]any) {
	if controller := tree.StringAt(fields, "controller"); controller != "" && !l.takes(controller, name) {
		fields["controller"] = ""
	}
	var brought map[string]any
	if had := l.prev.interfaces[key]; had != nil {
		brought = had.fields
	}
	for section, value := range fields {
		was, given := tree.Object(value)["port"].([]any)
		if !given {
			continue
		}
		is := tree.List(tree.Object(l.current(name, key)[section]), "port")
		wanted := tree.ListedPorts(tree.Object(brought[section]))
		var ports []any
		for _, port := range slices.Concat(was, is) {
			// What others have made its ports since stays.
			isOne := tree.ListedPorts(map[string]any{"port": []any{port}})
			before := slices.Equal(isOne, commonPorts(isOne, was))
			if !before && slices.ContainsFunc(isOne, func(one string) bool { return slices.Contains(wanted, one) }) {
				continue
			}
			if len(commonPorts(isOne, ports)) == 0 && !slices.ContainsFunc(isOne, l.isMissing) {
				ports = append(ports, port)
			}
		}
		if ports == nil {
			ports = []any{}
		}
		fields[section] = fill("", map[string]any{"port": ports}, tree.Object(value))
	}
}

// putAddressesBack notes the sections that have lost an address to be taken away.
func (l *leaving) putAddressesBack(key string, is, fields map[string]any) {
	had := l.prev.interfaces[key]
	if had == nil {
		return
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		section := maps.Clone(tree.Object(fields[family]))
		there := tree.List(tree.Object(is[family]), "address")
		for _, brought := range tree.List(tree.Object(had.fields[family]), "address") {
			if section["address"] != nil && hasAddress(there, brought) && !hasAddress(tree.List(section, "address"), brought) {
				fields[family] = section
				l.taken = append(l.taken, section)
				break
			}
		}
	}
}

func hasAddress(list []any, one any) bool {
	wanted := tree.Object(one)
	return slices.ContainsFunc(list, func(item any) bool {
		is := tree.Object(item)
		return tree.SameValue(is["ip"], wanted["ip"]) && tree.SameValue(is["prefix-length"], wanted["prefix-length"])
	})
}

// commonPorts returns those of some ports that a list has.
func commonPorts(names []string, list []any) []string {
	has := tree.ListedPorts(map[string]any{"port": list})
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(has, name) })
}

// isMissing tells whether an interface will not be there.
func (l *leaving) isMissing(name string) bool { return !l.willBe(name, name) }

// willBe tells whether an interface is there and stays, or is put back.
func (l *leaving) willBe(name, key string) bool {
	note := l.was.Interfaces[key]
	return l.gone[key] == nil && (l.current(name, key) != nil ||
		note != nil && note.Whole && l.next.interfaces[key] == nil && !l.next.keeps(note))
}

// takes tells whether an interface can have a port given back: it is there, and the desired state does not give it other ports.
func (l *leaving) takes(controller, port string) bool {
	for _, key := range []string{controller, keyOf(controller, "ovs-bridge")} {
		p := l.next.interfaces[key]
		if !l.willBe(controller, key) {
			continue
		}
		if p == nil || !p.whole && (len(tree.PortsOf(p.fields)) == 0 || slices.Contains(tree.PortsOf(p.fields), port)) {
			return true
		}
	}
	return false
}

// withoutEntries returns the routes, or rules, that take away what leaves.
func (l *leaving) withoutEntries(was []entryNote, prev, next *entries) []map[string]any {
	noted := byEntry(was)
	var result []map[string]any
	for _, e := range prev.list {
		note, is := noted[e.key]
		if !is || next.keys[e.key] {
			continue
		}
		var found []map[string]any
		if e.isAbsent() {
			found = l.restored(note.Before, next)
		} else if len(note.Before) == 0 {
			found = l.removed(e, next)
		}
		if len(found) > 0 {
			l.names = append(l.names, prev.named(e.fields))
		}
		result = append(result, found...)
	}
	return result
}

// restored returns what an entry has removed that left, as far as it is not there again.
func (l *leaving) restored(before []map[string]any, next *entries) []map[string]any {
	there := l.entries(next.kind)
	return slices.DeleteFunc(slices.Clone(before), func(one map[string]any) bool {
		return len(there.meant(entry{fields: one, named: one})) > 0 || next.forbids(one) || next.wants(one)
	})
}

// removed returns what removes what an entry has brought that left.
func (l *leaving) removed(e entry, next *entries) []map[string]any {
	var result []map[string]any
	there := l.entries(next.kind)
	for _, is := range there.meant(e) {
		if next.wants(is) || l.gone[tree.StringAt(is, "next-hop-interface")] != nil {
			continue
		}
		result = append(result, fill("", map[string]any{"state": absent}, is))
		// nmstate does not look at the metric of a route that is to be absent: others stay only if they are wanted.
		for _, other := range there.near(is) {
			if next.means(is, other.fields, true) && !next.means(e.named, other.fields, false) {
				result = append(result, other.fields)
			}
		}
	}
	return result
}
