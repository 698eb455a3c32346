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
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
)

// TestDryRunsAreBounded: so many have a worker, the others wait for as long as
// they are waited for; and none of them holds up an apply.
func TestDryRunsAreBounded(t *testing.T) {
	h := newHost(t, t.TempDir())
	listener, err := net.Listen("unix", t.TempDir()+"/hold")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	t.Setenv(holdValidateSocket, listener.Addr().String())
	ended := make(chan error, maxDryRuns)
	change := desire(t, h, veth(0))
	var held []net.Conn
	for range maxDryRuns {
		go func() {
			_, err := h.Validate(t.Context(), change)
			ended <- err
		}()
	}
	for range maxDryRuns {
		worker, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, worker)
	}
	if err := os.Unsetenv(holdValidateSocket); err != nil {
		t.Fatal(err)
	}
	// A worker would be the quicker one, by far.
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := h.Validate(ctx, change); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one dry run more than %d ended with %v", maxDryRuns, err)
	}
	if _, err := h.Apply(t.Context(), change); err != nil {
		t.Errorf("the apply ended with %v", err)
	}
	for _, worker := range held {
		worker.Close()
	}
	for range maxDryRuns {
		if err := <-ended; err != nil {
			t.Errorf("a dry run that was held up ended with %v", err)
		}
	}
	if _, err := h.Validate(t.Context(), desire(t, h, veth(1))); err != nil {
		t.Errorf("the next dry run ended with %v", err)
	}
}

// TestADryRunThatWaitsInVainIsBusy: the API server would wait longer, and the
// client is to be told why and to come again.
func TestADryRunThatWaitsInVainIsBusy(t *testing.T) {
	h := newHost(t, t.TempDir())
	h.dryRunWait = 0
	if err := h.dryRuns.Acquire(t.Context(), maxDryRuns); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Validate(t.Context(), desire(t, h, veth(0))); agent.KindOf(err) != agent.Busy {
		t.Errorf("the dry run ended with %v", err)
	}
	h.dryRuns.Release(maxDryRuns)
	h.dryRunWait = dryRunWait
	if _, err := h.Validate(t.Context(), desire(t, h, veth(0))); err != nil {
		t.Errorf("the next dry run ended with %v", err)
	}
}

// TestADryRunWarnsOfWhatItCutsOff: of the way to the API server and of the node's address,
// also where the state only makes the interface another one's port.
func TestADryRunWarnsOfWhatItCutsOff(t *testing.T) {
	h := newHost(t, t.TempDir())
	if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err != nil {
		t.Fatal(err)
	}
	h.config.Server = "198.51.100.200:6444"
	for name, test := range map[string]struct {
		state string
		want  []string
	}{
		"something else": {state: veth(1)},
		"nothing":        {state: veth(0)},
		"a bridge's port": {
			state: `{"interfaces":[{"name":"v9br","type":"linux-bridge","state":"up","bridge":{"port":[{"name":"v0a"}]}}]}`,
			want: []string{
				"v0a becomes a port of v9br: it carries the way to the API server at 198.51.100.200:6444",
				"198.51.100.1 goes, which is an InternalIP of this node: v0a becomes a port of v9br",
			},
		},
	} {
		change := desire(t, h, test.state)
		change.Addresses = map[string][]string{"node1": {"198.51.100.1"}, "node2": {"198.51.100.2"}}
		plan, err := h.Validate(t.Context(), change)
		if err != nil || !slices.Equal(plan.Warnings, test.want) {
			t.Errorf("%s: %v, warnings %q", name, err, plan.Warnings)
		}
	}
}
