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
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// unheld makes a state fail when it is applied and is verified: nobody here sends router advertisements, by which an
// interface would get an address.
const unheld = `"ipv6":{"enabled":true,"dhcp":false,"autoconf":true}`

// failing is a state that changes what entries say and then fails.
func failing(iface, rest string) string {
	return fmt.Sprintf(`{"interfaces":[{%s,%s}]%s}`, iface, unheld, rest)
}

// pair makes a veth pair, aN and bN, that is up.
func pair(t *testing.T, n string) {
	t.Helper()
	netns.Run(t, "ip", "link", "add", "a"+n, "up", "type", "veth", "peer", "name", "b"+n)
	netns.Run(t, "ip", "link", "set", "b"+n, "up")
}

// undone applies a state that fails, and fails the test unless the network is
// afterwards what it was, but for what meanwhile has made.
func undone(t *testing.T, h *Host, state string, meanwhile func()) {
	t.Helper()
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := picture(t)
	var others string
	err := interfere(t, h, state, func() {
		if meanwhile != nil {
			meanwhile()
			others = picture(t)
		}
	})
	if agent.KindOf(err) != agent.Failed || strings.Contains(err.Error(), "could not be put back") {
		t.Fatalf("the apply ended with %v", err)
	}
	if meanwhile != nil {
		before = others
	}
	if now := picture(t); now != before {
		t.Errorf("the network was\n%s\nand is\n%s", before, now)
	}
}

// picture is the network as ip shows it, without whether there is a carrier yet.
func picture(t *testing.T) string {
	t.Helper()
	return netns.Run(t, "ip", "-4", "-o", "addr") + netns.Run(t, "ip", "route") + netns.Run(t, "ip", "rule") +
		netns.Run(t, "sh", "-c", "ip -d link | grep -E 'altname|^[0-9]' | sed -E 's/NO-CARRIER,|,LOWER_UP| state [A-Z]+//g'")
}

// TestAnAbsentRouteOverAnyLinkIsPutBack: nmstate looks for it on every link.
func TestAnAbsentRouteOverAnyLinkIsPutBack(t *testing.T) {
	h := newHost(t, t.TempDir())
	pair(t, "1")
	pair(t, "2")
	netns.Run(t, "ip", "addr", "add", "198.18.2.1/24", "dev", "a2")
	netns.Run(t, "ip", "route", "add", "198.18.50.0/24", "via", "198.18.2.9", "dev", "a2", "proto", "static")
	undone(t, h, failing(`"name":"a1"`, `,"routes":{"config":[{"state":"absent","destination":"198.18.50.0/24"}]}`), nil)
}

// TestUndoingLeavesOthersRoutesAlone, those that the state would take away too.
func TestUndoingLeavesOthersRoutesAlone(t *testing.T) {
	h := newHost(t, t.TempDir())
	pair(t, "1")
	pair(t, "2")
	netns.Run(t, "ip", "addr", "add", "198.18.2.1/24", "dev", "a2")
	undone(t, h, failing(`"name":"a1"`, `,"routes":{"config":[{"state":"absent","destination":"198.18.50.0/24","table-id":77}]}`), func() {
		netns.Run(t, "ip", "route", "add", "198.18.50.0/24", "via", "198.18.2.9", "dev", "a2", "proto", "static")
	})
}

// TestAnInterfaceByItsAliasIsPutBack: its address, and its alternative names.
func TestAnInterfaceByItsAliasIsPutBack(t *testing.T) {
	h := newHost(t, t.TempDir())
	pair(t, "1")
	netns.Run(t, "ip", "link", "property", "add", "dev", "a1", "altname", "uplink0")
	undone(t, h, failing(`"name":"uplink0","type":"veth","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.18.3.1","prefix-length":24}]}`, ""), nil)
	undone(t, h, failing(`"name":"a1","type":"veth","state":"up","alt-names":[{"name":"other0"},{"name":"uplink0","state":"absent"}]`, ""), nil)
	if files, err := os.ReadDir("/etc/systemd/network"); err == nil && len(files) > 0 {
		t.Errorf("the links' files are %v", files)
	}
}

// TestUndoingByIdentifierLeavesOthersAlone: a MAC address means one interface, not all.
func TestUndoingByIdentifierLeavesOthersAlone(t *testing.T) {
	h := newHost(t, t.TempDir())
	pair(t, "1")
	a1, err := netlink.LinkByName("a1")
	if err != nil {
		t.Fatal(err)
	}
	state := failing(fmt.Sprintf(`"name":"uplink","type":"veth","state":"up","identifier":"mac-address","mac-address":"%s",
		"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.18.3.1","prefix-length":24}]}`, a1.Attrs().HardwareAddr), "")
	undone(t, h, state, func() {
		pair(t, "-pod")
		netns.Run(t, "ip", "addr", "add", "198.18.7.1/24", "dev", "a-pod")
		netns.Run(t, "ip", "route", "add", "198.18.8.0/24", "via", "198.18.7.9")
	})
}

// TestUndoingLeavesOthersRulesAlone, when the state has rules of its own.
func TestUndoingLeavesOthersRulesAlone(t *testing.T) {
	h := newHost(t, t.TempDir())
	pair(t, "1")
	t.Cleanup(func() { netns.Run(t, "ip", "rule", "del", "priority", "702") })
	undone(t, h, failing(`"name":"a1"`, `,"route-rules":{"config":[{"ip-from":"198.18.3.0/24","priority":700,"route-table":77}]}`), func() {
		netns.Run(t, "ip", "rule", "add", "from", "198.18.7.1", "lookup", "78", "priority", "702")
	})
}

// TestTheOrderOfAddressesIsPutBack: the first one in a subnet is what packets
// are sent from.
func TestTheOrderOfAddressesIsPutBack(t *testing.T) {
	for name, wanted := range map[string]string{
		"primaryRemoved": `{"ip":"198.18.4.2","prefix-length":24}`,
		"allReplaced":    `{"ip":"198.18.5.1","prefix-length":24}`,
		"firstAdded":     `{"ip":"198.18.4.9","prefix-length":24},{"ip":"198.18.4.1","prefix-length":24}`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, t.TempDir())
			pair(t, "1")
			if err := os.WriteFile("/proc/sys/net/ipv4/conf/a1/promote_secondaries", []byte("0"), 0o644); err != nil {
				t.Fatal(err)
			}
			for _, ip := range []string{"198.18.4.7/24", "198.18.4.2/24", "198.18.4.5/24", "198.18.4.3/24", "198.18.6.1/24"} {
				netns.Run(t, "ip", "addr", "add", ip, "dev", "a1")
			}
			undone(t, h, failing(`"name":"a1","type":"veth","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[`+wanted+`]}`, ""), nil)
		})
	}
}

// TestUndoingLeavesDaemonsRoutesAlone, which come and go by their hand, and
// routes over other links.
func TestUndoingLeavesDaemonsRoutesAlone(t *testing.T) {
	h := newHost(t, t.TempDir())
	for _, n := range []string{"1", "2", "3"} {
		pair(t, n)
		netns.Run(t, "ip", "addr", "add", "198.18."+n+".1/24", "dev", "a"+n)
	}
	netns.Run(t, "ip", "route", "add", "198.18.60.0/24", "via", "198.18.1.9", "proto", "bird")
	t.Cleanup(func() { netns.Run(t, "ip", "route", "del", "blackhole", "198.18.62.0/24") })
	// A veth has no ring. The links stay up, so that the kernel flushes nothing.
	undone(t, h, `{"interfaces":[{"name":"a1","ethtool":{"ring":{"rx":512}}}],"routes":{"config":[{"destination":"198.18.64.0/24","next-hop-address":"198.18.1.9","next-hop-interface":"a1"}]}}`, func() {
		netns.Run(t, "ip", "route", "del", "198.18.60.0/24")
		netns.Run(t, "ip", "route", "add", "198.18.61.0/24", "via", "198.18.1.9", "proto", "bird")
		netns.Run(t, "ip", "route", "add", "blackhole", "198.18.62.0/24")
		netns.Run(t, "ip", "route", "add", "198.18.63.0/24", "nexthop", "via", "198.18.2.9", "nexthop", "via", "198.18.3.9")
	})
}

// TestDaemonsRoutesThatTheApplyTookAwayArePutBack: the kernel flushes them with the
// link, and with the addresses.
func TestDaemonsRoutesThatTheApplyTookAwayArePutBack(t *testing.T) {
	for name, wanted := range map[string]string{
		"linkMadeAgain": `"state":"absent"`,
		"addressGone":   `"type":"veth","state":"up","ipv4":{"enabled":false}`,
		"linkDown":      `"type":"veth","state":"down"`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, t.TempDir())
			pair(t, "1")
			pair(t, "2")
			netns.Run(t, "ip", "addr", "add", "198.18.1.1/24", "dev", "a1")
			netns.Run(t, "ip", "route", "add", "198.18.60.0/24", "via", "198.18.1.9", "proto", "bird")
			routes := netns.Run(t, "ip", "route")
			_, err := h.Apply(t.Context(), desire(t, h, `{"interfaces":[{"name":"a1",`+wanted+`},{"name":"a2",`+unheld+`}]}`))
			if agent.KindOf(err) != agent.Failed || strings.Contains(err.Error(), "could not be put back") {
				t.Fatalf("the apply ended with %v", err)
			}
			if now := netns.Run(t, "ip", "route"); now != routes {
				t.Errorf("the routes were\n%s\nand are\n%s", routes, now)
			}
		})
	}
}

// otherNamespace returns the process id of one in a network namespace of its own.
func otherNamespace(t *testing.T) string {
	t.Helper()
	pod := exec.Command("unshare", "--net", "sh", "-c", "echo ready; exec cat")
	in, err := pod.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := pod.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := pod.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = pod.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(pod.Process.Pid)
}

// TestAPodThatEndsDuringAnApplyIsNotMissed: its veth, a port of the bridge that
// is changed, cannot be made again and need not be. A bridge has the lowest
// MAC address of its ports, and here loses it with the pod.
func TestAPodThatEndsDuringAnApplyIsNotMissed(t *testing.T) {
	h := newHost(t, t.TempDir())
	pair(t, "1")
	pair(t, "-pod")
	netns.Run(t, "ip", "link", "set", "a-pod", "address", "02:00:00:00:00:01")
	netns.Run(t, "ip", "link", "set", "b-pod", "netns", otherNamespace(t))
	netns.Run(t, "ip", "link", "add", "br9", "up", "type", "bridge")
	for _, port := range []string{"a1", "a-pod"} {
		netns.Run(t, "ip", "link", "set", port, "master", "br9")
	}
	undone(t, h, failing(`"name":"br9","type":"linux-bridge","state":"up"`, ""), func() {
		netns.Run(t, "ip", "link", "del", "a-pod")
	})
}
