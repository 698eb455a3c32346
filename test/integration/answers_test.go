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
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestRefusalsSayWhatToDo: each answer names what is wrong and what to do
// instead, and holds nothing of what was sent that may be secret.
func TestRefusalsSayWhatToDo(t *testing.T) {
	s := newServer(t)
	s.join("node1")
	s.await("the node to join", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 1 })
	before, err := s.nns().Get(t.Context(), "node1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const (
		all, one          = "nodenetworkstates", "nodenetworkstates/node1"
		plain, yaml       = "application/json", "application/yaml"
		apply             = "application/apply-patch+yaml"
		merge, operations = "application/merge-patch+json", "application/json-patch+json"
		ours              = `"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState","metadata":{"name":"node1"}`
		secret            = `"spec":{"desiredState":{"hostname":{"config":"s3cret"}}}`
	)
	for name, test := range map[string]struct {
		method, path, media, body string
		code                      int
		says                      string
	}{
		"create of one that is there":        {"POST", all, plain, `{` + ours + `,` + secret + `}`, 405, `node \"node1\" is there already`},
		"create in YAML":                     {"POST", all + "?dryRun=All", yaml, "metadata:\n  name: node1\n", 405, "kubectl apply, edit or patch"},
		"create for a mistyped node":         {"POST", all, plain, strings.ReplaceAll(`{`+ours+`,`+secret+`}`, "node1", "nod1"), 404, `there is no node \"nod1\"`},
		"create by path":                     {"POST", "nodenetworkstates/nod1", plain, `{}`, 404, `there is no node \"nod1\"`},
		"create without a name":              {"POST", all, plain, `{"metadata":{"generateName":"n"}}`, 405, "for each node"},
		"create of a policy":                 {"POST", all, plain, `{"kind":"NodeNetworkConfigurationPolicy"}`, 400, "write spec.desiredState to the object of each selected node"},
		"delete":                             {"DELETE", one, plain, ``, 405, "stays until the node is removed"},
		"delete of all":                      {"DELETE", all, plain, ``, 405, "stays until the node is removed"},
		"delete of no node":                  {"DELETE", "nodenetworkstates/nod1", plain, ``, 405, "nod1"},
		"apply for a mistyped node":          {"PATCH", "nodenetworkstates/nod1?fieldManager=a", apply, strings.ReplaceAll(`{`+ours+`,`+secret+`}`, "node1", "nod1"), 404, "nod1"},
		"a test that fails":                  {"PATCH", one, operations, `[{"op":"add","path":"/spec/desiredState","value":{}},{"op":"test","path":"/metadata/uid","value":"s3cret"}]`, 422, "patch[1]: Invalid value: test /metadata/uid"},
		"a path that is not there":           {"PATCH", one, operations, `[{"op":"replace","path":"/spec/desiredState/a/b","value":"s3cret"}]`, 422, "patch[0]: Invalid value: replace /spec/desiredState/a/b"},
		"an unknown operation":               {"PATCH", one, operations, `[{"op":"frob","path":"/spec","value":"s3cret"}]`, 422, "patch[0]: Invalid value: frob /spec"},
		"a patch that makes no object":       {"PATCH", one, operations, `[{"op":"add","path":"/spec","value":"s3cret"}]`, 422, "cannot unmarshal string"},
		"a field that is not there":          {"PATCH", one + "?fieldValidation=Strict", merge, `{"spec":{"desired":"s3cret"}}`, 422, `patch: Invalid value: strict decoding error: unknown field \"spec.desired\"`},
		"an operation on no such field":      {"PATCH", one + "?fieldValidation=Strict", operations, `[{"op":"add","path":"/spec/x","value":"s3cret"}]`, 422, `unknown field \"spec.x\"`},
		"no such field, applied":             {"PATCH", one + "?fieldManager=a", apply, `{` + ours + `,"spec":{"x":"s3cret"}}`, 422, ".spec.x: field not declared in schema"},
		"no object, applied":                 {"PATCH", one + "?fieldManager=a", apply, `{` + ours + `,"spec":["s3cret"]}`, 422, "spec: Invalid value: must be an object"},
		"a policy's selector, PUT":           {"PUT", one + "?fieldValidation=Ignore", plain, `{` + ours + `,"spec":{"nodeSelector":{"a":"s3cret"}}}`, 422, "spec.nodeSelector: Forbidden"},
		"a policy's selector, merged":        {"PATCH", one + "?fieldValidation=Ignore", merge, `{"spec":{"nodeSelector":{}}}`, 422, "spec.nodeSelector: Forbidden"},
		"a policy's captures, applied":       {"PATCH", one + "?fieldManager=a", apply, `{` + ours + `,"spec":{"capture":{"x":"s3cret"}}}`, 422, "spec.capture: Forbidden"},
		"a policy, applied":                  {"PATCH", one + "?fieldManager=a", apply, `{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkConfigurationPolicy"}`, 400, "a NodeNetworkState is of one node"},
		"a policy, PUT":                      {"PUT", one, plain, `{"apiVersion":"nmstate.io/v1","kind":"NodeNetworkConfigurationPolicy"}`, 400, "a NodeNetworkState is of one node"},
		"kubernetes-nmstate's object":        {"PUT", one, plain, `{"apiVersion":"nmstate.io/v1beta1","kind":"NodeNetworkState"}`, 400, `must be \"nmstate.io/v1alpha1\"`},
		"a body beyond the limit":            {"PUT", one, plain, `{` + ours + `,"spec":{"desiredState":{"hostname":"` + strings.Repeat("x", 3<<20) + `"}}}`, 413, "limit is 3145728"},
		"a create beyond the limit":          {"POST", all, plain, `{"x":"` + strings.Repeat("x", 3<<20) + `"}`, 405, "for each node"},
		"a type that upstream does not know": {"PATCH", one, "text/plain", `{}`, 415, "supported"},
	} {
		t.Run(name, func(t *testing.T) {
			code, header, answer := s.request(test.method, test.path, test.media, test.body)
			if code != test.code || !strings.Contains(answer, test.says) {
				t.Errorf("%d %.1000s\nwant %d and %s", code, answer, test.code, test.says)
			}
			if strings.Contains(answer, "s3cret") {
				t.Errorf("the answer holds what was sent: %.1000s", answer)
			}
			if allow := header.Get("Allow"); code == 405 && allow == "" {
				t.Error("no Allow header")
			}
		})
	}
	after, err := s.nns().Get(t.Context(), "node1", metav1.GetOptions{})
	if err != nil || after.ResourceVersion != before.ResourceVersion {
		t.Errorf("before %+v\nafter %+v, %v", before, after, err)
	}
}

// request sends a request as it is, and returns code, header and body of the answer.
func (s *server) request(method, path, media, body string) (int, http.Header, string) {
	s.t.Helper()
	client, err := rest.HTTPClientFor(s.config())
	if err != nil {
		s.t.Fatal(err)
	}
	url := fmt.Sprintf("https://127.0.0.1:%d/apis/nmstate.io/v1alpha1/%s", s.port, path)
	request, err := http.NewRequestWithContext(s.t.Context(), method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", media)
	response, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(answer)
}

// TestDiscoveryHasTheVerbsThatThereAre: garbage collection, quota and kubectl go
// by it.
func TestDiscoveryHasTheVerbsThatThereAre(t *testing.T) {
	s := newServer(t)
	resources, err := s.clients().Discovery().ServerResourcesForGroupVersion("nmstate.io/v1alpha1")
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(resources.APIResources, func(r metav1.APIResource) bool { return r.Name == "nodenetworkstates" })
	if at < 0 {
		t.Fatalf("%+v", resources)
	}
	verbs := slices.Sorted(slices.Values(resources.APIResources[at].Verbs))
	if want := []string{"get", "list", "patch", "update", "watch"}; !slices.Equal(verbs, want) {
		t.Errorf("verbs are %v, want %v", verbs, want)
	}
	document, err := s.clients().Discovery().RESTClient().Get().AbsPath("/openapi/v3/apis/nmstate.io/v1alpha1").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var openapi struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(document, &openapi); err != nil || len(openapi.Paths) == 0 {
		t.Fatalf("%v, paths %v", err, openapi.Paths)
	}
	for path, methods := range openapi.Paths {
		decides := strings.HasSuffix(path, "/confirm") || strings.HasSuffix(path, "/rollback")
		if methods["post"] != nil && !decides || methods["delete"] != nil {
			t.Errorf("OpenAPI announces to create or delete %s", path)
		}
	}
}
