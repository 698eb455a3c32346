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
	"context"
	"encoding/json"
	"fmt"
	"mime"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// kind is the kind of the resource's objects.
const kind = "NodeNetworkState"

// policyKind is the kind of kubernetes-nmstate that users take for ours.
const policyKind = "NodeNetworkConfigurationPolicy"

// eachNode says how to do with NodeNetworkStates what a policy does.
const eachNode = "a NodeNetworkState is of one node: write spec.desiredState to the object of each selected node " +
	"(kubectl get nns -l LABEL=VALUE lists them)"

// policyFields are the fields of a policy's spec that a NodeNetworkState lacks,
// and what to do instead. They are refused whatever the field validation is: a
// server that drops them changes another node than the client means.
var policyFields = []struct{ name, instead string }{
	{"nodeSelector", eachNode},
	{"capture", "nothing is captured here: write the captured names and addresses into spec.desiredState"},
	{"maxUnavailable", eachNode + ", one node after another"},
}

// Body is the body of a request that writes an object, as the client sent it.
type Body struct {
	// MediaType is the type of Data, without parameters.
	MediaType string
	// Data is the body itself.
	Data []byte
	// Manager is the field manager that the request has or, as upstream takes it, the
	// first word of its user agent.
	Manager string
	// Force is whether a server-side apply is to take what other field managers own.
	Force bool
	// FieldValidation is what the request asks to do with fields that are not known: Ignore, Warn, Strict, or nothing.
	FieldValidation string
	// judged is the judgement of the desired state that the request brings: an update asks for it three times.
	judged *judgement
}

// NewBody returns a Body. contentType is the header of the request.
func NewBody(contentType string, data []byte) Body {
	// A wrong parameter is no reason for upstream to refuse a patch, and none to take it for another type here.
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil && media == "" {
		media = runtime.ContentTypeJSON // upstream's default
	}
	return Body{MediaType: media, Data: data}
}

type bodyKey struct{}

// WithBody returns a context that carries the body to REST.Update, which gets
// from upstream the merged object only.
func WithBody(ctx context.Context, body Body) context.Context {
	body.judged = &judgement{}
	return context.WithValue(ctx, bodyKey{}, body)
}

// bodyFrom returns the body that the context carries, or an empty one.
func bodyFrom(ctx context.Context) Body {
	body, _ := ctx.Value(bodyKey{}).(Body)
	return body
}

// sent is what the checks need to know of a body.
type sent struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec   json.RawMessage `json:"spec"`
	Status json.RawMessage `json:"status"`
}

// parse reads the body. It fails where there is no object to be found: in a JSON
// patch, in garbage.
func (b Body) parse() (sent, error) {
	data, err := b.json()
	if err != nil {
		return sent{}, err
	}
	var s sent
	return s, utiljson.Unmarshal(data, &s) // as upstream reads it: keys in the wrong case are other keys
}

// Name returns the name of the object in the body, or nothing.
func (b Body) Name() string {
	s, _ := b.parse()
	return s.Metadata.Name
}

// Check refuses a body that costs too much, and an object that is not a
// NodeNetworkState of this version, and says what to do. name is the object's name in the request's path. What else
// can be wrong is left to upstream and to the strategy.
func (b Body) Check(name string) error {
	if err := b.checkBounds(); err != nil {
		return err
	}
	s, err := b.parse()
	if err != nil {
		return nil
	}
	version := v1alpha1.SchemeGroupVersion.String()
	switch {
	case s.Kind == policyKind:
		return apierrors.NewBadRequest(fmt.Sprintf("a %s is not served as %s: %s", policyKind, version, eachNode))
	case s.Kind != "" && s.Kind != kind:
		return apierrors.NewBadRequest(fmt.Sprintf("kind is %.100q, must be %q", s.Kind, kind))
	case s.APIVersion != "" && s.APIVersion != version:
		return apierrors.NewBadRequest(fmt.Sprintf("apiVersion is %.100q, must be %q: this is not the %s of kubernetes-nmstate, "+
			"which has a status only; here spec.desiredState is what the node is changed to", s.APIVersion, version, kind))
	case len(s.Spec) == 0:
		return nil
	}
	var spec map[string]json.RawMessage
	if err := utiljson.Unmarshal(s.Spec, &spec); err != nil {
		return b.invalid(name, s, field.Invalid(field.NewPath("spec"), field.OmitValueType{}, "must be an object, such as {\"desiredState\": {}}"))
	}
	for _, f := range policyFields {
		if _, there := spec[f.name]; there {
			return b.invalid(name, s, field.Forbidden(field.NewPath("spec", f.name), "it is a field of a "+policyKind+"; "+f.instead))
		}
	}
	return b.checkState(name, s, spec["desiredState"])
}

// CheckReference refuses a body that costs too much for a TransactionReference. What else
// can be wrong is left to upstream and to DecisionREST.
func (b Body) CheckReference() error {
	if len(b.Data) > MaxReference {
		return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("a TransactionReference has at most %d bytes: send the id of the change alone", MaxReference))
	}
	return b.checkBounds()
}

// checkState refuses a state that is too large, or has too many fields, before it is
// merged, which costs a hundred times its size, and a state that is no object before
// upstream's error quotes it.
func (b Body) checkState(name string, s sent, state json.RawMessage) error {
	if len(state) == 0 || string(state) == "null" {
		return nil
	}
	if errs := v1alpha1.ValidateState(v1alpha1.NewState(state), field.NewPath("spec", "desiredState")); len(errs) > 0 {
		return b.invalid(name, s, errs[0])
	}
	return nil
}

func (b Body) invalid(name string, s sent, err *field.Error) error {
	if name == "" {
		name = s.Metadata.Name
	}
	return apierrors.NewInvalid(v1alpha1.SchemeGroupVersion.WithKind(kind).GroupKind(), name, field.ErrorList{err})
}

// RefuseCreate returns the answer to a request that would create an object: 404
// if there is no node of that name, else 405. Both say what to do.
func RefuseCreate(name string, exists bool) error {
	switch {
	case name == "":
		return notSupported("create", "a NodeNetworkState is there for each node, and only for nodes; change one with kubectl apply, edit or patch")
	case exists:
		return notSupported("create", fmt.Sprintf("the NodeNetworkState of node %q is there already; change it with kubectl apply, edit or patch", name))
	}
	err := apierrors.NewNotFound(v1alpha1.Resource("nodenetworkstates"), name)
	err.ErrStatus.Message = fmt.Sprintf("there is no node %q: a NodeNetworkState comes with its node and cannot be created (kubectl get nns lists the nodes)", name)
	return err
}

// RefuseDelete returns the answer to a request that would delete the object of
// that name or, without a name, all of them.
func RefuseDelete(name string) error {
	verb, subject := "delete", fmt.Sprintf("node %q", name)
	if name == "" {
		verb, subject = "deletecollection", "each node"
	}
	return notSupported(verb, fmt.Sprintf("the NodeNetworkState of %s stays until the node is removed: delete the Node or, without a cluster, "+
		"the node's file in the server's state folder. To take something off a node's network, write \"state: absent\" "+
		"in spec.desiredState with kubectl apply, edit or patch", subject))
}

func notSupported(verb, instead string) error {
	err := apierrors.NewMethodNotSupported(v1alpha1.Resource("nodenetworkstates"), verb)
	err.ErrStatus.Message += ": " + instead
	return err
}
