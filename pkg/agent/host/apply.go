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
	"errors"
	"maps"
	"time"

	"github.com/google/uuid"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Apply implements agent.Agent.
func (h *Host) Apply(ctx context.Context, change agent.Change) (*v1alpha1.NodeNetworkState, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return h.inBackground(ctx, func(ctx context.Context, answer func(error)) {
		answer(h.apply(ctx, change, false, answer))
	})
}

// Decide implements agent.Agent.
func (h *Host) Decide(ctx context.Context, decision agent.Decision) (*v1alpha1.NodeNetworkState, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return h.inBackground(ctx, func(ctx context.Context, answer func(error)) {
		err := h.runner.Decide(ctx, decision)
		if readErr := h.show(ctx); err == nil && readErr != nil {
			err = failed(readErr)
		}
		answer(err)
	})
}

// History implements agent.Agent.
func (h *Host) History(ctx context.Context) (*v1alpha1.NodeNetworkStateHistory, error) {
	return &v1alpha1.NodeNetworkStateHistory{Entries: h.runner.History()}, ctx.Err()
}

// inBackground has work done that goes on when ctx ends, and returns the object as it is
// when work answers. Only the first answer counts.
func (h *Host) inBackground(ctx context.Context, work func(ctx context.Context, answer func(error))) (*v1alpha1.NodeNetworkState, error) {
	type outcome struct {
		obj *v1alpha1.NodeNetworkState
		err error
	}
	ended := make(chan outcome, 2)
	goingOn := context.WithoutCancel(ctx)
	if !h.goOn(func() {
		work(goingOn, func(err error) {
			obj := h.feed.Last()
			if settled := h.feed.Settled(goingOn); err == nil {
				err = settled
			}
			select {
			case ended <- outcome{obj, err}:
			default:
			}
		})
	}) {
		return nil, &agent.Error{Kind: agent.Unreachable, Message: "the agent of this node is ending; nothing was changed: try again"}
	}
	select {
	case o := <-ended:
		if o.err != nil {
			return nil, o.err
		}
		return o.obj, nil
	case <-ctx.Done():
		return nil, &agent.Error{Kind: agent.InProgress, Message: "the change is still being applied, status.lastApply will tell how it ended"}
	}
}

// goOn runs an apply in a goroutine that drain waits for. It refuses once drain
// was called.
func (h *Host) goOn(apply func()) (ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ending {
		return false
	}
	h.applies.Go(apply)
	return true
}

// drain has the change that is under way end soon, and waits until it has. No change begins after
// drain was called.
func (h *Host) drain() {
	h.mu.Lock()
	h.ending = true
	h.mu.Unlock()
	h.runner.Stop()
	h.applies.Wait()
}

// apply carries a change out, from its checks to its commit or its rollback. It calls answer as soon as the
// outcome is shown, or the change is in effect and waits for a user; what it returns is the answer otherwise.
func (h *Host) apply(ctx context.Context, change agent.Change, byItself bool, answer func(error)) error {
	if h.runner.Owes() != nil {
		if err := h.runner.Finish(); err != nil {
			// This change is refused where it would be written down, and its story is told.
			klog.FromContext(ctx).Error(err, "Writing down how an earlier change has ended")
		}
	}
	planned, err := h.begin(change, byItself, func() { answer(nil) })
	if err == nil && planned == nil {
		err = h.round(ctx)
	}
	if planned == nil {
		return err
	}
	planned.Committed = func() {
		err := h.show(ctx)
		if err != nil {
			err = failed(err)
		}
		answer(err)
	}
	begun, err := h.runner.Run(ctx, *planned)
	if !begun {
		h.refuse(planned.Story, err, byItself)
		return err
	}
	if readErr := h.show(ctx); readErr != nil && err == nil {
		err = failed(readErr)
	}
	return err
}

// showLimit is how long a change that has ended waits for the network to be read.
const showLimit = 30 * time.Second

// show publishes how a change has ended, with the network as it is. If that cannot be read because NetworkManager has stopped
// to answer in the midst of a read, the outcome is published without it.
func (h *Host) show(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.showLimit)
	defer cancel()
	err := h.awaitReread(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if errors.Is(err, context.DeadlineExceeded) {
		h.view.state, h.view.readError = nil, "reading the network takes longer than "+h.showLimit.String()
		h.known, err = h.turns, nil
	}
	if err == nil && h.unpublished {
		err = h.publish()
	}
	return err
}

// awaitReread waits until the network has been read after the last turn.
func (h *Host) awaitReread(ctx context.Context) error {
	h.mu.Lock()
	round := h.reread
	h.mu.Unlock()
	if round == nil {
		return h.round(ctx)
	}
	_, err := h.await(ctx, round)
	return err
}

// begin checks that a change may be made, and claims the node for it. A change
// that asks nothing of the network is carried out at once: there is nothing to run then.
func (h *Host) begin(change agent.Change, byItself bool, awaiting func()) (*transaction.Change, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.view.change != nil {
		return nil, h.view.change.busy()
	}
	before := h.view.record
	story := storyOf(change)
	after, err := before.prepare(change)
	if err != nil {
		var refused *agent.Error
		if errors.As(err, &refused) && refused.Kind == agent.Invalid {
			story.Generation = before.Generation + 1
			h.tell(before, story, v1alpha1.ApplyRejected, err)
		}
		return nil, err
	}
	story.Generation = after.Generation
	stateChanges := !v1alpha1.SameState(before.Desired, after.Desired)
	// A user sends the same spec again to mend a drift, or to end Failing.
	again := before.sameMetadata(after) && after.Generation == before.Generation &&
		(h.view.difference != nil || agent.ApplyFailed(before.LastApply))
	switch {
	case !stateChanges && !again && after.Generation == before.Generation:
		return nil, h.keep(after.remembering(story.ID))
	case !stateChanges && !again, after.desiresNothing() && !after.takesAway(before):
		return nil, h.commitAtOnce(after, story)
	}
	if err := h.view.unfit(); err != nil {
		h.tell(before, story, v1alpha1.ApplyRejected, err)
		return nil, err
	}
	after.Kernel = h.kernel
	planned := h.plan(before, after, story, change.Addresses)
	planned.Unrehearsed = byItself && h.unrehearsed
	if byItself && planned.Mode == v1alpha1.ConfirmManually {
		// A user has confirmed this desired state already. To ask again after each boot would take it away where nobody answers.
		planned.Mode = v1alpha1.ConfirmByReachability
	}
	h.view.change = &underWay{story: story, after: after, awaits: awaiting}
	if !byItself { // the agent tries again and again where the API server cannot be reached, and that is not to be told
		h.view.change.enter(v1alpha1.StageChecking)
	}
	if err := h.publish(); err != nil {
		h.view.change = nil
		return nil, err
	}
	return planned, nil
}

// plan returns what the transaction is to do. The caller holds the lock.
func (h *Host) plan(before, after record, story v1alpha1.LastApply, addresses map[string][]string) *transaction.Change {
	backend, there := h.view.backend.name, h.view.state
	return &transaction.Change{
		Story: story, Backend: backend, Desired: after.raw(), Previous: before.raw(), PreviousSpec: before.spec(),
		Mode: after.mode(), Timeout: after.confirmTimeout(), Probes: after.Probes, Addresses: maps.Clone(addresses),
		Settle: func(current []byte) (transaction.Settled, error) {
			s, err := settle(before, after, backend, h.kernel, current)
			if err != nil {
				return s.Settled, err
			}
			h.mu.Lock()
			if change := h.view.change; change != nil {
				change.after, change.asked = s.after, s.asked
			}
			h.mu.Unlock()
			// The history can do without it.
			s.Difference, _ = differenceOf(s.asked, there, backend)
			return s.Settled, nil
		},
	}
}

// commitAtOnce commits a change that asks nothing of the network: the desired state is
// taken away, or there was none before and the change only ends Failing, or only the way changes
// are made is another one. The caller holds the lock.
func (h *Host) commitAtOnce(after record, story v1alpha1.LastApply) error {
	if after.desiresNothing() {
		after.Before = nil
	}
	previous := h.view.record.spec()
	committed := after.told(story, v1alpha1.ApplyCommitted, nil)
	if err := h.save(committed); err != nil {
		err = notWritable(err)
		h.tell(h.view.record, story, v1alpha1.ApplyRejected, err)
		return err
	}
	if after.desiresNothing() {
		h.view.leftover, h.view.damage = "", ""
	}
	h.view.record = committed
	h.runner.Remember(v1alpha1.HistoryEntry{LastApply: *committed.LastApply, PreviousSpec: previous})
	return h.publish()
}

// refuse records that a change was refused before the network was touched, and
// frees the node.
func (h *Host) refuse(story v1alpha1.LastApply, err error, byItself bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.view.change = nil
	var known *agent.Error
	if byItself && errors.As(err, &known) && (known.Reason == v1alpha1.ReasonNotReachable || known.Kind == agent.Unreachable) {
		_ = h.publish() // it is tried again, and there is nothing to tell
		return
	}
	h.tell(h.view.record, story, v1alpha1.ApplyRejected, err)
}

// storyOf returns the story of a change that begins. The server may have chosen its id.
func storyOf(change agent.Change) v1alpha1.LastApply {
	id, err := uuid.Parse(change.ID)
	if err != nil {
		id = uuid.New()
	}
	return v1alpha1.LastApply{ID: id.String(), User: change.User, Manager: change.Manager, StartTime: now(), Outcome: v1alpha1.ApplyInProgress}
}

// keep makes r the record, with no change of the network. The caller holds the lock.
func (h *Host) keep(r record) error {
	if err := h.save(r); err != nil {
		_ = h.publish()
		return notWritable(err)
	}
	h.view.record = r
	return h.publish()
}

// tell records how an apply ended, on top of r. If the record cannot be written, the
// object shows it all the same. The caller holds the lock.
func (h *Host) tell(r record, story v1alpha1.LastApply, outcome v1alpha1.ApplyOutcome, err error) {
	r = r.told(story, outcome, err)
	_ = h.save(r)
	h.view.record = r
	h.runner.Remember(v1alpha1.HistoryEntry{LastApply: *r.LastApply})
	_ = h.publish()
}

// decidedWithin is how long after it was applied a change must be decided for the read that began then to show the outcome.
const decidedWithin = time.Second

// decided shows that a change is in effect, with the network as it was read since the change was applied. If that is too long
// ago, the network is read again. The caller holds the lock.
func (h *Host) decided(change *underWay) {
	if change == nil || time.Since(change.appliedAt) > decidedWithin {
		h.stale()
		return
	}
	_ = h.publish() // show tries it again
}

// stale begins to read the network again, because a change has altered it. The last read may show the middle of the change,
// so nothing is published until then. The caller holds the lock.
func (h *Host) stale() {
	h.turns++
	h.turned = nil
	h.unpublished = true
	h.reread = h.rounds.Join()
}

func notWritable(err error) error {
	return &agent.Error{Kind: agent.Failed, Reason: v1alpha1.ReasonRecordNotWritable, Message: err.Error()}
}

// failed returns the *agent.Error that err wraps, or makes one of it.
func failed(err error) error {
	var known *agent.Error
	if errors.As(err, &known) {
		return known
	}
	return &agent.Error{Kind: agent.Failed, Message: err.Error()}
}
