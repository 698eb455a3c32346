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
)

// +k8s:deepcopy-gen=true

// State is a network state in nmstate's own format: a free-form JSON object,
// passed through byte for byte. States are compared by meaning, never by bytes
// (a patch re-encodes JSON).
type State struct {
	// Raw is the JSON text. It may be anything JSON when it comes from a client;
	// validation makes sure that it is an object.
	Raw json.RawMessage `json:"-"`
}

// NewState returns a State with the given JSON text.
func NewState(raw []byte) *State { return &State{Raw: raw} }

// MarshalJSON returns the JSON text as it is; nothing at all becomes null.
func (s State) MarshalJSON() ([]byte, error) {
	if len(s.Raw) == 0 {
		return []byte("null"), nil
	}
	return s.Raw, nil
}

// UnmarshalJSON keeps the JSON text as it is.
func (s *State) UnmarshalJSON(data []byte) error {
	if s == nil {
		return errors.New("v1alpha1.State: UnmarshalJSON on a nil pointer")
	}
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	s.Raw = append(s.Raw[:0], data...)
	return nil
}

// OpenAPISchemaType tells the OpenAPI generator that a State is an object.
func (State) OpenAPISchemaType() []string { return []string{"object"} }

// OpenAPISchemaFormat tells the OpenAPI generator that a State has no format.
func (State) OpenAPISchemaFormat() string { return "" }
