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
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestServerSideApplySaysWhatWasApplied: managers apply states at random, and
// after each all of it is there, and null only where somebody once wrote null.
func TestServerSideApplySaysWhatWasApplied(t *testing.T) {
	fields := newMerger(t)
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 7))
		live := &v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: "node1", UID: "1"}}
		live.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(kind))
		nulls := map[string]bool{}
		var story []string
		for range 6 {
			state, manager := randomMap(random, 3), fmt.Sprintf("m%d", random.IntN(3))
			note(state, "", nulls)
			live = fields.apply(t, live, manager, state)
			got, err := decode(live.Spec.DesiredState)
			if err != nil {
				t.Fatal(err)
			}
			story = append(story, fmt.Sprintf("%s applied %s: %s", manager, encoded(t, state), encoded(t, got)))
			found := map[string]bool{}
			note(got, "", found)
			for path := range found {
				if !nulls[path] {
					t.Fatalf("seed %d: %s is null, which nobody wrote\n%s", seed, path, strings.Join(story, "\n"))
				}
			}
			if missing := lacking(got, state, ""); missing != "" {
				t.Fatalf("seed %d: %s is not as it was applied\n%s", seed, missing, strings.Join(story, "\n"))
			}
		}
	}
}

// randomMap returns a map of few keys, so that managers meet.
func randomMap(random *rand.Rand, depth int) any {
	fields := map[string]any{}
	for _, key := range []string{"a", "b", "c"}[:random.IntN(4)] {
		switch kind := random.IntN(10); {
		case kind == 0:
			fields[key] = nil
		case kind == 1:
			fields[key] = []any{}
		case kind == 2:
			fields[key] = []any{map[string]any{"a": nil}}
		case kind < 5 || depth == 0:
			fields[key] = fmt.Sprint(random.IntN(2))
		default:
			fields[key] = randomMap(random, depth-1)
		}
	}
	return fields
}

// note adds the paths of all fields that are null.
func note(value any, path string, nulls map[string]bool) {
	if value == nil {
		nulls[path] = true
	}
	if fields, ok := value.(map[string]any); ok {
		for key, field := range fields {
			note(field, path+"."+key, nulls)
		}
	}
}

// lacking returns the path of something applied that is not there. Where null was
// applied others may have fields.
func lacking(got, applied any, path string) string {
	if want, ok := applied.(map[string]any); ok {
		is, ok := got.(map[string]any)
		if !ok {
			return path + " (a map)"
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if _, there := is[key]; !there {
				return path + "." + key
			}
			if missing := lacking(is[key], want[key], path+"."+key); missing != "" {
				return missing
			}
		}
		return ""
	}
	if applied != nil && fmt.Sprint(got) != fmt.Sprint(applied) {
		return path
	}
	return ""
}

func encoded(t *testing.T, value any) string {
	t.Helper()
	state, err := encode(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(state.Raw)
}

// TestOnlyWhatWasLostIsRestored: what upstream's merge left alone keeps its bytes,
// and what admission changed afterwards stays changed.
func TestOnlyWhatWasLostIsRestored(t *testing.T) {
	owners := newMerger(t).owners
	const apply, merge = string(types.ApplyYAMLPatchType), string(types.MergePatchType)
	for name, test := range map[string]struct {
		media, body, before, now, want string
	}{
		"nothing lost":       {merge, `{"spec":{"desiredState":{"b":1}}}`, `{"a": 1.0}`, `{ "a": 1.0, "b": 1 }`, `{ "a": 1.0, "b": 1 }`},
		"numbers stay":       {merge, `{"spec":{"desiredState":{"l":[{"a":null,"n":1.50,"h":"<&>"}]}}}`, `{}`, `{"l":[{"n":1.50,"h":"<&>"}]}`, `{"l":[{"a":null,"h":"<&>","n":1.50}]}`},
		"admission, a list":  {merge, `{"spec":{"desiredState":{"l":[{"a":null}]}}}`, `{}`, `{"l":[{"added":1}]}`, `{"l":[{"added":1}]}`},
		"admission, a field": {merge, `{"spec":{"desiredState":{"l":[{"a":null}]}}}`, `{}`, `{"added":1}`, `{"added":1}`},
		"null in a list":     {merge, `{"spec":{"desiredState":{"l":[null,[{"a":null}]]}}}`, `{}`, `{"l":[null,[{}]]}`, `{"l":[null,[{"a":null}]]}`},
		"emptied":            {apply, "spec:\n  desiredState:\n    m: {}\n", `{"m":{"a":1}}`, `{"m":null}`, `{"m":{}}`},
		"null by the client": {apply, "spec:\n  desiredState:\n    m: null\n", `{"m":{"a":1}}`, `{"m":null}`, `{"m":null}`},
		"null before":        {apply, "spec: {}\n", `{"m":null}`, `{"m":null}`, `{"m":null}`},
		"a PUT":              {"application/json", `{"spec":{"desiredState":{"m":null}}}`, `{"m":{"a":1}}`, `{"m":null}`, `{"m":null}`},
		"a JSON patch":       {string(types.JSONPatchType), `[{"op":"add","path":"/spec/desiredState/m","value":null}]`, `{"m":{"a":1}}`, `{"m":null}`, `{"m":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			before, now := node(), node()
			before.Spec.DesiredState, now.Spec.DesiredState = v1alpha1.NewState([]byte(test.before)), v1alpha1.NewState([]byte(test.now))
			if err := NewBody(test.media, []byte(test.body)).restore(owners, now, before, nil); err != nil {
				t.Fatal(err)
			}
			if got := string(now.Spec.DesiredState.Raw); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
