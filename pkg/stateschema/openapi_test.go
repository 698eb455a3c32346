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
	"runtime"
	"strings"
	"testing"

	"k8s.io/kube-openapi/pkg/validation/spec"
)

// TestDefinitionsAreWhole: each reference leads somewhere, each field is described, and each object takes more fields.
func TestDefinitionsAreWhole(t *testing.T) {
	definitions, err := Definitions("State", "Current", localReference)
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	for name, definition := range definitions {
		if definition.Extensions["x-kubernetes-preserve-unknown-fields"] != true {
			t.Errorf("%s does not take fields that are not known", name)
		}
		for field, property := range definition.Properties {
			fields++
			if property.Description == "" {
				t.Errorf("%s.%s has no description", name, field)
			}
			checkServed(t, definitions, name+"."+field, &property)
		}
	}
	if fields < 400 {
		t.Errorf("only %d fields are served", fields)
	}
}

func checkServed(t *testing.T, definitions map[string]spec.Schema, name string, schema *spec.Schema) {
	for key := range schema.Extensions {
		if strings.HasPrefix(key, extension) {
			t.Errorf("%s has %s, which no client knows", name, key)
		}
	}
	if to := referenced(schema); schema.Ref.String() != "" {
		if _, ok := definitions[to]; !ok {
			t.Errorf("%s refers to %q, which is not served", name, schema.Ref.String())
		}
	}
	if schema.Items != nil {
		checkServed(t, definitions, name+"[]", schema.Items.Schema)
		listType := schema.Extensions[listType]
		if _, hasKeys := schema.Extensions[listKeys]; hasKeys != (listType == "map") || listType == nil {
			t.Errorf("the list %s is of the type %v, and has keys: %t", name, listType, hasKeys)
		}
		if strings.HasPrefix(name, "Current.") && listType != typeAtomic {
			t.Errorf("the list %s has owners, and nobody writes it", name)
		}
	}
}

// TestOnlyTheCurrentStateHasWhatIsOnlyShown: a user is not told to write what nmstate drops.
func TestOnlyTheCurrentStateHasWhatIsOnlyShown(t *testing.T) {
	definitions, err := Definitions("State", "Current", localReference)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		path             []string
		desired, current bool
	}{
		{[]string{"interfaces", "min-mtu"}, false, true},
		{[]string{"interfaces", "mtu"}, true, true},
		{[]string{"interfaces", "lldp", "neighbors"}, false, true},
		{[]string{"interfaces", "lldp", "enabled"}, true, true},
		{[]string{"interfaces", "ipv4", "address", "valid-life-time"}, false, true},
		{[]string{"interfaces", "bridge", "options", "stp", "hello-time"}, true, true},
		{[]string{"interfaces", "bridge", "port", "vlan", "trunk-tags", "id-range", "max"}, true, true},
		{[]string{"routes", "running"}, false, true},
		{[]string{"dns-resolver", "config", "server"}, true, true},
	} {
		if has := reaches(definitions, "State", one.path); has != one.desired {
			t.Errorf("the desired state has %v: %t", one.path, has)
		}
		if has := reaches(definitions, "Current", one.path); has != one.current {
			t.Errorf("the current state has %v: %t", one.path, has)
		}
	}
}

func reaches(definitions map[string]spec.Schema, name string, path []string) bool {
	definition := definitions[name]
	property, ok := definition.Properties[path[0]]
	if !ok || len(path) == 1 {
		return ok
	}
	schema := &property
	for schema.Items != nil {
		schema = schema.Items.Schema
	}
	return reaches(definitions, referenced(schema), path[1:])
}

// TestTheDefinitionsAreSmall: both documents of a server hold them for as long as it runs.
func TestTheDefinitionsAreSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	held := []any{loaded(t)}
	for _, reference := range []string{localReference, "#/components/schemas/"} {
		definitions, err := Definitions("State", "Current", reference)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(definitions)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, definitions, text)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 5<<20 {
		t.Errorf("the definitions take %d bytes", grown)
	} else {
		t.Logf("the definitions take %d bytes", grown)
	}
	runtime.KeepAlive(held)
}
