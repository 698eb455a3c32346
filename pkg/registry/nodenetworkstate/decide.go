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
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// The names of the subresources.
const (
	// ConfirmSubresource commits the change that waits for a manual confirmation.
	ConfirmSubresource = "confirm"
	// RollbackSubresource rolls it back.
	RollbackSubresource = "rollback"
	// HistorySubresource tells of the last changes.
	HistorySubresource = "history"
	// PortsSubresource tells what the kernel and the hardware know of the ports.
	PortsSubresource = "ports"
)

var (
	_ rest.NamedCreater    = &DecisionREST{}
	_ rest.StorageMetadata = &DecisionREST{}
	_ rest.TableConvertor  = &DecisionREST{}
)

// DecisionREST serves a subresource that ends the change which waits for a manual
// confirmation. Who posts the id of that change gets the NodeNetworkState that came of it.
type DecisionREST struct {
	table
	writer *Writer
	// commit tells whether the change stays; else it is rolled back.
	commit bool
}

// NewConfirmREST returns the storage of the subresource that commits a change.
func NewConfirmREST(writer *Writer) *DecisionREST { return &DecisionREST{writer: writer, commit: true} }

// NewRollbackREST returns the storage of the subresource that rolls a change back.
func NewRollbackREST(writer *Writer) *DecisionREST { return &DecisionREST{writer: writer} }

// New implements rest.Storage: it is what clients send.
func (d *DecisionREST) New() runtime.Object { return &v1alpha1.TransactionReference{} }

// Destroy implements rest.Storage.
func (d *DecisionREST) Destroy() {}

// ProducesMIMETypes implements rest.StorageMetadata.
func (d *DecisionREST) ProducesMIMETypes(string) []string { return nil }

// ProducesObject implements rest.StorageMetadata: it is what clients get.
func (d *DecisionREST) ProducesObject(string) any { return v1alpha1.NodeNetworkState{} }

// Create implements rest.NamedCreater. A dry run tells how it would go.
func (d *DecisionREST) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc,
	options *metav1.CreateOptions) (runtime.Object, error) {
	reference, ok := obj.(*v1alpha1.TransactionReference)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("kind is %q, must be \"TransactionReference\", with the id of the change as \"id\"",
			obj.GetObjectKind().GroupVersionKind().Kind))
	}
	if reference.Name != "" && reference.Name != name {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("metadata.name is %.100q, but the request is for node %q: leave metadata out", reference.Name, name))
	}
	if errs := v1alpha1.ValidateTransactionReference(reference); len(errs) > 0 {
		return nil, apierrors.NewInvalid(v1alpha1.SchemeGroupVersion.WithKind("TransactionReference").GroupKind(), name, errs)
	}
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if slices.Contains(options.DryRun, metav1.DryRunAll) {
		return d.writer.wouldDecide(ctx, name, reference.ID)
	}
	return d.writer.decide(ctx, name, agent.Decision{Transaction: reference.ID, Commit: d.commit})
}

// decide has the node's agent end the change that waits, and returns the object that came of it.
func (w *Writer) decide(ctx context.Context, node string, decision agent.Decision) (runtime.Object, error) {
	if _, err := w.known(node); err != nil {
		return nil, err
	}
	if user, ok := genericapirequest.UserFrom(ctx); ok {
		decision.User = user.GetName()
	}
	if _, err := w.fleet.Decide(ctx, node, decision); err != nil {
		return nil, statusError(node, err)
	}
	return w.known(node)
}

// wouldDecide returns the object if the change of that id waits for a confirmation.
func (w *Writer) wouldDecide(ctx context.Context, node, id string) (runtime.Object, error) {
	if err := w.Barrier(ctx, Key(node), false); err != nil {
		return nil, err
	}
	obj, err := w.known(node)
	if err != nil {
		return nil, err
	}
	last := obj.Status.LastApply
	switch {
	case !waits(last):
		return nil, statusError(node, agent.NothingAwaits(""))
	case last.ID != id:
		return nil, statusError(node, agent.NothingAwaits(last.ID))
	}
	return obj, nil
}

// known returns a copy of the object of a node, which whoever answers may change, or an error if there is no such node.
func (w *Writer) known(node string) (*v1alpha1.NodeNetworkState, error) {
	if obj, ok := w.log.Get(Key(node)).(*v1alpha1.NodeNetworkState); ok {
		return obj.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(v1alpha1.Resource("nodenetworkstates"), node)
}
