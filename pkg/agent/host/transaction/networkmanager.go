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
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

const (
	// rollbackAfter is when NetworkManager undoes a change that nobody commits because
	// the worker or the agent has died. nmstate extends it while it works, before each step, and a step must
	// not take longer. 0 would mean never.
	rollbackAfter = 3 * time.Minute
	// extension is the same once the change is applied, and extendEvery is how often it is
	// extended while the change waits for its confirmation.
	extension   = time.Minute
	extendEvery = 5 * time.Second
	// restartTime is how long a NetworkManager that has ended may take until it is there again, before
	// the rest is put back without it.
	restartTime = 5 * time.Second
)

// networkManager is the backend with NetworkManager: a change leaves a checkpoint open, to
// which NetworkManager rolls back by itself unless it is committed in time.
type networkManager struct {
	limits Limits
	// dir is where the agent keeps its own files.
	dir   string
	holds func(desired, current []byte) (bool, error)
}

func (networkManager) flags() nmstate.Flags { return 0 }

func (m networkManager) await(ctx context.Context) {
	for m.ready(ctx, m.limits.Backend) != nil && sleep(ctx, lastPause) {
	}
}

func (m networkManager) answers(ctx context.Context) error {
	_, err := m.read(ctx)
	return err
}

// read returns what NetworkManager has now.
func (m networkManager) read(ctx context.Context) (undo.Manager, error) {
	ctx, cancel := context.WithTimeout(ctx, m.limits.Call)
	defer cancel()
	return undo.ReadManager(ctx)
}

// ready waits until a NetworkManager that has ended is back and has started, at most for the timeout. What it does
// when it starts must not be taken for what a change has left. An error tells that it is away, or hangs.
func (m networkManager) ready(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return undo.AwaitManager(ctx, m.limits.Call)
}

func (networkManager) prepare(ctx context.Context, desired, current []byte) (*undo.Before, error) {
	before, err := undo.Note(ctx, undo.Request{Desired: desired, Current: current, Managed: true})
	if err == nil && len(before.Manager.Checkpoints) > 0 {
		before.Close()
		return nil, failure(v1alpha1.ReasonCheckpointPending, "another program has a checkpoint of NetworkManager open (%s), which allows one at a time: "+
			"nothing was changed; try again when it is committed or rolled back", before.Manager.Checkpoints[0])
	}
	return before, err
}

func (networkManager) refusals(desired, current []byte) (field.ErrorList, error) {
	return unsupported(field.NewPath("spec", "desiredState"), desired, current, hasFunctions)
}

func (m networkManager) apply(ctx context.Context, w *worker, p *plan, desired []byte) (checkpoint string, err error) {
	if desired, err = spellVLANs(desired, p.Current); err != nil {
		return noCheckpoint, err
	}
	reply, err := w.do(workerRequest{Op: opApply, Flags: m.flags() | nmstate.NoCommit, State: desired, RollbackAfter: rollbackAfter})
	now, readErr := m.read(ctx)
	var refused *nmstate.Error
	isRefused := errors.As(err, &refused)
	if isRefused {
		err = withUnnamed(refused, desired, p.Current)
	}
	switch {
	case err != nil && (undo.IsAway(readErr) || readErr == nil && now.Owner != p.Before.Manager.Owner):
		return noCheckpoint, failure(v1alpha1.ReasonCheckpointLost, "NetworkManager has ended while the change was applied: %s", p.translate(err))
	case isRefused && reply.Checkpoint == "":
		return noCheckpoint, err
	case err != nil || readErr != nil || reply.Checkpoint == "":
		return reply.Checkpoint, err
	}
	if !slices.Contains(now.Checkpoints, dbus.ObjectPath(reply.Checkpoint)) {
		return noCheckpoint, failure(v1alpha1.ReasonCheckpointLost, "NetworkManager has lost its checkpoint %s: it was started again, or the checkpoint's time was over",
			reply.Checkpoint)
	}
	undo.FlushManaged(m.dir)
	return now.Owner + reply.Checkpoint, nil
}

func (m networkManager) extend(ctx context.Context, checkpoint string) error {
	return m.each(ctx, checkpoint, "CheckpointAdjustRollbackTimeout", uint32(extension/time.Second))
}

func (m networkManager) commit(ctx context.Context, checkpoint string) error {
	return m.each(ctx, checkpoint, "CheckpointDestroy")
}

// each calls a method of NetworkManager's for the checkpoint, or for all that are open if its name is not known.
func (m networkManager) each(ctx context.Context, checkpoint, method string, args ...any) error {
	if owner, path := splitCheckpoint(checkpoint); path != "" {
		return m.call(ctx, owner, []dbus.ObjectPath{path}, method, args...)
	}
	now, err := m.read(ctx)
	if err != nil {
		return err
	}
	if len(now.Checkpoints) == 0 {
		return errors.New("NetworkManager has no checkpoint open")
	}
	return m.call(ctx, now.Owner, now.Checkpoints, method, args...)
}

// call calls a method of NetworkManager's for checkpoints.
func (m networkManager) call(ctx context.Context, owner string, paths []dbus.ObjectPath, method string, args ...any) error {
	if len(paths) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, m.limits.Call)
	defer cancel()
	bus, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("connecting to the system's D-Bus: %w", errors.Join(err, ctx.Err()))
	}
	defer bus.Close()
	var errs []error
	for _, path := range paths {
		call := bus.Object(owner, undo.NetworkManagerPath).CallWithContext(ctx,
			undo.NetworkManagerName+"."+method, 0, append([]any{path}, args...)...)
		if call.Err != nil {
			errs = append(errs, fmt.Errorf("calling NetworkManager's %s: %w", method, errors.Join(call.Err, ctx.Err())))
		}
	}
	return errors.Join(errs...)
}

// undo rolls back to the checkpoint. nmstate has done it already if the apply failed. Then
// it puts back what checkpoints don't cover, and, if NetworkManager does not answer, what the kernel has.
func (m networkManager) undo(ctx context.Context, p *plan, checkpoint string) undone {
	defer undo.FlushManaged(m.dir)
	if err := p.Before.TakeScriptsBack(ctx); err != nil {
		klog.FromContext(ctx).Error(errors.New(p.scrub(err.Error())), "Taking dispatch scripts back", "change", p.Story.ID)
	}
	silent := m.ready(ctx, restartTime)
	if undo.IsAway(silent) {
		// The change may have cut the node off: what the kernel has does not wait.
		klog.FromContext(ctx).Info("NetworkManager has ended: putting back what the kernel has, and waiting for it", "change", p.Story.ID)
		_ = m.restore(ctx, p)
		silent = m.ready(ctx, m.limits.Backend)
	}
	if silent == nil {
		silent = m.rollBack(ctx, p, checkpoint)
	}
	var err error
	if silent == nil {
		err = p.Before.AwaitRollback(ctx, rollbackAfter+undo.SettleTime)
	}
	if err = errors.Join(silent, err); err != nil {
		// What this has left is found and reported below.
		klog.FromContext(ctx).Error(errors.New(p.scrub(err.Error())), "Rolling NetworkManager back", "change", p.Story.ID)
	}
	leftover := m.restore(ctx, p)
	if silent == nil {
		return undone{leftover: leftover}
	}
	const why = "NetworkManager does not answer; the change is undone when it works again"
	return undone{leftover: strings.TrimSuffix(why+"; "+leftover, "; "), unsettled: true}
}

// rollBack orders NetworkManager to roll back to the checkpoint, if it is still open.
func (m networkManager) rollBack(ctx context.Context, p *plan, checkpoint string) error {
	now, err := m.read(ctx)
	if err != nil {
		return err
	}
	ours := checkpointsOf(checkpoint, now, p.Before.Manager.Checkpoints)
	// Another program may have opened a checkpoint since: that one must not be rolled back, nor be waited for.
	p.Before.Manager.Checkpoints = slices.DeleteFunc(slices.Clone(now.Checkpoints), func(one dbus.ObjectPath) bool { return slices.Contains(ours, one) })
	return m.call(ctx, now.Owner, ours, "CheckpointRollback")
}

func (m networkManager) restore(ctx context.Context, p *plan) (leftover string) {
	return p.Before.Restore(ctx, func(ctx context.Context, state []byte) error {
		return applyInWorker(ctx, m.flags(), state)
	})
}

// rebooted: NetworkManager's checkpoints are gone, and its profiles are on the disk.
func (m networkManager) rebooted(ctx context.Context, p *plan) undone {
	defer undo.FlushManaged(m.dir)
	silent := m.ready(ctx, m.limits.Backend)
	return undone{leftover: m.restore(ctx, p), unsettled: silent != nil}
}

// resume commits the change if its checkpoint is still open. If it is not, it was committed, or rolled back, or NetworkManager
// was started again: what the node has decides. After a start, NetworkManager takes a while to activate all of it.
func (m networkManager) resume(ctx context.Context, p *plan, checkpoint string) (has bool, err error) {
	if err := m.ready(ctx, m.limits.Backend); err != nil {
		return false, err
	}
	now, err := m.read(ctx)
	if err != nil {
		return false, err
	}
	if ours := checkpointsOf(checkpoint, now, p.Before.Manager.Checkpoints); len(ours) > 0 {
		return true, m.call(ctx, now.Owner, ours[:1], "CheckpointDestroy")
	}
	for until := time.Now().Add(undo.SettleTime); ; {
		if has, err = m.has(ctx, p); has || err != nil || time.Now().After(until) || !sleep(ctx, lastPause) {
			return has, cmp.Or(err, ctx.Err())
		}
	}
}

// has tells whether the node has what the change asks for.
func (m networkManager) has(ctx context.Context, p *plan) (bool, error) {
	w, err := startWorker(ctx)
	if err != nil {
		return false, err
	}
	defer w.close()
	read, err := w.do(workerRequest{Op: opRetrieve, Flags: m.flags() | nmstate.IncludeSecrets})
	if err != nil {
		return false, err
	}
	return m.holds(p.Desired, read.State)
}
