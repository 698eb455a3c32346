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
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// randomFaults, in the environment, is how many applies are killed at a random moment, with each backend.
const randomFaults = "NMSTATE_TEST_RANDOM_FAULTS"

// TestKilledAtAnyMoment: agent, or agent and worker, at a random moment of changes that are committed, or rolled back.
func TestKilledAtAnyMoment(t *testing.T) {
	randomKills{backend: BackendKernel, newHost: newHost, picture: picture, changes: []randomChange{
		{"a pair of veths", func(int) string { return veth(0) }, false},
		{"a failure half-way", func(int) string { return halfWay }, false},
	}}.run(t, "12")
}

// TestManagedKilledAtAnyMoment is the same with NetworkManager.
func TestManagedKilledAtAnyMoment(t *testing.T) {
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	another := func(n int) string { return address(100 + n%100) }
	randomKills{backend: BackendNetworkManager, newHost: newManagedHost, picture: managedPicture, changes: []randomChange{
		{"an address", another, false},
		{"an address that a user refuses", another, true},
	}}.run(t, "4")
}

// randomKills are kills at random moments of changes with one backend.
type randomKills struct {
	backend BackendChoice
	newHost func(*testing.T, string) *Host
	picture func(*testing.T) string
	changes []randomChange
}

// randomChange makes a state, another one for each number. A user has it rolled back if refused is set.
type randomChange struct {
	name    string
	state   func(n int) string
	refused bool
}

// run makes as many kills as the environment says. The moments are spread evenly over the time that the changes take.
func (k randomKills) run(t *testing.T, byDefault string) {
	t.Helper()
	times, err := strconv.Atoi(cmp.Or(os.Getenv(randomFaults), byDefault))
	if err != nil {
		t.Fatal(err)
	}
	lasts := map[string]time.Duration{}
	for i, change := range k.changes {
		t.Run("how long is "+change.name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := k.start(t, dir, change, -1-i)
			begin := time.Now()
			_ = cmd.Wait()
			lasts[change.name] = time.Since(begin)
			k.newHost(t, dir) // it takes away what the test has made
		})
	}
	outcomes := map[string]int{}
	for n := range times {
		change, victim := k.changes[n/2%len(k.changes)], []string{agentDies, bothDie}[n%2]
		dir := t.TempDir()
		before := k.picture(t)
		cmd := k.start(t, dir, change, n)
		wait := rand.N(lasts[change.name] * 3 / 2) // a busy machine takes longer
		time.Sleep(wait)                           // the moment is to be a random one
		if victim == bothDie {
			die(dir, workerDies)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Run(fmt.Sprintf("%d/%s/%s/%s", n, change.name, victim, wait), func(t *testing.T) {
			h := k.newHost(t, dir)
			obj := recovered(t, h)
			last := obj.Status.LastApply
			if last == nil {
				outcomes["nothing was begun"]++
				if now := k.picture(t); now != before {
					t.Errorf("nothing is told, and the node is not as before:\n%s", changed(before, now))
				}
				return
			}
			oldOrNew(t, obj, before, k.picture(t), change.state(n))
			outcomes[fmt.Sprintf("%s %s", last.Outcome, last.Reason)]++
		})
	}
	t.Logf("the changes take %v; outcomes: %v", lasts, outcomes)
}

// start starts an agent that makes the change, and returns once it has begun.
func (k randomKills) start(t *testing.T, dir string, change randomChange, n int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", agentCommand)
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashBackend+"="+string(k.backend), crashState+"="+change.state(n))
	if change.refused {
		cmd.Env = append(cmd.Env, crashMode+"="+string(v1alpha1.ConfirmManually), crashRefuse+"=yes")
	}
	says, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := says.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the agent has ended before its change: %v", err)
	}
	return cmd
}
