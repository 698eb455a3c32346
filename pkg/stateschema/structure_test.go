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

package stateschema

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/yaml"
)

func merging(t testing.TB) *Merging {
	t.Helper()
	m, err := NewMerging()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestEachListIsOwnedAsItIsServed: what clients are told of each list of a state that is written, the field manager does. The
// decisions are those of hack/nmstate-schema/ownership.yaml, which has one for each list, and a reason.
func TestEachListIsOwnedAsItIsServed(t *testing.T) {
	definitions, err := Definitions("State", "Current", localReference)
	if err != nil {
		t.Fatal(err)
	}
	decisions := readOwnership(t)
	lists := map[string]bool{}
	var follow func(name string, part Part, path string)
	follow = func(name string, part Part, path string) {
		for field, property := range definitions[name].Properties {
			at, own := path+"."+field, part.Field(field)
			if property.Items == nil {
				if next := referenced(&property); next != "" && strings.Count(at, ".") < 9 {
					follow(next, own, at)
				}
				continue
			}
			lists[at] = true
			var keys []string
			for _, key := range asList(property.Extensions[listKeys]) {
				keys = append(keys, key.(string))
			}
			if own.HasEntries() != (property.Extensions[listType] != typeAtomic) || own.HasEntries() && !slices.Equal(keys, own.atom.List.Keys) {
				t.Errorf("%s is served as %v by %v, and owned by %+v", at, property.Extensions[listType], keys, own.atom.List)
			}
			if !decisions[field] {
				t.Errorf("there is no decision on %s", at)
			}
			if next := referenced(property.Items.Schema); next != "" {
				entry := own.Entry()
				isWhole := property.Items.Schema.Extensions[mapType] == typeAtomic
				if isWhole != (entry.atom.Map != nil && entry.atom.Map.ElementRelationship == "atomic") {
					t.Errorf("an entry of %s is served as atomic: %t, and owned by %+v", at, isWhole, entry.atom.Map)
				}
				follow(next, entry, at)
			}
		}
	}
	follow("State", merging(t).Whole(), "")
	if len(lists) < 20 || !lists[".interfaces"] || !lists[".interfaces.bridge.port.vlan.trunk-tags"] {
		t.Errorf("only %d lists were compared: %v", len(lists), slices.Sorted(maps.Keys(lists)))
	}
}

func asList(value any) []any {
	text, _ := json.Marshal(value)
	var list []any
	_ = json.Unmarshal(text, &list)
	return list
}

// readOwnership returns the names of the fields that decisions are on.
func readOwnership(t *testing.T) map[string]bool {
	t.Helper()
	var types map[string]map[string]struct {
		By  any    `json:"by"`
		Why string `json:"why"`
	}
	text, err := os.ReadFile(filepath.Join(repository, "hack/nmstate-schema/ownership.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &types); err != nil {
		t.Fatal(err)
	}
	fields := map[string]bool{}
	for name, decisions := range types {
		for field, decision := range decisions {
			if decision.By == nil || !strings.HasSuffix(decision.Why, ".") {
				t.Errorf("%s.%s is owned by %v because %q", name, field, decision.By, decision.Why)
			}
			fields[field] = true
		}
	}
	return fields
}

// TestTheStructureTakesWhateverThereIs: it is about owners, and no value is wrong for it.
func TestTheStructureTakesWhateverThereIs(t *testing.T) {
	m := merging(t)
	for _, state := range []string{
		`{}`, `7`, `null`, `[]`, `"text"`, `{"interfaces": 7}`, `{"interfaces": {"name": "eth1"}}`, `{"interfaces": null}`,
		`{"interfaces": [{"name": 7, "type": [1], "mtu": {"a": []}, "ipv4": [], "bridge": {"port": "eth1", "options": {"stp": true}}}]}`,
		`{"interfaces": [{"name": {"a": 1}}], "routes": [], "dns-resolver": {"config": {"server": "192.0.2.1"}}, "newest": [{"a": 1}, null]}`,
		`{"routes": {"config": [{"destination": null}, {"metric": "5"}, {"metric": 5}, {"metric": {"a": 1}}]}}`,
	} {
		var value any
		if err := json.Unmarshal([]byte(state), &value); err != nil {
			t.Fatal(err)
		}
		if misfits := m.Misfits(value, field.NewPath("state")); len(misfits) > 0 {
			t.Errorf("%s: %v", state, misfits)
		}
		one, err := m.Type.FromUnstructured(value)
		if err != nil {
			t.Errorf("%s: %v", state, err)
			continue
		}
		if _, err := one.ToFieldSet(); err != nil {
			t.Errorf("%s: %v", state, err)
		}
	}
}

// TestMisfitsAreWhatCannotBeMerged: upstream refuses what Misfits tells, and nothing else.
func TestMisfitsAreWhatCannotBeMerged(t *testing.T) {
	m := merging(t)
	for _, state := range []string{
		`{"interfaces": [null]}`, `{"interfaces": ["eth1"]}`, `{"interfaces": [[]]}`, `{"interfaces": [{}]}`, `{"interfaces": [{"mtu": 1500}]}`,
		`{"interfaces": [{"name": "eth1"}, {"name": "eth1"}]}`,
		`{"interfaces": [{"name": "eth1", "ipv4": {"address": [{"ip": "192.0.2.1", "prefix-length": 24}, {"prefix-length": 24, "ip": "192.0.2.1"}]}}]}`,
		`{"interfaces": [{"name": "bond1", "link-aggregation": {"ports": ["eth1", "eth1"]}}]}`,
		`{"interfaces": [{"name": "bond1", "bond": {"port": [{"name": "eth1"}]}}]}`, `{"interfaces": [{"name": "vrf1", "vrf": {"port": [null, ["a"]]}}]}`,
		`{"interfaces": [{"name": "br1", "bridge": {"port": [{"name": "eth1", "vlan": {"trunk-tags": [{"id-range": {"min": 1, "max": 2}}, {"id-range": {"max": 2, "min": 1}}]}}]}}]}`,
		`{"routes": {"config": [{"metric": 5}, {"metric": 5}]}}`, `{"routes": {"config": [{"newest": 5}]}}`,
		`{"route-rules": {"config": [{"priority": 5, "newest": 1}, {"priority": 5, "newest": 2}]}}`,
	} {
		var value any
		if err := json.Unmarshal([]byte(state), &value); err != nil {
			t.Fatal(err)
		}
		misfits := m.Misfits(value, field.NewPath("state"))
		if _, err := m.Type.FromUnstructured(value); len(misfits) == 0 || err == nil {
			t.Errorf("%s: %v, upstream says %v", state, misfits, err)
		}
		if _, err := m.Type.FromUnstructured(value, typed.AllowDuplicates); err == nil && misfits[0].Type != field.ErrorTypeDuplicate {
			t.Errorf("%s: %v, and upstream takes it where entries may be there twice", state, misfits)
		}
	}
}

// TestInterfacesOfOneName: those that nmstate tells apart are right.
func TestInterfacesOfOneName(t *testing.T) {
	for state, wrong := range map[string]int{
		`[{"name":"br1","type":"ovs-bridge"},{"name":"br1","type":"ovs-interface"}]`:                        0,
		`[{"name":"vpn","type":"ipsec"},{"name":"vpn","type":"ovs-bridge"},{"name":"vpn","type":"newest"}]`: 0,
		`[{"name":"br1","type":"ovs-bridge"},{"name":"br1"}]`:                                               1,
		`[{"name":"br1"},{"name":"br1","type":"ovs-interface"},{"name":"br1","type":"ovs-bridge"}]`:         2,
		`[{"name":"eth1"},{"name":"eth1","type":"unknown"}]`:                                                1,
		`[{"name":"eth1","type":"veth"},{"name":"eth1","type":"ethernet"}]`:                                 1,
		`[{"name":"vpn","type":"newest"},{"name":"vpn","type":"newest"}]`:                                   1,
	} {
		found := loaded(t).Check([]byte(`{"interfaces":`+state+`}`), field.NewPath("state"))
		if len(found.Wrong) != wrong {
			t.Errorf("%s: %v", state, found.Wrong)
		}
	}
}

// TestWithStructureLeavesTheTypes: the types' own definitions stay as they are, but for the states that are only read.
func TestWithStructureLeavesTheTypes(t *testing.T) {
	reference := func(name string) spec.Ref { return spec.MustCreateRef(localReference + name) }
	all, err := WithStructure(sampleTypes, "State", "Status", "Current")
	if err != nil {
		t.Fatal(err)
	}
	definitions := all(reference)
	if got := definitions["Spec"].Schema.Properties["desired"]; referenced(&got) != "State" {
		t.Errorf("what is desired is %v", got)
	}
	for _, name := range []string{"current", "difference"} {
		if got := definitions["Status"].Schema.Properties[name]; referenced(&got) != "Current" {
			t.Errorf("%s is %v", name, got)
		}
	}
	if !slices.Contains(definitions["Status"].Dependencies, "Current") || !slices.Contains(definitions["State"].Dependencies, "State.Interface") {
		t.Errorf("dependencies are %v and %v", definitions["Status"].Dependencies, definitions["State"].Dependencies)
	}
	if definitions["State"].Schema.Description != "A state." || definitions["Current"].Schema.Description != "A state." {
		t.Error("the description is lost")
	}
}

func sampleTypes(reference common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	state := spec.Schema{SchemaProps: spec.SchemaProps{Ref: reference("State")}}
	with := func(names ...string) spec.Schema {
		properties := map[string]spec.Schema{}
		for _, name := range names {
			properties[name] = state
		}
		return spec.Schema{SchemaProps: spec.SchemaProps{Properties: properties}}
	}
	return map[string]common.OpenAPIDefinition{
		"State":  {Schema: spec.Schema{SchemaProps: spec.SchemaProps{Description: "A state."}}},
		"Spec":   {Schema: with("desired"), Dependencies: []string{"State"}},
		"Status": {Schema: with("current", "difference"), Dependencies: []string{"State"}},
	}
}
