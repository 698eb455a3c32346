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

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// Validate implements agent.Agent.
func (h *Host) Validate(ctx context.Context, change agent.Change) (*v1alpha1.NodeNetworkState, error) {
	if _, err := h.Barrier(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	planned, last := h.view, h.feed.Last()
	after, err := h.prepare(change)
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := planned.unfit(); err != nil && after.Desired != nil {
		return nil, err
	}
	before := planned.record
	planned.record = after
	planned.difference = nil
	if after.Desired != nil {
		t := &transaction{backend: planned.backend, previous: before, after: after}
		defer t.close()
		if err := t.check(ctx); err != nil {
			return nil, err
		}
		if planned.difference, err = differenceOf(after.Desired, planned.state); err != nil {
			return nil, t.translate(err)
		}
	}
	obj, err := compose(planned, last)
	if err != nil {
		return nil, failed(err)
	}
	return obj, nil
}

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
	h.applies.Go(func() {
		obj, err := h.apply(goingOn, change)
		if settled := h.feed.Settled(goingOn); err == nil {
			err = settled
		}
		ended <- outcome{obj, err}
	})
	select {
	case o := <-ended:
		return o.obj, o.err
	case <-ctx.Done():
		return nil, &agent.Error{Kind: agent.InProgress, Message: "the change is still being applied, status.lastApply will tell how it ended"}
	}
}

// apply carries a change out, to its end.
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
// that does not touch the network it carries out, and there is no transaction then.
func (h *Host) begin(change agent.Change) (*transaction, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.claimed {
		return nil, &agent.Error{Kind: agent.Busy, Message: "another change is being applied on this node, see status.lastApply"}
	}
	before := h.view.record
	after, err := h.prepare(change)
	if err != nil {
		var refused *agent.Error
		if errors.As(err, &refused) && refused.Kind == agent.Invalid {
			h.tell(before, h.story(change, before.Generation+1), v1alpha1.ApplyRejected, err)
		}
		return nil, err
	}
	specChanges := after.Generation != before.Generation
	// The same spec again is asked for to end a drift, or the story of a failure.
	again := before.sameMetadata(after) && (h.view.difference != nil || agent.ApplyFailed(before.LastApply))
	if after.Desired == nil || !specChanges && !again {
		return nil, h.keep(after)
	}
	story := h.story(change, after.Generation)
	if err := h.view.unfit(); err != nil {
		h.tell(before, story, v1alpha1.ApplyRejected, err)
		return nil, err
	}
	h.claimed = true
	return &transaction{backend: h.view.backend, previous: before, after: after, story: story, rollbackAfter: h.rollbackAfter}, nil
}

// refuse records that a change was refused, with nothing touched.
func (h *Host) refuse(t *transaction, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.claimed = false
	h.tell(h.view.record, t.story, v1alpha1.ApplyRejected, err)
}

// start records that the apply starts, so that one that is interrupted is told of.
func (h *Host) start(t *transaction) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	started := t.previous
	started.LastApply = t.story.DeepCopy()
	if err := h.save(started); err != nil {
		h.claimed = false
		err = notWritable(err)
		h.tell(t.previous, t.story, v1alpha1.ApplyRejected, err)
		return err
	}
	h.view.record, h.view.applying = started, true
	return h.publish()
}

func (h *Host) story(change agent.Change, generation int64) v1alpha1.LastApply {
	return v1alpha1.LastApply{Generation: generation, User: change.User, StartTime: now(), Outcome: v1alpha1.ApplyInProgress}
}

// prepare checks that the change starts from the object that there is, and
// returns the record that it leads to. The caller holds the lock.
func (h *Host) prepare(change agent.Change) (record, error) {
	// The record is ahead of what was published between a commit and the read
	// after it.
	durable, err := h.view.record.object()
	if err != nil {
		return record{}, failed(err)
	}
	base, err := agent.Fingerprint(durable)
	if err != nil {
		return record{}, failed(err)
	}
	if base != change.Base {
		return record{}, &agent.Error{Kind: agent.Conflict, Message: "the object was changed since it was read"}
	}
	desired := change.Object.Spec.DesiredState
	if errs := v1alpha1.ValidateState(desired, field.NewPath("spec", "desiredState")); len(errs) > 0 {
		return record{}, &agent.Error{Kind: agent.Invalid, Reason: string(nmstate.InvalidArgument), Message: errs.ToAggregate().Error()}
	}
	if desired != nil {
		raw, err := unmaskState(desired.Raw, h.desired())
		if err != nil {
			return record{}, &agent.Error{Kind: agent.Invalid, Reason: string(nmstate.InvalidArgument), Message: err.Error()}
		}
		desired = v1alpha1.NewState(raw)
	}
	return h.view.record.with(change.Object, desired), nil
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

// tell records how an apply ended, on top of r; if that cannot be written down,
// it is shown all the same. The caller holds the lock.
func (h *Host) tell(r record, story v1alpha1.LastApply, outcome v1alpha1.ApplyOutcome, err error) {
	finish := now()
	story.FinishTime, story.Outcome = &finish, outcome
	var known *agent.Error
	if errors.As(err, &known) {
		story.Reason, story.Message = known.Reason, known.Message
	}
	r.LastApply = &story
	_ = h.save(r)
	h.view.record = r
	_ = h.publish()
}

// commit makes the record what was applied, and the network keep it. The record
// comes first: what cannot be written down would be lost with the agent, and is
// undone. A crash between the two leaves a record that the network has not, which
// status.difference tells.
func (h *Host) commit(t *transaction) error {
	finish := now()
	committed, story := t.after, t.story
	story.FinishTime, story.Outcome = &finish, v1alpha1.ApplyCommitted
	committed.LastApply = &story
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
		// Undoing takes its time, and the agent may end over it: what is written
		// down must not say meanwhile that the change holds.
		_ = h.save(h.view.record)
		return err
	}
	h.end()
	h.view.leftover, h.view.damage = "", ""
	h.view.record = committed
	return nil
}

// putBack makes the network what it was, records that, and returns cause,
// together with what could not be put back.
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

// end ends the transaction. What was read before may be of its midst: nothing is
// published until the network has been read again. The caller holds the lock.
func (h *Host) end() {
	h.claimed, h.view.applying = false, false
	h.ended++
	h.unpublished = true
}

func notWritable(err error) error {
	return &agent.Error{Kind: agent.Failed, Reason: v1alpha1.ReasonRecordNotWritable, Message: err.Error()}
}
