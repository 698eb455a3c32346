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
	"reflect"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/jsonweight"
)

// ValidateState tells what is wrong with a desired state before nmstate sees it: it must
// be a JSON object that is neither too large nor nested beyond reason. nil is fine.
func ValidateState(state *State, path *field.Path) field.ErrorList {
	if state == nil || len(state.Raw) == 0 {
		return nil
	}
	if first := bytes.TrimLeft(state.Raw, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, "must be an object in nmstate's format, such as {\"interfaces\": []}")}
	}
	text, err := compact(state.Raw)
	if err != nil {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, fmt.Sprintf("is no JSON: %v", err))}
	}
	if len(text) > MaxDesiredState {
		return field.ErrorList{tooLarge(path, len(text), MaxDesiredState, "leave out what is as it should be: what a state does not mention stays as it is on the node")}
	}
	if err := NewState(text).CheckComplexity(); err != nil {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, err.Error())}
	}
	if err := CheckOwned(jsonweight.Of(text)); err != nil {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, err.Error())}
	}
	return nil
}

// SameState tells whether two states mean the same: order of keys, white space
// and the notation of numbers do not count. An absent state is an empty one.
func SameState(a, b *State) bool {
	if a == nil || b == nil {
		return a.empty() && b.empty()
	}
	if bytes.Equal(a.Raw, b.Raw) {
		return true
	}
	// A patch escapes for HTML, and most often changes nothing else. To decode is dear.
	left, leftErr := compact(a.Raw)
	right, rightErr := compact(b.Raw)
	if leftErr != nil || rightErr != nil {
		return false
	}
	if bytes.Equal(left, right) {
		return true
	}
	var x, y any
	if json.Unmarshal(left, &x) != nil || json.Unmarshal(right, &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

func (s *State) empty() bool { return s == nil || len(s.Raw) == 0 }
