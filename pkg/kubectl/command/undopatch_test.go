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
		"options alone":                       {specAfter1, `{"desiredState":{"interfaces":[{"name":"br1","state":"up"}]}}`, specAfter1, `{}`, `{"desiredState":{"interfaces":[{"name":"br1","state":"up"}]}}`},
		"options alone, which need no revert": {specAfter1, `{"desiredState":{"interfaces":[{"name":"br1","state":"up"}]}}`, specAfter1, "", `{"desiredState":{"interfaces":[{"name":"br1","state":"up"}]}}`},
		"a desired state that was taken away, which needs no revert": {`{"reapply":"Always"}`, specBefore, `{}`, "",
			`{"reapply":"Always",` + specBefore[1:]},
		"the first change, whose revert is lost": {`{"desiredState":{"hostname":{"config":"b"}}}`, `{}`, `{"desiredState":{"hostname":{"config":"b"}}}`, "", `{}`},
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
		entry := &v1alpha1.HistoryEntry{}
		if c.revert != "" {
			entry.Revert = v1alpha1.NewState([]byte(c.revert))
		}
		var after *v1alpha1.NodeNetworkStateSpec
		if c.before != "" {
			before := spec(t, c.before)
			entry.PreviousSpec = &before
		}
		if c.after != "" {
			led := spec(t, c.after)
			after = &led
		}
		without, err := specWithout(node, entry, after)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := specPatch("node01", without.now, without.then, fault.UndoManager)
		if err != nil || got.node != "node01" || got.options.FieldManager != fault.UndoManager {
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
	entry := &v1alpha1.HistoryEntry{PreviousSpec: &before}
	revert, err := tree.Decode([]byte(
		`{"interfaces":[{"name":"br1","type":"linux-bridge","state":"absent"},{"name":"eth1","type":"ethernet","state":"down"},{"name":"eth3","mtu":1400}]}`))
	if err != nil {
		t.Fatal(err)
	}
	node := &v1alpha1.NodeNetworkState{Spec: spec(t, `{"desiredState":{"interfaces":[{"name":"br1","type":"linux-bridge","state":"up"}]}}`)}
	some, err := besides(node, entry, revert)
	if err != nil || len(some) != 1 || tree.Object(some[0])["name"] != "eth1" {
		t.Fatalf("it is %v, %v", some, err)
	}
	for now, want := range map[string]string{
		`{"reapply":"Never","desiredState":{"interfaces":[{"name":"br1","state":"absent"},{"name":"eth1","state":"down","type":"ethernet"}]}}`: `{"reapply":"Never","desiredState":{"interfaces":[{"name":"br1","state":"absent"}]}}`,
		`{"desiredState":{"interfaces":[{"name":"eth1","state":"down","type":"ethernet"}]}}`:                                                   `{}`,
		`{"desiredState":{"interfaces":[{"name":"eth1","type":"ethernet","state":"down"}],"hostname":{"config":"a"}}}`:                         `{"desiredState":{"hostname":{"config":"a"}}}`,
		// Somebody has written it anew.
		`{"desiredState":{"interfaces":[{"name":"eth1","mtu":9000}]}}`:                                  "",
		`{"desiredState":{"interfaces":[{"name":"eth1","type":"ethernet","state":"down","mtu":9000}]}}`: "",
	} {
		node.Spec = spec(t, now)
		got, err := restPatch(node, some)
		if want == "" {
			if err != nil || got != nil {
				t.Errorf("of %s it is %+v, %v, want nothing", now, got, err)
			}
			continue
		}
		var is, wanted any
		text := fmt.Sprintf(`[{"op":"test","path":"/spec","value":%s},{"op":"replace","path":"/spec","value":%s}]`, now, want)
		if err != nil || json.Unmarshal(got.body, &is) != nil || json.Unmarshal([]byte(text), &wanted) != nil || !reflect.DeepEqual(is, wanted) || got.options.FieldManager != restManager {
			t.Errorf("it is\n%s, %v, want\n%s", got.body, err, text)
		}
	}
	entry.PreviousSpec = nil
	if some, err := besides(node, entry, revert); err != nil || len(some) > 0 {
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

// undoing gives "undo" a node that has this spec and one change, and answers dry runs so. It returns what is printed, and the exit code.
func undoing(t *testing.T, entry, spec string, code int, dryRun string) (string, string, fault.Code) {
	t.Helper()
	t.Setenv("KUBECONFIG", "/nowhere")
	const path = "/apis/nmstate.io/v1alpha1/nodenetworkstates/node01"
	const change = `{"kind":"NodeNetworkStateHistory","apiVersion":"nmstate.io/v1alpha1","entries":[{"id":"1f2e3d4c-x","generation":2,"startTime":"2026-01-02T03:04:05Z","outcome":"Committed",`
	node := `{"kind":"NodeNetworkState","apiVersion":"nmstate.io/v1alpha1","metadata":{"name":"node01","generation":2},"status":{"currentState":{"interfaces":[{"name":"br1","state":"up"}]}},"spec":` + spec + "}"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.Method + " " + r.URL.Path {
		case "GET " + path + "/history":
			_, _ = w.Write([]byte(change + entry + "}]}"))
		case "GET " + path:
			_, _ = w.Write([]byte(node))
		case "PATCH " + path:
			if r.URL.Query().Get("dryRun") != "All" {
				t.Errorf("%s is asked for", r.URL)
			}
			if dryRun == "" {
				dryRun = node // nothing would change, so that nobody is asked
			}
			w.WriteHeader(code)
			_, _ = w.Write([]byte(dryRun))
		}
	}))
	defer server.Close()
	return run(t, "", "undo", "node01", "--server="+server.URL)
}

// TestUndoTellsWhatIsUnknown: where the history has no spec of before, or no revert, the user reads what is not taken back before anything is asked.
func TestUndoTellsWhatIsUnknown(t *testing.T) {
	const bridge = `"revert":{"interfaces":[{"name":"br1","state":"absent"}]}`
	for name, c := range map[string]struct{ entry, spec, want string }{
		"an older agent, or an older API server": {bridge, `{"reapply":"Always"}`,
			"the history does not tell what change 1f2e3d4c altered in the spec (an agent or an API server of an older version"},
		"a revert that is lost":          {`"previousSpec":{}`, `{"desiredState":{"hostname":{"config":"a"}}}`, "does not tell what change 1f2e3d4c altered in the network"},
		"a revert that is lost, removal": {`"previousSpec":{},"difference":{"hostname":{"config":"a"}}`, `{}`, "does not tell what change 1f2e3d4c altered in the network"},
		"options alone":                  {`"previousSpec":{}`, `{"reapply":"Always"}`, ""},
		"all is known":                   {`"previousSpec":{},` + bridge, `{"desiredState":{"hostname":{"config":"a"}}}`, ""},
	} {
		out, errs, code := undoing(t, c.entry, c.spec, http.StatusOK, "")
		if code != fault.Done || !strings.Contains(out, "node01: nothing would change") || (c.want == "") != (errs == "") || !strings.Contains(errs, c.want) {
			t.Errorf("%s: %d, %s, %s, want %q", name, code, out, errs, c.want)
		}
	}
}

// TestUndoOfSecrets: the history has no secrets. The user reads which ones stay as they are, and what to do where there is none to keep.
func TestUndoOfSecrets(t *testing.T) {
	eap := func(fields string) string {
		return `{"interfaces":[{"name":"eth1","802.1x":{` + fields + `"password":"<_password_hid_by_nmstate>"}},{"name":"eth2","802.1x":{"password":"<_password_hid_by_nmstate>"}}]}`
	}
	const warning = "eth1 keeps the secret that it has now"
	now := `{"desiredState":` + eap(`"identity":"b",`) + `}`
	for name, c := range map[string]struct{ entry, spec, want string }{
		"who the node says that it is": {`"revert":{},"previousSpec":{"desiredState":` + eap(`"identity":"a",`) + `}`, now, warning},
		"the password alone":           {`"revert":{"interfaces":[{"name":"eth1","802.1x":{"password":"<_password_hid_by_nmstate>"}}]},"previousSpec":` + now, now, warning},
		"options":                      {`"revert":{},"previousSpec":` + strings.Replace(now, "{", `{"reapply":"Never",`, 1), now, ""},
		"it leaves the spec":           {`"revert":{},"previousSpec":{}`, now, ""},
	} {
		out, errs, code := undoing(t, c.entry, c.spec, http.StatusOK, "")
		if code != fault.Done || !strings.Contains(out, "nothing would change") || (c.want == "") != (errs == "") || !strings.Contains(errs, c.want) || strings.Contains(errs, "eth2") {
			t.Errorf("%s: %d, %s, %s, want %q", name, code, out, errs, c.want)
		}
	}
	const refusal = `{"kind":"Status","apiVersion":"v1","status":"Failure","code":422,"reason":"Invalid","message":"NodeNetworkState.nmstate.io \"node01\" is invalid: spec.desiredState: ` +
		`Invalid value: interfaces[eth1].802.1x.password is masked, and there is no secret to keep: give the secret itself"}`
	out, errs, code := undoing(t, `"revert":{},"previousSpec":`+now, `{}`, http.StatusUnprocessableEntity, refusal)
	if code != fault.Refused || strings.Contains(errs, "keeps the secret") || !strings.Contains(errs, "apply the file that has the secret") || !strings.Contains(errs, "Nothing was changed") {
		t.Errorf("%d, %s, %s", code, out, errs)
	}
}
