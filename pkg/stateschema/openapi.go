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
	"maps"
	"slices"
	"strings"

	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Definitions returns the OpenAPI definitions of a network state, as clients are shown them. desired names the
// definition of a state that is written, current the one of a state that is read: that one also has the fields which
// nmstate shows and does not take. The other definitions have names that begin with one of the two. reference begins a
// reference, such as "#/definitions/".
//
// Each object takes further fields: they are descriptions, and not rules. In a state that is written they say what of a list
// has an owner, as Structure does. In one that is read a list is one value: nobody owns it, and the kernel may have an entry twice.
func Definitions(desired, current, reference string) (map[string]spec.Schema, error) {
	definitions, err := readDefinitions()
	if err != nil {
		return nil, err
	}
	served := serving{definitions: definitions, desired: desired, current: current, reference: reference, differs: map[string]bool{}}
	result := map[string]spec.Schema{}
	served.add(result, root, false)
	served.add(result, root, true)
	return result, nil
}

// serving makes of the generator's definitions those that are served.
type serving struct {
	definitions                 map[string]*spec.Schema
	desired, current, reference string
	// differs tells, once it was found out, whether a definition is another one in a state that is read.
	differs map[string]bool
}

// add adds a definition and all that it refers to.
func (s *serving) add(result map[string]spec.Schema, name string, current bool) {
	as := s.name(name, current)
	if _, ok := result[as]; ok {
		return
	}
	definition := s.definitions[name]
	object := spec.Schema{SchemaProps: spec.SchemaProps{Type: definition.Type, Properties: map[string]spec.Schema{}}}
	object.AddExtension(keepUnknown, true)
	result[as] = object
	for _, field := range slices.Sorted(maps.Keys(definition.Properties)) {
		property := definition.Properties[field]
		if property.ReadOnly && !current {
			continue
		}
		object.Properties[field] = *s.schema(result, &property, current)
	}
}

// schema returns a property or an item as it is served.
func (s *serving) schema(result map[string]spec.Schema, schema *spec.Schema, current bool) *spec.Schema {
	shown := *schema
	shown.ReadOnly = false
	shown.Extensions = spec.Extensions{}
	for key, value := range schema.Extensions {
		if !strings.HasPrefix(key, extension) && !(current && slices.Contains([]string{listType, listKeys, mapType}, key)) {
			shown.Extensions[key] = value
		}
	}
	if current && schema.Items != nil {
		shown.Extensions[listType] = typeAtomic
	}
	// "ip" is either of the two that clients know.
	if shown.Format == "ip" {
		shown.Format = ""
	}
	if name := referenced(schema); name != "" {
		s.add(result, name, current)
		shown.Ref = spec.MustCreateRef(s.reference + s.name(name, current))
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		shown.Items = &spec.SchemaOrArray{Schema: s.schema(result, schema.Items.Schema, current)}
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		values := s.schema(result, schema.AdditionalProperties.Schema, current)
		shown.AdditionalProperties = &spec.SchemaOrBool{Allows: true, Schema: values}
	}
	return &shown
}

// name returns what a definition is called: the same for both states if both have the same fields.
func (s *serving) name(name string, current bool) string {
	state := s.desired
	if current && s.isOther(name) {
		state = s.current
	}
	if name == root {
		return state
	}
	return state + "." + name
}

// isOther tells whether a definition is another one in a state that is read: it has, or refers to one that has, a field that is
// only shown, or a list whose entries have owners.
func (s *serving) isOther(name string) bool {
	if known, ok := s.differs[name]; ok {
		return known
	}
	s.differs[name] = false
	for _, property := range s.definitions[name].Properties {
		schema := &property
		hasEntries := schema.Items != nil && schema.Extensions[listType] != typeAtomic
		for schema.Items != nil && schema.Items.Schema != nil {
			schema = schema.Items.Schema
		}
		if next := referenced(schema); property.ReadOnly || hasEntries || next != "" && s.isOther(next) {
			s.differs[name] = true
			break
		}
	}
	return s.differs[name]
}
