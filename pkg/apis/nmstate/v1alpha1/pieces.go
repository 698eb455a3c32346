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
	"crypto/rand"
	"fmt"

	"github.com/nmstate/kubernetes-nmstate/pkg/jsonweight"
)

// leastCut is the size in bytes from which on a state is a piece of its own.
const leastCut = 512

// Pieces returns what encode, an encoder of encoding/json's, makes of an object, in pieces. A state that the encoder would write as it is
// is a piece of its own, with the object's own bytes: the memory holds it once, and no time is spent on it. The states must be valid JSON.
func Pieces(object *NodeNetworkState, encode func(*NodeNetworkState) ([]byte, error)) ([][]byte, error) {
	bare := *object
	var cut [][]byte
	for _, state := range []**State{&bare.Spec.DesiredState, &bare.Status.CurrentState, &bare.Status.Difference} {
		if *state != nil && len((*state).Raw) >= leastCut && (*state).isPlain() {
			cut = append(cut, (*state).Raw)
			*state = NewState(mark(len(cut)))
		}
	}
	rest, err := encode(&bare)
	if err != nil || len(cut) == 0 {
		return [][]byte{rest}, err
	}
	var pieces [][]byte
	for i, raw := range cut {
		before, after, _ := bytes.Cut(rest, mark(i+1))
		pieces = append(pieces, before, raw)
		rest = after
	}
	return append(pieces, rest), nil
}

// unguessed is a word that no object has.
var unguessed = rand.Text()

// mark is what stands in the place of a state.
func mark(number int) []byte { return fmt.Appendf(nil, `{"%s":%d}`, unguessed, number) }

// isPlain tells whether encoding/json writes the state as it is: it takes white space out, and may escape some characters for HTML.
func (s *State) isPlain() bool {
	for _, plain := range escapedForHTML {
		if bytes.Contains(s.Raw, []byte(plain)) {
			return false
		}
	}
	return !jsonweight.HasSpace(s.Raw)
}
