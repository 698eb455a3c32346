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
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// MaxMessageSize is the size in bytes that a message of the stream may have. An
// interface takes a thousand or two, a route some hundreds.
const MaxMessageSize = 16 << 20

// maxObject is the size in bytes that an object in a message may have. The rest of a
// message is short: a few numbers, a fingerprint, the name of a user.
const maxObject = MaxMessageSize - 64<<10

const (
	// StreamWindow is how many bytes one end of a stream takes before the other end has to wait. It
	// is fixed: with a window that gRPC fits to the connection, each message costs a ping, its
	// answer and an update of the window, and a barrier is two short messages.
	StreamWindow = 1 << 20
	// ReadBuffer is the size in bytes of the buffer that each end reads a connection into: none. crypto/tls has the rest of a
	// record in a buffer of its own.
	ReadBuffer = 0
	// WriteBuffer is how many bytes an agent writes to its connection at once, at most. A write is a TLS record, and the other end
	// keeps, for as long as the connection lasts, a buffer of up to four times the size of the largest record that came: records
	// come faster than they are taken out. So the records of most agents have SmallRecord bytes.
	WriteBuffer = 16 << 10
	SmallRecord = 1 << 10
)

// objectKind is the kind of the objects on the stream.
const objectKind = "NodeNetworkState"

// EncodeObject returns an object as it travels on the stream.
func EncodeObject(obj *v1alpha1.NodeNetworkState) ([]byte, error) {
	typed := *obj
	typed.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(objectKind))
	pieces, err := v1alpha1.Pieces(&typed, encode)
	if err != nil {
		return nil, fmt.Errorf("encoding the object of node %q: %w", obj.Name, err)
	}
	return bytes.Join(pieces, nil), nil
}

// encode encodes an object. It is not escaped for HTML, which would make six bytes of one.
func encode(obj *v1alpha1.NodeNetworkState) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(obj)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

// HashObject returns the hash that tells one encoded object from another.
func HashObject(text []byte) []byte {
	sum := sha256.Sum256(text)
	return sum[:]
}

// ErrorToWire returns an error as it travels on the stream; nil stays nil.
func ErrorToWire(err error) *agentpb.Error {
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Kind: Failed, Message: err.Error()}
	}
	return &agentpb.Error{Kind: string(e.Kind), Reason: word(e.Reason), Message: shortened(e.Message)}
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
	return &Error{Kind: kind, Reason: word(wire.Reason), Message: shortened(wire.Message)}
}

// EncodeChange returns a change as it travels on the stream: of its object, what a change
// can say. The error is of kind Invalid: the change can't be sent to any agent.
func EncodeChange(change Change) (*agentpb.Change, error) {
	wanted := &v1alpha1.NodeNetworkState{}
	wanted.Name = change.Object.Name
	wanted.Annotations = change.Object.Annotations
	wanted.ManagedFields = change.Object.ManagedFields
	wanted.Spec = change.Object.Spec
	wanted.Spec.DesiredState = change.Object.Spec.DesiredState.Compact()
	text, err := EncodeObject(wanted)
	if err != nil {
		return nil, &Error{Kind: Invalid, Reason: reasonInvalidChange, Message: err.Error()}
	}
	if len(text) > maxObject {
		return nil, &Error{Kind: Invalid, Reason: reasonInvalidChange, Message: fmt.Sprintf(
			"the change of node %q has %d bytes, and at most %d can be sent to the node's agent; nothing was sent: make the object smaller",
			wanted.Name, len(text), maxObject)}
	}
	addresses := map[string]*agentpb.Addresses{}
	for node, ips := range change.Addresses {
		addresses[node] = &agentpb.Addresses{Ips: ips}
	}
	return &agentpb.Change{Object: text, Base: change.Base, User: shortened(change.User), Manager: word(change.Manager),
		Id: change.ID, Addresses: addresses}, nil
}

// reasonInvalidChange is the reason of an error about a change that no agent can take.
const reasonInvalidChange = "InvalidChange"

// DecodeChange returns the change that EncodeChange made, for the given node. It checks
// the limits of v1alpha1 again: an agent does not trust a server to do so. The spec's
// limit is checked with the spec itself, by v1alpha1.ValidateState.
func DecodeChange(wire *agentpb.Change, node string) (Change, error) {
	obj, err := DecodeObject(wire.GetObject(), node)
	if err == nil {
		err = v1alpha1.ValidateManagedFields(obj.ManagedFields, field.NewPath("metadata", "managedFields")).ToAggregate()
	}
	if err != nil {
		return Change{}, &Error{Kind: Invalid, Reason: reasonInvalidChange, Message: err.Error()}
	}
	addresses, err := decodeAddresses(wire.GetAddresses())
	if err == nil && (len(wire.GetBase()) > MaxBase || len(wire.GetId()) > maxWord) {
		err = fmt.Errorf("the change's base has %d bytes and its id %d, and may have at most %d and %d", len(wire.GetBase()), len(wire.GetId()), MaxBase, maxWord)
	}
	if err != nil {
		return Change{}, &Error{Kind: Invalid, Reason: reasonInvalidChange, Message: err.Error()}
	}
	return Change{Object: obj, Base: wire.GetBase(), User: shortened(wire.GetUser()), Manager: word(wire.GetManager()),
		ID: word(wire.GetId()), Addresses: addresses}, nil
}

const (
	// MaxBase is the size in bytes that a base may have. A Fingerprint has 64.
	MaxBase = 256
	// maxAddressed is how many nodes the addresses of a change may name: the change's own,
	// and those that its probes name. MaxAddresses is how many addresses each may have.
	maxAddressed = v1alpha1.MaxProbes + 1
	MaxAddresses = 16
)

// decodeAddresses returns the addresses of a change, all of which are IP addresses.
func decodeAddresses(wire map[string]*agentpb.Addresses) (map[string][]string, error) {
	if len(wire) > maxAddressed {
		return nil, fmt.Errorf("the change has addresses of %d nodes, and may have those of at most %d", len(wire), maxAddressed)
	}
	addresses := map[string][]string{}
	for node, list := range wire {
		if len(list.GetIps()) > MaxAddresses {
			return nil, fmt.Errorf("the change has %d addresses of a node, and may have at most %d", len(list.GetIps()), MaxAddresses)
		}
		for _, ip := range list.GetIps() {
			if _, err := netip.ParseAddr(ip); err != nil {
				return nil, fmt.Errorf("an address of node %.253q is no IP address", node)
			}
		}
		addresses[node] = list.GetIps()
	}
	return addresses, nil
}

// EncodeDecision returns a decision as it travels on the stream.
func EncodeDecision(decision Decision) *agentpb.Decision {
	return &agentpb.Decision{Transaction: word(decision.Transaction), Commit: decision.Commit, User: shortened(decision.User)}
}

// DecodeDecision returns the decision that EncodeDecision made.
func DecodeDecision(wire *agentpb.Decision) Decision {
	return Decision{Transaction: word(wire.GetTransaction()), Commit: wire.GetCommit(), User: shortened(wire.GetUser())}
}

// maxWarnings is how many warnings of a dry run are taken from the stream.
const maxWarnings = 32

// WarningsFromWire returns the warnings that came from the stream, of which no agent has many.
func WarningsFromWire(wire []string) []string {
	var warnings []string
	for _, one := range wire[:min(len(wire), maxWarnings)] {
		warnings = append(warnings, shortened(one))
	}
	return warnings
}
