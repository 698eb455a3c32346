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
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// seed begins the numbers that states are made by. With others, other states are made.
var seed = flag.Uint64("seed", 15, "what the states are made by")

// generated is how many states are made of the definitions.
const generated = 500

// TestGeneratedStatesAreJudgedAlike makes states of the definitions, half of them with a value that may be wrong, and has
// libnmstate parse them. What the schema calls wrong nmstate must refuse, and what nmstate refuses the schema must find,
// but for what is listed in knownToTheNodeAlone.
func TestGeneratedStatesAreJudgedAlike(t *testing.T) {
	schema := loaded(t)
	random := rand.New(rand.NewPCG(*seed, generated))
	refused := 0
	for i := range generated {
		m := maker{Rand: random, spoil: i%2 == 1}
		state := encode(t, m.state(schema.state))
		found := schema.Check(state, field.NewPath("state"))
		_, parsing := nmstate.FormatNetState(state)
		judged := parsing
		if judged == nil {
			judged = nmstate.Validate(state, nil)
		}
		if judged != nil {
			refused++
		}
		switch {
		case len(found.Wrong) > 0 && judged == nil:
			t.Errorf("nmstate takes %s\nand the schema does not: %v", state, found.Wrong)
		case len(found.Wrong)+len(found.Unknown) == 0 && parsing != nil && !knownToTheNodeAlone(parsing):
			t.Errorf("nmstate cannot parse %s: %v\nand the schema finds nothing", state, parsing)
		}
		if !m.spoiled && len(found.Wrong)+len(found.Unknown) > 0 {
			t.Errorf("the schema refuses what is made of it: %s: %+v", state, found)
		}
	}
	if refused < generated/10 {
		t.Errorf("nmstate refuses %d of %d states: the test compares little", refused, generated)
	}
	t.Logf("nmstate refuses %d of %d states", refused, generated)
}

// knownToTheNodeAlone tells whether nmstate cannot parse a state for a reason that the schema does not know.
func knownToTheNodeAlone(err error) bool {
	for _, reason := range []string{
		"null",                                // whether null is a value depends on how a field is read; it is left to the node
		"unit value",                          // the same
		"invalid length",                      // an empty list for an object: some objects take it
		"invalid type: sequence",              // the same
		"Invalid feature value",               // a boolean as a text, of which a feature takes fewer
		"PCI",                                 // the form of a PCI address
		"ipsec-interface",                     // a text that is a number, yes or no
		"Invalid address protocol",            // a text that is a number, or one of three words
		"expected unsigned integer or string", // a negative number for such a text
		"duplicate field",                     // a field and its other name at a time
	} {
		if strings.Contains(err.Error(), reason) {
			return true
		}
	}
	return false
}

// maker makes values of properties.
type maker struct {
	*rand.Rand
	// spoil is whether one value is to be one that its property may not take; spoiled whether there is one.
	spoil, spoiled bool
}

func (m *maker) state(o *object) map[string]any {
	state := m.object(o, 0)
	delete(state, "interfaces")
	var interfaces []any
	all := o.properties["interfaces"].item.object
	types := slices.Sorted(maps.Keys(all.variants))
	for i := range 1 + m.IntN(3) {
		typed := types[m.IntN(len(types))]
		own := m.object(all.variants[typed], 1)
		maps.Copy(own, m.object(all.variants[typed].base, 1))
		own["name"], own["type"], own["state"] = fmt.Sprintf("x%d", i), typed, "up"
		interfaces = append(interfaces, own)
	}
	state["interfaces"] = interfaces
	return state
}

func (m *maker) object(o *object, depth int) map[string]any {
	fields := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(o.properties)) {
		p := o.properties[name]
		needed := slices.Contains(o.required, name)
		if needed || !p.unchecked && m.IntN(4) == 0 {
			fields[name] = m.value(p, depth+1)
		}
	}
	if len(o.oneOf) > 0 {
		chosen := o.oneOf[m.IntN(len(o.oneOf))]
		fields = map[string]any{chosen: m.value(o.properties[chosen], depth+1)}
	}
	return fields
}

// spoilers are values that most properties do not take, and some do.
var spoilers = []any{"two", "7", "0x10", "yes", "Off", true, false, 0, 1, -1, 70000, 5000000000, 1.5, []any{}, []any{1}, map[string]any{}, map[string]any{"a": 1}, "", "lacp", "802.3ad", "10.1"}

func (m *maker) value(p *property, depth int) any {
	if m.spoil && !m.spoiled && depth > 2 && m.IntN(8) == 0 {
		m.spoiled = true
		spoiler := spoilers[m.IntN(len(spoilers))]
		if items, isList := spoiler.([]any); isList && len(items) > 0 && p.kind == composite {
			return 7 // serde reads a list as an object, by position; the schema does not
		}
		return spoiler
	}
	switch p.kind {
	case boolean:
		return m.IntN(2) == 0
	case integer:
		low, high := max(p.min, -1), min(p.max, 4000)
		return low + m.Int64N(high-low+1)
	case composite:
		return m.object(p.object, depth)
	case list:
		items := []any{}
		for range m.IntN(3) {
			items = append(items, m.value(p.item, depth+1))
		}
		return items
	case dictionary:
		if p.item.kind == boolean {
			return map[string]any{"rx-gro": m.IntN(2) == 0}
		}
		return map[string]any{"key": "value"}
	case text:
		if len(p.values) > 0 {
			return p.values[m.IntN(len(p.values))]
		}
	}
	return p.any()
}
