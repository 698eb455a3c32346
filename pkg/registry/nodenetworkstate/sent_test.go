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

package nodenetworkstate

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// answer checks the code of an error, and that it says each of the words.
func answer(t *testing.T, err error, code int32, words ...string) {
	t.Helper()
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code != code {
		t.Fatalf("%v, want %d", err, code)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	if strings.Contains(strings.ReplaceAll(err.Error(), "\n", ""), "s3cret") {
		t.Errorf("%q holds a secret", err)
	}
}

func TestWhatIsSentInsteadOfANodeNetworkState(t *testing.T) {
	const policy = `{"apiVersion":"nmstate.io/v1","kind":"NodeNetworkConfigurationPolicy","metadata":{"name":"p"},"spec":{}}`
	const ours = `"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState"`
	for name, test := range map[string]struct {
		media, body string
		code        int32
		says        string
	}{
		"ours":                 {"application/json", `{` + ours + `,"spec":{"desiredState":{"capture":{}}}}`, 0, ""},
		"no kind":              {"application/merge-patch+json", `{"spec":{"desiredState":{}}}`, 0, ""},
		"keys in another case": {"application/json", `{"KIND":"Pod","Spec":{"capture":{}}}`, 0, ""},
		"no spec":              {"application/json", `{` + ours + `,"spec":null}`, 0, ""},
		"a JSON patch":         {"application/json-patch+json", `[{"op":"remove","path":"/spec"}]`, 0, ""},
		"garbage":              {"application/json", `{`, 0, ""},
		"a policy":             {"application/json", policy, http.StatusBadRequest, "one node: write spec.desiredState"},
		"a policy in YAML":     {"application/apply-patch+yaml", "kind: NodeNetworkConfigurationPolicy\n", http.StatusBadRequest, "kubectl get nns -l"},
		"a policy as ours":     {"application/json; charset=utf-8", `{` + ours + `,"spec":{"nodeSelector":{}}}`, http.StatusUnprocessableEntity, "spec.nodeSelector"},
		"captures":             {"application/merge-patch+json", `{"spec":{"capture":"s3cret"}}`, http.StatusUnprocessableEntity, "spec.capture"},
		"a rate":               {"application/apply-patch+yaml", "spec:\n  maxUnavailable: 1\n", http.StatusUnprocessableEntity, "spec.maxUnavailable"},
		"another kind":         {"application/json", `{"apiVersion":"v1","kind":"Pod"}`, http.StatusBadRequest, `must be "NodeNetworkState"`},
		"version v1":           {"application/json", `{"apiVersion":"nmstate.io/v1","kind":"NodeNetworkState"}`, http.StatusBadRequest, `must be "nmstate.io/v1alpha1"`},
		"version v1beta1":      {"application/yaml", "apiVersion: nmstate.io/v1beta1\n", http.StatusBadRequest, `must be "nmstate.io/v1alpha1"`},
		"a spec that is no":    {"application/json", `{"spec":["s3cret"]}`, http.StatusUnprocessableEntity, "spec: Invalid value: must be an object"},
	} {
		t.Run(name, func(t *testing.T) {
			err := NewBody(test.media, []byte(test.body)).Check("node1")
			if test.code == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			answer(t, err, test.code, test.says)
		})
	}
}

func TestCreateAndDeleteSayWhy(t *testing.T) {
	answer(t, RefuseCreate("node1", true), http.StatusMethodNotAllowed, `"node1" is there already`, "kubectl apply, edit or patch")
	answer(t, RefuseCreate("nod1", false), http.StatusNotFound, `there is no node "nod1"`, "kubectl get nns")
	answer(t, RefuseCreate("", false), http.StatusMethodNotAllowed, "for each node")
	answer(t, RefuseDelete("node1"), http.StatusMethodNotAllowed, `node "node1"`, "delete the Node", "state: absent")
	answer(t, RefuseDelete(""), http.StatusMethodNotAllowed, "deletecollection", "each node")
}

func TestUpstreamsErrorsAreExplained(t *testing.T) {
	m := newMerger(t)
	sent := asSent{nil, m.owners, m.format}
	const apply, patch, merge = string(types.ApplyYAMLPatchType), string(types.JSONPatchType), string(types.MergePatchType)
	// What upstream's patch handler answers in these cases (endpoints/handlers/patch.go).
	rejected := apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", "lost", 0, false)
	undecodable := apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{
		field.Invalid(field.NewPath("patch"), `{"spec":{"k":"s3cret \": x"}}`, `strict decoding error: unknown field "spec.k"`)})
	untyped := errors.New(`failed to create typed patch object (/node1; nmstate.io/v1alpha1, Kind=NodeNetworkState): .spec.k: field not declared in schema`)
	mistyped := errors.New("failed to create typed patch object (/node1; nmstate.io/v1alpha1, Kind=NodeNetworkState): " +
		".metadata.annotations.a: expected string, got &value.valueUnstructured{Value:\"s3\ncret\"}")
	for name, test := range map[string]struct {
		media, body string
		err         error
		says        []string
	}{
		"a test":         {patch, `[{"op":"test","path":"/spec/desiredState/a","value":"s3cret"}]`, rejected, []string{"patch[0]", "test /spec/desiredState/a", "failed"}},
		"the second":     {patch, `[{"op":"test","path":"/metadata/name","value":"node1"},{"op":"remove","path":"/spec/x"}]`, rejected, []string{"patch[1]", "remove /spec/x"}},
		"no such parent": {patch, `[{"op":"add","path":"/spec/x/y","value":"s3cret"}]`, rejected, []string{"patch[0]", "add /spec/x/y"}},
		"no such index":  {patch, `[{"op":"replace","path":"/status/conditions/9","value":"s3cret"}]`, rejected, []string{"patch[0]", "/status/conditions/9"}},
		"unknown":        {patch, `[{"op":"frob","path":"/spec"}]`, rejected, []string{"patch[0]", "frob /spec"}},
		"no path":        {patch, `[{"op":"add"}]`, rejected, []string{"patch[0]", "add"}},
		"long":           {patch, `[{"op":"remove","path":"/` + strings.Repeat("ä", 100_000) + `"}]`, rejected, []string{"patch[0]", "…"}},
		"not decodable":  {merge, `{"spec":{"k":"s3cret"}}`, undecodable, []string{`patch: Invalid value: strict decoding error: unknown field "spec.k"`}},
		"the thousandth": {patch, `[` + strings.Repeat(`{"op":"test","path":"/metadata/name","value":"node1"},`, maxSearched-1) + `{"op":"remove","path":"/spec/x"}]`, rejected, []string{"patch[999]"}},
		"too many":       {patch, `[` + strings.Repeat(`{"op":"test","path":"/metadata/name","value":"node1"},`, maxSearched) + `{"op":"remove","path":"/spec/x"}]`, rejected, []string{"one of its 1001 operations"}},
		"mistyped":       {apply, `{}`, mistyped, []string{"patch: Invalid value: .metadata.annotations.a: expected string"}},
		"not typed":      {apply, `spec: {k: s3cret}`, untyped, []string{"patch: Invalid value: .spec.k: field not declared"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := NewBody(test.media, []byte(test.body)).explain(sent, node(), test.err)
			answer(t, err, http.StatusUnprocessableEntity, append(test.says, "node1")...)
			if len(err.Error()) > 2*longest {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
	for _, other := range []error{
		errors.New("other"), apierrors.NewBadRequest("bad"), fmt.Errorf("wrapped: %w", apierrors.NewNotFound(schema.GroupResource{}, "x")),
		apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Required(field.NewPath("metadata"), "")}),
	} {
		if got := NewBody(patch, []byte(`[]`)).explain(sent, node(), other); got != other {
			t.Errorf("%v became %v", other, got)
		}
	}
	if got := NewBody(patch, []byte(`[]`)).explain(sent, node(), rejected); got != error(rejected) {
		t.Errorf("where no operation fails: %v", got)
	}
}
