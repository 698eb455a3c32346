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
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/probe"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

const (
	// askTimeout is how long one question to the API server may take: it is asked again over another connection.
	askTimeout = 5 * time.Second
	// firstPause and lastPause are the pauses between questions.
	firstPause, lastPause = 50 * time.Millisecond, time.Second
	// defaultProbeTimeout is how long the default gateway may take to answer where the spec has no probes. Many gateways
	// never do, and that must not hold each change up.
	defaultProbeTimeout = time.Second
)

// rehearsal is what could be reached before the change.
type rehearsal struct {
	// witness is what has answered; empty if nobody was asked, or nobody answered.
	witness v1alpha1.Witness
	// byDefault tells that the spec has no probes, and that the one that counts then is run.
	byDefault bool
}

// rehearse finds out what can be reached before the change: what cannot be reached then is not
// required afterwards, and if not even the API server can be reached, the change is refused.
func (t *transaction) rehearse(ctx context.Context) error {
	if t.change.Mode == v1alpha1.ConfirmNone {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.config.Limits.Rehearsal)
	defer cancel()
	if len(t.change.Probes) == 0 && t.config.HasGateway() {
		t.rehearsed.byDefault = true
		t.change.Probes = probe.OrDefault(nil)
		t.change.Probes[0].Timeout = &metav1.Duration{Duration: defaultProbeTimeout}
	}
	var group errgroup.Group
	group.Go(func() error {
		t.probeBefore(ctx)
		return nil
	})
	group.Go(func() error {
		err := t.untilReached(ctx, true)
		if err == nil || t.change.Unrehearsed {
			return nil
		}
		return failure(v1alpha1.ReasonNotReachable, "nothing was changed: this node cannot reach the API server over a new connection, "+
			"so that the change could not be confirmed: %v; spec.confirmation.mode None makes changes that nobody confirms", err)
	})
	return group.Wait()
}

// untilReached asks until a testimony counts.
func (t *transaction) untilReached(ctx context.Context, rehearsal bool) error {
	var last error
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		witness, err := t.ask(ctx, rehearsal)
		if err == nil && rehearsal {
			t.rehearsed.witness = witness
		}
		if err == nil {
			t.story.ConfirmedBy = witness
			return nil
		}
		// The end of the time says less than the error before it.
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if !sleep(ctx, pause) {
			return last
		}
	}
}

// ask asks the API server once, over a new connection. It returns the witness if the answer proves that the node can be reached.
func (t *transaction) ask(ctx context.Context, rehearsal bool) (v1alpha1.Witness, error) {
	if t.config.Confirmer == nil {
		return "", errors.New("this agent has no API server")
	}
	desired := t.asked // the check, which goes on during a rehearsal, settles what it comes to
	if !rehearsal {
		desired = t.plan.Desired
	}
	var masked []byte // nothing of a change that only takes away
	if len(desired) > 0 {
		var err error
		if masked, err = secret.MaskState(desired); err != nil {
			return "", Translate(err, desired)
		}
	}
	hash := sha256.Sum256(masked)
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	testimony, err := t.config.Confirmer.Confirm(asking, agent.Question{Transaction: t.change.Story.ID, StateHash: hash[:], Rehearsal: rehearsal})
	switch {
	case err != nil:
		return "", err
	case !testimony.SameHost:
		return v1alpha1.WitnessAPIServer, nil
	case testimony.Outside != "":
		return v1alpha1.WitnessKubeAPIServer, nil
	}
	if t.config.Gateway(asking) {
		return v1alpha1.WitnessGateway, nil
	}
	// Nothing outside of the node could be asked before the change either, or there is nothing.
	before := t.rehearsed.witness
	if rehearsal || before == v1alpha1.WitnessNothing || before == "" && !t.config.HasGateway() {
		return v1alpha1.WitnessNothing, nil
	}
	return "", errors.New("the API server runs on this node itself, and nothing outside of the node answers")
}

// confirm waits until the change is confirmed. It returns an error if it is to be rolled back.
func (t *transaction) confirm(ctx context.Context) error {
	t.story.ConfirmedBy = ""
	if t.change.Mode == v1alpha1.ConfirmNone {
		return nil
	}
	t.config.Owner.Entered(v1alpha1.StageConfirming)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.stopping, func() {
		cancel(failure(v1alpha1.ReasonAgentStopped, "the agent was told to end before the change was confirmed"))
	})()
	go t.keepOpen(ctx, cancel)
	timed, done := context.WithDeadline(ctx, t.deadline)
	defer done()
	var both sync.WaitGroup
	var reached, probed error
	both.Go(func() { reached = t.untilReached(timed, false) })
	both.Go(func() { probed = t.probeAfter(timed) })
	both.Wait()
	if reached != nil || probed != nil {
		return t.notConfirmed(ctx, reached, probed)
	}
	if t.story.ConfirmedBy == v1alpha1.WitnessNothing {
		t.story.Message = "the API server runs on this node itself, and nothing outside of the node could be asked whether the node can be reached"
	}
	if t.change.Mode == v1alpha1.ConfirmManually {
		return t.awaitUser(ctx, timed)
	}
	return nil
}

// notConfirmed returns why the change is rolled back.
func (t *transaction) notConfirmed(ctx context.Context, reached, probes error) error {
	var known *agent.Error
	if errors.As(context.Cause(ctx), &known) {
		return known
	}
	var why []string
	if reached != nil {
		why = append(why, "the API server could not be reached over a new connection: "+reached.Error())
	}
	if probes != nil {
		why = append(why, probes.Error())
	}
	return failure(v1alpha1.ReasonNotConfirmed, "within %s after the change %s", t.change.Timeout, strings.Join(why, "; "))
}

// keepOpen keeps the backend from undoing the change by itself until ctx ends.
func (t *transaction) keepOpen(ctx context.Context, cancel context.CancelCauseFunc) {
	every := time.NewTicker(extendEvery)
	defer every.Stop()
	for {
		if err := t.backend.extend(ctx, t.checkpoint); err != nil && ctx.Err() == nil {
			cancel(failure(v1alpha1.ReasonCheckpointLost, "the change could not be kept until it was confirmed: %s", t.plan.scrub(err.Error())))
			return
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// awaitUser waits for the decision of a user.
func (t *transaction) awaitUser(ctx, timed context.Context) error {
	before := metav1.NewTime(t.deadline).Rfc3339Copy()
	t.story.ConfirmedBy, t.story.ConfirmBefore, t.story.Probes = "", &before, t.probes
	if err := t.journal.append(entry{State: Applied, Awaiting: true, Story: &t.story}); err != nil {
		return notWritable(err)
	}
	t.mu.Lock()
	t.awaiting = t
	t.mu.Unlock()
	t.config.Owner.Awaiting(t.plan.Record, t.story)
	var decision agent.Decision
	select {
	case decision = <-t.decisions:
	case <-timed.Done():
		t.mu.Lock()
		decided := t.awaiting == nil
		t.awaiting = nil
		t.mu.Unlock()
		if !decided {
			var known *agent.Error
			if errors.As(context.Cause(ctx), &known) {
				return known
			}
			return failure(v1alpha1.ReasonNotConfirmed, "no user has confirmed the change within %s", t.change.Timeout)
		}
		decision = <-t.decisions // it came in time
	}
	if !decision.Commit {
		return failure(v1alpha1.ReasonRefusedByUser, "user %q has had the change rolled back", decision.User)
	}
	t.story.ConfirmedBy = v1alpha1.WitnessUser
	t.story.Message = fmt.Sprintf("confirmed by user %q", decision.User)
	return nil
}

// probeBefore runs the probes before the change.
func (t *transaction) probeBefore(ctx context.Context) {
	if len(t.change.Probes) > 0 {
		t.before = t.config.Probe(ctx, t.change.Probes, t.change.Addresses)
		t.probes = probe.Merge(t.before, nil, t.change.Probes)
	}
}

// probeAfter runs the probes until those that are required have passed. The others are tried once.
func (t *transaction) probeAfter(ctx context.Context) error {
	if len(t.probes) == 0 || t.rehearsed.byDefault && !t.probes[0].Required {
		return nil
	}
	after := make([]probe.Attempt, len(t.change.Probes))
	due := make([]int, len(after))
	for i := range due {
		due[i] = i
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		var tried []v1alpha1.Probe
		for _, i := range due {
			tried = append(tried, t.change.Probes[i])
		}
		for n, attempt := range t.config.Probe(ctx, tried, t.change.Addresses) {
			after[due[n]] = attempt
		}
		t.probes = probe.Merge(t.before, after, t.change.Probes)
		due = nil
		var failed []string
		for i, result := range t.probes {
			if result.Required && !after[i].Passed {
				due = append(due, i)
				failed = append(failed, fmt.Sprintf("probe %s failed: %s", result.Name, result.Message))
			}
		}
		if len(due) == 0 {
			return nil
		}
		if !sleep(ctx, pause) {
			return errors.New(strings.Join(failed, "; "))
		}
	}
}

// sleep waits, and returns false if ctx ends first.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
