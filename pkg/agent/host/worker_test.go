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
	"net"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
)

// TestAWorkerThatDiesIsAnError, and what it did is undone.
func TestAWorkerThatDiesIsAnError(t *testing.T) {
	h := newHost(t, t.TempDir())
	t.Setenv(dieAfterApply, "yes")
	_, err := h.Apply(t.Context(), desire(t, h, veth(0)))
	if agent.KindOf(err) != agent.Failed || !strings.Contains(err.Error(), "this worker was to die") {
		t.Errorf("the apply ended with %v", err)
	}
	if _, err := net.InterfaceByName("v0a"); err == nil {
		t.Error("what was applied is left")
	}
}
