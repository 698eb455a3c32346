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
	"reflect"
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
	text, err := json.Marshal(differs)
	return v1alpha1.NewState(text), err
}

// settleInterfaces drops interfaces that are to be absent and are.
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
		if fields["state"] == "absent" && isAbsent(there[fields["name"]]) {
			continue
		}
		left = append(left, item)
	}
	setOrDrop(differs, "interfaces", left)
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
	for _, item := range items {
		there, _ := item.(map[string]any)
		matches := true
		for key, value := range fields {
			if key != "state" && !sameValue(value, there[key]) {
				matches = false
				break
			}
		}
		if matches {
			return true
		}
	}
	return false
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

// settleValues drops a section whose wanted values all are the ones that are there.
func settleValues(differs, has map[string]any, section string) {
	there, _ := has[section].(map[string]any)
	switch wanted := differs[section].(type) {
	case map[string]any:
		for kind, value := range wanted {
			if isSubset(value, there[kind]) || isSubset(value, there["running"]) {
				delete(wanted, kind)
			}
		}
		if len(wanted) == 0 {
			delete(differs, section)
		}
	}
}

// isSubset tells whether all that wanted says is so in there; nothing wanted
// means nothing there.
func isSubset(wanted, there any) bool {
	fields, ok := wanted.(map[string]any)
	if !ok {
		return sameValue(wanted, there)
	}
	other, _ := there.(map[string]any)
	if len(fields) == 0 {
		return len(other) == 0
	}
	for key, value := range fields {
		if items, isList := value.([]any); isList && len(items) == 0 && len(list(other, key)) == 0 {
			continue
		}
		if !sameValue(value, other[key]) {
			return false
		}
	}
	return true
}

func setOrDrop(fields map[string]any, key string, items []any) {
	if len(items) == 0 {
		delete(fields, key)
		return
	}
	fields[key] = items
}
