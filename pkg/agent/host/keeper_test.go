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
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// hasAddress tells whether a1 has the address, and as a lease.
func hasAddress(t *testing.T, cidr string) (is, lease bool) {
	t.Helper()
	for line := range strings.Lines(netns.Run(t, "ip", "-o", "addr", "show", "dev", "a1")) {
		if strings.Contains(line, " "+cidr+" ") {
			return true, strings.Contains(line, " dynamic ")
		}
	}
	return false, false
}

// linkLocal is a1's link-local address.
func linkLocal(t *testing.T) string {
	t.Helper()
	fields := strings.Fields(netns.Run(t, "ip", "-o", "-6", "addr", "show", "dev", "a1", "scope", "link"))
	if len(fields) < 4 {
		t.Fatalf("a1 has no link-local address: %q", fields)
	}
	return fields[3]
}

// awaitLinkLocal waits until a1, which has just come up, has its link-local address.
func awaitLinkLocal(t *testing.T, h *Host) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if _, err := h.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(netns.Run(t, "ip", "-o", "-6", "addr", "show", "dev", "a1", "scope", "link"), "fe80") {
			break
		}
	}
	return linkLocal(t)
}

// TestAChangeKeepsWhatNobodyConfigures: the link-local address, leases with the
// routes over them, and the addresses of other programs.
func TestAChangeKeepsWhatNobodyConfigures(t *testing.T) {
	const (
		lease, lease6   = "198.18.1.50/24", "2001:db8:1::50/64"
		static, static6 = "198.18.1.1/24", "2001:db8:1::1/64"
		marked          = "198.18.1.60/32"
	)
	type address struct{ is, lease bool }
	all := map[string]address{lease: {true, true}, lease6: {true, true}, static: {true, false}, static6: {true, false}, marked: {true, false}}
	for name, c := range map[string]struct {
		state string
		// otherwise are the addresses that are not as before.
		otherwise map[string]address
		// lost tells that the link-local address is to be gone, too.
		lost bool
	}{
		"nothing said": {state: ``},
		"emptyIPv6":    {state: `,"ipv6":{"enabled":true,"address":[]}`, otherwise: map[string]address{static6: {}}},
		"emptyIPv4":    {state: `,"ipv4":{"enabled":true,"address":[]}`, otherwise: map[string]address{static: {}}},
		"another": {
			state:     `,"ipv4":{"enabled":true,"address":[{"ip":"198.18.1.2","prefix-length":24}]}`,
			otherwise: map[string]address{static: {}, "198.18.1.2/24": {true, false}},
		},
		"anotherIPv6": {
			state:     `,"ipv6":{"enabled":true,"address":[{"ip":"2001:DB8:1::2","prefix-length":64},{"ip":"2001:db8:1::1","prefix-length":64}]}`,
			otherwise: map[string]address{"2001:db8:1::2/64": {true, false}},
		},
		"leaseMadeStatic": {
			state:     `,"ipv4":{"enabled":true,"address":[{"ip":"198.18.1.50","prefix-length":24},{"ip":"198.18.1.1","prefix-length":24}]}`,
			otherwise: map[string]address{lease: {true, false}},
		},
		"noDHCP": {
			state:     `,"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.18.1.1","prefix-length":24}]}`,
			otherwise: map[string]address{lease: {}},
		},
		"noIPv6": {state: `,"ipv6":{"enabled":false}`, otherwise: map[string]address{static6: {}, lease6: {}}, lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, t.TempDir())
			pair(t, "1")
			local := awaitLinkLocal(t, h)
			for _, args := range []string{
				"addr add " + static + " dev a1", "addr add " + static6 + " dev a1 nodad",
				"addr add " + lease + " dev a1 valid_lft 600 preferred_lft 600", "addr add " + lease6 + " dev a1 nodad valid_lft 600 preferred_lft 600",
			} {
				netns.Run(t, "ip", strings.Fields(args)...)
			}
			addMarked(t, "a1", marked)
			netns.Run(t, "ip", "route", "add", "default", "via", "198.18.1.254", "dev", "a1", "proto", "dhcp")
			if _, err := h.Barrier(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Apply(t.Context(), desire(t, h, `{"interfaces":[{"name":"a1","type":"veth","state":"up"`+c.state+`}]}`)); err != nil {
				t.Fatal(err)
			}
			wanted := map[string]address{local: {!c.lost, false}}
			for _, some := range []map[string]address{all, c.otherwise} {
				for cidr, one := range some {
					wanted[cidr] = one
				}
			}
			for cidr, one := range wanted {
				if is, lease := hasAddress(t, cidr); is != one.is || lease != one.lease {
					t.Errorf("%s: there %v, a lease %v; wanted %+v", cidr, is, lease, one)
				}
			}
			if now := marksOf(t); len(now) != 1 || now[0] != marked {
				t.Errorf("marked are %q", now)
			}
			if routes := netns.Run(t, "ip", "route"); !strings.Contains(routes, "default via 198.18.1.254") {
				t.Errorf("the default route is gone:\n%s", routes)
			}
		})
	}
}

// TestAFailedChangePutsBackWhatNobodyConfigures, with what is left of its lifetime.
func TestAFailedChangePutsBackWhatNobodyConfigures(t *testing.T) {
	for name, state := range map[string]string{
		"IPv6Off":     `"type":"veth","state":"up","ipv6":{"enabled":false}`,
		"allOff":      `"type":"veth","state":"up","ipv4":{"enabled":false},"ipv6":{"enabled":false}`,
		"leaseStatic": `"type":"veth","state":"up","ipv4":{"enabled":true,"address":[{"ip":"198.18.1.50","prefix-length":24}]}`,
		"linkDown":    `"type":"veth","state":"down"`,
		"linkAbsent":  `"state":"absent"`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, t.TempDir())
			pair(t, "1")
			pair(t, "2")
			awaitLinkLocal(t, h)
			for _, args := range []string{
				"addr add 198.18.1.1/24 dev a1", "addr add 2001:db8:1::1/64 dev a1 nodad",
				"addr add 198.18.1.50/24 dev a1 valid_lft 600 preferred_lft 600",
				"addr add 2001:db8:1::50/64 dev a1 nodad valid_lft 600 preferred_lft 600",
			} {
				netns.Run(t, "ip", strings.Fields(args)...)
			}
			addMarked(t, "a1", "198.18.1.60/32")
			if _, err := h.Barrier(t.Context()); err != nil {
				t.Fatal(err)
			}
			picture := func() string {
				return netns.Run(t, "sh", "-c", "ip -o addr show dev a1 | sed -E 's/^[0-9]+: //; s/ (valid|preferred)_lft .*//; s/ (tentative|nodad)//g' | sort")
			}
			before := picture()
			_, err := h.Apply(t.Context(), desire(t, h, fmt.Sprintf(`{"interfaces":[{"name":"a1",%s},{"name":"a2",%s}]}`, state, unheld)))
			if agent.KindOf(err) != agent.Failed || strings.Contains(err.Error(), "could not be put back") {
				t.Fatalf("the apply ended with %v", err)
			}
			if now := picture(); now != before {
				t.Errorf("this has changed:\n%s", changed(before, now))
			}
			if now := marksOf(t); len(now) != 1 {
				t.Errorf("marked are %q", now)
			}
		})
	}
}

// TestARenewedLeaseIsNoChange: the seconds of a lease are not shown, that it is one is.
func TestARenewedLeaseIsNoChange(t *testing.T) {
	h := newHost(t, t.TempDir())
	pair(t, "1")
	awaitLinkLocal(t, h)
	netns.Run(t, "ip", "addr", "add", "198.18.1.50/24", "dev", "a1", "valid_lft", "600", "preferred_lft", "600")
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := h.feed.Last()
	if !strings.Contains(string(before.Status.CurrentState.Raw), `{"ip":"198.18.1.50","prefix-length":24,"valid-life-time":"dynamic"}`) {
		t.Errorf("shown is %s", before.Status.CurrentState.Raw)
	}
	netns.Run(t, "ip", "addr", "change", "198.18.1.50/24", "dev", "a1", "valid_lft", "900", "preferred_lft", "800")
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.feed.Last() != before {
		t.Error("a renewed lease is a change")
	}
	netns.Run(t, "ip", "addr", "change", "198.18.1.50/24", "dev", "a1", "valid_lft", "forever", "preferred_lft", "forever")
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(h.feed.Last().Status.CurrentState.Raw), "life-time") {
		t.Errorf("shown is %s", h.feed.Last().Status.CurrentState.Raw)
	}
}

// TestIPv6SwitchedOnHasItsLinkLocalAddress: libnmstate without NetworkManager would remove the address that the kernel has just made.
func TestIPv6SwitchedOnHasItsLinkLocalAddress(t *testing.T) {
	for name, addresses := range map[string]string{
		"alone":         ``,
		"with a static": `,"address":[{"ip":"2001:db8:1::1","prefix-length":64}]`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, t.TempDir())
			pair(t, "1")
			netns.Run(t, "sysctl", "-qw", "net.ipv6.conf.a1.disable_ipv6=1")
			if _, err := h.Barrier(t.Context()); err != nil {
				t.Fatal(err)
			}
			state := `{"interfaces":[{"name":"a1","type":"veth","state":"up","ipv6":{"enabled":true,"dhcp":false,"autoconf":false` + addresses + `}}]}`
			if _, err := h.Apply(t.Context(), desire(t, h, state)); err != nil {
				t.Fatal(err)
			}
			linkLocal(t)
		})
	}
}

// TestIPv6OfAPortIsSwitchedOff: with the port that the state says so of, whether it stays one, becomes one, or is none afterwards.
func TestIPv6OfAPortIsSwitchedOff(t *testing.T) {
	const port = `{"name":"a1","type":"veth","state":"up","ipv4":{"enabled":false},"ipv6":{"enabled":false}}`
	const bridge = `{"name":"br1","type":"linux-bridge","state":"up","bridge":{"port":[{"name":"a1"}]}}`
	for name, state := range map[string]string{
		"stays a port": port + `,` + bridge,
		"alone":        port,
		"is none":      port + `,{"name":"br1","type":"linux-bridge","state":"absent"}`,
	} {
		for _, before := range []string{"ip link set a1 master br1", "ip link set br1 up"} {
			t.Run(name+", "+before, func(t *testing.T) {
				h := newHost(t, t.TempDir())
				pair(t, "1")
				awaitLinkLocal(t, h)
				netns.Run(t, "ip", "link", "add", "br1", "type", "bridge")
				netns.Run(t, "sh", "-c", before)
				if _, err := h.Barrier(t.Context()); err != nil {
					t.Fatal(err)
				}
				obj, err := h.Apply(t.Context(), desire(t, h, `{"interfaces":[`+state+`]}`))
				if err != nil {
					t.Fatal(err)
				}
				if off := netns.Run(t, "cat", "/proc/sys/net/ipv6/conf/a1/disable_ipv6"); strings.TrimSpace(off) != "1" {
					t.Errorf("disable_ipv6 is %s, and the difference %s", off, obj.Status.Difference)
				}
			})
		}
	}
}

// TestAChangeKeepsStaticEntries of a VXLAN that is made again, and neighbours on a link that is.
func TestAChangeKeepsStaticEntries(t *testing.T) {
	h := newHost(t, t.TempDir())
	pair(t, "1")
	netns.Run(t, "sh", "-c", `ip link add vx0 up type vxlan id 9 remote 198.18.1.9 dev a1 dstport 4789
		bridge fdb append 00:00:00:00:00:00 dev vx0 dst 198.18.1.10; bridge fdb add 02:00:00:00:00:77 dev vx0 dst 198.18.1.11
		ip addr add 198.18.2.1/24 dev vx0; ip neigh add 198.18.2.9 lladdr 02:00:00:00:00:99 dev vx0 nud permanent`)
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	look := func() string {
		return netns.Run(t, "sh", "-c", "bridge fdb show dev vx0 | sort; ip neigh show dev vx0 nud permanent")
	}
	was := look()
	state := `{"interfaces":[{"name":"vx0","type":"vxlan","state":"up","vxlan":{"id":10,"base-iface":"a1","remote":"198.18.1.9","destination-port":4789}}]}`
	if _, err := h.Apply(t.Context(), desire(t, h, state)); err != nil {
		t.Fatal(err)
	}
	if shown := netns.Run(t, "ip", "-d", "link", "show", "vx0"); !strings.Contains(shown, "vxlan id 10 ") {
		t.Errorf("vx0 is %s", shown)
	}
	if is := look(); is != was {
		t.Errorf("the entries were\n%s\nand are\n%s", was, is)
	}
}
