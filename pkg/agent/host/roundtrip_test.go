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
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// madeAnew is what an apply, or a start of NetworkManager, makes anew each time: the kernel's routes to each subnet, because
// libnmstate without NetworkManager sets addresses again, and the metrics that NetworkManager gives.
var madeAnew = regexp.MustCompile(`(?m)^.* proto kernel .*\n| metric [0-9]+`)

// nodePicture is all of the network that an apply may change: fullPicture without what is made anew, the
// links with their details, DNS and the hostname.
func nodePicture(t *testing.T) string {
	t.Helper()
	return madeAnew.ReplaceAllString(fullPicture(t), "") + netns.Run(t, "sh", "-c", `
		ip -d link | sed -E 's/NO-CARRIER,|,LOWER_UP| state [A-Z]+//g; s/ bridge_slave .*| hello_timer .*gc_timer +[0-9.]+|addrgenmode [a-z0-9]+|(num_?tx_?queues|tso_max_size) .*//g; s/ +$//'
		grep -v '^#' /etc/resolv.conf; hostname; cat /etc/hostname 2>/dev/null; true`)
}

// changed are the lines that only one of two pictures has.
func changed(before, now string) string {
	was, is := strings.Split(before, "\n"), strings.Split(now, "\n")
	var lines []string
	for _, line := range was {
		if !slices.Contains(is, line) {
			lines = append(lines, "- "+line)
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			lines = append(lines, "+ "+line)
		}
	}
	return strings.Join(lines, "\n")
}

// makeLinks makes a link of each type that this kernel knows, and returns the names
// of the others.
func makeLinks(t *testing.T) (unknown []string) {
	t.Helper()
	pair(t, "1")
	pair(t, "2")
	for name, args := range map[string]string{
		"br9":      "type bridge",
		"vx9":      "type vxlan id 9 remote 198.18.1.99 dstport 4789 dev a1",
		"mv9":      "link b1 type macvlan mode bridge",
		"ifb9":     "type ifb",
		"dummy9":   "type dummy",
		"vlan9":    "link b1 type vlan id 9",
		"ipvlan9":  "link b2 type ipvlan mode l2",
		"vrf9":     "type vrf table 99",
		"bond9":    "type bond mode active-backup",
		"gre9":     "type gre local 198.18.1.1 remote 198.18.1.98",
		"ipip9":    "type ipip local 198.18.1.1 remote 198.18.1.98",
		"sit9":     "type sit local 198.18.1.1 remote 198.18.1.98",
		"wg9":      "type wireguard",
		"macvtap9": "link b1 type macvtap",
		"hsr9":     "type hsr slave1 b1 slave2 b2",
		"macsec9":  "link b2 type macsec",
	} {
		out, err := exec.Command("ip", strings.Fields("link add "+name+" up "+args)...).CombinedOutput()
		if err != nil {
			unknown = append(unknown, fmt.Sprintf("%s: %s", name, strings.TrimSpace(string(out))))
		}
	}
	if out, err := exec.Command("ip", "tuntap", "add", "tun9", "mode", "tun").CombinedOutput(); err != nil {
		unknown = append(unknown, "tun9: "+string(out))
	}
	netns.Run(t, "ip", "link", "set", "a2", "master", "br9")
	return unknown
}

// sendBack applies what is shown of the network, all of it and each interface
// alone, and fails the test unless that leaves the network as it is.
func sendBack(t *testing.T, h *Host, picture func(*testing.T) string) {
	t.Helper()
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	shown := h.feed.Last().Status.CurrentState.Raw
	var tree struct {
		Interfaces []json.RawMessage `json:"interfaces"`
	}
	if err := json.Unmarshal(shown, &tree); err != nil {
		t.Fatal(err)
	}
	states := []string{string(shown)}
	for _, iface := range tree.Interfaces {
		states = append(states, `{"interfaces":[`+string(iface)+`]}`)
	}
	before := picture(t)
	for _, state := range states {
		if _, err := h.Apply(t.Context(), desire(t, h, state)); err != nil {
			t.Errorf("sending back %s: %v", state, err)
			continue
		}
		if now := picture(t); now != before {
			t.Errorf("sending back %s changes\n%s", state, changed(before, now))
			before = now
		}
		if difference := h.feed.Last().Status.Difference; difference != nil {
			t.Errorf("sending back %s leaves the difference %s", state, difference.Raw)
		}
	}
}

// TestWhatIsShownCanBeSentBack: it changes nothing, whatever there is.
func TestWhatIsShownCanBeSentBack(t *testing.T) {
	h := newHost(t, t.TempDir())
	t.Logf("this kernel has no %q", makeLinks(t))
	for _, args := range []string{
		"addr add 198.18.1.1/24 dev a1",
		"addr add 198.18.1.2/24 dev a1",
		"addr add 198.18.1.50/24 dev a1 valid_lft 600 preferred_lft 300",
		"addr add 198.18.2.1/24 dev br9 valid_lft 600 preferred_lft 600",
		"addr add 2001:db8:1::1/64 dev a1 nodad",
		"addr add 2001:db8:1::50/64 dev a1 nodad valid_lft 600 preferred_lft 0",
		"addr add 2001:db8:2::50/64 dev br9 nodad valid_lft 600 preferred_lft 600",
		"addr add 198.18.9.1/32 dev lo",
		"route add default via 198.18.2.254 dev br9 proto dhcp",
		"route add 198.18.3.0/24 via 198.18.1.254 dev a1 proto static",
		"route add 198.18.4.0/24 via 198.18.1.254 dev a1 proto bgp",
		"-6 route add 2001:db8:3::/48 via fe80::1 dev a1",
	} {
		netns.Run(t, "ip", strings.Fields(args)...)
	}
	marked := []string{"198.18.1.60/32", "2001:db8:1::60/128"}
	for _, cidr := range marked {
		addMarked(t, "a1", cidr)
	}
	sendBack(t, h, nodePicture)
	if now := marksOf(t); !slices.Equal(now, marked) {
		t.Errorf("only these are marked still: %q", now)
	}
}

// serveDHCP makes the link dh0, whose other end is in a network that has a DHCP server.
func serveDHCP(t *testing.T) {
	t.Helper()
	busybox := os.Getenv(busyboxPath)
	pod := otherNamespace(t)
	netns.Run(t, "ip", "link", "add", "dh0", "up", "type", "veth", "peer", "name", "dh1", "netns", pod)
	netns.Run(t, "nsenter", "-t", pod, "-n", "sh", "-c", "ip addr add 198.51.100.1/24 dev dh1 && ip link set dh1 up")
	dir := t.TempDir()
	config := filepath.Join(dir, "udhcpd.conf")
	text := fmt.Sprintf("start 198.51.100.50\nend 198.51.100.60\ninterface dh1\nlease_file %[1]s/leases\npidfile %[1]s/pid\n"+
		"option subnet 255.255.255.0\noption router 198.51.100.1\noption lease 600\n", dir)
	if err := errors.Join(os.WriteFile(config, []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "leases"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("nsenter", "-t", pod, "-n", busybox, "udhcpd", "-f", config)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		netns.Run(t, "ip", "link", "del", "dh0")
	})
}

// TestManagedWhatIsShownCanBeSentBack: a lease stays a lease, in the profile, too.
func TestManagedWhatIsShownCanBeSentBack(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	serveDHCP(t)
	if _, err := h.Apply(t.Context(), desire(t, h, `{"interfaces":[
		{"name":"dh0","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":true},"ipv6":{"enabled":true,"dhcp":false,"autoconf":false}},
		{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.101.1","prefix-length":24}]},
		 "ipv6":{"enabled":true,"dhcp":false,"autoconf":false,"address":[{"ip":"2001:db8:1::1","prefix-length":64}]}},
		{"name":"br9","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[{"name":"eth2"}]}},
		{"name":"vx9","type":"vxlan","state":"up","vxlan":{"id":9,"remote":"198.51.101.9","base-iface":"eth1"}},
		{"name":"mv9","type":"mac-vlan","state":"up","mac-vlan":{"base-iface":"eth3","mode":"bridge","promiscuous":true}}],
		"routes":{"config":[{"destination":"198.18.3.0/24","next-hop-address":"198.51.101.254","next-hop-interface":"eth1"}]},
		"dns-resolver":{"config":{"server":["198.51.101.53"]}},"hostname":{"running":"lease","config":"lease"}}`)); err != nil {
		t.Fatal(err)
	}
	for shown := false; !shown; {
		if _, err := h.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		shown = strings.Contains(string(h.feed.Last().Status.CurrentState.Raw), `"valid-life-time":"dynamic"`)
	}
	addMarked(t, "eth1", "198.51.101.60/32")
	netns.Run(t, "ip", "addr", "add", "198.51.101.70/24", "dev", "eth1", "valid_lft", "600", "preferred_lft", "600")
	netns.Run(t, "ip", "route", "add", "198.18.4.0/24", "via", "198.51.101.254", "dev", "eth1", "proto", "bgp")
	methods := methodsOf(t)
	sendBack(t, h, nodePicture)
	after := methodsOf(t)
	for name, was := range methods {
		if after[name] != was {
			t.Errorf("the profile of %s had the methods %s and has %s", name, was, after[name])
		}
	}
	if methods["dh0"] != "auto link-local" {
		t.Errorf("the profile of dh0 has the methods %s", methods["dh0"])
	}
}

// methodsOf are the ways in which NetworkManager's profiles get addresses, by interface.
func methodsOf(t *testing.T) map[string]string {
	t.Helper()
	methods := map[string]string{}
	name := ""
	for line := range strings.Lines(profiles(t)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "interface-name":
			name = value
		case "method":
			methods[name] = strings.TrimSpace(methods[name] + " " + value)
		}
	}
	return methods
}

// addMarked adds an address that a program, such as OVN, marks as its own.
func addMarked(t *testing.T, link, cidr string) {
	t.Helper()
	netns.Run(t, "ip", "addr", "add", cidr, "dev", link)
	l, err := netlink.LinkByName(link)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		t.Fatal(err)
	}
	if err := rtnetlink.SetMark(l, *addr, 0x42); err != nil {
		t.Fatal(err)
	}
}

// marksOf are the addresses that are marked so.
func marksOf(t *testing.T) (addresses []string) {
	t.Helper()
	found, err := rtnetlink.ListMarks()
	if err != nil {
		t.Fatal(err)
	}
	for _, marks := range found {
		for address, mark := range marks {
			if mark == 0x42 {
				addresses = append(addresses, address)
			}
		}
	}
	slices.Sort(addresses)
	return addresses
}
