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
	"errors"
	"fmt"

	"github.com/nmstate/kubernetes-nmstate/pkg/jsonweight"
)

// +k8s:deepcopy-gen=false

// State is a network state in nmstate's own format: a JSON object, passed through
// byte for byte, also with fields that the server does not know. States are compared
// by meaning, never by bytes (a patch re-encodes JSON).
type State struct {
	// Raw is the JSON text of an object. Its bytes are never changed: copies of a State share them. A State gets
	// a new Raw instead.
	Raw json.RawMessage `json:"-"`
}

// NewState returns a State with the given JSON text.
func NewState(raw []byte) *State { return &State{Raw: raw} }

// DeepCopyInto copies the State into out, which shares the text. The server copies an object for each watch that is behind, and a
// state is nearly all of it.
func (s *State) DeepCopyInto(out *State) { *out = *s }

// DeepCopy returns a copy, which shares the text.
func (s *State) DeepCopy() *State {
	if s == nil {
		return nil
	}
	return NewState(s.Raw)
}

// MarshalJSON returns the JSON text as it is; nothing at all becomes null.
func (s State) MarshalJSON() ([]byte, error) {
	if len(s.Raw) == 0 {
		return []byte("null"), nil
	}
	return s.Raw, nil
}

// UnmarshalJSON keeps the JSON text as it is. It refuses what is no object, and what is nested
// so deep that it is dear to work with.
func (s *State) UnmarshalJSON(data []byte) error {
	if s == nil {
		return errors.New("v1alpha1.State: UnmarshalJSON on a nil pointer")
	}
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	if len(data) == 0 || data[0] != '{' {
		// Upstream's field manager would log what it is instead, and it may be a secret.
		return errors.New("a state must be an object in nmstate's format, such as {\"interfaces\": []}")
	}
	if jsonweight.Depth(data) > maxDecodedDepth {
		return fmt.Errorf("a state must not be nested deeper than %d levels", MaxDepth)
	}
	s.Raw = bytes.Clone(data) // What was there before belongs to the copies, too.
	return nil
}

// Compact returns the state as it travels and is kept: without white space, and without
// the escapes that JSON needs only inside HTML. Each patch puts those into the text, six
// bytes for one. A state that is no JSON, or already compact, is returned as it is.
func (s *State) Compact() *State {
	if s == nil {
		return nil
	}
	text, err := compact(s.Raw)
	if err != nil || bytes.Equal(text, s.Raw) {
		return s
	}
	return NewState(text)
}

func compact(raw []byte) ([]byte, error) {
	var text bytes.Buffer
	text.Grow(len(raw))
	if err := json.Compact(&text, raw); err != nil {
		return nil, err
	}
	return unescapeHTML(text.Bytes()), nil
}

// escapedForHTML are the escapes that encoding/json writes where JSON asks for none.
var escapedForHTML = map[string]string{
	`\u003c`: "<", `\u003e`: ">", `\u0026`: "&", `\u2028`: "\u2028", `\u2029`: "\u2029",
}

// unescapeHTML takes back, in place, what escaping for HTML did to a JSON text.
func unescapeHTML(text []byte) []byte {
	result := text[:0]
	for {
		at := bytes.IndexByte(text, '\\')
		if at < 0 || at+1 >= len(text) {
			return append(result, text...)
		}
		result, text = append(result, text[:at]...), text[at:]
		end := min(6, len(text))
		if plain, ok := escapedForHTML[string(text[:end])]; ok {
			result, text = append(result, plain...), text[end:]
		} else {
			// The next character belongs to this backslash, also if it is one itself.
			result, text = append(result, text[:2]...), text[2:]
		}
	}
}

// CurrentStateModelName is the name that the definition of a state which is only read has in OpenAPI. It has no type of its own; the name of a
// State's definition is OpenAPIModelName.
const CurrentStateModelName = "io.nmstate.v1alpha1.CurrentState"

// OpenAPISchemaType tells the OpenAPI generator that a State is an object.
func (State) OpenAPISchemaType() []string { return []string{"object"} }

// OpenAPISchemaFormat tells the OpenAPI generator that a State has no format.
func (State) OpenAPISchemaFormat() string { return "" }
