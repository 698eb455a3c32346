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
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

const (
	// agentCommand makes the test binary an agent that makes one change, and dies at a moment of it.
	agentCommand = "test-agent"
	crashDir     = "NMSTATE_TEST_DIR"
	crashBackend = "NMSTATE_TEST_BACKEND"
	crashState   = "NMSTATE_TEST_STATE"
	crashMoment  = "NMSTATE_TEST_MOMENT"
	crashVictim  = "NMSTATE_TEST_VICTIM"
	// crashMode is who confirms the change.
	crashMode = "NMSTATE_TEST_MODE"
	// crashRemoval is what becomes of what leaves the spec.
	crashRemoval = "NMSTATE_TEST_REMOVAL"
	// crashRefuse, if it is set, has a user roll the change back once it waits for one.
	crashRefuse = "NMSTATE_TEST_REFUSE"
)

// who is killed.
const (
	agentDies  = "agent"
	workerDies = "worker"
	bothDie    = "both"
)

// runTestAgent is an agent that makes one change.
func runTestAgent() error {
	dir := os.Getenv(crashDir)
	config := Config{StateDir: dir, Backend: BackendChoice(os.Getenv(crashBackend)), Confirmer: yes{}}
	config.adjust = func(config *transaction.Config) {
		config.At = func(moment transaction.Moment) {
			if string(moment) == os.Getenv(crashMoment) {
				die(dir, os.Getenv(crashVictim))
			}
		}
	}
	h, err := New(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	if _, err := h.Barrier(ctx); err != nil {
		return err
	}
	change := agent.Change{Object: h.feed.Last().DeepCopy(), User: "tester"}
	if change.Base, err = agent.Fingerprint(h.feed.Last()); err != nil {
		return err
	}
	change.Object.Spec.DesiredState = v1alpha1.NewState([]byte(os.Getenv(crashState)))
	change.Object.Spec.Confirmation = &v1alpha1.Confirmation{Mode: v1alpha1.ConfirmationMode(os.Getenv(crashMode))}
	change.Object.Spec.Removal = v1alpha1.RemovalPolicy(os.Getenv(crashRemoval))
	fmt.Println("begun") // the test that kills this agent reads it
	obj, applied := h.Apply(ctx, change)
	if applied == nil && os.Getenv(crashRefuse) != "" {
		_, applied = h.Decide(ctx, agent.Decision{Transaction: obj.Status.LastApply.ID, User: "admin"})
	}
	if os.Getenv(crashMoment) == awaitingMoment {
		die(dir, os.Getenv(crashVictim))
	}
	cancel()
	<-ended
	return applied
}

// awaitingMoment is when the change waits for a user.
const awaitingMoment = "awaiting"

var workerInJournal = regexp.MustCompile(`"worker":([0-9]+)`)

// die kills the worker, or this process, or both.
func die(dir, victim string) {
	journal, _ := os.ReadFile(filepath.Join(dir, "transaction.journal"))
	if match := workerInJournal.FindSubmatch(journal); match != nil && victim != agentDies {
		pid, _ := strconv.Atoi(string(match[1]))
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if victim != workerDies {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
}

// crash has an agent of its own make a change, in which something is killed.
func crash(t *testing.T, dir string, backend BackendChoice, state string, moment transaction.Moment, victim string, mode v1alpha1.ConfirmationMode) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", agentCommand)
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashBackend+"="+string(backend), crashState+"="+state,
		crashMoment+"="+string(moment), crashVictim+"="+victim, crashMode+"="+string(mode))
	out := &strings.Builder{}
	cmd.Stderr = out
	err := cmd.Run()
	var exit *exec.ExitError
	killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	if killed != (victim != workerDies) {
		t.Errorf("the agent ended with %v\n%s", err, out)
	}
}

// recovered waits until the agent has ended what was left, and returns the object.
func recovered(t *testing.T, h *Host) *v1alpha1.NodeNetworkState {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var last *v1alpha1.NodeNetworkState
	err := h.Watch(ctx, func(obj *v1alpha1.NodeNetworkState) {
		if last = obj; apimeta.IsStatusConditionFalse(obj.Status.Conditions, v1alpha1.ConditionProgressing) {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the agent did not end what was left: %v; %+v", err, last.Status.LastApply)
	}
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h.feed.Last()
}

// theMoments are those of a change that is committed, and those of one that is rolled back.
var (
	committedMoments = []transaction.Moment{
		transaction.AfterPrepared, transaction.BeforeApplied, transaction.AfterApplied, transaction.BeforeStaged, transaction.BeforeConfirmed,
		transaction.AfterConfirmed, transaction.AfterCommit, transaction.AfterAdopted, transaction.AfterCommitted,
	}
	rolledBackMoments = []transaction.Moment{
		transaction.BeforeUndo, transaction.BeforeRolledBack, transaction.AfterRolledBack, transaction.AfterTold,
	}
)

// oldOrNew fails the test unless the node is in its old state or in its new one, and the object says which.
func oldOrNew(t *testing.T, obj *v1alpha1.NodeNetworkState, before, now, state string) (isNew bool) {
	t.Helper()
	last := obj.Status.LastApply
	if last == nil {
		t.Fatal("nothing is told of the change")
	}
	isNew = v1alpha1.SameState(obj.Spec.DesiredState, v1alpha1.NewState([]byte(state)))
	if isNew != (last.Outcome == v1alpha1.ApplyCommitted) || last.ID == "" || last.FinishTime == nil {
		t.Errorf("lastApply is %+v, the spec %s", last, obj.Spec.DesiredState)
	}
	if isNew && (obj.Status.Difference != nil || now == before) {
		t.Errorf("committed is said, and there is a difference: %s", obj.Status.Difference)
	}
	if !isNew && now != before {
		t.Errorf("%s %s is said (%s), and the node is not as before:\n%s", last.Outcome, last.Reason, last.Message, changed(before, now))
	}
	return isNew
}

// TestKilledAtEachStep: agent, worker or both.
func TestKilledAtEachStep(t *testing.T) {
	for _, victim := range []string{agentDies, workerDies, bothDie} {
		for i, moment := range append(append([]transaction.Moment{awaitingMoment}, committedMoments...), rolledBackMoments...) {
			t.Run(victim+"/"+string(moment), func(t *testing.T) {
				state, mode := veth(0), v1alpha1.ConfirmByReachability
				if i > len(committedMoments) {
					state = halfWay
				}
				if moment == awaitingMoment {
					mode = v1alpha1.ConfirmManually
				}
				dir := t.TempDir()
				t.Cleanup(func() { clean(t) })
				before := picture(t)
				crash(t, dir, BackendKernel, state, moment, victim, mode)
				h := newHost(t, dir)
				obj := recovered(t, h)
				isNew := oldOrNew(t, obj, before, picture(t), state)
				after := i > 5 && i <= len(committedMoments)
				if worker := victim == workerDies && i > 0 && i <= len(committedMoments); isNew != (after || worker && moment != transaction.AfterPrepared) {
					t.Errorf("%s %s: %s", obj.Status.LastApply.Outcome, obj.Status.LastApply.Reason, obj.Status.LastApply.Message)
				}
				if want := map[string]string{agentDies: v1alpha1.ReasonAgentDied, bothDie: v1alpha1.ReasonAgentRestarted}[victim]; i <= 5 && want != "" && obj.Status.LastApply.Reason != want {
					t.Errorf("the reason is %s, not %s", obj.Status.LastApply.Reason, want)
				}
				if _, err := h.Apply(t.Context(), desire(t, h, veth(1))); err != nil {
					t.Errorf("the next change ended with %v", err)
				}
			})
		}
	}
}

// TestManagedKilledAtEachStep is the same with NetworkManager.
func TestManagedKilledAtEachStep(t *testing.T) {
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	moments := []transaction.Moment{awaitingMoment, transaction.AfterPrepared, transaction.AfterApplied, transaction.AfterConfirmed, transaction.AfterCommit}
	if os.Getenv(allFaults) != "" {
		moments = append([]transaction.Moment{awaitingMoment}, committedMoments...)
	}
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	t.Run("first", func(t *testing.T) { // the others start from what it has made
		h := newManagedHost(t, t.TempDir())
		if _, err := h.Apply(t.Context(), desire(t, h, address(99))); err != nil {
			t.Fatal(err)
		}
	})
	for i, moment := range moments {
		for _, victim := range []string{agentDies, bothDie, workerDies} {
			if victim == workerDies && moment != transaction.AfterPrepared && moment != transaction.AfterApplied {
				continue
			}
			t.Run(victim+"/"+string(moment), func(t *testing.T) {
				dir := t.TempDir()
				mode := v1alpha1.ConfirmByReachability
				if moment == awaitingMoment {
					mode = v1alpha1.ConfirmManually
				}
				before := picture(t)
				crash(t, dir, BackendNetworkManager, address(100+i), moment, victim, mode)
				h := newManagedHost(t, dir)
				obj := recovered(t, h)
				oldOrNew(t, obj, before, picture(t), address(100+i))
				if _, err := h.Apply(t.Context(), desire(t, h, address(99))); err != nil {
					t.Errorf("the next change ended with %v", err)
				}
			})
		}
	}
}

// allFaults, in the environment, has the tests with NetworkManager kill at each step, instead of some.
const allFaults = "NMSTATE_TEST_ALL_FAULTS"

// address is a state with one address.
func address(n int) string {
	return fmt.Sprintf(`{"interfaces":[{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.%d","prefix-length":24}]}}]}`, n)
}
