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
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

func applyCommits(t *testing.T, h Harness) {
	s := start(t, h)
	before := s.barrier()
	for n := range 2 {
		change := s.desire(h.DesiredState(n))
		change.Object.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "tester", Operation: "Update"}}
		after := s.apply(change)
		if !sameMeaning(after.Spec.DesiredState, h.DesiredState(n)) || len(after.ManagedFields) != 1 {
			t.Errorf("the spec and managed fields are not what was applied: %+v", after)
		}
		if want := before.Generation + int64(n) + 1; after.Generation != want || after.Status.ObservedGeneration != want {
			t.Errorf("generation %d and observed generation %d, not %d",
				after.Generation, after.Status.ObservedGeneration, want)
		}
		checkStory(t, after.Status.LastApply, v1alpha1.ApplyCommitted, after.Generation)
		if after.Status.Difference != nil || !isTrue(after, v1alpha1.ConditionInSync) {
			t.Errorf("the node is not in sync after an apply: %+v", after.Status)
		}
	}
	if state(s.barrier()) == state(before) {
		t.Error("the node's network is as it was")
	}
}

func applyRejected(t *testing.T, h Harness) {
	s := start(t, h)
	s.apply(s.desire(h.DesiredState(0)))
	before := s.barrier()
	change := s.desire(h.InvalidState())
	change.Object.Annotations = map[string]string{"example.com/note": "never"}
	after := s.refuse(agent.Invalid, change)
	checkStory(t, after.Status.LastApply, v1alpha1.ApplyRejected, before.Generation+1)
	if state(after) != state(before) {
		t.Error("a change that was rejected has changed the node")
	}
	if !isTrue(after, v1alpha1.ConditionFailing) {
		t.Error("Failing is not True after a change was rejected")
	}
	// The same spec again: there is no drift, and yet it is committed.
	after = s.apply(s.desire(h.DesiredState(0)))
	checkStory(t, after.Status.LastApply, v1alpha1.ApplyCommitted, before.Generation)
	if isTrue(after, v1alpha1.ConditionFailing) {
		t.Error("Failing is still True after the same spec was committed again")
	}
	s.refuse(agent.Invalid, s.desire(h.InvalidState()))
	if after = s.apply(s.desire(h.DesiredState(1))); isTrue(after, v1alpha1.ConditionFailing) {
		t.Error("Failing is still True after a change succeeded")
	}
}

func applyRolledBack(t *testing.T, h Harness) {
	failing := h.FailingState()
	if failing == nil {
		return
	}
	s := start(t, h)
	s.apply(s.desire(h.DesiredState(0)))
	before := s.barrier()
	after := s.refuse(agent.Failed, s.desire(failing))
	checkStory(t, after.Status.LastApply, v1alpha1.ApplyRolledBack, before.Generation+1)
	if !sameMeaning(after.Status.CurrentState, before.Status.CurrentState) {
		t.Errorf("the node is not as it was:\n%s\n%s", state(before), state(after))
	}
	if isTrue(after, v1alpha1.ConditionProgressing) || !isTrue(after, v1alpha1.ConditionFailing) {
		t.Errorf("wrong conditions after a change failed: %+v", after.Status.Conditions)
	}
}

func applyConflict(t *testing.T, h Harness) {
	s := start(t, h)
	change := s.desire(h.DesiredState(0))
	stale := s.desire(h.DesiredState(1))
	before := s.apply(change)
	after := s.refuse(agent.Conflict, stale)
	if state(after) != state(before) {
		t.Error("a change in conflict has changed the node")
	}
	if !equality.Semantic.DeepEqual(after.Status.LastApply, before.Status.LastApply) {
		t.Error("a change in conflict has replaced the story of the one that won")
	}
	// A change of the network by others is no conflict.
	change = s.desire(h.DesiredState(1))
	h.Change(t)
	s.barrier()
	s.apply(change)
}

func applyOneWins(t *testing.T, h Harness) {
	s := start(t, h)
	var changes []agent.Change
	for n := range 4 {
		changes = append(changes, s.desire(h.DesiredState(n)))
	}
	var mu sync.Mutex
	won := 0
	var all sync.WaitGroup
	for _, change := range changes {
		all.Go(func() {
			_, err := s.Apply(s.context(), change)
			mu.Lock()
			defer mu.Unlock()
			switch kind := agent.KindOf(err); {
			case err == nil:
				won++
			case kind != agent.Conflict && kind != agent.Busy:
				t.Errorf("one of many writers got %v, neither Conflict nor Busy", err)
			}
		})
	}
	all.Wait()
	if won != 1 {
		t.Errorf("%d of %d writers from one object have won, not 1", won, len(changes))
	}
}

func applyBusy(t *testing.T, h Harness) {
	release := h.Hold(t)
	if release == nil {
		return
	}
	defer release()
	s := start(t, h)
	first := s.desire(h.DesiredState(0))
	answer := make(chan error, 1)
	go func() {
		_, err := s.Apply(s.context(), first)
		answer <- err
	}()
	during := s.until("the apply to be shown", func(obj *v1alpha1.NodeNetworkState) bool {
		return isTrue(obj, v1alpha1.ConditionProgressing)
	})
	if story := during.Status.LastApply; story == nil || story.Outcome != v1alpha1.ApplyInProgress || story.FinishTime != nil {
		t.Errorf("lastApply does not tell of the apply that is under way: %+v", story)
	}
	if story, c := during.Status.LastApply, apimeta.FindStatusCondition(during.Status.Conditions, v1alpha1.ConditionProgressing); story.Stage == "" ||
		story.StageStartTime == nil || c.Reason != string(story.Stage) {
		t.Errorf("lastApply and Progressing do not tell the same stage of the apply: %+v, %+v", story, c)
	}
	after := s.refuse(agent.Busy, s.desire(h.DesiredState(1)))
	_, err := s.Apply(s.context(), s.desire(h.DesiredState(1)))
	for _, want := range []string{fmt.Sprintf("generation %d", during.Status.LastApply.Generation), "tester", during.Status.LastApply.StartTime.UTC().Format(time.RFC3339), "in stage "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the busy node's error %v does not say %q of the change that is under way", err, want)
		}
	}
	if story := after.Status.LastApply; story == nil || story.Outcome != v1alpha1.ApplyInProgress {
		t.Errorf("lastApply does not tell of the apply that is under way any more: %+v", story)
	}
	// A barrier is answered while an apply runs, and shows what happened.
	before := state(after)
	h.Change(t)
	if state(s.barrier()) == before {
		t.Error("a change during an apply was not delivered by a barrier")
	}
	release()
	if err := <-answer; err != nil {
		t.Errorf("Apply: %v", err)
	}
}

func applyGoesOn(t *testing.T, h Harness) {
	release := h.Hold(t)
	if release != nil {
		defer release()
	}
	s := start(t, h)
	change := s.desire(h.DesiredState(0))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	answer := make(chan error, 1)
	go func() {
		_, err := s.Apply(ctx, change)
		answer <- err
	}()
	s.until("the apply to be shown", func(obj *v1alpha1.NodeNetworkState) bool { return obj.Status.LastApply != nil })
	cancel()
	// Where applies cannot be held, it may have been the quicker one.
	if err := <-answer; (err != nil || release != nil) && agent.KindOf(err) != agent.InProgress {
		t.Errorf("Apply whose context ended answered with %v, not with kind InProgress", err)
	}
	if release != nil {
		release()
	}
	s.until("the apply to end", func(obj *v1alpha1.NodeNetworkState) bool {
		return obj.Status.LastApply.Outcome == v1alpha1.ApplyCommitted &&
			sameMeaning(obj.Spec.DesiredState, h.DesiredState(0))
	})
}

func applyAnnotations(t *testing.T, h Harness) {
	s := start(t, h)
	before := s.apply(s.desire(h.DesiredState(0)))
	h.Drift(t)
	drifted := s.barrier()
	after := s.apply(s.change(func(obj *v1alpha1.NodeNetworkState) {
		obj.Annotations = map[string]string{"example.com/note": "kept"}
	}))
	if after.Annotations["example.com/note"] != "kept" {
		t.Errorf("the annotation is not there: %v", after.Annotations)
	}
	if after.Generation != before.Generation {
		t.Errorf("annotations have moved the generation from %d to %d", before.Generation, after.Generation)
	}
	if !equality.Semantic.DeepEqual(after.Status.LastApply, before.Status.LastApply) {
		t.Error("annotations count as an apply")
	}
	if state(s.barrier()) != state(drifted) {
		t.Error("annotations have touched the node")
	}
}

func applySameMeaning(t *testing.T, h Harness) {
	s := start(t, h)
	before := s.apply(s.desire(h.DesiredState(0)))
	spaced := &bytes.Buffer{}
	if err := json.Indent(spaced, h.DesiredState(0).Raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	after := s.apply(s.desire(v1alpha1.NewState(spaced.Bytes())))
	if after.Generation != before.Generation {
		t.Error("the same state, written otherwise, has moved the generation")
	}
}

func applyNothing(t *testing.T, h Harness) {
	s := start(t, h)
	before := s.apply(s.desire(h.DesiredState(0)))
	after := s.apply(s.change(func(*v1alpha1.NodeNetworkState) {}))
	if !sameDurable(before, after) || !equality.Semantic.DeepEqual(before.Status.LastApply, after.Status.LastApply) {
		t.Errorf("a change of nothing has changed\n%+v to\n%+v", before, after)
	}
}

func applyMends(t *testing.T, h Harness) {
	s := start(t, h)
	before := s.apply(s.desire(h.DesiredState(0)))
	h.Drift(t)
	drifted := s.barrier()
	if drifted.Status.Difference == nil || isTrue(drifted, v1alpha1.ConditionInSync) {
		t.Fatalf("the drift is not shown: %+v", drifted.Status)
	}
	after := s.apply(s.change(func(*v1alpha1.NodeNetworkState) {}))
	if after.Status.Difference != nil || !isTrue(after, v1alpha1.ConditionInSync) {
		t.Errorf("a change of nothing has not mended the drift: %+v", after.Status)
	}
	if after.Generation != before.Generation {
		t.Error("mending the drift has moved the generation")
	}
}

func applyNoState(t *testing.T, h Harness) {
	s := start(t, h)
	before := s.apply(s.desire(h.DesiredState(0)))
	network := state(s.barrier())
	after := s.apply(s.desire(nil))
	if after.Spec.DesiredState != nil || after.Generation != before.Generation+1 {
		t.Errorf("the desired state was not taken away: %+v", after)
	}
	if state(s.barrier()) != network {
		t.Error("taking the desired state away has touched the node")
	}
}

// applyNoStateAfterFailure: taking the desired state away is a change like any
// other, whether it is then absent or empty.
func applyNoStateAfterFailure(t *testing.T, h Harness) {
	for _, nothing := range []*v1alpha1.State{nil, v1alpha1.NewState([]byte(`{}`))} {
		s := start(t, h)
		before := s.apply(s.desire(h.DesiredState(0)))
		network := state(s.barrier())
		s.refuse(agent.Invalid, s.desire(h.InvalidState()))
		dropped := s.apply(s.desire(nothing))
		checkDropped(t, dropped, before.Generation+1)
		if !sameMeaning(dropped.Spec.DesiredState, nothing) {
			t.Errorf("the desired state is %v, not %v", dropped.Spec.DesiredState, nothing)
		}
		// Nothing at all was changed since: the request is for an end of the failure.
		s.refuse(agent.Invalid, s.desire(h.InvalidState()))
		checkDropped(t, s.apply(s.change(func(*v1alpha1.NodeNetworkState) {})), dropped.Generation)
		if state(s.barrier()) != network {
			t.Error("taking the desired state away has touched the node")
		}
	}
}

// checkDropped checks an object whose desired state was taken away, or stayed
// away, by a change that is committed.
func checkDropped(t *testing.T, obj *v1alpha1.NodeNetworkState, generation int64) {
	t.Helper()
	if obj.Generation != generation {
		t.Errorf("the generation is %d, not %d", obj.Generation, generation)
	}
	checkStory(t, obj.Status.LastApply, v1alpha1.ApplyCommitted, generation)
	if isTrue(obj, v1alpha1.ConditionFailing) {
		t.Error("Failing is still True after the desired state was taken away")
	}
	if c := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionInSync); c == nil || c.Reason != v1alpha1.ReasonNoDesiredState {
		t.Errorf("InSync is %+v, not %s", c, v1alpha1.ReasonNoDesiredState)
	}
}

func statusComplete(t *testing.T, h Harness) {
	obj := start(t, h).last()
	for _, name := range []string{v1alpha1.ConditionAvailable, v1alpha1.ConditionInSync,
		v1alpha1.ConditionProgressing, v1alpha1.ConditionFailing} {
		found := false
		for _, c := range obj.Status.Conditions {
			found = found || c.Type == name && c.Reason != "" && !c.LastTransitionTime.IsZero()
		}
		if !found {
			t.Errorf("condition %s is not there in full: %+v", name, obj.Status.Conditions)
		}
	}
	status := obj.Status
	if !isTrue(obj, v1alpha1.ConditionAvailable) || status.Interfaces == nil || status.Interfaces.Total == 0 ||
		status.Backend == "" || status.AgentVersion == "" || status.NmstateVersion == "" ||
		status.LastSuccessfulUpdateTime == nil || status.ObservedGeneration != obj.Generation {
		t.Errorf("the status is not complete: %+v", status)
	}
	if status.LastApply != nil {
		t.Errorf("lastApply tells of something though nothing was applied: %+v", status.LastApply)
	}
}

// checkStory checks the story of an apply that has ended.
func checkStory(t *testing.T, story *v1alpha1.LastApply, outcome v1alpha1.ApplyOutcome, generation int64) {
	t.Helper()
	if story == nil {
		t.Fatal("there is no lastApply")
	}
	if story.Outcome != outcome || story.Generation != generation || story.User != "tester" {
		t.Errorf("lastApply is %+v, not of generation %d, user tester and outcome %s", story, generation, outcome)
	}
	if story.FinishTime == nil || story.StartTime.IsZero() || story.FinishTime.Before(&story.StartTime) ||
		time.Since(story.StartTime.Time) > timeout {
		t.Errorf("lastApply has wrong times: %+v", story)
	}
	if outcome != v1alpha1.ApplyCommitted && story.Message == "" {
		t.Error("lastApply does not say why")
	}
}

// sameMeaning tells whether two states are the same but for the way they are written.
func sameMeaning(a, b *v1alpha1.State) bool {
	if a == nil || b == nil {
		return a == b
	}
	var left, right any
	if json.Unmarshal(a.Raw, &left) != nil || json.Unmarshal(b.Raw, &right) != nil {
		return false
	}
	return reflect.DeepEqual(left, right)
}
