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
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
	typed "github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/typed/nmstate/v1alpha1"
)

// manual is a change that waits for a manual confirmation.
const manual = `{"spec":{"desiredState":{"interfaces":[{"name":"eth%d"}]},"confirmation":{"mode":"Manual"}}}`

// waitingChange makes a change that waits for its confirmation, and returns its id.
func waitingChange(t *testing.T, nns typed.NodeNetworkStateInterface, n int) string {
	t.Helper()
	obj, err := nns.Patch(t.Context(), "node1", types.MergePatchType, fmt.Appendf(nil, manual, n), metav1.PatchOptions{FieldManager: "tester"})
	if err != nil {
		t.Fatal(err)
	}
	last := obj.Status.LastApply
	if last == nil || last.ID == "" || last.ConfirmBefore == nil || last.Outcome != v1alpha1.ApplyInProgress || last.User != "admin" || last.Manager != "tester" {
		t.Fatalf("lastApply is %+v", last)
	}
	return last.ID
}

// TestAChangeIsConfirmedByItsID: or rolled back, by typed clients; the history tells of both.
func TestAChangeIsConfirmedByItsID(t *testing.T) {
	s := newServer(t)
	node := s.join("node1")
	s.awaitNodes(1)
	nns := s.nns()
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	reference := func(id string) *v1alpha1.TransactionReference { return &v1alpha1.TransactionReference{ID: id} }

	id := waitingChange(t, nns, 1)
	obj, err := nns.Confirm(t.Context(), "node1", reference(id), dryRun)
	if err != nil || obj.Status.LastApply.Outcome != v1alpha1.ApplyInProgress {
		t.Fatalf("a dry run: %+v, %v", obj, err)
	}
	if _, err = nns.Rollback(t.Context(), "node1", reference(id), dryRun); err != nil {
		t.Fatal(err)
	}
	if _, err = nns.Confirm(t.Context(), "node1", reference("another"), metav1.CreateOptions{}); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), id) {
		t.Errorf("another id: %v", err)
	}
	obj, err = nns.Confirm(t.Context(), "node1", reference(id), metav1.CreateOptions{})
	if err != nil || obj.Status.LastApply.Outcome != v1alpha1.ApplyCommitted || obj.Status.LastApply.ConfirmedBy != v1alpha1.WitnessUser {
		t.Fatalf("%+v, %v", obj, err)
	}
	read, err := nns.Get(t.Context(), "node1", metav1.GetOptions{})
	if err != nil || !equality.Semantic.DeepEqual(read, obj) {
		t.Errorf("what was answered is not what is there: %v\n%+v\n%+v", err, obj, read)
	}
	if _, err = nns.Confirm(t.Context(), "node1", reference(id), metav1.CreateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("a change is confirmed twice: %v", err)
	}

	second := waitingChange(t, nns, 2)
	if obj, err = nns.Rollback(t.Context(), "node1", reference(second), metav1.CreateOptions{}); err != nil ||
		obj.Generation != read.Generation || text(obj.Spec.DesiredState) != text(read.Spec.DesiredState) || obj.Status.LastApply.Reason != v1alpha1.ReasonRefusedByUser {
		t.Errorf("%+v, %v", obj, err)
	}
	third := waitingChange(t, nns, 3)
	node.Expire()
	s.await("the change to be rolled back", func(list []v1alpha1.NodeNetworkState) bool {
		return list[0].Status.LastApply.Reason == v1alpha1.ReasonNotConfirmed
	})
	history, err := nns.GetHistory(t.Context(), "node1", metav1.GetOptions{})
	if err != nil || history.Name != "node1" || len(history.Entries) != 3 ||
		history.Entries[0].ID != third || history.Entries[1].ID != second || history.Entries[2].ID != id || history.Entries[2].Revert == nil {
		t.Errorf("%+v, %v", history, err)
	}
	node.disconnect()
	s.await("the node to be lost", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 0 })
	if _, err = nns.GetHistory(t.Context(), "node1", metav1.GetOptions{}); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("the history of a node that is away: %v", err)
	}
	if _, err = nns.Confirm(t.Context(), "node1", reference(id), metav1.CreateOptions{}); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("a confirmation of a node that is away: %v", err)
	}
}

// TestRefusedDecisionsSayWhatToDo: and whatever is sent, the change goes on waiting.
func TestRefusedDecisionsSayWhatToDo(t *testing.T) {
	s := newServer(t)
	s.join("node1")
	s.awaitNodes(1)
	id := waitingChange(t, s.nns(), 1)
	const confirm, plain = "nodenetworkstates/node1/confirm", "application/json"
	for name, test := range map[string]struct {
		method, path, media, body string
		code                      int
		says                      string
	}{
		"nothing":              {"POST", confirm, plain, ``, 400, "must be of type TransactionReference"},
		"no id":                {"POST", confirm, plain, `{}`, 422, "id: Required value: write the id of the change"},
		"no id to roll back":   {"POST", "nodenetworkstates/node1/rollback", plain, `{}`, 422, "id: Required value: write the id of the change"},
		"another name":         {"POST", confirm, plain, `{"metadata":{"name":"node2"},"id":"` + id + `"}`, 400, `the request is for node \"node1\"`},
		"another kind":         {"POST", confirm, plain, `{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState"}`, 400, "TransactionReference"},
		"another version":      {"POST", confirm, plain, `{"apiVersion":"nmstate.io/v1","kind":"TransactionReference","id":"` + id + `"}`, 400, "nmstate.io/v1"},
		"an unknown field":     {"POST", confirm + "?fieldValidation=Strict", plain, `{"Id":"x","id":"` + id + `"}`, 400, "unknown field"},
		"a mistyped node":      {"POST", "nodenetworkstates/nod1/confirm", plain, `{"id":"` + id + `"}`, 404, "nod1"},
		"history of no node":   {"GET", "nodenetworkstates/nod1/history", plain, ``, 404, "nod1"},
		"another id":           {"POST", confirm, plain, `{"id":"11111111-2222-3333-4444-555555555555"}`, 409, id},
		"an id of no change":   {"POST", confirm, plain, `{"id":"<id>"}`, 422, "id: Invalid value"},
		"too much":             {"POST", confirm, plain, `{"id":"` + strings.Repeat("a", 1<<20) + `"}`, 413, "at most"},
		"aliases":              {"POST", confirm, "application/yaml", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n", 400, "aliases"},
		"GET of confirm":       {"GET", confirm, plain, ``, 405, ""},
		"PUT of confirm":       {"PUT", confirm, plain, `{"id":"` + id + `"}`, 405, ""},
		"DELETE of rollback":   {"DELETE", "nodenetworkstates/node1/rollback", plain, ``, 405, ""},
		"POST of a history":    {"POST", "nodenetworkstates/node1/history", plain, `{}`, 405, ""},
		"no such subresource":  {"GET", "nodenetworkstates/node1/status", plain, ``, 404, ""},
		"a dry run of another": {"POST", confirm + "?dryRun=All", plain, `{"id":"11111111-2222-3333-4444-555555555555"}`, 409, id},
		"another write":        {"PATCH", "nodenetworkstates/node1", "application/merge-patch+json", `{"metadata":{"annotations":{"a":"b"}}}`, 429, "change " + id},
		"a dry run of a write": {"PATCH", "nodenetworkstates/node1?dryRun=All", "application/merge-patch+json", `{"spec":{"desiredState":{"hostname":{"config":"a"}}}}`, 200, "AwaitingConfirmation"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, answer := s.request(test.method, test.path, test.media, test.body)
			if code != test.code || !strings.Contains(answer, test.says) {
				t.Errorf("%d %.1000s\nwant %d and %s", code, answer, test.code, test.says)
			}
		})
	}
	// Who has no certificate has no rights.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := client.Post(fmt.Sprintf("https://127.0.0.1:%d/apis/nmstate.io/v1alpha1/%s", s.port, confirm), plain, strings.NewReader(`{"id":"`+id+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized && response.StatusCode != http.StatusForbidden {
		t.Errorf("without a certificate: %s", response.Status)
	}
	// What kubectl create --raw sends: without a kind. YAML is taken, too.
	code, _, answer := s.request("POST", confirm, "application/yaml", "id: "+id+"\n")
	var obj v1alpha1.NodeNetworkState
	if err := json.Unmarshal([]byte(answer), &obj); err != nil || code != http.StatusCreated || obj.Kind != "NodeNetworkState" || obj.Status.LastApply.Outcome != v1alpha1.ApplyCommitted {
		t.Errorf("%d %s", code, answer)
	}
}

// TestDiscoveryHasTheSubresources: with their verbs and kinds, and OpenAPI says what is sent and answered.
func TestDiscoveryHasTheSubresources(t *testing.T) {
	s := newServer(t)
	discovery := s.clients().Discovery()
	resources, err := discovery.ServerResourcesForGroupVersion("nmstate.io/v1alpha1")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range resources.APIResources {
		got[r.Name] = r.Kind + fmt.Sprint(r.Verbs)
	}
	for name, want := range map[string]string{
		"nodenetworkstates/confirm":  "TransactionReference[create]",
		"nodenetworkstates/rollback": "TransactionReference[create]",
		"nodenetworkstates/history":  "NodeNetworkStateHistory[get]",
		"nodenetworkstates/ports":    "NodeNetworkPorts[get]",
	} {
		if got[name] != want {
			t.Errorf("%s is %s, not %s", name, got[name], want)
		}
	}
	for _, path := range []string{"/openapi/v2", "/openapi/v3/apis/nmstate.io/v1alpha1"} {
		document, err := discovery.RESTClient().Get().AbsPath(path).DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var openapi struct {
			Paths map[string]map[string]any `json:"paths"`
		}
		if err := json.Unmarshal(document, &openapi); err != nil {
			t.Fatal(err)
		}
		const one = "/apis/nmstate.io/v1alpha1/nodenetworkstates/{name}/"
		for subresource, want := range map[string][]string{
			"confirm": {"post", "TransactionReference", "NodeNetworkState"}, "rollback": {"post", "TransactionReference", "NodeNetworkState"},
			"history": {"get", "NodeNetworkStateHistory"}, "ports": {"get", "NodeNetworkPorts"},
		} {
			operation, err := json.Marshal(openapi.Paths[one+subresource][want[0]])
			if err != nil {
				t.Fatal(err)
			}
			for _, kind := range want[1:] {
				if !bytes.Contains(operation, []byte("."+kind+`"`)) {
					t.Errorf("%s says nothing of %s at %s: %s", path, kind, subresource, operation)
				}
			}
		}
	}
}

// warnings are those that a client was given.
type warnings struct {
	mu   sync.Mutex
	text []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text)
}

// TestADryRunWarns: of what the node's agent has to say.
func TestADryRunWarns(t *testing.T) {
	s := newServer(t)
	node := s.join("node1")
	s.awaitNodes(1)
	node.SetWarnings("the way to the API server is touched: eth0")
	given := &warnings{}
	config := s.config()
	config.WarningHandler = given
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"spec":{"desiredState":{"hostname":{"config":"a"}}}}`)
	for _, dryRun := range [][]string{{metav1.DryRunAll}, nil} {
		if _, err := clients.NmstateV1alpha1().NodeNetworkStates().Patch(t.Context(), "node1", types.MergePatchType, patch, metav1.PatchOptions{DryRun: dryRun}); err != nil {
			t.Fatal(err)
		}
	}
	if len(given.text) != 1 || given.text[0] != "the way to the API server is touched: eth0" {
		t.Errorf("warned of %q", given.text)
	}
}

var _ rest.WarningHandler = &warnings{}

// TestWaitEndsWithTheChange: whoever waits for Progressing to be False waits for either end.
func TestWaitEndsWithTheChange(t *testing.T) {
	s := newServer(t)
	s.join("node1")
	s.awaitNodes(1)
	nns := s.nns()
	id := waitingChange(t, nns, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	watch, err := nns.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=node1,status.conditions.Progressing=False"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	if _, err := nns.Confirm(ctx, "node1", &v1alpha1.TransactionReference{ID: id}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	event, ok := <-watch.ResultChan()
	if !ok {
		t.Fatal("the watch ended before the change did")
	}
	if obj, ok := event.Object.(*v1alpha1.NodeNetworkState); !ok || obj.Status.LastApply.ID != id || obj.Status.LastApply.Outcome != v1alpha1.ApplyCommitted {
		t.Errorf("%+v", event)
	}
}
