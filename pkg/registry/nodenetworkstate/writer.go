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
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/warning"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
	"github.com/nmstate/kubernetes-nmstate/pkg/livestore"
)

// Fleet is what the registry needs of the nodes' agents.
type Fleet interface {
	// Barrier has all that changed on the selected nodes before the call recorded.
	// Nodes that cannot be asked are recorded as such; they fail nothing.
	Barrier(ctx context.Context, selected func(fleet.Node) bool) error
	// BarrierPage is Barrier for the first of the selected nodes, by name, and at most so many. It
	// returns the name of the last one, or "" if these were all.
	BarrierPage(ctx context.Context, selected func(fleet.Node) bool, most int) (last string, err error)
	// BarrierNode is Barrier for one node, if there is such a node.
	BarrierNode(ctx context.Context, name string) error
	// These are the methods of the node's agent.
	Apply(ctx context.Context, node string, change agent.Change) (*v1alpha1.NodeNetworkState, error)
	Validate(ctx context.Context, node string, change agent.Change) (*agent.Plan, error)
	Decide(ctx context.Context, node string, decision agent.Decision) (*v1alpha1.NodeNetworkState, error)
	History(ctx context.Context, node string) (*v1alpha1.NodeNetworkStateHistory, error)
	Ports(ctx context.Context, node string) (*v1alpha1.NodeNetworkPorts, error)
	// Warnings are what a user should know about each change of a node, because of its agent.
	Warnings(node string) []string
}

// Writer carries out writes by the nodes' agents; it is what stands behind the
// live store.
type Writer struct {
	fleet Fleet
	log   *livestore.Log
}

var _ livestore.Source = &Writer{}

// NewWriter returns a Writer that finds the outcome of a write in log.
func NewWriter(fleet Fleet, log *livestore.Log) *Writer {
	return &Writer{fleet: fleet, log: log}
}

// ResourcePrefix is where NodeNetworkStates are in the live store.
const ResourcePrefix = "/nodenetworkstates"

// Key returns the key of a node's object in the live store.
func Key(node string) string { return ResourcePrefix + "/" + node }

// scope holds the selectors of a request. The context carries it through the watch
// cache to the barrier.
type scope struct {
	labels labels.Selector
	name   string
	// page is the page of the list that is asked for; nil if it has no pages.
	page *page
}

type scopeKey struct{}

// withScope narrows the barrier of a request to the nodes that its selectors match.
func withScope(ctx context.Context, label labels.Selector, field fields.Selector) context.Context {
	s := scope{labels: label}
	if field != nil {
		s.name, _ = field.RequiresExactMatch("metadata.name")
	}
	return context.WithValue(ctx, scopeKey{}, s)
}

// selects returns whether a node is in the scope.
func (s scope) selects(node fleet.Node) bool {
	if s.name != "" && s.name != node.Name || s.page != nil && node.Name < s.page.from {
		return false
	}
	return s.labels == nil || s.labels.Matches(labels.Set(node.Labels))
}

// Barrier implements livestore.Source.
func (w *Writer) Barrier(ctx context.Context, key string, recursive bool) error {
	var err error
	if recursive {
		s, _ := ctx.Value(scopeKey{}).(scope)
		if s.page != nil {
			s.page.last, err = w.fleet.BarrierPage(ctx, s.selects, s.page.most)
		} else {
			err = w.fleet.Barrier(ctx, s.selects)
		}
	} else {
		err = w.fleet.BarrierNode(ctx, strings.TrimPrefix(key, ResourcePrefix+"/"))
	}
	if errors.Is(err, fleet.ErrStopped) {
		return apierrors.NewServiceUnavailable(err.Error())
	}
	return err
}

// Create implements livestore.Source: objects come with their nodes.
func (w *Writer) Create(_ context.Context, key string, _ runtime.Object) (runtime.Object, error) {
	return nil, apierrors.NewMethodNotSupported(v1alpha1.Resource("nodenetworkstates"), "create")
}

// Delete implements livestore.Source: objects go with their nodes.
func (w *Writer) Delete(_ context.Context, key string, _ runtime.Object) (runtime.Object, error) {
	return nil, apierrors.NewMethodNotSupported(v1alpha1.Resource("nodenetworkstates"), "delete")
}

// Update implements livestore.Source: the node's agent makes it so.
func (w *Writer) Update(ctx context.Context, key string, current, updated runtime.Object) (runtime.Object, error) {
	before, now := current.(*v1alpha1.NodeNetworkState), updated.(*v1alpha1.NodeNetworkState)
	change, err := changeFrom(ctx, before, now)
	if err != nil {
		return nil, err
	}
	if _, err := w.fleet.Apply(ctx, before.Name, change); err != nil {
		if agent.KindOf(err) == agent.Conflict {
			return nil, storage.NewResourceVersionConflictsError(key, 0)
		}
		return nil, withOwners(now, statusError(before.Name, err))
	}
	warn(ctx, w.fleet.Warnings(before.Name))
	written := w.log.Get(key)
	if written == nil {
		return nil, storage.NewKeyNotFoundError(key, 0)
	}
	return written, nil
}

// plan returns the object as the update would make it, without changing the node.
func (w *Writer) plan(ctx context.Context, current, updated *v1alpha1.NodeNetworkState) (*v1alpha1.NodeNetworkState, error) {
	change, err := changeFrom(ctx, current, updated)
	if err != nil {
		return nil, err
	}
	plan, err := w.fleet.Validate(ctx, current.Name, change)
	if err != nil {
		return nil, withOwners(updated, statusError(current.Name, err))
	}
	warn(ctx, plan.Warnings)
	warn(ctx, w.fleet.Warnings(current.Name))
	planned := plan.Object
	answer := updated.DeepCopy()
	answer.Generation = planned.Generation
	answer.Annotations = planned.Annotations
	answer.Spec = *planned.Spec.DeepCopy()
	answer.Status = *planned.Status.DeepCopy()
	return answer, nil
}

// warn gives the client warnings.
func warn(ctx context.Context, warnings []string) {
	for _, text := range warnings {
		warning.AddWarning(ctx, "", text)
	}
}

func changeFrom(ctx context.Context, before, now *v1alpha1.NodeNetworkState) (agent.Change, error) {
	base, err := agent.Fingerprint(before)
	if err != nil {
		return agent.Change{}, err
	}
	change := agent.Change{Object: now, Base: base, Manager: bodyFrom(ctx).Manager}
	if user, ok := genericapirequest.UserFrom(ctx); ok {
		change.User = user.GetName()
	}
	return change, nil
}

// statusError translates the agents' errors into the API's.
func statusError(node string, err error) error {
	var failure *agent.Error
	if !errors.As(err, &failure) {
		return err
	}
	resource := v1alpha1.Resource("nodenetworkstates")
	switch kind := failure.Kind; {
	case kind == agent.Invalid && failure.Reason == agent.ReasonNotSupported:
		return newStatus(node, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, failure,
			fmt.Sprintf("NodeNetworkState.nmstate.io %q is invalid: %v", node, failure))
	case kind == agent.Invalid:
		return newStatus(node, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, failure,
			fmt.Sprintf("NodeNetworkState.nmstate.io %q is invalid: spec.desiredState: %v", node, failure))
	case kind == agent.Conflict:
		return apierrors.NewConflict(resource, node, failure)
	case kind == agent.Busy:
		return busy(node, failure)
	case kind == agent.Unreachable, failure.Reason == v1alpha1.ReasonNotReachable:
		return newStatus(node, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, failure,
			fmt.Sprintf("node %q: %v", node, failure))
	case kind == agent.Lost, kind == agent.InProgress:
		return newStatus(node, http.StatusGatewayTimeout, metav1.StatusReasonTimeout, failure,
			fmt.Sprintf("node %q: %v", node, failure))
	default:
		return newStatus(node, http.StatusInternalServerError, metav1.StatusReasonInternalError, failure,
			fmt.Sprintf("node %q: %v", node, failure))
	}
}

// busyRetry is after how many seconds a client asks a busy node again. client-go
// does so by itself ten times: that is the half minute for which a request also
// waits for its own change.
const busyRetry = 3

// busy answers that another change is under way. It is no conflict: the change is
// as good as before once the other one has ended, and forcing does not help.
func busy(node string, failure *agent.Error) error {
	err := newStatus(node, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, failure,
		fmt.Sprintf("node %q: %v", node, failure))
	err.ErrStatus.Details.RetryAfterSeconds = busyRetry
	return err
}

func newStatus(node string, code int32, reason metav1.StatusReason, failure *agent.Error, message string) *apierrors.StatusError {
	cause := metav1.StatusCause{Type: metav1.CauseType(failure.Reason), Message: failure.Message}
	if failure.Kind == agent.Invalid && failure.Reason != agent.ReasonNotSupported {
		cause.Field = "spec.desiredState"
		// What the agent itself checks it tells with the path of the field.
		if path, detail, found := strings.Cut(failure.Message, ": "); found && strings.HasPrefix(path, cause.Field+".") {
			cause.Field, cause.Message = path, detail
		}
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    code,
		Reason:  reason,
		Message: message,
		Details: &metav1.StatusDetails{
			Group: v1alpha1.SchemeGroupVersion.Group, Kind: "nodenetworkstates", Name: node,
			Causes: []metav1.StatusCause{cause},
		},
	}}
}
