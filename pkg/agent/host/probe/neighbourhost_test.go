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

package probe

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

func TestMain(m *testing.M) { netns.Main(m) }

// neighbourHost is another host on the link of the test's node: a network namespace
// that a veth pair connects with the test's. It has the addresses 192.0.2.1,
// 2001:db8::1 and fe80::1 and forwards nothing, so that what lies behind it is silent.
type neighbourHost struct {
	t    testing.TB
	work chan func()
	tid  int
}

// newNeighbourHost makes the host, and gives the test's node the interface up0 with
// the addresses 192.0.2.2 and 2001:db8::2.
func newNeighbourHost(t testing.TB) *neighbourHost {
	t.Helper()
	h := &neighbourHost{t: t, work: make(chan func())}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine, and the namespace with it
		err := unix.Unshare(unix.CLONE_NEWNET)
		h.tid = unix.Gettid()
		started <- err
		for work := range h.work {
			work()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal("making a namespace:", err)
	}
	t.Cleanup(func() { close(h.work) })
	sysctl(t, "net/ipv6/conf/default/accept_dad", "0")
	h.sysctl("net/ipv6/conf/default/accept_dad", "0")
	netns.Run(t, "ip", "link", "add", "up0", "type", "veth", "peer", "name", "gw0", "netns", fmt.Sprint(h.tid))
	t.Cleanup(func() { netns.Run(t, "ip", "link", "del", "up0") })
	h.run("ip", "link", "set", "gw0", "addrgenmode", "none", "up")
	setUp(t, "up0")
	h.run("ip", "link", "set", "lo", "up")
	for _, address := range []string{"192.0.2.1/24", "2001:db8::1/64", "fe80::1/64"} {
		h.run("ip", "address", "add", address, "dev", "gw0", "nodad")
	}
	for _, address := range []string{"192.0.2.2/24", "2001:db8::2/64", "fe80::2/64"} {
		netns.Run(t, "ip", "address", "add", address, "dev", "up0", "nodad")
	}
	netns.Run(t, "ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.1")
	netns.Run(t, "ip", "route", "add", "2001:db8:ff::/64", "via", "2001:db8::1")
	return h
}

// setUp sets a link up, without a link-local address of the kernel's, and returns once it
// carries packets.
func setUp(t testing.TB, name string) {
	t.Helper()
	updates, done := make(chan netlink.LinkUpdate), make(chan struct{})
	if err := netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{ListExisting: true}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		close(done)
		for range updates {
		}
	}()
	netns.Run(t, "ip", "link", "set", name, "addrgenmode", "none", "up")
	for update := range updates {
		if update.Link.Attrs().Name == name && update.Link.Attrs().OperState == netlink.OperUp {
			return
		}
	}
	t.Fatalf("%s does not come up", name)
}

// do runs work in the host's namespace. What it opens there stays there.
func (h *neighbourHost) do(work func()) {
	done := make(chan struct{})
	h.work <- func() { defer close(done); work() }
	<-done
}

// run runs a command on the host.
func (h *neighbourHost) run(name string, args ...string) {
	h.t.Helper()
	var out []byte
	var err error
	h.do(func() { out, err = exec.Command(name, args...).CombinedOutput() })
	if err != nil {
		h.t.Fatalf("%s %q on the neighbour: %v\n%s", name, args, err, out)
	}
}

// sysctl sets a kernel parameter of the host.
func (h *neighbourHost) sysctl(name, value string) {
	h.t.Helper()
	var err error
	h.do(func() { err = os.WriteFile("/proc/sys/"+name, []byte(value), 0) })
	if err != nil {
		h.t.Fatal(err)
	}
}

// dropPings makes the host ignore pings.
func (h *neighbourHost) dropPings() {
	h.sysctl("net/ipv4/icmp_echo_ignore_all", "1")
	h.sysctl("net/ipv6/icmp/echo_ignore_all", "1")
}

func sysctl(t testing.TB, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}
