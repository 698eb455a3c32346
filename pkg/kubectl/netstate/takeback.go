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

// missing is what a value is that is not there. It is not null: in OVS's databases null is what removes a key.
type missing struct{}

func isThere(value any) bool {
	_, is := value.(missing)
	return !is
}

// TakeBack returns a spec without what a change made of it. The change led from the spec before to the spec after, and now is the
// spec as it is. What the change altered is what it was before; the rest is as it is now. If now is after, the result is before.
func TakeBack(now, before, after map[string]any) map[string]any {
	return tree.Object(takeBack(now, before, after))
}

// takeBack returns a value without what a change made of it. Each value may be missing, and the result, too.
func takeBack(now, before, after any) any {
	switch {
	case reflect.DeepEqual(before, after):
		return now
	case reflect.DeepEqual(now, after):
		return before
	case areObjects(now, before, after):
		fields := takeBackFields(tree.Object(now), tree.Object(before), tree.Object(after))
		return unlessEmpty(fields, len(fields), now, before)
	case areEntries(now, before, after):
		entries := takeBackEntries(tree.Items(now), tree.Items(before), tree.Items(after))
		return unlessEmpty(entries, len(entries), now, before)
	}
	return before
}

// areObjects tells whether all values are objects, but for those that are missing: these count as empty ones.
func areObjects(values ...any) bool {
	return all(values, func(value any) bool { return tree.Object(value) != nil })
}

// areEntries tells whether all values are lists of objects, but for those that are missing. Lists of anything else, such as DNS servers,
// are one value.
func areEntries(values ...any) bool {
	return all(values, func(value any) bool {
		list, isList := value.([]any)
		return isList && areObjects(list...)
	})
}

func all(values []any, is func(any) bool) bool {
	return !slices.ContainsFunc(values, func(value any) bool { return isThere(value) && !is(value) })
}

// unlessEmpty returns a value, or that it is missing: if it is empty, and was not there before or is not there now.
func unlessEmpty(value any, size int, now, before any) any {
	if size == 0 && !(isThere(now) && isThere(before)) {
		return missing{}
	}
	return value
}

func takeBackFields(now, before, after map[string]any) map[string]any {
	result := maps.Clone(now)
	if result == nil {
		result = map[string]any{}
	}
	for _, changed := range []map[string]any{before, after} {
		for key := range changed {
			if value := takeBack(field(now, key), field(before, key), field(after, key)); isThere(value) {
				result[key] = value
			} else {
				delete(result, key)
			}
		}
	}
	return result
}

// field returns a field of an object. It may be missing.
func field(fields map[string]any, key string) any {
	if value, there := fields[key]; there {
		return value
	}
	return missing{}
}

// takeBackEntries does so entry by entry. Entries that are there now keep their places. An entry that the change brought goes as a
// whole, and one that a later change took away comes back as a whole: a part of one would not tell what it is about.
func takeBackEntries(now, before, after []any) []any {
	var result []any
	for _, entry := range now {
		was, led := sameEntry(entry, before), sameEntry(entry, after)
		if !isThere(was) && isThere(led) {
			continue
		}
		result = append(result, takeBack(entry, was, led))
	}
	for _, entry := range before {
		if !isThere(sameEntry(entry, now)) && !reflect.DeepEqual(entry, sameEntry(entry, after)) {
			result = append(result, entry)
		}
	}
	return orEmpty(result)
}

// sameEntry returns the entry of a list that has the same key, or if it has none the same fields. It is missing if there is none.
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
	return missing{}
}
