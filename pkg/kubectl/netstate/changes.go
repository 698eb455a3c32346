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

package netstate

import (
	"maps"
	"slices"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// Kind is what a change is about.
type Kind string

// The kinds of what changes in a state.
const (
	KindInterface Kind = "interface"
	KindAddress   Kind = "address"
	KindRoute     Kind = "route"
	KindRule      Kind = "rule"
	KindDNS       Kind = "dns"
	KindHostname  Kind = "hostname"
	// KindOther is any other section of a state; the name of the change begins with the section's.
	KindOther Kind = "other"
)

// Change is one thing that differs between two states.
type Change struct {
	Kind Kind `json:"kind"`
	// Name is the interface's name, the route or the rule in ip(8)'s words, or a section of the state. It is empty for DNS and hostname.
	Name string `json:"name,omitempty"`
	// Field is the path of the field within what Name names; empty if the whole came or went.
	Field string `json:"field,omitempty"`
	// Before and After are the values; empty if there is none.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Changes tells what differs from one state to a later one, in an order that depends on the states alone.
func Changes(before, after map[string]any) []Change {
	changes := interfaceChanges(before, after)
	changes = append(changes, entryChanges(KindRoute, running(before), running(after), routeText)...)
	changes = append(changes, entryChanges(KindRule, rulesOf(before), rulesOf(after), ruleText)...)
	changes = append(changes, fieldChanges(KindDNS, "", runningOf(before, "dns-resolver"), runningOf(after, "dns-resolver"))...)
	changes = append(changes, fieldChanges(KindHostname, "", runningOf(before, "hostname"), runningOf(after, "hostname"))...)
	return append(changes, fieldChanges(KindOther, "", rest(before), rest(after))...)
}

func running(state map[string]any) []any {
	return tree.List(tree.Object(state["routes"]), "running")
}

func rulesOf(state map[string]any) []any {
	return tree.List(tree.Object(state["route-rules"]), "config")
}

// runningOf returns what is in effect of a section, under the name "" if it is a single value.
func runningOf(state map[string]any, section string) map[string]any {
	value := tree.Object(state[section])["running"]
	if fields := tree.Object(value); fields != nil {
		return fields
	}
	return map[string]any{"": value}
}

// rest returns the sections that Changes does not know by name.
func rest(state map[string]any) map[string]any {
	rest := maps.Clone(state)
	for _, known := range []string{"interfaces", "routes", "route-rules", "dns-resolver", "hostname"} {
		delete(rest, known)
	}
	return rest
}

// interfaceKey tells interfaces apart: a bridge of Open vSwitch may have a port of its own name.
type interfaceKey struct{ name, kind string }

func byKey(state map[string]any) map[interfaceKey]map[string]any {
	all := map[interfaceKey]map[string]any{}
	for _, item := range tree.List(state, "interfaces") {
		fields := tree.Object(item)
		all[interfaceKey{tree.StringAt(fields, "name"), tree.StringAt(fields, "type")}] = fields
	}
	return all
}

func interfaceChanges(before, after map[string]any) []Change {
	old, now := byKey(before), byKey(after)
	keys := slices.Collect(maps.Keys(old))
	for key := range now {
		if old[key] == nil {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b interfaceKey) int { return strings.Compare(a.name+"\x00"+a.kind, b.name+"\x00"+b.kind) })
	var changes []Change
	for _, key := range keys {
		was, is := old[key], now[key]
		switch {
		case was == nil:
			changes = append(changes, Change{Kind: KindInterface, Name: key.name, After: summary(is)})
		case is == nil:
			changes = append(changes, Change{Kind: KindInterface, Name: key.name, Before: summary(was)})
		default:
			changes = append(changes, fieldChanges(KindInterface, key.name, withoutAddresses(was), withoutAddresses(is))...)
		}
		changes = append(changes, addressChanges(key.name, was, is)...)
	}
	return changes
}

// summary is an interface in a few words.
func summary(iface map[string]any) string {
	words := []string{tree.StringAt(iface, "type"), tree.StringAt(iface, "state")}
	if mtu := textAt(iface, "mtu"); mtu != "" {
		words = append(words, "mtu "+mtu)
	}
	if links := topology(iface); links != "" {
		words = append(words, links)
	}
	return strings.Join(words, ", ")
}

func withoutAddresses(iface map[string]any) map[string]any {
	fields := maps.Clone(iface)
	for _, family := range []string{"ipv4", "ipv6"} {
		if ip := tree.Object(fields[family]); ip != nil {
			ip = maps.Clone(ip)
			delete(ip, "address")
			fields[family] = ip
		}
	}
	return fields
}

func addressChanges(iface string, before, after map[string]any) []Change {
	texts := func(fields map[string]any) []string {
		var all []string
		for _, address := range addresses(fields) {
			text := tree.CIDR(address)
			if tree.IsDynamic(address) {
				text += " (dynamic)"
			}
			all = append(all, text)
		}
		return all
	}
	return setChanges(texts(before), texts(after), func(text string, came bool) Change {
		change := Change{Kind: KindAddress, Name: iface}
		if came {
			change.After = text
		} else {
			change.Before = text
		}
		return change
	})
}

// entryChanges compares lists whose entries have no names.
func entryChanges(kind Kind, before, after []any, text func(map[string]any) string) []Change {
	texts := func(list []any) []string {
		var all []string
		for _, item := range list {
			all = append(all, text(tree.Object(item)))
		}
		return all
	}
	return setChanges(texts(before), texts(after), func(text string, came bool) Change {
		change := Change{Kind: kind, Name: text}
		if came {
			change.After = "present"
		} else {
			change.Before = "present"
		}
		return change
	})
}

// setChanges tells what has gone, and then what has come.
func setChanges(before, after []string, change func(text string, came bool) Change) []Change {
	var changes []Change
	for _, text := range before {
		if !slices.Contains(after, text) {
			changes = append(changes, change(text, false))
		}
	}
	for _, text := range after {
		if !slices.Contains(before, text) {
			changes = append(changes, change(text, true))
		}
	}
	return changes
}

// fieldChanges compares two objects field by field.
func fieldChanges(kind Kind, name string, before, after map[string]any) []Change {
	old, now := map[string]string{}, map[string]string{}
	flatten("", before, old)
	flatten("", after, now)
	paths := slices.Collect(maps.Keys(old))
	for path := range now {
		if _, both := old[path]; !both {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	var changes []Change
	for _, path := range paths {
		if old[path] != now[path] {
			changes = append(changes, Change{Kind: kind, Name: name, Field: path, Before: old[path], After: now[path]})
		}
	}
	return changes
}

// flatten writes each value of an object to flat, by its path. A list of objects with names has a path for each name;
// any other list is one value.
func flatten(path string, value any, flat map[string]string) {
	switch value := value.(type) {
	case nil:
	case map[string]any:
		for key, inner := range value {
			flatten(strings.TrimPrefix(path+"."+key, "."), inner, flat)
		}
	case []any:
		if named := byName(value); named != nil {
			for name, inner := range named {
				flat[path+"["+name+"]"] = "present"
				rest := maps.Clone(inner)
				delete(rest, "name")
				flatten(path+"["+name+"]", rest, flat)
			}
			return
		}
		flat[path] = strings.Join(texts(value), ",")
	default:
		flat[path] = tree.Text(value)
	}
}

// byName returns the objects of a list by their names, nil if some item has none or two have the same.
func byName(list []any) map[string]map[string]any {
	named := map[string]map[string]any{}
	for _, item := range list {
		fields := tree.Object(item)
		name := tree.StringAt(fields, "name")
		if name == "" || named[name] != nil {
			return nil
		}
		named[name] = fields
	}
	if len(named) == 0 {
		return nil
	}
	return named
}
