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

package lldp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

func TestMain(m *testing.M) { netns.Main(m) }

// long is how long anything may take on a slow machine.
const long = 30 * time.Second

// run runs a listener until the test ends, on a pair of veths that are up: what is sent on peer0 comes to port0.
func run(t *testing.T) *Listener {
	t.Helper()
	pair(t, "port0", "peer0")
	l := New(func(rtnetlink.Port) bool { return true })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the listener ended with %v", err)
		}
		if len(l.ports) > 0 {
			t.Errorf("it left %d ports behind", len(l.ports))
		}
	})
	until(t, "port0 to be listened on", func() bool { return heard(t, l, "port0") != nil })
	return l
}

// pair makes two veths that are each other's ends, until the test ends.
func pair(t *testing.T, port, peer string) {
	t.Helper()
	netns.Run(t, "ip", "link", "add", port, "up", "type", "veth", "peer", "name", peer)
	netns.Run(t, "ip", "link", "set", peer, "up")
	t.Cleanup(func() {
		if links, err := rtnetlink.Ports(); err != nil || slices.ContainsFunc(links, named(port)) {
			netns.Run(t, "ip", "link", "del", port)
		}
	})
	until(t, "the carrier", func() bool { return isUp(t, port) && isUp(t, peer) })
}

func named(name string) func(rtnetlink.Port) bool {
	return func(p rtnetlink.Port) bool { return p.Name == name }
}

// link returns a link as the kernel has it.
func link(t *testing.T, name string) rtnetlink.Port {
	t.Helper()
	links, err := rtnetlink.Ports()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(links, named(name))
	if i < 0 {
		t.Fatalf("there is no link %s", name)
	}
	return links[i]
}

// isUp tells whether a link lets frames pass: the kernel sees to that a moment after the carrier is there.
func isUp(t *testing.T, name string) bool {
	t.Helper()
	const up = 6 // IF_OPER_UP
	return link(t, name).State == up
}

// heard returns what was heard on a link.
func heard(t *testing.T, l *Listener, name string) *v1alpha1.PortLLDP {
	t.Helper()
	return l.Heard(link(t, name))
}

// systems returns the names of the neighbours that were heard on a link, sorted.
func systems(t *testing.T, l *Listener, name string) string {
	t.Helper()
	told := heard(t, l, name)
	if told == nil {
		return "not listened on"
	}
	var names []string
	for _, n := range told.Neighbors {
		names = append(names, n.SystemName)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, long, true, func(context.Context) (bool, error) { return reached(), nil })
	if err != nil {
		t.Fatalf("waited in vain for %s", what)
	}
}

// untilSystems waits until these neighbours, and no others, are heard on a link.
func untilSystems(t *testing.T, l *Listener, name, want string) {
	t.Helper()
	until(t, fmt.Sprintf("%q on %s", want, name), func() bool { return systems(t, l, name) == want })
}

// send sends a frame over a link.
func send(t *testing.T, name string, frame []byte) {
	t.Helper()
	if err := netns.SendFrame("", name, frame); err != nil {
		t.Fatal(err)
	}
}

// TestNeighborsAreHeard until their time is over, or they say that they end.
func TestNeighborsAreHeard(t *testing.T) {
	l := run(t)
	var late time.Duration
	l.mu.Lock()
	l.now = func() time.Time { return time.Now().Add(late) }
	l.mu.Unlock()
	before := time.Now().Truncate(time.Second)
	send(t, "peer0", netns.LLDPFrame("leaf1", 120))
	untilSystems(t, l, "port0", "leaf1")
	if n := heard(t, l, "port0").Neighbors[0]; n.ChassisID != "leaf1" || n.PortID != "swp7" || n.TTLSeconds != 120 || n.LastHeardTime.Time.Before(before) {
		t.Errorf("%+v", n)
	}
	if other := systems(t, l, "peer0"); other != "" {
		t.Errorf("what was sent on peer0 was heard there: %s", other)
	}
	send(t, "peer0", netns.LLDPFrame("leaf2", 60))
	send(t, "peer0", frame(text(typeChassisID, "leaf1", 7), portID, part(typeTTL, 0, 90), text(typeSystemName, "leaf1-renamed"), end))
	untilSystems(t, l, "port0", "leaf1-renamed leaf2")
	send(t, "peer0", netns.LLDPFrame("leaf2", 0))
	untilSystems(t, l, "port0", "leaf1-renamed")
	send(t, "peer0", netns.LLDPFrame("leaf3", 200))
	untilSystems(t, l, "port0", "leaf1-renamed leaf3")
	advance := func(by time.Duration) {
		l.mu.Lock()
		defer l.mu.Unlock()
		late = by
	}
	advance(100 * time.Second)
	if left := systems(t, l, "port0"); left != "leaf3" {
		t.Errorf("after 100 s there are %q", left)
	}
	advance(201 * time.Second)
	if left := systems(t, l, "port0"); left != "" {
		t.Errorf("after 201 s there are %q", left)
	}
}

// tagged returns a frame with the tag of a VLAN, and a priority; with VLAN 0 that is all that the tag says.
func tagged(name string, vlan byte) []byte {
	return slices.Insert(netns.LLDPFrame(name, 120), 12, 0x81, 0, 0xe0, vlan)
}

// TestOtherFramesAreNotHeard: of another type, to another address, broken or too long.
func TestOtherFramesAreNotHeard(t *testing.T) {
	l := run(t)
	edited := func(name string, at int, value byte) []byte {
		frame := netns.LLDPFrame(name, 120)
		frame[at] = value
		return frame
	}
	netns.Run(t, "ip", "link", "set", "port0", "mtu", "9000")
	netns.Run(t, "ip", "link", "set", "peer0", "mtu", "9000")
	for _, frame := range [][]byte{edited("typed", 13, 0xcd), edited("unicast", 0, 2), edited("group", 5, 0x0d), edited("other", 2, 0xc3),
		frame(chassis, end), append(netns.LLDPFrame("long", 120), make([]byte, maxFrame)...)} {
		send(t, "peer0", frame)
	}
	send(t, "peer0", tagged("vlan", 7))
	for i, suffix := range []byte{0x0e, 0x03, 0x00} {
		send(t, "peer0", edited(fmt.Sprint("good", i), 5, suffix))
	}
	send(t, "peer0", tagged("priority", 0))
	untilSystems(t, l, "port0", "good0 good1 good2 priority")
}

// TestWhatIsRememberedIsBounded: the neighbour that was heard least recently makes room.
func TestWhatIsRememberedIsBounded(t *testing.T) {
	l := run(t)
	for i := range agent.MaxNeighbors + 2 {
		send(t, "peer0", netns.LLDPFrame(fmt.Sprint("n", i), 120))
		until(t, "a neighbour", func() bool { return strings.Contains(systems(t, l, "port0"), fmt.Sprint("n", i)) })
	}
	if got := systems(t, l, "port0"); got != "n2 n3 n4 n5 n6 n7 n8 n9" {
		t.Errorf("there are %s", got)
	}
}

// TestACarrierThatIsLostIsAnotherNeighbor: what was heard over it is forgotten at once.
func TestACarrierThatIsLostIsAnotherNeighbor(t *testing.T) {
	l := run(t)
	send(t, "peer0", netns.LLDPFrame("leaf1", 120))
	untilSystems(t, l, "port0", "leaf1")
	netns.Run(t, "ip", "link", "set", "peer0", "down")
	untilSystems(t, l, "port0", "")
	netns.Run(t, "ip", "link", "set", "peer0", "up")
	until(t, "the carrier", func() bool { return isUp(t, "port0") && isUp(t, "peer0") })
	// What comes before the listener has noticed the carrier is taken for the one before.
	until(t, "the neighbour to be heard again", func() bool {
		send(t, "peer0", netns.LLDPFrame("leaf2", 120))
		return systems(t, l, "port0") == "leaf2"
	})
	// A port that is set down by itself is heard again, too.
	netns.Run(t, "ip", "link", "set", "port0", "down")
	netns.Run(t, "ip", "link", "set", "port0", "up")
	until(t, "the neighbour to be heard again", func() bool {
		send(t, "peer0", netns.LLDPFrame("leaf3", 120))
		return systems(t, l, "port0") == "leaf3"
	})
}

// TestLinksComeAndGo while the listener runs.
func TestLinksComeAndGo(t *testing.T) {
	l := run(t)
	pair(t, "port1", "peer1")
	until(t, "port1 to be listened on", func() bool { return heard(t, l, "port1") != nil })
	send(t, "peer1", netns.LLDPFrame("leaf1", 120))
	untilSystems(t, l, "port1", "leaf1")
	before := link(t, "port1")
	netns.Run(t, "ip", "link", "set", "port1", "down")
	netns.Run(t, "ip", "link", "set", "port1", "name", "renamed1")
	netns.Run(t, "ip", "link", "set", "renamed1", "up")
	until(t, "the neighbour to be heard under the new name", func() bool {
		send(t, "peer1", netns.LLDPFrame("leaf2", 120))
		return systems(t, l, "renamed1") == "leaf2"
	})
	netns.Run(t, "ip", "link", "del", "renamed1")
	until(t, "port1 not to be listened on", func() bool { return l.Heard(before) == nil })
}

// TestPortsOfControllersAreHeard: of a bridge, and of a bond where the kernel has bonds.
func TestPortsOfControllersAreHeard(t *testing.T) {
	for _, kind := range []string{"bridge", "bond"} {
		t.Run(kind, func(t *testing.T) {
			if err := (rtnetlink.Change{Name: "controller0", Kind: kind}).Do(); err != nil {
				t.Skipf("this kernel makes no %s: %v", kind, err)
			}
			t.Cleanup(func() { netns.Run(t, "ip", "link", "del", "controller0") })
			netns.Run(t, "ip", "link", "set", "controller0", "up")
			l := run(t)
			netns.Run(t, "ip", "link", "set", "port0", "down")
			netns.Run(t, "ip", "link", "set", "port0", "master", "controller0")
			netns.Run(t, "ip", "link", "set", "port0", "up")
			until(t, "the carrier", func() bool { return isUp(t, "port0") && link(t, "port0").PortKind == kind })
			until(t, "the neighbour to be heard", func() bool {
				send(t, "peer0", netns.LLDPFrame("leaf1", 120))
				return systems(t, l, "port0") == "leaf1"
			})
		})
	}
}

// receiver listens on a link until the test ends; names has the system names of the frames that come.
func receiver(t *testing.T, name string, tapped bool) (names <-chan string) {
	t.Helper()
	socket, err := listen(link(t, name).Index, tapped)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 10000)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		receive(socket, func(frame []byte) {
			if m, err := parse(frame); err == nil {
				got <- m.SystemName
			}
		})
	}()
	t.Cleanup(func() {
		socket.Close()
		<-ended
	})
	return got
}

// next returns the next of the names.
func next(t *testing.T, names <-chan string) string {
	t.Helper()
	select {
	case name := <-names:
		return name
	case <-time.After(long):
		t.Fatal("nothing was heard")
		return ""
	}
}

// TestATapHearsWhatComes, as on a port of Open vSwitch, and not what is sent.
func TestATapHearsWhatComes(t *testing.T) {
	pair(t, "port0", "peer0")
	names := receiver(t, "port0", true)
	send(t, "port0", netns.LLDPFrame("own", 120))
	other := netns.LLDPFrame("other", 120)
	other[13] = 0xcd
	send(t, "peer0", other)
	send(t, "peer0", tagged("vlan", 7))
	send(t, "peer0", netns.LLDPFrame("leaf1", 120))
	if name := next(t, names); name != "leaf1" {
		t.Errorf("%s was heard", name)
	}
}

// TestAFloodIsNotRead: the kernel drops what is beyond the rate, and a neighbour that speaks after the flood is heard.
func TestAFloodIsNotRead(t *testing.T) {
	pair(t, "port0", "peer0")
	names := receiver(t, "port0", false)
	const flood = 5000
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	to := &unix.SockaddrLinklayer{Ifindex: link(t, "peer0").Index}
	read := 0
	for range flood {
		if err := unix.Sendto(fd, netns.LLDPFrame("flood", 120), 0, to); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "a neighbour that speaks after the flood", func() bool {
		send(t, "peer0", netns.LLDPFrame("leaf1", 120))
		for len(names) > 0 {
			if next(t, names) == "leaf1" {
				return true
			}
			read++
		}
		return false
	})
	if read > flood/10 {
		t.Errorf("%d frames of %d were read", read, flood)
	}
}
