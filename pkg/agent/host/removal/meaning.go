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
	"slices"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// network is the network before a change.
type network struct {
	state map[string]any
	tree.Index
	routes, rules *entries
}

// newNetwork returns the network of a state as it is shown.
func newNetwork(state map[string]any) *network {
	return &network{
		state: state, Index: tree.NewIndex(state), routes: currentEntries(state, routeKind), rules: currentEntries(state, ruleKind),
	}
}

// entries returns the routes, or the rules, that are there.
func (n *network) entries(of *kind) *entries {
	if of == routeKind {
		return n.routes
	}
	return n.rules
}

// meaning is what a desired state means of the network.
type meaning struct {
	// interfaces are those that it means, by key.
	interfaces map[string]*part
	// routes and rules are its entries.
	routes, rules *entries
	// settings are the sections that have fields, and no entries.
	settings map[string]any
}

// part is what a desired state means of one interface.
type part struct {
	// name is the kernel's. kind is the type that the desired state gives, or else the one that is there.
	name, kind string
	// entry is the name in the entry that is about the interface, "" if there is none: another entry means it, as its port, say.
	entry string
	// fields are those that it means, with what is wanted of them.
	fields map[string]any
	// whole tells that all fields are meant: the interface is to be absent, or goes with one that is.
	whole bool
	// with is the key of the interface with which this one goes, "" if there is none.
	with string
	// makes tells that the interface is to be there.
	makes bool
}

// keyOf returns the key of an interface. Open vSwitch has bridges with the names of interfaces that the kernel knows.
func keyOf(name string, kind any) string {
	if tree.InUserspace(kind) {
		return name + " " + tree.Text(kind)
	}
	return name
}

// read returns what a desired state means; nothing if there is none. The error is nmstate's, if nmstate does not read the state.
func (n *network) read(state []byte) (*meaning, error) {
	if len(state) == 0 {
		return n.meaning(nil), nil
	}
	root, err := tree.Decode(state)
	if err != nil {
		return nil, err
	}
	for _, item := range tree.List(root, "interfaces") {
		// nmstate gives fields their own names only in an interface whose type it knows.
		fields := tree.Object(item)
		if is := n.Find(fields["name"], fields["type"]); is != nil && (fields["type"] == nil || fields["type"] == "unknown") {
			fields["type"] = is["type"]
		}
	}
	typed, err := tree.Encode(root)
	if err != nil {
		return nil, err
	}
	formatted, err := nmstate.FormatNetState(typed)
	if err != nil {
		return nil, err
	}
	if root, err = tree.Decode(formatted); err != nil {
		return nil, err
	}
	return n.meaning(root), nil
}

// meaning returns what a desired state means that is in nmstate's own notation.
func (n *network) meaning(root map[string]any) *meaning {
	m := &meaning{interfaces: map[string]*part{}}
	names := n.names(root)
	for _, item := range tree.List(root, "interfaces") {
		m.mean(n, tree.Object(item), names)
	}
	for _, item := range tree.List(root, "interfaces") {
		m.imply(n, tree.Object(item), names)
	}
	m.routes, m.rules = n.desiredEntries(root, routeKind, names), n.desiredEntries(root, ruleKind, names)
	m.settings = settings(root)
	return m
}

// names returns a function that gives the kernel's name of what a state calls an interface.
func (n *network) names(root map[string]any) func(string) string {
	identified := map[string]string{}
	for _, item := range tree.List(root, "interfaces") {
		wanted := tree.Object(item)
		if id := tree.StringAt(wanted, "identifier"); id == "" || id == "name" {
			continue
		}
		at := slices.IndexFunc(tree.List(n.state, "interfaces"), func(is any) bool { return tree.Identifies(wanted, tree.Object(is)) })
		if at >= 0 {
			identified[tree.StringAt(wanted, "name")] = tree.StringAt(tree.Object(tree.List(n.state, "interfaces")[at]), "name")
		}
	}
	return func(name string) string {
		if found, is := identified[name]; is {
			return found
		}
		if is := n.Find(name, nil); is != nil {
			return tree.StringAt(is, "name")
		}
		return name
	}
}

// part returns the part of an interface, a new one if there is none.
func (m *meaning) part(name string, kind any) *part {
	key := keyOf(name, kind)
	if m.interfaces[key] == nil {
		m.interfaces[key] = &part{name: name, fields: map[string]any{}}
	}
	return m.interfaces[key]
}

// current returns an interface that is there, nil if it is not.
func (n *network) current(name, key string) map[string]any {
	if kind, isOthers := strings.CutPrefix(key, name+" "); isOthers {
		return n.Find(name, kind)
	}
	return n.Find(name, "ethernet") // any that the kernel knows
}

// mean adds what an entry says of its own interface.
func (m *meaning) mean(n *network, fields map[string]any, names func(string) string) {
	state := tree.StringAt(fields, "state")
	if state == "ignore" || state == "unknown" {
		return
	}
	name := tree.StringAt(fields, "name")
	p := m.part(names(name), fields["type"])
	p.entry = name
	if p.kind = tree.StringAt(fields, "type"); p.kind == "unknown" {
		p.kind = tree.StringAt(n.Find(p.name, nil), "type")
	}
	if state == "absent" {
		p.whole = true
		return
	}
	p.makes = true
	wanted := writable(fields)
	if id := tree.StringAt(fields, "identifier"); id != "" {
		delete(wanted, id) // it finds the interface
	}
	p.fields = fill("", p.fields, wanted)
	if tree.StringAt(fields, "controller") != "" {
		p.becomesPort()
	}
}

// portFields are the fields that an interface loses when it becomes a port.
var portFields = []string{"state", "controller", "ipv4", "ipv6"}

func (p *part) becomesPort() {
	for _, field := range portFields {
		if p.fields[field] == nil {
			p.fields[field] = "" // only the name counts
		}
	}
}

// imply adds what an entry means of other interfaces.
func (m *meaning) imply(n *network, fields map[string]any, names func(string) string) {
	switch tree.StringAt(fields, "state") {
	case "up":
		for _, port := range tree.PortsOf(fields) {
			p := m.part(names(port), nil)
			p.becomesPort()
			if fields["type"] == "ovs-bridge" && n.Find(p.name, "ovs-interface") == nil {
				p.makes, p.kind = true, "ovs-interface"
			}
		}
		if peer := tree.StringAt(tree.Object(fields["veth"]), "peer"); peer != "" {
			m.part(names(peer), nil).makes = true
		}
	case "absent":
		m.goesWith(n, names(tree.StringAt(fields, "name")), fields["type"])
	}
}

// goesWith adds what goes with an interface that is to be absent: what stands on it, its other end, and that others are its ports.
func (m *meaning) goesWith(n *network, name string, kind any) {
	if tree.InUserspace(kind) {
		return
	}
	for _, item := range tree.List(n.state, "interfaces") {
		is := tree.Object(item)
		other := tree.StringAt(is, "name")
		if other == name || tree.InUserspace(is["type"]) {
			continue
		}
		ends := tree.BaseOf(is) == name || tree.Object(is["veth"])["peer"] == name
		switch _, isMeant := m.interfaces[other]; {
		case is["controller"] == name:
			p := m.part(other, nil)
			p.becomesPort()
			if p.entry == "" {
				p.with = keyOf(name, kind)
			}
		case ends && !isMeant:
			p := m.part(other, nil)
			p.whole, p.with = true, keyOf(name, kind)
			m.goesWith(n, other, is["type"])
		}
	}
}

// shownOnly are the fields that nmstate shows and does not set, or that say which interface is meant.
var shownOnly = []string{"name", "type", "identifier", "driver", "min-mtu", "max-mtu", "permanent-mac-address", "copy-mac-from"}

// writable returns the fields of an interface that can be put back. Of its addresses these are the ones that somebody has
// configured: leases and the kernel's own come and go by themselves.
func writable(fields map[string]any) map[string]any {
	result := map[string]any{}
	for name, value := range fields {
		section := tree.Object(value)
		switch {
		case slices.Contains(shownOnly, name):
		case name == "alt-names":
			result[name] = byKey(tree.Items(value), "name")
		case name == "ipv4" || name == "ipv6":
			if list, given := section["address"].([]any); given {
				section = fill("", map[string]any{"address": slices.DeleteFunc(slices.Clone(list), isNotConfigured)}, section)
			}
			result[name] = section
		default:
			result[name] = value
		}
	}
	return result
}

func isNotConfigured(item any) bool {
	address := tree.Object(item)
	return tree.IsDynamic(address) || tree.IsForeign(address) || tree.IsLinkLocal(address)
}
