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
	"io"
	"reflect"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxDepth is how deep a state may be nested. nmstate's own format needs ten;
// its JSON parser gives up at 128.
const maxDepth = 100

// ValidateState tells what is wrong with a state before nmstate sees it: it must
// be a JSON object that is not nested beyond reason. nil is fine.
func ValidateState(state *State, path *field.Path) field.ErrorList {
	if state == nil || len(state.Raw) == 0 {
		return nil
	}
	if first := bytes.TrimLeft(state.Raw, " \t\r\n"); first[0] != '{' {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, "must be an object in nmstate's format, such as {\"interfaces\": []}")}
	}
	decoder := json.NewDecoder(bytes.NewReader(state.Raw))
	for depth := 0; ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return field.ErrorList{field.Invalid(path, field.OmitValueType{}, fmt.Sprintf("is no JSON: %v", err))}
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return field.ErrorList{field.Invalid(path, field.OmitValueType{}, fmt.Sprintf("must not be nested deeper than %d levels", maxDepth))}
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
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
	var x, y any
	if json.Unmarshal(a.Raw, &x) != nil || json.Unmarshal(b.Raw, &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

func (s *State) empty() bool { return s == nil || len(s.Raw) == 0 }
