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
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/conformance"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

const (
	// holdSocket is, in the environment, a socket on which a worker waits before it applies.
	holdSocket = "NMSTATE_TEST_HOLD"
	// holdValidateSocket is the same for a worker that is to validate.
	holdValidateSocket = "NMSTATE_TEST_HOLD_VALIDATE"
	// dieAfterApply, in the environment, makes a worker die once it has applied.
	dieAfterApply = "NMSTATE_TEST_DIE"
)

// TestMain gives the tests a network of their own, and is the worker when the
// agent under test runs itself as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == transaction.WorkerCommand {
		if err := runTestWorker(bufio.NewReader(os.Stdin)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == agentCommand {
		if err := runTestAgent(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(onNode) != "" {
		os.Exit(m.Run())
	}
	netns.Main(m)
}

// yes is a server elsewhere that can always be reached.
type yes struct{}

func (yes) Confirm(context.Context, agent.Question) (agent.Testimony, error) {
	return agent.Testimony{Server: "elsewhere"}, nil
}

// newHost returns an agent that runs until the test ends, with its record in
// dir; what the test leaves of its network is taken away.
func newHost(t *testing.T, dir string) *Host {
	t.Helper()
	h, err := New(Config{StateDir: dir, Backend: BackendKernel, Confirmer: yes{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clean(t) }) // once it has ended
	run(t, h)
	return h
}

// run runs an agent until the test ends.
func run(t *testing.T, h *Host) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the agent ended with %v", err)
		}
	})
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// clean leaves nothing but the loopback, as it is in a new network.
func clean(t *testing.T) {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Attrs().Name != "lo" {
			_ = netlink.LinkDel(l) // a veth's other end may have gone with the first
		}
	}
	netns.Run(t, "ip", "addr", "flush", "dev", "lo", "scope", "global")
	if err := os.WriteFile(undo.ResolvConf, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// node is the conformance suite's harness.
type node struct {
	host    *Host
	changes int
}

func (n *node) Agent() agent.Agent { return n.host }

func (n *node) Change(t *testing.T) {
	n.changes++
	netns.Run(t, "ip", "addr", "add", fmt.Sprintf("198.18.%d.%d/32", n.changes/256, n.changes%256), "dev", "lo")
}

func (n *node) DesiredState(i int) *v1alpha1.State { return v1alpha1.NewState([]byte(veth(i))) }

func (n *node) InvalidState() *v1alpha1.State {
	return v1alpha1.NewState([]byte(`{"interfaces":[{"name":"v0","type":"veth","state":"up"}]}`))
}

// FailingState makes a bridge, and then a VXLAN, which libnmstate cannot without NetworkManager.
func (n *node) FailingState() *v1alpha1.State { return v1alpha1.NewState([]byte(halfWay)) }

func (n *node) Hold(t *testing.T) func() {
	socket := t.TempDir() + "/hold"
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(holdSocket, socket)
	// A worker whose connection is never accepted waits as well; it ends with the listener.
	release := sync.OnceFunc(func() { listener.Close() })
	t.Cleanup(release)
	return release
}

// hold waits while a test holds applies up.
func hold(socket string) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return // released
	}
	defer conn.Close()
	_, _ = conn.Read(make([]byte, 1))
}

func (n *node) Drift(t *testing.T) { netns.Run(t, "ip", "link", "del", "v0a") }

func veth(i int) string {
	return fmt.Sprintf(`{"interfaces":[
		{"name":"v%[1]da","type":"veth","state":"up","veth":{"peer":"v%[1]db"},
		 "ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.%[2]d","prefix-length":24}]}},
		{"name":"v%[1]db","type":"veth","state":"up","veth":{"peer":"v%[1]da"}}]}`, i, i+1)
}

const halfWay = `{"interfaces":[
	{"name":"half","type":"linux-bridge","state":"up","bridge":{"port":[{"name":"v0b"}]},
	 "ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"203.0.113.1","prefix-length":24}]}},
	{"name":"v0a","type":"veth","state":"up","veth":{"peer":"v0b"},
	 "ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"203.0.113.9","prefix-length":32}]}},
	{"name":"v0b","type":"veth","state":"up","veth":{"peer":"v0a"}},
	{"name":"never","type":"vxlan","state":"up","vxlan":{"id":7,"remote":"192.0.2.7","base-iface":"v0a"},` + unheld + `}],
	"dns-resolver":{"config":{"server":["192.0.2.54"]}}}`

func TestConformance(t *testing.T) {
	newHarness := func(t *testing.T) conformance.Harness { return &node{host: newHost(t, t.TempDir())} }
	conformance.Run(t, newHarness)
	conformance.RunTransactions(t, newHarness)
}

// desire returns the change to a state from the object as it is.
func desire(t *testing.T, h *Host, state string) agent.Change {
	t.Helper()
	last := h.feed.Last()
	base, err := agent.Fingerprint(last)
	if err != nil {
		t.Fatal(err)
	}
	wanted := last.DeepCopy()
	wanted.Spec.DesiredState = v1alpha1.NewState([]byte(state))
	return agent.Change{Object: wanted, Base: base, User: "tester"}
}

// TestAHalfFailedApplyIsUndone: to the last address, route and rule, and DNS.
func TestAHalfFailedApplyIsUndone(t *testing.T) {
	h := newHost(t, t.TempDir())
	if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"addr", "add", "192.0.2.77/24", "dev", "v0a"},
		{"addr", "add", "2001:db8::7/64", "dev", "v0a", "nodad"},
		{"route", "add", "203.0.113.128/25", "via", "192.0.2.78", "dev", "v0a", "metric", "50"},
		{"-6", "route", "add", "2001:db8:1::/48", "via", "2001:db8::8", "dev", "v0a"},
		{"route", "add", "blackhole", "203.0.113.64/26", "table", "77"},
		{"rule", "add", "from", "192.0.2.77", "lookup", "77", "priority", "700"},
	} {
		netns.Run(t, "ip", args...)
	}
	t.Cleanup(func() {
		netns.Run(t, "ip", "rule", "del", "priority", "700")
		netns.Run(t, "ip", "route", "flush", "table", "77")
	})
	if err := os.WriteFile(undo.ResolvConf, []byte("nameserver 192.0.2.53\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := undo.Note(t.Context(), undo.Request{All: true})
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	_, err = h.Apply(t.Context(), desire(t, h, halfWay))
	if agent.KindOf(err) != agent.Failed {
		t.Fatalf("the apply ended with %v", err)
	}
	left, err := before.Differences(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("not as before: %s", strings.Join(left, "; "))
	}
	last := h.feed.Last()
	if last.Status.LastApply.Outcome != v1alpha1.ApplyRolledBack || !v1alpha1.SameState(last.Spec.DesiredState, v1alpha1.NewState([]byte(veth(0)))) {
		t.Errorf("lastApply is %+v, spec %s", last.Status.LastApply, last.Spec.DesiredState.Raw)
	}
}

// interfere applies a state, and calls meanwhile once the apply is under way.
func interfere(t *testing.T, h *Host, state string, meanwhile func()) error {
	t.Helper()
	release := (&node{host: h}).Hold(t)
	change := desire(t, h, state)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := h.Apply(t.Context(), change)
		ended <- err
		cancel() // it may have been refused
	}()
	_ = h.Watch(ctx, func(obj *v1alpha1.NodeNetworkState) {
		if last := obj.Status.LastApply; last != nil && last.Stage == v1alpha1.StageApplying {
			cancel()
		}
	})
	meanwhile()
	release()
	return <-ended
}

// TestUndoingLeavesOthersAlone: what others make while an apply fails is theirs,
// such as the veth, addresses and routes of a pod.
func TestUndoingLeavesOthersAlone(t *testing.T) {
	h := newHost(t, t.TempDir())
	if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err != nil {
		t.Fatal(err)
	}
	err := interfere(t, h, halfWay, func() {
		netns.Run(t, "ip", "link", "add", "pod0", "up", "type", "veth", "peer", "name", "pod1")
		netns.Run(t, "ip", "addr", "add", "198.18.7.1/24", "dev", "pod0")
		netns.Run(t, "ip", "link", "set", "pod1", "up")
		netns.Run(t, "ip", "route", "add", "198.18.8.0/24", "via", "198.18.7.9")
		netns.Run(t, "ip", "rule", "add", "from", "198.18.7.1", "lookup", "77", "priority", "701")
	})
	t.Cleanup(func() { netns.Run(t, "ip", "rule", "del", "priority", "701") })
	if agent.KindOf(err) != agent.Failed {
		t.Fatalf("the apply ended with %v", err)
	}
	seen := netns.Run(t, "ip", "addr") + netns.Run(t, "ip", "route") + netns.Run(t, "ip", "rule")
	for _, want := range []string{"pod0@pod1", "198.18.7.1/24", "198.18.8.0/24 via 198.18.7.9", "701:"} {
		if !strings.Contains(seen, want) {
			t.Errorf("%q is gone:\n%s", want, seen)
		}
	}
	if strings.Contains(seen, "half") || strings.Contains(seen, "203.0.113") {
		t.Errorf("what the apply has made is left:\n%s", seen)
	}
}

// TestInSyncRightAfterAnApply: for each kind of state that works without NetworkManager.
func TestInSyncRightAfterAnApply(t *testing.T) {
	for name, state := range map[string]string{
		"veth":   veth(0),
		"bridge": `{"interfaces":[{"name":"b0","type":"linux-bridge","state":"up","bridge":{"port":[{"name":"p1a"},{"name":"p2a"}]},"ipv6":{"enabled":true,"address":[{"ip":"2001:DB8::1","prefix-length":64}]}}]}`,
		"route":  `{"interfaces":[{"name":"p1a","type":"veth","state":"up","ipv4":{"enabled":true,"address":[{"ip":"192.0.2.1","prefix-length":24}]}}],"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-interface":"p1a","next-hop-address":"192.0.2.2"}]}}`,
		"dns":    `{"dns-resolver":{"config":{"server":["192.0.2.53"],"search":["example.org"]}}}`,
		"absent": `{"interfaces":[{"name":"nothing","type":"linux-bridge","state":"absent"},{"name":"p2a","type":"veth","state":"absent"}],"routes":{"config":[{"state":"absent","destination":"198.18.9.0/24","next-hop-interface":"p1a"}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, t.TempDir())
			for _, pair := range []string{"p1", "p2"} {
				netns.Run(t, "ip", "link", "add", pair+"a", "up", "type", "veth", "peer", "name", pair+"b")
				netns.Run(t, "ip", "link", "set", pair+"b", "up")
			}
			if _, err := h.Barrier(t.Context()); err != nil {
				t.Fatal(err)
			}
			obj, err := h.Apply(t.Context(), desire(t, h, state))
			if err != nil {
				t.Fatal(err)
			}
			if obj.Status.Difference != nil {
				t.Errorf("right after the apply there is a difference: %s", obj.Status.Difference.Raw)
			}
		})
	}
}

// TestNoStaleRead: each of a thousand changes is in the very next object.
func TestNoStaleRead(t *testing.T) {
	h := newHost(t, t.TempDir())
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		ip := fmt.Sprintf("198.18.%d.%d", i/250, i%250+1)
		addr, err := netlink.ParseAddr(ip + "/32")
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.AddrAdd(lo, addr); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(h.feed.Last().Status.CurrentState.Raw), `"`+ip+`"`) {
			t.Fatalf("change %d is not in the object", i)
		}
		if err := netlink.AddrDel(lo, addr); err != nil {
			t.Fatal(err)
		}
	}
}

// TestIdleDoesNothing: without events there is no read.
func TestIdleDoesNothing(t *testing.T) {
	h := newHost(t, t.TempDir())
	var before, after syscall.Rusage
	quiet := time.After(3 * time.Second)
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		t.Fatal(err)
	}
	<-quiet // what is to be seen is that nothing happens meanwhile
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		t.Fatal(err)
	}
	used := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	if used > 30*time.Millisecond {
		t.Errorf("an idle agent used the processor for %v in 3 s", used)
	}
	_ = h
}
