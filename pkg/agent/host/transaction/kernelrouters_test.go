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

package transaction

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/preparation"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// router is on the other end of a veth. It announces the prefix 2001:db8:99::/64, and itself as the gateway.
type router struct{ fd int }

// routerAt puts a router on a link.
func routerAt(t *testing.T, name string) router {
	t.Helper()
	netns.Run(t, "ip", "addr", "add", "fe80::99/64", "dev", name, "nodad")
	link, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
		t.Fatal(err)
	}
	if err := unix.BindToDevice(fd, name); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet6{ZoneId: uint32(link.Index), Addr: netip.MustParseAddr("fe80::99").As16()}); err != nil {
		t.Fatal(err)
	}
	return router{fd}
}

// announce sends an advertisement (RFC 4861, 4.2).
func (r router) announce(t *testing.T) {
	t.Helper()
	prefix := netip.MustParseAddr("2001:db8:99::").As16()
	message := slices.Concat([]byte{134, 0, 0, 0, 64, 0}, binary.BigEndian.AppendUint16(nil, 1800), make([]byte, 8),
		[]byte{3, 4, 64, 0xc0}, binary.BigEndian.AppendUint32(nil, 1800), binary.BigEndian.AppendUint32(nil, 900), make([]byte, 4), prefix[:])
	if err := unix.Sendto(r.fd, message, 0, &unix.SockaddrInet6{Addr: netip.MustParseAddr("ff02::1").As16()}); err != nil {
		t.Fatal(err)
	}
}

// announced has the router announce until a link has an address of the prefix.
func (r router) announced(t *testing.T, link string) {
	t.Helper()
	for range 100 {
		r.announce(t)
		if strings.Contains(netns.Run(t, "ip", "-6", "addr", "show", "dev", link), "2001:db8:99:") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s takes no address of the router", link)
}

// asRun has the agent's keeper take its part, as in a transaction.
func asRun(t *testing.T, state string) (noted *undo.Before, err error) {
	t.Helper()
	return asRunBeside(t, state, func() {})
}

// asRunBeside is as asRun, and has something happen once the network is noted.
func asRunBeside(t *testing.T, state string, happen func()) (noted *undo.Before, err error) {
	t.Helper()
	raw := asJSON(t, state)
	current, _, err := nmstate.RetrieveNetState(nmstate.KernelOnly | nmstate.IncludeSecrets)
	if err != nil {
		t.Fatal(err)
	}
	if noted, err = undo.Note(t.Context(), undo.Request{Desired: raw, Current: current}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(noted.Close)
	happen()
	keep, rest, err := undo.NewKeeper(noted, raw)
	if err != nil {
		t.Fatal(err)
	}
	if err = keep.Set(); err == nil {
		err = applyState(t.Context(), rest)
	}
	if err == nil {
		err = keep.Keep()
	}
	return noted, err
}

// TestWithoutAutoconf: a link that is not to listen to routers does not, whether one has announced itself before, while the network was
// noted, or does so later.
func TestWithoutAutoconf(t *testing.T) {
	static := ", address: [{ip: '2001:db8:1::1', prefix-length: 64}]"
	for _, one := range []struct {
		address         string
		before, between bool
	}{{"", true, false}, {"", false, true}, {"", false, false}, {static, true, false}, {static, false, true}, {static, false, false}} {
		address := one.address
		freshNetwork(t)
		first, second := routerAt(t, "peth1"), routerAt(t, "peth2")
		if one.before {
			first.announced(t, "eth1")
		}
		show := func() string { return netns.Run(t, "sh", "-c", "ip -6 addr show dev eth1; ip -6 route show dev eth1") }
		noted, err := asRunBeside(t, "{interfaces: [{name: eth1, type: ethernet, state: up, ipv6: {enabled: true, dhcp: false, autoconf: false"+address+"}},"+
			"{name: vx0, type: vxlan, state: up, vxlan: {id: 7, base-iface: eth1, remote: 192.0.2.1}, ipv6: {enabled: true, dhcp: false, autoconf: false"+strings.ReplaceAll(address, "1::", "2::")+"}}]}",
			func() {
				if one.between {
					first.announced(t, "eth1")
				}
			})
		if err != nil {
			t.Fatal(err)
		}
		first.announce(t)
		second.announced(t, "eth2") // the kernel has handled what came before
		if shown := show(); strings.Contains(shown, "2001:db8:99:") || strings.Contains(shown, "default via") {
			t.Errorf("a router is listened to: %s", shown)
		}
		if shown := netns.Run(t, "sh", "-c", "cd /proc/sys/net/ipv6/conf; cat eth1/accept_ra eth1/autoconf vx0/accept_ra eth2/accept_ra"); shown != "0\n0\n0\n1\n" {
			t.Errorf("the settings are %q", shown)
		}
		if leftover := noted.Restore(t.Context(), applyState); leftover != "" {
			t.Errorf("not put back: %s", leftover)
		}
		if shown := netns.Run(t, "sh", "-c", "cat /proc/sys/net/ipv6/conf/eth1/accept_ra"); shown != "1\n" {
			t.Errorf("accept_ra was 1 and is %s", shown)
		}
	}
}

// TestAutoconfOfAContainer: where settings are read-only, what holds is not refused, and a router that is there already is.
func TestAutoconfOfAContainer(t *testing.T) {
	freshNetwork(t)
	r := routerAt(t, "peth1")
	for _, flags := range []uintptr{unix.MS_BIND, unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY} {
		if err := unix.Mount("/proc/sys", "/proc/sys", "", flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		if err := unix.Unmount("/proc/sys", 0); err != nil {
			t.Error(err)
		}
	}()
	state := "{interfaces: [{name: eth1, type: ethernet, state: up, ipv6: {enabled: true, dhcp: false, autoconf: false}}]}"
	refusals := func() string {
		current, _, err := nmstate.RetrieveNetState(nmstate.KernelOnly)
		if err != nil {
			t.Fatal(err)
		}
		errs, err := preparation.SysctlRefusals(field.NewPath("spec"), asJSON(t, state), current)
		if err != nil {
			t.Fatal(err)
		}
		if len(errs) == 0 {
			return ""
		}
		return errs.ToAggregate().Error()
	}
	netns.Run(t, "ip", "addr", "add", "fe80::1/64", "dev", "eth1", "nodad")
	if text := refusals(); text != "" {
		t.Errorf("refused without a router: %s", text)
	}
	if _, err := asRun(t, state); err != nil {
		t.Errorf("without a router: %v", err)
	}
	r.announced(t, "eth1")
	if text := refusals(); !strings.Contains(text, "spec.interfaces[name=eth1].ipv6.autoconf") || !strings.Contains(text, "privileges") {
		t.Errorf("with a router: refused with %q", text)
	}
}

// TestAutoconfIsForgotten: with IPv6 goes what was said of routers.
func TestAutoconfIsForgotten(t *testing.T) {
	freshNetwork(t)
	for _, six := range []string{"enabled: true, dhcp: false, autoconf: false", "enabled: false"} {
		if _, err := asRun(t, "{interfaces: [{name: eth1, type: ethernet, state: up, ipv6: {"+six+"}}]}"); err != nil {
			t.Fatal(err)
		}
	}
	if shown := netns.Run(t, "sh", "-c", "cd /proc/sys/net/ipv6/conf/eth1; cat disable_ipv6 accept_ra autoconf"); shown != "1\n1\n1\n" {
		t.Errorf("the settings are %q", shown)
	}
}

// TestAutoconf: a link that is to listen to routers does, though it did not, and though the node forwards.
func TestAutoconf(t *testing.T) {
	for setting, want := range map[string]string{"forwarding=1": "2\n1\n", "accept_ra=0 net.ipv6.conf.eth1.autoconf=0": "1\n1\n", "accept_ra=2": "2\n1\n"} {
		freshNetwork(t)
		netns.Run(t, "sh", "-c", "sysctl -qw net.ipv6.conf.eth1."+setting)
		r := routerAt(t, "peth1")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				r.announce(t)
				time.Sleep(50 * time.Millisecond)
			}
		}()
		_, err := asRun(t, "{interfaces: [{name: eth1, type: ethernet, state: up, ipv6: {enabled: true, dhcp: false, autoconf: true}}]}")
		cancel()
		<-done
		if shown := netns.Run(t, "sh", "-c", "cd /proc/sys/net/ipv6/conf/eth1; cat accept_ra autoconf"); err != nil || shown != want {
			t.Errorf("%s: %v, accept_ra and autoconf are %q", setting, err, shown)
		}
	}
}
