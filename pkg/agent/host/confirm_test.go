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

package host

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// server is one that can be reached, or not.
type server struct{ cut, cutBefore atomic.Bool }

func (s *server) Confirm(_ context.Context, q agent.Question) (agent.Testimony, error) {
	if q.Rehearsal && s.cutBefore.Load() || !q.Rehearsal && s.cut.Load() {
		return agent.Testimony{}, errors.New("no route to host")
	}
	return agent.Testimony{Server: "elsewhere"}, nil
}

func newHostWith(t *testing.T, dir string, confirmer agent.Confirmer, adjust func(*transaction.Config)) *Host {
	t.Helper()
	h, err := New(Config{StateDir: dir, Backend: BackendKernel, Confirmer: confirmer, adjust: adjust})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clean(t) })
	run(t, h)
	return h
}

// confirmed returns the change to a state that is confirmed so.
func confirmed(t *testing.T, h *Host, state string, mode v1alpha1.ConfirmationMode, timeout time.Duration) agent.Change {
	t.Helper()
	change := desire(t, h, state)
	change.Object.Spec.Confirmation = &v1alpha1.Confirmation{Mode: mode, Timeout: &metav1.Duration{Duration: timeout}}
	return change
}

// TestAChangeThatCutsTheNodeOff is rolled back by the node itself.
func TestAChangeThatCutsTheNodeOff(t *testing.T) {
	s := &server{}
	s.cut.Store(true)
	h := newHostWith(t, t.TempDir(), s, nil)
	before := picture(t)
	_, err := h.Apply(t.Context(), confirmed(t, h, veth(0), v1alpha1.ConfirmByReachability, 5*time.Second))
	last := h.feed.Last().Status.LastApply
	if agent.KindOf(err) != agent.Failed || !strings.Contains(err.Error(), "no route to host") || !strings.HasSuffix(err.Error(), "(change "+last.ID+")") {
		t.Errorf("it ended with %v", err)
	}
	if last.Reason != v1alpha1.ReasonNotConfirmed || last.Outcome != v1alpha1.ApplyRolledBack || picture(t) != before {
		t.Errorf("lastApply is %+v; %s", last, changed(before, picture(t)))
	}
	if took := last.FinishTime.Sub(last.StartTime.Time); took > 10*time.Second {
		t.Errorf("the node was cut off for %v", took)
	}
	if obj := h.feed.Last(); obj.Spec.Confirmation != nil || obj.Generation != 1 {
		t.Errorf("the spec is %+v", obj.Spec)
	}
	history, err := h.History(t.Context())
	if err != nil || len(history.Entries) != 1 || history.Entries[0].ID != last.ID || history.Entries[0].Difference == nil {
		t.Errorf("the history is %+v, %v", history, err)
	}
}

// TestANodeThatCannotBeReachedIsNotTouched, unless nobody is to confirm the change.
func TestANodeThatCannotBeReachedIsNotTouched(t *testing.T) {
	s := &server{}
	s.cut.Store(true)
	s.cutBefore.Store(true)
	h := newHostWith(t, t.TempDir(), s, func(c *transaction.Config) { c.Limits.Rehearsal = time.Second })
	before := picture(t)
	_, err := h.Apply(t.Context(), desire(t, h, veth(0)))
	last := h.feed.Last().Status.LastApply
	if agent.KindOf(err) != agent.Failed || last.Reason != v1alpha1.ReasonNotReachable || last.Outcome != v1alpha1.ApplyRejected || picture(t) != before {
		t.Errorf("it ended with %v, %+v", err, last)
	}
	obj, err := h.Apply(t.Context(), confirmed(t, h, veth(0), v1alpha1.ConfirmNone, time.Minute))
	if err != nil || obj.Status.LastApply.ConfirmedBy != "" || obj.Status.LastApply.Outcome != v1alpha1.ApplyCommitted {
		t.Errorf("without confirmation it ended with %v", err)
	}
}

// TestAManualChange: what the object says until it is decided, and what else can be done meanwhile.
func TestAManualChange(t *testing.T) {
	for _, commit := range []bool{true, false} {
		h := newHost(t, t.TempDir())
		before := picture(t)
		obj, err := h.Apply(t.Context(), confirmed(t, h, veth(0), v1alpha1.ConfirmManually, time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		last := obj.Status.LastApply
		progressing := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionProgressing)
		if obj.Generation != 2 || obj.Spec.DesiredState == nil || obj.Spec.Confirmation == nil || obj.Status.Difference != nil ||
			last.Outcome != v1alpha1.ApplyInProgress || last.ID == "" || last.ConfirmBefore == nil || last.FinishTime != nil ||
			progressing.Status != metav1.ConditionTrue || progressing.Reason != v1alpha1.ReasonAwaitingConfirmation {
			t.Errorf("while it waits the object is %+v, lastApply %+v, %+v", obj.Spec, last, progressing)
		}
		if r, _ := newStore(h.config.StateDir).load(); r.Desired != nil || r.Generation != 1 {
			t.Errorf("the durable record is %+v already", r)
		}
		if _, err := h.Apply(t.Context(), desire(t, h, veth(1))); agent.KindOf(err) != agent.Busy {
			t.Errorf("a write meanwhile: %v", err)
		}
		if plan, err := h.Validate(t.Context(), desire(t, h, veth(1))); err != nil || plan.Object.Generation != 3 {
			t.Errorf("a dry run meanwhile: %v", err)
		}
		if _, err := h.Decide(t.Context(), agent.Decision{Transaction: "another", Commit: true}); agent.KindOf(err) != agent.Conflict {
			t.Errorf("a wrong id: %v", err)
		}
		obj, err = h.Decide(t.Context(), agent.Decision{Transaction: last.ID, Commit: commit, User: "admin"})
		if err != nil {
			t.Fatal(err)
		}
		want := v1alpha1.ApplyRolledBack
		if commit {
			want = v1alpha1.ApplyCommitted
		}
		if is := obj.Status.LastApply; is.Outcome != want || is.ConfirmBefore != nil || (obj.Generation == 2) != commit ||
			(picture(t) == before) == commit || !apimeta.IsStatusConditionFalse(obj.Status.Conditions, v1alpha1.ConditionProgressing) {
			t.Errorf("decided: generation %d, %+v", obj.Generation, is)
		}
		if _, err := h.Decide(t.Context(), agent.Decision{Transaction: last.ID, Commit: commit}); agent.KindOf(err) != agent.Conflict {
			t.Errorf("once more: %v", err)
		}
		clean(t)
	}
}

// TestAManualChangeThatNobodyConfirms is rolled back, and the spec is as before.
func TestAManualChangeThatNobodyConfirms(t *testing.T) {
	h := newHost(t, t.TempDir())
	before := picture(t)
	if _, err := h.Apply(t.Context(), confirmed(t, h, veth(0), v1alpha1.ConfirmManually, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	obj := recovered(t, h)
	if last := obj.Status.LastApply; last.Reason != v1alpha1.ReasonNotConfirmed || obj.Generation != 1 || obj.Spec.DesiredState != nil || picture(t) != before {
		t.Errorf("generation %d, lastApply %+v", obj.Generation, last)
	}
}

// TestAnAgentThatEndsWhileAUserIsAwaited rolls back.
func TestAnAgentThatEndsWhileAUserIsAwaited(t *testing.T) {
	dir := t.TempDir()
	before := picture(t)
	t.Run("first", func(t *testing.T) {
		h, err := New(Config{StateDir: dir, Backend: BackendKernel, Confirmer: yes{}})
		if err != nil {
			t.Fatal(err)
		}
		run(t, h)
		if _, err := h.Apply(t.Context(), confirmed(t, h, veth(0), v1alpha1.ConfirmManually, 5*time.Minute)); err != nil {
			t.Fatal(err)
		}
	})
	obj := newHost(t, dir).feed.Last()
	if last := obj.Status.LastApply; last.Reason != v1alpha1.ReasonAgentStopped || last.Outcome != v1alpha1.ApplyRolledBack || obj.Generation != 1 || picture(t) != before {
		t.Errorf("generation %d, lastApply %+v", obj.Generation, last)
	}
}

// TestOptionsAlone are committed at once, and the network is not touched.
func TestOptionsAlone(t *testing.T) {
	h := newHost(t, t.TempDir())
	if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err != nil {
		t.Fatal(err)
	}
	netns.Run(t, "ip", "addr", "add", "198.18.7.7/24", "dev", "v0a")
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := picture(t)
	change := confirmed(t, h, veth(0), v1alpha1.ConfirmManually, time.Minute)
	change.Object.Spec.Probes = []v1alpha1.Probe{{Name: "p", Ping: &v1alpha1.PingProbe{Address: "192.0.2.1"}}}
	change.Object.Spec.Reapply = v1alpha1.ReapplyNever
	obj, err := h.Apply(t.Context(), change)
	if err != nil || obj.Generation != 3 || len(obj.Spec.Probes) != 1 || obj.Spec.Reapply != v1alpha1.ReapplyNever || obj.Spec.Confirmation.Mode != v1alpha1.ConfirmManually {
		t.Fatalf("%v, %+v", err, obj)
	}
	if last := obj.Status.LastApply; last.Outcome != v1alpha1.ApplyCommitted || last.Generation != 3 || picture(t) != before {
		t.Errorf("lastApply is %+v", last)
	}
	if r, damage := newStore(h.config.StateDir).load(); damage != "" || len(r.Probes) != 1 || r.Reapply != v1alpha1.ReapplyNever || r.Confirmation == nil || r.Kernel == "" {
		t.Errorf("the record is %+v", r)
	}
}

// TestTheHistoryUndoesAChange: the state in it, applied, makes the network what it was. The history outlives the agent.
func TestTheHistoryUndoesAChange(t *testing.T) {
	dir := t.TempDir()
	h := newHost(t, dir)
	if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err != nil {
		t.Fatal(err)
	}
	before := picture(t)
	other := strings.Replace(veth(0), "198.51.100.1", "203.0.113.9", 1)
	obj, err := h.Apply(t.Context(), desire(t, h, other))
	if err != nil || picture(t) == before {
		t.Fatalf("nothing has changed: %v", err)
	}
	history, err := h.History(t.Context())
	if err != nil || len(history.Entries) != 2 || history.Entries[0].ID != obj.Status.LastApply.ID || history.Entries[1].Outcome != v1alpha1.ApplyCommitted {
		t.Fatalf("the history is %+v, %v", history, err)
	}
	if revert := history.Entries[0].Revert; nmstate.CanGenerateRevert() {
		if revert == nil {
			t.Fatal("the history does not say what undoes the change")
		}
		if _, err := h.Apply(t.Context(), desire(t, h, string(revert.Raw))); err != nil {
			t.Fatal(err)
		}
		if now := picture(t); now != before {
			t.Errorf("the network is not as before: %s", changed(before, now))
		}
	} else if revert != nil {
		t.Errorf("the revert is %s", revert.Raw)
	}
	for range 25 {
		_, _ = h.Apply(t.Context(), desire(t, h, string((&node{}).InvalidState().Raw)))
	}
	var file struct{ Entries []v1alpha1.HistoryEntry }
	text, err := os.ReadFile(dir + "/history.json")
	if err := errors.Join(err, json.Unmarshal(text, &file)); err != nil {
		t.Fatal(err)
	}
	kept := file.Entries
	if last := h.feed.Last().Status.LastApply; len(kept) != 20 || kept[0].ID != last.ID || kept[0].Outcome != v1alpha1.ApplyRejected {
		t.Errorf("the file has %d entries", len(kept))
	}
}

// TestTheHistoryOfAChangeThatWasRolledBack has no state that undoes it: nothing of it is in effect.
func TestTheHistoryOfAChangeThatWasRolledBack(t *testing.T) {
	h := newHost(t, t.TempDir())
	if _, err := h.Apply(t.Context(), desire(t, h, halfWay)); err == nil {
		t.Fatal("the change was committed")
	}
	history, err := h.History(t.Context())
	if err != nil || len(history.Entries) != 1 {
		t.Fatalf("the history is %+v, %v", history, err)
	}
	if is := history.Entries[0]; is.Outcome != v1alpha1.ApplyRolledBack || is.Difference == nil || is.Revert != nil {
		t.Errorf("the entry is %+v", is)
	}
}

// rebooted makes the record one that was committed before a boot.
func rebooted(t *testing.T, dir string, change func(*record)) {
	t.Helper()
	s := newStore(dir)
	r, damage := s.load()
	if damage != "" {
		t.Fatal(damage)
	}
	r.Kernel = "another boot"
	change(&r)
	if err := s.save(r); err != nil {
		t.Fatal(err)
	}
}

// TestReapplyAfterABoot: as spec.reapply says, once the API server can be reached.
func TestReapplyAfterABoot(t *testing.T) {
	for _, policy := range []v1alpha1.ReapplyPolicy{"", v1alpha1.ReapplyOnBoot, v1alpha1.ReapplyAlways, v1alpha1.ReapplyNever} {
		t.Run(string(policy), func(t *testing.T) {
			dir := t.TempDir()
			t.Run("first", func(t *testing.T) {
				h := newHost(t, dir)
				if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err != nil {
					t.Fatal(err)
				}
			})
			rebooted(t, dir, func(r *record) { r.Reapply = policy })
			s := &server{}
			s.cutBefore.Store(true)
			asked := make(chan struct{}, 100)
			h := newHostWith(t, dir, confirmerFunc(func(ctx context.Context, q agent.Question) (agent.Testimony, error) {
				asked <- struct{}{}
				return s.Confirm(ctx, q)
			}), func(c *transaction.Config) { c.Limits.Rehearsal = 100 * time.Millisecond })
			if policy == v1alpha1.ReapplyNever {
				if _, err := h.Barrier(t.Context()); err != nil {
					t.Fatal(err)
				}
				if obj := h.feed.Last(); obj.Status.Difference == nil || len(asked) > 0 || obj.Status.LastApply.User != "tester" {
					t.Errorf("it was applied again: %+v", obj.Status.LastApply)
				}
				return
			}
			select {
			case <-asked: // in vain
			case <-time.After(time.Minute):
				t.Fatalf("nobody is asked; the object is %+v", h.feed.Last().Status)
			}
			if h.feed.Last().Status.LastApply.User != "tester" {
				t.Errorf("while the server cannot be reached lastApply is %+v", h.feed.Last().Status.LastApply)
			}
			s.cutBefore.Store(false)
			obj := awaitObject(t, h, func(obj *v1alpha1.NodeNetworkState) bool {
				return obj.Status.LastApply.User == ItselfUser && obj.Status.LastApply.Outcome == v1alpha1.ApplyCommitted
			})
			if obj.Status.Difference != nil || obj.Generation != 2 || obj.Status.LastApply.ConfirmedBy != v1alpha1.WitnessAPIServer {
				t.Errorf("applied again: %+v", obj.Status.LastApply)
			}
			if r, _ := newStore(dir).load(); r.Kernel != h.kernel {
				t.Error("the record does not know this boot")
			}
		})
	}
}

// TestTheFirstReadAfterABoot: nothing that looks at the node while the first read ends takes the desired state for applied.
func TestTheFirstReadAfterABoot(t *testing.T) {
	dir := t.TempDir()
	t.Run("first", func(t *testing.T) {
		h := newHost(t, dir)
		if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err != nil {
			t.Fatal(err)
		}
	})
	for range 20 {
		rebooted(t, dir, func(*record) {})
		h, err := New(Config{StateDir: dir, Backend: BackendKernel, Confirmer: yes{}})
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error, 1)
		go func() { read <- h.round(t.Context()) }()
		for over := false; !over; {
			select {
			case err := <-read:
				if err != nil {
					t.Fatal(err)
				}
				over = true
			default:
				h.reapplyDue()
			}
		}
		if _, due := h.reapplyDue(); !due {
			t.Fatalf("the desired state is not to be applied again; the difference is %v", h.feed.Last().Status.Difference)
		}
		h.runner.Close()
	}
}

// TestReapplyOfAManualChange asks no user again: nobody may be there when the node boots.
func TestReapplyOfAManualChange(t *testing.T) {
	h := newHost(t, t.TempDir())
	change := confirmed(t, h, veth(0), v1alpha1.ConfirmManually, 5*time.Second)
	change.Object.Spec.Reapply = v1alpha1.ReapplyAlways
	obj, err := h.Apply(t.Context(), change)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Decide(t.Context(), agent.Decision{Transaction: obj.Status.LastApply.ID, Commit: true, User: "admin"}); err != nil {
		t.Fatal(err)
	}
	netns.Run(t, "ip", "link", "del", "v0a")
	obj = awaitObject(t, h, func(obj *v1alpha1.NodeNetworkState) bool {
		return obj.Status.LastApply.User == ItselfUser && obj.Status.LastApply.Outcome != v1alpha1.ApplyInProgress
	})
	if last := obj.Status.LastApply; last.Outcome != v1alpha1.ApplyCommitted || last.ConfirmedBy != v1alpha1.WitnessAPIServer {
		t.Errorf("applied again: %+v", last)
	}
	if obj.Spec.Confirmation.Mode != v1alpha1.ConfirmManually {
		t.Errorf("the spec is %+v", obj.Spec.Confirmation)
	}
}

// TestReapplyOfADrift: with Always alone, and a user's write comes first.
func TestReapplyOfADrift(t *testing.T) {
	h := newHost(t, t.TempDir())
	change := desire(t, h, veth(0))
	change.Object.Spec.Reapply = v1alpha1.ReapplyAlways
	if _, err := h.Apply(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	netns.Run(t, "ip", "link", "del", "v0a")
	obj := awaitObject(t, h, func(obj *v1alpha1.NodeNetworkState) bool {
		return obj.Status.LastApply.User == ItselfUser && obj.Status.LastApply.Outcome == v1alpha1.ApplyCommitted && obj.Status.Difference == nil
	})
	if obj.Generation != 2 {
		t.Errorf("the generation is %d", obj.Generation)
	}
	// It does so once a minute, and a user need not wait for it.
	netns.Run(t, "ip", "link", "del", "v0a")
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	obj, err := h.Apply(t.Context(), desire(t, h, veth(1)))
	if err != nil || obj.Status.LastApply.User != "tester" {
		t.Errorf("the user's write ended with %v", err)
	}
}

type confirmerFunc func(context.Context, agent.Question) (agent.Testimony, error)

func (f confirmerFunc) Confirm(ctx context.Context, q agent.Question) (agent.Testimony, error) {
	return f(ctx, q)
}

// awaitObject waits for an object.
func awaitObject(t *testing.T, h *Host, is func(*v1alpha1.NodeNetworkState) bool) *v1alpha1.NodeNetworkState {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var found *v1alpha1.NodeNetworkState
	_ = h.Watch(ctx, func(obj *v1alpha1.NodeNetworkState) {
		if found == nil && is(obj) {
			found = obj
			cancel()
		}
	})
	if found == nil {
		t.Fatalf("the object is %+v", h.feed.Last().Status)
	}
	return found
}
