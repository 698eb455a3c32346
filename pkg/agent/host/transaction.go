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
	"time"

	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// transaction is one change of the network: check, apply, and then commit or undo.
// It keeps a copy of what it started from, so that reads can go on, and can fail,
// while it runs.
type transaction struct {
	backend backend
	// previous is the record before the change, after is the record once it is committed.
	previous, after record
	story           v1alpha1.LastApply
	rollbackAfter   time.Duration

	worker *worker
	// current is the network before the change. It has secrets and stays in here.
	current []byte
	// desired is what libnmstate is asked for.
	desired []byte
	// before is what the apply may change, as it was before; nil until it is noted.
	before *undo.Before
	// checkpoint is ours, if it is open.
	checkpoint string
	open       bool
}

// checkTimeout is how long reading and validating may take. A NetworkManager that is
// stuck must not block later changes, and nothing has been touched yet.
const checkTimeout = time.Minute

// check starts the transaction's worker, reads the network, and lets nmstate validate
// the state against it. Then it checks what the kernel is known to refuse. Nothing is
// touched.
func (t *transaction) check(ctx context.Context) error {
	var err error
	if t.worker, err = startWorker(ctx); err != nil {
		return failed(err)
	}
	defer t.worker.within(checkTimeout)()
	read, err := t.worker.do(workerRequest{Op: opRetrieve, Flags: t.backend.flags() | nmstate.IncludeSecrets})
	if err != nil {
		return &agent.Error{Kind: agent.Failed, Reason: v1alpha1.ReasonReadFailed, Message: t.scrub("reading the network: " + err.Error())}
	}
	t.current = read.State
	if t.desired, err = undo.WithoutPortsAddresses(t.after.Desired.Raw, t.current); err != nil {
		return t.translate(err)
	}
	current, err := tree.Decode(t.current)
	if err != nil {
		return t.translate(err)
	}
	if _, err = t.worker.do(workerRequest{Op: opValidate, State: withVRFs(t.desired, current), Current: t.current}); err != nil {
		return t.translate(err)
	}
	faults, err := impossible(t.after.Desired.Raw, t.current, kernelMakes)
	if err != nil {
		return t.translate(err)
	}
	if len(faults) > 0 {
		return invalid(faults.ToAggregate())
	}
	return nil
}

// apply makes the network what is desired. With NetworkManager it leaves a checkpoint
// open: NetworkManager undoes the change unless commit comes in time.
func (t *transaction) apply(ctx context.Context) error {
	flags := t.backend.flags()
	if t.managed() {
		flags |= nmstate.NoCommit
	}
	var err error
	t.before, err = undo.Note(ctx, undo.Request{Desired: t.after.Desired.Raw, Current: t.current, Managed: t.managed()})
	if err != nil {
		return t.translate(fmt.Errorf("noting the state before: %w", err))
	}
	keep, desired, err := undo.NewKeeper(t.before, t.desired)
	if err == nil {
		err = keep.Set()
	}
	if err != nil {
		return t.translate(err)
	}
	applied, err := t.worker.do(workerRequest{Op: opApply, Flags: flags, State: desired, RollbackAfter: t.rollbackAfter})
	t.checkpoint, t.open = applied.Checkpoint, err == nil && t.managed()
	if err == nil {
		err = keep.Keep()
	}
	return t.translate(err)
}

// commit makes the change permanent. Without NetworkManager there is nothing to do.
func (t *transaction) commit() error {
	if !t.open {
		return nil
	}
	if _, err := t.worker.do(workerRequest{Op: opCommit, Checkpoint: t.checkpoint}); err != nil {
		return t.translate(fmt.Errorf("committing the change: %w", err))
	}
	t.open = false
	return nil
}

// undo makes the network what it was before the change. It returns what could not be
// put back, "" if nothing.
func (t *transaction) undo(ctx context.Context) (leftover string) {
	if t.before == nil {
		return ""
	}
	if t.managed() {
		if err := t.rollBack(ctx); err != nil {
			// restore finds and reports what this has left.
			klog.FromContext(ctx).Error(errors.New(t.scrub(err.Error())), "Rolling NetworkManager back")
		}
	}
	return t.scrub(t.before.Restore(ctx, func(ctx context.Context, state []byte) error {
		return applyInWorker(ctx, t.backend.flags(), state)
	}))
}

// rollBack makes NetworkManager what it was before the change. nmstate has done it
// already if the apply failed. If the worker has died, nobody rolls its checkpoint
// back: rollBack waits until NetworkManager does, because a rollback that came later
// would undo what was put back, or applied, in the meantime.
func (t *transaction) rollBack(ctx context.Context) error {
	var errs []error
	if t.open {
		_, err := t.worker.do(workerRequest{Op: opRollback, Checkpoint: t.checkpoint})
		errs = append(errs, err)
	}
	return errors.Join(append(errs, t.before.AwaitRollback(ctx, t.rollbackAfter+undo.SettleTime))...)
}

// close ends the worker, and the watch over the links.
func (t *transaction) close() {
	t.before.Close()
	if t.worker != nil {
		_ = t.worker.close() // it may have ended before
	}
}

// managed tells whether NetworkManager carries the change out.
func (t *transaction) managed() bool { return t.backend.name == v1alpha1.BackendNetworkManager }

// states are the states whose secrets an error may quote. The current state is one of
// them: nmstate compares it, with its secrets, when it verifies.
func (t *transaction) states() [][]byte {
	states := [][]byte{t.current}
	for _, r := range []record{t.previous, t.after} {
		if r.Desired != nil {
			states = append(states, r.Desired.Raw)
		}
	}
	return states
}

func (t *transaction) scrub(text string) string { return secret.Scrub(text, t.states()...) }

func (t *transaction) translate(err error) error {
	if err == nil {
		return nil
	}
	return translate(err, t.states()...)
}

// translate turns libnmstate's error into the contract's, without the secrets of
// the given states.
func translate(err error, states ...[]byte) error {
	var failure *nmstate.Error
	if !errors.As(err, &failure) {
		return failed(errors.New(secret.Scrub(err.Error(), states...)))
	}
	kind := agent.Failed
	switch failure.Kind {
	case nmstate.InvalidArgument, nmstate.NotImplementedError, nmstate.NotSupportedError,
		nmstate.KernelIntegerRoundedError, nmstate.PolicyError:
		kind = agent.Invalid
	}
	return &agent.Error{Kind: kind, Reason: string(failure.Kind), Message: secret.Scrub(failure.Msg, states...)}
}
