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
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/vishvananda/netlink"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// killNetworkManager kills the node's NetworkManager. It returns when the bus has noticed that.
func killNetworkManager() error {
	bus, err := dbus.ConnectSystemBus()
	if err != nil {
		return err
	}
	defer bus.Close()
	ends := make(chan *dbus.Signal, 16)
	bus.Signal(ends)
	if err := bus.AddMatchSignal(dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, undo.NetworkManagerName)); err != nil {
		return err
	}
	var pid uint32
	if err := bus.BusObject().Call("org.freedesktop.DBus.GetConnectionUnixProcessID", 0, undo.NetworkManagerName).Store(&pid); err != nil {
		return err
	}
	if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil {
		return err
	}
	for end := range ends {
		if end.Name == "org.freedesktop.DBus.NameOwnerChanged" && end.Body[2] == "" {
			return nil
		}
	}
	return errors.New("the bus has ended")
}

// startNetworkManager starts it as the node has started it. It may not answer yet.
func startNetworkManager() error {
	if out, err := exec.Command("NetworkManager", "--log-level=INFO").CombinedOutput(); err != nil {
		return fmt.Errorf("starting NetworkManager: %w: %s", err, out)
	}
	return nil
}

// awaitNetworkManager waits until NetworkManager has started.
func awaitNetworkManager(t *testing.T) {
	t.Helper()
	netns.Run(t, "nm-online", "--quiet", "--wait-for-startup", "--timeout=60")
}

// The moments in the midst of libnmstate's apply.
const (
	whenCheckpointIsOpen   = "the checkpoint is open"
	whenTheAddressIsSet    = "the address is set"
	whenAUserIsAwaited     = awaitingMoment
	againAtOnce            = "started again at once"
	againLater             = "started again later"
	killedAddress, killed7 = "198.51.100.%d", "198.51.107.%d"
)

// killing is one test with a NetworkManager that is killed.
type killing struct {
	moment string
	again  string
	// failing has the change fail when it is verified.
	failing bool
	n       int

	once sync.Once
	// done is closed when NetworkManager was killed, err is what went wrong then.
	done chan struct{}
	err  error
}

// state is a change of a profile on the disk, one in memory, a new one, and DNS.
func (k *killing) state() string {
	interfaces := fmt.Sprintf(`
		{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"`+killedAddress+`","prefix-length":24}]},"ipv6":{"enabled":false}},
		{"name":"mem7","type":"linux-bridge","state":"up","bridge":{"port":[]},"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"`+killed7+`","prefix-length":24}]},"ipv6":{"enabled":false}},
		{"name":"new%d","type":"linux-bridge","state":"up","bridge":{"port":[]}}`, k.n, k.n, k.n)
	if k.failing {
		return managedFailing(interfaces)
	}
	return fmt.Sprintf(`{"interfaces":[%s],"dns-resolver":{"config":{"server":["198.51.100.%d"]}}}`, interfaces, k.n)
}

// kill kills NetworkManager, once.
func (k *killing) kill() {
	k.once.Do(func() {
		defer close(k.done)
		if k.err = killNetworkManager(); k.err == nil && k.again == againAtOnce {
			k.err = startNetworkManager()
		}
	})
}

// at is called at each moment of the change.
func (k *killing) at(t *testing.T) func(transaction.Moment) {
	return func(is transaction.Moment) {
		switch {
		case k.moment == string(is):
			k.kill()
		case is == transaction.AfterPrepared && k.moment == whenCheckpointIsOpen:
			k.killWhenCheckpointIsOpen(t)
		case is == transaction.AfterPrepared && k.moment == whenTheAddressIsSet:
			k.killWhenTheAddressIsSet(t)
		}
	}
}

func (k *killing) killWhenCheckpointIsOpen(t *testing.T) {
	bus := systemBus(t)
	changes := make(chan *dbus.Signal, 64)
	bus.Signal(changes)
	if err := bus.AddMatchSignal(dbus.WithMatchObjectPath(undo.NetworkManagerPath), dbus.WithMatchMember("PropertiesChanged")); err != nil {
		t.Error(err)
	}
	go func() {
		for change := range changes {
			if change.Path != undo.NetworkManagerPath || len(change.Body) != 3 {
				continue
			}
			if properties, _ := change.Body[1].(map[string]dbus.Variant); properties["Checkpoints"].Value() != nil {
				k.kill()
				return
			}
		}
	}()
}

func (k *killing) killWhenTheAddressIsSet(t *testing.T) {
	updates, end := make(chan netlink.AddrUpdate, 64), make(chan struct{})
	if err := netlink.AddrSubscribe(updates, end); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() { close(end) })
	go func() {
		for update := range updates {
			if update.NewAddr && update.LinkAddress.IP.String() == fmt.Sprintf(killedAddress, k.n) {
				k.kill()
				return
			}
		}
	}()
}

// run makes the change. It fails the test unless the object tells what the node has, as soon as NetworkManager works.
func (k *killing) run(t *testing.T) {
	k.done = make(chan struct{})
	k.startProfiles(t)
	h, err := New(Config{StateDir: t.TempDir(), Backend: BackendNetworkManager, Confirmer: yes{}, adjust: func(config *transaction.Config) {
		if k.again == againLater {
			config.Limits.Backend = 2 * time.Second
		}
		config.At = k.at(t)
	}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, h)
	picture := func() string { return restoredPicture(t, true) }
	if k.failing && k.moment != string(transaction.BeforeUndo) {
		// All is undone already, and a NetworkManager that starts again makes the routes to each subnet anew.
		picture = func() string { return madeAnew.ReplaceAllString(restoredPicture(t, true), "") }
	}
	before := picture()
	mode := v1alpha1.ConfirmByReachability
	if k.moment == whenAUserIsAwaited {
		mode = v1alpha1.ConfirmManually
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	obj, err := h.Apply(ctx, confirmed(t, h, k.state(), mode, 30*time.Second))
	if k.moment == whenAUserIsAwaited {
		if err != nil {
			t.Fatal(err)
		}
		k.kill()
		_, err = h.Decide(ctx, agent.Decision{Transaction: obj.Status.LastApply.ID, Commit: true, User: "admin"})
	}
	select {
	case <-k.done:
	default:
		t.Fatalf("the change has ended with %v, and NetworkManager was not killed", err)
	}
	if k.err != nil {
		t.Fatal(k.err)
	}
	if k.again == againLater {
		if err := startNetworkManager(); err != nil {
			t.Fatal(err)
		}
	}
	awaitNetworkManager(t)
	awaitObject(t, h, func(obj *v1alpha1.NodeNetworkState) bool {
		return obj.Status.CurrentState != nil && apimeta.IsStatusConditionFalse(obj.Status.Conditions, v1alpha1.ConditionProgressing) &&
			apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionFailing).Reason != v1alpha1.ReasonRollbackIncomplete
	})
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	obj = h.feed.Last()
	last, now := obj.Status.LastApply, picture()
	t.Logf("it ended with %s %s, %v", last.Outcome, last.Reason, err)
	if (last.Outcome == v1alpha1.ApplyCommitted) != (err == nil) || last.FinishTime == nil {
		t.Errorf("it ended with %v, and lastApply is %+v", err, last)
	}
	if last.Outcome == v1alpha1.ApplyCommitted && (obj.Status.Difference != nil || !strings.Contains(now, fmt.Sprintf(killedAddress, k.n))) {
		t.Errorf("committed is said, and there is a difference: %s\n%s", obj.Status.Difference, changed(before, now))
	}
	if last.Outcome != v1alpha1.ApplyCommitted && now != before {
		t.Errorf("%s %s is said (%s), and the node is not as before:\n%s", last.Outcome, last.Reason, last.Message, changed(before, now))
	}
	if state, err := undo.ReadManager(t.Context()); err != nil || len(state.Checkpoints) > 0 {
		t.Errorf("checkpoints %v, %v", state.Checkpoints, err)
	}
	if _, err := h.Apply(t.Context(), desire(t, h, address(200+k.n%50))); err != nil {
		t.Errorf("the next change ended with %v", err)
	}
}

// startProfiles makes the profiles and addresses that a change alters. A NetworkManager that is killed forgets which profile is only in
// memory, so that each test begins anew.
func (k *killing) startProfiles(t *testing.T) {
	t.Helper()
	forgetProfiles(t)
	t.Cleanup(func() {
		forgetProfiles(t)
		netns.Run(t, "sh", "-c", fmt.Sprintf("nmcli connection delete 'in memory'; ip link del mem7; ip link del new%d; true", k.n))
	})
	startProfiles(t)
	netns.Run(t, "ip", "addr", "replace", "198.51.100.200/32", "dev", "eth1")
	netns.Run(t, "ip", "route", "replace", "198.18.2.0/24", "via", "198.51.100.67", "dev", "eth1", "proto", "static")
}

// TestManagedKilledNetworkManager: it is killed at each step of a change, and started again at once, or later.
func TestManagedKilledNetworkManager(t *testing.T) {
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	moments := []string{string(transaction.BeforePrepared), whenCheckpointIsOpen, whenTheAddressIsSet}
	for _, moment := range committedMoments {
		moments = append(moments, string(moment))
	}
	var kills []*killing
	for _, moment := range append(moments, whenAUserIsAwaited) {
		kills = append(kills, &killing{moment: moment})
	}
	for _, moment := range rolledBackMoments {
		kills = append(kills, &killing{moment: string(moment), failing: true})
	}
	sample := []string{whenCheckpointIsOpen + againAtOnce, whenTheAddressIsSet + againLater, string(transaction.AfterConfirmed) + againAtOnce, string(transaction.AfterConfirmed) + againLater}
	for i, one := range kills {
		for j, again := range []string{againAtOnce, againLater} {
			k := &killing{moment: one.moment, failing: one.failing, again: again, n: 100 + 2*i + j}
			if os.Getenv(allFaults) != "" || slices.Contains(sample, k.moment+k.again) {
				t.Run(k.moment+"/"+k.again, k.run)
			}
		}
	}
}
