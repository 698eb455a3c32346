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
	"runtime"
	"sync"
	"weak"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Encodings keep, for the objects of nodes, what readers are given: their JSON and the
// columns that are read out of their state. Each is made once for a revision, when the first reader
// needs it. Whoever asks shows an object, and is given an encoding only if the object has the same
// content as the one that was encoded: so an object that was changed on its way is never
// encoded by what is kept.
type Encodings struct {
	mu      sync.RWMutex
	current map[string]kept
	// past are the encodings of objects that were current. A client whose watch has ended because it was behind begins where it was, and
	// is sent each change since: many such clients would have each change encoded as many times. An encoding
	// stays as long as its object is in the history of changes, so it does not hold the object.
	past map[version]past
}

// kept is an object, nil for none, and what is kept of it.
type kept struct {
	object *v1alpha1.NodeNetworkState
	*encoding
}

// past is what is kept of an object that is not current any more.
type past struct {
	object weak.Pointer[v1alpha1.NodeNetworkState]
	*encoding
}

// version names an object.
type version struct{ node, resourceVersion string }

// encoding is what readers are given of one object, which is never changed.
type encoding struct {
	encode  sync.Once
	pieces  [][]byte
	failure error

	parse   sync.Once
	columns network
}

// text returns the object as an item of a list in JSON, in pieces.
func (k kept) text() ([][]byte, error) {
	k.encode.Do(func() { k.pieces, k.failure = encodeItem(k.object) })
	return k.pieces, k.failure
}

// network returns what the table shows of the current state.
func (k kept) network() network {
	k.parse.Do(func() { k.columns = parseNetwork(k.object.Status.CurrentState) })
	return k.columns
}

// NewEncodings returns Encodings of no node yet.
func NewEncodings() *Encodings {
	return &Encodings{current: map[string]kept{}, past: map[version]past{}}
}

// set makes object, which is never changed again, the current object of its node.
func (e *Encodings) set(object *v1alpha1.NodeNetworkState) {
	e.mu.Lock()
	defer e.mu.Unlock()
	last := e.current[object.Name]
	if last.object == object {
		return
	}
	e.retire(last)
	e.current[object.Name] = kept{object, &encoding{}}
}

// delete forgets a node.
func (e *Encodings) delete(node string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.retire(e.current[node])
	delete(e.current, node)
}

// retire keeps what is kept of an object, if there is one, for as long as others hold the object. The caller holds the lock.
func (e *Encodings) retire(last kept) {
	if last.object == nil || aroundStates(last.object) > mostKept {
		return
	}
	of := version{last.object.Name, last.object.ResourceVersion}
	e.past[of] = past{weak.Make(last.object), last.encoding}
	runtime.AddCleanup(last.object, e.forget, of)
}

// mostKept is how many bytes the parts of an object beside its states may have, if its text is to be kept when the object is
// not current any more. The history of changes is bounded, and does not know of these texts.
const mostKept = 8 << 10

// aroundStates returns the size in bytes of what can be large in an object beside its states.
func aroundStates(object *v1alpha1.NodeNetworkState) int {
	size := 0
	for _, entry := range object.ManagedFields {
		if entry.FieldsV1 != nil {
			size += len(entry.FieldsV1.GetRawBytes())
		}
	}
	for name, value := range object.Annotations {
		size += len(name) + len(value)
	}
	for _, condition := range object.Status.Conditions {
		size += len(condition.Message)
	}
	if last := object.Status.LastApply; last != nil {
		size += len(last.Message)
	}
	return size
}

// forget forgets an object that nobody holds any more.
func (e *Encodings) forget(of version) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.past, of)
}

// of returns the current object of a node.
func (e *Encodings) of(node string) kept {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.current[node]
}

// was returns an object that is not current any more.
func (e *Encodings) was(of version) kept {
	e.mu.RLock()
	defer e.mu.RUnlock()
	last := e.past[of]
	return kept{last.object.Value(), last.encoding}
}

// find returns the object that has the same content as the given one.
func (e *Encodings) find(object *v1alpha1.NodeNetworkState) kept {
	found := e.of(object.Name)
	if found.object == nil || found.object.ResourceVersion != object.ResourceVersion {
		found = e.was(version{object.Name, object.ResourceVersion})
	}
	// The comparison does not follow a pointer that both have: it costs a hundredth of an encoding.
	if found.object == nil || !reflect.DeepEqual(found.object, object) {
		return kept{}
	}
	return found
}

// textOf returns the JSON text, in pieces, of an object as an item of a list.
func (e *Encodings) textOf(object *v1alpha1.NodeNetworkState) ([][]byte, error) {
	if found := e.find(object); found.object != nil {
		return found.text()
	}
	return encodeItem(object)
}

// networkOf returns what the table shows of an object's current state.
func (e *Encodings) networkOf(object *v1alpha1.NodeNetworkState) network {
	state := object.Status.CurrentState
	if found := e.of(object.Name); found.object != nil && state != nil {
		if own := found.object.Status.CurrentState; own == state || own != nil && bytes.Equal(own.Raw, state.Raw) {
			return found.network()
		}
	}
	return parseNetwork(state)
}

// encodeItem returns the JSON text of an object that is an item of a list, as upstream's serializer
// writes it, in pieces.
func encodeItem(object *v1alpha1.NodeNetworkState) ([][]byte, error) {
	return v1alpha1.Pieces(object, func(object *v1alpha1.NodeNetworkState) ([]byte, error) { return json.Marshal(object) })
}
