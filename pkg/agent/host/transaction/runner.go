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
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Runner carries out the changes of a node, one at a time.
type Runner struct {
	config Config
	// one is held while a change is carried out or recovered: the owner is told of its end a moment before its last entry
	// is written.
	one      sync.Mutex
	lock     lock
	journal  *journal
	backends map[v1alpha1.Backend]backend
	history  *history
	// unsettled is the journal of a change that must be undone again as soon as its backend answers, nil if there is none.
	unsettled *journal

	// stopping ends when the agent is told to end.
	stopping context.Context
	stop     context.CancelFunc

	mu sync.Mutex
	// awaiting is the change that waits for a user, nil if there is none.
	awaiting *transaction
	// owed is how the last change has ended, if that could not be written down.
	owed *ending
	// untouched is why the change in the journal, which was given up before it has touched anything, could not be removed from
	// it; nil if there is none.
	untouched error
}

// Open returns the Runner of a node. If an earlier agent has left something to be done, or has not
// ended yet, Recover must be called before Run; pending tells that.
func Open(config Config) (r *Runner, pending bool, err error) {
	r = &Runner{
		config:   config,
		lock:     lock{path: filepath.Join(config.Dir, lockName)},
		backends: backends(config.Limits, config.Dir, config.Holds),
		history:  openHistory(config.Dir),
	}
	r.stopping, r.stop = context.WithCancel(context.Background())
	taken, err := r.lock.take()
	if err != nil {
		return nil, false, err
	}
	if !taken {
		return r, true, nil
	}
	r.loadUnsettled()
	r.journal, err = readJournal(config.Dir)
	return r, err != nil || r.journal.at.State != None, nil
}

// Stop makes the change that is under way end soon. No change begins afterwards.
func (r *Runner) Stop() { r.stop() }

// Close gives the lock up. No change may be under way.
func (r *Runner) Close() {
	r.stop()
	r.lock.release()
}

func (r *Runner) isStopping() bool { return r.stopping.Err() != nil }

// untilStopped returns a context that ends with ctx, and when the agent is told to end.
func (r *Runner) untilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	done := context.AfterFunc(r.stopping, cancel)
	return ctx, func() {
		done()
		cancel()
	}
}

// at tells the tests which moment it is.
func (r *Runner) at(moment Moment) {
	if r.config.At != nil {
		r.config.At(moment)
	}
}

// Decide commits the change that waits for a user, or rolls it back, and returns when it has ended.
func (r *Runner) Decide(ctx context.Context, decision agent.Decision) error {
	r.mu.Lock()
	t := r.awaiting
	if t == nil || t.change.Story.ID != decision.Transaction {
		defer r.mu.Unlock()
		if t == nil {
			return agent.NothingAwaits("")
		}
		return agent.NothingAwaits(t.change.Story.ID)
	}
	r.awaiting = nil // it is decided once
	r.mu.Unlock()
	t.decisions <- decision
	select {
	case <-t.ended:
	case <-ctx.Done():
		return &agent.Error{Kind: agent.InProgress, Message: "the change is being ended, status.lastApply will tell how"}
	}
	if !decision.Commit && t.story.Reason == v1alpha1.ReasonRefusedByUser && t.clean {
		return nil
	}
	return t.err
}

// ending is how a change has ended.
type ending struct {
	committed bool
	story     v1alpha1.LastApply
	undone
	// then, if it is not nil, is called when this is written down.
	then func()
	// told tells that the owner knows of it, though perhaps it could not write it; freed, that the owner was told that the change has ended.
	told, freed bool
	// err is why it could not be written down.
	err error
}

// undo undoes a change within the limit.
func (r *Runner) undo(ctx context.Context, undo func(context.Context) undone) undone {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.config.Limits.Undo)
	defer cancel()
	defer r.restored(ctx)
	return undo(ctx)
}

// restored tells whoever may have been cut off by the change.
func (r *Runner) restored(ctx context.Context) {
	if r.config.Restored != nil {
		go r.config.Restored(context.WithoutCancel(ctx))
	}
}

// conclude writes down how the change in the journal has ended, and tells the owner. What cannot be
// written now is written before the next change begins, or by the next agent.
func (r *Runner) conclude(ctx context.Context, end ending) {
	if err := r.write(&end); err != nil {
		klog.FromContext(ctx).Error(err, "Writing down how a change has ended", "change", end.story.ID, "outcome", end.story.Outcome)
	}
}

// Owes returns an error if something of an earlier change is not written down yet, which says why. Until Finish has done that, no
// newer record may be written: after a crash, the next agent would write the older one over it.
func (r *Runner) Owes() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.owed != nil:
		return fmt.Errorf("how an earlier change has ended is not written down yet, and must be first: %w", cmp.Or(r.owed.err, errBeingWritten))
	case r.untouched != nil:
		return fmt.Errorf("an earlier change is not removed from the journal yet, and must be first: %w", r.untouched)
	}
	return nil
}

var errBeingWritten = errors.New("that is being done")

// Finish writes down what could not be written before. It must not be called by the owner.
func (r *Runner) Finish() error {
	r.one.Lock()
	defer r.one.Unlock()
	return r.finish()
}

// finish is Finish. The caller holds the lock of changes.
func (r *Runner) finish() error {
	if r.journal == nil {
		return &agent.Error{Kind: agent.Busy, Message: "another agent of this node is at work, or has left a change that is not ended yet: nothing was changed; try again"}
	}
	r.mu.Lock()
	owed, untouched := r.owed, r.untouched
	r.mu.Unlock()
	if untouched != nil {
		err := r.journal.clear()
		r.setUntouched(err)
		if err != nil {
			return notWritable(err)
		}
	}
	if owed == nil {
		return nil
	}
	if err := r.write(owed); err != nil {
		return notWritable(err)
	}
	return nil
}

func (r *Runner) setUntouched(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.untouched = why
}

// write writes down how a change has ended, and frees the owner. What could not be written is owed from then on.
func (r *Runner) write(end *ending) error {
	err := r.put(end)
	if err != nil {
		end.then = nil
		r.owe(end, err)
	} else {
		r.owe(nil, nil)
	}
	r.free(end)
	return err
}

// owe remembers what must be written down, and why it is not yet.
func (r *Runner) owe(end *ending, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.owed = end; end != nil {
		end.err = why
	}
}

// free tells the owner once that the change has ended.
func (r *Runner) free(end *ending) {
	if !end.freed {
		end.freed = true
		r.config.Owner.Ended(end.story.ID)
	}
}

// put writes record, journal and history.
func (r *Runner) put(end *ending) error {
	last, told := entry{State: RolledBack, Story: &end.story, Leftover: clip(end.leftover), Unsettled: end.unsettled}, error(nil)
	if end.committed {
		last = entry{State: Committed, Story: &end.story}
		told = r.tell(end, func() error { return r.config.Owner.Adopt(r.journal.at.Plan.Record, end.story) })
		r.at(AfterAdopted)
	} else {
		r.config.Owner.Unstage()
		r.at(BeforeRolledBack)
	}
	var err error
	if told == nil && r.journal.at.State != last.State {
		err = r.journal.append(last)
	}
	if end.committed {
		r.at(AfterCommitted)
	} else {
		r.at(AfterRolledBack)
		told = r.tell(end, func() error { return r.config.Owner.Tell(end.story, cmp.Or(end.leftover, r.Unsettled())) })
		r.at(AfterTold)
	}
	if told != nil {
		return told
	}
	if err != nil {
		return err
	}
	change := v1alpha1.HistoryEntry{LastApply: end.story, Difference: r.journal.at.Plan.Difference}
	if end.committed { // else there is nothing that a user could undo
		change.Revert, change.PreviousSpec = r.journal.at.Plan.Reverse, r.journal.at.Plan.PreviousSpec
	}
	r.history.add(change)
	// What is left to do is owed until it is done: nobody needs to wait for it but a newer record.
	r.owe(end, nil)
	r.free(end)
	if end.then != nil {
		end.then()
	}
	r.history.save()
	switch {
	case end.unsettled:
		return r.postpone()
	case end.committed:
		if err := r.forgetUnsettled(); err != nil {
			return err
		}
	}
	return r.journal.clear()
}

// tell tells the owner once. Afterwards the owner has it, and only writes what it has.
func (r *Runner) tell(end *ending, how func() error) error {
	if end.told {
		return r.config.Owner.Save()
	}
	end.told = true
	return how()
}
