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

package v1alpha1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestPiecesAreTheWhole: the pieces together are what the encoder makes of the object, with and without escapes for HTML.
func TestPiecesAreTheWhole(t *testing.T) {
	escaped := func(obj *NodeNetworkState) ([]byte, error) { return json.Marshal(obj) }
	plain := func(obj *NodeNetworkState) ([]byte, error) {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		err := encoder.Encode(obj)
		return bytes.TrimSpace(text.Bytes()), err
	}
	long := strings.Repeat("x", leastCut)
	state := func(value string) *State { return NewState(fmt.Appendf(nil, `{"a":"%s%s"}`, long, value)) }
	spaced := func(space string) *State { return NewState(fmt.Appendf(nil, `{"a":%s"%s"}`, space, long)) }
	for name, states := range map[string][3]*State{
		"none":            {},
		"short":           {NewState([]byte(`{"a":"<"}`)), nil, NewState([]byte(`{}`))},
		"all":             {state("0"), state("1"), state("2")},
		"the same":        {state("0"), state("0"), state("0")},
		"space in a text": {state(` \" `), nil, state("\\\\")},
		"space":           {spaced(" "), spaced("\t"), spaced("\r\n")},
		"HTML":            {state("<"), state(">"), state("&")},
		"HTML escaped":    {state(`\u003c`), state(`\u0026`), nil},
		"line separators": {state("\u2028"), state("\u2029"), nil},
		"a mark":          {state("0"), NewState(append([]byte(`{"b":`+`"`+long+`","a":`), append(mark(1), '}')...)), nil},
		"no text":         {NewState(nil), nil, nil},
	} {
		obj := &NodeNetworkState{Spec: NodeNetworkStateSpec{DesiredState: states[0]}, Status: NodeNetworkStateStatus{CurrentState: states[1], Difference: states[2]}}
		obj.Name = name
		for _, encode := range []func(*NodeNetworkState) ([]byte, error){escaped, plain} {
			want, err := encode(obj)
			if err != nil {
				t.Fatal(err)
			}
			pieces, err := Pieces(obj, encode)
			if got := bytes.Join(pieces, nil); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %v, in pieces %q, whole %q", name, err, got, want)
			}
		}
		if obj.Spec.DesiredState != states[0] || obj.Status.CurrentState != states[1] || obj.Status.Difference != states[2] {
			t.Errorf("%s: the object was changed", name)
		}
	}
}

// TestPiecesShareTheState: a state is not copied.
func TestPiecesShareTheState(t *testing.T) {
	obj := &NodeNetworkState{Status: NodeNetworkStateStatus{CurrentState: NewState(fmt.Appendf(nil, `{"a":"%s"}`, strings.Repeat("x", leastCut)))}}
	pieces, err := Pieces(obj, func(obj *NodeNetworkState) ([]byte, error) { return json.Marshal(obj) })
	if err != nil || len(pieces) != 3 || &pieces[1][0] != &obj.Status.CurrentState.Raw[0] {
		t.Errorf("%d pieces, %v", len(pieces), err)
	}
}
