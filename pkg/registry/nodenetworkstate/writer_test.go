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
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/clock"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
	"github.com/nmstate/kubernetes-nmstate/pkg/livestore"
)

// fleetOfOne is node1's agent. It answers with the errors, one after the other, and
// then does what it is asked.
type fleetOfOne struct {
	log    *livestore.Log
	errors []error
	asked  []agent.Change
	// warnings are those of each dry run.
	warnings []string
}

func (f *fleetOfOne) Barrier(context.Context, func(fleet.Node) bool) error { return nil }
func (f *fleetOfOne) BarrierNode(context.Context, string) error            { return nil }
func (f *fleetOfOne) BarrierPage(context.Context, func(fleet.Node) bool, int) (string, error) {
	return "", nil
}

func (f *fleetOfOne) Apply(_ context.Context, _ string, change agent.Change) (*v1alpha1.NodeNetworkState, error) {
	f.asked = append(f.asked, change)
	if len(f.errors) > 0 {
		err := f.errors[0]
		f.errors = f.errors[1:]
		return nil, err
	}
	applied := change.Object.DeepCopy()
	applied.ResourceVersion = ""
	NewSink(f.log, NewEncodings()).Set(applied)
	return applied, nil
}

func (f *fleetOfOne) Validate(ctx context.Context, node string, change agent.Change) (*agent.Plan, error) {
	obj, err := f.Apply(ctx, node, change)
	return &agent.Plan{Object: obj, Warnings: f.warnings}, err
}

func (f *fleetOfOne) Decide(context.Context, string, agent.Decision) (*v1alpha1.NodeNetworkState, error) {
	return nil, agent.NothingAwaits("")
}

func (f *fleetOfOne) History(context.Context, string) (*v1alpha1.NodeNetworkStateHistory, error) {
	return &v1alpha1.NodeNetworkStateHistory{}, nil
}

func (f *fleetOfOne) Ports(context.Context, string) (*v1alpha1.NodeNetworkPorts, error) {
	return &v1alpha1.NodeNetworkPorts{}, nil
}

// newFleetOfOne returns the fleet, and a store of its node as it is before the write.
func newFleetOfOne(errors ...error) (*fleetOfOne, *livestore.Store) {
	log := livestore.NewLog(clock.RealClock{})
	log.Begin(1)
	f := &fleetOfOne{log: log, errors: errors}
	before := node()
	before.ResourceVersion = ""
	NewSink(log, NewEncodings()).Set(before)
	log.Complete()
	return f, livestore.NewStore(log, NewWriter(f, log), ResourcePrefix+"/", func() runtime.Object { return &v1alpha1.NodeNetworkState{} })
}

// write changes the spec of node1 and returns what is there then.
func write(ctx context.Context, store *livestore.Store) (*v1alpha1.NodeNetworkState, error) {
	got := &v1alpha1.NodeNetworkState{}
	err := store.GuaranteedUpdate(ctx, Key("node1"), got, false, nil, func(input runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
		now := input.(*v1alpha1.NodeNetworkState)
		now.Spec.DesiredState = v1alpha1.NewState([]byte(`{"b":2}`))
		return now, nil, nil
	}, nil)
	return got, err
}

// TestWhatIsTriedAgain: the server tries again after a conflict, with what is there
// by then, and after nothing else. Above all it does not ask a busy node for ever.
func TestWhatIsTriedAgain(t *testing.T) {
	for kind, test := range map[agent.ErrorKind]struct {
		asked int
		code  int32
	}{
		agent.Conflict: {2, 0},
		agent.Busy:     {1, http.StatusTooManyRequests}, agent.Invalid: {1, http.StatusUnprocessableEntity},
		agent.Failed: {1, http.StatusInternalServerError}, agent.Unreachable: {1, http.StatusServiceUnavailable},
		agent.Lost: {1, http.StatusGatewayTimeout}, agent.InProgress: {1, http.StatusGatewayTimeout},
	} {
		t.Run(string(kind), func(t *testing.T) {
			f, store := newFleetOfOne(&agent.Error{Kind: kind, Message: "in the agent's words"})
			got, err := write(t.Context(), store)
			if len(f.asked) != test.asked {
				t.Errorf("the agent was asked %d times, want %d", len(f.asked), test.asked)
			}
			if test.code != 0 {
				answer(t, err, test.code, "in the agent's words", "node1")
			} else if err != nil || string(got.Spec.DesiredState.Raw) != `{"b":2}` {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// TestAChangeSaysWhoseItIs: and which object it starts from, which the agent
// compares with its own.
func TestAChangeSaysWhoseItIs(t *testing.T) {
	f, store := newFleetOfOne()
	base, err := agent.Fingerprint(f.log.Get(Key("node1")).(*v1alpha1.NodeNetworkState))
	if err != nil {
		t.Fatal(err)
	}
	ctx := WithBody(genericapirequest.WithUser(t.Context(), &user.DefaultInfo{Name: "eve"}), Body{Manager: "kubectl-edit"})
	if _, err := write(ctx, store); err != nil {
		t.Fatal(err)
	}
	if len(f.asked) != 1 || f.asked[0].User != "eve" || f.asked[0].Manager != "kubectl-edit" || f.asked[0].Base != base {
		t.Errorf("asked for %+v, want eve's change of %s by kubectl-edit", f.asked, base)
	}
}

func TestABusyNodeIsAskedAgain(t *testing.T) {
	err := statusError("node1", &agent.Error{Kind: agent.Busy, Message: "eve's change has run since 12:00"})
	answer(t, err, http.StatusTooManyRequests, `node "node1"`, "eve's change has run since 12:00")
	if seconds, ok := apierrors.SuggestsClientDelay(err); !ok || seconds != busyRetry {
		t.Errorf("a client would wait %d s, %v", seconds, ok)
	}
	if apierrors.IsConflict(err) || apierrors.ReasonForError(err) != metav1.StatusReasonTooManyRequests {
		t.Errorf("the reason is %s", apierrors.ReasonForError(err))
	}
}

// TestAChangeThatWasNotConfirmedIsNotRepeated: a client repeats by itself what was a
// conflict, or what has Retry-After. This change would cut the node off once more.
func TestAChangeThatWasNotConfirmedIsNotRepeated(t *testing.T) {
	for _, reason := range []string{v1alpha1.ReasonNotReachable, v1alpha1.ReasonNotConfirmed, v1alpha1.ReasonTimedOut} {
		err := statusError("node1", &agent.Error{Kind: agent.Failed, Reason: reason, Message: "in the agent's words"})
		code := int32(http.StatusInternalServerError)
		if reason == v1alpha1.ReasonNotReachable { // nothing was touched
			code = http.StatusServiceUnavailable
		}
		answer(t, err, code, `node "node1"`, reason, "in the agent's words")
		if _, retried := apierrors.SuggestsClientDelay(err); retried || apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
			t.Errorf("%s: a client would take %v for a conflict, for a wrong state, or for something to repeat", reason, err)
		}
		if !apierrors.HasStatusCause(err, metav1.CauseType(reason)) {
			t.Errorf("a program can't tell the reason %s from %+v", reason, err)
		}
	}
}

func (*fleetOfOne) Warnings(string) []string { return nil }
