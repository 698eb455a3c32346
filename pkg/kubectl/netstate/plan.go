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

// Plan returns what a planned change makes of the network, as two states that can be compared: the part of the current state
// that the change is about, and the same part after it. difference is status.difference of the answer to a dry run.
func Plan(current, difference map[string]any) (before, after map[string]any) {
	before, after = map[string]any{}, map[string]any{}
	for section, wanted := range difference {
		switch section {
		case "interfaces":
			before[section], after[section] = planInterfaces(current, tree.Items(wanted))
		case "routes", "route-rules":
			there := tree.List(tree.Object(current[section]), "config")
			if section == "routes" {
				there = append(slices.Clone(there), running(current)...)
			}
			was, is := planEntries(there, tree.List(tree.Object(wanted), "config"))
			before[section], after[section] = map[string]any{"config": was}, map[string]any{"config": is}
		default:
			before[section], after[section] = project(current[section], wanted), wanted
		}
	}
	return before, after
}

// planInterfaces returns the interfaces that differ, as they are and as they are to be. One that is to be absent has its
// state alone.
func planInterfaces(current map[string]any, wanted []any) (before, after []any) {
	for _, item := range wanted {
		is := tree.Object(item)
		was := findInterface(current, is)
		if was == nil {
			after = append(after, is)
			continue
		}
		if is["state"] == "absent" {
			is = map[string]any{"name": was["name"], "type": was["type"], "state": "absent"}
		}
		if is["type"] == "ethernet" && was["type"] != nil {
			// It means each link of the kernel that has no other type, such as a veth.
			is = maps.Clone(is)
			is["type"] = was["type"]
		}
		part := tree.Object(project(was, is))
		if is["controller"] == "" { // to be the port of nothing
			is = maps.Clone(is)
			delete(is, "controller")
		}
		part["name"] = is["name"]
		before, after = append(before, part), append(after, is)
	}
	return orEmpty(before), orEmpty(after)
}

// findInterface returns the current interface that an entry of a desired state means, nil if it is not there. A type that is
// another one than the interface has counts only where several interfaces have the name: "ethernet" means a veth, too.
func findInterface(current, wanted map[string]any) map[string]any {
	var named []map[string]any
	for _, item := range tree.List(current, "interfaces") {
		if fields := tree.Object(item); fields["name"] == wanted["name"] {
			if fields["type"] == wanted["type"] {
				return fields
			}
			named = append(named, fields)
		}
	}
	if len(named) == 1 {
		return named[0]
	}
	return nil
}

// project returns the part of a current value that a wanted value is about: of objects the wanted fields, of lists of named
// objects the wanted fields of each. Addresses that nobody configured are no part of it, as no change configures them.
func project(current, wanted any) any {
	switch wanted := wanted.(type) {
	case map[string]any:
		fields := tree.Object(current)
		part := map[string]any{}
		for key, inner := range wanted {
			if value, there := fields[key]; there {
				part[key] = project(value, inner)
			}
		}
		return part
	case []any:
		list, isList := current.([]any)
		if !isList {
			return current
		}
		return projectList(list, wanted)
	}
	return current
}

// listKeys are the fields that tell objects of nmstate's lists apart.
var listKeys = []string{"name", "ip", "localnet"}

func projectList(current, wanted []any) []any {
	part := []any{}
	for _, item := range current {
		fields := tree.Object(item)
		if fields == nil {
			part = append(part, item)
			continue
		}
		key := keyOf(fields)
		if key == "ip" && (tree.IsDynamic(fields) || isLinkLocal(fields)) && sameKey(key, fields, wanted) == nil {
			continue
		}
		switch other := sameKey(key, fields, wanted); {
		case other != nil:
			inner := tree.Object(project(fields, other))
			inner[key] = fields[key]
			part = append(part, inner)
		case key == "ip":
			part = append(part, map[string]any{"ip": fields["ip"], "prefix-length": fields["prefix-length"]})
		case key == "name":
			part = append(part, map[string]any{"name": fields["name"]})
		default:
			part = append(part, item)
		}
	}
	return part
}

// keyOf returns the field by which an object of a list is known, "" if there is none.
func keyOf(fields map[string]any) string {
	for _, key := range listKeys {
		if fields[key] != nil {
			return key
		}
	}
	return ""
}

// sameKey returns the object of a list that is known by the same key, nil if there is none.
func sameKey(key string, fields map[string]any, list []any) map[string]any {
	if key == "" {
		return nil
	}
	for _, item := range list {
		if other := tree.Object(item); other != nil && tree.SameValue(other[key], fields[key]) {
			return other
		}
	}
	return nil
}

// planEntries returns the routes or rules that a change removes, and those that it adds.
func planEntries(there, wanted []any) (removed, added []any) {
	for _, item := range wanted {
		entry := tree.Object(item)
		if entry["state"] != "absent" {
			added = append(added, entry)
			continue
		}
		for _, other := range there {
			fields := tree.Object(other)
			if matches(entry, fields) && !slices.ContainsFunc(removed, func(one any) bool { return maps.Equal(scalars(one), scalars(fields)) }) {
				removed = append(removed, fields)
			}
		}
	}
	return orEmpty(removed), orEmpty(added)
}

// scalars returns an object's fields as text.
func scalars(entry any) map[string]string {
	flat := map[string]string{}
	flatten("", entry, flat)
	return flat
}

// matches tells whether a route or rule has all that an entry that is to be absent gives. nmstate looks at no metric then.
func matches(absent, there map[string]any) bool {
	for key, value := range absent {
		switch key {
		case "state", "metric":
		case "destination", "ip-from", "ip-to":
			if !tree.SamePrefix(value, there[key]) {
				return false
			}
		default:
			if !tree.SameValue(value, there[key]) {
				return false
			}
		}
	}
	return true
}
