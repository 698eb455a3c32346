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
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// MaxMessageSize is the size in bytes that a message of the stream may have. An
// interface takes a thousand or two, a route some hundreds.
const MaxMessageSize = 16 << 20

// How many entries an object may have in its lists: an agent makes four
// conditions, and upstream merges managers. An entry in memory can be much larger
// than what it takes on the stream.
const (
	maxConditions    = 16
	maxManagedFields = 1000
)

// objectKind is the kind of the objects on the stream.
const objectKind = "NodeNetworkState"

// EncodeObject returns an object as it travels on the stream.
func EncodeObject(obj *v1alpha1.NodeNetworkState) ([]byte, error) {
	typed := *obj
	typed.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(objectKind))
	text, err := json.Marshal(&typed)
	if err != nil {
		return nil, fmt.Errorf("encoding the object of node %q: %w", obj.Name, err)
	}
	return text, nil
}

// HashObject returns the hash that tells one encoded object from another.
func HashObject(text []byte) []byte {
	sum := sha256.Sum256(text)
	return sum[:]
}

// DecodeObject returns the object that EncodeObject made the text of, without
// its kind. Anything else, a state that is no JSON object, or the object of a
// node other than the given one is an error, which does not quote the text.
func DecodeObject(text []byte, node string) (*v1alpha1.NodeNetworkState, error) {
	obj := &v1alpha1.NodeNetworkState{}
	if err := json.Unmarshal(text, obj); err != nil {
		return nil, fmt.Errorf("the object of node %q is not valid: %w", node, withoutText(err))
	}
	if got, want := obj.GroupVersionKind(), v1alpha1.SchemeGroupVersion.WithKind(objectKind); got != want {
		return nil, fmt.Errorf("the object of node %q is of kind %q, not %q", node, got, want)
	}
	if obj.Name != "" && obj.Name != node {
		return nil, fmt.Errorf("the object is of node %q, not %q", obj.Name, node)
	}
	if len(obj.Status.Conditions) > maxConditions || len(obj.ManagedFields) > maxManagedFields {
		return nil, fmt.Errorf("the object of node %q has %d conditions and %d managedFields: more than %d and %d are not taken",
			node, len(obj.Status.Conditions), len(obj.ManagedFields), maxConditions, maxManagedFields)
	}
	for name, state := range map[string]*v1alpha1.State{
		"spec.desiredState":   obj.Spec.DesiredState,
		"status.currentState": obj.Status.CurrentState,
		"status.difference":   obj.Status.Difference,
	} {
		if state != nil && !bytes.HasPrefix(state.Raw, []byte("{")) {
			return nil, fmt.Errorf("%s in the object of node %q is no JSON object", name, node)
		}
	}
	obj.TypeMeta = metav1.TypeMeta{}
	return obj, nil
}

// withoutText makes sure that an error about a text that may hold anything does not quote it.
func withoutText(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("no JSON at byte %d", syntax.Offset)
	}
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return fmt.Errorf("field %q has the wrong type", mismatch.Field)
	}
	return errors.New("a field has a wrong value")
}

// ErrorToWire returns an error as it travels on the stream; nil stays nil.
func ErrorToWire(err error) *agentpb.Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return &agentpb.Error{Kind: string(e.Kind), Reason: e.Reason, Message: e.Message}
	}
	return &agentpb.Error{Kind: string(Failed), Message: err.Error()}
}

// ErrorFromWire returns the *Error that came from the stream, nil for none. A
// kind that this version does not know is Failed.
func ErrorFromWire(wire *agentpb.Error) error {
	if wire == nil {
		return nil
	}
	kind := ErrorKind(wire.Kind)
	switch kind {
	case Invalid, Conflict, Busy, Failed, Unreachable, Lost, InProgress:
	default:
		kind = Failed
	}
	return &Error{Kind: kind, Reason: wire.Reason, Message: wire.Message}
}

// EncodeChange returns a change as it travels on the stream: of its object, what a change can say.
func EncodeChange(change Change) (*agentpb.Change, error) {
	wanted := &v1alpha1.NodeNetworkState{Spec: change.Object.Spec}
	wanted.Name = change.Object.Name
	wanted.Annotations = change.Object.Annotations
	wanted.ManagedFields = change.Object.ManagedFields
	text, err := EncodeObject(wanted)
	if err != nil {
		return nil, err
	}
	return &agentpb.Change{Object: text, Base: change.Base, User: change.User}, nil
}

// DecodeChange returns the change that EncodeChange made, for the given node.
func DecodeChange(wire *agentpb.Change, node string) (Change, error) {
	obj, err := DecodeObject(wire.GetObject(), node)
	if err != nil {
		return Change{}, &Error{Kind: Invalid, Reason: "InvalidChange", Message: err.Error()}
	}
	return Change{Object: obj, Base: wire.GetBase(), User: wire.GetUser()}, nil
}
