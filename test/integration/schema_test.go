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

package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// schema is what the test reads of an OpenAPI schema.
type schema struct {
	Description string            `json:"description"`
	Ref         string            `json:"$ref"`
	AllOf       []schema          `json:"allOf"`
	Items       *schema           `json:"items"`
	Properties  map[string]schema `json:"properties"`
	Preserve    bool              `json:"x-kubernetes-preserve-unknown-fields"`
	ListType    string            `json:"x-kubernetes-list-type"`
	ListKeys    []string          `json:"x-kubernetes-list-map-keys"`
}

// TestTheStateHasASchema: both documents lead to each part of a state, and say what it is.
func TestTheStateHasASchema(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{"/openapi/v2", "/openapi/v3/apis/nmstate.io/v1alpha1"} {
		text, err := s.clients().Discovery().RESTClient().Get().AbsPath(path).DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var document struct {
			Definitions map[string]schema `json:"definitions"`
			Components  struct {
				Schemas map[string]schema `json:"schemas"`
			} `json:"components"`
		}
		if err := json.Unmarshal(text, &document); err != nil {
			t.Fatal(err)
		}
		schemas := document.Definitions
		if len(schemas) == 0 {
			schemas = document.Components.Schemas
		}
		for _, field := range []string{
			"spec.desiredState.interfaces.bridge.options.stp.hello-time",
			"spec.desiredState.interfaces.ipv4.address.prefix-length",
			"spec.desiredState.routes.config.next-hop-address",
			"spec.desiredState.dns-resolver.config.server",
			"status.currentState.interfaces.min-mtu",
			"status.difference.interfaces.mtu",
		} {
			if err := describes(schemas, "io.nmstate.v1alpha1.NodeNetworkState", strings.Split(field, ".")); err != "" {
				t.Errorf("%s: %s: %s", path, field, err)
			}
		}
		// Clients that merge by themselves, such as GitOps controllers, do it as the server does.
		written, read := schemas["io.nmstate.v1alpha1.State"].Properties["interfaces"], schemas["io.nmstate.v1alpha1.CurrentState"].Properties["interfaces"]
		if written.ListType != "map" || strings.Join(written.ListKeys, " ") != "name type" || read.ListType != "atomic" || len(read.ListKeys) > 0 {
			t.Errorf("%s: interfaces are %s by %v when they are written, and %s by %v when they are read", path, written.ListType, written.ListKeys, read.ListType, read.ListKeys)
		}
		if describes(schemas, "io.nmstate.v1alpha1.NodeNetworkState", []string{"spec", "desiredState", "interfaces", "min-mtu"}) == "" {
			t.Errorf("%s: a desired state has min-mtu, which nobody can choose", path)
		}
	}
}

// describes returns what is wrong with the way along fields from the schema called name.
func describes(schemas map[string]schema, name string, fields []string) string {
	for i, field := range fields {
		object := schemas[name]
		property, ok := object.Properties[field]
		switch {
		case !ok:
			return "there is no " + field
		case property.Description == "" && i > 0:
			return field + " has no description"
		case i > 1 && !object.Preserve:
			return "what has " + field + " does not take fields that are not known"
		}
		for property.Items != nil {
			property = *property.Items
		}
		if len(property.AllOf) > 0 {
			property = property.AllOf[0]
		}
		name = property.Ref[strings.LastIndex(property.Ref, "/")+1:]
	}
	return ""
}

// TestFieldsOfAState: in each kind of write, a field that is not known is refused, warned of or passed, as the client asks,
// and a value that nmstate is sure to refuse does not reach the node.
func TestFieldsOfAState(t *testing.T) {
	s := newServer(t)
	s.join("node1")
	s.await("the node to join", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 1 })
	const says = `unknown field \"spec.desiredState.interfaces[name=eth1].mtuu\", did you mean \"mtu\"?`
	const object = `{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState","metadata":{"name":"node1"},"spec":{"desiredState":%s}}`
	for i, write := range []struct{ method, media, query, body string }{
		{"PUT", "application/json", "", object},
		{"PATCH", "application/merge-patch+json", "", `{"spec":{"desiredState":%s}}`},
		{"PATCH", "application/json-patch+json", "", `[{"op":"add","path":"/spec/desiredState","value":%s}]`},
		{"PATCH", "application/apply-patch+yaml", "&fieldManager=tests&force=true", object},
	} {
		for j, test := range []struct {
			how  string
			code int
		}{{"Strict", http.StatusBadRequest}, {"Warn", http.StatusOK}, {"Ignore", http.StatusOK}, {"", http.StatusOK}} {
			t.Run(write.media+" "+test.how, func(t *testing.T) {
				state := fmt.Sprintf(`{"interfaces":[{"name":"eth1","type":"ethernet","mtuu":%d}]}`, 10*i+j)
				code, header, answer := s.request(write.method, "nodenetworkstates/node1?fieldValidation="+test.how+write.query, write.media, fmt.Sprintf(write.body, state))
				if code != test.code || (code == http.StatusBadRequest) != strings.Contains(answer, "strict decoding error: "+says) {
					t.Errorf("%d: %.500s", code, answer)
				}
				warned := strings.Contains(strings.Join(header.Values("Warning"), "\n"), says)
				if wanted := test.how == "Warn" || test.how == ""; warned != wanted {
					t.Errorf("warnings are %q", header.Values("Warning"))
				}
			})
		}
		wrong := `{"interfaces":[{"name":"eth1","type":"ethernet","mtu":"big","state":true}]}`
		code, _, answer := s.request(write.method, "nodenetworkstates/node1?"+strings.TrimPrefix(write.query, "&"), write.media, fmt.Sprintf(write.body, wrong))
		for _, want := range []string{
			`"field":"spec.desiredState.interfaces[name=eth1].mtu"`, `must be a number of bytes`,
			`"field":"spec.desiredState.interfaces[name=eth1].state"`, `did you mean \"up\"?`,
		} {
			if code != http.StatusUnprocessableEntity || !strings.Contains(answer, want) {
				t.Errorf("%s: %d, not %s: %.800s", write.media, code, want, answer)
			}
		}
	}
}
