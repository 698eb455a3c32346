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

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/preparation"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// kernel is the backend without NetworkManager. It has no checkpoints: a change is in effect
// when it is applied, and is undone by what was noted before. What libnmstate cannot make or set
// is prepared before libnmstate applies a state.
type kernel struct{}

func (kernel) flags() nmstate.Flags { return nmstate.KernelOnly }

func (kernel) answers(context.Context) error { return nil }

func (kernel) await(context.Context) {}

func (kernel) prepare(ctx context.Context, desired, current []byte) (*undo.Before, error) {
	return undo.Note(ctx, undo.Request{Desired: desired, Current: current})
}

func (kernel) refusals(desired, current []byte) (field.ErrorList, error) {
	root := field.NewPath("spec", "desiredState")
	faults, err := preparation.Refusals(root, desired, current)
	if err != nil {
		return nil, err
	}
	sysctls, err := preparation.SysctlRefusals(root, desired, current)
	faults = append(faults, sysctls...)
	why := unix.Access(undo.ResolvConf, unix.W_OK)
	if err != nil || !errors.Is(why, unix.EROFS) && !errors.Is(why, unix.EACCES) {
		return faults, err
	}
	setsDNS, err := preparation.SetsDNS(desired, current)
	if setsDNS {
		faults = append(faults, field.Forbidden(root.Child("dns-resolver"), fmt.Sprintf("without NetworkManager DNS cannot be set on this node: "+
			"its agent cannot write %s (%v), which in a container is not the node's", undo.ResolvConf, why)))
	}
	return faults, err
}

func (k kernel) apply(_ context.Context, w *worker, _ *plan, desired []byte) (checkpoint string, err error) {
	if _, err = w.do(workerRequest{Op: opApply, Flags: k.flags(), State: desired}); err == nil {
		undo.Flush()
	}
	return "", err
}

func (kernel) extend(context.Context, string) error { return nil }

func (kernel) commit(context.Context, string) error { return nil }

func (k kernel) undo(ctx context.Context, p *plan, _ string) undone {
	defer undo.Flush()
	return undone{leftover: p.Before.Restore(ctx, func(ctx context.Context, state []byte) error {
		return applyInWorker(ctx, k.flags(), state)
	})}
}

// resume: the change was in effect when it was confirmed.
func (kernel) resume(context.Context, *plan, string) (has bool, err error) { return true, nil }

// rebooted: the kernel has forgotten the change. The files that nmstate has written have not.
func (kernel) rebooted(ctx context.Context, p *plan) undone {
	defer undo.Flush()
	return undone{leftover: p.Before.RestoreFiles(ctx)}
}
