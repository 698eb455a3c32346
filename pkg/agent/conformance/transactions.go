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
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Expirer is a Harness that can end the time of a manual confirmation. Without one the
// suite waits for the shortest time that a spec may give.
type Expirer interface {
	// Expire ends the time in which the change that waits can be confirmed.
	Expire(t *testing.T)
}

// RunTransactions runs the part of the suite that is about the confirmation of changes
// and about the history, each test on a new harness. What the harness' agent asks whether
// its node can be reached must answer that it can.
func RunTransactions(t *testing.T, newHarness func(t *testing.T) Harness) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"ManualShowsTheSpecWhileItWaits", manualWaits},
		{"ManualConfirmed", manualConfirmed},
		{"ManualRolledBack", manualRolledBack},
		{"ManualNotConfirmedInTime", manualExpires},
		{"ManualFails", manualFails},
		{"ManualOfNoState", manualOfNoState},
		{"DecideByAnotherID", decideAnother},
		{"DecideWhenNothingWaits", decideNothing},
		{"ApplyWhileAnotherWaits", applyWhileAnotherWaits},
		{"ValidateWhileAnotherWaits", validateWhileAnotherWaits},
		{"ApplyOfWhatTheNetworkIsNotAskedFor", applyUnasked},
		{"ApplySaysWhatHasConfirmedIt", applyConfirmed},
		{"ApplyTakesAwayWhatLeaves", applyReverts},
		{"HistoryIsNewestFirst", historyNewestFirst},
		{"HistoryIsBounded", historyBounded},
		{"HistoryUndoes", historyUndoes},
		{"HistoryHasTheSpecBefore", historyHasSpecBefore},
		{"RecallOfEachKindOfChange", recalls},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newHarness(t)) })
	}
}

// manually returns the change to that desired state, which waits for a manual confirmation.
func (s *subject) manually(state *v1alpha1.State, timeout time.Duration) agent.Change {
	s.t.Helper()
	return s.change(func(obj *v1alpha1.NodeNetworkState) {
		obj.Spec.DesiredState = state
		obj.Spec.Confirmation = &v1alpha1.Confirmation{Mode: v1alpha1.ConfirmManually, Timeout: &metav1.Duration{Duration: timeout}}
	})
}

// await applies a change to that desired state and returns the object, in which it waits.
func (s *subject) await(state *v1alpha1.State) *v1alpha1.NodeNetworkState {
	s.t.Helper()
	obj := s.apply(s.manually(state, v1alpha1.MaxConfirmationTimeout))
	s.checkWaits(obj)
	return obj
}

// checkWaits checks that a change waits for a confirmation in the object.
func (s *subject) checkWaits(obj *v1alpha1.NodeNetworkState) {
	s.t.Helper()
	last := obj.Status.LastApply
	if last == nil || last.Outcome != v1alpha1.ApplyInProgress || last.ID == "" || last.ConfirmBefore == nil || last.FinishTime != nil || last.User != "tester" {
		s.t.Fatalf("lastApply is %+v, not of a change by tester that waits for its confirmation", last)
	}
	c := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionProgressing)
	if c == nil || c.Status != metav1.ConditionTrue || c.Reason != v1alpha1.ReasonAwaitingConfirmation {
		s.t.Errorf("Progressing is %+v, not True with reason %s", c, v1alpha1.ReasonAwaitingConfirmation)
	}
	if last.Stage != v1alpha1.StageAwaitingConfirmation || last.StageStartTime == nil {
		s.t.Errorf("the stage is %q since %v", last.Stage, last.StageStartTime)
	}
	if isTrue(obj, v1alpha1.ConditionFailing) {
		s.t.Error("Failing is True while a change waits for its confirmation")
	}
}

// decide makes a decision that must succeed, and checks that the watch had the answer before it came.
func (s *subject) decide(id string, commit bool) *v1alpha1.NodeNetworkState {
	s.t.Helper()
	obj, err := s.Decide(s.context(), agent.Decision{Transaction: id, Commit: commit, User: "decider"})
	if err != nil {
		s.t.Fatalf("Decide: %v", err)
	}
	last := s.last()
	if !sameDurable(last, obj) || last.Status.LastApply == nil || last.Status.LastApply.Outcome != obj.Status.LastApply.Outcome {
		s.t.Errorf("Decide answered with an object that the watch was not given before:\n%+v", obj)
	}
	return obj
}

// refuseDecision makes both decisions about a change, which must fail with kind Conflict.
func (s *subject) refuseDecision(id, says string) {
	s.t.Helper()
	for _, commit := range []bool{true, false} {
		obj, err := s.Decide(s.context(), agent.Decision{Transaction: id, Commit: commit, User: "decider"})
		if err == nil || agent.KindOf(err) != agent.Conflict || !strings.Contains(err.Error(), says) {
			s.t.Errorf("Decide answered with %v, %v, not with kind Conflict and %q", obj, err, says)
		}
	}
}

func manualWaits(t *testing.T, h Harness) {
	s := start(t, h)
	before := s.barrier()
	begun := time.Now()
	waiting := s.await(h.DesiredState(0))
	if !sameMeaning(waiting.Spec.DesiredState, h.DesiredState(0)) || waiting.Generation != before.Generation+1 {
		t.Errorf("the spec that waits is not shown: generation %d, %+v", waiting.Generation, waiting.Spec)
	}
	if waiting.Status.Difference != nil || state(waiting) == state(before) {
		t.Error("the change is not in effect while it waits for its confirmation")
	}
	until := waiting.Status.LastApply.ConfirmBefore.Time
	if earliest := begun.Add(v1alpha1.MaxConfirmationTimeout - time.Second); until.Before(earliest) || until.After(time.Now().Add(v1alpha1.MaxConfirmationTimeout+time.Second)) {
		t.Errorf("it can be confirmed until %s, not until %s", until, earliest)
	}
	s.checkWaits(s.barrier())
}

func manualConfirmed(t *testing.T, h Harness) {
	s := start(t, h)
	waiting := s.await(h.DesiredState(0))
	after := s.decide(waiting.Status.LastApply.ID, true)
	if !sameDurable(waiting, after) || state(s.barrier()) != state(waiting) {
		t.Errorf("to confirm a change has changed the object from\n%+v to\n%+v", waiting, after)
	}
	checkStory(t, after.Status.LastApply, v1alpha1.ApplyCommitted, waiting.Generation)
	last := after.Status.LastApply
	if last.ID != waiting.Status.LastApply.ID || last.ConfirmedBy != v1alpha1.WitnessUser || last.ConfirmBefore != nil {
		t.Errorf("lastApply is %+v, not of change %s, confirmed by a user", last, waiting.Status.LastApply.ID)
	}
	if isTrue(after, v1alpha1.ConditionProgressing) {
		t.Error("Progressing is still True after the change was confirmed")
	}
	s.refuseDecision(last.ID, "no change waits")
	s.apply(s.change(func(obj *v1alpha1.NodeNetworkState) { obj.Annotations = map[string]string{"example.com/note": "next"} }))
}

func manualRolledBack(t *testing.T, h Harness) {
	s := start(t, h)
	s.apply(s.desire(h.DesiredState(0)))
	before := s.barrier()
	waiting := s.await(h.DesiredState(1))
	after := s.decide(waiting.Status.LastApply.ID, false)
	s.checkUndone(before, after, waiting)
	s.refuseDecision(waiting.Status.LastApply.ID, "no change waits")
	if failed := s.apply(s.desire(h.DesiredState(1))); isTrue(failed, v1alpha1.ConditionFailing) {
		t.Error("Failing is still True after a change succeeded")
	}
}

func manualExpires(t *testing.T, h Harness) {
	s := start(t, h)
	before := s.barrier()
	change := s.manually(h.DesiredState(0), v1alpha1.MinConfirmationTimeout)
	change.Object.Annotations = map[string]string{"example.com/note": "never"}
	waiting := s.apply(change)
	s.checkWaits(waiting)
	if expirer, ok := h.(Expirer); ok {
		expirer.Expire(t)
	}
	after := s.until("the change to be rolled back", func(obj *v1alpha1.NodeNetworkState) bool {
		return obj.Status.LastApply.Outcome != v1alpha1.ApplyInProgress
	})
	s.checkUndone(before, after, waiting)
	if reason := after.Status.LastApply.Reason; reason != v1alpha1.ReasonNotConfirmed {
		t.Errorf("the reason is %s, not %s", reason, v1alpha1.ReasonNotConfirmed)
	}
	s.refuseDecision(waiting.Status.LastApply.ID, "no change waits")
}

// checkUndone checks that after is as before was, and tells of the change that waited.
func (s *subject) checkUndone(before, after, waiting *v1alpha1.NodeNetworkState) {
	s.t.Helper()
	if !sameDurable(before, after) {
		s.t.Errorf("the object is not as it was:\n%+v\n%+v", before, after)
	}
	if now := s.barrier(); !sameMeaning(now.Status.CurrentState, before.Status.CurrentState) {
		s.t.Errorf("the node is not as it was:\n%s\n%s", state(before), state(now))
	}
	checkStory(s.t, after.Status.LastApply, v1alpha1.ApplyRolledBack, waiting.Generation)
	last := after.Status.LastApply
	if last.ID != waiting.Status.LastApply.ID || last.ConfirmedBy != "" || last.ConfirmBefore != nil || last.Reason == "" {
		s.t.Errorf("lastApply is %+v, not of change %s with the reason why it was rolled back", last, waiting.Status.LastApply.ID)
	}
	if isTrue(after, v1alpha1.ConditionProgressing) || !isTrue(after, v1alpha1.ConditionFailing) {
		s.t.Errorf("wrong conditions after a change was rolled back: %+v", after.Status.Conditions)
	}
}

func manualFails(t *testing.T, h Harness) {
	failing := h.FailingState()
	if failing == nil {
		return
	}
	s := start(t, h)
	after := s.refuse(agent.Failed, s.manually(failing, v1alpha1.MaxConfirmationTimeout))
	if last := after.Status.LastApply; last.Outcome != v1alpha1.ApplyRolledBack || last.ConfirmBefore != nil {
		t.Errorf("lastApply is %+v after a change failed before it could wait", last)
	}
	s.refuseDecision(after.Status.LastApply.ID, "no change waits")
}

// manualOfNoState: what asks nothing of the network needs no confirmation.
func manualOfNoState(t *testing.T, h Harness) {
	s := start(t, h)
	before := s.apply(s.desire(h.DesiredState(0)))
	after := s.apply(s.manually(nil, v1alpha1.MaxConfirmationTimeout))
	checkDropped(t, after, before.Generation+1)
	s.refuseDecision(after.Status.LastApply.ID, "no change waits")
}

func decideAnother(t *testing.T, h Harness) {
	s := start(t, h)
	waiting := s.await(h.DesiredState(0))
	s.refuseDecision("11111111-2222-3333-4444-555555555555", waiting.Status.LastApply.ID)
	s.refuseDecision("", waiting.Status.LastApply.ID)
	after := s.barrier()
	s.checkWaits(after)
	if !sameDurable(waiting, after) {
		t.Error("a decision about another change has changed the object")
	}
	s.decide(waiting.Status.LastApply.ID, true)
}

func decideNothing(t *testing.T, h Harness) {
	s := start(t, h)
	s.refuseDecision("11111111-2222-3333-4444-555555555555", "no change waits")
	committed := s.apply(s.desire(h.DesiredState(0)))
	s.refuseDecision(committed.Status.LastApply.ID, "no change waits")
	checkStory(t, s.barrier().Status.LastApply, v1alpha1.ApplyCommitted, committed.Generation)
}

// applyWhileAnotherWaits: nothing that is written confirms a change, not even the same.
func applyWhileAnotherWaits(t *testing.T, h Harness) {
	s := start(t, h)
	waiting := s.await(h.DesiredState(0))
	for _, change := range []agent.Change{
		s.desire(h.DesiredState(1)),
		s.desire(h.DesiredState(0)),
		s.change(func(*v1alpha1.NodeNetworkState) {}),
		s.change(func(obj *v1alpha1.NodeNetworkState) { obj.Annotations = map[string]string{"example.com/note": "never"} }),
		s.change(func(obj *v1alpha1.NodeNetworkState) { obj.Spec.Confirmation = nil }),
	} {
		after := s.refuse(agent.Busy, change)
		s.checkWaits(after)
		if after.Status.LastApply.ID != waiting.Status.LastApply.ID {
			t.Errorf("another change waits now: %+v", after.Status.LastApply)
		}
	}
	// Whoever is refused learns which change waits, and until when.
	last := waiting.Status.LastApply
	_, err := s.Apply(s.context(), s.desire(h.DesiredState(1)))
	for _, word := range []string{last.ID, last.ConfirmBefore.UTC().Format(time.RFC3339), "confirm it or roll it back"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
	s.decide(last.ID, true)
}

func validateWhileAnotherWaits(t *testing.T, h Harness) {
	s := start(t, h)
	before := s.barrier()
	waiting := s.await(h.DesiredState(0))
	for n := range 2 {
		if _, err := s.Validate(s.context(), s.desire(h.DesiredState(n))); err != nil && agent.KindOf(err) != agent.Busy {
			t.Errorf("Validate while a change waits: %v", err)
		}
		s.checkWaits(s.barrier())
	}
	s.checkUndone(before, s.decide(waiting.Status.LastApply.ID, false), waiting)
}

// applyUnasked: probes, confirmation, reapply and removal are part of the spec, and ask nothing of the network.
func applyUnasked(t *testing.T, h Harness) {
	s := start(t, h)
	generation := s.apply(s.desire(h.DesiredState(0))).Generation
	h.Drift(t)
	drifted := s.barrier()
	for _, edit := range []func(*v1alpha1.NodeNetworkStateSpec){
		func(spec *v1alpha1.NodeNetworkStateSpec) {
			spec.Probes = []v1alpha1.Probe{{Name: "nobody", Ping: &v1alpha1.PingProbe{Address: "192.0.2.254"}}}
		},
		func(spec *v1alpha1.NodeNetworkStateSpec) {
			spec.Confirmation = &v1alpha1.Confirmation{Mode: v1alpha1.ConfirmManually}
		},
		func(spec *v1alpha1.NodeNetworkStateSpec) { spec.Reapply = v1alpha1.ReapplyNever },
		func(spec *v1alpha1.NodeNetworkStateSpec) { spec.Removal = v1alpha1.RemovalRevert },
		func(spec *v1alpha1.NodeNetworkStateSpec) { spec.Probes, spec.Confirmation = nil, nil },
	} {
		change := s.change(func(obj *v1alpha1.NodeNetworkState) { edit(&obj.Spec) })
		after := s.apply(change)
		if generation++; after.Generation != generation {
			t.Errorf("the generation is %d, not %d", after.Generation, generation)
		}
		checkStory(t, after.Status.LastApply, v1alpha1.ApplyCommitted, generation)
		wanted := &v1alpha1.NodeNetworkState{Spec: change.Object.Spec}
		if !sameDurable(wanted, &v1alpha1.NodeNetworkState{Spec: after.Spec}) {
			t.Errorf("the spec is %+v, not %+v", after.Spec, wanted.Spec)
		}
		if now := s.barrier(); state(now) != state(drifted) || now.Status.Difference == nil {
			t.Error("a change of what asks nothing of the network has touched the network")
		}
	}
}

func applyConfirmed(t *testing.T, h Harness) {
	s := start(t, h)
	for n, mode := range []v1alpha1.ConfirmationMode{"", v1alpha1.ConfirmByReachability, v1alpha1.ConfirmNone} {
		change := s.change(func(obj *v1alpha1.NodeNetworkState) {
			obj.Spec.DesiredState = h.DesiredState(n)
			obj.Spec.Confirmation = &v1alpha1.Confirmation{Mode: mode}
		})
		change.Manager = "conformance"
		last := s.apply(change).Status.LastApply
		if (last.ConfirmedBy == "") != (mode == v1alpha1.ConfirmNone) || last.ConfirmedBy == v1alpha1.WitnessUser {
			t.Errorf("a change of mode %q was confirmed by %q", mode, last.ConfirmedBy)
		}
		if last.ID == "" || last.Manager != "conformance" {
			t.Errorf("lastApply has the id %q and the field manager %q", last.ID, last.Manager)
		}
	}
}
