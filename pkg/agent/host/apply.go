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
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// Validate implements agent.Agent.
func (h *Host) Validate(ctx context.Context, change agent.Change) (*v1alpha1.NodeNetworkState, error) {
	if err := h.Barrier(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	after, err := h.prepare(change)
	if err != nil {
		return nil, err
	}
	planned := h.view
	planned.record = after
	planned.difference = nil
	if after.Desired != nil {
		if err := h.validate(after.Desired); err != nil {
			return nil, err
		}
		if planned.difference, err = h.differenceOf(after.Desired); err != nil {
			return nil, translate(err, after.Desired.Raw)
		}
	}
	obj, err := compose(planned, h.feed.Last())
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
	after, story, done, err := h.begin(change)
	if done || err != nil {
		return h.answer(err)
	}
	before, backend, err := h.transact(ctx, after.Desired)
	if err == nil {
		err = h.commit(after, story)
	}
	if err != nil {
		h.giveUp(story, h.putBack(ctx, before, backend, err))
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

// begin checks a change. It carries out one that does not touch the network, and
// is done then; else it marks the apply as under way.
func (h *Host) begin(change agent.Change) (after record, story v1alpha1.LastApply, done bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.view.applying {
		return after, story, false, &agent.Error{Kind: agent.Busy, Message: "another change is being applied on this node, see status.lastApply"}
	}
	if after, err = h.prepare(change); err != nil {
		var refused *agent.Error
		if errors.As(err, &refused) && refused.Kind == agent.Invalid {
			h.reject(h.story(change, h.view.record.Generation+1), err)
		}
		return after, story, false, err
	}
	before := h.view.record
	specChanges := after.Generation != before.Generation
	if after.Desired == nil || !specChanges && (!before.sameMetadata(after) || h.view.difference == nil) {
		return after, story, true, h.keep(after)
	}
	story = h.story(change, after.Generation)
	if err := h.validate(after.Desired); err != nil {
		h.reject(story, err)
		return after, story, false, err
	}
	started := before
	started.LastApply = &story
	if err := h.save(started); err != nil {
		_ = h.publish()
		return after, story, false, notWritable(err)
	}
	h.view.record, h.view.applying = started, true
	return after, story, false, h.publish()
}

func (h *Host) story(change agent.Change, generation int64) v1alpha1.LastApply {
	return v1alpha1.LastApply{Generation: generation, User: change.User, StartTime: now(), Outcome: v1alpha1.ApplyInProgress}
}

// prepare checks that the change starts from the object that there is, and
// returns the record that it leads to. The caller holds the lock.
func (h *Host) prepare(change agent.Change) (record, error) {
	base, err := agent.Fingerprint(h.feed.Last())
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

// validate asks nmstate whether the state could be applied. The caller holds the lock.
func (h *Host) validate(desired *v1alpha1.State) error {
	if h.view.state == nil {
		return &agent.Error{Kind: agent.Failed, Reason: v1alpha1.ReasonReadFailed, Message: h.view.readError}
	}
	if err := nmstate.Validate(desired.Raw, h.view.state.full); err != nil {
		return translate(err, desired.Raw)
	}
	return nil
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

// reject records that nmstate refused. The caller holds the lock.
func (h *Host) reject(story v1alpha1.LastApply, err error) {
	h.tell(h.view.record, story, v1alpha1.ApplyRejected, err)
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

// transact applies the desired state, and returns what it may have changed as it
// was before; nil if it was not touched.
func (h *Host) transact(ctx context.Context, desired *v1alpha1.State) (*snapshot, backend, error) {
	h.mu.Lock()
	backend, full := h.view.backend, h.view.state.full
	h.mu.Unlock()
	in, err := scopeOf(desired.Raw, full)
	if err != nil {
		return nil, backend, translate(err, desired.Raw)
	}
	before, err := takeSnapshot(in, full)
	if err != nil {
		return nil, backend, failed(fmt.Errorf("noting the state before: %w", err))
	}
	if err := applyInWorker(ctx, backend.flags(), desired.Raw); err != nil {
		return before, backend, translate(err, desired.Raw)
	}
	return before, backend, nil
}

// putBack makes the network what it was and returns cause, together with what
// could not be put back.
func (h *Host) putBack(ctx context.Context, before *snapshot, backend backend, cause error) error {
	if before == nil {
		return cause
	}
	leftover := before.restore(ctx, backend)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.view.leftover = ""
	if leftover == "" {
		return cause
	}
	h.view.leftover = "after a failed change this could not be put back: " + leftover
	var known *agent.Error
	errors.As(cause, &known)
	return &agent.Error{Kind: agent.Failed, Reason: known.Reason, Message: known.Message + "; " + h.view.leftover}
}

// commit makes the record what was applied. If that cannot be written down the
// network must be put back: the spec would be lost with the agent.
func (h *Host) commit(after record, story v1alpha1.LastApply) error {
	finish := now()
	story.FinishTime, story.Outcome = &finish, v1alpha1.ApplyCommitted
	after.LastApply = &story
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.save(after); err != nil {
		return notWritable(err)
	}
	h.view.applying = false
	h.view.leftover, h.view.damage = "", ""
	h.view.record = after
	return nil
}

// giveUp records that the change failed.
func (h *Host) giveUp(story v1alpha1.LastApply, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.view.applying = false
	outcome := v1alpha1.ApplyRolledBack
	if agent.KindOf(err) == agent.Invalid {
		outcome = v1alpha1.ApplyRejected
	}
	h.tell(h.view.record, story, outcome, err)
}

func notWritable(err error) error {
	return &agent.Error{Kind: agent.Failed, Reason: v1alpha1.ReasonRecordNotWritable, Message: err.Error()}
}

// translate turns libnmstate's error into the contract's, without the secrets of
// the state that it was given.
func translate(err error, given []byte) error {
	var failure *nmstate.Error
	if !errors.As(err, &failure) {
		return failed(errors.New(scrub(err.Error(), given)))
	}
	kind := agent.Failed
	switch failure.Kind {
	case nmstate.InvalidArgument, nmstate.NotImplementedError, nmstate.NotSupportedError,
		nmstate.KernelIntegerRoundedError, nmstate.PolicyError:
		kind = agent.Invalid
	}
	return &agent.Error{Kind: kind, Reason: string(failure.Kind), Message: scrub(failure.Msg, given)}
}
