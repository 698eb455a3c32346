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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// managedFailing is a list of interfaces that NetworkManager applies, and of which
// nmstate then notices that one does not hold: a veth has no ring to set.
func managedFailing(interfaces string) string {
	return `{"interfaces":[` + interfaces + `,{"name":"eth3","type":"ethernet","state":"up","ethtool":{"ring":{"rx":17}}}]}`
}

// fullPicture is all addresses, rules and routes, IPv6's and those of other tables
// included, without the seconds that are left of lifetimes, and without the kernel's own table local.
func fullPicture(t *testing.T) string {
	t.Helper()
	return netns.Run(t, "sh", "-c", `
		ip -o addr | sed -E 's/ (valid|preferred)_lft .*//; s/ (tentative|nodad|noprefixroute|brd [0-9.]+)//g; s/ proto kernel_(ll|ra|lo)//' | sort
		for family in -4 -6; do
			ip $family route show table all | grep -v 'table local' | sed -E 's/expires [0-9]+sec//; s/ linkdown//; s/ pref medium//' | sort
			ip $family rule
		done`)
}

// forgetProfiles takes away what earlier tests have configured. NetworkManager takes a profile's addresses away after the profile.
func forgetProfiles(t *testing.T) {
	t.Helper()
	var gone []string
	for line := range strings.Lines(profiles(t)) {
		if uuid, is := strings.CutPrefix(strings.TrimSpace(line), "uuid="); is {
			netns.Run(t, "nmcli", "connection", "delete", "uuid", uuid)
			gone = append(gone, uuid)
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		active, devices := netns.Run(t, "nmcli", "-t", "-f", "UUID", "connection", "show", "--active"), netns.Run(t, "nmcli", "-t", "-f", "DEVICE,STATE", "device")
		if !strings.Contains(devices, ":deactivating") && !slices.ContainsFunc(gone, func(uuid string) bool { return strings.Contains(active, uuid) }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("of what was deleted, %q is active still: %s", active, devices)
		}
	}
}

// TestManagedRollbackTakesScriptsAway: no checkpoint covers dispatch scripts.
func TestManagedRollbackTakesScriptsAway(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	if err := os.MkdirAll("/etc/NetworkManager/dispatcher.d", 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := h.Apply(t.Context(), desire(t, h, managedFailing(`{"name":"eth1","type":"ethernet","state":"up","dispatch":{"post-activation":"true"}}`)))
	if agent.KindOf(err) != agent.Failed || strings.Contains(err.Error(), "could not be put back") {
		t.Errorf("the apply ended with %v", err)
	}
	if files, err := filepath.Glob("/etc/NetworkManager/dispatcher.d/nmstate-*"); err != nil || len(files) > 0 {
		t.Errorf("left are %q, %v", files, err)
	}
}

// TestManagedRollbackRunsThePostDeactivationScript: what a post-activation script has done, such as to
// drop all packets, outlives the script. Its counterpart undoes that.
func TestManagedRollbackRunsThePostDeactivationScript(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	if err := os.MkdirAll("/etc/NetworkManager/dispatcher.d", 0o755); err != nil {
		t.Fatal(err)
	}
	ran := filepath.Join(t.TempDir(), "ran")
	script := fmt.Sprintf(`"dispatch":{"post-activation":"true","post-deactivation":"echo $1 $2 >>%s"}`, ran)
	_, err := h.Apply(t.Context(), desire(t, h, managedFailing(`{"name":"eth1","type":"ethernet","state":"up",`+script+`}`)))
	if agent.KindOf(err) != agent.Failed || strings.Contains(err.Error(), "could not be put back") {
		t.Errorf("the apply ended with %v", err)
	}
	if text, err := os.ReadFile(ran); err != nil || !strings.Contains(string(text), "eth1 down") {
		t.Errorf("the post-deactivation script wrote %q, %v", text, err)
	}
	if last := h.feed.Last().Status.LastApply; last == nil || !strings.Contains(last.Message, "post-activation script of eth1") {
		t.Errorf("lastApply does not tell of the script: %+v", last)
	}
}

// TestManagedRollbackKeepsWhatOthersMade: NetworkManager's rollback takes all of a
// link's addresses and routes away, and puts its own back.
func TestManagedRollbackKeepsWhatOthersMade(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	const interfaces = `
		{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.6","prefix-length":24}]},
		 "ipv6":{"enabled":true,"dhcp":false,"autoconf":false,"address":[{"ip":"2001:db8:6::6","prefix-length":64}]}},
		{"name":"eth2","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.101.6","prefix-length":24}]}}`
	if _, err := h.Apply(t.Context(), desire(t, h, `{"interfaces":[`+interfaces+`]}`)); err != nil {
		t.Fatal(err)
	}
	for _, others := range []struct {
		name     string
		commands []string
	}{
		{"routes", []string{
			"route add 203.0.113.0/25 via 198.51.100.66 dev eth1 proto bgp",
			"route add 203.0.113.128/25 via 198.51.100.66 dev eth1 proto bird table 77",
			"route add 198.18.1.0/24 proto ospf nexthop via 198.51.100.66 dev eth1 nexthop via 198.51.101.66 dev eth2",
			"route add 198.18.2.0/24 via 198.51.100.67 dev eth1 proto static",
			"-6 route add 2001:db8:7::/48 via 2001:db8:6::66 dev eth1 proto bgp",
			"-6 route add 2001:db8:8::/48 via fe80::66 dev eth1 proto babel table 77",
		}},
		{"addresses", []string{
			"addr add 198.51.100.200/32 dev eth1",
			"addr add 198.51.100.201/24 dev eth1",
			"addr add 2001:db8:6::200/128 dev eth1",
			"addr add 198.51.100.202/32 dev eth1 valid_lft 600 preferred_lft 600",
			"rule add from 198.51.100.200 lookup 77 priority 703",
		}},
	} {
		t.Run(others.name, func(t *testing.T) {
			for _, args := range others.commands {
				netns.Run(t, "ip", strings.Fields(args)...)
			}
			if _, err := h.Barrier(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := fullPicture(t)
			_, err := h.Apply(t.Context(), desire(t, h, managedFailing(interfaces)))
			if agent.KindOf(err) != agent.Failed || strings.Contains(err.Error(), "could not be put back") {
				t.Errorf("the apply ended with %v", err)
			}
			if now := fullPicture(t); now != before {
				t.Errorf("this has changed:\n%s", changed(before, now))
			}
			if last := h.feed.Last().Status.LastApply; last.Outcome != v1alpha1.ApplyRolledBack {
				t.Errorf("lastApply is %+v", last)
			}
		})
	}
	netns.Run(t, "ip", "rule", "del", "priority", "703")
}

// TestManagedRollbackLeavesADeviceUnmanaged: a rollback of NetworkManager's checkpoint deletes the new profile in the midst
// of making its device unmanaged. The device stays disconnected then, and calls itself managed.
func TestManagedRollbackLeavesADeviceUnmanaged(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	forgetProfiles(t)
	netns.Run(t, "nmcli", "device", "set", "eth1", "managed", "no")
	t.Cleanup(func() {
		forgetProfiles(t)
		netns.Run(t, "nmcli", "device", "set", "eth1", "managed", "yes")
	})
	_, err := h.Apply(t.Context(), desire(t, h, managedFailing(`{"name":"eth1","type":"veth","state":"up","ipv4":{"enabled":true,"dhcp":false,
		"address":[{"ip":"198.51.100.77","prefix-length":24}]}}`)))
	if agent.KindOf(err) != agent.Failed || strings.Contains(err.Error(), "could not be put back") {
		t.Errorf("the apply ended with %v", err)
	}
	if devices := netns.Run(t, "nmcli", "-g", "DEVICE,STATE", "device"); !strings.Contains(devices, "eth1:unmanaged") {
		t.Errorf("NetworkManager has the devices\n%s", devices)
	}
}

// TestManagedRollbackOfABlackHole: nmstate keeps the route in a profile of the loopback, over which NetworkManager
// then makes a route that outlives the profile.
func TestManagedRollbackOfABlackHole(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	netns.Run(t, "sh", "-c", "ip route del 127.0.0.0/8 dev lo || true")
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := managedPicture(t)
	obj, err := h.Apply(t.Context(), confirmed(t, h, `{"routes":{"config":[{"destination":"198.18.60.0/24","route-type":"blackhole"}]}}`, v1alpha1.ConfirmManually, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if now := managedPicture(t); !strings.Contains(now, "blackhole 198.18.60.0/24") {
		t.Errorf("the node has no black hole: %s", now)
	}
	_, err = h.Decide(t.Context(), agent.Decision{Transaction: obj.Status.LastApply.ID, User: "admin"})
	if err != nil {
		t.Error(err)
	}
	if now := managedPicture(t); now != before {
		t.Errorf("the node is not as before:\n%s", changed(before, now))
	}
}

// linkOfOthers makes p0, which has addresses and a peer, p1, and returns a function that waits until nmcli shows a
// device and its state. p0 is given its addresses when NetworkManager has come to rest: it takes them away meanwhile.
func linkOfOthers(t *testing.T) (state func(want string)) {
	t.Helper()
	netns.Run(t, "ip", "link", "add", "p0", "type", "veth", "peer", "name", "p1")
	t.Cleanup(func() { netns.Run(t, "ip", "link", "del", "p0") })
	state = func(want string) {
		t.Helper()
		netns.Run(t, "sh", "-c", "timeout 60 sh -c 'until nmcli -t -f DEVICE,STATE device | grep -qxF \""+want+"\"; do sleep 0.1; done' || { nmcli device; ip -d addr show p0; exit 1; }")
	}
	netns.Run(t, "ip", "link", "set", "p0", "up")
	netns.Run(t, "ip", "link", "set", "p1", "up")
	state("p0:disconnected")
	netns.Run(t, "ip", "addr", "add", "198.51.101.7/24", "dev", "p0")
	state("p0:connected (externally)")
	netns.Run(t, "sysctl", "net.ipv6.conf.p0.disable_ipv6=0")
	netns.Run(t, "ip", "addr", "add", "2001:db8:101::7/64", "dev", "p0", "nodad")
	return state
}

// TestManagedRollbackLeavesLinksOfOthersAlone: NetworkManager takes a link over that others have configured, and that has no
// carrier when a change of other links is rolled back. It would take the link's addresses away later.
func TestManagedRollbackLeavesLinksOfOthersAlone(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	state := linkOfOthers(t)
	for _, args := range []string{"route add 203.0.113.0/25 via 198.51.101.9 dev p0", "route add 203.0.113.128/25 via 198.51.101.9 dev p0 proto bgp"} {
		netns.Run(t, "ip", strings.Fields(args)...)
	}
	for _, seen := range []string{"connected (externally)", "disconnected"} {
		if _, err := h.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := managedPicture(t)
		obj, err := h.Apply(t.Context(), confirmed(t, h, address(83), v1alpha1.ConfirmManually, time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		netns.Run(t, "ip", "link", "set", "p1", "down")
		state("p0:unavailable")
		if _, err := h.Decide(t.Context(), agent.Decision{Transaction: obj.Status.LastApply.ID, User: "admin"}); err != nil {
			t.Error(err)
		}
		netns.Run(t, "ip", "link", "set", "p1", "up")
		if now := managedPicture(t); strings.ReplaceAll(now, " linkdown", "") != before {
			t.Errorf("%s: the node is not as before:\n%s", seen, changed(before, now))
		}
		// After another outage NetworkManager says that it has disconnected the link.
		netns.Run(t, "ip", "link", "set", "p1", "down")
		state("p0:unavailable")
		netns.Run(t, "ip", "link", "set", "p1", "up")
		state("p0:disconnected")
		if now := managedPicture(t); strings.ReplaceAll(now, " linkdown", "") != before {
			t.Errorf("%s: the node is not as before after an outage:\n%s", seen, changed(before, now))
		}
	}
}

// TestManagedRollbackPutsSettingsOfOthersBack: NetworkManager sets how IPv6 is configured on a link that it takes over from
// others, the loopback among them, and leaves it so when its checkpoint is rolled back.
func TestManagedRollbackPutsSettingsOfOthersBack(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	linkOfOthers(t)
	untilAtRest(t, h)
	look := func() string {
		return netns.Run(t, "sh", "-c", `cd /proc/sys/net; for link in lo p0; do grep -s . ipv4/conf/$link/* ipv6/conf/$link/*; ip route show table local dev $link; done`)
	}
	before := look()
	_, err := h.Apply(t.Context(), desire(t, h, managedFailing(`
		{"name":"lo","type":"loopback","state":"up","ipv4":{"enabled":true,"address":[{"ip":"127.0.0.1","prefix-length":8},{"ip":"198.18.73.1","prefix-length":32}]}},
		{"name":"p0","type":"veth","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.101.8","prefix-length":24}]}}`)))
	if err == nil || strings.Contains(err.Error(), "put back") {
		t.Errorf("got %v", err)
	}
	if now := look(); now != before {
		t.Errorf("the node is not as before:\n%s", changed(before, now))
	}
}
