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
	"fmt"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

const (
	// maxDryRuns is how many dry runs may have a worker at the same time. A worker
	// is a process of some 30 MB that reads the whole network.
	maxDryRuns = 2
	// dryRunWait is how long a dry run waits for its turn. It is shorter than the
	// time that the API server waits for an answer, so that the client is told why.
	dryRunWait = 20 * time.Second
)

// Validate implements agent.Agent. It neither waits for an apply nor holds one up.
func (h *Host) Validate(ctx context.Context, change agent.Change) (*agent.Plan, error) {
	if err := h.awaitTurn(ctx); err != nil {
		return nil, err
	}
	defer h.dryRuns.Release(1)
	if err := h.round(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	planned, last := h.view, h.feed.Last()
	if planned.change != nil {
		under := *planned.change // the change goes on
		planned.change = &under
	}
	h.mu.Unlock()
	before := planned.shown()
	after, err := before.prepare(change)
	if err != nil {
		return nil, err
	}
	planned.record, planned.difference = after, nil
	if planned.change != nil {
		planned.change.after = after
	}
	var asked *v1alpha1.State
	if !after.desiresNothing() || after.takesAway(before) {
		if err := planned.unfit(); err != nil {
			return nil, err
		}
		dry := transaction.Change{Backend: planned.backend.name, Desired: after.raw(), Previous: before.raw(),
			Settle: func(current []byte) (transaction.Settled, error) {
				s, err := settle(before, after, planned.backend.name, h.kernel, current)
				asked = s.asked
				return s.Settled, err
			}}
		if err := h.runner.Check(ctx, dry); err != nil {
			return nil, err
		}
		if planned.difference, err = differenceOf(asked, planned.state, planned.backend.name); err != nil {
			return nil, transaction.Translate(err, asked.Raw, dry.Previous)
		}
	}
	obj, err := compose(planned, last)
	if err != nil {
		return nil, failed(err)
	}
	return &agent.Plan{Object: obj, Warnings: h.warnings(ctx, change, planned, asked, h.testimony(ctx, planned.record))}, nil
}

// testimonyWait is how long a dry run waits for the API server's word on whether it could confirm the change.
const testimonyWait = 3 * time.Second

// testimony asks the API server over a new connection what it could testify. It is nil if nobody is asked,
// or nobody answers: the apply would tell.
func (h *Host) testimony(ctx context.Context, planned record) *agent.Testimony {
	if h.config.Confirmer == nil || planned.mode() == v1alpha1.ConfirmNone {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, testimonyWait)
	defer cancel()
	testimony, err := h.config.Confirmer.Confirm(ctx, agent.Question{Rehearsal: true})
	if err != nil {
		return nil
	}
	return &testimony
}

// awaitTurn returns once this dry run may go on; the caller then releases
// h.dryRuns. The error is ctx's, or of kind Busy.
func (h *Host) awaitTurn(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, h.dryRunWait)
	defer cancel()
	if err := h.dryRuns.Acquire(waiting, 1); err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return &agent.Error{Kind: agent.Busy, Message: fmt.Sprintf("nothing was checked: this node is busy with other dry runs, "+
		"of which it does %d at a time: try again", maxDryRuns)}
}
