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

package removal

import (
	"maps"
	"slices"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// divided are the objects whose fields are parts of their own, by the path's first name, beside the lists that are read
// by their keys. All other objects, such as ipv4, are one part: nmstate does not take one of their fields without the others.
var divided = []string{"bridge", "ethernet", "ethtool", "dns-resolver", "hostname", "ovs-db"}

// isDivided tells whether the fields of the object at path are parts of their own.
func isDivided(path string) bool {
	switch first, rest, _ := strings.Cut(path, "."); first {
	case "alt-names":
		return rest == ""
	case "ovn":
		return rest == "" || rest == mappings
	default:
		return slices.Contains(divided, first) && path != "ethernet.sr-iov"
	}
}

func join(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

// both returns two values as objects if they are objects whose fields are parts of their own.
func both(path string, a, b any) (x, y map[string]any, are bool) {
	x, y = tree.Object(a), tree.Object(b)
	return x, y, x != nil && y != nil && isDivided(path)
}

// before returns the value that each wanted field has in there. A field that is not shown has the value that switches it
// off, or nil if nothing is known to.
func before(path string, wanted, there map[string]any) map[string]any {
	found := map[string]any{}
	for name, value := range wanted {
		at := join(path, name)
		if fields := tree.Object(value); fields != nil && isDivided(at) {
			found[name] = before(at, fields, tree.Object(there[name]))
			continue
		}
		has := there[name]
		if has == nil {
			has = off(at, value)
		}
		if secret.HasMask(map[string]any{name: has}) {
			has = nil // a secret that cannot be read cannot be put back
		}
		found[name] = has
	}
	return found
}

// off returns the value that a field has which is not shown, nil if that is not known.
func off(path string, wanted any) any {
	first, rest, _ := strings.Cut(path, ".")
	switch {
	case path == "controller" || path == "description":
		return ""
	case first == "alt-names" || first == "ovn" && strings.HasPrefix(rest, mappings+"."):
		return map[string]any{"state": "absent"}
	case first == "dns-resolver":
		return []any{}
	}
	switch wanted := wanted.(type) {
	case bool:
		return false
	case []any:
		return []any{}
	case map[string]any:
		if wanted["enabled"] != nil {
			return map[string]any{"enabled": false}
		}
	}
	return nil
}

// less returns the fields of one tree that the other one does not have.
func less(path string, one, other map[string]any) map[string]any {
	left := map[string]any{}
	for name, value := range one {
		at := join(path, name)
		has, is := other[name]
		if !is {
			left[name] = value
			continue
		}
		if x, y, are := both(at, value, has); are {
			if rest := less(at, x, y); len(rest) > 0 {
				left[name] = rest
			}
		}
	}
	return left
}

// common returns the fields of one tree that the other one has, too.
func common(path string, one, other map[string]any) map[string]any {
	found := map[string]any{}
	for name, value := range one {
		at := join(path, name)
		has, is := other[name]
		if !is {
			continue
		}
		if x, y, are := both(at, value, has); are {
			value = common(at, x, y)
		}
		found[name] = value
	}
	return found
}

// fill adds the fields to an object that it does not have.
func fill(path string, to, from map[string]any) map[string]any {
	result := maps.Clone(to)
	if result == nil {
		result = map[string]any{}
	}
	for name, value := range from {
		at := join(path, name)
		has, is := result[name]
		if !is {
			result[name] = value
		} else if x, y, are := both(at, has, value); are {
			result[name] = fill(at, x, y)
		}
	}
	return result
}

// settable returns the fields that can be put back. Null takes a key of Open vSwitch's database away, and is
// not known elsewhere.
func settable(path string, fields map[string]any) map[string]any {
	result := map[string]any{}
	for name, value := range fields {
		at := join(path, name)
		switch inner := tree.Object(value); {
		case value == nil && !strings.HasPrefix(at, "ovs-db."):
		case inner != nil && isDivided(at):
			if inner = settable(at, inner); len(inner) > 0 {
				result[name] = inner
			}
		default:
			result[name] = value
		}
	}
	return result
}

// paths returns the paths of all fields of a tree, sorted.
func paths(path string, fields map[string]any) []string {
	var found []string
	for name, value := range fields {
		at := join(path, name)
		if inner := tree.Object(value); inner != nil && isDivided(at) && len(inner) > 0 {
			found = append(found, paths(at, inner)...)
		} else {
			found = append(found, at)
		}
	}
	slices.Sort(found)
	return found
}

// byKey returns a list whose items stand for themselves, and stay where they are not mentioned, as an object of the items by their key.
func byKey(list []any, key string) map[string]any {
	items := map[string]any{}
	for _, item := range list {
		fields := maps.Clone(tree.Object(item))
		name := tree.StringAt(fields, key)
		delete(fields, key)
		items[name] = fields
	}
	return items
}

// asList is the opposite of byKey.
func asList(items map[string]any, key string) []any {
	list := []any{}
	for _, name := range slices.Sorted(maps.Keys(items)) {
		fields := maps.Clone(tree.Object(items[name]))
		if fields == nil {
			fields = map[string]any{}
		}
		fields[key] = name
		list = append(list, fields)
	}
	return list
}
