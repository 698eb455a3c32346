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
	"slices"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// Merge returns the desired state that takes a change back: what is desired now, with what the revert of the change says laid
// over it. What the revert does not speak of stays desired. A revert alone would have the spec forget the rest, and a node
// without NetworkManager would not apply it again after a boot.
func Merge(desired, revert map[string]any) map[string]any {
	merged := maps.Clone(desired)
	if merged == nil {
		merged = map[string]any{}
	}
	for section, value := range revert {
		switch section {
		case "interfaces":
			merged[section] = mergeInterfaces(tree.Items(desired[section]), tree.Items(value))
		case "routes", "route-rules":
			entries := mergeEntries(tree.List(tree.Object(desired[section]), "config"), tree.List(tree.Object(value), "config"))
			merged[section] = map[string]any{"config": entries}
		case "dns-resolver", "hostname":
			merged[section] = value
		default:
			merged[section] = lay(desired[section], value)
		}
	}
	return merged
}

// Asking returns a revert without what asks for nothing: nmstate writes an empty list of interfaces into each, and beside what is to be
// configured what is running. A section that is empty then is left out.
func Asking(revert map[string]any) map[string]any {
	asking := map[string]any{}
	for section, value := range revert {
		fields := maps.Clone(tree.Object(value))
		delete(fields, "running")
		switch {
		case section == "interfaces" && len(tree.Items(value)) == 0:
		case fields != nil && len(fields) == 0:
		case fields != nil:
			asking[section] = fields
		default:
			asking[section] = value
		}
	}
	return asking
}

// WithoutRemoved returns a revert without the interfaces that the change has removed, which led to the desired state after, and that are
// desired.
func WithoutRemoved(revert, after, desired map[string]any) map[string]any {
	removed := slices.DeleteFunc(slices.Clone(tree.List(after, "interfaces")), func(entry any) bool { return tree.Object(entry)["state"] != "absent" })
	undesired := Without(removed, tree.List(desired, "interfaces"))
	result := maps.Clone(revert)
	delete(result, "interfaces")
	if left := Without(tree.List(revert, "interfaces"), Without(removed, undesired)); len(left) > 0 {
		result["interfaces"] = left
	}
	return result
}

// Without returns the interfaces of a list that another list does not have.
func Without(interfaces, others []any) []any {
	return slices.DeleteFunc(slices.Clone(interfaces), func(entry any) bool {
		return slices.ContainsFunc(others, func(other any) bool { return sameInterface(tree.Object(entry), tree.Object(other)) })
	})
}

func mergeInterfaces(desired, revert []any) []any {
	merged := slices.Clone(desired)
	for _, item := range revert {
		over := tree.Object(item)
		i := slices.IndexFunc(merged, func(other any) bool { return sameInterface(tree.Object(other), over) })
		switch {
		case i < 0:
			merged = append(merged, over)
		case over["state"] == "absent":
			// What else was desired of it means nothing any more.
			merged[i] = over
		case tree.Object(merged[i])["state"] == "absent":
			merged[i] = over
		default:
			merged[i] = lay(merged[i], over)
		}
	}
	return orEmpty(merged)
}

func sameInterface(a, b map[string]any) bool {
	return a["name"] == b["name"] && (a["type"] == nil || b["type"] == nil || a["type"] == b["type"])
}

// mergeEntries returns the desired routes or rules without those that the revert removes or repeats, and the revert's.
func mergeEntries(desired, revert []any) []any {
	var merged []any
	for _, item := range desired {
		entry := tree.Object(item)
		overruled := slices.ContainsFunc(revert, func(other any) bool { return overrules(tree.Object(other), entry) })
		if !overruled {
			merged = append(merged, item)
		}
	}
	return append(orEmpty(merged), revert...)
}

// overrules tells whether an entry of a revert takes the place of a desired one.
func overrules(revert, desired map[string]any) bool {
	removes, removed := revert["state"] == "absent", desired["state"] == "absent"
	switch {
	case removes && !removed:
		return matches(revert, desired)
	case removed && !removes:
		return matches(desired, revert)
	}
	return maps.Equal(scalars(revert), scalars(desired))
}

// lay returns a value with another one laid over it: of objects field by field, of lists of objects with keys by key.
func lay(under, over any) any {
	switch over := over.(type) {
	case map[string]any:
		below := tree.Object(under)
		if below == nil {
			return over
		}
		merged := maps.Clone(below)
		for key, value := range over {
			merged[key] = lay(below[key], value)
		}
		return merged
	case []any:
		return layList(tree.Items(under), over)
	}
	return over
}

// layList replaces a list, but for OVN's mappings: those that are not mentioned stay.
func layList(under, over []any) []any {
	if len(over) == 0 || tree.Object(over[0])["localnet"] == nil {
		return over
	}
	merged := slices.DeleteFunc(slices.Clone(under), func(item any) bool {
		return sameKey("localnet", tree.Object(item), over) != nil
	})
	return append(merged, over...)
}
