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
	"os"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// committedBy has an agent of its own, which ends, commit a state.
func committedBy(t *testing.T, dir, state string) {
	t.Helper()
	t.Run("it comes", func(t *testing.T) {
		h, err := New(Config{StateDir: dir, Backend: BackendKernel, Confirmer: yes{}})
		if err != nil {
			t.Fatal(err)
		}
		run(t, h)
		if _, err := h.Apply(t.Context(), desire(t, h, state)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestKilledWhileWhatLeavesIsTakenAway: either it has left and is gone, or it is in the spec and there, and the record knows what was
// before it.
func TestKilledWhileWhatLeavesIsTakenAway(t *testing.T) {
	t.Setenv(crashRemoval, string(v1alpha1.RemovalRevert))
	for _, moment := range []transaction.Moment{transaction.AfterPrepared, transaction.AfterApplied, transaction.BeforeConfirmed, transaction.AfterConfirmed, transaction.AfterAdopted} {
		for _, victim := range []string{agentDies, bothDie} {
			t.Run(victim+"/"+string(moment), func(t *testing.T) {
				t.Cleanup(func() { clean(t) })
				dir, start := t.TempDir(), picture(t)
				committedBy(t, dir, veth(0))
				came := picture(t)
				was, _ := newStore(dir).load()
				crash(t, dir, BackendKernel, "{}", moment, victim, "")
				h := newHost(t, dir)
				obj := recovered(t, h)
				is, _ := newStore(dir).load()
				if oldOrNew(t, obj, came, picture(t), "{}") {
					if len(is.Before) > 0 || picture(t) != start {
						t.Errorf("the record has %s, and the network differs by\n%s", is.Before, changed(start, picture(t)))
					}
					return
				}
				if len(was.Before) == 0 || string(is.Before) != string(was.Before) {
					t.Errorf("the record had %s, and has %s", was.Before, is.Before)
				}
				if _, err := h.Apply(t.Context(), removing(t, h, "{}")); err != nil || picture(t) != start {
					t.Errorf("afterwards it leaves with %v, and the network differs by\n%s", err, changed(start, picture(t)))
				}
			})
		}
	}
}

// TestWhatCannotBeTakenAway is refused, with its name and what to do, and a dry run says the same.
func TestWhatCannotBeTakenAway(t *testing.T) {
	h := newHost(t, t.TempDir())
	ethernets(t)
	const over = `{"name":"mv1","type":"mac-vlan","state":"up","mac-vlan":{"base-iface":"br1","mode":"bridge"}}`
	if _, err := h.Apply(t.Context(), desire(t, h, `{"interfaces":[`+bridgeWith("br1", "")+`,`+over+`]}`)); err != nil {
		t.Fatal(err)
	}
	before := removalPicture(t)
	change := removing(t, h, `{"interfaces":[`+over+`]}`)
	_, dry := h.Validate(t.Context(), change)
	_, err := h.Apply(t.Context(), change)
	for _, err := range []error{dry, err} {
		if agent.KindOf(err) != agent.Invalid || !strings.Contains(err.Error(), "spec.desiredState.interfaces[name=br1]: Forbidden: it leaves the spec, and spec.removal is Revert, "+
			"but it is needed by interface mv1: keep its entry, let what needs it go with it, or set spec.removal to Orphan") {
			t.Errorf("the change ended with %v", err)
		}
	}
	// What nmstate refuses may be what the user has not written.
	_, err = h.Apply(t.Context(), removing(t, h, `{"interfaces":[`+bridgeWith("br1", "")+`,{"name":"a-name-that-is-too-long","type":"linux-bridge","state":"up"}]}`))
	if agent.KindOf(err) != agent.Invalid || !strings.Contains(err.Error(), "; the change also takes away what has left the spec (interface mv1): with spec.removal set to Orphan it stays") {
		t.Errorf("the change ended with %v", err)
	}
	if last := h.feed.Last(); last.Status.LastApply.Outcome != v1alpha1.ApplyRejected || last.Spec.Removal != "" || removalPicture(t) != before {
		t.Errorf("lastApply is %+v, and the node differs by\n%s", last.Status.LastApply, changed(before, removalPicture(t)))
	}
}

// TestRemovalThatIsRolledBack leaves node, spec and record as they were.
func TestRemovalThatIsRolledBack(t *testing.T) {
	dir := t.TempDir()
	h := newHost(t, dir)
	ethernets(t)
	start := removalPicture(t)
	if _, err := h.Apply(t.Context(), desire(t, h, `{"interfaces":[`+bridgeWith("br1", ipv4("198.51.101.1/24"), "eth1")+`]}`)); err != nil {
		t.Fatal(err)
	}
	came := removalPicture(t)
	was, _ := newStore(dir).load()
	t.Setenv(dieAfterApply, "yes")
	_, err := h.Apply(t.Context(), removing(t, h, "{}"))
	if agent.KindOf(err) != agent.Failed || strings.Contains(err.Error(), "could not be put back") || removalPicture(t) != came {
		t.Errorf("the removal ended with %v, and the node differs by\n%s", err, changed(came, removalPicture(t)))
	}
	if is, _ := newStore(dir).load(); string(is.Before) != string(was.Before) || is.Removal != "" {
		t.Errorf("the record had %s, and has %s with the policy %q", was.Before, is.Before, is.Removal)
	}
	if err := os.Unsetenv(dieAfterApply); err != nil {
		t.Fatal(err)
	}
	obj, err := h.Apply(t.Context(), removing(t, h, "{}"))
	if err != nil || removalPicture(t) != start {
		t.Fatalf("the removal ended with %v, and the node differs by\n%s", err, changed(start, removalPicture(t)))
	}
	if info, err := os.Stat(newStore(dir).path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the record is %v, %v", info, err)
	}
	// The history tells what was made different, although the user has written nothing of it.
	if history, err := h.History(t.Context()); err != nil || !strings.Contains(string(history.Entries[0].Difference.Raw), `"name":"br1","state":"absent"`) || history.Entries[0].ID != obj.Status.LastApply.ID {
		t.Errorf("the history is %+v, %v", history, err)
	}
}

// TestRemovalAfterABoot: what the kernel has forgotten is applied again, and what the boot has brought is what there was before.
func TestRemovalAfterABoot(t *testing.T) {
	dir := t.TempDir()
	h := newHost(t, dir)
	ethernets(t)
	spec := `{"interfaces":[` + ethernet("eth1", `,"mtu":1400`) + `,` + bridgeWith("br1", "", "eth2") + `]}`
	change := desire(t, h, spec)
	change.Object.Spec.Reapply = v1alpha1.ReapplyNever
	if _, err := h.Apply(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	netns.Run(t, "ip", "link", "del", "br1")
	netns.Run(t, "ip", "link", "set", "eth1", "mtu", "1450")
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	h.view.record.Kernel = "the one before"
	h.mu.Unlock()
	booted := removalPicture(t)
	if _, err := h.Apply(t.Context(), desire(t, h, spec)); err != nil {
		t.Fatal(err)
	}
	if now := removalPicture(t); now == booted || !strings.Contains(now, "br1") {
		t.Errorf("the spec was not applied again: %s", now)
	}
	if _, err := h.Apply(t.Context(), removing(t, h, "{}")); err != nil {
		t.Fatal(err)
	}
	if now := removalPicture(t); now != booted {
		t.Errorf("the node is not as the boot has left it:\n%s", changed(booted, now))
	}
}

// TestDryRunOfARemovalWhileAChangeWaits for a user: what the change brings would be taken away.
func TestDryRunOfARemovalWhileAChangeWaits(t *testing.T) {
	h := newHost(t, t.TempDir())
	change := desire(t, h, veth(0))
	change.Object.Spec.Confirmation = &v1alpha1.Confirmation{Mode: v1alpha1.ConfirmManually}
	obj, err := h.Apply(t.Context(), change)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := h.Validate(t.Context(), removing(t, h, "{}"))
	if err != nil || plan.Object.Status.Difference == nil || !strings.Contains(string(plan.Object.Status.Difference.Raw), `"name":"v0a","state":"absent"`) {
		t.Errorf("a dry run ends with %+v, %v", plan, err)
	}
	if _, err := h.Decide(t.Context(), agent.Decision{Transaction: obj.Status.LastApply.ID, Commit: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Apply(t.Context(), removing(t, h, "{}")); err != nil {
		t.Error(err)
	}
}
