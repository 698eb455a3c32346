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
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/schemaconv"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// The extensions by which a definition says what of a list or of an object has an owner, and their values.
const (
	listType    = "x-kubernetes-list-type"
	listKeys    = "x-kubernetes-list-map-keys"
	mapType     = "x-kubernetes-map-type"
	typeAtomic  = "atomic"
	keepUnknown = "x-kubernetes-preserve-unknown-fields"
)

// WithStructure returns the definitions of types together with the structure of a state, which server-side apply must know:
// which lists have an owner for each entry, and which fields there are. desired names the definition of a state that is
// written; those of its parts have names that begin with it. status names the definition of a type whose states are only
// read: these become references to the definition current, which says nothing, because nobody owns anything there.
//
// The structure says nothing of values: each takes whatever JSON there is. So a state that does not fit, or that has what is
// not known, can be merged and owned all the same, and what is wrong with it is told by Schema.Check in words of its own.
func WithStructure(types common.GetOpenAPIDefinitions, desired, status, current string) (common.GetOpenAPIDefinitions, error) {
	definitions, err := readDefinitions()
	if err != nil {
		return nil, err
	}
	return func(reference common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		all := types(reference)
		text := all[desired].Schema.Description
		free := spec.Schema{SchemaProps: spec.SchemaProps{Description: text, Type: spec.StringOrArray{"object"}}}
		free.AddExtension(keepUnknown, true)
		all[current] = common.OpenAPIDefinition{Schema: free}
		only := all[status]
		for name, property := range only.Schema.Properties {
			if own := reference(desired); property.Ref.String() == own.String() {
				property.Ref = reference(current)
				only.Schema.Properties[name] = property
			}
		}
		only.Dependencies = append(slices.Clone(only.Dependencies), current)
		all[status] = only
		maps.Copy(all, structure(definitions, desired, reference))
		written := all[desired]
		written.Schema.Description = text
		all[desired] = written
		return all
	}, nil
}

// structure returns the definitions of a state, and of its parts, as WithStructure adds them.
func structure(definitions map[string]*spec.Schema, name string, reference common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	s := structuring{definitions: definitions, root: name, reference: reference, made: map[string]common.OpenAPIDefinition{}}
	s.add(root)
	return s.made
}

// structuring makes of the generator's definitions the structure alone.
type structuring struct {
	definitions map[string]*spec.Schema
	root        string
	reference   common.ReferenceCallback
	made        map[string]common.OpenAPIDefinition
}

// add adds a definition and all that it refers to, and returns its name.
func (s *structuring) add(name string) string {
	as := s.root
	if name != root {
		as += "." + name
	}
	if _, ok := s.made[as]; ok {
		return as
	}
	s.made[as] = common.OpenAPIDefinition{}
	object := spec.Schema{SchemaProps: spec.SchemaProps{Properties: map[string]spec.Schema{}}}
	object.AddExtension(keepUnknown, true)
	needed := map[string]bool{}
	definition := s.definitions[name]
	for field, property := range definition.Properties {
		if !property.ReadOnly {
			object.Properties[field] = s.schema(&property, needed)
		}
	}
	for alias, field := range aliases(definition) {
		if same, ok := object.Properties[field]; ok {
			object.Properties[alias] = same
		}
	}
	s.made[as] = common.OpenAPIDefinition{Schema: object, Dependencies: slices.Sorted(maps.Keys(needed))}
	return as
}

// schema returns what of a property or of an item counts, and adds the definitions that it needs to needed.
func (s *structuring) schema(property *spec.Schema, needed map[string]bool) spec.Schema {
	var made spec.Schema
	for _, key := range []string{listType, listKeys, mapType} {
		if value, ok := property.Extensions[key]; ok {
			made.AddExtension(key, value)
		}
	}
	if name := referenced(property); name != "" {
		as := s.add(name)
		needed[as] = true
		made.Ref = s.reference(as)
	}
	if property.Items != nil && made.Extensions[listType] != typeAtomic {
		items := s.schema(property.Items.Schema, needed)
		made.Items = &spec.SchemaOrArray{Schema: &items}
	}
	return made
}

// aliases returns other names of an object's fields.
func aliases(definition *spec.Schema) map[string]string {
	var names map[string]string
	if read(definition, "aliases", &names) != nil {
		return nil
	}
	return names
}

// Merging is the structure of a state that is written, as server-side apply has it. It never changes, and may be used by many
// at a time.
type Merging struct {
	// Type is the type of a whole state.
	Type typed.ParseableType
	// Lists are the names of all fields that are lists whose entries have owners.
	Lists []string
}

// NewMerging reads the structure of the definitions that the program was built with.
func NewMerging() (*Merging, error) {
	definitions, err := readDefinitions()
	if err != nil {
		return nil, err
	}
	models, lists := map[string]*spec.Schema{}, map[string]bool{}
	for name, definition := range structure(definitions, root, func(name string) spec.Ref { return spec.MustCreateRef(localReference + name) }) {
		models[name] = &definition.Schema
		for field, property := range definition.Schema.Properties {
			if property.Items != nil {
				lists[field] = true
			}
		}
	}
	merging, err := schemaconv.ToSchemaFromOpenAPI(models, false)
	if err != nil {
		return nil, fmt.Errorf("reading the structure of a network state: %w", err)
	}
	parser := typed.Parser{Schema: schema.Schema{Types: merging.Types}}
	return &Merging{Type: parser.Type(root), Lists: slices.Sorted(maps.Keys(lists))}, nil
}

// Part is the structure of a part of a state. The zero Part is one that nothing is known of: its fields are owned one by
// one, its lists as a whole.
type Part struct {
	schema *schema.Schema
	atom   schema.Atom
}

// Whole returns the structure of the whole state.
func (m *Merging) Whole() Part { return part(m.Type.Schema, m.Type.TypeRef) }

func part(of *schema.Schema, ref schema.TypeRef) Part {
	atom, ok := of.Resolve(ref)
	if !ok {
		return Part{}
	}
	return Part{of, atom}
}

// Field returns the structure of a field.
func (p Part) Field(name string) Part {
	if p.atom.Map == nil || p.atom.Map.ElementRelationship == schema.Atomic {
		return Part{}
	}
	field, ok := p.atom.Map.FindField(name)
	if !ok {
		return Part{}
	}
	return part(p.schema, field.Type)
}

// HasEntries tells whether a list here is owned entry by entry, or value by value.
func (p Part) HasEntries() bool {
	return p.atom.List != nil && p.atom.List.ElementRelationship == schema.Associative
}

// Entry returns the structure of an entry of a list.
func (p Part) Entry() Part {
	if !p.HasEntries() {
		return Part{}
	}
	return part(p.schema, p.atom.List.ElementType)
}

// Key is by what an entry of a list is told from the others.
type Key struct {
	// Fields are the fields of the entry that tell it from others; nil if it is a value.
	Fields map[string]any
	// Value is the entry, if it is a value.
	Value any
}

// Key returns the key of an entry of a list. It fails for an entry that has none, such as null or an object without any of the
// fields, and where the list has no entries.
func (p Part) Key(entry any) (Key, error) {
	if !p.HasEntries() {
		return Key{}, errors.New("its list is one value")
	}
	keys := p.atom.List.Keys
	fields, isObject := entry.(map[string]any)
	if len(keys) == 0 {
		if _, isList := entry.([]any); isObject || isList || entry == nil {
			return Key{}, errors.New("must be a text, a number, true or false")
		}
		return Key{Value: entry}, nil
	}
	if !isObject {
		return Key{}, fmt.Errorf("must be an object with %s", either(keys))
	}
	key := Key{Fields: map[string]any{}}
	for _, name := range keys {
		if value, ok := fields[name]; ok {
			key.Fields[name] = value
		}
	}
	if len(key.Fields) == 0 {
		return Key{}, fmt.Errorf("must have %s", either(keys))
	}
	return key, nil
}

// String returns a text that is the same for the same key, and for no other.
func (k Key) String() string {
	var text []byte
	if k.Fields != nil {
		text, _ = json.Marshal(k.Fields) // with its fields in order
	} else {
		text, _ = json.Marshal(k.Value)
	}
	return string(text)
}
