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

package fake

import (
	"errors"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

func mustParse(t *testing.T, text string) network {
	t.Helper()
	n, err := parse(v1alpha1.NewState([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMergeAndDifference(t *testing.T) {
	for name, test := range map[string]struct{ before, wanted, missing, after string }{
		"nothing":       {`{}`, `{}`, ``, `{"interfaces":null}`},
		"new interface": {`{"interfaces":[{"name":"b"}]}`, `{"interfaces":[{"name":"a"}]}`, `{"interfaces":[{"name":"a"}]}`, `{"interfaces":[{"name":"a","state":"up"},{"name":"b"}]}`},
		"property": {`{"interfaces":[{"name":"a","mtu":1,"state":"up"}]}`, `{"interfaces":[{"name":"a","mtu":2}]}`,
			`{"interfaces":[{"mtu":2,"name":"a"}]}`, `{"interfaces":[{"mtu":2,"name":"a","state":"up"}]}`},
		"holds":     {`{"interfaces":[{"name":"a","state":"up","mtu":1}]}`, `{"interfaces":[{"name":"a","mtu":1}]}`, ``, `{"interfaces":[{"mtu":1,"name":"a","state":"up"}]}`},
		"absent":    {`{"interfaces":[{"name":"a"}]}`, `{"interfaces":[{"name":"a","state":"absent"}]}`, `{"interfaces":[{"name":"a","state":"absent"}]}`, `{"interfaces":null}`},
		"is absent": {`{}`, `{"interfaces":[{"name":"a","state":"absent"}]}`, ``, `{"interfaces":null}`},
		"section":   {`{"hostname":"a"}`, `{"hostname":"b"}`, `{"hostname":"b"}`, `{"hostname":"b","interfaces":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			before, wanted := mustParse(t, test.before), mustParse(t, test.wanted)
			missing := before.missing(wanted)
			if missing == nil && test.missing != "" || missing != nil && string(missing.Raw) != test.missing {
				t.Errorf("missing is %v, not %s", missing, test.missing)
			}
			after := before.merged(wanted)
			if got := string(after.state().Raw); got != test.after {
				t.Errorf("merged is %s, not %s", got, test.after)
			}
			if still := after.missing(wanted); still != nil {
				t.Errorf("after it was applied there is still missing %s", still.Raw)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{``, `[]`, `"text"`, `{"colour":1}`, `{"interfaces":[{}]}`, `{"interfaces":[1]}`} {
		_, err := parse(v1alpha1.NewState([]byte(text)))
		var own *agent.Error
		if !errors.As(err, &own) || own.Kind != agent.Invalid {
			t.Errorf("%s: got %v, not an *agent.Error of kind Invalid", text, err)
		}
	}
	if err := New().SetState(`{"colour":1}`); err == nil {
		t.Error("a network can be what it cannot be")
	}
	if err := New().SetStateUnnoticed(`[]`); err == nil {
		t.Error("a network can be what it cannot be")
	}
}

func TestHooksAndCounts(t *testing.T) {
	a := New()
	refusal := &agent.Error{Kind: agent.Invalid, Message: "refused by a hook"}
	barriers := 0
	a.SetHooks(Hooks{
		Barrier:  func() { barriers++ },
		Validate: func(agent.Change) error { return refusal },
	})
	before := a.Counts()
	if _, err := a.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	base, err := agent.Fingerprint(a.feed.Last())
	if err != nil {
		t.Fatal(err)
	}
	wanted := a.feed.Last().DeepCopy()
	wanted.Spec.DesiredState = v1alpha1.NewState([]byte(`{"hostname":"b"}`))
	change := agent.Change{Object: wanted, Base: base}
	if _, err := a.Validate(t.Context(), change); !errors.Is(err, refusal) {
		t.Errorf("Validate: %v", err)
	}
	if _, err := a.Apply(t.Context(), change); !errors.Is(err, refusal) {
		t.Errorf("Apply: %v", err)
	}
	after := a.Counts()
	if barriers != 1 || after.Barriers != before.Barriers+1 || after.Validates != 1 || after.Applies != 0 || after.Reads <= before.Reads {
		t.Errorf("after %d barriers the counts went from %+v to %+v", barriers, before, after)
	}
}
