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
	"regexp"
	"slices"
	"strings"
	"sync"
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
	// the worker or the agent has died. nmstate extends it while it works. 0 would mean
	// never.
	rollbackAfter = time.Minute
	// extension is the same once the change is applied, and extendEvery is how often it is
	// extended while the change waits for its confirmation.
	extension   = 20 * time.Second
	extendEvery = 5 * time.Second
)

// checkpointName finds the checkpoint in nmstate's log, the only place where nmstate
// names it. If the log does not name it, ours are all that were not there before the change:
// NetworkManager keeps one checkpoint at a time unless somebody forces a second.
var checkpointName = regexp.MustCompile(`/org/freedesktop/NetworkManager/Checkpoint/[0-9]+`)

// networkManager is the backend with NetworkManager: a change leaves a checkpoint open, to
// which NetworkManager rolls back by itself unless it is committed in time.
type networkManager struct {
	limits Limits
	holds  func(desired, current []byte) (bool, error)

	mu sync.Mutex
	// owed is a change that could not be undone because NetworkManager did not answer.
	owed *plan
}

func (*networkManager) flags() nmstate.Flags { return 0 }

func (m *networkManager) await(ctx context.Context) {
	for {
		asking, cancel := context.WithTimeout(ctx, m.limits.Call)
		_, err := undo.ReadManager(asking)
		cancel()
		if err == nil || !sleep(ctx, lastPause) {
			return
		}
	}
}

func (m *networkManager) prepare(ctx context.Context, desired, current []byte) (*undo.Before, error) {
	if was, leftover, err := m.settle(ctx); err != nil {
		return nil, err
	} else if was {
		klog.FromContext(ctx).Info("An earlier change was undone as soon as NetworkManager answered", "leftover", leftover)
	}
	before, err := undo.Note(ctx, undo.Request{Desired: desired, Current: current, Managed: true})
	if err == nil && len(before.Manager.Checkpoints) > 0 {
		before.Close()
		return nil, failure(v1alpha1.ReasonCheckpointPending, "another program has a checkpoint of NetworkManager open (%s), which allows one at a time: "+
			"nothing was changed; try again when it is committed or rolled back", before.Manager.Checkpoints[0])
	}
	return before, err
}

func (m *networkManager) settle(ctx context.Context) (was bool, leftover string, err error) {
	m.mu.Lock()
	owed := m.owed
	m.mu.Unlock()
	if owed == nil {
		return false, "", nil
	}
	asking, cancel := context.WithTimeout(ctx, m.limits.Call)
	_, err = undo.ReadManager(asking)
	cancel()
	if err == nil {
		leftover = owed.scrub(m.undo(ctx, owed, ""))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owed != nil {
		return true, leftover, failure(v1alpha1.ReasonTimedOut, "NetworkManager does not answer, and has not undone an earlier change yet: nothing was changed; try again when NetworkManager works")
	}
	return true, leftover, nil
}

func (*networkManager) refusals(_, _ []byte) (field.ErrorList, error) { return nil, nil }

func (m *networkManager) apply(w *worker, desired []byte) (checkpoint string, err error) {
	reply, err := w.do(workerRequest{Op: opApply, Flags: m.flags() | nmstate.NoCommit, State: desired, RollbackAfter: rollbackAfter})
	return reply.Checkpoint, err
}

func (m *networkManager) extend(ctx context.Context, checkpoint string) error {
	return m.each(ctx, nil, checkpoint, "CheckpointAdjustRollbackTimeout", uint32(extension/time.Second))
}

func (m *networkManager) commit(ctx context.Context, checkpoint string) error {
	return m.each(ctx, nil, checkpoint, "CheckpointDestroy")
}

// each calls a method of NetworkManager's for the checkpoint, or for all that are not others' if it is not known.
func (m *networkManager) each(ctx context.Context, others []dbus.ObjectPath, checkpoint, method string, args ...any) error {
	paths := []dbus.ObjectPath{dbus.ObjectPath(checkpoint)}
	ctx, cancel := context.WithTimeout(ctx, m.limits.Call)
	defer cancel()
	if checkpoint == "" {
		now, err := undo.ReadManager(ctx)
		if err != nil {
			return err
		}
		paths = slices.DeleteFunc(now.Checkpoints, func(one dbus.ObjectPath) bool { return slices.Contains(others, one) })
		if len(paths) == 0 && others == nil {
			return errors.New("NetworkManager has no checkpoint open")
		}
	}
	bus, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("connecting to the system's D-Bus: %w", errors.Join(err, ctx.Err()))
	}
	defer bus.Close()
	var errs []error
	for _, path := range paths {
		call := bus.Object(undo.NetworkManagerName, undo.NetworkManagerPath).CallWithContext(ctx,
			undo.NetworkManagerName+"."+method, 0, append([]any{path}, args...)...)
		if call.Err != nil {
			errs = append(errs, fmt.Errorf("calling NetworkManager's %s: %w", method, errors.Join(call.Err, ctx.Err())))
		}
	}
	return errors.Join(errs...)
}

// undo rolls back to the checkpoint. nmstate has done it already if the apply failed. Then
// it puts back what checkpoints don't cover, and, if NetworkManager does not answer, what the kernel has.
func (m *networkManager) undo(ctx context.Context, p *plan, checkpoint string) (leftover string) {
	if err := p.Before.TakeScriptsBack(ctx); err != nil {
		klog.FromContext(ctx).Error(errors.New(p.scrub(err.Error())), "Taking dispatch scripts back", "change", p.Story.ID)
	}
	silent := m.noteOthers(ctx, p, checkpoint)
	if silent == nil {
		others := append([]dbus.ObjectPath{}, p.Before.Manager.Checkpoints...)
		silent = m.each(ctx, others, "", "CheckpointRollback")
	}
	var err error
	if silent == nil {
		err = p.Before.AwaitRollback(ctx, rollbackAfter+undo.SettleTime)
	}
	m.mu.Lock()
	if m.owed = nil; silent != nil {
		m.owed = p
	}
	m.mu.Unlock()
	if err = errors.Join(silent, err); err != nil {
		// What this has left is found and reported below.
		klog.FromContext(ctx).Error(errors.New(p.scrub(err.Error())), "Rolling NetworkManager back", "change", p.Story.ID)
	}
	leftover = m.restore(ctx, p)
	if silent == nil {
		return leftover
	}
	const why = "NetworkManager does not answer; it rolls the change back when it works again"
	return strings.TrimSuffix(why+"; "+leftover, "; ")
}

// noteOthers notes the checkpoints of other programs once the name of ours is known. NetworkManager may have rolled
// back by itself since, and another program may have opened a checkpoint: that one must not be rolled back.
func (m *networkManager) noteOthers(ctx context.Context, p *plan, checkpoint string) error {
	if checkpoint == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, m.limits.Call)
	defer cancel()
	now, err := undo.ReadManager(ctx)
	if err != nil {
		return err
	}
	p.Before.Manager.Checkpoints = slices.DeleteFunc(now.Checkpoints, func(one dbus.ObjectPath) bool { return string(one) == checkpoint })
	return nil
}

func (m *networkManager) restore(ctx context.Context, p *plan) (leftover string) {
	return p.Before.Restore(ctx, func(ctx context.Context, state []byte) error {
		return applyInWorker(ctx, m.flags(), state)
	})
}

// rebooted: NetworkManager's checkpoints are gone, and its profiles are on the disk.
func (m *networkManager) rebooted(ctx context.Context, p *plan) (leftover string) {
	return m.restore(ctx, p)
}

// resume commits the change if its checkpoint is still open. If it is not, it was committed, or
// rolled back: then the network is as it was before, and not as desired.
func (m *networkManager) resume(ctx context.Context, p *plan, checkpoint string) (has bool, err error) {
	now, err := undo.ReadManager(ctx)
	if err != nil {
		return false, err
	}
	ours := slices.DeleteFunc(now.Checkpoints, func(one dbus.ObjectPath) bool {
		return slices.Contains(p.Before.Manager.Checkpoints, one) || checkpoint != "" && string(one) != checkpoint
	})
	if len(ours) > 0 {
		return true, m.commit(ctx, string(ours[0]))
	}
	differences, err := p.Before.Differences(ctx)
	if err != nil || len(differences) > 0 {
		return err == nil, err
	}
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
