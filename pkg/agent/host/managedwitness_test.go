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
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// randomChanges, in the environment, is how many changes TestManagedReadsAreNeverStale makes; there are some without.
const randomChanges = "NMSTATE_TEST_RANDOM_CHANGES"

// others are commands by which others than nmstate change a node: with #, a number of one digit is put in its place. Some fail,
// as what they change is not there.
var others = []string{
	"nmcli connection add type dummy ifname wd# con-name wd# ipv4.method manual ipv4.addresses 198.51.#.1/24 ipv6.method disabled",
	"nmcli connection add save no type dummy ifname wd# con-name wd# ipv4.method disabled ipv6.method disabled",
	"nmcli --wait 0 connection up we#",
	"nmcli --wait 5 connection up we#",
	"nmcli connection down we#",
	"nmcli connection delete we#",
	"nmcli connection delete wd#",
	"nmcli device modify eth1 ipv4.dns-priority #",
	"nmcli device modify eth1 +ipv4.addresses 198.18.1#.1/32",
	"nmcli device reapply eth1",
	"nmcli device disconnect eth1",
	"nmcli device set eth2 managed no",
	"nmcli device set eth2 managed yes",
	"nmcli general hostname name#",
	"ip link set eth2 mtu 140#",
	"ip link set eth2 down",
	"ip link set eth2 up",
	"ip link add pod# type veth peer name podc#",
	"ip link del pod#",
}

// doneAtOnce are those whose effect is there when they end. The running hostname is not among them: NetworkManager sets it back to
// the configured one, seconds later.
var doneAtOnce = []string{
	"nmcli connection add type ethernet ifname eth1 con-name we# autoconnect no ipv4.method manual ipv4.addresses 198.51.10#.1/24 ipv6.method disabled",
	"nmcli connection modify we# ipv4.dns 192.0.2.#",
	"nmcli connection modify we# +ipv4.addresses 198.18.#.1/32",
	"nmcli connection modify we# connection.lldp enable",
	"nmcli connection modify we# connection.id wf#",
	"nmcli connection modify wf# connection.id we#",
	"nmcli connection modify --temporary we# ipv4.dns-search n#.example.org",
	"nmcli device modify eth1 connection.lldp #",
	"nmcli connection reload",
	"ip addr add 203.0.113.#/32 dev eth1",
	"ip addr del 203.0.113.#/32 dev eth1",
	"ip route add 203.0.#.0/24 dev eth1",
	"sh -c 'echo nameserver 192.0.2.# >/etc/resolv.conf'",
	"sh -c 'mkdir -p /etc/NetworkManager/dispatcher.d; echo \"#\" >/etc/NetworkManager/dispatcher.d/nmstate-eth1-up'",
	"rm -f /etc/NetworkManager/dispatcher.d/nmstate-eth1-up",
}

// TestManagedReadsAreNeverStale: whatever others have changed, a barrier right after it shows nothing that is not so.
func TestManagedReadsAreNeverStale(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	forgetProfiles(t)
	t.Cleanup(func() {
		netns.Run(t, "sh", "-c", "for n in 0 1 2 3 4 5 6 7 8 9; do ip link del pod$n; ip addr del 203.0.113.$n/32 dev eth1; done 2>/dev/null; ip link set eth2 mtu 1500 up; rm -f /etc/NetworkManager/dispatcher.d/nmstate-eth1-up; nmcli device set eth2 managed yes")
		forgetProfiles(t)
	})
	changes := 50
	if many := os.Getenv(randomChanges); many != "" {
		changes, _ = strconv.Atoi(many)
	}
	seed := rand.Uint64()
	t.Logf("the seed is %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	proved, made := 0, 0
	for n := range changes {
		all := slices.Concat(others, doneAtOnce)
		kind := random.IntN(len(all))
		line := strings.ReplaceAll(all[kind], "#", strconv.Itoa(random.IntN(10)))
		after := fmt.Sprintf("change %d, %s", n, line)
		atOnce := kind >= len(others)
		if atOnce {
			untilAtRest(t, h)
		}
		if exec.Command("sh", "-c", line).Run() == nil {
			made++
		}
		if atOnce {
			seenAtOnce(t, h, after)
		}
		if !neverStale(t, h, after) {
			proved++
		}
	}
	t.Logf("%d of %d changes were made, and %d of %d barriers have proved that nothing has changed since", made, changes, proved, changes)
	if made < changes/4 || proved < changes/4 {
		t.Error("that is too little to tell anything")
	}
}

// TestManagedWatch: watchers see what changes in NetworkManager alone, of which the kernel reports nothing. A read makes
// NetworkManager report nothing, or there would be no end of reads.
func TestManagedWatch(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	if _, err := h.Apply(t.Context(), desire(t, h, address(84))); err != nil {
		t.Fatal(err)
	}
	untilAtRest(t, h)
	endOfReads(t, h)
	netns.Run(t, "nmcli", "connection", "modify", "eth1", "connection.id", "another")
	awaitObject(t, h, func(obj *v1alpha1.NodeNetworkState) bool {
		return strings.Contains(string(obj.Status.CurrentState.Raw), `"profile-name":"another"`)
	})
}

// TestManagedReadsOfManyLinks: a bus bounds how many questions wait for an answer, and there may be more links.
func TestManagedReadsOfManyLinks(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	netns.Run(t, "sh", "-c", "for i in $(seq 65); do echo link add pod$i type veth peer name podc$i; done | ip -batch -")
	t.Cleanup(func() {
		netns.Run(t, "sh", "-c", "for i in $(seq 65); do echo link del pod$i; done | ip -batch -")
	})
	untilAtRest(t, h)
}

// endOfReads waits until the agent reads no more by itself.
func endOfReads(t *testing.T, h *Host) {
	t.Helper()
	for range 5 {
		// A read notes the interfaces again.
		h.mu.Lock()
		h.reader.known = nil
		h.mu.Unlock()
		<-time.After(2 * time.Second) // what is to be seen is that nothing happens meanwhile
		h.mu.Lock()
		read := h.reader.known != nil
		h.mu.Unlock()
		if !read {
			return
		}
	}
	t.Error("there is no end of reads")
}

// neverStale makes a barrier between two reads of its own. If these agree, the barrier shows what they have read, whether it has
// read all, or a part, or proved that nothing has changed. A read takes its time, and others change the node meanwhile: if they do
// not agree, it tells nothing.
func neverStale(t *testing.T, h *Host, after string) (read bool) {
	t.Helper()
	before := fresh(t)
	read, err := h.Barrier(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shown := h.feed.Last().Status.CurrentState.Raw
	if bytes.Equal(shown, before) {
		return read
	}
	if now := fresh(t); bytes.Equal(now, before) {
		t.Fatalf("after %s what is shown is not what there is, read: %t: %s", after, read, inLines(shown, now))
	}
	return read
}

// untilAtRest waits until nothing changes any more.
func untilAtRest(t *testing.T, h *Host) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		before := fresh(t)
		devices := netns.Run(t, "nmcli", "-t", "-f", "STATE", "device")
		read, err := h.Barrier(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !read && bytes.Equal(before, h.feed.Last().Status.CurrentState.Raw) && !strings.Contains(devices, "connecting") && !strings.Contains(devices, "deactivating") {
			return
		}
	}
	t.Fatal("there is no end of changes")
}

// runningHostname is what NetworkManager changes by itself, seconds after the configured one was changed.
var runningHostname = regexp.MustCompile(`"running":"[^"]*"`)

// seenAtOnce makes a barrier right after a change: it shows what there is.
func seenAtOnce(t *testing.T, h *Host, after string) {
	t.Helper()
	read, err := h.Barrier(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shown := runningHostname.ReplaceAll(h.feed.Last().Status.CurrentState.Raw, nil)
	if now := runningHostname.ReplaceAll(fresh(t), nil); !bytes.Equal(now, shown) {
		t.Fatalf("right after %s what is shown is not what there is, read: %t: %s", after, read, inLines(shown, now))
	}
}

func inLines(shown, now []byte) string {
	lines := strings.NewReplacer(",", ",\n", "{", "{\n")
	return changed(lines.Replace(string(shown)), lines.Replace(string(now)))
}

// fresh reads the network as the agent does.
func fresh(t *testing.T) []byte {
	t.Helper()
	raw, _, err := nmstate.RetrieveNetState(0)
	if err != nil {
		t.Fatal(err)
	}
	read, err := parseState(string(raw), false)
	if err != nil {
		t.Fatal(err)
	}
	return read.shown.Raw
}
