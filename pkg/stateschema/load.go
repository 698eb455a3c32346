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
	"cmp"
	"encoding/json"
	"fmt"
	"math"

	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Schema tells what is wrong with a network state. It never changes, and may be used by many at a time.
type Schema struct{ state *object }

// kind is what values a property takes.
type kind int

const (
	anything kind = iota
	boolean
	integer
	text
	address
	composite
	list
	dictionary
)

// object is one definition.
type object struct {
	name       string
	properties map[string]*property
	// aliases are other names of properties, which nmstate reads and does not write.
	aliases map[string]string
	// required and oneOf are the properties that an object must have all of, and exactly one of.
	required, oneOf []string
	// variants are the definitions for each value of the property "type"; base is what all of them have.
	variants map[string]*object
	base     *object
}

// property is what a field of an object takes.
type property struct {
	kind kind
	// takes is what else nmstate reads instead: a "string" for a number, an "integer" for a text, a "boolean" for an object.
	takes string
	// values are the values of an enumeration; others are further spellings that nmstate reads.
	values, others []string
	// known are some of the values of an enumeration that has others, too.
	known []string
	// anyCase is true for an enumeration that is also read in upper case.
	anyCase  bool
	min, max int64
	// format is the OpenAPI format: ip, ipv4, ipv6, password.
	format string
	// unit is what a number counts, such as seconds.
	unit        string
	description string
	// unchecked is true where nmstate takes any value because it drops it.
	unchecked bool
	// readOnly is true where nmstate shows the field, and does not take it.
	readOnly bool
	object   *object
	item     *property
}

// Load reads the definitions that the program was built with.
func Load() (*Schema, error) {
	definitions, err := readDefinitions()
	if err != nil {
		return nil, err
	}
	reader := reader{definitions: definitions, objects: map[string]*object{}}
	state, err := reader.object(root)
	return &Schema{state: state}, err
}

// reader makes objects of definitions.
type reader struct {
	definitions map[string]*spec.Schema
	objects     map[string]*object
}

func (r *reader) object(name string) (*object, error) {
	if known, ok := r.objects[name]; ok {
		return known, nil
	}
	definition, ok := r.definitions[name]
	if !ok {
		return nil, fmt.Errorf("a network state has no definition %q", name)
	}
	made := &object{name: name, properties: map[string]*property{}, required: definition.Required, variants: map[string]*object{}}
	r.objects[name] = made
	for field, schema := range definition.Properties {
		property, err := r.property(&schema)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", name, field, err)
		}
		made.properties[field] = property
	}
	if err := cmp.Or(
		read(definition, "aliases", &made.aliases),
		read(definition, "one-of", &made.oneOf),
		r.readVariants(definition, made),
	); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return made, nil
}

// readVariants reads the definitions of an object's types, and the one that they share.
func (r *reader) readVariants(definition *spec.Schema, made *object) error {
	var variants map[string]string
	if err := read(definition, "variants", &variants); err != nil {
		return err
	}
	for value, name := range variants {
		variant, err := r.object(name)
		if err != nil {
			return err
		}
		made.variants[value] = variant
	}
	for _, base := range definition.AllOf {
		shared, err := r.object(referenced(&base))
		if err != nil {
			return err
		}
		made.base = shared
	}
	return nil
}

func (r *reader) property(schema *spec.Schema) (*property, error) {
	made := &property{min: math.MinInt64, max: math.MaxInt64, format: schema.Format, description: schema.Description, readOnly: schema.ReadOnly}
	for _, value := range schema.Enum {
		made.values = append(made.values, fmt.Sprint(value))
	}
	if schema.Minimum != nil {
		made.min = int64(*schema.Minimum)
	}
	if schema.Maximum != nil {
		made.max = int64(*schema.Maximum)
	}
	err := cmp.Or(
		read(schema, "takes", &made.takes),
		read(schema, "others", &made.others),
		read(schema, "known", &made.known),
		read(schema, "any-case", &made.anyCase),
		read(schema, "unit", &made.unit),
		read(schema, "unchecked", &made.unchecked),
	)
	if err != nil {
		return nil, err
	}
	return made, r.readKind(schema, made)
}

func (r *reader) readKind(schema *spec.Schema, made *property) (err error) {
	if name := referenced(schema); name != "" {
		made.kind = composite
		made.object, err = r.object(name)
		return err
	}
	if len(schema.Type) == 0 {
		return nil
	}
	switch schema.Type[0] {
	case "boolean":
		made.kind = boolean
	case "integer":
		made.kind = integer
	case "string":
		made.kind = text
		if made.format == "ip" || made.format == "ipv4" || made.format == "ipv6" {
			made.kind = address
		}
	case "array":
		made.kind = list
		made.item, err = r.property(schema.Items.Schema)
	case "object":
		made.kind = dictionary
		made.item, err = r.property(schema.AdditionalProperties.Schema)
	default:
		return fmt.Errorf("type %q is not known", schema.Type[0])
	}
	return err
}

// read reads the extension called name, if there is one.
func read[T any](schema *spec.Schema, name string, into *T) error {
	value, ok := schema.Extensions[extension+name]
	if !ok {
		return nil
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(encoded, into)
}

// find returns the property that a field is, by its own name or another one, in the object or in what it is based on.
func (o *object) find(field string) *property {
	if own, ok := o.aliases[field]; ok {
		field = own
	}
	if found, ok := o.properties[field]; ok {
		return found
	}
	if o.base != nil {
		return o.base.find(field)
	}
	return nil
}
