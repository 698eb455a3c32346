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
	"bytes"
	"encoding/json"
	"reflect"
	"sync"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Encodings keep, for the current object of each node, what readers are given: its JSON and the
// columns that are read out of its state. Each is made once for a revision, when the first reader
// needs it. Whoever asks shows an object, and is given an encoding only if the object has the same
// content as the current one: so an object that was changed on its way, or is older, is never
// encoded by what is kept.
type Encodings struct {
	mu      sync.RWMutex
	current map[string]*encoding
}

// encoding is what is kept of one object, which is never changed.
type encoding struct {
	object *v1alpha1.NodeNetworkState

	// text is the object as an item of a list in JSON, in pieces.
	text func() ([][]byte, error)
	// network is what the table shows of the current state.
	network func() network
}

// NewEncodings returns Encodings of no node yet.
func NewEncodings() *Encodings { return &Encodings{current: map[string]*encoding{}} }

// set makes object, which is never changed again, the current object of its node.
func (e *Encodings) set(object *v1alpha1.NodeNetworkState) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if kept := e.current[object.Name]; kept != nil && kept.object == object {
		return
	}
	e.current[object.Name] = &encoding{
		object:  object,
		text:    sync.OnceValues(func() ([][]byte, error) { return encodeItem(object) }),
		network: sync.OnceValue(func() network { return parseNetwork(object.Status.CurrentState) }),
	}
}

// delete forgets a node.
func (e *Encodings) delete(node string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.current, node)
}

// of returns what is kept of a node's object, nil if nothing is.
func (e *Encodings) of(node string) *encoding {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.current[node]
}

// textOf returns the JSON text, in pieces, of an object as an item of a list.
func (e *Encodings) textOf(object *v1alpha1.NodeNetworkState) ([][]byte, error) {
	// The comparison does not follow a pointer that both have: it costs a hundredth of an encoding.
	if kept := e.of(object.Name); kept != nil && reflect.DeepEqual(kept.object, object) {
		return kept.text()
	}
	return encodeItem(object)
}

// networkOf returns what the table shows of an object's current state.
func (e *Encodings) networkOf(object *v1alpha1.NodeNetworkState) network {
	state := object.Status.CurrentState
	if kept := e.of(object.Name); kept != nil && state != nil {
		if own := kept.object.Status.CurrentState; own == state || own != nil && bytes.Equal(own.Raw, state.Raw) {
			return kept.network()
		}
	}
	return parseNetwork(state)
}

// leastShared is the size in bytes from which on a state is shared by its object and its encoding.
const leastShared = 512

// encodeItem returns the JSON text of an object that is an item of a list, as upstream's serializer
// writes it. The pieces of the text that are states of the object are those of the object, so that
// the memory holds them once.
func encodeItem(object *v1alpha1.NodeNetworkState) ([][]byte, error) {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(object); err != nil {
		return nil, err
	}
	rest := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	var pieces [][]byte
	for _, state := range []*v1alpha1.State{object.Spec.DesiredState, object.Status.CurrentState, object.Status.Difference} {
		if state == nil || len(state.Raw) < leastShared {
			continue
		}
		// It is not found if encoding has changed it, because it was not compact.
		if at := bytes.Index(rest, state.Raw); at >= 0 {
			pieces = append(pieces, bytes.Clone(rest[:at]), state.Raw)
			rest = rest[at+len(state.Raw):]
		}
	}
	return append(pieces, bytes.Clone(rest)), nil
}
