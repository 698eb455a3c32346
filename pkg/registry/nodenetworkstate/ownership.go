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

package nodenetworkstate

import (
	"bytes"
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/stateschema"
)

// ownership is what managed fields say of a desired state. Upstream's field manager keeps them; this is what it leaves to do. The
// paths in its sets begin in the state.
type ownership struct {
	merging *stateschema.Merging
	// lists are the names of all fields that are lists whose entries may have owners.
	lists map[string]bool
}

// newOwnership returns an ownership by the definitions that the program was built with.
func newOwnership() (ownership, error) {
	merging, err := stateschema.NewMerging()
	if err != nil {
		return ownership{}, err
	}
	o := ownership{merging: merging, lists: map[string]bool{}}
	for _, list := range merging.Lists {
		o.lists[list] = true
	}
	return o, nil
}

// mayOwnList tells, by a search of its text, whether a manager may own a list itself.
func (o ownership) mayOwnList(entry metav1.ManagedFieldsEntry) bool {
	text := entry.FieldsV1.GetRawBytes()
	for {
		_, after, found := bytes.Cut(text, []byte(`"f:`))
		name, rest, closed := bytes.Cut(after, []byte(`":{`))
		if !found || !closed {
			return false
		}
		if o.lists[string(name)] && (bytes.HasPrefix(rest, []byte(`}`)) || bytes.HasPrefix(rest, []byte(`".":{}`))) {
			return true
		}
		text = rest
	}
}

// split returns the managed fields of an object in which no manager owns a list that has entries as a whole. A server that did not
// know that entries have owners has written such. The manager becomes the owner of all entries that no other manager owns:
// so it has them when it gives them up, and others have a conflict with it.
func (o ownership) split(object *v1alpha1.NodeNetworkState) []metav1.ManagedFieldsEntry {
	if !slices.ContainsFunc(object.ManagedFields, o.mayOwnList) {
		return object.ManagedFields
	}
	state, err := decode(object.Spec.DesiredState)
	if err != nil {
		return object.ManagedFields
	}
	all, err := o.fields(state)
	if err != nil {
		return object.ManagedFields // a merge fails, too, and says why
	}
	lumps, others := make([]*fieldpath.Set, len(object.ManagedFields)), fieldpath.NewSet()
	for i, entry := range object.ManagedFields {
		set := inState(fieldsOf(entry))
		lumps[i] = fieldpath.NewSet()
		addLumps(lumps[i], set, all, nil)
		others = others.Union(set.Difference(lumps[i]))
	}
	result := slices.Clone(object.ManagedFields)
	for i := range result {
		set := fieldsOf(result[i])
		changed := false
		lumps[i].Iterate(func(path fieldpath.Path) {
			// A list that this manager has written without entries, and to which others have added, stays its own.
			if entries := under(all, path).Difference(others); !entries.Empty() {
				set = set.Difference(inObject(fieldpath.NewSet(path.Copy()))).Union(inObject(entries))
				changed = true
			}
		})
		if changed {
			result[i].FieldsV1 = encodeFields(set)
		}
	}
	return result
}

// addLumps adds the paths of set that are lists which have entries in all, of which set has none. path is where both are.
func addLumps(lumps, set, all *fieldpath.Set, path fieldpath.Path) {
	set.Members.Iterate(func(member fieldpath.PathElement) {
		if _, hasEntries := set.Children.Get(member); !hasEntries && isEntries(all.WithPrefix(member)) {
			lumps.Insert(append(path.Copy(), member))
		}
	})
	set.Children.Iterate(func(child fieldpath.PathElement) {
		addLumps(lumps, set.WithPrefix(child), all.WithPrefix(child), append(path.Copy(), child))
	})
}

// isEntries tells whether a set has the entries of a list.
func isEntries(set *fieldpath.Set) bool {
	found := false
	look := func(element fieldpath.PathElement) { found = found || element.Key != nil || element.Value != nil }
	set.Members.Iterate(look)
	set.Children.Iterate(look)
	return found
}

// under returns those paths of all that begin with path.
func under(all *fieldpath.Set, path fieldpath.Path) *fieldpath.Set {
	for _, element := range path {
		all = all.WithPrefix(element)
	}
	result := fieldpath.NewSet()
	all.Iterate(func(rest fieldpath.Path) { result.Insert(append(path.Copy(), rest.Copy()...)) })
	return result
}

// fields returns the paths of all that is in a decoded state.
func (o ownership) fields(state any) (*fieldpath.Set, error) {
	merging, err := o.merging.Type.FromUnstructured(plain(state), typed.AllowDuplicates)
	if err != nil {
		return nil, err
	}
	return merging.ToFieldSet()
}

// plain returns a decoded value as upstream's field manager has it: with numbers of Go's own types.
func plain(content any) any {
	switch content := content.(type) {
	case map[string]any:
		fields := make(map[string]any, len(content))
		for name, field := range content {
			fields[name] = plain(field)
		}
		return fields
	case []any:
		entries := make([]any, len(content))
		for i, entry := range content {
			entries[i] = plain(entry)
		}
		return entries
	case json.Number:
		if number, err := content.Int64(); err == nil {
			return number
		}
		number, _ := content.Float64()
		return number
	}
	return content
}

// fieldsOf returns the fields of a manager, as paths that begin in the object; none if they cannot be read.
func fieldsOf(entry metav1.ManagedFieldsEntry) *fieldpath.Set {
	set := fieldpath.NewSet()
	if entry.FieldsV1 == nil || set.FromJSON(entry.FieldsV1.GetRawReader()) != nil {
		return fieldpath.NewSet()
	}
	return set
}

func encodeFields(set *fieldpath.Set) *metav1.FieldsV1 {
	fields := &metav1.FieldsV1{}
	text, _ := set.ToJSON() // it fails only for paths that no set has
	fields.SetRawBytes(text)
	return fields
}

// stateAt is where a desired state is in its object.
func stateAt() []fieldpath.PathElement { return fieldpath.MakePathOrDie("spec", "desiredState") }

// inState returns those paths of a set that are in the state, beginning there.
func inState(set *fieldpath.Set) *fieldpath.Set {
	for _, element := range stateAt() {
		set = set.WithPrefix(element)
	}
	return set
}

// inObject is the reverse of inState.
func inObject(set *fieldpath.Set) *fieldpath.Set {
	object := fieldpath.NewSet()
	place := object
	for _, element := range stateAt() {
		place = place.Children.Descend(element)
	}
	*place = *set
	return object
}

// element returns a key as managed fields have it.
func element(key stateschema.Key) fieldpath.PathElement {
	if key.Fields == nil {
		content := value.NewValueInterface(plain(key.Value))
		return fieldpath.PathElement{Value: &content}
	}
	var fields value.FieldList
	for name, content := range key.Fields {
		fields = append(fields, value.Field{Name: name, Value: value.NewValueInterface(plain(content))})
	}
	fields.Sort()
	return fieldpath.PathElement{Key: &fields}
}
