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

// Package ownership tells which field manager owns which part of a node's spec, by the managed fields of the object.
package ownership

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/netstate"
)

// Item is a part of a spec: an interface, a route, a rule, a probe, or a section. A section is a field of the desired state or, beside it, of the
// spec.
type Item struct {
	// Kind is interface, route, rule, probe, or the name of the section.
	Kind string `json:"kind"`
	// Name is the name of the interface or probe, or the route or rule in ip(8)'s words.
	Name string `json:"name,omitempty"`
	// Type is that of an interface, if the spec gives one: an Open vSwitch bridge and its internal interface have one name.
	Type   string  `json:"type,omitempty"`
	Owners []Owner `json:"owners"`

	// value is the item itself, nil for a section; list is the path of the list that it is in, or of the section.
	value any
	list  fieldpath.Path
}

// Owner is a field manager that owns an item, or some fields of it.
type Owner struct {
	Manager   string       `json:"manager"`
	Operation string       `json:"operation"`
	Time      *metav1.Time `json:"time,omitempty"`
	// Fields are those that it owns, if it does not own all of the item.
	Fields []string `json:"fields,omitempty"`
}

// Of returns the parts of a node's spec in their order, each with its owners. A part that nobody owns has none: it was there before
// somebody first applied.
func Of(object *v1alpha1.NodeNetworkState) ([]Item, error) {
	spec, err := json.Marshal(object.Spec)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	// Numbers are as in the paths of managed fields.
	if err := utiljson.Unmarshal(spec, &fields); err != nil {
		return nil, err
	}
	items := itemsOf(fields)
	for _, entry := range object.ManagedFields {
		if entry.FieldsV1 == nil {
			continue
		}
		set := &fieldpath.Set{}
		if err := set.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())); err != nil {
			return nil, fmt.Errorf("the managed fields of %s cannot be read: %w", entry.Manager, err)
		}
		// Of a list that is owned in parts, its own path says only that it is there.
		set = set.Leaves()
		for i := range items {
			items[i].claim(entry, set)
		}
	}
	for i := range items {
		items[i].simplify()
	}
	return items, nil
}

// itemsOf returns the parts of a spec.
func itemsOf(spec map[string]any) []Item {
	var items []Item
	add := func(kind, name string, value any, path ...string) {
		list := fieldpath.Path{}
		for _, field := range append([]string{"spec"}, path...) {
			list = append(list, fieldpath.PathElement{FieldName: &field})
		}
		items = append(items, Item{Kind: kind, Name: name, Type: typeOf(kind, value), value: value, list: list})
	}
	addSection := func(l list, section any, path ...string) {
		all := l.entries(section)
		for _, entry := range all {
			add(l.kind, l.text(entry), entry, append(path, l.within...)...)
		}
		if len(all) == 0 {
			add(path[len(path)-1], "", nil, path...)
		}
	}
	state, _ := spec["desiredState"].(map[string]any)
	for _, name := range sections(state, "interfaces", "routes", "route-rules") {
		addSection(stateLists[name], state[name], "desiredState", name)
	}
	for _, name := range sections(spec, "probes") {
		if name != "desiredState" {
			addSection(specLists[name], spec[name], name)
		}
	}
	return items
}

// list is a list whose entries are parts of a spec.
type list struct {
	// kind is what an entry is called, and text its name.
	kind string
	text func(entry map[string]any) string
	// within is where the list is in its section.
	within []string
}

// entries returns the entries of the list in a section, none if the section has no such list.
func (l list) entries(section any) []map[string]any {
	if l.kind == "" {
		return nil
	}
	for _, field := range l.within {
		fields, _ := section.(map[string]any)
		section = fields[field]
	}
	var all []map[string]any
	items, _ := section.([]any)
	for _, item := range items {
		if fields, isObject := item.(map[string]any); isObject {
			all = append(all, fields)
		}
	}
	return all
}

func typeOf(kind string, value any) string {
	fields, isObject := value.(map[string]any)
	if kind != "interface" || !isObject {
		return ""
	}
	name, _ := fields["type"].(string)
	return name
}

func nameOf(entry map[string]any) string {
	name, _ := entry["name"].(string)
	return name
}

// stateLists are the lists of a desired state, and specLists those of the rest of a spec, by their sections.
var (
	stateLists = map[string]list{
		"interfaces":  {kind: "interface", text: nameOf},
		"routes":      {kind: "route", text: netstate.RouteText, within: []string{"config"}},
		"route-rules": {kind: "rule", text: netstate.RuleText, within: []string{"config"}},
	}
	specLists = map[string]list{"probes": {kind: "probe", text: nameOf}}
)

// sections returns the names of an object's fields: the first ones in their order, then the rest in that of the alphabet.
func sections(fields map[string]any, first ...string) []string {
	var names []string
	for _, name := range first {
		if fields[name] != nil {
			names = append(names, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(first, name) {
			names = append(names, name)
		}
	}
	return names
}

// claim adds the manager to the owners of the item if it owns anything of it.
func (i *Item) claim(entry metav1.ManagedFieldsEntry, set *fieldpath.Set) {
	var fields []string
	whole, some := false, false
	for path := range set.All() {
		field, covers, touches := i.covers(path)
		some, whole = some || touches, whole || covers
		if field != "" {
			fields = append(fields, field)
		}
	}
	if !some {
		return
	}
	slices.Sort(fields)
	fields = slices.Compact(fields)
	if whole {
		fields = nil
	}
	i.Owners = append(i.Owners, Owner{Manager: entry.Manager, Operation: string(entry.Operation), Time: entry.Time, Fields: fields})
}

// covers tells what a path of managed fields means for the item: whether it covers the whole, whether it touches it, and which field
// of it the path is.
func (i *Item) covers(path fieldpath.Path) (field string, whole, touches bool) {
	if len(path) <= len(i.list) {
		isList := i.list.String() == path.String()
		return "", isList, isList // a list or a section that is owned as one
	}
	if !path[:len(i.list)].Equals(i.list) {
		return "", false, false
	}
	rest := path[len(i.list):]
	if i.value == nil {
		return strings.TrimPrefix(rest.String(), "."), false, true
	}
	if !i.is(rest[0]) {
		return "", false, false
	}
	if len(rest) == 1 {
		return "", rest[0].Value != nil, true
	}
	if key := rest[0].Key; key != nil && len(rest) == 2 && rest[1].FieldName != nil {
		for _, one := range *key {
			if one.Name == *rest[1].FieldName {
				return "", false, true
			}
		}
	}
	return strings.TrimPrefix(withoutKey(rest[1:]).String(), "."), false, true
}

// withoutKey returns the path without its last field, if that is one of the keys by which the path names the entry that it is in.
func withoutKey(path fieldpath.Path) fieldpath.Path {
	last := len(path) - 1
	if last < 1 || path[last].FieldName == nil || path[last-1].Key == nil {
		return path
	}
	for _, key := range *path[last-1].Key {
		if key.Name == *path[last].FieldName {
			return path[:last]
		}
	}
	return path
}

// is tells whether an element of a path is this item of its list.
func (i *Item) is(element fieldpath.PathElement) bool {
	switch {
	case element.Key != nil:
		fields, _ := i.value.(map[string]any)
		for _, one := range *element.Key {
			if !value.Equals(one.Value, value.NewValueInterface(fields[one.Name])) {
				return false
			}
		}
		return true
	case element.Value != nil:
		return value.Equals(*element.Value, value.NewValueInterface(i.value))
	}
	return false
}

// simplify leaves out the fields of an owner that is the only one.
func (i *Item) simplify() {
	if len(i.Owners) == 1 {
		i.Owners[0].Fields = nil
	}
}
