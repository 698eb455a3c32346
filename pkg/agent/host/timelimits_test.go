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
	"os/exec"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// held has the next workers wait before they apply, until the test ends. It returns what accepts them.
func held(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("unix", t.TempDir()+"/hold")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	t.Setenv(holdSocket, listener.Addr().String())
	return listener
}

// TestAnApplyThatTakesTooLong is undone, and the node is free afterwards.
func TestAnApplyThatTakesTooLong(t *testing.T) {
	held(t)
	h := newHostWith(t, t.TempDir(), yes{}, func(config *transaction.Config) { config.Limits.Apply = 5 * time.Second })
	before := picture(t)
	_, err := h.Apply(t.Context(), desire(t, h, veth(0)))
	if last := h.feed.Last().Status.LastApply; agent.KindOf(err) != agent.Failed || last.Reason != v1alpha1.ReasonTimedOut || last.Outcome != v1alpha1.ApplyRolledBack {
		t.Errorf("it ended with %v, %+v", err, last)
	}
	if now := picture(t); now != before {
		t.Errorf("not as before: %s", changed(before, now))
	}
	if err := os.Unsetenv(holdSocket); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err != nil {
		t.Errorf("the next change ended with %v", err)
	}
}

// TestAnApplyWhenTheAgentEnds has some time left, and is undone then.
func TestAnApplyWhenTheAgentEnds(t *testing.T) {
	listener := held(t)
	dir := t.TempDir()
	h, err := New(Config{StateDir: dir, Backend: BackendKernel, Confirmer: yes{}, adjust: func(config *transaction.Config) {
		config.Limits.Stop = 500 * time.Millisecond
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := picture(t)
	applied := make(chan error, 1)
	change := desire(t, h, veth(0))
	go func() {
		_, err := h.Apply(context.Background(), change)
		applied <- err
	}()
	worker, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer worker.Close()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := <-applied; agent.KindOf(err) != agent.Failed {
		t.Errorf("it ended with %v", err)
	}
	if r, _ := newStore(dir).load(); r.LastApply.Reason != v1alpha1.ReasonAgentStopped || r.LastApply.Outcome != v1alpha1.ApplyRolledBack || picture(t) != before {
		t.Errorf("lastApply is %+v", r.LastApply)
	}
}

// TestAWorkerOfADeadAgentThatIsStuck is killed by the next agent, which undoes the change.
func TestAWorkerOfADeadAgentThatIsStuck(t *testing.T) {
	listener := held(t)
	dir := t.TempDir()
	before := picture(t)
	dead := exec.Command("/proc/self/exe", agentCommand)
	dead.Env = append(os.Environ(), crashDir+"="+dir, crashBackend+"="+string(BackendKernel), crashState+"="+veth(0))
	if err := dead.Start(); err != nil {
		t.Fatal(err)
	}
	worker, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer worker.Close()
	if err := dead.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.Wait()
	if err := os.Unsetenv(holdSocket); err != nil {
		t.Fatal(err)
	}
	h := newHostWith(t, dir, yes{}, func(config *transaction.Config) { config.Limits.Lock = time.Second })
	if _, err := h.Apply(t.Context(), desire(t, h, veth(1))); agent.KindOf(err) != agent.Busy {
		t.Errorf("while the worker is stuck a change ends with %v", err)
	}
	obj := recovered(t, h)
	if last := obj.Status.LastApply; last.Reason != v1alpha1.ReasonAgentRestarted || last.Outcome != v1alpha1.ApplyRolledBack || picture(t) != before {
		t.Errorf("lastApply is %+v; %s", last, changed(before, picture(t)))
	}
	if _, err := h.Apply(t.Context(), desire(t, h, veth(1))); err != nil {
		t.Errorf("the next change ended with %v", err)
	}
}
