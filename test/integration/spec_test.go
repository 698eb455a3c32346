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
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	applied "github.com/nmstate/kubernetes-nmstate/pkg/generated/applyconfiguration/nmstate/v1alpha1"
)

// aSpec has all that a spec can have.
const aSpec = `{
	"desiredState": {"interfaces": [{"name": "eth1"}]},
	"confirmation": {"mode": "None", "timeout": "1m30s"},
	"reapply": "Always",
	"removal": "Revert",
	"probes": [
		{"name": "gateway", "ping": {}},
		{"name": "address", "ping": {"address": "192.0.2.1"}, "timeout": "500ms", "required": false},
		{"name": "tcp", "tcp": {"address": "[2001:db8::1]:443"}},
		{"name": "http", "http": {"url": "https://192.0.2.1/healthz", "status": 204, "insecureSkipTLSVerify": false}},
		{"name": "dns", "dns": {"name": "example.org", "server": "192.0.2.53"}},
		{"name": "node", "node": {"name": "node2"}}
	]}`

// TestEachWayOfWritingKeepsTheSpec: as it was written. What was left out stays absent, so that
// nobody owns it.
func TestEachWayOfWritingKeepsTheSpec(t *testing.T) {
	s := newServer(t)
	s.join("node1")
	s.awaitNodes(1)
	nns := s.nns()
	object := `{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState","metadata":{"name":"node1"},"spec":` + aSpec + `}`
	var spec v1alpha1.NodeNetworkStateSpec
	if err := json.Unmarshal([]byte(aSpec), &spec); err != nil {
		t.Fatal(err)
	}
	force := true
	for name, write := range map[string]func() error{
		"server-side apply": func() error {
			_, err := nns.Patch(t.Context(), "node1", types.ApplyPatchType, []byte(object), metav1.PatchOptions{FieldManager: "a", Force: &force})
			return err
		},
		"server-side apply, typed": func() error {
			config := applied.NodeNetworkState("node1")
			if err := json.Unmarshal([]byte(object), config); err != nil {
				return err
			}
			_, err := nns.Apply(t.Context(), config, metav1.ApplyOptions{FieldManager: "b", Force: true})
			return err
		},
		"merge patch": func() error {
			_, err := nns.Patch(t.Context(), "node1", types.MergePatchType, []byte(`{"spec":`+aSpec+`}`), metav1.PatchOptions{})
			return err
		},
		"JSON patch": func() error {
			_, err := nns.Patch(t.Context(), "node1", types.JSONPatchType, []byte(`[{"op":"replace","path":"/spec","value":`+aSpec+`}]`), metav1.PatchOptions{})
			return err
		},
		"PUT": func() error {
			_, err := nns.Update(t.Context(), &v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: "node1"}, Spec: spec}, metav1.UpdateOptions{})
			return err
		},
		"PUT of YAML": func() error {
			text, err := yaml.JSONToYAML([]byte(object))
			if err != nil {
				return err
			}
			code, _, answer := s.request("PUT", "nodenetworkstates/node1?fieldValidation=Strict", "application/yaml", string(text))
			if code != http.StatusOK {
				return fmt.Errorf("%d %s", code, answer)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := write(); err != nil {
				t.Fatal(err)
			}
			_, _, answer := s.request("GET", "nodenetworkstates/node1", "application/json", "")
			var got struct {
				Spec any `json:"spec"`
			}
			var want any
			if json.Unmarshal([]byte(answer), &got) != nil || json.Unmarshal([]byte(aSpec), &want) != nil {
				t.Fatal(answer)
			}
			if !reflect.DeepEqual(got.Spec, want) {
				t.Errorf("the spec is %v, not %v", got.Spec, want)
			}
			// Nothing is left for the next way of writing.
			_, err := nns.Patch(t.Context(), "node1", types.MergePatchType, []byte(`{"metadata":{"managedFields":[{}]},"spec":null}`), metav1.PatchOptions{})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
	// One item of a list is a manager's own.
	for _, manager := range []string{"a", "b"} {
		body := `{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState","metadata":{"name":"node1"},"spec":{"probes":[{"name":"` + manager + `","ping":{}}]}}`
		if _, err := nns.Patch(t.Context(), "node1", types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: manager}); err != nil {
			t.Fatal(err)
		}
	}
	obj, err := nns.Get(t.Context(), "node1", metav1.GetOptions{})
	if err != nil || len(obj.Spec.Probes) != 2 {
		t.Errorf("%+v, %v", obj.Spec.Probes, err)
	}
}

// TestWrongSpecsAreRefusedBeforeTheNodeIsAsked: all that is wrong is told, by each way of writing.
func TestWrongSpecsAreRefusedBeforeTheNodeIsAsked(t *testing.T) {
	s := newServer(t)
	node := s.join("node1")
	s.awaitNodes(1)
	const object = `{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState","metadata":{"name":"node1"},"spec":{` +
		`"confirmation":{"mode":"manual","timeout":"1s"},"reapply":"no","removal":"yes","probes":[{"name":"a"},{"name":"B","tcp":{"address":"x"}}]}}`
	before := node.Counts()
	for media, request := range map[string][2]string{
		"application/json":             {"PUT", ""},
		"application/merge-patch+json": {"PATCH", ""},
		"application/apply-patch+yaml": {"PATCH", "?fieldManager=a"},
	} {
		code, _, answer := s.request(request[0], "nodenetworkstates/node1"+request[1], media, object)
		for _, field := range []string{"spec.confirmation.mode", "spec.confirmation.timeout", "spec.reapply", "spec.removal", "spec.probes[0]", "spec.probes[1].name", "spec.probes[1].tcp.address"} {
			if code != http.StatusUnprocessableEntity || !strings.Contains(answer, `"field":"`+field+`"`) {
				t.Errorf("%s: %d, no %s in %s", media, code, field, answer)
			}
		}
	}
	for body, says := range map[string]string{
		`{"spec":{"confirmation":{"timeout":"soon"}}}`: `invalid duration`,
		`{"spec":{"confirmation":{"timeout":30}}}`:     `timeout`,
		`{"spec":{"probes":{"a":1}}}`:                  `probes`,
	} {
		if code, _, answer := s.request("PATCH", "nodenetworkstates/node1", "application/merge-patch+json", body); code != http.StatusUnprocessableEntity || !strings.Contains(answer, says) {
			t.Errorf("%s: %d %s", body, code, answer)
		}
	}
	if after := node.Counts(); after.Applies != before.Applies || after.Validates != before.Validates {
		t.Errorf("the node was asked: %+v, %+v", before, after)
	}
}

// TestWhatAManagerGivesUpIsTakenAway: by server-side apply, where the spec says so. What another manager applies stays.
func TestWhatAManagerGivesUpIsTakenAway(t *testing.T) {
	s := newServer(t)
	s.join("node1")
	s.awaitNodes(1)
	nns := s.nns()
	apply := func(manager, spec string, dryRun ...string) *v1alpha1.NodeNetworkState {
		t.Helper()
		body := `{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState","metadata":{"name":"node1"},"spec":` + spec + `}`
		obj, err := nns.Patch(t.Context(), "node1", types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: manager, DryRun: dryRun})
		if err != nil {
			t.Fatal(err)
		}
		return obj
	}
	before := string(apply("b", `{"desiredState":{"hostname":{"running":"b"}}}`).Status.CurrentState.Raw)
	if came := apply("a", `{"removal":"Revert","desiredState":{"interfaces":[{"name":"eth1","type":"ethernet"}]}}`); string(came.Status.CurrentState.Raw) == before {
		t.Fatalf("the network is %s still", before)
	}
	const gone = `{"interfaces":[{"name":"eth1","state":"absent"}]}`
	if plan := apply("a", `{"removal":"Revert"}`, metav1.DryRunAll); plan.Status.Difference == nil || string(plan.Status.Difference.Raw) != gone {
		t.Errorf("a dry run shows %+v", plan.Status.Difference)
	}
	left := apply("a", `{"removal":"Revert"}`)
	if now := string(left.Status.CurrentState.Raw); now != before || string(left.Spec.DesiredState.Raw) != `{"hostname":{"running":"b"}}` {
		t.Errorf("the network was %s and is %s, and the spec %s", before, now, left.Spec.DesiredState.Raw)
	}
}
