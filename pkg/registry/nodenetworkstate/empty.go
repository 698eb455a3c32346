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
	"fmt"
	"reflect"
	"regexp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/stateschema"
)

// restore puts back in now what upstream's merge lost of the body. To nmstate {}
// and null are not the same: "config: {}" clears DNS, "config: null" leaves it. It
// takes the claims that were hidden from upstream, and shows those of now on.
func (b Body) restore(o ownership, now, before *v1alpha1.NodeNetworkState, claims []claim) error {
	applies := b.is(types.ApplyYAMLPatchType)
	switch {
	case applies && len(claims) == 0 && !emptyList.Match(b.Data) && !mayLack(now.Spec.DesiredState):
		return nil
	case !applies && !b.is(types.MergePatchType):
		return nil
	case !applies && !bytes.Contains(b.Data, []byte("null")):
		return nil // a merge patch loses nulls alone
	}
	patch, patched, err := b.desired()
	if err != nil {
		return fmt.Errorf("reading spec.desiredState of the patch of %q: %w", now.Name, err)
	}
	merged, err := decode(now.Spec.DesiredState)
	if err != nil {
		return nil // validation tells the client
	}
	restored, _ := decode(now.Spec.DesiredState)
	if applies {
		existing, err := decode(before.Spec.DesiredState)
		if err != nil {
			return fmt.Errorf("reading the present spec.desiredState of %q: %w", now.Name, err)
		}
		restored = withEmpty(o.merging.Whole(), restored, existing, patch, patched)
		restored, claims = o.settle(restored, existing, patch, b.Manager, now.ManagedFields, claims)
		if fields, isMap := restored.(map[string]any); isMap && len(fields) == 0 && !patched && !owned(now.ManagedFields) {
			restored = nil // nobody wants one any more
		}
		now.ManagedFields = o.show(now.ManagedFields, restored, claims)
	} else {
		restored = withLists(restored, patch)
	}
	switch {
	case reflect.DeepEqual(restored, merged):
	case restored == nil:
		now.Spec.DesiredState = nil
	default:
		if now.Spec.DesiredState, err = encode(restored); err != nil {
			return fmt.Errorf("writing spec.desiredState of %q: %w", now.Name, err)
		}
	}
	return nil
}

// is tells whether the body is a patch of a type.
func (b Body) is(patch types.PatchType) bool { return b.MediaType == string(patch) }

// emptyList is an empty list, in JSON and in YAML.
var emptyList = regexp.MustCompile(`\[\s*\]`)

// mayLack tells, by a search of its text, whether server-side apply may have emptied
// a map or a list of a state, or all of it.
func mayLack(state *v1alpha1.State) bool {
	return state == nil || len(state.Raw) <= len("null") || bytes.Contains(state.Raw, []byte("null"))
}

// desired returns spec.desiredState of the body, and whether the body has it.
func (b Body) desired() (any, bool, error) {
	object, err := b.parse()
	if err != nil || len(object.Spec) == 0 {
		return nil, false, err
	}
	var spec map[string]json.RawMessage
	if err := utiljson.Unmarshal(object.Spec, &spec); err != nil {
		return nil, false, err
	}
	text, there := spec["desiredState"]
	if !there {
		return nil, false, nil
	}
	value, err := decode(v1alpha1.NewState(text))
	return value, true, err
}

// decode returns a state in Go's own types, its numbers as they are written.
func decode(state *v1alpha1.State) (any, error) {
	if state == nil || len(state.Raw) == 0 {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(state.Raw))
	decoder.UseNumber()
	var value any
	return value, decoder.Decode(&value)
}

// encode is the reverse of decode.
func encode(value any) (*v1alpha1.State, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return v1alpha1.NewState(bytes.TrimSpace(text.Bytes())), nil
}

// withEmpty returns now with the maps that server-side apply emptied, and without
// the lists that are owned entry by entry and that it emptied. Its merge leaves null
// for one whose last field or entry this request dropped. A null that the client
// applied stays. part is the structure of the value.
func withEmpty(part stateschema.Part, now, before, applied any, isApplied bool) any {
	switch is := now.(type) {
	case nil:
		if _, wasMap := before.(map[string]any); wasMap && !(isApplied && applied == nil) {
			return map[string]any{}
		}
	case map[string]any:
		was, _ := before.(map[string]any)
		fields, _ := applied.(map[string]any)
		for key, value := range is {
			field, there := fields[key]
			if _, wasList := was[key].([]any); wasList && value == nil && !(there && field == nil) {
				delete(is, key)
				continue
			}
			is[key] = withEmpty(part.Field(key), value, was[key], field, there)
		}
	case []any:
		if !part.HasEntries() {
			return now
		}
		was, entries := byKey(part, before), byKey(part, applied)
		for i, entry := range is {
			if key, err := part.Key(entry); err == nil {
				field, there := entries[key.String()]
				is[i] = withEmpty(part.Entry(), entry, was[key.String()], field, there)
			}
		}
	}
	return now
}

// byKey returns the entries of a list by their keys.
func byKey(part stateschema.Part, list any) map[string]any {
	entries, _ := list.([]any)
	found := make(map[string]any, len(entries))
	for _, entry := range entries {
		if key, err := part.Key(entry); err == nil {
			found[key.String()] = entry
		}
	}
	return found
}

// withLists returns now with the lists of a merge patch as they were sent. A list
// is replaced as a whole (RFC 7386), but upstream's merge drops null fields within
// its items, and in nmstate such a null removes a key: external_ids: {a: null}.
func withLists(now, patch any) any {
	switch p := patch.(type) {
	case map[string]any:
		is, _ := now.(map[string]any)
		for key, value := range p {
			if field, there := is[key]; there {
				is[key] = withLists(field, value)
			}
		}
	case []any:
		// Admission may have changed the list since; then it stays.
		if reflect.DeepEqual(now, withoutNulls(p)) {
			return p
		}
	}
	return now
}

// withoutNulls returns a copy of value without fields that are null.
func withoutNulls(value any) any {
	switch v := value.(type) {
	case map[string]any:
		kept := make(map[string]any, len(v))
		for key, field := range v {
			if field != nil {
				kept[key] = withoutNulls(field)
			}
		}
		return kept
	case []any:
		kept := make([]any, len(v))
		for i, item := range v {
			kept[i] = withoutNulls(item)
		}
		return kept
	}
	return value
}

// owned tells whether a manager owns spec.desiredState itself, not only fields of it.
func owned(managers []metav1.ManagedFieldsEntry) bool {
	for _, entry := range managers {
		var set fieldpath.Set
		if entry.FieldsV1 != nil && set.FromJSON(entry.FieldsV1.GetRawReader()) == nil && set.Has(fieldpath.MakePathOrDie("spec", "desiredState")) {
			return true
		}
	}
	return false
}
