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

package fake

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// network is a network state: JSON in Go's own types.
type network map[string]any

// sections are the keys that a network may have.
var sections = []string{"interfaces", "routes", "route-rules", "dns-resolver", "hostname"}

// parse returns a state, or an error of kind Invalid. No state is an empty network.
func parse(state *v1alpha1.State) (network, error) {
	parsed := network{}
	if state == nil {
		return parsed, nil
	}
	if err := json.Unmarshal(state.Raw, &parsed); err != nil {
		return nil, invalid("the state is no JSON object")
	}
	for key := range parsed {
		if !slices.Contains(sections, key) {
			return nil, invalid(fmt.Sprintf("unknown field `%s`, expected one of `%s`", key, strings.Join(sections, "`, `")))
		}
	}
	for _, i := range parsed.interfaces() {
		if nameOf(i) == "" {
			return nil, invalid("interface: missing field `name`")
		}
	}
	return parsed, nil
}

func invalid(message string) error {
	return &agent.Error{Kind: agent.Invalid, Reason: "InvalidArgument", Message: message}
}

// state returns the network as JSON, keys sorted.
func (n network) state() *v1alpha1.State {
	text, err := json.Marshal(n)
	if err != nil {
		panic(fmt.Sprintf("a network that came from JSON does not become JSON: %v", err))
	}
	return v1alpha1.NewState(text)
}

func (n network) interfaces() []any {
	list, _ := n["interfaces"].([]any)
	return list
}

func nameOf(i any) string {
	properties, _ := i.(map[string]any)
	name, _ := properties["name"].(string)
	return name
}

// named returns the properties of the interface of that name, nil if there is none.
func (n network) named(name string) map[string]any {
	for _, i := range n.interfaces() {
		if nameOf(i) == name {
			properties, _ := i.(map[string]any)
			return properties
		}
	}
	return nil
}

// merged returns the network as it is once the wanted one was applied.
func (n network) merged(wanted network) network {
	result := network{}
	for key, value := range n {
		result[key] = value
	}
	for key, value := range wanted {
		if key != "interfaces" {
			result[key] = value
		}
	}
	var interfaces []any
	for _, i := range n.interfaces() {
		if wanted.named(nameOf(i)) == nil {
			interfaces = append(interfaces, i)
		}
	}
	for _, i := range wanted.interfaces() {
		name := nameOf(i)
		if wanted.named(name)["state"] == "absent" {
			continue
		}
		properties := map[string]any{"state": "up"}
		for key, value := range n.named(name) {
			properties[key] = value
		}
		for key, value := range wanted.named(name) {
			properties[key] = value
		}
		interfaces = append(interfaces, properties)
	}
	slices.SortFunc(interfaces, func(a, b any) int { return strings.Compare(nameOf(a), nameOf(b)) })
	result["interfaces"] = interfaces
	return result
}

// revert returns the state that makes the network what it is now, once the wanted one was applied.
func (n network) revert(wanted network) *v1alpha1.State {
	result := network{}
	for key := range wanted {
		if value, there := n[key]; there && key != "interfaces" {
			result[key] = value
		}
	}
	var interfaces []any
	for _, i := range wanted.interfaces() {
		if before := n.named(nameOf(i)); before != nil {
			interfaces = append(interfaces, before)
		} else {
			interfaces = append(interfaces, map[string]any{"name": nameOf(i), "state": "absent"})
		}
	}
	if interfaces != nil {
		result["interfaces"] = interfaces
	}
	return result.state()
}

// missing returns what of the wanted network does not hold, nil if all does.
func (n network) missing(wanted network) *v1alpha1.State {
	result := network{}
	for key, value := range wanted {
		if key != "interfaces" && !reflect.DeepEqual(n[key], value) {
			result[key] = value
		}
	}
	after := n.merged(wanted)
	var interfaces []any
	for _, i := range wanted.interfaces() {
		if !reflect.DeepEqual(n.named(nameOf(i)), after.named(nameOf(i))) {
			interfaces = append(interfaces, i)
		}
	}
	if interfaces != nil {
		result["interfaces"] = interfaces
	}
	if len(result) == 0 {
		return nil
	}
	return result.state()
}

// sameMeaning tells whether two states are the same but for the way they are written.
func sameMeaning(a, b *v1alpha1.State) bool {
	if a == nil || b == nil {
		return a == b
	}
	var left, right any
	if json.Unmarshal(a.Raw, &left) != nil || json.Unmarshal(b.Raw, &right) != nil {
		return false
	}
	return reflect.DeepEqual(left, right)
}
