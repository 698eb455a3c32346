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

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// check reads the network, finds out what is to be applied, and lets nmstate validate it against the network. Then it checks what
// the kernel is known to refuse. A NetworkManager that is stuck must not block later changes: the worker is killed when the limit is
// over. Nothing is touched.
func (t *transaction) check(ctx context.Context) error { return t.plan.explain(t.judge()) }

func (t *transaction) judge() error {
	defer t.worker.within(t.config.Limits.Check)()
	read, err := t.worker.do(workerRequest{Op: opRetrieve, Flags: t.backend.flags() | nmstate.IncludeSecrets})
	if err != nil {
		return &agent.Error{Kind: agent.Failed, Reason: v1alpha1.ReasonReadFailed, Message: t.plan.scrub("reading the network: " + err.Error())}
	}
	t.plan.Current = read.State
	if err := t.settle(); err != nil {
		return err
	}
	if t.desired, err = undo.WithoutPortsAddresses(t.plan.Desired, t.plan.Current); err != nil {
		return t.plan.translate(err)
	}
	valid, err := t.config.ToValidate(t.desired, t.plan.Current)
	if err != nil {
		return t.plan.translate(err)
	}
	if _, err = t.worker.do(workerRequest{Op: opValidate, State: valid, Current: t.plan.Current}); err != nil {
		return t.plan.translate(err)
	}
	for _, judge := range []func(desired, current []byte) (field.ErrorList, error){t.backend.refusals, t.config.Impossible} {
		faults, err := judge(t.plan.Desired, t.plan.Current)
		if err != nil {
			return t.plan.translate(err)
		}
		if len(faults) > 0 {
			return invalid(faults)
		}
	}
	t.revert()
	return nil
}

// settle finds out what the change comes to on the network that was read.
func (t *transaction) settle() error {
	settled, err := t.change.Settle(t.plan.Current)
	if err != nil {
		return t.plan.translate(err)
	}
	t.plan.Desired, t.plan.Record, t.plan.Left = settled.State, settled.Record, settled.Left
	t.plan.Difference = small(settled.Difference)
	return nil
}

// revert notes the state that undoes the change, for the history. nmstate cannot tell of every change, and
// the history can do without it.
func (t *transaction) revert() {
	reply, err := t.worker.do(workerRequest{Op: opRevert, State: t.plan.Desired, Current: t.plan.Current})
	if err != nil {
		return
	}
	if masked, err := secret.MaskState(reply.State); err == nil {
		t.plan.Reverse = small(v1alpha1.NewState(masked))
	}
}

// invalid returns the error for faults of the desired state that the agent itself
// has found. Its reason is the one that nmstate gives.
func invalid(faults field.ErrorList) error {
	return &agent.Error{Kind: agent.Invalid, Reason: string(nmstate.InvalidArgument), Message: faults.ToAggregate().Error()}
}
