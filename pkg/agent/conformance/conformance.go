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

// Package conformance is one test suite for every implementation of agent.Agent:
// the fake, the gRPC stream and the real host. It tests the contract sentence by
// sentence.
package conformance

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Harness is an agent of a node of its own, and what a test can do to that node
// behind the agent's back.
type Harness interface {
	// Agent returns the agent. It has no desired state, annotations or managed fields yet.
	Agent() agent.Agent
	// Change makes some visible change of the node's network without the agent.
	// No two calls leave the same network. It returns once the change has happened.
	Change(t *testing.T)
	// DesiredState returns a valid state that does not hold on the node. Each n gives
	// another state. Nothing in the suite undoes an applied state, except applying
	// another one.
	DesiredState(n int) *v1alpha1.State
	// InvalidState returns a state that is refused with kind Invalid.
	InvalidState() *v1alpha1.State
	// FailingState returns a state that is valid and fails half-way with kind
	// Failed; nil if there is none.
	FailingState() *v1alpha1.State
	// Hold makes applies stop half-way until release is called. release may be called
	// more than once; it is nil if applies cannot be held.
	Hold(t *testing.T) (release func())
	// Drift undoes the desired state that was applied last, behind the agent's back.
	Drift(t *testing.T)
}

// timeout bounds every step. It is long, because the machine may be slow.
const timeout = 30 * time.Second

// Run runs the suite, each test on a new harness, which cleans up after itself.
func Run(t *testing.T, newHarness func(t *testing.T) Harness) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"WatchDeliversTheObjectAsItIs", watchFirst},
		{"WatchEndsWithItsContext", watchEnds},
		{"WatchDeliversChangesInOrder", watchOrder},
		{"WatchDeliversChangesWithoutBarrier", watchWakes},
		{"WatchCoalescesWhileDeliverRuns", watchCoalesces},
		{"BarrierDeliversToAllWatches", barrierAll},
		{"BarrierWaitsForASlowWatch", barrierSlow},
		{"BarriersAreShared", barrierMany},
		{"BarrierEndsWithItsContext", barrierEnds},
		{"ValidateTouchesNothing", validateNothing},
		{"ValidateRefuses", validateRefuses},
		{"ApplyChangesTheNode", applyCommits},
		{"ApplyRejected", applyRejected},
		{"ApplyRolledBack", applyRolledBack},
		{"ApplyConflict", applyConflict},
		{"ApplyOneAtATime", applyOneWins},
		{"ApplyBusy", applyBusy},
		{"ApplyGoesOnWithoutItsCaller", applyGoesOn},
		{"ApplyOfAnnotationsOnly", applyAnnotations},
		{"ApplyOfTheSameMeaning", applySameMeaning},
		{"ApplyOfNothing", applyNothing},
		{"ApplyOfNothingMendsDrift", applyMends},
		{"ApplyOfNoState", applyNoState},
		{"ApplyOfNoStateEndsAFailure", applyNoStateAfterFailure},
		{"StatusIsComplete", statusComplete},
		{"PortsAreThoseThatAreShown", portsShown},
		{"PortsTravel", portsTravel},
		{"PortsAreSharedByCallers", portsShared},
		{"PortsEndWithTheirContext", portsEnd},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newHarness(t)) })
	}
}

// subject is an agent under test with a watch on it.
type subject struct {
	agent.Agent
	*watch
	t *testing.T
}

// start watches the harness' agent and returns once the first object is there.
func start(t *testing.T, h Harness) *subject {
	t.Helper()
	s := &subject{Agent: h.Agent(), watch: startWatch(t, h.Agent(), nil), t: t}
	s.until("the first object", func(*v1alpha1.NodeNetworkState) bool { return true })
	return s
}

// watch is a Watch that runs until the test ends, with the objects that it was given.
type watch struct {
	t     *testing.T
	mu    sync.Mutex
	given []*v1alpha1.NodeNetworkState
	moved chan struct{}
}

// startWatch starts a Watch. If during is not nil, it is called in each delivery, before the object is recorded.
func startWatch(t *testing.T, a agent.Agent, during func(*v1alpha1.NodeNetworkState)) *watch {
	t.Helper()
	w := &watch{t: t, moved: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- a.Watch(ctx, func(obj *v1alpha1.NodeNetworkState) {
			if during != nil {
				during(obj)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.given = append(w.given, obj)
			close(w.moved)
			w.moved = make(chan struct{})
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch ended with %v, not with its context's error", err)
		}
	})
	return w
}

// objects returns all objects that the watch was given so far.
func (w *watch) objects() []*v1alpha1.NodeNetworkState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*v1alpha1.NodeNetworkState(nil), w.given...)
}

// last returns the last object that the watch was given, nil if there was none.
func (w *watch) last() *v1alpha1.NodeNetworkState {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.given) == 0 {
		return nil
	}
	return w.given[len(w.given)-1]
}

// until waits until the last object is as wanted, and returns it.
func (w *watch) until(what string, wanted func(*v1alpha1.NodeNetworkState) bool) *v1alpha1.NodeNetworkState {
	w.t.Helper()
	deadline := time.After(timeout)
	for {
		w.mu.Lock()
		moved := w.moved
		w.mu.Unlock()
		if last := w.last(); last != nil && wanted(last) {
			return last
		}
		select {
		case <-moved:
		case <-deadline:
			w.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// context returns a context that ends after timeout, or with the test.
func (s *subject) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	s.t.Cleanup(cancel)
	return ctx
}

// barrier passes a barrier and returns the last object that the watch was given.
func (s *subject) barrier() *v1alpha1.NodeNetworkState {
	s.t.Helper()
	if _, err := s.Barrier(s.context()); err != nil {
		s.t.Fatalf("Barrier: %v", err)
	}
	return s.last()
}

// change returns the change that edit makes of the object as it is now.
func (s *subject) change(edit func(*v1alpha1.NodeNetworkState)) agent.Change {
	s.t.Helper()
	current := s.barrier()
	base, err := agent.Fingerprint(current)
	if err != nil {
		s.t.Fatal(err)
	}
	wanted := current.DeepCopy()
	edit(wanted)
	return agent.Change{Object: wanted, Base: base, User: "tester"}
}

// desire returns the change to that desired state.
func (s *subject) desire(state *v1alpha1.State) agent.Change {
	s.t.Helper()
	return s.change(func(obj *v1alpha1.NodeNetworkState) { obj.Spec.DesiredState = state })
}

// apply applies a change that must succeed, and checks that the watch had the answer before it came.
func (s *subject) apply(change agent.Change) *v1alpha1.NodeNetworkState {
	s.t.Helper()
	obj, err := s.Apply(s.context(), change)
	given := s.objects()
	if err != nil {
		s.t.Fatalf("Apply: %v", err)
	}
	for _, g := range given {
		if sameDurable(g, obj) && equality.Semantic.DeepEqual(g.Status.LastApply, obj.Status.LastApply) {
			return obj
		}
	}
	s.t.Fatalf("Apply answered with an object that the watch was not given before:\n%+v", obj)
	return nil
}

// refuse makes a change that must fail with the given kind, and checks that
// nothing durable has changed. It returns the object after that.
func (s *subject) refuse(kind agent.ErrorKind, change agent.Change) *v1alpha1.NodeNetworkState {
	s.t.Helper()
	before := s.barrier()
	obj, err := s.Apply(s.context(), change)
	var own *agent.Error
	if !errors.As(err, &own) || own.Kind != kind {
		s.t.Fatalf("Apply answered with %v, %v, not with an *agent.Error of kind %s", obj, err, kind)
	}
	if own.Message == "" {
		s.t.Error("the error has no message")
	}
	after := s.barrier()
	if !sameDurable(before, after) {
		s.t.Errorf("a failed change has changed the object from\n%+v to\n%+v", before, after)
	}
	return after
}

// sameDurable tells whether spec, annotations, managed fields and generation are the same.
func sameDurable(a, b *v1alpha1.NodeNetworkState) bool {
	left, err := agent.Fingerprint(a)
	if err != nil {
		return false
	}
	right, err := agent.Fingerprint(b)
	return err == nil && left == right
}

// isTrue tells whether the object has the condition with status True.
func isTrue(obj *v1alpha1.NodeNetworkState, condition string) bool {
	return apimeta.IsStatusConditionTrue(obj.Status.Conditions, condition)
}
