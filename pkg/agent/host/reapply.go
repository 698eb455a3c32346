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
	"time"

	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// ItselfUser is the user of changes that the agent makes by itself, in status.lastApply.
const ItselfUser = "node agent"

const (
	// reapplyPause is between two changes that the agent makes by itself; it grows up to maxReapplyPause while they fail, or do not last.
	reapplyPause, maxReapplyPause = time.Minute, 16 * time.Minute
	// unreachedPause is between two attempts while the API server cannot be reached; it grows up to reapplyPause.
	unreachedPause = time.Second
	// unrehearsedAfter is how long the agent waits for the API server after a boot before it makes the change all the
	// same: the way to the server may be what is missing. The change is confirmed like any other.
	unrehearsedAfter = 30 * time.Second
	// bootTime is how long after a boot the desired state is applied again, counted from when it held for the first time: until
	// then others, such as systemd-networkd and cloud-init, may still configure the node.
	bootTime = 2 * time.Minute
)

// boot is what the agent has seen of a boot that came after the desired state was committed.
type boot struct {
	// isFresh tells that there was such a boot, and that it is not over yet. limit is usually bootTime.
	isFresh bool
	limit   time.Duration
	// took is when the desired state held for the first time since, holds is whether it held at the last look.
	took  time.Time
	holds bool
}

// look takes note of whether the desired state holds now. The boot is over once it holds, or has held until now, at the end of
// the time that is given to it. A difference that came before is still mended.
func (b *boot) look(holds bool, now time.Time) {
	switch {
	case b.took.IsZero():
		if holds {
			b.took = now
		}
	case now.Sub(b.took) >= b.limit && (holds || b.holds):
		b.isFresh = false
	}
	b.holds = holds
}

// reapplies applies the desired state again where spec.reapply says so, until ctx ends.
func (h *Host) reapplies(ctx context.Context) error {
	var next time.Time
	pause, unreached := reapplyPause, unreachedPause
	// last is when the desired state was applied again, since is when the API server could not be reached for the first time.
	var last, since time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-h.published:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		change, due := h.reapplyDue()
		if !due {
			continue
		}
		if wait := time.Until(next); wait > 0 {
			timer.Reset(wait)
			continue
		}
		h.mu.Lock()
		h.unrehearsed = !since.IsZero() && time.Since(since) > unrehearsedAfter
		h.mu.Unlock()
		err := h.applyByItself(ctx, change)
		klog.FromContext(ctx).Info("The agent has applied the desired state again", "err", err)
		var wait time.Duration
		switch reason := reasonOf(err); {
		case err == nil:
			// What differs again soon is the work of somebody who wants it otherwise.
			if ended := time.Now(); ended.Sub(last) < 2*pause {
				pause = min(2*pause, maxReapplyPause)
			} else {
				pause = reapplyPause
			}
			wait, last, unreached, since = pause, time.Now(), unreachedPause, time.Time{}
		case reason == v1alpha1.ReasonNotReachable || agent.KindOf(err) == agent.Busy || agent.KindOf(err) == agent.Conflict:
			if since.IsZero() {
				since = time.Now()
			}
			wait, unreached = unreached, min(2*unreached, reapplyPause)
		default:
			wait, pause = pause, min(2*pause, maxReapplyPause)
		}
		next = time.Now().Add(wait)
		timer.Reset(wait)
	}
}

// applyByItself makes a change that drain waits for.
func (h *Host) applyByItself(ctx context.Context, change agent.Change) error {
	ended := make(chan error, 1)
	if !h.goOn(func() { ended <- h.apply(context.WithoutCancel(ctx), change, true, func(error) {}) }) {
		return ctx.Err()
	}
	return <-ended
}

// reapplyDue tells whether the desired state is to be applied again, and by which change.
func (h *Host) reapplyDue() (change agent.Change, due bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.view.record
	if h.view.change != nil || h.known != h.turns || h.view.unfit() != nil || r.desiresNothing() || h.store.kept != nil {
		return change, false
	}
	booted, holds := r.Kernel != h.kernel, h.view.difference == nil && h.view.differenceError == ""
	h.boot.look(holds, time.Now())
	if booted && (r.Kernel == "" || holds) {
		// An agent of before did not note the kernel; or all of it holds as it is.
		r.Kernel = h.kernel
		if h.save(r) == nil {
			h.view.record = r
		}
		booted = false
	}
	switch r.reapply(h.view.backend.name) {
	case v1alpha1.ReapplyAlways:
	case v1alpha1.ReapplyOnBoot:
		if !booted && !h.boot.isFresh {
			return change, false
		}
	default:
		return change, false
	}
	obj, err := r.object()
	if err != nil || h.view.difference == nil {
		return change, false
	}
	base, err := agent.Fingerprint(obj)
	return agent.Change{Object: obj, Base: base, User: ItselfUser}, err == nil
}

func reasonOf(err error) string {
	if known, ok := err.(*agent.Error); ok {
		return known.Reason
	}
	return ""
}
