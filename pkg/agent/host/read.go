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

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/witness"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// state is the node's network as it was read.
type state struct {
	// full is all of it, without noise: what changes are validated and compared with.
	full []byte
	// shown is full without what is not shown.
	shown *v1alpha1.State
	count v1alpha1.InterfaceCount
	// veths are the names of the veths that are shown.
	veths map[string]bool
}

// proved tells whether the network was read, and is proved to be as it was then. If not, the caller must read it now, and ask
// NetworkManager as it says. While a change is being made with NetworkManager, its own reports prove nothing for long; see
// hasSeen, which needs answers that are no older than what the kernel shows.
func (h *Host) proved(with backend) (unchanged bool, ask nmstate.Asking) {
	change := h.changing()
	sources := witness.WithoutManager
	if with.name != v1alpha1.BackendKernel {
		sources = witness.WithManager
	}
	ctx, cancel := context.WithTimeout(context.Background(), busTimeout)
	defer cancel()
	now := witness.Facts{}
	if !with.silent {
		now = h.witness.Look(ctx, sources)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	wasRead := h.view.state != nil && h.view.backend == with
	unchanged = wasRead && (h.witness.Proves(now, sources) ||
		change != nil && h.witness.Proves(now, witness.WithoutManager) && h.hasSeen(change))
	if unchanged {
		return true, nmstate.Hold
	}
	if change != nil {
		change.read = true
	}
	if wasRead && change == nil {
		ask = h.asking(now)
	}
	h.witness.Begin(now)
	return false, ask
}

// asking says how NetworkManager is to be asked in a read that begins with these facts, while nmstate changes nothing. Where the kernel has
// changed, too, NetworkManager is asked last: it may not have seen that yet, and would tell of a link that is gone.
func (h *Host) asking(now witness.Facts) nmstate.Asking {
	switch {
	case h.witness.Proves(now, []witness.Source{witness.Manager}):
		return nmstate.Hold
	case h.witness.Proves(now, witness.WithoutManager):
		return nmstate.AskMeanwhile
	}
	return nmstate.AskLast
}

// retrieve has libnmstate read the network.
func (h *Host) retrieve(with backend, ask nmstate.Asking) (state string, err error) {
	state, _, err = h.answers.RetrieveNetState(with.flags(), ask)
	if err != nil || ask == nmstate.Hold || with.name == v1alpha1.BackendKernel {
		return state, err
	}
	applied, err := h.answers.Applied()
	h.witness.Applied(applied)
	return state, err
}

// changing returns the change that is being applied, or was applied and the network was not read since; nil if there is none.
func (h *Host) changing() *underWay {
	if change := h.applying(); change != nil {
		return change
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known != h.turns {
		return h.turned
	}
	return nil
}

// hasSeen tells whether the last read has seen a change that was applied meanwhile. It began after the change was asked for, and
// all that is asked for holds in it: then NetworkManager was done, whose profiles are older than what it makes of them. That
// the kernel's part is unchanged since is up to the witness. The caller holds the lock.
func (h *Host) hasSeen(change *underWay) bool {
	if !change.read || change.appliedAt.IsZero() || change.asked == nil || h.view.state == nil {
		return false
	}
	missing, err := differenceOf(change.asked, h.view.state, h.view.backend.name)
	return err == nil && missing == nil
}
