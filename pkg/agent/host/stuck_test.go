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
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// systemBus returns a connection to the node's bus.
func systemBus(t *testing.T) *dbus.Conn {
	t.Helper()
	bus, err := dbus.ConnectSystemBus()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Close() })
	return bus
}

// signalNetworkManager sends the node's NetworkManager a signal.
func signalNetworkManager(t *testing.T, signal syscall.Signal) {
	t.Helper()
	var pid uint32
	if err := systemBus(t).BusObject().Call("org.freedesktop.DBus.GetConnectionUnixProcessID", 0, undo.NetworkManagerName).Store(&pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(int(pid), signal); err != nil {
		t.Fatal(err)
	}
}

// TestManagedStuckNetworkManager: while it does not answer, a change ends within its limits, and the next one works
// once NetworkManager does.
func TestManagedStuckNetworkManager(t *testing.T) {
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	t.Cleanup(func() { forgetProfiles(t) })
	for _, moment := range []transaction.Moment{transaction.AfterPrepared, transaction.AfterApplied, transaction.AfterConfirmed} {
		t.Run(string(moment), func(t *testing.T) {
			forgetProfiles(t)
			stopped := false
			h, err := New(Config{StateDir: t.TempDir(), Backend: BackendNetworkManager, Confirmer: yes{}, adjust: func(config *transaction.Config) {
				config.Limits.Silence, config.Limits.Commit, config.Limits.Call, config.Limits.Undo = 5*time.Second, 3*time.Second, 3*time.Second, 20*time.Second
				config.At = func(is transaction.Moment) {
					if is == moment && !stopped {
						stopped = true
						signalNetworkManager(t, syscall.SIGSTOP)
					}
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			h.showLimit = 3 * time.Second
			run(t, h)
			t.Cleanup(func() { signalNetworkManager(t, syscall.SIGCONT) })
			before := picture(t)
			_, err = h.Apply(t.Context(), desire(t, h, address(77)))
			h.mu.Lock()
			last := h.view.record.LastApply
			h.mu.Unlock()
			if agent.KindOf(err) != agent.Failed || last.Outcome != v1alpha1.ApplyRolledBack || !strings.Contains(last.Message, "NetworkManager does not answer") {
				t.Errorf("it ended with %v, %+v", err, last)
			}
			if moment == transaction.AfterApplied && picture(t) != before {
				t.Errorf("the kernel is not as before: %s", changed(before, picture(t)))
			}
			wantLeftover := func(want bool) func(*v1alpha1.NodeNetworkState) bool {
				return func(obj *v1alpha1.NodeNetworkState) bool {
					c := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionFailing)
					return (c.Reason == v1alpha1.ReasonRollbackIncomplete) == want
				}
			}
			awaitObject(t, h, wantLeftover(true))
			signalNetworkManager(t, syscall.SIGCONT)
			awaitObject(t, h, wantLeftover(false)) // it is undone without a further change
			if strings.Contains(picture(t)+profiles(t), "198.51.100.77") {
				t.Errorf("what was rolled back is there:\n%s\n%s", picture(t), profiles(t))
			}
			if _, err := h.Apply(t.Context(), desire(t, h, address(78))); err != nil {
				t.Errorf("the next change ended with %v", err)
			}
			if strings.Contains(picture(t), "198.51.100.77") {
				t.Errorf("what was rolled back is there again:\n%s", picture(t))
			}
		})
	}
}

// TestManagedForeignCheckpoint: NetworkManager keeps one at a time.
func TestManagedForeignCheckpoint(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	t.Cleanup(func() { forgetProfiles(t) })
	before := managedPicture(t)
	manager := systemBus(t).Object(undo.NetworkManagerName, undo.NetworkManagerPath)
	var path dbus.ObjectPath
	if err := manager.Call(undo.NetworkManagerName+".CheckpointCreate", 0, []dbus.ObjectPath{}, uint32(60), uint32(0)).Store(&path); err != nil {
		t.Fatal(err)
	}
	_, err := h.Apply(t.Context(), desire(t, h, address(79)))
	if agent.KindOf(err) != agent.Failed || !strings.Contains(err.Error(), v1alpha1.ReasonCheckpointPending) || managedPicture(t) != before {
		t.Errorf("it ended with %v", err)
	}
	if now, err := undo.ReadManager(t.Context()); err != nil || len(now.Checkpoints) != 1 {
		t.Errorf("the other program's checkpoint: %v, %v", now.Checkpoints, err)
	}
	if call := manager.Call(undo.NetworkManagerName+".CheckpointDestroy", 0, path); call.Err != nil {
		t.Fatal(call.Err)
	}
	if _, err := h.Apply(t.Context(), desire(t, h, address(79))); err != nil {
		t.Errorf("the next change ended with %v", err)
	}
}

// TestManagedForeignCheckpointMeanwhile: another program opens one once ours is gone. It stays when ours is missed.
func TestManagedForeignCheckpointMeanwhile(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	t.Cleanup(func() { forgetProfiles(t) })
	obj, err := h.Apply(t.Context(), confirmed(t, h, address(81), v1alpha1.ConfirmManually, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	now, err := undo.ReadManager(t.Context())
	if err != nil || len(now.Checkpoints) != 1 {
		t.Fatalf("while a user is awaited there are %v, %v", now.Checkpoints, err)
	}
	manager := systemBus(t).Object(undo.NetworkManagerName, undo.NetworkManagerPath)
	if call := manager.Call(undo.NetworkManagerName+".CheckpointRollback", 0, now.Checkpoints[0]); call.Err != nil {
		t.Fatal(call.Err)
	}
	var theirs dbus.ObjectPath
	if err := manager.Call(undo.NetworkManagerName+".CheckpointCreate", 0, []dbus.ObjectPath{}, uint32(120), uint32(0)).Store(&theirs); err != nil {
		t.Fatal(err)
	}
	obj, err = h.Decide(t.Context(), agent.Decision{Transaction: obj.Status.LastApply.ID, User: "admin"})
	if err != nil && agent.KindOf(err) != agent.Conflict {
		t.Errorf("the rollback ended with %v, %+v", err, obj)
	}
	if now, err := undo.ReadManager(t.Context()); err != nil || !slices.Contains(now.Checkpoints, theirs) {
		t.Errorf("the other program's checkpoint %s: there are %v, %v", theirs, now.Checkpoints, err)
	}
	if call := manager.Call(undo.NetworkManagerName+".CheckpointDestroy", 0, theirs); call.Err != nil {
		t.Error(call.Err)
	}
}
