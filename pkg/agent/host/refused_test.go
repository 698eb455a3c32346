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
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// busConfig returns the file of the node's bus.
func busConfig(t *testing.T) string {
	t.Helper()
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range commands {
		words, _ := os.ReadFile(name) // the process may have ended
		for word := range bytes.SplitSeq(words, []byte{0}) {
			if path, is := strings.CutPrefix(string(word), "--config-file="); is {
				return path
			}
		}
	}
	t.Fatal("the node has no bus")
	return ""
}

// policy gives the node's bus another policy, until the test ends or it is called again with "".
func policy(t *testing.T) func(rule string) {
	path := busConfig(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set := func(rule string) {
		t.Helper()
		if err := os.WriteFile(path, bytes.Replace(before, []byte("</policy>"), []byte(rule+"</policy>"), 1), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := systemBus(t).BusObject().Call("org.freedesktop.DBus.ReloadConfig", 0).Err; err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { set("") })
	return set
}

// TestManagedCheckpointThatIsRefused: nothing is touched, and the next change works.
func TestManagedCheckpointThatIsRefused(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	t.Cleanup(func() { forgetProfiles(t) })
	set := policy(t)
	before := managedPicture(t)
	set(`<deny send_interface="org.freedesktop.NetworkManager" send_member="CheckpointCreate"/>`)
	_, err := h.Apply(t.Context(), desire(t, h, address(70)))
	unchanged(t, h, before, err)
	set("")
	if _, err := h.Apply(t.Context(), desire(t, h, address(71))); err != nil {
		t.Errorf("the next change ended with %v", err)
	}
}

// TestManagedCheckpointOfAnotherIsFirst: another program opens one when ours is about to be. Theirs stays.
func TestManagedCheckpointOfAnotherIsFirst(t *testing.T) {
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	t.Cleanup(func() { forgetProfiles(t) })
	manager := systemBus(t).Object(undo.NetworkManagerName, undo.NetworkManagerPath)
	var theirs dbus.ObjectPath
	h, err := New(Config{StateDir: t.TempDir(), Backend: BackendNetworkManager, Confirmer: yes{}, adjust: func(config *transaction.Config) {
		config.At = func(is transaction.Moment) {
			if is != transaction.AfterPrepared || theirs != "" {
				return
			}
			if err := manager.Call(undo.NetworkManagerName+".CheckpointCreate", 0, []dbus.ObjectPath{}, uint32(120), uint32(0)).Store(&theirs); err != nil {
				t.Error(err)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, h)
	before := managedPicture(t)
	if _, err := h.Apply(t.Context(), desire(t, h, address(72))); agent.KindOf(err) != agent.Failed || managedPicture(t) != before {
		t.Errorf("it ended with %v: %s", err, changed(before, managedPicture(t)))
	}
	if call := manager.Call(undo.NetworkManagerName+".CheckpointDestroy", 0, theirs); call.Err != nil {
		t.Errorf("the other program's checkpoint is gone: %v", call.Err)
	}
	if _, err := h.Apply(t.Context(), desire(t, h, address(73))); err != nil {
		t.Errorf("the next change ended with %v", err)
	}
}

// TestManagedNeitherOldNorNew: somebody has changed the network again before the next agent looks whether a change was committed.
func TestManagedNeitherOldNorNew(t *testing.T) {
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	if err := applyCommitted(t.Context(), []byte(address(74))); err != nil {
		t.Fatal(err)
	}
	dir, before := t.TempDir(), picture(t)
	crash(t, dir, BackendNetworkManager, address(75), transaction.AfterCommit, bothDie, v1alpha1.ConfirmByReachability)
	netns.Run(t, "nmcli", "connection", "modify", "eth1", "ipv4.addresses", "198.51.100.76/24")
	netns.Run(t, "nmcli", "connection", "up", "eth1")
	last := recovered(t, newManagedHost(t, dir)).Status.LastApply
	if last.Outcome != v1alpha1.ApplyRolledBack || last.Reason != v1alpha1.ReasonCommitLost || !strings.Contains(last.Message, "neither") {
		t.Errorf("lastApply is %+v", last)
	}
	if now := picture(t); now != before {
		t.Errorf("the node is not as before:\n%s", changed(before, now))
	}
}

// TestManagedNextAgentUndoes: NetworkManager is killed and does not come back, and the agent ends. The next one knows what it owes.
func TestManagedNextAgentUndoes(t *testing.T) {
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	if err := applyCommitted(t.Context(), []byte(address(84))); err != nil {
		t.Fatal(err)
	}
	dir, before := t.TempDir(), picture(t)+profiles(t)
	agentOf := func(at func(transaction.Moment)) (*Host, func()) {
		h, err := New(Config{StateDir: dir, Backend: BackendNetworkManager, Confirmer: yes{}, adjust: func(config *transaction.Config) {
			config.Limits.Backend, config.At = time.Second, at
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
		return h, func() {
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	}
	first, end := agentOf(func(is transaction.Moment) {
		if is == transaction.BeforeConfirmed {
			if err := killNetworkManager(); err != nil {
				t.Error(err)
			}
		}
	})
	_, err := first.Apply(t.Context(), desire(t, first, address(85)))
	end()
	if err == nil || !strings.Contains(err.Error(), "NetworkManager does not answer") {
		t.Errorf("it ended with %v", err)
	}
	second, end := agentOf(nil)
	defer end()
	incomplete := func(obj *v1alpha1.NodeNetworkState) bool {
		return apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionFailing).Reason == v1alpha1.ReasonRollbackIncomplete
	}
	if obj := second.feed.Last(); !incomplete(obj) {
		t.Errorf("the next agent shows %+v", obj.Status.Conditions)
	}
	if err := startNetworkManager(); err != nil {
		t.Fatal(err)
	}
	awaitObject(t, second, func(obj *v1alpha1.NodeNetworkState) bool { return !incomplete(obj) })
	if now := picture(t) + profiles(t); now != before {
		t.Errorf("the node is not as before:\n%s", changed(before, now))
	}
	if _, err := second.Apply(t.Context(), desire(t, second, address(86))); err != nil {
		t.Errorf("the next change ended with %v", err)
	}
}
