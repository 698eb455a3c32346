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
	"slices"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/stateschema"
)

// Upstream's field manager knows entries of a list, and no list that is empty: such a list has no owner, and stays when its
// manager gives it up. But to nmstate [] is something: it takes away what is there. So whoever writes such a list
// owns the list itself, with a path of its own in the managed fields: this is a claim. Upstream does not see claims. If it
// did, a manager that gives up the last entry of a list would have a conflict with the list's owner.

// claim is a manager's entry in managed fields, and the lists that it owns themselves.
type claim struct {
	entry metav1.ManagedFieldsEntry
	lists *fieldpath.Set
}

// isOf tells whether an entry is the one that the claim belongs to.
func (c claim) isOf(entry metav1.ManagedFieldsEntry) bool {
	return entry.Manager == c.entry.Manager && entry.Operation == c.entry.Operation &&
		entry.APIVersion == c.entry.APIVersion && entry.Subresource == c.entry.Subresource
}

// hide takes the claims, and the empty lists that are claimed, out of an object, and returns the claims.
func (o ownership) hide(object *v1alpha1.NodeNetworkState) []claim {
	if !slices.ContainsFunc(object.ManagedFields, o.mayOwnList) {
		return nil
	}
	state, err := decode(object.Spec.DesiredState)
	if err != nil {
		return nil // a merge fails, too, and says why
	}
	var shown []metav1.ManagedFieldsEntry
	var claims []claim
	for _, entry := range object.ManagedFields {
		set, lists := fieldsOf(entry), fieldpath.NewSet()
		addLists(lists, o.merging.Whole(), inState(set), nil)
		lists = lists.Difference(o.nulls(state, lists))
		if lists.Empty() {
			shown = append(shown, entry)
			continue
		}
		claims = append(claims, claim{entry, lists})
		// Also if it owns nothing else: without any entry upstream would take all that is there for unmanaged.
		entry.FieldsV1 = encodeFields(set.Difference(inObject(lists)))
		shown = append(shown, entry)
	}
	object.ManagedFields = shown
	if state == nil || len(claims) == 0 {
		return claims
	}
	for _, c := range claims {
		o.each(state, c.lists, false, func(fields map[string]any, name string, _ fieldpath.Path) {
			if list, isList := fields[name].([]any); isList && len(list) == 0 {
				delete(fields, name)
			}
		}, nil)
	}
	if hidden, err := encode(state); err == nil {
		object.Spec.DesiredState = hidden
	}
	return claims
}

// nulls returns those of the lists that are null in a state. To upstream null is a value, which has an owner and leaves with it.
func (o ownership) nulls(state any, lists *fieldpath.Set) *fieldpath.Set {
	found := fieldpath.NewSet()
	o.each(state, lists, false, func(fields map[string]any, name string, way fieldpath.Path) {
		if value, there := fields[name]; there && value == nil {
			found.Insert(way)
		}
	}, nil)
	return found
}

// addLists adds the paths of set that are lists whose entries may have owners. path is where set is.
func addLists(lists *fieldpath.Set, part stateschema.Part, set *fieldpath.Set, path fieldpath.Path) {
	set.Members.Iterate(func(member fieldpath.PathElement) {
		if member.FieldName != nil && part.Field(*member.FieldName).HasEntries() {
			lists.Insert(append(path.Copy(), member))
		}
	})
	set.Children.Iterate(func(child fieldpath.PathElement) {
		next := part.Entry()
		if child.FieldName != nil {
			next = part.Field(*child.FieldName)
		}
		addLists(lists, next, set.WithPrefix(child), append(path.Copy(), child))
	})
}

// show returns managed fields with the claims that still hold: a list that is not in the state any more has no owner.
func (o ownership) show(managed []metav1.ManagedFieldsEntry, state any, claims []claim) []metav1.ManagedFieldsEntry {
	managed = slices.Clone(managed)
	for _, c := range claims {
		lists := fieldpath.NewSet()
		o.each(state, c.lists, false, func(fields map[string]any, name string, way fieldpath.Path) {
			if _, isList := fields[name].([]any); isList {
				lists.Insert(way)
			}
		}, nil)
		at := slices.IndexFunc(managed, c.isOf)
		switch {
		case lists.Empty():
		case at < 0:
			c.entry.FieldsV1 = encodeFields(inObject(lists))
			managed = append(managed, c.entry)
		default:
			managed[at].FieldsV1 = encodeFields(fieldsOf(managed[at]).Union(inObject(lists)))
		}
	}
	return managed
}

// settle has claims hold after a server-side apply. It returns state, which came of the apply, with the empty lists and maps that
// are owned, and without the lists that the applying manager has given up. before is what was applied to, and managed is what
// upstream says of the result. It returns the claims of now on: those of other managers, and the manager's on the empty
// lists of what it has applied.
func (o ownership) settle(state, before, applied any, manager string, managed []metav1.ManagedFieldsEntry, claims []claim) (any, []claim) {
	own := claim{entry: metav1.ManagedFieldsEntry{
		Manager: manager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: v1alpha1.SchemeGroupVersion.String(),
		FieldsType: "FieldsV1", Time: &metav1.Time{Time: time.Now().UTC().Truncate(time.Second)},
	}, lists: fieldpath.NewSet()}
	addEmpty(own.lists, o.merging.Whole(), applied, nil)
	if own.lists.Empty() && len(claims) == 0 {
		return state, nil
	}
	given, wanted := fieldpath.NewSet(), own.lists
	result := slices.Clone(claims)
	if at := slices.IndexFunc(claims, func(c claim) bool { return own.isOf(c.entry) }); at < 0 {
		result = append(result, own)
	} else {
		given, result[at].lists = claims[at].lists, own.lists
	}
	for _, c := range result {
		wanted = wanted.Union(c.lists)
	}
	if state == nil && !wanted.Empty() {
		state = map[string]any{}
	}
	o.each(state, wanted, true, func(fields map[string]any, name string, _ fieldpath.Path) {
		if fields[name] == nil {
			fields[name] = []any{}
		}
	}, nil)
	owned := fieldpath.NewSet()
	for _, entry := range managed {
		owned = owned.Union(inState(fieldsOf(entry)))
	}
	o.removeEmpty(state, given.Difference(wanted), owned)
	o.restoreMaps(state, owned, before, applied)
	return state, result
}

// removeEmpty removes lists that are empty from a state, and the maps around them that are empty then and that nobody owns.
func (o ownership) removeEmpty(state any, lists, owned *fieldpath.Set) {
	o.each(state, lists, false, func(fields map[string]any, name string, _ fieldpath.Path) {
		if list, isList := fields[name].([]any); isList && len(list) == 0 {
			delete(fields, name)
		}
	}, func(fields map[string]any, name string, way fieldpath.Path) {
		if within, isMap := fields[name].(map[string]any); isMap && len(within) == 0 && !owned.Has(way) {
			delete(fields, name)
		}
	})
}

// restoreMaps puts back the maps that are owned and that upstream has dropped, because there is nothing in them but an
// empty list. before and applied are where they were.
func (o ownership) restoreMaps(state any, owned *fieldpath.Set, before, applied any) {
	left, err := o.fields(state)
	if err != nil {
		return
	}
	lack := fieldpath.NewSet()
	for _, from := range []any{before, applied} {
		o.each(from, owned.Leaves().Difference(left), false, func(fields map[string]any, name string, way fieldpath.Path) {
			if _, isMap := fields[name].(map[string]any); isMap {
				lack.Insert(way)
			}
		}, nil)
	}
	o.each(state, lack, true, func(fields map[string]any, name string, _ fieldpath.Path) {
		if fields[name] == nil {
			fields[name] = map[string]any{}
		}
	}, nil)
}

// addEmpty adds the paths of the empty lists of a value whose entries would have owners. path is where the value is.
func addEmpty(empty *fieldpath.Set, part stateschema.Part, content any, path fieldpath.Path) {
	switch content := content.(type) {
	case map[string]any:
		for name, field := range content {
			addEmpty(empty, part.Field(name), field, append(path.Copy(), fieldpath.PathElement{FieldName: &name}))
		}
	case []any:
		if !part.HasEntries() {
			return
		}
		if len(content) == 0 {
			empty.Insert(path)
		}
		for _, entry := range content {
			if key, err := part.Key(entry); err == nil {
				addEmpty(empty, part.Entry(), entry, append(path.Copy(), element(key)))
			}
		}
	}
}

// visit is called with a field, the map that has it or can have it, and the path to it.
type visit func(fields map[string]any, name string, way fieldpath.Path)

// each visits the fields of a state that are the members of a set: member each of them, and after, if it is not nil, each
// field on the way to them, on the way back. With makes, the maps that lack on the way are made.
func (o ownership) each(state any, set *fieldpath.Set, makes bool, member, after visit) {
	walk{makes, member, after}.walk(o.merging.Whole(), state, set, nil)
}

type walk struct {
	makes         bool
	member, after visit
}

func (w walk) walk(part stateschema.Part, state any, set *fieldpath.Set, way fieldpath.Path) {
	switch state := state.(type) {
	case map[string]any:
		set.Members.Iterate(func(member fieldpath.PathElement) {
			if member.FieldName != nil {
				w.member(state, *member.FieldName, append(way.Copy(), member))
			}
		})
		set.Children.Iterate(func(child fieldpath.PathElement) {
			if child.FieldName == nil {
				return
			}
			name, within, further := *child.FieldName, set.WithPrefix(child), append(way.Copy(), child)
			if state[name] == nil && w.makes && !isEntries(within) {
				state[name] = map[string]any{}
			}
			w.walk(part.Field(name), state[name], within, further)
			if w.after != nil {
				w.after(state, name, further)
			}
		})
	case []any:
		if !part.HasEntries() {
			return
		}
		entries := byKey(part, state)
		set.Children.Iterate(func(child fieldpath.PathElement) {
			if entry, ok := entries[keyOf(child).String()]; ok {
				w.walk(part.Entry(), entry, set.WithPrefix(child), append(way.Copy(), child))
			}
		})
	}
}

// keyOf is the reverse of element.
func keyOf(step fieldpath.PathElement) stateschema.Key {
	switch {
	case step.Value != nil:
		return stateschema.Key{Value: (*step.Value).Unstructured()}
	case step.Key != nil:
		key := stateschema.Key{Fields: map[string]any{}}
		for _, field := range *step.Key {
			key.Fields[field.Name] = field.Value.Unstructured()
		}
		return key
	}
	return stateschema.Key{}
}

// keepTime leaves managed fields as they were, with their times and in their order, if an apply has changed nothing. Upstream gives an entry
// the time of now that it thinks has changed, and puts the latest one last.
func keepTime(now, before *v1alpha1.NodeNetworkState) {
	isSame := apiequality.Semantic.DeepEqual
	if len(now.ManagedFields) != len(before.ManagedFields) {
		return
	}
	for _, entry := range now.ManagedFields {
		at := slices.IndexFunc(before.ManagedFields, claim{entry: entry}.isOf)
		if at < 0 || !isSame(entry.FieldsV1, before.ManagedFields[at].FieldsV1) {
			return
		}
	}
	if isSame(now.Annotations, before.Annotations) && sameSpec(&now.Spec, &before.Spec) {
		now.ManagedFields = before.ManagedFields
	}
}

// sameSpec compares by meaning: a merge encodes the state anew.
func sameSpec(a, b *v1alpha1.NodeNetworkStateSpec) bool {
	x, y := *a, *b
	x.DesiredState, y.DesiredState = nil, nil
	return v1alpha1.SameState(a.DesiredState, b.DesiredState) && apiequality.Semantic.DeepEqual(x, y)
}
