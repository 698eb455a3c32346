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
	"bytes"
	"encoding/json"
	"slices"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// notes are what there was before each part of a desired state came. They have secrets.
type notes struct {
	// Interfaces are by key, see keyOf.
	Interfaces map[string]*interfaceNote `json:"interfaces,omitempty"`
	Routes     []entryNote               `json:"routes,omitempty"`
	Rules      []entryNote               `json:"rules,omitempty"`
	Settings   map[string]any            `json:"settings,omitempty"`
}

// interfaceNote is an interface as it was.
type interfaceNote struct {
	Type string `json:"type,omitempty"`
	// State is "absent" if there was none.
	State string `json:"state"`
	// With is the key of another interface, with which this one goes, "" if there is none: the desired state wants that one to
	// be absent, and says nothing of this one.
	With string `json:"with,omitempty"`
	// Bare tells that it is hardware that NetworkManager did not use and had no profile for.
	Bare bool `json:"bare,omitempty"`
	// Whole tells that all fields are noted: the interface was removed.
	Whole bool `json:"whole,omitempty"`
	// Fields are those that the desired state means, as they were; null where that is not known.
	Fields map[string]any `json:"fields,omitempty"`
	// Routes are the routes over it that others had configured, if it can lose them by what the desired state means. Null tells that it
	// cannot, and that they are not noted.
	Routes []map[string]any `json:"routes"`
}

// entryNote is a route, or a rule, and those that were there and that it means.
type entryNote struct {
	Entry  map[string]any   `json:"entry"`
	Before []map[string]any `json:"before,omitempty"`
}

// parseNotes reads notes. Those of another version of the agent that this one does not understand are none.
func parseNotes(raw json.RawMessage) *notes {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	parsed := &notes{}
	if decoder.Decode(parsed) != nil {
		return &notes{}
	}
	return parsed
}

// taker takes the notes for the next desired state.
type taker struct {
	*network
	was        *notes
	prev, next *meaning
	// managed tells that NetworkManager carries changes out, forgotten that the kernel alone had the previous desired
	// state and has forgotten it by a boot.
	managed, forgotten bool
}

// take returns the notes. What the previous desired state meant and is not noted stays so: what is there now may be its work.
func (t taker) take() *notes {
	taken := &notes{Interfaces: map[string]*interfaceNote{}}
	for key, p := range t.next.interfaces {
		before := t.prev.interfaces[key]
		if note := t.was.Interfaces[key]; note != nil || before == nil {
			taken.Interfaces[key] = t.takeInterface(key, p, before, note)
		}
	}
	for key, note := range t.was.Interfaces {
		if t.next.keeps(note) && taken.Interfaces[key] == nil {
			taken.Interfaces[key] = note
		}
	}
	taken.Routes = t.takeEntries(t.was.Routes, t.prev.routes, t.next.routes)
	taken.Rules = t.takeEntries(t.was.Rules, t.prev.rules, t.next.rules)
	held := common("", t.was.Settings, t.next.settings)
	fresh := before("", less("", t.next.settings, t.prev.settings), settings(t.state))
	taken.Settings = fill("", held, fresh)
	return taken
}

// takeInterface takes the note of an interface that had a note, or was not meant before.
func (t taker) takeInterface(key string, p, was *part, note *interfaceNote) *interfaceNote {
	is := t.current(p.name, key)
	if was == nil {
		was = &part{}
	}
	if note == nil || t.forgotten && note.State != absent {
		note, was = t.newNote(p, is), &part{}
	}
	if note.State == absent || p.whole && was.whole {
		return note
	}
	result := *note
	result.Whole = p.whole
	wanted, held := p.fields, common("", note.Fields, p.fields)
	if p.whole {
		wanted, held = writable(is), note.Fields
	}
	if result.Fields = held; is != nil {
		result.Fields = fill("", held, before("", less("", less("", wanted, was.fields), held), writable(is)))
	}
	if result.Routes == nil && p.losesRoutes() {
		result.Routes = t.routesOver(p.name)
	}
	return &result
}

// newNote returns the note of an interface without its fields.
func (t taker) newNote(p *part, is map[string]any) *interfaceNote {
	if is == nil {
		return &interfaceNote{Type: p.kind, State: absent, With: p.with}
	}
	note := &interfaceNote{Type: tree.StringAt(is, "type"), State: tree.StringAt(is, "state"), With: p.with}
	note.Bare = t.managed && isHardware(note.Type) && note.State != "up" && is["identifier"] == nil
	return note
}

// keeps tells whether a desired state means an interface because it went with another one, which is to be absent still.
func (m *meaning) keeps(note *interfaceNote) bool {
	with := m.interfaces[note.With]
	return note.With != "" && with != nil && with.whole
}

const absent = "absent"

// isHardware tells whether the state absent does not remove an interface of a type. A veth can be the end of one whose other end is a pod's.
func isHardware(kind string) bool {
	return slices.Contains([]string{"ethernet", "veth", "infiniband"}, kind)
}

// losesRoutes tells whether an interface can lose the routes over it by what a desired state means.
func (p *part) losesRoutes() bool {
	return p.whole || slices.ContainsFunc([]string{"ipv4", "ipv6", "controller"}, func(field string) bool { return p.fields[field] != nil }) ||
		p.fields["state"] != nil && p.fields["state"] != "up"
}

// routesOver returns the configured routes over an interface, but for those of the desired state.
func (t taker) routesOver(name string) []map[string]any {
	routes := []map[string]any{}
	for _, e := range t.routes.list {
		if e.fields["next-hop-interface"] == name && !t.prev.routes.wants(e.fields) && !t.next.routes.wants(e.fields) {
			routes = append(routes, e.fields)
		}
	}
	return routes
}

func (t taker) takeEntries(was []entryNote, prev, next *entries) []entryNote {
	noted := byEntry(was)
	var taken []entryNote
	for _, e := range next.list {
		note, is := noted[e.key]
		if !prev.keys[e.key] || is && t.forgotten {
			note, is = entryNote{Entry: e.fields, Before: t.entries(next.kind).meant(e)}, true
		}
		if is {
			taken = append(taken, note)
		}
	}
	return taken
}

// byEntry returns notes by the keys of their entries.
func byEntry(list []entryNote) map[string]entryNote {
	noted := map[string]entryNote{}
	for _, note := range list {
		noted[keyOfEntry(note.Entry)] = note
	}
	return noted
}
