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

package stateschema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// most is how many errors, and how many unknown fields, are told at once.
const most = 50

// Unknown is a part of a state that the definitions do not know. It may be right: a node may have a newer nmstate.
type Unknown struct {
	// Path is where it is, such as spec.desiredState.interfaces[name=eth1].mtuu.
	Path *field.Path
	// What says what it is, and what was probably meant: `unknown field "…", did you mean "mtu"?`.
	What string
}

// Findings are what a check has found.
type Findings struct {
	// Unknown has what the definitions do not know.
	Unknown []Unknown
	// Wrong has what nmstate is sure to refuse.
	Wrong field.ErrorList
}

// Check checks a state that is to be written, a JSON text. path is where it is in its object. A text that is no JSON object
// is left to others. All that is wrong is found at once.
func (s *Schema) Check(state []byte, path *field.Path) Findings {
	decoder := json.NewDecoder(bytes.NewReader(state))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil {
		return Findings{}
	}
	var c checker
	c.composite(s.state, fields, path)
	c.twice(s.state, fields["interfaces"], path.Child("interfaces"))
	return c.found
}

type checker struct {
	found Findings
	// typed is true within an interface: those nmstate reads as JSON, where a number is no text. What is outside it reads as
	// YAML, where a number or a boolean is taken as it is written for a text.
	typed bool
	// absent is true within an entry that is to be removed: what it has is compared, and need not be right.
	absent bool
	// shown is true within what nmstate shows and does not take.
	shown bool
}

func (c *checker) wrong(err *field.Error) {
	if len(c.found.Wrong) < most {
		c.found.Wrong = append(c.found.Wrong, err)
	}
}

// unknown notes a field or a value that is not known. what is "field" or "value of the field".
func (c *checker) unknown(path *field.Path, what, hint string) {
	if len(c.found.Unknown) >= most {
		return
	}
	told := fmt.Sprintf("unknown %s %q", what, shortened(path.String(), 300))
	if hint != "" {
		told += ", " + hint
	}
	c.found.Unknown = append(c.found.Unknown, Unknown{Path: path, What: told})
}

// composite checks the fields of an object. serde also reads a list as an object, by position: a list with items is refused
// all the same, for nobody means that.
func (c *checker) composite(o *object, value any, path *field.Path) {
	fields, ok := value.(map[string]any)
	if items, isList := value.([]any); isList && len(items) == 0 && len(o.required) == 0 && len(o.oneOf) == 0 {
		return // for some objects nmstate takes an empty list as an empty one
	}
	if !ok {
		c.wrong(notAnObject(o, value, path))
		return
	}
	if len(o.variants) > 0 {
		c.variant(o, fields, path)
		return
	}
	c.absent = fields["state"] == "absent"
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if property := o.find(name); property != nil {
			c.value(property, name, fields[name], path.Child(name))
		} else {
			c.unknown(path.Child(name), "field", c.meant(o, name))
		}
	}
	c.complete(o, fields, path)
}

// meant says what the user probably meant by a field that is not known.
func (c *checker) meant(o *object, name string) string {
	if len(c.found.Unknown) >= most {
		return ""
	}
	names := slices.Collect(maps.Keys(o.properties))
	if o.base != nil {
		names = slices.AppendSeq(names, maps.Keys(o.base.properties))
	}
	return didYouMean(nearest(name, names)...)
}

// complete tells which fields an object lacks.
func (c *checker) complete(o *object, fields map[string]any, path *field.Path) {
	for _, name := range o.required {
		if !o.has(fields, name) {
			c.wrong(field.Required(path.Child(name), o.properties[name].sentence()))
		}
	}
	if len(o.oneOf) == 0 {
		return
	}
	for _, name := range o.oneOf {
		if o.has(fields, name) {
			return
		}
	}
	c.wrong(field.Invalid(path, field.OmitValueType{}, "must have "+either(o.oneOf)))
}

// has tells whether a field is there, by any of its names.
func (o *object) has(fields map[string]any, name string) bool {
	if _, ok := fields[name]; ok {
		return true
	}
	for alias, own := range o.aliases {
		if _, ok := fields[alias]; ok && own == name {
			return true
		}
	}
	return false
}

// keptWhenAbsent are the fields of an absent interface that nmstate reads. It drops the others unread.
var keptWhenAbsent = []string{"name", "type", "state", "identifier", "mac-address", "pci-address"}

// variant checks an object whose fields depend on its type: an interface.
func (c *checker) variant(all *object, fields map[string]any, path *field.Path) {
	c.typed = true
	defer func() { c.typed = false }()
	typed, isText := fields["type"].(string)
	own := all.variants[typed]
	shared := c.shared(all)
	if isText && own == nil && !slices.Contains(shared.properties["type"].known, typed) {
		// A node also shows types that nmstate has no name for, such as wireguard: only what looks like a typo is told.
		if meant := didYouMean(nearest(typed, slices.Collect(maps.Keys(all.variants)))...); meant != "" {
			c.unknown(path.Child("type"), "value of the field", meant)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		at := path.Child(name)
		property := shared.find(name)
		if property == nil && own != nil {
			property = own.find(name)
		}
		switch {
		case property != nil && (fields["state"] != "absent" || slices.Contains(keptWhenAbsent, name)):
			c.value(property, name, fields[name], at)
		case property != nil:
		case all.find(name) == nil:
			c.unknown(at, "field", c.meant(all, name))
		case own != nil:
			c.unknown(at, "field", fmt.Sprintf("an interface of type %s has none: it is for type %s", typed, either(all.typesWith(name))))
		}
		// The fields of an interface without a type are checked by the node, which knows the type.
	}
	c.complete(shared, fields, path)
}

// shared returns the object that all variants are based on.
func (c *checker) shared(all *object) *object {
	for _, variant := range all.variants {
		if variant.base != nil {
			return variant.base
		}
	}
	return all
}

// typesWith returns the types that have a field.
func (o *object) typesWith(name string) []string {
	var types []string
	for _, value := range slices.Sorted(maps.Keys(o.variants)) {
		if o.variants[value].find(name) != nil {
			types = append(types, value)
		}
	}
	return types
}

// value checks the value of a field. null is left to nmstate: where a field can be taken away it is a value.
func (c *checker) value(p *property, name string, value any, path *field.Path) {
	if value == nil || p.unchecked {
		return
	}
	if p.readOnly && !c.shown {
		c.shown = true
		defer func() { c.shown = false }()
	}
	switch p.kind {
	case composite:
		if p.takes == "boolean" && isBoolean(value, true) {
			return
		}
		c.composite(p.object, value, path)
	case list:
		items, ok := value.([]any)
		if !ok {
			c.wrong(field.Invalid(path, shown(p, value), "must be a list, such as "+p.item.example(value)))
			return
		}
		for i, item := range items {
			c.value(p.item, name, item, keyed(path, item, i))
		}
	case dictionary:
		values, ok := value.(map[string]any)
		if !ok && p.item.kind == anything {
			return // nmstate takes what is no object for an empty one
		}
		if !ok {
			c.wrong(field.Invalid(path, shown(p, value), "must be an object of keys and values"))
			return
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			c.value(p.item, key, values[key], path.Key(shortened(key, 100)))
		}
	case anything:
	default:
		if !c.typed && p.kind == text && len(p.values) == 0 && isScalar(value) {
			if _, isNumber := value.(json.Number); isNumber && !c.absent && !c.shown && slices.Contains(addresses, name) {
				c.wrong(p.notAText(name, value, path))
			}
			return
		}
		if err := p.check(name, value, path); err != nil {
			c.wrong(err)
		}
	}
}

// addresses are the texts outside of interfaces that must be an IP address or a network: no number is one.
var addresses = []string{"server", "destination", "next-hop-address", "ip-from", "ip-to"}

func isScalar(value any) bool {
	switch value.(type) {
	case string, bool, json.Number:
		return true
	}
	return false
}

// keyed returns the path of an item of a list: by its name, if it has one.
func keyed(path *field.Path, item any, i int) *field.Path {
	if fields, ok := item.(map[string]any); ok {
		if name, ok := fields["name"].(string); ok {
			return path.Key("name=" + shortened(name, 100))
		}
	}
	return path.Index(i)
}
