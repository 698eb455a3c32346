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

package agent

import (
	"bytes"
	"crypto/rand"
	"slices"
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/jsonweight"
)

// cutCurrentState returns the text of an object with standIn in the place of its current state, and the state; nil if there is none, or if it
// is nested so deep that it is refused. A state is nearly all of an object, and encoding/json reads each byte three times, and slowly.
func cutCurrentState(text []byte) (rest, state []byte) {
	found := gjson.GetBytes(text, "status.currentState")
	if found.Index == 0 || !found.IsObject() {
		return text, nil
	}
	end := found.Index + len(found.Raw)
	state = text[found.Index:end]
	// To weigh it takes memory for each level. encoding/json tells of many levels before.
	if jsonweight.Depth(state) > v1alpha1.MaxDepth {
		return text, nil
	}
	return slices.Concat(text[:found.Index], standIn, text[end:]), bytes.Clone(state)
}

// standIn is a JSON text that no object has.
var standIn = strconv.AppendQuote(nil, rand.Text())
