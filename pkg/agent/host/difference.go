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

package host

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// difference returns the part of desired that current does not have, nil if it
// has all. nmstate tells it, but for three things that it takes for different
// though they hold: what is to be absent and is, a route or rule of which only
// some fields are given, and what DNS and hostname have as running.
func difference(desired *v1alpha1.State, current []byte) (*v1alpha1.State, error) {
	if desired == nil {
		return nil, nil
	}
	raw, err := nmstate.GenerateDifferences(desired.Raw, current)
	if err != nil {
		return nil, err
	}
	differs, err := decode(raw)
	if err != nil {
		return nil, err
	}
	has, err := decode(current)
	if err != nil {
		return nil, err
	}
	settleInterfaces(differs, has)
	settleEntries(differs, has, "routes")
	settleEntries(differs, has, "route-rules")
	settleValues(differs, has, "dns-resolver")
	settleValues(differs, has, "hostname")
	if len(differs) == 0 {
		return nil, nil
	}
	text, err := encode(differs)
	return v1alpha1.NewState(text), err
}

// settleInterfaces drops interfaces that are to be absent and are, and fields
// that hold.
func settleInterfaces(differs, has map[string]any) {
	there := map[any]map[string]any{}
	for _, item := range list(has, "interfaces") {
		if fields, ok := item.(map[string]any); ok {
			there[fields["name"]] = fields
		}
	}
	var left []any
	for _, item := range list(differs, "interfaces") {
		fields, _ := item.(map[string]any)
		if !settled(fields, there[fields["name"]]) {
			left = append(left, item)
		}
	}
	setOrDrop(differs, "interfaces", left)
}

// settled drops the fields of a wanted interface that hold and tells whether all do.
func settled(wanted, there map[string]any) bool {
	if wanted["state"] == "absent" {
		return isAbsent(there)
	}
	rest := 0
	for key, value := range wanted {
		switch {
		case key == "name" || key == "type" && sameType(value, there[key]):
		case !holds(value, there[key]):
			rest++
		case key != "state":
			delete(wanted, key)
		}
	}
	return rest == 0
}

// sameType tells whether two types of interface are the same to nmstate, which
// takes a veth for an ethernet interface with a peer.
func sameType(a, b any) bool {
	return a == b || (a == "ethernet" || a == "veth") && (b == "ethernet" || b == "veth")
}

// holds tells whether there has all that is wanted: all fields of an object; as
// many items in a list, each wanted one among them.
func holds(wanted, there any) bool {
	switch wanted := wanted.(type) {
	case map[string]any:
		fields, _ := there.(map[string]any)
		for key, value := range wanted {
			if !holds(value, fields[key]) {
				return false
			}
		}
		return true
	case []any:
		items, _ := there.([]any)
		items = withoutLinkLocal(items)
		return len(items) == len(withoutLinkLocal(wanted)) && !slices.ContainsFunc(wanted, func(one any) bool {
			return !slices.ContainsFunc(items, func(other any) bool { return holds(one, other) })
		})
	}
	// What is off need not be shown.
	return sameValue(wanted, there) || wanted == false && there == nil
}

// withoutLinkLocal leaves out the addresses that the kernel makes by itself.
func withoutLinkLocal(items []any) []any {
	return slices.DeleteFunc(slices.Clone(items), func(item any) bool {
		fields, _ := item.(map[string]any)
		ip, _ := fields["ip"].(string)
		return strings.HasPrefix(ip, "fe80:")
	})
}

// isAbsent tells whether an interface is absent as far as it can be: a physical
// one stays there and is down.
func isAbsent(iface map[string]any) bool {
	return iface == nil || iface["type"] == "ethernet" && iface["state"] != "up"
}

// settleEntries drops routes, or rules, that hold: one to be there matches one
// that is, in every field given; one to be absent matches none.
func settleEntries(differs, has map[string]any, section string) {
	wanted, _ := differs[section].(map[string]any)
	there, _ := has[section].(map[string]any)
	all := append(append([]any{}, list(there, "config")...), list(there, "running")...)
	var left []any
	for _, item := range list(wanted, "config") {
		fields, _ := item.(map[string]any)
		if matchesAny(fields, all) == (fields["state"] == "absent") {
			left = append(left, item)
		}
	}
	setOrDrop(wanted, "config", left)
	if len(wanted) == 0 {
		delete(differs, section)
	}
}

// matchesAny tells whether one of the items has all the given fields.
func matchesAny(fields map[string]any, items []any) bool {
	wanted := maps.Clone(fields)
	delete(wanted, "state")
	return slices.ContainsFunc(items, func(item any) bool { return holds(wanted, item) })
}

// sameValue compares values as nmstate reads them: a number may be given as text,
// and MAC and IPv6 addresses in any case.
func sameValue(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	return a != nil && b != nil && strings.EqualFold(text(a), text(b))
}

func text(value any) string {
	encoded, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return strings.Trim(string(encoded), "\"")
}

// settleValues drops a section whose wanted values all are the ones that are
// there. Empty values are there when there is none.
func settleValues(differs, has map[string]any, section string) {
	wanted, _ := differs[section].(map[string]any)
	there, _ := has[section].(map[string]any)
	for kind, value := range wanted {
		if holds(value, there[kind]) || holds(value, there["running"]) {
			delete(wanted, kind)
		}
	}
	if len(wanted) == 0 {
		delete(differs, section)
	}
}

func setOrDrop(fields map[string]any, key string, items []any) {
	if len(items) == 0 {
		delete(fields, key)
		return
	}
	fields[key] = items
}
