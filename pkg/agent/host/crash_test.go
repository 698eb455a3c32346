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
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	"github.com/nmstate/kubernetes-nmstate/test/netns"
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
	_, applied := h.Apply(ctx, change)
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

// randomFaults, in the environment, is how many applies are killed at a random moment.
const randomFaults = "NMSTATE_TEST_RANDOM_FAULTS"

// TestKilledAtAnyMoment: agent, or agent and worker, at a random moment of changes that are committed, or rolled back.
func TestKilledAtAnyMoment(t *testing.T) {
	times, err := strconv.Atoi(cmp.Or(os.Getenv(randomFaults), "12"))
	if err != nil {
		t.Fatal(err)
	}
	var committed, rolledBack, untouched int
	for n := range times {
		state, victim := veth(0), []string{agentDies, bothDie}[n%2]
		if n%3 == 0 {
			state = halfWay
		}
		dir := t.TempDir()
		before := picture(t)
		cmd := exec.Command("/proc/self/exe", agentCommand)
		cmd.Env = append(os.Environ(), crashDir+"="+dir, crashBackend+"="+string(BackendKernel), crashState+"="+state)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wait := time.Duration(rand.IntN(400)) * time.Millisecond
		time.Sleep(wait) // the moment is to be a random one
		if victim == bothDie {
			die(dir, workerDies)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Run(fmt.Sprintf("%d/%s/%s", n, victim, wait), func(t *testing.T) {
			h := newHost(t, dir)
			obj := recovered(t, h)
			switch {
			case obj.Status.LastApply == nil:
				untouched++
				if now := picture(t); now != before {
					t.Errorf("nothing is told, and the node is not as before:\n%s", changed(before, now))
				}
			case oldOrNew(t, obj, before, picture(t), state):
				committed++
			default:
				rolledBack++
			}
		})
	}
	t.Logf("%d were committed, %d rolled back, %d not begun", committed, rolledBack, untouched)
}

// TestABootInTheMidstOfAChange: what the kernel had is gone, and the files are put back. What was confirmed is applied again.
func TestABootInTheMidstOfAChange(t *testing.T) {
	for _, moment := range []transaction.Moment{transaction.AfterApplied, transaction.AfterConfirmed} {
		t.Run(string(moment), func(t *testing.T) {
			dir := t.TempDir()
			t.Cleanup(func() { clean(t) })
			const before = "nameserver 192.0.2.1\n"
			if err := os.WriteFile("/etc/resolv.conf", []byte(before), 0o644); err != nil {
				t.Fatal(err)
			}
			state := strings.TrimSuffix(veth(0), "}") + `,"dns-resolver":{"config":{"server":["192.0.2.53"]}}}`
			crash(t, dir, BackendKernel, state, moment, bothDie, v1alpha1.ConfirmByReachability)
			path := filepath.Join(dir, "transaction.journal")
			if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "192.0.2.53") {
				t.Fatalf("the journal is %s, %v", text, err)
			}
			netns.Run(t, "ip", "link", "del", "v0a")
			config := Config{StateDir: dir, Backend: BackendKernel, Confirmer: yes{}, adjust: func(c *transaction.Config) { c.Kernel = "another boot" }}
			h, err := New(config)
			if err != nil {
				t.Fatal(err)
			}
			h.kernel = "another boot"
			run(t, h)
			obj := recovered(t, h)
			resolver, err := os.ReadFile("/etc/resolv.conf")
			if err != nil {
				t.Fatal(err)
			}
			if moment == transaction.AfterApplied {
				if last := obj.Status.LastApply; last.Reason != v1alpha1.ReasonRebooted || obj.Generation != 1 || string(resolver) != before {
					t.Errorf("lastApply is %+v; resolv.conf %s", last, resolver)
				}
				return
			}
			obj = awaitObject(t, h, func(obj *v1alpha1.NodeNetworkState) bool {
				return obj.Status.LastApply.User == ItselfUser && obj.Status.LastApply.Outcome == v1alpha1.ApplyCommitted
			})
			if obj.Generation != 2 || obj.Status.Difference != nil || string(resolver) == before {
				t.Errorf("lastApply is %+v; resolv.conf %s", obj.Status.LastApply, resolver)
			}
		})
	}
}

// TestADiskThatIsFullAtEachStep: the change is refused or undone, or committed all the same; never a half.
func TestADiskThatIsFullAtEachStep(t *testing.T) {
	for _, moment := range append([]transaction.Moment{transaction.BeforePrepared}, append(committedMoments, rolledBackMoments...)...) {
		t.Run(string(moment), func(t *testing.T) {
			dir := t.TempDir()
			tmpfs(t, dir)
			filled := false
			filler := filepath.Join(dir, "filler")
			h := newHostWith(t, dir, yes{}, func(config *transaction.Config) {
				config.At = func(is transaction.Moment) {
					if is == moment && !filled {
						filled = true
						fill(t, filler)
					}
				}
			})
			state := veth(0)
			if strings.Contains(string(moment), "RolledBack") || strings.Contains(string(moment), "undo") || strings.Contains(string(moment), "told") {
				state = halfWay
			}
			before := picture(t)
			_, err := h.Apply(t.Context(), desire(t, h, state))
			obj := h.feed.Last()
			isNew := oldOrNew(t, obj, before, picture(t), state)
			if isNew != (err == nil) {
				t.Errorf("it ended with %v, lastApply %+v", err, obj.Status.LastApply)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Apply(t.Context(), desire(t, h, veth(1))); err != nil {
				t.Errorf("the next change ended with %v", err)
			}
		})
	}
}

// fill leaves no room on the disk.
func fill(t *testing.T, filler string) {
	file, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Error(err)
		return
	}
	defer file.Close()
	for block := make([]byte, 4096); ; {
		if _, err := file.Write(block); err != nil {
			return
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
