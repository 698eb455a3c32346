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

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// backend is what carries changes out on a node. All that differs between NetworkManager
// and the kernel alone is in its implementations.
type backend interface {
	// flags are those that libnmstate takes for the backend.
	flags() nmstate.Flags
	// await waits until the backend answers, or until ctx ends: an agent may start before it.
	await(ctx context.Context)
	// prepare notes what is needed to undo a change. It touches nothing. It refuses a change
	// that could not be undone.
	prepare(ctx context.Context, desired, current []byte) (*undo.Before, error)
	// refusals names what of a desired state the backend cannot set, and says what would be needed.
	refusals(desired, current []byte) (field.ErrorList, error)
	// apply has the worker apply a state and verify it. It returns the name of the checkpoint that
	// is open then, "" if the backend has none, or if the name is not known.
	apply(ctx context.Context, w *worker, p *plan, desired []byte) (checkpoint string, err error)
	// extend keeps the backend from undoing the change by itself, for extension from now on.
	extend(ctx context.Context, checkpoint string) error
	// commit makes the change permanent.
	commit(ctx context.Context, checkpoint string) error
	// undo makes the network what it was before the change. checkpoint is "" if it is not known.
	undo(ctx context.Context, p *plan, checkpoint string) undone
	// rebooted does what undo does after a boot of the node: what only the kernel had is gone.
	rebooted(ctx context.Context, p *plan) undone
	// answers returns an error if the backend does not answer.
	answers(ctx context.Context) error
	// resume finds out, of a change that is confirmed, whether the node has it. It commits
	// the change if that is still possible.
	resume(ctx context.Context, p *plan, checkpoint string) (has bool, err error)
}

// undone is how undoing a change went.
type undone struct {
	// leftover is what could not be put back, "" if nothing.
	leftover string
	// unsettled tells that the backend did not answer: the change must be undone again when it does.
	unsettled bool
}

// backends returns the two backends. dir is where the agent keeps its own files.
func backends(limits Limits, dir string, holds func(desired, current []byte) (bool, error)) map[v1alpha1.Backend]backend {
	return map[v1alpha1.Backend]backend{
		v1alpha1.BackendKernel:         kernel{},
		v1alpha1.BackendNetworkManager: networkManager{limits: limits, dir: dir, holds: holds},
	}
}
