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

package witness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// TestWitness: nothing of what libnmstate shows changes unnoticed.
func TestWitness(t *testing.T) {
	t.Cleanup(func() {
		netns.Run(t, "sh", "-c", "ip link del w0 2>/dev/null; ip link del br0; ip -6 route flush 2001:db8::/32; ip mptcp endpoint flush")
		if err := errors.Join(os.WriteFile(mptcpSysctl, []byte("1"), 0o644), os.Remove(undo.HostnameFile)); err != nil {
			t.Error(err)
		}
	})
	netns.Run(t, "ip", "link", "add", "w0", "up", "type", "veth", "peer", "name", "w1")
	netns.Run(t, "ip", "link", "set", "w1", "up")
	netns.Run(t, "ip", "link", "add", "br0", "type", "bridge")
	w := newWatch(t)
	ip := func(args string) func(*testing.T) {
		return func(t *testing.T) { netns.Run(t, "ip", strings.Fields(args)...) }
	}
	write := func(path, content string) func(*testing.T) {
		return func(t *testing.T) {
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, change := range []struct {
		name string
		make func(*testing.T)
	}{
		{"address", ip("addr add 198.18.0.1/24 dev w0")},
		{"IPv6 address", ip("addr add 2001:db8::1/64 dev w0")},
		{"IPv6 address without duplicate address detection", ip("addr add 2001:db8::2/128 dev w0 nodad noprefixroute")},
		{"IPv6 token", ip("token set ::7 dev w0")},
		{"route", ip("route add 198.18.1.0/24 via 198.18.0.2")},
		{"IPv6 route", ip("route add 2001:db8:1::/48 via 2001:db8::3 dev w0")},
		{"next hop object", ip("nexthop add id 7 via 198.18.0.3 dev w0")},
		{"route over a next hop object", ip("route add 198.18.2.0/24 nhid 7")},
		{"next hop object with its route", ip("nexthop del id 7")},
		{"rule", ip("rule add from 198.18.0.1 lookup 77 priority 700")},
		{"rule's end", ip("rule del priority 700")},
		{"MTU", ip("link set w0 mtu 1400")},
		{"MAC address", ip("link set br0 address 02:00:00:00:00:07")},
		{"alternative name", ip("link property add dev w0 altname other")},
		{"promiscuous mode", ip("link set w0 promisc on")},
		{"bridge port", ip("link set w0 master br0")},
		{"bridge option", ip("link set br0 type bridge forward_delay 400")},
		{"bridge option in sysfs", write("/sys/class/net/br0/bridge/group_fwd_mask", "8")},
		{"bridge port's option", ip("link set w0 type bridge_slave cost 7")},
		{"state", ip("link set br0 up")},
		{"forwarding", write("/proc/sys/net/ipv4/conf/w0/forwarding", "1")},
		{"MPTCP endpoint", ip("mptcp endpoint add 198.18.0.1 dev w0 signal")},
		{"MPTCP endpoint's end", ip("mptcp endpoint flush")},
		{"MPTCP", write(mptcpSysctl, "0")},
		{"offload", func(t *testing.T) { switchOffload(t, w, "w1", "tx-nocache-copy") }},
		{"DNS", write(undo.ResolvConf, "nameserver 192.0.2.53\n")},
		{"configured hostname", write(undo.HostnameFile, "node01\n")},
		{"interface", ip("link del w0")},
	} {
		t.Run(change.name, func(t *testing.T) {
			settle(t, w)
			change.make(t)
			if w.unchanged() {
				t.Error("it went unnoticed")
			}
		})
	}
	w.Close()
	if w.unchanged() {
		t.Error("it proves something when it has ended")
	}
}

// settle waits until nothing changes any more, as links do by themselves when
// they come up.
func settle(t *testing.T, w *watch) {
	t.Helper()
	for range 100 {
		if w.unchanged() && !readable(t, w, 50) {
			return
		}
	}
	t.Fatal("there is no end of changes")
}

// readable waits for an event, for so many milliseconds.
func readable(t *testing.T, w *watch, timeout int) bool {
	t.Helper()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(w.kernel().socket.GetFd()), Events: unix.POLLIN}}, timeout)
	if err != nil && err != unix.EINTR {
		t.Fatal(err)
	}
	return n != 0
}

// switchOffload turns an offload of a link on, as ethtool -K does.
func switchOffload(t *testing.T, w *watch, link, feature string) {
	t.Helper()
	// See Documentation/networking/ethtool-netlink.rst: FEATURES_SET, bit sets.
	header := nl.NewRtAttr(unix.ETHTOOL_A_FEATURES_HEADER|unix.NLA_F_NESTED, nil)
	header.AddRtAttr(unix.ETHTOOL_A_HEADER_DEV_NAME, nl.ZeroTerminated(link))
	wanted := nl.NewRtAttr(unix.ETHTOOL_A_FEATURES_WANTED|unix.NLA_F_NESTED, nil)
	bits := wanted.AddRtAttr(unix.ETHTOOL_A_BITSET_BITS|unix.NLA_F_NESTED, nil)
	bit := bits.AddRtAttr(unix.ETHTOOL_A_BITSET_BITS_BIT|unix.NLA_F_NESTED, nil)
	bit.AddRtAttr(unix.ETHTOOL_A_BITSET_BIT_NAME, nl.ZeroTerminated(feature))
	bit.AddRtAttr(unix.ETHTOOL_A_BITSET_BIT_VALUE, nil)
	request := nl.NewNetlinkRequest(int(w.kernel().families[unix.ETHTOOL_GENL_NAME]), unix.NLM_F_ACK)
	request.AddData(genericHeader{unix.ETHTOOL_MSG_FEATURES_SET, 1})
	request.AddData(header)
	request.AddData(wanted)
	if _, err := request.Execute(unix.NETLINK_GENERIC, 0); err != nil {
		t.Fatal(err)
	}
}

// TestWitnessOverflow: events that did not fit count as events.
func TestWitnessOverflow(t *testing.T) {
	t.Cleanup(func() { netns.Run(t, "ip", "addr", "flush", "dev", "lo", "to", "198.18.9.0/24") })
	w := newWatch(t)
	settle(t, w)
	if err := unix.SetsockoptInt(w.kernel().socket.GetFd(), unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
		t.Fatal(err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		addr, err := netlink.ParseAddr(fmt.Sprintf("198.18.9.%d/32", i+1))
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.AddrAdd(lo, addr); err != nil {
			t.Fatal(err)
		}
	}
	if w.unchanged() {
		t.Error("lost events went unnoticed")
	}
}

// TestPhysicalFunctions: those of links that have a device, by the kernel's folders.
func TestPhysicalFunctions(t *testing.T) {
	root := t.TempDir()
	class := filepath.Join(root, "class", "net")
	link := func(name, device string, files ...string) {
		folder := filepath.Join(root, "devices", device, "net", name)
		if err := errors.Join(os.MkdirAll(folder, 0o755), os.MkdirAll(class, 0o755), os.Symlink("../../devices/"+device+"/net/"+name, filepath.Join(class, name))); err != nil {
			t.Fatal(err)
		}
		if device == "virtual" {
			return
		}
		for _, file := range files {
			if err := os.WriteFile(filepath.Join(root, "devices", device, file), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("../..", filepath.Join(folder, "device")); err != nil {
			t.Fatal(err)
		}
	}
	link("lo", "virtual")
	link("eth0", "pci0000:00/0000:00:03.0", "sriov_numvfs", "sriov_totalvfs", "vendor")
	link("eth1", "pci0000:00/0000:00:04.0", "vendor")
	want := []string{filepath.Join(class, "eth0/device/sriov_numvfs"), filepath.Join(class, "eth0/device/sriov_totalvfs")}
	if got := physicalFunctions(class, filepath.Join(root, "devices", "virtual", "net")); !slices.Equal(got, want) {
		t.Errorf("got %v, not %v", got, want)
	}
	if got := physicalFunctions(filepath.Join(root, "none"), filepath.Join(root, "none")); got != nil {
		t.Errorf("without sysfs: %v", got)
	}
}
