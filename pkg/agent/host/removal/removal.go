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
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// MaxNotes is the size in bytes that notes may have, as JSON. Entries that would make them larger come without notes. Notes are
// as large as the desired state, as a rule; those of interfaces that are to be absent have all of their fields.
const MaxNotes = 4 << 20

// Change is a change of the desired state, before it is made.
type Change struct {
	// Previous and Desired are the desired state before and after, nil if there is none. They have their secrets.
	Previous, Desired []byte
	// Current is the network before the change, with its secrets.
	Current []byte
	// Notes are those that are kept with Previous, nil if there are none.
	Notes json.RawMessage
	// Revert has what leaves taken away; else it stays as it is.
	Revert bool
	// Up tells whether a link is up as its administrator wants it. nmstate takes one that has no carrier for one that is down. It is
	// nil where NetworkManager carries the change out: there, down means that NetworkManager does not use the link.
	Up func(name string) bool
	// Managed tells that NetworkManager carries the change out. Forgotten tells that the kernel alone has carried Previous out, and that
	// the node has been booted since.
	Managed, Forgotten bool
}

// Plan is what a change leads to. It has secrets.
type Plan struct {
	// State is what is to be applied: the desired state, and what takes away what leaves it.
	State []byte
	// Shown is State for a comparison with the network: an address that is to be taken away is a difference.
	Shown []byte
	// Notes are to be kept with the desired state, nil if there are none.
	Notes json.RawMessage
	// Left names what is taken away.
	Left []string
}

// Settle returns the plan for a change. Faults, under the path root of the desired state, are what leaves and cannot be taken away.
// An error is that of a state that cannot be read, as nmstate tells it.
func Settle(c Change, root *field.Path) (*Plan, field.ErrorList, error) {
	state, err := tree.Decode(c.Current)
	if err != nil {
		return nil, nil, err
	}
	for _, item := range tree.List(state, "interfaces") {
		if is := tree.Object(item); c.Up != nil && c.Up(tree.StringAt(is, "name")) {
			is["state"] = "up"
		}
	}
	n := newNetwork(state)
	was := parseNotes(c.Notes)
	next, err := n.read(c.Desired)
	if err != nil {
		return nil, nil, err
	}
	prev, err := n.read(c.Previous)
	if err != nil {
		// It was committed under another libnmstate. Nothing that comes now is noted: it may have been there before.
		if prev = next; c.Revert {
			return nil, field.ErrorList{field.Forbidden(root, "spec.removal is Revert, and the node's nmstate does not read the desired state before this change, "+
				"so that it is not known what leaves it: set spec.removal to Orphan for this change")}, nil
		}
	}
	if len(c.Desired) == 0 {
		c.Desired = []byte("{}")
	}
	plan := &Plan{State: c.Desired, Shown: c.Desired}
	if c.Revert {
		l := leave(n, was, prev, next)
		if faults := append(l.unknown(root), l.needed(root)...); len(faults) > 0 {
			return nil, faults, nil
		}
		plan.Left = l.names
		if plan.State, plan.Shown, err = l.added(c.Desired); err != nil {
			return nil, nil, err
		}
	}
	t := taker{network: n, was: was, prev: prev, next: next, managed: c.Managed, forgotten: c.Forgotten && !c.Managed}
	plan.Notes, err = t.encoded()
	return plan, nil, err
}

// encoded returns the notes as JSON. If they would be too large, what is new comes without notes.
func (t taker) encoded() (json.RawMessage, error) {
	text, err := tree.Encode(t.take())
	if err == nil && len(text) > MaxNotes {
		t.prev = t.next
		text, err = tree.Encode(t.take())
	}
	if err != nil || string(text) == "{}" {
		return nil, err
	}
	return text, nil
}

// unknown tells what leaves of which no note was taken.
func (l *leaving) unknown(root *field.Path) field.ErrorList {
	var faults field.ErrorList
	forbid := func(path *field.Path, what string) {
		faults = append(faults, field.Forbidden(path, what+"leaves the spec, and spec.removal is Revert, but the node's agent has not noted what there was before: "+
			"it came into the spec under an older agent; set spec.removal to Orphan for this change, or say what is to be instead, such as state: absent"))
	}
	for key, had := range l.prev.interfaces {
		if had.entry == "" || l.was.Interfaces[key] != nil {
			continue
		}
		has := l.next.interfaces[key]
		path := root.Child("interfaces").Key("name=" + had.entry)
		switch {
		case has == nil || !has.whole && !has.makes:
			forbid(path, "it ")
		case !has.whole:
			if left := paths("", less("", had.fields, has.fields)); len(left) > 0 {
				forbid(path, enumerate(left)+" ")
			}
		}
	}
	forbidEntries := func(was []entryNote, prev, next *entries) {
		noted := byEntry(was)
		for _, e := range prev.list {
			if _, is := noted[e.key]; !is && !next.keys[e.key] {
				forbid(root.Child(prev.section, "config"), prev.named(e.fields)+" ")
			}
		}
	}
	forbidEntries(l.was.Routes, l.prev.routes, l.next.routes)
	forbidEntries(l.was.Rules, l.prev.rules, l.next.rules)
	left := less("", less("", l.prev.settings, l.next.settings), l.was.Settings)
	for _, path := range paths("", left) {
		forbid(root.Child(path), "it ")
	}
	slices.SortFunc(faults, func(a, b *field.Error) int { return strings.Compare(a.Field+a.Detail, b.Field+b.Detail) })
	return faults
}

// added returns a desired state with what takes away what leaves, and the same as it is to be shown.
func (l *leaving) added(desired []byte) (added, shown []byte, err error) {
	if len(l.interfaces)+len(l.addedRoutes)+len(l.addedRules)+len(l.settings) == 0 {
		return desired, desired, nil
	}
	state, err := tree.Decode(desired)
	if err != nil {
		return nil, nil, err
	}
	l.addInterfaces(state)
	for section, entries := range map[string][]map[string]any{routeKind.section: l.addedRoutes, ruleKind.section: l.addedRules} {
		if len(entries) == 0 {
			continue
		}
		fields := fill("", nil, tree.Object(state[section]))
		list := slices.Clone(tree.List(fields, "config"))
		for _, one := range entries {
			list = append(list, one)
		}
		fields["config"], state[section] = list, fields
	}
	for section, value := range l.settings {
		fields := tree.Object(value)
		if section == "ovn" {
			list := tree.List(tree.Object(state[section]), mappings)
			fields = map[string]any{mappings: slices.Concat(list, asList(tree.Object(fields[mappings]), "localnet"))}
			delete(tree.Object(state[section]), mappings)
		}
		state[section] = fill(section, tree.Object(state[section]), fields)
	}
	if added, err = tree.Encode(state); err != nil {
		return nil, nil, err
	}
	for _, section := range l.taken {
		section["allow-extra-address"] = false
	}
	shown, err = tree.Encode(state)
	return added, shown, err
}

// addInterfaces adds the interfaces' entries to a state: to the entries that it has of the same ones, the fields that these lack.
func (l *leaving) addInterfaces(state map[string]any) {
	list := slices.Clone(tree.List(state, "interfaces"))
	for _, key := range slices.Sorted(maps.Keys(l.interfaces)) {
		added := l.interfaces[key]
		has := l.next.interfaces[key]
		at := -1
		if has != nil && has.entry != "" {
			at = slices.IndexFunc(list, func(item any) bool {
				given := tree.Object(item)
				return given["name"] == has.entry && tree.Compatible(given["type"], added["type"])
			})
		}
		if at < 0 {
			list = append(list, added)
			continue
		}
		given := tree.Object(list[at])
		for _, field := range []string{"name", "type", "state"} {
			delete(added, field) // the entry says so, or nmstate's default holds
		}
		merged := fill("", given, added)
		if names, more := tree.List(given, "alt-names"), tree.List(added, "alt-names"); names != nil && more != nil {
			merged["alt-names"] = slices.Concat(names, more)
		}
		list[at] = merged
	}
	if len(list) > 0 {
		state["interfaces"] = list
	}
}
