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

package vm

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/vm/table"
)

var faultsFlag = flag.Int("faults", 0, "how many faults of each kind are made in the midst of changes of bonds, VLANs and Open vSwitch")

// kill is a shell script that kills the agent, its workers, or both. A worker's command line ends with its only argument.
const kill = `for p in /proc/[0-9]*; do
	case $(tr '\0' ' ' <$p/cmdline 2>/dev/null) in
	*/node-agent\ *|*/exe\ apply-worker\ *) ;; *) continue ;; esac
	case $(tr '\0' ' ' <$p/cmdline) in *apply-worker*) is=worker ;; *) is=agent ;; esac
	case %s in $is|both) kill -9 ${p#/proc/} ;; esac
done; true`

// fault is what fails, and how it is made to, the nth time.
type fault struct {
	name string
	// boots tells that the node boots: NetworkManager then activates all profiles anew.
	boots bool
	make  func(ctx context.Context, m *machine, n int) error
}

var faults = []fault{
	{"agent, worker or both are killed", false, func(ctx context.Context, m *machine, n int) error {
		victims := []string{"agent", "worker", "both"}
		_, err := m.exec(ctx, fmt.Sprintf(kill, victims[n%len(victims)]))
		return err
	}},
	{"the power is cut", true, func(ctx context.Context, m *machine, _ int) error {
		if _, err := m.run(ctx, "hack/vm/node.sh", "power-cut", m.name); err != nil {
			return err
		}
		_, err := m.run(ctx, "hack/vm/node.sh", "up", m.name)
		return err
	}},
}

// disturbed are the changes in the midst of which something fails, and what takes them away.
var disturbed = []struct {
	name, state, absent string
}{
	{
		"bond and VLAN",
		`{"interfaces":[{"name":"bond9","type":"bond","state":"up","link-aggregation":{"mode":"active-backup","options":{"miimon":"140"},"port":["eth1","eth2"]},
			"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.109.1","prefix-length":24}]}},
			{"name":"bond9.9","type":"vlan","state":"up","vlan":{"base-iface":"bond9","id":9},
			"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.110.1","prefix-length":24}]}}],
			"routes":{"config":[{"destination":"198.18.9.0/24","next-hop-interface":"bond9.9","next-hop-address":"198.51.110.9"}]}}`,
		`{"interfaces":[{"name":"bond9.9","type":"vlan","state":"absent"},{"name":"bond9","type":"bond","state":"absent"}]}`,
	},
	{
		"Open vSwitch",
		`{"interfaces":[{"name":"ovs9","type":"ovs-interface","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.111.1","prefix-length":24}]}},
			{"name":"ovs-br9","type":"ovs-bridge","state":"up","bridge":{"port":[{"name":"ovs9"},{"name":"eth3","vlan":{"mode":"access","tag":9}}]}}]}`,
		`{"interfaces":[{"name":"ovs9","type":"ovs-interface","state":"absent"},{"name":"ovs-br9","type":"ovs-bridge","state":"absent"}]}`,
	},
}

// TestFaults: whatever fails in the midst of a change, the node has the state before or the one after, and the object says which.
func TestFaults(t *testing.T) {
	if *faultsFlag == 0 {
		t.Skip("-faults says how many are to be made")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{scripts: newScripts(root), results: &table.Results{Versions: map[v1alpha1.Backend]table.Versions{}}}
	m := &machine{suite: s, name: machines[v1alpha1.BackendNetworkManager], backend: v1alpha1.BackendNetworkManager}
	s.variables = append(s.variables, "VM_NODES="+m.name)
	if _, err := s.run(t.Context(), "hack/vm/up.sh"); err != nil {
		t.Fatal(err)
	}
	if err := m.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, change := range disturbed {
		state, absent := parse(t, change.state), parse(t, change.absent)
		begun := time.Now()
		if err := m.apply(t.Context(), state); err != nil {
			t.Fatalf("%s: %v", change.name, err)
		}
		takes := time.Since(begun)
		for _, fault := range faults {
			t.Run(change.name+", "+fault.name, func(t *testing.T) {
				for n := range *faultsFlag {
					if err := m.apply(t.Context(), absent); err != nil {
						t.Fatal(err)
					}
					after := rand.N(takes)
					outcome, err := m.disturb(t.Context(), state, after, fault, n)
					if err != nil {
						t.Errorf("fault %d, %v after the change was sent: %v", n, after.Round(time.Millisecond), err)
					}
					t.Logf("fault %d, %v after the change was sent: %s", n, after.Round(time.Millisecond), outcome)
				}
			})
		}
	}
}

func parse(t *testing.T, text string) table.State {
	t.Helper()
	var state table.State
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	return state
}

// disturb sends a change, makes a fault the nth time a while later, and checks what has come of both. It returns the change's outcome.
func (m *machine) disturb(ctx context.Context, state table.State, after time.Duration, fault fault, n int) (v1alpha1.ApplyOutcome, error) {
	before, err := m.facts(ctx)
	if err != nil {
		return "", err
	}
	was, err := m.get(ctx)
	if err != nil {
		return "", err
	}
	answered := make(chan error, 1)
	go func() { answered <- m.apply(ctx, state) }()
	select {
	case <-time.After(after):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if err := fault.make(ctx, m, n); err != nil {
		return "", err
	}
	answer := <-answered
	obj, err := m.wait(ctx, "end what was under way", idle)
	if err != nil {
		return "", err
	}
	last := obj.Status.LastApply // there was a change before
	switch {
	case last.ID == was.Status.LastApply.ID:
		return "NotBegun", m.notCommitted(ctx, before, was, obj, answer, fault)
	case last.Outcome == v1alpha1.ApplyRolledBack, last.Outcome == v1alpha1.ApplyRejected:
		return last.Outcome, m.notCommitted(ctx, before, was, obj, answer, fault)
	case last.Outcome == v1alpha1.ApplyCommitted:
		_, err := m.wait(ctx, "be in sync with what was committed", inSync)
		return last.Outcome, err
	}
	return last.Outcome, fmt.Errorf("the change has ended as %+v, answered %v", last, answer)
}

// notCommitted checks that the node is as before, and that the object says so.
func (m *machine) notCommitted(ctx context.Context, before table.Facts, was, is *v1alpha1.NodeNetworkState, answer error, fault fault) error {
	last := is.Status.LastApply
	if strings.Contains(last.Message, "could not be put back") {
		return fmt.Errorf("lastApply is %+v", last)
	}
	if !v1alpha1.SameState(is.Spec.DesiredState, was.Spec.DesiredState) {
		return fmt.Errorf("the change was not committed, and the spec is another one: %+v, answered %v", last, answer)
	}
	if fault.boots {
		return m.unchanged(ctx, before, true, table.Activation)
	}
	return m.unchanged(ctx, before, true)
}
