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
	"fmt"
	"sync"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Harness is what the conformance suite needs to know of the fake's node.
type Harness struct {
	node    *Agent
	changes int
}

// failing is the name of an interface that no apply can make.
const failing = "fails0"

// NewHarness returns a Harness of the node; it sets its hooks.
func NewHarness(node *Agent) *Harness {
	node.SetHooks(Hooks{Apply: fail})
	return &Harness{node: node}
}

func fail(change agent.Change) error {
	wanted, err := parse(change.Object.Spec.DesiredState)
	if err == nil && wanted.named(failing) != nil {
		err = &agent.Error{Kind: agent.Failed, Reason: "VerificationError", Message: failing + " is not there"}
	}
	return err
}

// Agent returns the node's agent itself.
func (h *Harness) Agent() agent.Agent { return h.node }

// Change gives the node another hostname, behind the agent's back.
func (h *Harness) Change(t *testing.T) {
	h.changes++
	h.edit(t, func(n network) network {
		return n.merged(network{"hostname": fmt.Sprintf("host%d", h.changes)})
	})
}

// DesiredState is one interface.
func (h *Harness) DesiredState(n int) *v1alpha1.State {
	return v1alpha1.NewState(fmt.Appendf(nil, `{"interfaces":[{"name":"eth%d","type":"dummy","state":"up"}]}`, n))
}

// InvalidState has a section that nmstate does not know.
func (h *Harness) InvalidState() *v1alpha1.State {
	return v1alpha1.NewState([]byte(`{"colour":"green"}`))
}

// FailingState is an interface that no apply can make.
func (h *Harness) FailingState() *v1alpha1.State {
	return v1alpha1.NewState([]byte(`{"interfaces":[{"name":"` + failing + `"}]}`))
}

// Hold holds applies up half-way.
func (h *Harness) Hold(t *testing.T) func() {
	held := make(chan struct{})
	h.node.SetHooks(Hooks{Apply: func(change agent.Change) error {
		<-held
		return fail(change)
	}})
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	return release
}

// Drift takes all interfaces away that DesiredState may have made.
func (h *Harness) Drift(t *testing.T) {
	h.edit(t, func(n network) network {
		left := n.merged(network{})
		left["interfaces"] = []any{iface("lo", "loopback")}
		return left
	})
}

// Expire ends the time in which the change that waits can be confirmed.
func (h *Harness) Expire(*testing.T) { h.node.Expire() }

func (h *Harness) edit(t *testing.T, edit func(network) network) {
	t.Helper()
	h.node.mu.Lock()
	edited := edit(h.node.network).state()
	h.node.mu.Unlock()
	if err := h.node.SetState(string(edited.Raw)); err != nil {
		t.Fatal(err)
	}
}
