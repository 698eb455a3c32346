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
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Misfits tells which entries of a state's lists cannot be told apart: server-side apply can merge no state that has such. state is
// in Go's own types, and path is where it is in its object.
func (m *Merging) Misfits(state any, path *field.Path) field.ErrorList {
	var f fitting
	f.check(m.Whole(), state, path)
	return f.wrong
}

type fitting struct{ wrong field.ErrorList }

func (f *fitting) check(part Part, value any, path *field.Path) {
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			f.check(part.Field(name), value[name], path.Child(name))
		}
	case []any:
		if part.HasEntries() {
			f.entries(part, value, path)
		}
	}
}

func (f *fitting) entries(list Part, entries []any, path *field.Path) {
	seen := map[string]bool{}
	for i, entry := range entries {
		at := keyed(path, entry, i)
		key, err := list.Key(entry)
		switch text := key.String(); {
		case len(f.wrong) >= most:
			return
		case err != nil:
			f.wrong = append(f.wrong, field.Invalid(at, field.OmitValueType{}, err.Error()))
		case seen[text]:
			again := field.Duplicate(at, shortened(text, 100))
			again.Detail = "server-side apply merges a list entry by entry, and must tell them apart: leave one out"
			f.wrong = append(f.wrong, again)
		default:
			seen[text] = true
			f.check(list.Entry(), entry, at)
		}
	}
}

// userSpace are the types of interfaces that are none of the kernel's: it may have an interface of the same name. So is a type
// that nmstate has no name for.
var userSpace = []string{"ovs-bridge", "ipsec"}

// namesakes are the interfaces of one name that a state has.
type namesakes struct {
	types map[string]bool
	// kernels is the type of the kernel's among them; untyped is whether one has no type.
	kernels string
	untyped bool
}

// twice tells which interfaces a state names more than once. nmstate takes such a state, and of the entries of one name the
// last one alone; the others it drops without a word.
func (c *checker) twice(o *object, interfaces any, path *field.Path) {
	entries, _ := interfaces.([]any)
	known := c.shared(o.properties["interfaces"].item.object).properties["type"].known
	byName := map[string]*namesakes{}
	for i, entry := range entries {
		fields, _ := entry.(map[string]any)
		name, isText := fields["name"].(string)
		if !isText {
			continue
		}
		typed, _ := fields["type"].(string)
		if typed == "unknown" {
			typed = ""
		}
		if byName[name] == nil {
			byName[name] = &namesakes{types: map[string]bool{}}
		}
		isKernels := slices.Contains(known, typed) && !slices.Contains(userSpace, typed)
		if why := byName[name].add(typed, isKernels); why != "" {
			again := field.Duplicate(keyed(path, entry, i), shortened(name, 100))
			again.Detail = why
			c.wrong(again)
		}
	}
}

// add adds an interface, and tells why it cannot be there beside the others, or returns "".
func (n *namesakes) add(typed string, isKernels bool) (why string) {
	switch {
	case n.types[typed]:
		why = "is there twice, and nmstate takes the last one alone: write one entry"
	case len(n.types) > 0 && (typed == "" || n.untyped):
		why = "is there once with a type and once without one, which means the interface that is there: write the type in both, or in none"
	case isKernels && n.kernels != "":
		why = fmt.Sprintf("is there with the types %s and %s: the kernel has one interface of a name, and nmstate takes the last one alone", n.kernels, typed)
	}
	n.types[typed] = true
	n.untyped = n.untyped || typed == ""
	if isKernels {
		n.kernels = typed
	}
	return why
}
