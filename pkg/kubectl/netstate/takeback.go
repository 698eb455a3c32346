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

package netstate

import (
	"maps"
	"reflect"
	"slices"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// TakeBack returns a spec without what a change made of it. The change led from the spec before to the spec after, and now is the
// spec as it is. What the change altered is what it was before; the rest is as it is now. If now is after, the result is before.
func TakeBack(now, before, after map[string]any) map[string]any {
	return tree.Object(takeBack(now, before, after))
}

// takeBack returns a value without what a change made of it. nil stands for a value that is not there.
func takeBack(now, before, after any) any {
	switch {
	case reflect.DeepEqual(before, after):
		return now
	case reflect.DeepEqual(now, after):
		return before
	case areObjects(now, before, after):
		return takeBackFields(tree.Object(now), tree.Object(before), tree.Object(after))
	case areEntries(now, before, after):
		return takeBackEntries(tree.Items(now), tree.Items(before), tree.Items(after))
	}
	return before
}

func areObjects(values ...any) bool {
	return !slices.ContainsFunc(values, func(value any) bool { return tree.Object(value) == nil })
}

// areEntries tells whether all values are lists of objects. Lists of anything else, such as DNS servers, are one value.
func areEntries(values ...any) bool {
	return !slices.ContainsFunc(values, func(value any) bool {
		list, isList := value.([]any)
		return !isList || !areObjects(list...)
	})
}

func takeBackFields(now, before, after map[string]any) map[string]any {
	result := maps.Clone(now)
	for _, changed := range []map[string]any{before, after} {
		for key := range changed {
			if value := takeBack(now[key], before[key], after[key]); value != nil {
				result[key] = value
			} else {
				delete(result, key)
			}
		}
	}
	return result
}

// takeBackEntries does so entry by entry. Entries that are there now keep their places.
func takeBackEntries(now, before, after []any) []any {
	var result []any
	for _, entry := range now {
		if value := takeBack(entry, sameEntry(entry, before), sameEntry(entry, after)); value != nil {
			result = append(result, value)
		}
	}
	for _, entry := range before {
		if sameEntry(entry, now) == nil && !reflect.DeepEqual(entry, sameEntry(entry, after)) {
			result = append(result, entry)
		}
	}
	return orEmpty(result)
}

// sameEntry returns the entry of a list that has the same key, or if it has none the same fields. It is nil if there is none.
func sameEntry(entry any, list []any) any {
	fields := tree.Object(entry)
	key := keyOf(fields)
	for _, other := range list {
		same := reflect.DeepEqual(entry, other)
		if key == "name" {
			same = sameInterface(fields, tree.Object(other))
		} else if key != "" {
			same = tree.SameValue(fields[key], tree.Object(other)[key])
		}
		if same {
			return other
		}
	}
	return nil
}
