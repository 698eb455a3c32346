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
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// patience is the timeout of questions that are answered.
const patience = 10 * time.Second

// haste is the timeout of questions that nobody answers.
const haste = 200 * time.Millisecond

func within(t testing.TB, timeout time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	return ctx
}

func TestPing(t *testing.T) {
	h := newNeighbourHost(t)
	for _, address := range []string{"192.0.2.1", "2001:db8::1", "fe80::1%up0", "127.0.0.1", "::1", "::ffff:192.0.2.1"} {
		if err := ping(within(t, patience), address); err != nil {
			t.Errorf("ping %s: %v", address, err)
		}
	}
	h.dropPings()
	for address, want := range map[string]string{
		"192.0.2.1":        "no echo reply from 192.0.2.1 within 200ms",
		"2001:db8::1":      "no echo reply from 2001:db8::1 within 200ms",
		"fe80::1%up0":      "no echo reply from fe80::1%up0 within 200ms",
		"198.51.100.7":     "no echo reply from 198.51.100.7 within 200ms",
		"203.0.113.1":      "cannot ping 203.0.113.1: network is unreachable",
		"2001:db8:eeee::1": "cannot ping 2001:db8:eeee::1: network is unreachable",
		"example.org":      `"example.org" is no IP address`,
	} {
		err := ping(within(t, haste), address)
		if err == nil || !sameButTime(err.Error(), want) {
			t.Errorf("ping %s: got %v, want %s", address, err, want)
		}
	}
}

// sameButTime tells whether two messages are the same up to the time in them.
func sameButTime(got, want string) bool {
	cut := func(text string) string { before, _, _ := strings.Cut(text, " within "); return before }
	return cut(got) == cut(want)
}

// A container need not have CAP_NET_RAW: the kernel's ping sockets do without, if the
// node lets this group use them.
func TestPingWithoutRawSockets(t *testing.T) {
	newNeighbourHost(t)
	unprivileged(t, func() {
		err := ping(within(t, patience), "192.0.2.1")
		if err == nil || !strings.Contains(err.Error(), "CAP_NET_RAW") {
			t.Errorf("no ping sockets for this group: got %v", err)
		}
	})
	sysctl(t, "net/ipv4/ping_group_range", "0 0")
	unprivileged(t, func() {
		for _, address := range []string{"192.0.2.1", "2001:db8::1", "fe80::1%up0"} {
			if err := ping(within(t, patience), address); err != nil {
				t.Errorf("ping %s: %v", address, err)
			}
		}
		if err := ping(within(t, time.Minute), "192.0.2.77"); err == nil || err.Error() != "cannot ping 192.0.2.77: no route to host" {
			t.Errorf("an absent host: got %v", err)
		}
	})
}

// unprivileged runs a test on a thread without CAP_NET_RAW.
func unprivileged(t *testing.T, run func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var sets [2]unix.CapUserData
		if err := unix.Capget(&header, &sets[0]); err != nil {
			t.Error(err)
			return
		}
		sets[0].Effective &^= 1 << unix.CAP_NET_RAW
		if err := unix.Capset(&header, &sets[0]); err != nil {
			t.Error(err)
			return
		}
		run()
	}()
	<-done
}

// A host that is not there is found out before the timeout: the kernel's ARP gives up first.
func TestPingOfAbsentHost(t *testing.T) {
	newNeighbourHost(t)
	err := ping(within(t, time.Minute), "192.0.2.77")
	if err == nil || err.Error() != "cannot ping 192.0.2.77: no route to host" {
		t.Errorf("got %v", err)
	}
}

// A neighbour that answers only later is not taken for one that is silent: the echo is sent again.
func TestPingSendsAgain(t *testing.T) {
	h := newNeighbourHost(t)
	h.sysctl("net/ipv4/icmp_echo_ignore_all", "1")
	answered := make(chan error)
	ctx := within(t, patience)
	go func() { answered <- ping(ctx, "192.0.2.1") }()
	for !strings.Contains(netns.Run(t, "ip", "neighbour", "show", "192.0.2.1"), "lladdr") {
		if ctx.Err() != nil {
			t.Fatal("nothing was sent")
		}
	}
	h.sysctl("net/ipv4/icmp_echo_ignore_all", "0")
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestGateway(t *testing.T) {
	for name, test := range map[string]struct{ via, want, known string }{
		"IPv4":                  {via: "default via 192.0.2.1 dev up0", want: "192.0.2.1"},
		"IPv6":                  {via: "default via 2001:db8::1 dev up0", want: "2001:db8::1"},
		"IPv6 link-local":       {via: "default via fe80::1 dev up0", want: "fe80::1%up0"},
		"IPv4 by IPv6":          {via: "default via inet6 fe80::1 dev up0", want: "fe80::1%up0"},
		"IPv4 multipath":        {via: "default nexthop via 192.0.2.77 dev up0 nexthop via 192.0.2.1 dev up0", want: "192.0.2.1"},
		"IPv4, a known one":     {via: "default via 192.0.2.1 dev up0", want: "192.0.2.1", known: "192.0.2.1"},
		"IPv6, a known one":     {via: "default via fe80::1 dev up0", want: "fe80::1%up0", known: "fe80::1%up0"},
		"not the table's first": {via: "default via 192.0.2.1 dev up0 metric 5", want: "192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newNeighbourHost(t)
			if has, err := HasGateway(); has || err != nil {
				t.Fatalf("there is a gateway before the test: %v %v", has, err)
			}
			family := "-4"
			if strings.Contains(test.want, ":") && !strings.Contains(test.via, "inet6") {
				family = "-6"
			}
			netns.Run(t, "ip", append([]string{family, "route", "add"}, strings.Fields(test.via)...)...)
			if has, err := HasGateway(); !has || err != nil {
				t.Errorf("HasGateway: got %v %v", has, err)
			}
			if test.known != "" {
				if err := ping(within(t, patience), test.known); err != nil {
					t.Fatal(err)
				}
			}
			if err := pingGateway(within(t, patience)); err != nil {
				t.Errorf("ping: %v", err)
			}
			if got, err := Gateway(within(t, patience)); err != nil || got != test.want {
				t.Errorf("answering: got %q %v", got, err)
			}
			h.dropPings()
			if err := pingGateway(within(t, haste)); err == nil {
				t.Error("a gateway that drops pings was pinged")
			}
			for range 3 { // the neighbour is in another state each time
				if got, err := Gateway(within(t, patience)); err != nil || got != test.want {
					t.Errorf("dropping pings: got %q %v", got, err)
				}
			}
			// The kernel still knows the gateway's hardware address.
			h.run("ip", "link", "set", "gw0", "down")
			if got, err := Gateway(within(t, haste)); err == nil {
				t.Errorf("down: got %q", got)
			}
		})
	}
}

// The kernel's knowledge of a gateway must not pass for its answer: here the link stays up
// and the entry is REACHABLE, but the gateway has lost its addresses.
func TestGatewayThatHasGone(t *testing.T) {
	for name, test := range map[string]struct{ family, gateway string }{
		"IPv4": {family: "-4", gateway: "192.0.2.1"},
		"IPv6": {family: "-6", gateway: "2001:db8::1"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newNeighbourHost(t)
			netns.Run(t, "ip", test.family, "route", "add", "default", "via", test.gateway)
			if _, err := Gateway(within(t, patience)); err != nil {
				t.Fatal(err)
			}
			gw, err := defaultGateways()
			if err != nil || len(gw) != 1 {
				t.Fatalf("got %v %v", gw, err)
			}
			if err := askNeighbour(within(t, patience), gw[0]); err != nil {
				t.Fatal(err)
			}
			if entry := netns.Run(t, "ip", "neighbour", "show", test.gateway); !strings.Contains(entry, "REACHABLE") {
				t.Fatalf("the entry is not REACHABLE, so the test shows nothing: %s", entry)
			}
			h.run("ip", "address", "flush", "dev", "gw0")
			_, err = Gateway(within(t, haste))
			if err == nil || !strings.Contains(err.Error(), "no echo reply from "+test.gateway) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// An entry that an administrator has made is left alone, and proves nothing.
func TestGatewayWithStaticNeighbour(t *testing.T) {
	h := newNeighbourHost(t)
	netns.Run(t, "ip", "route", "add", "default", "via", "192.0.2.1")
	netns.Run(t, "ip", "neighbour", "add", "192.0.2.1", "lladdr", "02:00:00:00:00:01", "dev", "up0", "nud", "permanent")
	h.dropPings()
	if got, err := Gateway(within(t, haste)); err == nil {
		t.Errorf("got %q", got)
	}
	if entry := netns.Run(t, "ip", "neighbour", "show", "192.0.2.1"); !strings.Contains(entry, "PERMANENT") {
		t.Errorf("the entry was changed: %s", entry)
	}
}

func TestNoGateway(t *testing.T) {
	newNeighbourHost(t)
	for _, route := range []string{"", "default dev up0", "unreachable default"} {
		if route != "" {
			netns.Run(t, "ip", append([]string{"route", "replace"}, strings.Fields(route)...)...)
		}
		if _, err := Gateway(within(t, patience)); !errors.Is(err, ErrNoGateway) {
			t.Errorf("route %q: got %v", route, err)
		}
		if has, err := HasGateway(); has || err != nil {
			t.Errorf("route %q: HasGateway: got %v %v", route, has, err)
		}
	}
	netns.Run(t, "ip", "route", "del", "unreachable", "default")
}
