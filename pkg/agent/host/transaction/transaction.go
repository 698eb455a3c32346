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
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/probe"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// transaction is one change that is being carried out.
type transaction struct {
	*Runner
	change  Change
	plan    plan
	backend backend
	worker  *worker
	// desired is what libnmstate is asked for. asked is the desired state as it came; the check may make another one of it.
	desired, asked []byte
	// rehearsed is what could be reached before the change.
	rehearsed rehearsal
	// before is how the probes went before the change, probes is how they went in all.
	before []probe.Attempt
	probes []v1alpha1.ProbeResult
	// story is how the change went so far.
	story      v1alpha1.LastApply
	checkpoint string
	deadline   time.Time
	// decisions has the decision of a user, once. ended is closed when the change has, with err.
	decisions chan agent.Decision
	ended     chan struct{}
	err       error
	// clean tells that a rollback has put everything back.
	clean bool
}

func (r *Runner) transaction(c Change) *transaction {
	return &transaction{
		Runner:  r,
		change:  c,
		backend: r.backends[c.Backend],
		plan: plan{
			Kernel: r.config.Kernel, Backend: c.Backend, Story: c.Story, Desired: c.Desired, Previous: c.Previous,
			Mode: c.Mode, Timeout: c.Timeout, PreviousSpec: smallSpec(c.PreviousSpec),
		},
		story:     c.Story,
		decisions: make(chan agent.Decision, 1),
		ended:     make(chan struct{}),
	}
}

// Check finds out whether a change could be made, with a worker of its own. Nothing is touched.
func (r *Runner) Check(ctx context.Context, c Change) error {
	t := r.transaction(c)
	var err error
	if t.worker, err = startWorker(ctx); err != nil {
		return t.plan.translate(err)
	}
	defer t.worker.close()
	return t.check(ctx)
}

// Run carries out a change, from its checks to its commit or its rollback. If it has not begun,
// the network was not touched, and the owner was told nothing. Else the owner was told how it ended.
// An error has the change's id.
func (r *Runner) Run(ctx context.Context, c Change) (begun bool, err error) {
	t := r.transaction(c)
	r.one.Lock()
	defer r.one.Unlock()
	defer func() {
		err = named(err, c.Story.ID)
		t.err = err
		close(t.ended)
	}()
	if err := r.finish(); err != nil {
		return false, err
	}
	if t.worker, err = startLastingWorker(&r.lock); err != nil {
		return false, t.plan.translate(err)
	}
	defer t.close()
	if err := t.ready(ctx); err != nil {
		return false, err
	}
	if r.unsettled != nil && r.unsettled.at.Plan.Backend == c.Backend {
		if err := r.settle(ctx); err != nil {
			return false, err
		}
	}
	if err := t.prepare(ctx); err != nil {
		return false, err
	}
	logger := klog.FromContext(ctx).WithValues("change", c.Story.ID)
	logger.Info("Applying a change", "user", c.Story.User, "generation", c.Story.Generation, "backend", c.Backend)
	if err = t.apply(ctx); err == nil {
		logger.Info("The change is applied, and is to be confirmed", "mode", t.change.Mode, "timeout", t.change.Timeout)
		if err = t.confirm(ctx); err == nil {
			err = t.commit(ctx)
		}
	}
	if err != nil {
		logger.Info("Rolling the change back")
		err = t.rollBack(ctx, err)
	}
	logger.Info("The change has ended", "outcome", t.story.Outcome, "reason", t.story.Reason)
	return true, err
}

// ready checks the change, and rehearses its confirmation, at the same time.
func (t *transaction) ready(ctx context.Context) error {
	ctx, cancel := t.untilStopped(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if t.isStopping() {
			t.worker.kill()
		}
	})()
	t.asked = t.plan.Desired
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return t.check(ctx) })
	group.Go(func() error { return t.rehearse(ctx) })
	err := group.Wait()
	if t.isStopping() {
		return &agent.Error{Kind: agent.Unreachable, Message: "the agent of this node is ending; nothing was changed: try again"}
	}
	return err
}

// prepare notes what is needed to undo the change, and writes it down. From then on the worker undoes
// the change if the agent dies.
func (t *transaction) prepare(ctx context.Context) error {
	t.config.Owner.Entered(v1alpha1.StagePreparing)
	var err error
	t.plan.Before, err = t.backend.prepare(ctx, t.plan.Desired, t.plan.Current)
	if err != nil {
		return t.plan.translate(fmt.Errorf("noting the state before: %w", err))
	}
	t.plan.Worker = t.worker.process.Process.Pid
	if _, err = t.worker.do(workerRequest{Op: opGuard, Dir: t.config.Dir, Limits: t.config.Limits}); err != nil {
		return t.plan.translate(err)
	}
	t.at(BeforePrepared)
	if err := t.journal.append(entry{State: Prepared, Plan: &t.plan}); err != nil {
		return notWritable(err)
	}
	t.at(AfterPrepared)
	err = t.config.Owner.Started(t.story)
	if err != nil {
		left := t.journal.clear()
		t.setUntouched(left)
		return t.plan.translate(errors.Join(err, left))
	}
	return nil
}

// apply makes the network what is desired, and keeps what nobody has asked to be changed.
func (t *transaction) apply(ctx context.Context) error {
	defer t.worker.within(t.config.Limits.Apply)()
	defer t.unlessSilent()()
	defer context.AfterFunc(t.stopping, func() { time.AfterFunc(t.config.Limits.Stop, t.worker.kill) })()
	keep, desired, err := undo.NewKeeper(t.plan.Before, t.desired)
	if err == nil {
		err = keep.Set()
	}
	if err == nil {
		t.checkpoint, err = t.backend.apply(ctx, t.worker, &t.plan, desired)
	}
	if err == nil {
		err = keep.Keep()
	}
	if err != nil && t.isStopping() && t.worker.late.Load() {
		return failure(v1alpha1.ReasonAgentStopped, "the agent was told to end, and the change took longer than %s", t.config.Limits.Stop)
	}
	if err != nil {
		return t.plan.explain(t.plan.translate(err))
	}
	t.config.Owner.Applied()
	t.at(BeforeApplied)
	t.deadline = time.Now().Add(t.change.Timeout)
	err = t.journal.append(entry{State: Applied, Checkpoint: t.checkpoint, Deadline: t.deadline})
	if err != nil {
		return notWritable(err)
	}
	t.at(AfterApplied)
	return nil
}

// answerPause is how often a backend is asked, during an apply, whether it still answers.
const answerPause = 5 * time.Second

// unlessSilent kills the worker if the backend leaves the agent without an answer for too long. done ends that.
func (t *transaction) unlessSilent() (done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for sleep(ctx, min(answerPause, t.config.Limits.Silence)) {
			asking, end := context.WithTimeout(ctx, t.config.Limits.Silence)
			t.backend.await(asking)
			silent := errors.Is(asking.Err(), context.DeadlineExceeded)
			end()
			if silent {
				t.worker.kill()
				return
			}
		}
	}()
	return cancel
}

// commit makes the change permanent. Before it is decided that the change stays, the record to be is
// on the disk, so that a disk that is full is noticed while the change can still be undone.
func (t *transaction) commit(ctx context.Context) error {
	finish := now()
	t.story.FinishTime, t.story.Outcome, t.story.ConfirmBefore = &finish, v1alpha1.ApplyCommitted, nil
	t.story.Probes = t.probes
	t.at(BeforeStaged)
	if err := t.config.Owner.Stage(t.plan.Record, t.story); err != nil {
		return notWritable(err)
	}
	t.at(BeforeConfirmed)
	if err := t.journal.append(entry{State: Confirmed, Story: &t.story}); err != nil {
		return notWritable(err)
	}
	t.at(AfterConfirmed)
	limited, cancel := context.WithTimeout(ctx, t.config.Limits.Commit)
	defer cancel()
	if err := t.backend.commit(limited, t.checkpoint); err != nil {
		if has, unknown := t.backend.resume(limited, &t.plan, t.checkpoint); !has || unknown != nil {
			return t.commitLost(limited, err)
		}
	}
	t.at(AfterCommit)
	t.conclude(ctx, ending{committed: true, story: t.story, then: t.change.Committed})
	return nil
}

// commitLost returns why a change is rolled back although it was confirmed.
func (t *transaction) commitLost(limited context.Context, err error) error {
	reason := v1alpha1.ReasonCommitLost
	if limited.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		reason = v1alpha1.ReasonTimedOut
	}
	return failure(reason, "the change was confirmed, and could not be committed: %s", t.plan.scrub(err.Error()))
}

// rollBack makes the network what it was before the change. It returns cause, and names in it what
// could not be put back.
func (t *transaction) rollBack(ctx context.Context, cause error) error {
	known := &agent.Error{Kind: agent.Failed, Message: cause.Error()}
	errors.As(cause, &known)
	t.story.Probes = t.probes
	t.config.Owner.Entered(v1alpha1.StageRollingBack)
	t.at(BeforeUndo)
	how := t.undo(ctx, func(ctx context.Context) undone { return t.backend.undo(ctx, &t.plan, t.checkpoint) })
	how.leftover = t.plan.scrub(how.leftover)
	t.story = withLeftover(t.plan.uncovered(failed(t.story, known)), how.leftover)
	t.conclude(ctx, ending{story: t.story, undone: how})
	t.clean = how.leftover == ""
	if t.clean {
		return known
	}
	return &agent.Error{Kind: agent.Failed, Reason: t.story.Reason, Message: t.story.Message}
}

// close ends the worker, and the watch over the links.
func (t *transaction) close() {
	t.plan.Before.Close()
	t.worker.kill()
	_ = t.worker.close()
}

// failed returns the story of a change that has been rolled back just now.
func failed(story v1alpha1.LastApply, cause *agent.Error) v1alpha1.LastApply {
	finish := now()
	story.FinishTime = &finish
	story.Outcome, story.Reason, story.Message = v1alpha1.ApplyRolledBack, cause.Reason, clip(cause.Message)
	if cause.Kind == agent.Invalid {
		story.Outcome = v1alpha1.ApplyRejected
	}
	story.ConfirmBefore, story.ConfirmedBy = nil, ""
	return story
}

// withLeftover returns the story with what could not be put back.
func withLeftover(story v1alpha1.LastApply, leftover string) v1alpha1.LastApply {
	if leftover != "" {
		story.Outcome = v1alpha1.ApplyRolledBack
		story.Message = clip(story.Message + "; " + Leftover(leftover))
	}
	return story
}

// Leftover is the sentence that tells what could not be put back.
func Leftover(leftover string) string {
	return "after a failed change this could not be put back: " + leftover
}

// now returns the time as it is after it was in a JSON text.
func now() metav1.Time { return metav1.NewTime(time.Now()).Rfc3339Copy() }
