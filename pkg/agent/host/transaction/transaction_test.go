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

package transaction

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestACrashAtEachMoment: the next agent ends the change so that network, record and story say the same.
func TestACrashAtEachMoment(t *testing.T) {
	for name, apply := range map[string]error{"committed": nil, "rolledBack": errors.New("no")} {
		for _, reboot := range []bool{false, true} {
			b := newBench(t)
			left := map[Moment]*bench{}
			var order []Moment
			b.moments = func(moment Moment) {
				left[moment] = b.crashed()
				order = append(order, moment)
			}
			b.set("apply", apply)
			r, _ := b.open()
			if _, err := r.Run(t.Context(), b.change("c1")); (err == nil) != (apply == nil) {
				t.Fatal(err)
			}
			if len(order) < 6 {
				t.Errorf("%s: only these moments were there: %v", name, order)
			}
			committed := false
			for _, moment := range order {
				crash := left[moment]
				when := name + ", a crash " + string(moment)
				if reboot {
					when, crash.kernelID = when+", and a reboot", "another boot"
					crash.write("checkpoint", "") // no checkpoint outlives one
				}
				next, pending := crash.open()
				if pending {
					if err := next.Recover(t.Context()); err != nil {
						t.Fatal(when, err)
					}
				}
				state := crash.consistent(when)
				if committed = committed || moment == AfterConfirmed; (state == newState) != committed {
					t.Errorf("%s: the state is %s", when, state)
				}
				if last := crash.told(); state == oldState && last.ID != "" && apply == nil {
					want := v1alpha1.ReasonAgentRestarted
					if reboot {
						want = v1alpha1.ReasonRebooted
					}
					if last.Reason != want {
						t.Errorf("%s: the reason is %s, not %s", when, last.Reason, want)
					}
				}
				if entries := next.History(); crash.told().ID != "" && (len(entries) != 1 || entries[0].ID != "c1") {
					t.Errorf("%s: the history is %+v", when, entries)
				}
				next.Close()
			}
		}
	}
}

// TestAnErrorAtEachStep: the change is committed or rolled back, and the next one works.
func TestAnErrorAtEachStep(t *testing.T) {
	for step, want := range map[string]struct {
		begun  bool
		state  string
		reason string
	}{
		"check":   {false, oldState, ""},
		"prepare": {false, oldState, ""},
		"started": {false, oldState, ""},
		"apply":   {true, oldState, ""},
		"extend":  {true, oldState, v1alpha1.ReasonCheckpointLost},
		"stage":   {true, oldState, v1alpha1.ReasonRecordNotWritable},
		"commit":  {true, newState, ""}, // resume commits it
	} {
		b := newBench(t)
		b.set(step, errors.New("this was to fail"))
		if step == "extend" { // the confirmation waits long enough
			b.answer = func(q agent.Question) (agent.Testimony, error) {
				if q.Rehearsal {
					return agent.Testimony{}, nil
				}
				return agent.Testimony{}, errors.New("not yet")
			}
		}
		r, _ := b.open()
		begun, err := r.Run(t.Context(), b.change("c1"))
		if begun != want.begun || (err == nil) != (want.state == newState) {
			t.Errorf("%s: begun %v, %v", step, begun, err)
		}
		if err != nil && !strings.HasSuffix(err.Error(), "(change c1)") {
			t.Errorf("%s: the error does not name the change: %v", step, err)
		}
		if state := b.consistent(step); state != want.state || b.told().Reason != want.reason {
			t.Errorf("%s: the state is %s, the reason %q", step, state, b.told().Reason)
		}
		b.set(step, nil)
		if _, err := r.Run(t.Context(), b.change("c2")); err == nil {
			b.consistent("after " + step)
		} else if step != "extend" { // nobody confirms there
			t.Errorf("after %s the next change ended with %v", step, err)
		}
		r.Close()
	}
}

// TestACommitThatIsLost: the network was rolled back between the decision and the commit.
func TestACommitThatIsLost(t *testing.T) {
	b := newBench(t)
	b.set("commit", errors.New("there is no such checkpoint"))
	b.moments = func(moment Moment) {
		if moment == AfterConfirmed {
			b.write("network", oldState)
			b.write("checkpoint", "")
		}
	}
	r, _ := b.open()
	if _, err := r.Run(t.Context(), b.change("c1")); err == nil {
		t.Error("a change that the network does not have was committed")
	}
	if state := b.consistent("the end"); state != oldState || b.told().Reason != v1alpha1.ReasonCommitLost {
		t.Errorf("the state is %s, the story %+v", state, b.told())
	}
}

// interrupted is a backend whose agent is told to end while it finds out whether a change was committed.
type interrupted struct {
	*bench
	end context.CancelFunc
}

func (i interrupted) resume(ctx context.Context, _ *plan, _ string) (bool, error) {
	i.end()
	return false, ctx.Err()
}

// TestAnAgentThatEndsWhileItResumes leaves a confirmed change to the next one.
func TestAnAgentThatEndsWhileItResumes(t *testing.T) {
	b := newBench(t)
	var left *bench
	b.moments = func(moment Moment) {
		if moment == AfterConfirmed {
			left = b.crashed()
		}
	}
	first, _ := b.open()
	if _, err := first.Run(t.Context(), b.change("c1")); err != nil {
		t.Fatal(err)
	}
	second, _ := left.open()
	ctx, end := context.WithCancel(t.Context())
	second.backends = map[v1alpha1.Backend]backend{v1alpha1.BackendKernel: interrupted{left, end}}
	if err := second.Recover(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the second agent ended with %v", err)
	}
	second.Close()
	third, pending := left.open()
	if !pending {
		t.Fatal("nothing is left to be done")
	}
	if err := third.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state := left.consistent("the end"); state != newState {
		t.Errorf("the confirmed change was undone: %+v", left.told())
	}
}

// TestWhatCannotBeWrittenDown is written before the next change, or by the next agent.
func TestWhatCannotBeWrittenDown(t *testing.T) {
	for step, state := range map[string]string{"adopt": newState, "tell": oldState} {
		b := newBench(t)
		if step == "tell" {
			b.set("apply", errors.New("no"))
		}
		b.set(step, errors.New("the disk is full"))
		r, _ := b.open()
		_, _ = r.Run(t.Context(), b.change("c1"))
		if b.read("network") != state {
			t.Errorf("%s: the network is %s", step, b.read("network"))
		}
		b.set("apply", nil)
		if begun, err := r.Run(t.Context(), b.change("c2")); begun || agent.KindOf(err) != agent.Failed || !strings.Contains(err.Error(), v1alpha1.ReasonRecordNotWritable) {
			t.Errorf("%s: while the disk is full: %v, %v", step, begun, err)
		}
		next := b.crashed()
		after, pending := next.open()
		if !pending {
			t.Fatalf("%s: nothing is left to be told", step)
		}
		if err := after.Recover(t.Context()); err != nil {
			t.Error(err)
		}
		if next.consistent(step+", the next agent") != state {
			t.Errorf("%s: the next agent has %s", step, next.read("network"))
		}
		b.set(step, nil)
		if _, err := r.Run(t.Context(), b.change("c3")); err != nil {
			t.Errorf("%s: afterwards: %v", step, err)
		}
		b.consistent(step + ", afterwards")
		if h := r.History(); len(h) != 2 || h[0].ID != "c3" || h[1].ID != "c1" {
			t.Errorf("%s: the history is %+v", step, h)
		}
	}
}

// TestAJournalThatCannotBeWritten at each moment: nothing is touched, or it is undone.
func TestAJournalThatCannotBeWritten(t *testing.T) {
	for _, moment := range []Moment{BeforePrepared, BeforeApplied, BeforeConfirmed, BeforeRolledBack} {
		b := newBench(t)
		path := filepath.Join(b.dir, journalName)
		spoil, mend := func() error { return os.Rename(path, path+".away") }, func() error { return os.Rename(path+".away", path) }
		if moment == BeforePrepared {
			spoil, mend = func() error { return nil }, func() error { return nil }
		}
		b.moments = func(is Moment) {
			if is != moment {
				return
			}
			if err := errors.Join(spoil(), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}
		if moment == BeforeRolledBack {
			b.set("apply", errors.New("no"))
		}
		r, _ := b.open()
		begun, err := r.Run(t.Context(), b.change("c1"))
		if err == nil || begun == (moment == BeforePrepared) || b.read("network") != oldState || b.read("record") != oldState {
			t.Errorf("%s: begun %v, %v; the network is %s, the record %s", moment, begun, err, b.read("network"), b.read("record"))
		}
		if err := errors.Join(os.Remove(path), mend()); err != nil {
			t.Fatal(err)
		}
		b.moments = nil
		b.set("apply", nil)
		if _, err := r.Run(t.Context(), b.change("c2")); err != nil {
			t.Errorf("%s: the next change ended with %v", moment, err)
		}
		b.consistent(string(moment))
	}
}

// TestAChangeThatIsGivenUpBeforeItBegins, with a disk that fails at the same time, leaves the node free.
func TestAChangeThatIsGivenUpBeforeItBegins(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(b.dir, journalName)
	b.set("started", errors.New("it cannot be shown"))
	b.moments = func(is Moment) {
		if is == AfterPrepared {
			if err := errors.Join(os.Rename(path, path+".away"), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, _ := b.open()
	if begun, err := r.Run(t.Context(), b.change("c1")); begun || err == nil {
		t.Errorf("begun: %v, %v", begun, err)
	}
	b.moments = nil
	b.set("started", nil)
	if begun, err := r.Run(t.Context(), b.change("c2")); begun || !strings.Contains(err.Error(), v1alpha1.ReasonRecordNotWritable) {
		t.Errorf("while the disk fails: %v, %v", begun, err)
	}
	if err := errors.Join(os.Remove(path), os.Rename(path+".away", path)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context(), b.change("c3")); err != nil {
		t.Error(err)
	}
	b.consistent("the end")
}

// TestAChangeThatCannotBeUndone says what is left.
func TestAChangeThatCannotBeUndone(t *testing.T) {
	b := newBench(t)
	b.set("apply", errors.New("no"))
	b.set("undo", errors.New("route 7"))
	r, _ := b.open()
	_, err := r.Run(t.Context(), b.change("c1"))
	if err == nil || !strings.Contains(err.Error(), "route 7") || !strings.Contains(b.told().Message, "route 7") {
		t.Errorf("%v, %+v", err, b.told())
	}
}

// TestTwoAgents: the second one waits until the first has ended.
func TestTwoAgents(t *testing.T) {
	b := newBench(t)
	first, pending := b.open()
	if pending {
		t.Fatal("a new folder has something to recover")
	}
	second, pending := b.open()
	if !pending {
		t.Fatal("two agents have the lock")
	}
	recovered := make(chan error, 1)
	go func() { recovered <- second.Recover(t.Context()) }()
	if _, err := first.Run(t.Context(), b.change("c1")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-recovered:
		t.Fatal("the second agent did not wait", err)
	default:
	}
	first.Close()
	if err := <-recovered; err != nil {
		t.Fatal(err)
	}
	if _, err := second.Run(t.Context(), b.change("c2")); err != nil {
		t.Error(err)
	}
}

// TestCommittedIsToldWhenItIsWrittenDown: whoever waits for the outcome need not wait until the journal is emptied, and is told nothing
// that a crash could undo.
func TestCommittedIsToldWhenItIsWrittenDown(t *testing.T) {
	b := newBench(t)
	r, _ := b.open()
	told := 0
	change := func(id string) Change {
		c := b.change(id)
		c.Committed = func() {
			told++
			if j, err := readJournal(b.dir); err != nil || j.at.State != Committed {
				t.Errorf("the journal has %s, %v", j.at.State, err)
			}
			if got := r.History(); len(got) == 0 || got[0].ID != id {
				t.Errorf("the history is %v", got)
			}
			next, _ := b.crashed().open()
			if err := next.Recover(t.Context()); err != nil || len(next.History()) == 0 || next.History()[0].ID != id {
				t.Errorf("after a crash: %v, the history is %v", err, next.History())
			}
		}
		return c
	}
	if _, err := r.Run(t.Context(), change("c1")); err != nil || told != 1 {
		t.Errorf("told %d times, %v", told, err)
	}
	if state := b.consistent("after the change"); state != newState {
		t.Errorf("the network is %q", state)
	}
	b.set("apply", errors.New("it fails"))
	if _, err := r.Run(t.Context(), change("c2")); err == nil || told != 1 {
		t.Errorf("a change that failed: told %d times, %v", told, err)
	}
}

// TestWhatIsOwedReplacesNoNewerRecord: the owner has another record since.
func TestWhatIsOwedReplacesNoNewerRecord(t *testing.T) {
	for step, state := range map[string]string{"adopt": newState, "tell": oldState} {
		b := newBench(t)
		if step == "tell" {
			b.set("apply", errors.New("no"))
		}
		b.set(step, errors.New("the disk is full"))
		r, _ := b.open()
		_, _ = r.Run(t.Context(), b.change("c1"))
		if r.Owes() == nil || !slices.Contains(b.calls, "ended c1") {
			t.Errorf("%s: owed is %v, and the calls were %q", step, r.Owes(), b.calls)
		}
		if err := r.Finish(); err == nil || r.Owes() == nil {
			t.Errorf("%s: while the disk is full: %v", step, err)
		}
		b.set(step, nil)
		b.memory.record = "newer"
		if err := r.Finish(); err != nil || r.Owes() != nil {
			t.Errorf("%s: %v", step, err)
		}
		if b.read("record") != "newer" || b.read("network") != state || b.told().ID != "c1" {
			t.Errorf("%s: the record is %s, the network %s, the story %+v", step, b.read("record"), b.read("network"), b.told())
		}
	}
}

// TestABackendThatDoesNotAnswer owes an undo: this agent has it done as soon as the backend answers, or else the next one.
func TestABackendThatDoesNotAnswer(t *testing.T) {
	left := map[Moment]*bench{}
	b := newBench(t)
	b.moments = func(moment Moment) { left[moment] = b.crashed() }
	b.set("apply", errors.New("no"))
	b.set("undo", errSilent)
	b.set("answers", errSilent)
	first, _ := b.open()
	if begun, err := first.Run(t.Context(), b.change("c1")); !begun || !strings.Contains(err.Error(), errSilent.Error()) {
		t.Errorf("it ended with %t, %v", begun, err)
	}
	b.moments = nil
	b.set("apply", nil)
	if begun, err := first.Run(t.Context(), b.change("c2")); begun || !strings.Contains(err.Error(), "c1") {
		t.Errorf("while c1 is not undone, another change ends with %t, %v", begun, err)
	}
	left["the end"] = b.crashed()
	for moment, crash := range left {
		if moment == AfterPrepared || moment == BeforePrepared {
			continue // the change has not begun
		}
		crash.set("undo", errSilent)
		crash.set("answers", errSilent)
		next, pending := crash.open()
		if pending {
			if err := next.Recover(t.Context()); err != nil {
				t.Fatal(moment, err)
			}
		}
		if next.Unsettled() == "" || next.Settle(t.Context()) == nil || crash.read("network") == oldState {
			t.Errorf("%s: the next agent has %q, the network is %s", moment, next.Unsettled(), crash.read("network"))
		}
		crash.set("undo", nil)
		crash.set("answers", nil)
		if err := next.Settle(t.Context()); err != nil || next.Unsettled() != "" {
			t.Errorf("%s: settling ended with %v", moment, err)
		}
		if state := crash.consistent(string(moment)); state != oldState {
			t.Errorf("%s: the network is %s", moment, state)
		}
		next.Close()
		if after, pending := crash.open(); pending || after.Unsettled() != "" {
			t.Errorf("%s: something is left: %t, %q", moment, pending, after.Unsettled())
		}
		crash.write("network", "kept")
	}
	b.set("undo", nil)
	b.set("answers", nil)
	if _, err := first.Run(t.Context(), b.change("c3")); err != nil || b.consistent("afterwards") != newState {
		t.Errorf("the next change ended with %v", err)
	}
}

// TestAnotherBackendOvertakesAnUndo: what the node is committed to since must not be undone.
func TestAnotherBackendOvertakesAnUndo(t *testing.T) {
	b := newBench(t)
	r, _ := b.open()
	r.backends[v1alpha1.BackendNetworkManager] = b
	managed := b.change("c1")
	managed.Backend = v1alpha1.BackendNetworkManager
	b.set("apply", errors.New("no"))
	b.set("undo", errSilent)
	b.set("answers", errSilent)
	if _, err := r.Run(t.Context(), managed); err == nil {
		t.Error("it was to fail")
	}
	b.set("undo", nil)
	if _, err := r.Run(t.Context(), b.change("c2")); err == nil || b.memory.leftover == "" || r.Unsettled() == "" {
		t.Errorf("a change with the kernel failed: %v; shown as left is %q", err, b.memory.leftover)
	}
	b.set("apply", nil)
	if _, err := r.Run(t.Context(), b.change("c3")); err != nil || r.Unsettled() != "" {
		t.Errorf("a change with the kernel ended with %v, and %q is left", err, r.Unsettled())
	}
	b.set("answers", nil)
	if err := r.Settle(t.Context()); err != nil || b.consistent("the end") != newState {
		t.Errorf("settling ended with %v", err)
	}
}
