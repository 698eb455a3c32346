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
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// onNode is, in the environment, set where the tests run on a node that has a NetworkManager.
const onNode = "NMSTATE_TEST_NODE"

// busyboxPath is, in the environment, where busybox is, which has a DHCP server.
const busyboxPath = "NMSTATE_TEST_BUSYBOX"

// managedTests, in the environment, is which tests are run on the node; all of them if it is empty.
const managedTests = "NMSTATE_TEST_MANAGED"

// TestOnANodeWithNetworkManager runs the tests of this file on such a node.
func TestOnANodeWithNetworkManager(t *testing.T) {
	if os.Getenv(onNode) != "" {
		t.Skip("this is the node")
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "_output/networkmanager/stamp")); errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no NetworkManager: hack/nodes/packages.sh fetches it")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	prefix := "host-test-" + strconv.Itoa(os.Getpid()) + "-"
	dir := t.TempDir()
	script := func(name string, args ...string) ([]byte, error) {
		// Nodes are made from the machine's files, not from those of the tests.
		outside := []string{"-t", strconv.Itoa(os.Getppid()), "-m", "-n", "-u", filepath.Join(root, "hack/nodes", name)}
		cmd := exec.Command("nsenter", append(outside, args...)...)
		cmd.Env = append(os.Environ(), "NODES_DIR="+dir, "NODES_PREFIX="+prefix, "NODES_UNMANAGED=interface-name:pod*", onNode+"=yes",
			busyboxPath+"="+filepath.Join(root, "_output/networkmanager/root/usr/bin/busybox"),
			nmstatectlPath+"="+filepath.Join(root, "_output/nmstatectl/bin/nmstatectl"))
		return cmd.CombinedOutput()
	}
	must := func(name string, args ...string) {
		if out, err := script(name, args...); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	t.Cleanup(func() { must("hub.sh", "down") })
	t.Cleanup(func() { must("node.sh", "down", "nm") })
	must("hub.sh", "up")
	must("node.sh", "up", "nm", "1", "networkmanager")
	limit := 12 * time.Minute
	if deadline, is := t.Deadline(); is {
		limit = time.Until(deadline) - 30*time.Second // the node is taken away in this time
	}
	out, err := script("node.sh", "exec", "nm", self, "-test.run="+cmp.Or(os.Getenv(managedTests), "^TestManaged"), "-test.v", "-test.timeout="+limit.String())
	ran := testsOf(string(out))
	for _, one := range ran {
		t.Run(one.name, func(t *testing.T) {
			if !one.passed {
				t.Errorf("on the node:\n%s", one.output)
			}
		})
	}
	if err != nil || len(ran) == 0 {
		t.Errorf("%d tests ran on the node: %v", len(ran), err)
	}
}

// testRun is a test as another process ran it. What has no result did not pass.
type testRun struct {
	name, output string
	passed       bool
}

// testsOf reads what a test binary prints with -test.v of tests that run one after the other.
// What is printed before the first test belongs to none.
func testsOf(out string) []testRun {
	var ran []testRun
	for line := range strings.Lines(out) {
		name, begins := strings.CutPrefix(strings.TrimSpace(line), "=== RUN   ")
		if begins && !strings.Contains(name, "/") {
			ran = append(ran, testRun{name: name})
		}
		if len(ran) == 0 {
			continue
		}
		last := &ran[len(ran)-1]
		last.output += line
		last.passed = last.passed || strings.HasPrefix(line, "--- PASS: "+last.name+" ") || strings.HasPrefix(line, "--- SKIP: "+last.name+" ")
	}
	return ran
}

func TestWhatRanOnANode(t *testing.T) {
	ran := testsOf(`warning: nothing of a test
=== RUN   TestOne
=== RUN   TestOne/part
--- PASS: TestOne (0.10s)
    --- PASS: TestOne/part (0.10s)
=== RUN   TestTwo
    two_test.go:1: it is wrong
--- FAIL: TestTwo (0.10s)
=== RUN   TestThree
panic: it ends
`)
	want := map[string]bool{"TestOne": true, "TestTwo": false, "TestThree": false}
	if len(ran) != len(want) {
		t.Fatalf("got %+v", ran)
	}
	for _, one := range ran {
		if one.passed != want[one.name] {
			t.Errorf("%s passed: %t", one.name, one.passed)
		}
	}
	if !strings.Contains(ran[1].output, "it is wrong") || strings.Contains(ran[1].output, "TestOne") {
		t.Errorf("TestTwo printed %q", ran[1].output)
	}
}

// newManagedHost returns an agent with NetworkManager; without a node of its own
// the test is skipped.
func newManagedHost(t *testing.T, dir string) *Host {
	t.Helper()
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	h, err := New(Config{StateDir: dir, Backend: BackendNetworkManager, Confirmer: yes{}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, h)
	return h
}

// profiles are NetworkManager's files.
func profiles(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("/etc/NetworkManager/system-connections/*")
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text += name + "\n" + string(content)
	}
	return text
}

// managedPicture is all that an apply may change, as the node has it. What
// NetworkManager writes into its files as comments is no part of it.
func managedPicture(t *testing.T) string {
	t.Helper()
	return picture(t) + profiles(t) + netns.Run(t, "hostname") +
		netns.Run(t, "sh", "-c", "cat /etc/hostname; grep -v '^#' /etc/resolv.conf || true")
}

// managedState is a bridge on a port with an address, DNS of its own and a hostname.
func managedState(n int) string {
	return fmt.Sprintf(`{"interfaces":[{"name":"br%[1]d","type":"linux-bridge","state":"up",
		"bridge":{"options":{"stp":{"enabled":false}},"port":[{"name":"eth%[1]d"}]},
		"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.%[1]d","prefix-length":24}]}}],
		"dns-resolver":{"config":{"server":["198.51.100.%[1]d"],"search":["n%[1]d.example.org"]}},
		"hostname":{"running":"name%[1]d","config":"name%[1]d"}}`, n)
}

// unchanged fails the test unless the node is what it was, with no checkpoint open.
func unchanged(t *testing.T, h *Host, before string, err error) {
	t.Helper()
	if agent.KindOf(err) != agent.Failed || strings.Contains(err.Error(), "could not be put back") {
		t.Errorf("the apply ended with %v", err)
	}
	if now := managedPicture(t); now != before {
		t.Errorf("the node was\n%s\nand is\n%s", before, now)
	}
	if state, err := undo.ReadManager(t.Context()); err != nil || len(state.Checkpoints) > 0 {
		t.Errorf("checkpoints %v, %v", state.Checkpoints, err)
	}
	if last := h.feed.Last().Status.LastApply; last.Outcome != v1alpha1.ApplyRolledBack {
		t.Errorf("lastApply is %+v", last)
	}
}

// TestManagedChangeIsCommitted: no checkpoint is left to undo it.
func TestManagedChangeIsCommitted(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	if _, err := h.Apply(t.Context(), desire(t, h, managedState(1))); err != nil {
		t.Fatal(err)
	}
	state, err := undo.ReadManager(t.Context())
	if err != nil || len(state.Checkpoints) > 0 {
		t.Errorf("checkpoints %v, %v", state.Checkpoints, err)
	}
	if now := managedPicture(t); !strings.Contains(now, "198.51.100.1/24") || !strings.Contains(now, "nameserver 198.51.100.1") || !strings.Contains(now, "br1.nmconnection") {
		t.Errorf("the node is\n%s", now)
	}
}

// TestManagedDiskThatFailsInTheMiddle: NetworkManager rolls back, with its files.
func TestManagedDiskThatFailsInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	remount := tmpfs(t, dir)
	h := newManagedHost(t, dir)
	before := managedPicture(t)
	err := interfere(t, h, managedState(2), func() { remount(readOnly) })
	if err == nil || !strings.Contains(err.Error(), v1alpha1.ReasonRecordNotWritable) {
		t.Errorf("the apply ended with %v", err)
	}
	unchanged(t, h, before, err)
}

// TestManagedFailureRestoresDNSAndHostname, which checkpoints don't cover.
func TestManagedFailureRestoresDNSAndHostname(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	for _, start := range []string{
		managedState(1),
		`{"dns-resolver":{"config":{}}}`, // no global DNS
	} {
		if _, err := h.Apply(t.Context(), desire(t, h, start)); err != nil {
			t.Fatal(err)
		}
		before := managedPicture(t)
		// A veth has no port's speed to set: NetworkManager refuses, or nmstate notices.
		failing := strings.Replace(managedState(2), `"interfaces":[`,
			`"interfaces":[{"name":"eth3","type":"ethernet","state":"up","mtu":1400,"ethernet":{"auto-negotiation":false,"speed":1000,"duplex":"half"}},`, 1)
		_, err := h.Apply(t.Context(), desire(t, h, failing))
		unchanged(t, h, before, err)
	}
}

// TestManagedWorkerThatDies leaves a checkpoint, to which the agent rolls back.
func TestManagedWorkerThatDies(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	before := managedPicture(t)
	t.Setenv(dieAfterApply, "yes")
	_, err := h.Apply(t.Context(), desire(t, h, managedState(3)))
	unchanged(t, h, before, err)
}

// TestManagedBusThatRefuses: a bus that does not speak to the agent says nothing about NetworkManager.
func TestManagedBusThatRefuses(t *testing.T) {
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	address := "unix:path=" + filepath.Join(t.TempDir(), "socket")
	config := filepath.Join(t.TempDir(), "bus.conf")
	if err := os.WriteFile(config, []byte(`<busconfig><type>system</type><listen>`+address+`</listen><auth>EXTERNAL</auth>
		<policy context="default"><allow user="*"/><allow send_type="method_call"/><allow send_requested_reply="true"/>
		<allow receive_type="method_return"/><allow receive_type="error"/>
		<deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus" send_member="NameHasOwner"/></policy></busconfig>`), 0o600); err != nil {
		t.Fatal(err)
	}
	bus := exec.Command("dbus-daemon", "--config-file="+config, "--nofork", "--nopidfile", "--print-address")
	listens, err := bus.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = bus.Process.Kill()
		_ = bus.Wait()
	})
	if _, err := listens.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
	d := &detector{choice: BackendAuto}
	defer d.close()
	if found := d.detect(); found.name != v1alpha1.BackendNetworkManager {
		t.Errorf("the backend is taken for %q", found.name)
	}
}

// TestManagedWhatTheKernelRefuses is refused before NetworkManager tries it, which
// takes it two minutes.
func TestManagedWhatTheKernelRefuses(t *testing.T) {
	refusedAtOnce(t, newManagedHost(t, t.TempDir()))
}
