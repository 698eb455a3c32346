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

package fake

import (
	"cmp"
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

const (
	// confirmationTimeout is how long a change waits for a manual confirmation, if the spec does not say.
	confirmationTimeout = time.Minute
	// longestHistory is how many changes the history has.
	longestHistory = 20
)

// waiting is a change from its begin to its end, which may have to wait for a manual confirmation.
type waiting struct {
	// entry is what the history will say of it.
	entry v1alpha1.HistoryEntry
	// before and after are the records without the change and with it, network is the
	// network before it.
	before, after record
	network       network
}

// begin returns a change that begins now.
func (a *Agent) begin(change agent.Change, before, after record) *waiting {
	return &waiting{before: before, after: after, entry: v1alpha1.HistoryEntry{
		PreviousSpec: before.spec.DeepCopy(), LastApply: v1alpha1.LastApply{
			ID:         cmp.Or(change.ID, string(uuid.NewUUID())),
			Generation: after.generation,
			User:       change.User,
			Manager:    change.Manager,
			StartTime:  now(),
			Outcome:    v1alpha1.ApplyInProgress,
		}}}
}

// inStage returns the story of the change, which is in that stage since now.
func (t *waiting) inStage(stage v1alpha1.ApplyStage) *v1alpha1.LastApply {
	story, since := t.entry.LastApply.DeepCopy(), now()
	story.Stage, story.StageStartTime = stage, &since
	return story
}

// confirmation returns who confirms the change.
func (t *waiting) confirmation() v1alpha1.ConfirmationMode {
	if c := t.after.spec.Confirmation; c != nil && c.Mode != "" {
		return c.Mode
	}
	return v1alpha1.ConfirmByReachability
}

// witness notes what has confirmed the change: the fake's node can always be reached.
func (t *waiting) witness() {
	if t.confirmation() == v1alpha1.ConfirmByReachability {
		t.entry.ConfirmedBy = v1alpha1.WitnessAPIServer
	}
}

// await has a change that is in effect wait for a manual confirmation.
func (a *Agent) await(t *waiting) *v1alpha1.NodeNetworkState {
	timeout := confirmationTimeout
	if set := t.after.spec.Confirmation.Timeout; set != nil {
		timeout = set.Duration
	}
	until := metav1.NewTime(time.Now().Add(timeout)).Rfc3339Copy()
	t.entry.ConfirmBefore = &until
	a.waiting = t
	a.record = t.after
	a.record.lastApply = t.inStage(v1alpha1.StageAwaitingConfirmation)
	a.publish()
	return a.feed.Last()
}

// finish records how a change ended, and answers.
func (a *Agent) finish(t *waiting, err error) (*v1alpha1.NodeNetworkState, error) {
	if err == nil {
		a.end(t, t.after, v1alpha1.ApplyCommitted, "", "")
		return a.feed.Last(), nil
	}
	outcome := v1alpha1.ApplyRolledBack
	if agent.KindOf(err) == agent.Invalid {
		outcome = v1alpha1.ApplyRejected
	}
	wire := agent.ErrorToWire(err)
	a.end(t, t.before, outcome, wire.Reason, wire.Message)
	return nil, err
}

// end ends a change. left is the record that is left.
func (a *Agent) end(t *waiting, left record, outcome v1alpha1.ApplyOutcome, reason, message string) {
	finished := now()
	t.entry.FinishTime, t.entry.ConfirmBefore = &finished, nil
	t.entry.Outcome, t.entry.Reason, t.entry.Message = outcome, reason, message
	if outcome != v1alpha1.ApplyCommitted {
		t.entry.Revert, t.entry.PreviousSpec = nil, nil
	}
	a.history = append([]v1alpha1.HistoryEntry{t.entry}, a.history[:min(len(a.history), longestHistory-1)]...)
	a.waiting = nil
	a.record = left
	a.record.lastApply = t.entry.LastApply.DeepCopy()
	a.publish()
}

// rollBack ends the change that waits; the network is as it was before it.
func (a *Agent) rollBack(reason, message string) {
	a.setNetwork(a.waiting.network)
	a.end(a.waiting, a.waiting.before, v1alpha1.ApplyRolledBack, reason, message)
}

// Decide implements agent.Agent.
func (a *Agent) Decide(ctx context.Context, decision agent.Decision) (*v1alpha1.NodeNetworkState, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	obj, err := a.decide(decision)
	if err != nil {
		return nil, err
	}
	return obj, a.feed.Settled(ctx)
}

func (a *Agent) decide(decision agent.Decision) (*v1alpha1.NodeNetworkState, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.waiting == nil:
		return nil, agent.NothingAwaits("")
	case a.waiting.entry.ID != decision.Transaction:
		return nil, agent.NothingAwaits(a.waiting.entry.ID)
	case decision.Commit:
		a.waiting.entry.ConfirmedBy = v1alpha1.WitnessUser
		a.end(a.waiting, a.waiting.after, v1alpha1.ApplyCommitted, "", fmt.Sprintf("confirmed by %q", decision.User))
	default:
		a.rollBack(v1alpha1.ReasonRefusedByUser, fmt.Sprintf("rolled back by %q", decision.User))
	}
	return a.feed.Last(), nil
}

// Expire ends the time of the change that waits for a manual confirmation, if one does.
func (a *Agent) Expire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting != nil {
		a.rollBack(v1alpha1.ReasonNotConfirmed, "nobody has confirmed the change in time")
	}
}

// History implements agent.Agent.
func (a *Agent) History(ctx context.Context) (*v1alpha1.NodeNetworkStateHistory, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	history := &v1alpha1.NodeNetworkStateHistory{Entries: a.history}
	return history.DeepCopy(), ctx.Err()
}

// Recall implements agent.Agent.
func (a *Agent) Recall(ctx context.Context, id string) (*v1alpha1.LastApply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return agent.Recalled(id, a.record.lastApply, a.history, a.kept), ctx.Err()
}
