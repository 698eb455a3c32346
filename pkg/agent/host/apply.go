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

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Apply implements agent.Agent.
func (h *Host) Apply(ctx context.Context, change agent.Change) (*v1alpha1.NodeNetworkState, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	type outcome struct {
		obj *v1alpha1.NodeNetworkState
		err error
	}
	ended := make(chan outcome, 1)
	goingOn := context.WithoutCancel(ctx)
	if !h.goOn(func() {
		obj, err := h.apply(goingOn, change)
		if settled := h.feed.Settled(goingOn); err == nil {
			err = settled
		}
		ended <- outcome{obj, err}
	}) {
		return nil, &agent.Error{Kind: agent.Unreachable, Message: "the agent of this node is ending; nothing was changed: try again"}
	}
	select {
	case o := <-ended:
		return o.obj, o.err
	case <-ctx.Done():
		return nil, &agent.Error{Kind: agent.InProgress, Message: "the change is still being applied, status.lastApply will tell how it ended"}
	}
}

// Decide implements agent.Agent.
func (h *Host) Decide(context.Context, agent.Decision) (*v1alpha1.NodeNetworkState, error) {
	return nil, agent.NothingAwaits("")
}

// History implements agent.Agent.
func (h *Host) History(context.Context) (*v1alpha1.NodeNetworkStateHistory, error) {
	return &v1alpha1.NodeNetworkStateHistory{}, nil
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

// drain waits until the applies that are under way have ended. No apply begins after
// drain was called.
func (h *Host) drain() {
	h.mu.Lock()
	h.ending = true
	h.mu.Unlock()
	h.applies.Wait()
}

// apply carries a change out, from its checks to its commit or its rollback.
func (h *Host) apply(ctx context.Context, change agent.Change) (*v1alpha1.NodeNetworkState, error) {
	t, err := h.begin(change)
	if err == nil && t == nil {
		err = h.round(ctx)
	}
	if t == nil {
		return h.answer(err)
	}
	defer t.close()
	if err := t.check(ctx); err != nil {
		h.refuse(t, err)
		return h.answer(err)
	}
	if err := h.start(t); err != nil {
		return h.answer(err)
	}
	err = t.apply(ctx)
	// What confirms a change, such as probes, has its place here.
	if err == nil {
		err = h.commit(t)
	}
	if err != nil {
		err = h.putBack(ctx, t, err)
	}
	if readErr := h.round(ctx); readErr != nil && err == nil {
		err = failed(readErr)
	}
	return h.answer(err)
}

// answer returns the object as it was published last, or the error.
func (h *Host) answer(err error) (*v1alpha1.NodeNetworkState, error) {
	if err != nil {
		return nil, err
	}
	return h.feed.Last(), nil
}

// begin checks that a change may be made, and claims the node for it. A change
// that asks nothing of the network is carried out at once: there is no transaction
// then.
func (h *Host) begin(change agent.Change) (*transaction, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running != nil {
		return nil, agent.BusyWith(h.running)
	}
	before := h.view.record
	after, err := before.prepare(change)
	if err != nil {
		var refused *agent.Error
		if errors.As(err, &refused) && refused.Kind == agent.Invalid {
			h.tell(before, h.story(change, before.Generation+1), v1alpha1.ApplyRejected, err)
		}
		return nil, err
	}
	specChanges := after.Generation != before.Generation
	// A user sends the same spec again to mend a drift, or to end Failing.
	again := before.sameMetadata(after) && (h.view.difference != nil || agent.ApplyFailed(before.LastApply))
	if !specChanges && !again {
		return nil, h.keep(after)
	}
	story := h.story(change, after.Generation)
	if after.desiresNothing() {
		return nil, h.drop(after, story)
	}
	if err := h.view.unfit(); err != nil {
		h.tell(before, story, v1alpha1.ApplyRejected, err)
		return nil, err
	}
	h.running = &story
	return &transaction{backend: h.view.backend, previous: before, after: after, story: story, rollbackAfter: h.rollbackAfter}, nil
}

// drop commits a change that asks nothing of the network: the desired state is
// taken away, or there was none before and the change only ends Failing.
// The caller holds the lock.
func (h *Host) drop(after record, story v1alpha1.LastApply) error {
	committed := after.told(story, v1alpha1.ApplyCommitted, nil)
	if err := h.save(committed); err != nil {
		err = notWritable(err)
		h.tell(h.view.record, story, v1alpha1.ApplyRejected, err)
		return err
	}
	h.view.leftover, h.view.damage = "", ""
	h.view.record = committed
	return h.publish()
}

// refuse records that a change was refused before the network was touched, and
// frees the node.
func (h *Host) refuse(t *transaction, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running = nil
	h.tell(h.view.record, t.story, v1alpha1.ApplyRejected, err)
}

// start records and shows that the apply starts. The record lets an agent that is
// started again tell that the apply was interrupted. If recording or showing fails,
// start refuses the change and frees the node.
func (h *Host) start(t *transaction) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, started := h.view.record, t.previous
	started.LastApply = t.story.DeepCopy()
	err := h.save(started)
	if err != nil {
		err = notWritable(err)
	} else {
		h.view.record, h.view.applying = started, true
		err = h.publish()
	}
	if err != nil {
		h.running, h.view.applying = nil, false
		h.tell(before, t.story, v1alpha1.ApplyRejected, err)
	}
	return err
}

func (h *Host) story(change agent.Change, generation int64) v1alpha1.LastApply {
	return v1alpha1.LastApply{Generation: generation, User: change.User, StartTime: now(), Outcome: v1alpha1.ApplyInProgress}
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
	_ = h.publish()
}

// commit writes the change into the record and then makes the network keep it. The
// record comes first: a change that cannot be recorded is undone, since the next
// agent would not know of it. After a crash between the two steps the record has a
// change that the network does not have, and status.difference shows it.
func (h *Host) commit(t *transaction) error {
	committed := t.after.told(t.story, v1alpha1.ApplyCommitted, nil)
	h.mu.Lock()
	err := h.save(committed)
	h.mu.Unlock()
	if err != nil {
		return notWritable(err)
	}
	err = t.commit()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		// The agent may crash while the change is undone. The record must not say
		// then that the change was committed.
		_ = h.save(h.view.record)
		return err
	}
	h.end()
	h.view.leftover, h.view.damage = "", ""
	h.view.record = committed
	return nil
}

// putBack makes the network what it was before the change and records that. It
// returns cause, and names in it what could not be put back.
func (h *Host) putBack(ctx context.Context, t *transaction, cause error) error {
	leftover := t.undo(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end()
	outcome := v1alpha1.ApplyRolledBack
	if agent.KindOf(cause) == agent.Invalid {
		outcome = v1alpha1.ApplyRejected
	}
	if h.view.leftover = ""; leftover != "" {
		h.view.leftover = "after a failed change this could not be put back: " + leftover
		known := &agent.Error{Message: cause.Error()}
		errors.As(cause, &known)
		cause = &agent.Error{Kind: agent.Failed, Reason: known.Reason, Message: known.Message + "; " + h.view.leftover}
		outcome = v1alpha1.ApplyRolledBack
	}
	h.tell(h.view.record, t.story, outcome, cause)
	return cause
}

// end ends the transaction. The last read may show the network in the middle of the
// transaction, so nothing is published until the network has been read again.
// The caller holds the lock.
func (h *Host) end() {
	h.running, h.view.applying = nil, false
	h.ended++
	h.unpublished = true
}

func notWritable(err error) error {
	return &agent.Error{Kind: agent.Failed, Reason: v1alpha1.ReasonRecordNotWritable, Message: err.Error()}
}
