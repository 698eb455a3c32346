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
	"testing"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// history returns the history.
func (s *subject) history() []v1alpha1.HistoryEntry {
	s.t.Helper()
	history, err := s.History(s.context())
	if err != nil {
		s.t.Fatalf("History: %v", err)
	}
	return history.Entries
}

func historyNewestFirst(t *testing.T, h Harness) {
	s := start(t, h)
	if entries := s.history(); len(entries) > 0 {
		t.Fatalf("the history of no change has %+v", entries)
	}
	var want []v1alpha1.LastApply
	note := func(obj *v1alpha1.NodeNetworkState) {
		want = append([]v1alpha1.LastApply{*obj.Status.LastApply}, want...)
	}
	note(s.apply(s.desire(h.DesiredState(0))))
	note(s.refuse(agent.Invalid, s.desire(h.InvalidState())))
	if failing := h.FailingState(); failing != nil {
		note(s.refuse(agent.Failed, s.desire(failing)))
	}
	waiting := s.await(h.DesiredState(1))
	if entries := s.history(); len(entries) != len(want) {
		t.Errorf("the history has %d entries, not %d, while a change waits", len(entries), len(want))
	}
	note(s.decide(waiting.Status.LastApply.ID, true))
	entries := s.history()
	if len(entries) != len(want) {
		t.Fatalf("the history has %d entries, not %d", len(entries), len(want))
	}
	ids := map[string]bool{}
	for i, entry := range entries {
		ids[entry.ID] = true
		if entry.ID != want[i].ID || entry.Outcome != want[i].Outcome || entry.Generation != want[i].Generation ||
			entry.Reason != want[i].Reason || entry.FinishTime == nil || entry.User != "tester" {
			t.Errorf("entry %d is %+v, not of %+v", i, entry, want[i])
		}
		if entry.Outcome == v1alpha1.ApplyCommitted && entry.Difference == nil {
			t.Errorf("entry %d does not say what the change was to make different", i)
		}
	}
	if len(ids) != len(entries) || ids[""] {
		t.Errorf("the ids of the changes are %v", ids)
	}
}

func historyBounded(t *testing.T, h Harness) {
	const most = 20
	s := start(t, h)
	var last *v1alpha1.NodeNetworkState
	for n := range most + 2 {
		last = s.apply(s.change(func(obj *v1alpha1.NodeNetworkState) {
			obj.Spec.Confirmation = &v1alpha1.Confirmation{Timeout: &metav1.Duration{Duration: v1alpha1.MinConfirmationTimeout + time.Duration(n)*time.Second}}
		}))
	}
	entries := s.history()
	if len(entries) != most || entries[0].ID != last.Status.LastApply.ID || entries[0].Generation != last.Generation || entries[most-1].Generation != last.Generation-most+1 {
		t.Errorf("the history has %d entries, not the last %d: %+v", len(entries), most, entries)
	}
}

// historyUndoes: the state that undoes a change makes the network what it was.
func historyUndoes(t *testing.T, h Harness) {
	s := start(t, h)
	s.apply(s.desire(h.DesiredState(0)))
	before := s.barrier()
	s.apply(s.desire(h.DesiredState(1)))
	revert := s.history()[0].Revert
	if revert == nil {
		t.Fatal("the history does not tell what undoes the change")
	}
	s.apply(s.desire(revert))
	if after := s.barrier(); !sameMeaning(after.Status.CurrentState, before.Status.CurrentState) {
		t.Errorf("the network is not as it was before the change that was undone:\n%s\n%s", state(before), state(after))
	}
}

// hasNoRevert: a change asked nothing of the network. A user who writes what takes a change back must not write an empty desired state for
// that: it would take the desired state away.
func hasNoRevert(t *testing.T, entry v1alpha1.HistoryEntry) {
	t.Helper()
	if entry.Revert != nil || entry.PreviousSpec == nil {
		t.Errorf("a change that asks nothing of the network has the revert %s and the previous spec %v: it is to have the spec alone", entry.Revert, entry.PreviousSpec)
	}
}

// historyHasSpecBefore: each change that was committed tells the whole spec before it, and others tell none.
func historyHasSpecBefore(t *testing.T, h Harness) {
	s := start(t, h)
	var want []*v1alpha1.NodeNetworkStateSpec
	before := s.barrier().Spec
	note := func(obj *v1alpha1.NodeNetworkState) {
		want = append([]*v1alpha1.NodeNetworkStateSpec{before.DeepCopy()}, want...)
		before = obj.Spec
	}
	options := func(spec *v1alpha1.NodeNetworkStateSpec) {
		spec.Probes = []v1alpha1.Probe{{Name: "lo", Ping: &v1alpha1.PingProbe{Address: "127.0.0.1"}}}
		spec.Confirmation = &v1alpha1.Confirmation{Mode: v1alpha1.ConfirmNone, Timeout: &metav1.Duration{Duration: v1alpha1.MinConfirmationTimeout}}
		spec.Reapply, spec.Removal = v1alpha1.ReapplyNever, v1alpha1.RemovalOrphan
	}
	note(s.apply(s.desire(h.DesiredState(0))))
	note(s.apply(s.change(func(obj *v1alpha1.NodeNetworkState) { options(&obj.Spec) })))
	hasNoRevert(t, s.history()[0])
	note(s.apply(s.change(func(obj *v1alpha1.NodeNetworkState) {
		obj.Spec = v1alpha1.NodeNetworkStateSpec{DesiredState: h.DesiredState(1)}
	})))
	s.refuse(agent.Invalid, s.desire(h.InvalidState()))
	want = append([]*v1alpha1.NodeNetworkStateSpec{nil}, want...)
	note(s.apply(s.change(func(obj *v1alpha1.NodeNetworkState) { obj.Spec = v1alpha1.NodeNetworkStateSpec{} })))
	hasNoRevert(t, s.history()[0])
	entries := s.history()
	if len(entries) != len(want) {
		t.Fatalf("the history has %d entries, not %d", len(entries), len(want))
	}
	for i, entry := range entries {
		if (entry.PreviousSpec == nil) != (want[i] == nil) {
			t.Errorf("the spec before the change of generation %d is %+v, not %+v", entry.Generation, entry.PreviousSpec, want[i])
		} else if want[i] != nil && !sameSpec(*entry.PreviousSpec, *want[i]) {
			t.Errorf("the spec before the change of generation %d is %+v, not %+v", entry.Generation, *entry.PreviousSpec, *want[i])
		}
	}
}

// sameSpec tells whether two specs mean the same.
func sameSpec(a, b v1alpha1.NodeNetworkStateSpec) bool {
	if !sameMeaning(a.DesiredState, b.DesiredState) {
		return false
	}
	a.DesiredState, b.DesiredState = nil, nil
	return equality.Semantic.DeepEqual(a, b)
}

// recalls asks for changes of each kind by their ids.
func recalls(t *testing.T, h Harness) {
	s := start(t, h)
	want := map[string]v1alpha1.ApplyOutcome{}
	ask := func(outcome v1alpha1.ApplyOutcome, change agent.Change) {
		t.Helper()
		change.ID = uuid.NewString()
		want[change.ID] = outcome
		if _, err := s.Apply(s.context(), change); err == nil != (outcome == v1alpha1.ApplyCommitted) {
			t.Fatalf("a change that is to be %q answered with %v", outcome, err)
		}
	}
	note := func(text string) agent.Change {
		return s.change(func(obj *v1alpha1.NodeNetworkState) { obj.Annotations = map[string]string{"example.com/note": text} })
	}
	ask(v1alpha1.ApplyCommitted, s.desire(h.DesiredState(0)))
	ask(v1alpha1.ApplyCommitted, note("first"))
	stale := note("stale")
	ask(v1alpha1.ApplyCommitted, note("second"))
	ask("", stale)
	ask(v1alpha1.ApplyRejected, s.desire(h.InvalidState()))
	ask(v1alpha1.ApplyCommitted, s.desire(nil))
	waiting := s.await(h.DesiredState(1))
	want[waiting.Status.LastApply.ID] = v1alpha1.ApplyInProgress
	want[uuid.NewString()] = ""
	for id, outcome := range want {
		last, err := s.Recall(s.context(), id)
		switch {
		case err != nil:
			t.Errorf("Recall: %v", err)
		case outcome == "" && last != nil:
			t.Errorf("a change that was not made is %+v", last)
		case outcome != "" && (last == nil || last.ID != id || last.Outcome != outcome):
			t.Errorf("a change that is %s is told as %+v", outcome, last)
		}
	}
}
