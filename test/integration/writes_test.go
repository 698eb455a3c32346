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
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"

	contract "github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	typed "github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/typed/nmstate/v1alpha1"
)

// writer writes spec.desiredState of node1 in one of the ways that clients have.
// before is what it wrote last, or nothing.
type writer func(t *testing.T, nns typed.NodeNetworkStateInterface, before, state string) error

// manifest is a file with the state.
func manifest(state string) []byte {
	if state == "" {
		return []byte(`{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState","metadata":{"name":"node1"},"spec":{}}`)
	}
	return fmt.Appendf(nil, `{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState","metadata":{"name":"node1"},"spec":{"desiredState":%s}}`, state)
}

// serverSide is a server-side apply by a manager.
func serverSide(manager string) writer {
	return func(t *testing.T, nns typed.NodeNetworkStateInterface, _, state string) error {
		force := true
		_, err := nns.Patch(t.Context(), "node1", types.ApplyPatchType, manifest(state), metav1.PatchOptions{FieldManager: manager, Force: &force})
		return err
	}
}

// clientSide sends what kubectl apply sends: a merge patch from the last manifest,
// the new one and the live object.
func clientSide(t *testing.T, nns typed.NodeNetworkStateInterface, before, state string) error {
	live, err := nns.Get(t.Context(), "node1", metav1.GetOptions{})
	if err != nil {
		return err
	}
	current, err := json.Marshal(live)
	if err != nil {
		return err
	}
	patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(manifest(before), manifest(state), current)
	if err != nil {
		return err
	}
	_, err = nns.Patch(t.Context(), "node1", types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// put replaces the object, with the revision that was read or without.
func put(revision bool) writer {
	return func(t *testing.T, nns typed.NodeNetworkStateInterface, _, state string) error {
		live, err := nns.Get(t.Context(), "node1", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !revision {
			live = &v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: "node1"}}
		}
		live.Spec.DesiredState = v1alpha1.NewState([]byte(state))
		_, err = nns.Update(t.Context(), live, metav1.UpdateOptions{})
		return err
	}
}

func jsonPatch(t *testing.T, nns typed.NodeNetworkStateInterface, _, state string) error {
	patch := fmt.Appendf(nil, `[{"op":"add","path":"/spec/desiredState","value":%s}]`, state)
	_, err := nns.Patch(t.Context(), "node1", types.JSONPatchType, patch, metav1.PatchOptions{})
	return err
}

// replacing takes the state away and writes it anew, by merge patches.
func replacing(t *testing.T, nns typed.NodeNetworkStateInterface, _, state string) error {
	for _, patch := range []string{`{"spec":{"desiredState":null}}`, fmt.Sprintf(`{"spec":{"desiredState":%s}}`, state)} {
		if _, err := nns.Patch(t.Context(), "node1", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// forget takes the state away, whoever owns it.
func forget(t *testing.T, nns typed.NodeNetworkStateInterface) {
	t.Helper()
	patch := []byte(`{"metadata":{"managedFields":[{}]},"spec":{"desiredState":null}}`)
	if _, err := nns.Patch(t.Context(), "node1", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func text(state *v1alpha1.State) string {
	if state == nil {
		return "nothing"
	}
	return string(state.Raw)
}

func sameJSON(a, b string) bool {
	return a == b || v1alpha1.SameState(v1alpha1.NewState([]byte(a)), v1alpha1.NewState([]byte(b)))
}

// TestWhatIsWrittenReachesTheNode: {} stays {}, [] stays [], and a null that the
// client wrote stays null, in whatever way it is written.
func TestWhatIsWrittenReachesTheNode(t *testing.T) {
	s := newServer(t)
	node := s.join("node1")
	s.await("the node to join", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 1 })
	var reached string
	node.SetHooks(fake.Hooks{Apply: func(change contract.Change) error {
		reached = text(change.Object.Spec.DesiredState)
		return nil
	}})
	ways := map[string]writer{
		"server-side apply": serverSide("kubectl"), "client-side apply": clientSide, "PUT": put(false), "PUT with a revision": put(true),
		"JSON patch": jsonPatch, "merge patch": replacing,
	}
	for name, test := range map[string]struct {
		first, second string
		// lost are the ways that cannot say this: in a merge patch, null takes a field away.
		lost []string
	}{
		"no servers left":     {`{"dns-resolver":{"config":{"server":["192.0.2.1"]}}}`, `{"dns-resolver":{"config":{}}}`, nil},
		"nothing within":      {`{"routes":{"config":[{"destination":"192.0.2.0/24"}]}}`, `{"routes":{}}`, nil},
		"an empty list":       {`{"routes":{"config":[{"destination":"192.0.2.0/24"}]}}`, `{"routes":{"config":[]}}`, nil},
		"empty, then emptier": {`{"routes":{"config":[]}}`, `{"routes":{}}`, nil},
		"beside others":       {`{"hostname":{"config":"a"},"dns-resolver":{"config":{"server":[]}}}`, `{"hostname":{"config":"b"},"dns-resolver":{}}`, nil},
		"an empty state":      {`{"dns-resolver":{"config":{"server":["192.0.2.1"]}}}`, `{}`, nil},
		"empty in an interface": {`{"interfaces":[{"name":"br0","bridge":{"port":[{"name":"eth1"}]}}]}`,
			`{"interfaces":[{"name":"br0","bridge":{"port":[],"options":{}}}]}`, nil},
		"null in an interface": {`{"interfaces":[{"name":"br0","ovs-db":{"external_ids":{"a":"1"}}}]}`,
			`{"interfaces":[{"name":"br0","ovs-db":{"external_ids":{"a":null,"b":{}}}}]}`, []string{"client-side apply"}},
		"null for a map":  {`{"dns-resolver":{"config":{"server":["192.0.2.1"]}}}`, `{"dns-resolver":{"config":null}}`, []string{"client-side apply", "merge patch"}},
		"null for a text": {`{"hostname":{"config":"a"},"dns-resolver":{"config":{}}}`, `{"hostname":{"config":null},"dns-resolver":{"config":{}}}`, []string{"client-side apply", "merge patch"}},
	} {
		for way, write := range ways {
			t.Run(name+" by "+way, func(t *testing.T) {
				if slices.Contains(test.lost, way) {
					t.Skip("a merge patch cannot say this")
				}
				nns := s.nns()
				forget(t, nns)
				before := ""
				// The second state twice: what is there must not come out otherwise the next time.
				for _, state := range []string{test.first, test.second, test.second} {
					if err := write(t, nns, before, state); err != nil {
						t.Fatal(err)
					}
					before = state
					live, err := nns.Get(t.Context(), "node1", metav1.GetOptions{})
					if err != nil {
						t.Fatal(err)
					}
					if got := text(live.Spec.DesiredState); !sameJSON(got, state) {
						t.Errorf("wrote %s, the spec has %s", state, got)
					}
					if !sameJSON(reached, state) {
						t.Errorf("wrote %s, the node got %s", state, reached)
					}
				}
			})
		}
	}
}

// TestManagersShareAState: what one manager drops takes nothing from another, and
// leaves no null behind.
func TestManagersShareAState(t *testing.T) {
	s := newServer(t)
	s.join("node1")
	s.await("the node to join", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 1 })
	const servers = `{"dns-resolver":{"config":{"server":["192.0.2.1"]}}}`
	type step struct {
		write writer
		state string
	}
	a, b := serverSide("a"), serverSide("b")
	for name, test := range map[string]struct {
		steps []step
		want  string
	}{
		"emptied beside another's":  {[]step{{a, servers}, {b, `{"hostname":{"config":"h"}}`}, {a, `{"dns-resolver":{"config":{}}}`}}, `{"hostname":{"config":"h"},"dns-resolver":{"config":{}}}`},
		"another wants it empty":    {[]step{{a, servers}, {b, `{"dns-resolver":{"config":{}}}`}, {a, `{"hostname":{"config":"h"}}`}}, `{"hostname":{"config":"h"},"dns-resolver":{"config":{}}}`},
		"another wants less":        {[]step{{a, servers}, {b, `{"dns-resolver":{}}`}, {a, ``}}, `{"dns-resolver":{}}`},
		"another wants nothing":     {[]step{{a, servers}, {b, `{}`}, {a, ``}}, `{}`},
		"all gone":                  {[]step{{a, servers}, {b, `{"hostname":{"config":"h"}}`}, {b, ``}, {a, ``}}, `nothing`},
		"null, and null again":      {[]step{{a, servers}, {a, `{"dns-resolver":{"config":null}}`}, {b, `{"hostname":{"config":"h"}}`}}, `{"hostname":{"config":"h"},"dns-resolver":{"config":null}}`},
		"null beside another's":     {[]step{{a, servers}, {b, `{"dns-resolver":{"config":{"search":["x"]}}}`}, {a, `{"dns-resolver":{"config":null}}`}}, `{"dns-resolver":{"config":{"search":["x"]}}}`},
		"null, then empty":          {[]step{{a, servers}, {a, `{"dns-resolver":{"config":null}}`}, {a, `{"dns-resolver":{"config":{}}}`}}, `{"dns-resolver":{"config":{}}}`},
		"emptied after a PUT":       {[]step{{a, servers}, {put(true), `{"dns-resolver":{"config":{"server":["192.0.2.2"]}}}`}, {a, `{"dns-resolver":{"config":{}}}`}}, `{"dns-resolver":{"config":{"server":["192.0.2.2"]}}}`},
		"another type in its place": {[]step{{a, servers}, {a, `{"dns-resolver":{"config":[]}}`}, {a, `{"dns-resolver":{"config":{}}}`}}, `{"dns-resolver":{"config":{}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			nns := s.nns()
			forget(t, nns)
			for _, step := range test.steps {
				if err := step.write(t, nns, "", step.state); err != nil {
					t.Fatal(err)
				}
			}
			live, err := nns.Get(t.Context(), "node1", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := text(live.Spec.DesiredState); !sameJSON(got, test.want) {
				t.Errorf("the spec is %s, want %s", got, test.want)
			}
		})
	}
}
