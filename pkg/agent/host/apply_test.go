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
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// gatedHost returns an agent whose reads wait at a gate while it is shut.
func gatedHost(t *testing.T) (h *Host, shut func() (open func())) {
	t.Helper()
	h, err := New(Config{StateDir: t.TempDir(), Backend: BackendKernel, Confirmer: yes{}})
	if err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{}, 1)
	h.rounds = agent.NewRounds(func() (bool, error) {
		gate <- struct{}{}
		defer func() { <-gate }()
		return h.read()
	})
	t.Cleanup(func() {
		h.drain()
		clean(t)
	})
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h, func() func() {
		gate <- struct{}{}
		return func() { <-gate }
	}
}

// committed waits until the record has a change, which is before it is published.
func committed(t *testing.T, h *Host, generation int64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		h.mu.Lock()
		done := h.view.record.Generation == generation && h.view.change == nil
		h.mu.Unlock()
		if done {
			return
		}
	}
	t.Fatal("the change was not committed")
}

// TestAStaleChangeBetweenCommitAndReadIsRefused: it would silently undo what was
// just committed.
func TestAStaleChangeBetweenCommitAndReadIsRefused(t *testing.T) {
	h, shut := gatedHost(t)
	first, stale := desire(t, h, veth(0)), desire(t, h, veth(1))
	open := shut()
	ended := make(chan error, 1)
	go func() {
		_, err := h.Apply(t.Context(), first)
		ended <- err
	}()
	committed(t, h, 2)
	second := make(chan error, 1)
	go func() {
		_, err := h.Apply(t.Context(), stale)
		second <- err
	}()
	open()
	if err := <-second; err == nil || agent.KindOf(err) != agent.Conflict && agent.KindOf(err) != agent.Busy {
		t.Errorf("the stale change ended with %v", err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if obj := h.feed.Last(); obj.Generation != 2 || !v1alpha1.SameState(obj.Spec.DesiredState, v1alpha1.NewState([]byte(veth(0)))) {
		t.Errorf("generation %d, spec %s", obj.Generation, obj.Spec.DesiredState.Raw)
	}
}

// TestAReadThatFailsDuringAnApply: what the apply starts from was taken before.
func TestAReadThatFailsDuringAnApply(t *testing.T) {
	h := newHost(t, t.TempDir())
	planned, err := h.begin(desire(t, h, veth(0)), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	h.view.state, h.view.readError = nil, "the network cannot be read"
	h.mu.Unlock()
	if begun, err := h.runner.Run(t.Context(), *planned); err != nil || !begun {
		t.Fatal(begun, err)
	}
}

// TestReadsGoOnDuringAnApply, and during the validation of another change.
func TestReadsGoOnDuringAnApply(t *testing.T) {
	h := newHost(t, t.TempDir())
	if err := interfere(t, h, veth(0), func() {
		netns.Run(t, "ip", "addr", "add", "198.18.77.7/32", "dev", "lo")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := h.Barrier(ctx); err != nil {
			t.Errorf("the read waited for the apply: %v", err)
		}
		if !strings.Contains(string(h.feed.Last().Status.CurrentState.Raw), "198.18.77.7") {
			t.Error("the change is not in the object")
		}
		if _, err := h.Validate(ctx, desire(t, h, veth(1))); err != nil {
			t.Errorf("the dry run waited for the apply: %v", err)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// TestATransactionKnowsTheSecretsOfAllStates: of the one before, and the one that is wanted.
func TestATransactionKnowsTheSecretsOfAllStates(t *testing.T) {
	h := newHost(t, t.TempDir())
	h.mu.Lock()
	h.view.record.Desired = v1alpha1.NewState([]byte(`{"interfaces":[{"name":"ip0","type":"ipsec","libreswan":{"right":"192.0.2.1","psk":"s3cret-old"}}]}`))
	err := h.publish()
	h.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	planned, err := h.begin(desire(t, h, `{"interfaces":[{"name":"eth1","type":"ethernet","802.1x":{"identity":"me","password":"s3cret-new"}}]}`), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(planned.Previous, []byte("s3cret-old")) || !bytes.Contains(planned.Desired, []byte("s3cret-new")) {
		t.Errorf("the transaction is given %s and %s", planned.Previous, planned.Desired)
	}
	settled, err := planned.Settle([]byte(`{}`))
	if err != nil || settled.Difference == nil || bytes.Contains(settled.Difference.Raw, []byte("s3cret")) {
		t.Errorf("the history is given %+v, %v", settled.Difference, err)
	}
	h.refuse(planned.Story, errors.New("this was a test"), false)
}

// TestDamagedRecordThatCannotBeSetAside: a read-only disk does not keep the agent
// from showing the network, and once it can be written, nothing of it is lost.
func TestDamagedRecordThatCannotBeSetAside(t *testing.T) {
	dir := t.TempDir()
	remount := tmpfs(t, dir)
	s := newStore(dir)
	if err := os.WriteFile(s.path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	remount(readOnly)
	h := newHost(t, dir)
	wantFailing(t, h, v1alpha1.ReasonRecordDamaged)
	if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err == nil || !strings.Contains(err.Error(), v1alpha1.ReasonRecordNotWritable) {
		t.Errorf("the apply ended with %v", err)
	}
	remount(writable)
	if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err != nil {
		t.Fatal(err)
	}
	if aside := setAside(t, s.path); len(aside) != 1 {
		t.Errorf("set aside: %v", aside)
	}
}

// TestARollbackIsShownWithTheNetworkThatIsPutBack, not with what was read before.
func TestARollbackIsShownWithTheNetworkThatIsPutBack(t *testing.T) {
	h, shut := gatedHost(t)
	open := shut()
	ended := make(chan error, 1)
	change := desire(t, h, halfWay)
	go func() {
		_, err := h.Apply(t.Context(), change)
		ended <- err
	}()
	for over, deadline := false, time.Now().Add(time.Minute); !over; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the change was not rolled back")
		}
		h.mu.Lock()
		last := h.view.record.LastApply
		over = last != nil && last.Outcome == v1alpha1.ApplyRolledBack
		h.mu.Unlock()
	}
	if shown := h.feed.Last().Status.LastApply; shown.Outcome != v1alpha1.ApplyInProgress {
		t.Errorf("before the network was read again, %s is shown", shown.Outcome)
	}
	open()
	if err := <-ended; agent.KindOf(err) != agent.Failed {
		t.Fatalf("the apply ended with %v", err)
	}
	if shown := h.feed.Last().Status.LastApply; shown.Outcome != v1alpha1.ApplyRolledBack {
		t.Errorf("afterwards, %s is shown", shown.Outcome)
	}
}

// TestAChangeThatCannotBeShownLeavesTheNodeFree: the claim on the node ends with it.
func TestAChangeThatCannotBeShownLeavesTheNodeFree(t *testing.T) {
	// It does not run: what it reads by itself could not be shown either.
	h, err := New(Config{StateDir: t.TempDir(), Backend: BackendKernel, Confirmer: yes{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clean(t); h.runner.Close() })
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	planned, err := h.begin(desire(t, h, veth(0)), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	good := h.view.record
	h.view.record.Desired = v1alpha1.NewState([]byte("7")) // no object can be made of it
	h.mu.Unlock()
	begun, err := h.runner.Run(t.Context(), *planned)
	if err == nil || begun {
		t.Fatal("what cannot be shown was started")
	}
	h.mu.Lock()
	h.view.record = good
	h.mu.Unlock()
	h.refuse(planned.Story, err, false)
	if last := h.view.record.LastApply; last.Outcome != v1alpha1.ApplyRejected || last.Message == "" {
		t.Errorf("lastApply is %+v", last)
	}
	obj, err := h.Apply(t.Context(), desire(t, h, veth(0)))
	if err != nil {
		t.Fatal(err)
	}
	if obj.Status.LastApply.Outcome != v1alpha1.ApplyCommitted {
		t.Errorf("the next change ended as %+v", obj.Status.LastApply)
	}
}

// TestChangesWhileTheAgentEnds are either waited for or refused, and touch nothing then.
func TestChangesWhileTheAgentEnds(t *testing.T) {
	h, err := New(Config{StateDir: t.TempDir(), Backend: BackendKernel, Confirmer: yes{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A change of nothing is over at once, so that very many of them meet the end.
	nothing := desire(t, h, "")
	nothing.Object.Spec.DesiredState = nil
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			var err error
			for err == nil {
				_, err = h.Apply(t.Context(), nothing)
			}
			if agent.KindOf(err) != agent.Unreachable {
				t.Errorf("the change was refused with %v", err)
			}
		})
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	writers.Wait()
	if _, err := h.Apply(t.Context(), nothing); agent.KindOf(err) != agent.Unreachable {
		t.Errorf("after its end the agent answers %v", err)
	}
}

// TestAnUnreadableNetworkKeepsNoSpec: to take it away, the network is not needed.
func TestAnUnreadableNetworkKeepsNoSpec(t *testing.T) {
	for _, nothing := range []string{"null", " { } "} {
		h := newHost(t, t.TempDir())
		if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err != nil {
			t.Fatal(err)
		}
		change := desire(t, h, nothing)
		if nothing == "null" {
			change.Object.Spec.DesiredState = nil
		}
		h.mu.Lock()
		h.view.state, h.view.readError = nil, "the network cannot be read"
		h.mu.Unlock()
		if err := h.runner.Finish(); err != nil {
			t.Fatal(err)
		}
		if planned, err := h.begin(change, false, nil); err != nil || planned != nil {
			t.Errorf("%s: %v, %v", nothing, planned, err)
		}
		if r, _ := newStore(h.config.StateDir).load(); !r.desiresNothing() || r.Generation != 3 || r.LastApply.Outcome != v1alpha1.ApplyCommitted {
			t.Errorf("%s: the record is %+v", nothing, r)
		}
		clean(t)
	}
}

// TestASpecThatCannotBeTakenAway is as before, with the story of the attempt: whether the disk fails in a moment of rest or
// while the last entry of the change before is to be written.
func TestASpecThatCannotBeTakenAway(t *testing.T) {
	for name, fails := range map[string]transaction.Moment{"inAMomentOfRest": "", "whileTheLastChangeIsWritten": transaction.AfterCommitted} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			remount := tmpfs(t, dir)
			h := newHostWith(t, dir, yes{}, func(config *transaction.Config) {
				config.At = func(is transaction.Moment) {
					if is == fails {
						remount(readOnly)
					}
				}
			})
			if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err != nil {
				t.Fatal(err)
			}
			if err := h.runner.Finish(); (err != nil) != (fails != "") {
				t.Fatalf("the first change is written down with %v", err)
			}
			gone := desire(t, h, "{}")
			remount(readOnly)
			_, err := h.Apply(t.Context(), gone)
			remount(writable)
			if err == nil || !strings.Contains(err.Error(), v1alpha1.ReasonRecordNotWritable) || !strings.Contains(err.Error(), "read-only file system") {
				t.Errorf("the change ended with %v", err)
			}
			obj := h.feed.Last()
			if last := obj.Status.LastApply; last.Outcome != v1alpha1.ApplyRejected || last.Generation != 3 || obj.Generation != 2 || obj.Spec.DesiredState == nil {
				t.Errorf("generation %d, spec %v, lastApply %+v", obj.Generation, obj.Spec.DesiredState, last)
			}
			wantFailing(t, h, v1alpha1.ReasonRecordNotWritable)
			clean(t)
		})
	}
}
