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
	var shown []metav1.ManagedFieldsEntry
	var claims []claim
	for _, entry := range object.ManagedFields {
		set, lists := fieldsOf(entry), fieldpath.NewSet()
		addLists(lists, o.merging.Whole(), inState(set), nil)
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
	state, err := decode(object.Spec.DesiredState)
	if err != nil || len(claims) == 0 {
		return claims
	}
	for _, c := range claims {
		c.lists.Iterate(func(path fieldpath.Path) {
			fields := holder(o.merging.Whole(), state, path, false)
			if list, isList := fields[last(path)].([]any); isList && len(list) == 0 {
				delete(fields, last(path))
			}
		})
	}
	if hidden, err := encode(state); err == nil && object.Spec.DesiredState != nil {
		object.Spec.DesiredState = hidden
	}
	return claims
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
		c.lists.Iterate(func(path fieldpath.Path) {
			if _, isList := holder(o.merging.Whole(), state, path, false)[last(path)].([]any); isList {
				lists.Insert(path.Copy())
			}
		})
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
// are owned, and without the lists that the applying manager has given up. managed is what upstream says of it. It returns the claims of now on: those of other managers,
// and the manager's on the empty lists of what it has applied.
func (o ownership) settle(state, applied any, manager string, managed []metav1.ManagedFieldsEntry, claims []claim) (any, []claim) {
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
	at := slices.IndexFunc(claims, func(c claim) bool { return own.isOf(c.entry) })
	if at < 0 {
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
	wanted.Iterate(func(path fieldpath.Path) {
		if fields := holder(o.merging.Whole(), state, path, true); fields != nil && fields[last(path)] == nil {
			fields[last(path)] = []any{}
		}
	})
	owned := fieldpath.NewSet()
	for _, entry := range managed {
		owned = owned.Union(inState(fieldsOf(entry)))
	}
	given.Difference(wanted).Iterate(func(path fieldpath.Path) { removeEmpty(o.merging.Whole(), state, path, nil, owned) })
	// Upstream drops a map in which there is nothing but an empty list, even if a manager owns the map itself.
	if left, err := o.fields(state); err == nil {
		owned.Leaves().Difference(left).Iterate(func(path fieldpath.Path) {
			if fields := holder(o.merging.Whole(), state, path, true); fields != nil && path[len(path)-1].FieldName != nil && fields[last(path)] == nil {
				fields[last(path)] = map[string]any{}
			}
		})
	}
	return state, result
}

// last returns the field that a path ends in.
func last(path fieldpath.Path) string { return *path[len(path)-1].FieldName }

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

// holder returns the map in a state that has, or can have, the last field of a path; nil if there is none. It makes the maps
// that lack on the way if it is told to.
func holder(part stateschema.Part, state any, path fieldpath.Path, makes bool) map[string]any {
	for i, step := range path[:len(path)-1] {
		next := within(part, state, step)
		if fields, isMap := state.(map[string]any); next == nil && makes && isMap && path[i+1].FieldName != nil {
			next = map[string]any{}
			fields[*step.FieldName] = next
		}
		state, part = next, below(part, step)
	}
	fields, _ := state.(map[string]any)
	return fields
}

// removeEmpty removes the list at the end of a path if it is empty, and the maps around it that are empty then and that nobody
// owns. way is the path to state.
func removeEmpty(part stateschema.Part, state any, path, way fieldpath.Path, owned *fieldpath.Set) {
	step := path[0]
	next := within(part, state, step)
	way = append(way.Copy(), step)
	isEmpty := false
	if len(path) == 1 {
		list, isList := next.([]any)
		isEmpty = next == nil || isList && len(list) == 0
	} else {
		removeEmpty(below(part, step), next, path[1:], way, owned)
		fields, isMap := next.(map[string]any)
		isEmpty = isMap && len(fields) == 0 && !owned.Has(way)
	}
	if fields, isMap := state.(map[string]any); isMap && isEmpty {
		delete(fields, *step.FieldName)
	}
}

// within returns the field, or the entry of a list, that a step of a path leads to; nil if it is not there.
func within(part stateschema.Part, state any, step fieldpath.PathElement) any {
	if fields, isMap := state.(map[string]any); isMap && step.FieldName != nil {
		return fields[*step.FieldName]
	}
	entries, _ := state.([]any)
	for _, entry := range entries {
		if key, err := part.Key(entry); err == nil && element(key).Equals(step) {
			return entry
		}
	}
	return nil
}

// below returns the structure of what a step of a path leads to.
func below(part stateschema.Part, step fieldpath.PathElement) stateschema.Part {
	if step.FieldName != nil {
		return part.Field(*step.FieldName)
	}
	return part.Entry()
}

// keepTime leaves managed fields as they were if an apply has changed nothing. Upstream gives an entry the time of now that it
// thinks has changed.
func keepTime(now, before *v1alpha1.NodeNetworkState) {
	same := slices.Clone(now.ManagedFields)
	if len(same) != len(before.ManagedFields) {
		return
	}
	for i, entry := range same {
		if at := slices.IndexFunc(before.ManagedFields, claim{entry: entry}.isOf); at >= 0 {
			same[i].Time = before.ManagedFields[at].Time
		}
	}
	isSame := apiequality.Semantic.DeepEqual
	if isSame(same, before.ManagedFields) && isSame(now.Annotations, before.Annotations) && sameSpec(&now.Spec, &before.Spec) {
		now.ManagedFields = same
	}
}

// sameSpec compares by meaning: a merge encodes the state anew.
func sameSpec(a, b *v1alpha1.NodeNetworkStateSpec) bool {
	x, y := *a, *b
	x.DesiredState, y.DesiredState = nil, nil
	return v1alpha1.SameState(a.DesiredState, b.DesiredState) && apiequality.Semantic.DeepEqual(x, y)
}
