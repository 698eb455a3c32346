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

package conformance

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

func watchFirst(t *testing.T, h Harness) {
	first := start(t, h).last()
	if first.Status.CurrentState == nil || first.Status.CurrentState.Raw[0] != '{' {
		t.Errorf("the first object has no current state: %+v", first.Status)
	}
	if first.Generation < 1 {
		t.Errorf("the generation is %d, not at least 1", first.Generation)
	}
	// A watch that comes later is given the object without any change.
	startWatch(t, h.Agent(), nil).until("the first object of a second watch",
		func(*v1alpha1.NodeNetworkState) bool { return true })
}

func watchEnds(t *testing.T, h Harness) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), timeout, errors.New("late"))
	err := h.Agent().Watch(ctx, func(*v1alpha1.NodeNetworkState) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended with %v, not with its context's error", err)
	}
}

func watchOrder(t *testing.T, h Harness) {
	s := start(t, h)
	var settled []string
	for range 5 {
		h.Change(t)
		settled = append(settled, state(s.barrier()))
	}
	// What was given may have more, steps on the way to a change, but these in this order.
	given := s.objects()
	for _, want := range settled {
		for len(given) > 0 && state(given[0]) != want {
			given = given[1:]
		}
	}
	if len(given) == 0 {
		t.Fatal("the watch was not given the changes in their order")
	}
	if state(given[len(given)-1]) != settled[len(settled)-1] {
		t.Error("the watch was not given the last change last")
	}
}

func watchWakes(t *testing.T, h Harness) {
	s := start(t, h)
	before := state(s.barrier())
	h.Change(t)
	s.until("a change that nobody asked for", func(obj *v1alpha1.NodeNetworkState) bool { return state(obj) != before })
}

func watchCoalesces(t *testing.T, h Harness) {
	s := start(t, h)
	release := make(chan struct{})
	var once sync.Once
	held := make(chan struct{})
	slow := startWatch(t, h.Agent(), func(*v1alpha1.NodeNetworkState) {
		once.Do(func() {
			close(held)
			<-release
		})
	})
	<-held
	const changes = 10
	for range changes {
		before := state(s.last())
		h.Change(t)
		s.until("a change beside a slow watch", func(obj *v1alpha1.NodeNetworkState) bool { return state(obj) != before })
	}
	close(release)
	last := state(s.barrier())
	slow.until("the last change", func(obj *v1alpha1.NodeNetworkState) bool { return state(obj) == last })
	if n := len(slow.objects()); n > 1+changes/2 {
		t.Errorf("a slow watch was given %d objects for %d changes: they did not coalesce", n, changes)
	}
}

func barrierAll(t *testing.T, h Harness) {
	s := start(t, h)
	others := []*watch{startWatch(t, h.Agent(), nil), startWatch(t, h.Agent(), nil)}
	for _, w := range others {
		w.until("the first object", func(*v1alpha1.NodeNetworkState) bool { return true })
	}
	for range 10 {
		before := state(s.last())
		h.Change(t)
		now := state(s.barrier())
		if now == before {
			t.Fatal("a barrier passed before a change that had happened was delivered")
		}
		for _, w := range others {
			if state(w.last()) != now {
				t.Fatal("a barrier passed before a change was delivered to all watches")
			}
		}
	}
}

func barrierSlow(t *testing.T, h Harness) {
	s := start(t, h)
	held, release := make(chan struct{}, 1), make(chan struct{})
	var first sync.Once
	startWatch(t, h.Agent(), func(*v1alpha1.NodeNetworkState) {
		// The first object is let through; the change is held up.
		begun := false
		first.Do(func() { begun = true })
		if !begun {
			select {
			case held <- struct{}{}:
			default:
			}
			<-release
		}
	}).until("the first object", func(*v1alpha1.NodeNetworkState) bool { return true })
	h.Change(t)
	<-held
	passed := make(chan error, 1)
	go func() {
		_, err := s.Barrier(s.context())
		passed <- err
	}()
	select {
	case err := <-passed:
		t.Errorf("a barrier passed (%v) before a watch had taken a change", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	if err := <-passed; err != nil {
		t.Errorf("Barrier: %v", err)
	}
}

func barrierMany(t *testing.T, h Harness) {
	s := start(t, h)
	before := state(s.barrier())
	h.Change(t)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := s.Barrier(s.context()); err != nil {
				t.Errorf("Barrier: %v", err)
			}
			if state(s.last()) == before {
				t.Error("a shared barrier passed before a change was delivered")
			}
		})
	}
	all.Wait()
}

func barrierEnds(t *testing.T, h Harness) {
	s := start(t, h)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Barrier(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Barrier ended with %v, not with its context's error", err)
	}
	// Whoever gives up does no harm to others.
	s.barrier()
}

func validateNothing(t *testing.T, h Harness) {
	s := start(t, h)
	before := s.barrier()
	wanted := h.DesiredState(0)
	change := s.desire(wanted)
	change.Object.Annotations = map[string]string{"example.com/note": "dry"}
	plan, err := s.Validate(s.context(), change)
	if err != nil {
		t.Fatalf("Validate: %v", err)
	}
	answer := plan.Object
	if !sameMeaning(answer.Spec.DesiredState, wanted) || answer.Annotations["example.com/note"] != "dry" {
		t.Errorf("the answer is not what the object would be: %+v", answer)
	}
	if answer.Generation != before.Generation+1 {
		t.Errorf("the answer has generation %d, not %d", answer.Generation, before.Generation+1)
	}
	if answer.Status.Difference == nil {
		t.Error("the answer does not say what would change on the node")
	}
	after := s.barrier()
	if !sameDurable(before, after) || state(before) != state(after) || after.Status.LastApply != nil {
		t.Errorf("Validate has changed the object from\n%+v to\n%+v", before, after)
	}
	s.apply(s.desire(wanted))
	plan, err = s.Validate(s.context(), s.desire(wanted))
	if err != nil {
		t.Fatalf("Validate of what holds: %v", err)
	}
	if answer = plan.Object; answer.Status.Difference != nil {
		t.Errorf("Validate of what holds has a difference: %s", answer.Status.Difference.Raw)
	}
}

func validateRefuses(t *testing.T, h Harness) {
	s := start(t, h)
	before := s.barrier()
	if _, err := s.Validate(s.context(), s.desire(h.InvalidState())); agent.KindOf(err) != agent.Invalid {
		t.Errorf("Validate of an invalid state answered with %v, not with kind Invalid", err)
	}
	change := s.desire(h.DesiredState(0))
	change.Base = "another"
	if _, err := s.Validate(s.context(), change); agent.KindOf(err) != agent.Conflict {
		t.Errorf("Validate from another object answered with %v, not with kind Conflict", err)
	}
	if after := s.barrier(); !sameDurable(before, after) || after.Status.LastApply != nil {
		t.Error("a Validate that was refused has left something behind")
	}
}

// state returns the current state that an object shows, as text.
func state(obj *v1alpha1.NodeNetworkState) string {
	if obj == nil || obj.Status.CurrentState == nil {
		return ""
	}
	return string(obj.Status.CurrentState.Raw)
}
