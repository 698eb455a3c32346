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

package command

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

func spec(t *testing.T, text string) v1alpha1.NodeNetworkStateSpec {
	t.Helper()
	var spec v1alpha1.NodeNetworkStateSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

const (
	specBefore = `{"probes":[{"name":"a","ping":{}}],"confirmation":{"mode":"Manual","timeout":"2m0s"},"desiredState":{"interfaces":[{"name":"eth1","mtu":9000}]}}`
	specAfter1 = `{"reapply":"Always","removal":"Revert","desiredState":{"interfaces":[{"name":"br1","state":"up"}]}}`
)

// TestUndoPatch: the spec is as it was before the change, and the network, too. A spec that has changed meanwhile is noticed.
func TestUndoPatch(t *testing.T) {
	for name, c := range map[string]struct{ now, before, after, revert, want string }{
		"the last change": {
			specAfter1, specBefore, specAfter1, `{"interfaces":[{"name":"br1","state":"absent"},{"name":"eth2","mtu":1500}]}`,
			`{"probes":[{"name":"a","ping":{}}],"confirmation":{"mode":"Manual","timeout":"2m0s"},` +
				`"desiredState":{"interfaces":[{"name":"br1","state":"absent"},{"name":"eth2","mtu":1500},{"name":"eth1","mtu":9000}]}}`},
		"an older change, of which a later one has left a part": {
			`{"reapply":"Always","removal":"Orphan","desiredState":{"interfaces":[{"name":"br1","state":"up"},{"name":"br2"}]}}`, specBefore, specAfter1,
			`{"interfaces":[{"name":"br1","state":"absent"}]}`,
			`{"probes":[{"name":"a","ping":{}}],"confirmation":{"mode":"Manual","timeout":"2m0s"},` +
				`"desiredState":{"interfaces":[{"name":"br1","state":"absent"},{"name":"br2"},{"name":"eth1","mtu":9000}]}}`},
		"options alone": {specAfter1, `{"desiredState":{"interfaces":[{"name":"br1","state":"up"}]}}`, specAfter1, `{}`, `{"desiredState":{"interfaces":[{"name":"br1","state":"up"}]}}`},
		"the first change": {
			`{"desiredState":{"hostname":{"config":"b"}}}`, `{}`, `{"desiredState":{"hostname":{"config":"b"}}}`,
			`{"interfaces":[],"hostname":{"running":"a","config":"a"}}`, `{"desiredState":{"hostname":{"config":"a"}}}`},
		"an interface that the change removed": {
			`{"desiredState":{"interfaces":[{"name":"br1","state":"absent"},{"name":"br2","state":"absent"}]}}`,
			`{"desiredState":{"interfaces":[{"name":"br1","state":"up"}]}}`,
			`{"desiredState":{"interfaces":[{"name":"br1","state":"absent"},{"name":"br2","state":"absent"}]}}`,
			`{"interfaces":[{"name":"br1","state":"up","min-mtu":68},{"name":"br2","state":"up","mtu":1400}]}`,
			`{"desiredState":{"interfaces":[{"name":"br2","state":"up","mtu":1400},{"name":"br1","state":"up"}]}}`},
		"options of no desired state":         {`{"reapply":"Always"}`, `{}`, `{"reapply":"Always"}`, `{}`, `{}`},
		"a desired state that was taken away": {`{}`, specBefore, `{}`, `{}`, specBefore},
		"the network differed from what was desired": {
			`{"desiredState":{"interfaces":[{"name":"eth1","mtu":1400}]}}`, `{"desiredState":{"interfaces":[{"name":"eth1","mtu":9000}]}}`,
			`{"desiredState":{"interfaces":[{"name":"eth1","mtu":1400}]}}`, `{"interfaces":[{"name":"eth1","mtu":1500}]}`,
			`{"desiredState":{"interfaces":[{"name":"eth1","mtu":9000}]}}`},
		"what had drifted was mended": {
			`{"desiredState":{"interfaces":[{"name":"eth1","mtu":9000}]}}`, `{"desiredState":{"interfaces":[{"name":"eth1","mtu":9000}]}}`,
			`{"desiredState":{"interfaces":[{"name":"eth1","mtu":9000}]}}`, `{"interfaces":[{"name":"eth1","mtu":1500}]}`,
			`{"desiredState":{"interfaces":[{"name":"eth1","mtu":1500}]}}`},
		"an older agent made the change": {
			specAfter1, "", specAfter1, `{"interfaces":[{"name":"br1","state":"absent"}]}`,
			`{"reapply":"Always","removal":"Revert","desiredState":{"interfaces":[{"name":"br1","state":"absent"}]}}`},
		"an older agent made the next change": {
			specAfter1, specBefore, "", `{"interfaces":[{"name":"br1","state":"absent"}]}`,
			`{"reapply":"Always","removal":"Revert","desiredState":{"interfaces":[{"name":"br1","state":"absent"}]}}`},
	} {
		node := &v1alpha1.NodeNetworkState{Spec: spec(t, c.now)}
		entry := &v1alpha1.HistoryEntry{Revert: v1alpha1.NewState([]byte(c.revert))}
		var after *v1alpha1.NodeNetworkStateSpec
		if c.before != "" {
			before := spec(t, c.before)
			entry.PreviousSpec = &before
		}
		if c.after != "" {
			led := spec(t, c.after)
			after = &led
		}
		got, err := undoPatch(node, entry, after)
		if err != nil || got.options.FieldManager != fault.UndoManager {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		var is, want any
		text := fmt.Sprintf(`[{"op":"test","path":"/spec","value":%s},{"op":"replace","path":"/spec","value":%s}]`, c.now, c.want)
		if json.Unmarshal(got.body, &is) != nil || json.Unmarshal([]byte(text), &want) != nil || !reflect.DeepEqual(is, want) {
			t.Errorf("%s: it is\n%s, want\n%s", name, got.body, text)
		}
	}
}

// TestSpecAfter: what a change led to is what the next one that was committed began with, or what there is now.
func TestSpecAfter(t *testing.T) {
	node := &v1alpha1.NodeNetworkState{Spec: spec(t, `{"reapply":"Always"}`)}
	node.Generation = 4
	second := spec(t, `{"reapply":"OnBoot"}`)
	made := func(generation int64, outcome v1alpha1.ApplyOutcome, before *v1alpha1.NodeNetworkStateSpec) v1alpha1.HistoryEntry {
		return v1alpha1.HistoryEntry{LastApply: v1alpha1.LastApply{Generation: generation, Outcome: outcome}, PreviousSpec: before}
	}
	history := []v1alpha1.HistoryEntry{
		made(5, v1alpha1.ApplyRolledBack, nil), made(4, v1alpha1.ApplyCommitted, &second), made(4, v1alpha1.ApplyRejected, nil),
		made(3, v1alpha1.ApplyCommitted, nil), made(2, v1alpha1.ApplyCommitted, nil),
	}
	for i, want := range map[int]*v1alpha1.NodeNetworkStateSpec{1: &node.Spec, 3: &second, 4: nil} {
		if got := specAfter(node, history, &history[i]); !reflect.DeepEqual(got, want) {
			t.Errorf("change %d led to %+v, want %+v", i, got, want)
		}
	}
	node.Generation = 1
	if got := specAfter(node, history, &history[1]); got != nil {
		t.Errorf("of a node that has lost its record it led to %+v", got)
	}
}

// TestBesides: what only the revert speaks of leaves the spec.
func TestBesides(t *testing.T) {
	before := spec(t, `{"desiredState":{"interfaces":[{"name":"eth3","mtu":1400}]}}`)
	entry := &v1alpha1.HistoryEntry{PreviousSpec: &before, Revert: v1alpha1.NewState([]byte(
		`{"interfaces":[{"name":"br1","type":"linux-bridge","state":"absent"},{"name":"eth1","type":"ethernet","state":"down"},{"name":"eth3","mtu":1400}]}`))}
	node := &v1alpha1.NodeNetworkState{Spec: spec(t, `{"desiredState":{"interfaces":[{"name":"br1","type":"linux-bridge","state":"up"}]}}`)}
	some, err := besides(node, entry)
	if err != nil || len(some) != 1 || tree.Object(some[0])["name"] != "eth1" {
		t.Fatalf("it is %v, %v", some, err)
	}
	for now, want := range map[string]string{
		`{"reapply":"Never","desiredState":{"interfaces":[{"name":"br1","state":"absent"},{"name":"eth1","state":"down","type":"ethernet"}]}}`: `{"reapply":"Never","desiredState":{"interfaces":[{"name":"br1","state":"absent"}]}}`,
		`{"desiredState":{"interfaces":[{"name":"eth1","state":"down","type":"ethernet"}]}}`:                                                   `{}`,
		`{"desiredState":{"interfaces":[{"name":"eth1","state":"down"}],"hostname":{"config":"a"}}}`:                                           `{"desiredState":{"hostname":{"config":"a"}}}`,
	} {
		node.Spec = spec(t, now)
		got, err := restPatch(node, some)
		var is, wanted any
		text := fmt.Sprintf(`[{"op":"test","path":"/spec","value":%s},{"op":"replace","path":"/spec","value":%s}]`, now, want)
		if err != nil || json.Unmarshal(got.body, &is) != nil || json.Unmarshal([]byte(text), &wanted) != nil || !reflect.DeepEqual(is, wanted) || got.options.FieldManager != restManager {
			t.Errorf("it is\n%s, %v, want\n%s", got.body, err, text)
		}
	}
	entry.PreviousSpec = nil
	if some, err := besides(node, entry); err != nil || len(some) > 0 {
		t.Errorf("without a spec of before it is %v, %v", some, err)
	}
}

// TestUnderWay: a change that waits for its confirmation is ended first.
func TestUnderWay(t *testing.T) {
	node := &v1alpha1.NodeNetworkState{}
	for _, last := range []*v1alpha1.LastApply{nil, {Outcome: v1alpha1.ApplyCommitted}} {
		if node.Status.LastApply = last; underWay(node) != nil {
			t.Errorf("after %+v something is under way", last)
		}
	}
	node.Status.LastApply = &v1alpha1.LastApply{ID: "1f2e3d4c-x", Outcome: v1alpha1.ApplyInProgress, Stage: v1alpha1.StageApplying}
	if err := underWay(node); fault.CodeOf(err) != fault.Unreachable || !strings.Contains(err.Error(), "--for=idle") {
		t.Errorf("%v", err)
	}
	node.Status.LastApply.ConfirmBefore = &metav1.Time{}
	if err := underWay(node); !strings.Contains(err.Error(), `"kubectl nmstate rollback 1f2e3d4c"`) {
		t.Errorf("%v", err)
	}
}

// TestUndoOfAnOlderAgent: where the history has no spec of before, the user reads what is not taken back before anything is asked.
func TestUndoOfAnOlderAgent(t *testing.T) {
	t.Setenv("KUBECONFIG", "/nowhere")
	const path = "/apis/nmstate.io/v1alpha1/nodenetworkstates/node01"
	before := `{"kind":"NodeNetworkState","apiVersion":"nmstate.io/v1alpha1","metadata":{"name":"node01","generation":2},"status":{"currentState":{"interfaces":[{"name":"br1","state":"up"}]}},`
	answers := map[string]string{
		"GET " + path + "/history": `{"kind":"NodeNetworkStateHistory","apiVersion":"nmstate.io/v1alpha1","entries":[{"id":"1f2e3d4c-x","generation":2,` +
			`"startTime":"2026-01-02T03:04:05Z","outcome":"Committed","revert":{"interfaces":[{"name":"br1","state":"absent"}]}}]}`,
		// Nothing would change, so that nobody is asked.
		"GET " + path: before + `"spec":{"reapply":"Always"}}`, "PATCH " + path: before + `"spec":{"reapply":"Always"}}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPatch && r.URL.Query().Get("dryRun") != "All" {
			t.Errorf("%s is asked for", r.URL)
		}
		_, _ = w.Write([]byte(answers[r.Method+" "+r.URL.Path]))
	}))
	defer server.Close()
	out, errs, code := run(t, "", "undo", "node01", "--server="+server.URL)
	for _, want := range []string{"Warning: node01: the history does not tell what change 1f2e3d4c altered in the spec", "removal stay as they are"} {
		if !strings.Contains(errs, want) {
			t.Errorf("it says %q, not %q", errs, want)
		}
	}
	if code != fault.Done || !strings.Contains(out, "node01: nothing would change") {
		t.Errorf("%d, %s, %s", code, out, errs)
	}
}
