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
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/probe"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

const (
	oldState = "old"
	newState = "new"
	// desired is valid on any network, and nothing applies it in these tests.
	desired = `{"interfaces":[{"name":"lo","type":"loopback","state":"up"}]}`
)

// bench is a folder with a journal, a record and, in place of a network, a file: a copy of the folder is what
// a crash leaves.
type bench struct {
	t   *testing.T
	dir string
	// faults are the steps of backend and owner that fail.
	mu       sync.Mutex
	faults   map[string]error
	answer   func(agent.Question) (agent.Testimony, error)
	gateway  func() (there, answers bool)
	probe    func(v1alpha1.Probe) bool
	moments  func(Moment)
	kernelID string
	awaits   chan string
	calls    []string
	// restored gets what the network was when the runner told that it was put back.
	restored chan string
	// memory is what the owner has, written or not.
	memory struct {
		record, leftover string
		story            v1alpha1.LastApply
	}
	stages []v1alpha1.ApplyStage
}

// errSilent, as the fault of an undo, means that the backend does not answer.
var errSilent = errors.New("the backend does not answer")

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), faults: map[string]error{}, kernelID: "this boot", awaits: make(chan string, 1), restored: make(chan string, 16)}
	b.answer = func(agent.Question) (agent.Testimony, error) { return agent.Testimony{Server: "elsewhere"}, nil }
	b.gateway = func() (bool, bool) { return false, false }
	b.write("network", oldState)
	b.write("record", oldState)
	return b
}

// crashed returns a bench with a copy of the folder: what a power cut leaves at this moment.
func (b *bench) crashed() *bench {
	left := newBench(b.t)
	if err := os.CopyFS(left.dir+"/copy", os.DirFS(b.dir)); err != nil {
		b.t.Fatal(err)
	}
	left.dir += "/copy"
	return left
}

func (b *bench) write(name, text string) {
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) read(name string) string {
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	return string(text)
}

// fails notes a call, and returns the error that the test wants of it.
func (b *bench) fails(step string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, step)
	return b.faults[step]
}

// set makes a step fail, or work again.
func (b *bench) set(step string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults[step] = err
}

func (b *bench) limits() Limits {
	limits := DefaultLimits()
	limits.Rehearsal, limits.Lock = 300*time.Millisecond, time.Minute
	return limits
}

func (b *bench) open() (r *Runner, pending bool) {
	b.t.Helper()
	r, pending, err := Open(Config{
		Dir: b.dir, Kernel: b.kernelID, Owner: b, Confirmer: b, Limits: b.limits(),
		Restored:   func(context.Context) { b.restored <- b.read("network") },
		HasGateway: func() bool { there, _ := b.gateway(); return there },
		Gateway:    func(context.Context) bool { _, answers := b.gateway(); return answers },
		Probe: func(_ context.Context, probes []v1alpha1.Probe, _ map[string][]string) (attempts []probe.Attempt) {
			for _, one := range probes {
				attempts = append(attempts, probe.Attempt{Name: one.Name, Passed: b.probe != nil && b.probe(one), Took: time.Millisecond, Message: "asked"})
			}
			return attempts
		},
		ToValidate: func(desired, _ []byte) ([]byte, error) { return desired, nil },
		Impossible: func(_, _ []byte) (field.ErrorList, error) { return nil, b.fails("check") },
		At: func(moment Moment) {
			if b.moments != nil {
				b.moments(moment)
			}
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	r.backends = map[v1alpha1.Backend]backend{v1alpha1.BackendKernel: b}
	b.t.Cleanup(r.Close)
	return r, pending
}

// change is a change to newState.
func (b *bench) change(id string) Change {
	return Change{
		Story:   v1alpha1.LastApply{ID: id, Generation: 2, User: "tester", StartTime: now(), Outcome: v1alpha1.ApplyInProgress},
		Backend: v1alpha1.BackendKernel, Desired: json.RawMessage(desired),
		Settle: func([]byte) (Settled, error) {
			return Settled{State: json.RawMessage(desired), Record: json.RawMessage(`"` + newState + `"`)}, nil
		},
		Mode: v1alpha1.ConfirmByReachability, Timeout: 500 * time.Millisecond,
	}
}

// told is how the owner was told that the last change went.
func (b *bench) told() v1alpha1.LastApply {
	b.t.Helper()
	var story v1alpha1.LastApply
	if text := b.read("story"); text != "" {
		if err := json.Unmarshal([]byte(text), &story); err != nil {
			b.t.Fatal(err)
		}
	}
	return story
}

// consistent fails the test unless network, record and story say the same, and nothing is left of the change.
func (b *bench) consistent(when string) (state string) {
	b.t.Helper()
	network, record, story := b.read("network"), b.read("record"), b.told()
	want := v1alpha1.ApplyRolledBack
	if network == newState {
		want = v1alpha1.ApplyCommitted
	}
	if network != record || story.Outcome != want && story.Outcome != "" || network == newState && story.Outcome == "" {
		b.t.Errorf("%s: the network is %q, the record %q, and the story %s %s: %s", when, network, record, story.Outcome, story.Reason, story.Message)
	}
	if b.read("checkpoint") != "" || b.read("staged") != "" {
		b.t.Errorf("%s: checkpoint %q and staged record %q are left", when, b.read("checkpoint"), b.read("staged"))
	}
	if j, err := readJournal(b.dir); err != nil || j.at.State != None {
		b.t.Errorf("%s: the journal has %s, %v", when, j.at.State, err)
	}
	return network
}

// The bench is a backend.

func (b *bench) flags() nmstate.Flags { return nmstate.KernelOnly }

func (b *bench) refusals(_, _ []byte) (field.ErrorList, error) { return nil, nil }

func (b *bench) answers(context.Context) error { return b.fails("answers") }

// await does not answer if it is to fail.
func (b *bench) await(ctx context.Context) {
	if b.fails("await") != nil {
		<-ctx.Done()
	}
}

func (b *bench) prepare(ctx context.Context, desired, current []byte) (*undo.Before, error) {
	if err := b.fails("prepare"); err != nil {
		return nil, err
	}
	return undo.Note(ctx, undo.Request{Desired: desired, Current: current})
}

func (b *bench) apply(_ context.Context, w *worker, _ *plan, _ []byte) (string, error) {
	b.write("checkpoint", "open")
	b.write("network", "half")
	if err := b.fails("stuck"); err != nil {
		for !w.late.Load() {
			time.Sleep(time.Millisecond)
		}
		_, err := w.do(workerRequest{Op: opRetrieve})
		return "", err
	}
	if err := b.fails("apply"); err != nil {
		return "", err
	}
	b.write("network", newState)
	return "checkpoint", nil
}

func (b *bench) extend(context.Context, string) error { return b.fails("extend") }

func (b *bench) commit(context.Context, string) error {
	if err := b.fails("commit"); err != nil {
		return err
	}
	b.write("checkpoint", "")
	return nil
}

func (b *bench) undo(_ context.Context, p *plan, _ string) undone {
	if p.Before == nil {
		b.t.Error("the change is undone without what was before it")
	}
	if err := b.fails("undo"); err != nil {
		return undone{leftover: err.Error(), unsettled: errors.Is(err, errSilent)}
	}
	b.write("checkpoint", "")
	b.write("network", oldState)
	return undone{}
}

func (b *bench) rebooted(_ context.Context, p *plan) undone {
	return b.undo(context.Background(), p, "")
}

func (b *bench) resume(context.Context, *plan, string) (bool, error) {
	if err := b.fails("resume"); err != nil {
		return false, err
	}
	if b.read("checkpoint") != "" {
		b.write("checkpoint", "")
		return true, nil
	}
	return b.read("network") == newState, nil
}

// The bench is an owner.

func (b *bench) Reload() { b.calls = append(b.calls, "reload") }

func (b *bench) Entered(stage v1alpha1.ApplyStage) { b.stages = append(b.stages, stage) }

func (b *bench) Started(v1alpha1.LastApply) error { return b.fails("started") }

func (b *bench) Applied() { _ = b.fails("applied") }

func (b *bench) Awaiting(_ json.RawMessage, story v1alpha1.LastApply) { b.awaits <- story.ID }

func (b *bench) Stage(record json.RawMessage, _ v1alpha1.LastApply) error {
	if err := b.fails("stage"); err != nil {
		return err
	}
	b.write("staged", strings.Trim(string(record), `"`))
	return nil
}

func (b *bench) Adopt(record json.RawMessage, story v1alpha1.LastApply) error {
	b.memory.record, b.memory.story, b.memory.leftover = strings.Trim(string(record), `"`), story, ""
	if err := b.fails("adopt"); err != nil {
		return err
	}
	return b.Save()
}

// Ended takes note: the test must not find the owner free before.
func (b *bench) Ended(id string) { _ = b.fails("ended " + id) }

// Save writes what Adopt and Tell have noted.
func (b *bench) Save() error {
	if err := cmp.Or(b.fails("adopt"), b.fails("tell")); err != nil {
		return err
	}
	b.write("record", b.memory.record)
	b.write("staged", "")
	b.tell(b.memory.story)
	return nil
}

func (b *bench) Settled(leftover string) { b.memory.leftover = leftover }

func (b *bench) Unstage() { b.write("staged", "") }

func (b *bench) Tell(story v1alpha1.LastApply, leftover string) error {
	b.memory.record, b.memory.story, b.memory.leftover = b.read("record"), story, leftover
	if err := b.fails("tell"); err != nil {
		return err
	}
	b.tell(story)
	return nil
}

func (b *bench) tell(story v1alpha1.LastApply) {
	text, err := json.Marshal(story)
	if err != nil {
		b.t.Fatal(err)
	}
	b.write("story", string(text))
}

// Confirm implements agent.Confirmer.
func (b *bench) Confirm(_ context.Context, question agent.Question) (agent.Testimony, error) {
	return b.answer(question)
}
