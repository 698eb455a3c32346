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
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
)

const (
	// mptcpFamily is the generic netlink family of include/uapi/linux/mptcp_pm.h,
	// and mptcpGetAddr its MPTCP_PM_CMD_GET_ADDR.
	mptcpFamily  = "mptcp_pm"
	mptcpGetAddr = 3
	mptcpSysctl  = "/proc/sys/net/mptcp/enabled"
	// linkDetails are RTEXT_FILTER_VF and RTEXT_FILTER_SKIP_STATS of include/uapi/linux/rtnetlink.h.
	linkDetails = 1<<0 | 1<<3
	// sriovFiles are what libnmstate reads of a physical function.
	sriovFiles = "/sys/class/net/*/device/sriov_*"
	// ovsSocket is there if libnmstate asks Open vSwitch's database, too.
	ovsSocket = "/run/openvswitch/db.sock"
)

// ethtoolGets are the requests of ethtool(8)'s netlink interface whose answers
// libnmstate shows.
var ethtoolGets = []uint8{
	unix.ETHTOOL_MSG_LINKMODES_GET, unix.ETHTOOL_MSG_FEATURES_GET, unix.ETHTOOL_MSG_RINGS_GET,
	unix.ETHTOOL_MSG_COALESCE_GET, unix.ETHTOOL_MSG_PAUSE_GET, unix.ETHTOOL_MSG_FEC_GET,
}

// witness proves that nothing has changed since the network was read, so that a
// barrier need not read it again, which takes libnmstate about half a
// millisecond for each interface. It knows what libnmstate shows without
// NetworkManager, and no more.
//
// Links, IPv4 addresses, routes and rules are reported on its socket before the
// call that changes them returns. For the rest, of which the kernel reports
// nothing or does so later, it compares the facts themselves.
type witness struct {
	mu     sync.Mutex
	closed bool
	socket *nl.NetlinkSocket
	// questions are the sockets that the kernel is asked on, by protocol.
	questions map[int]*question
	// families are the generic netlink families that this kernel has.
	families map[string]uint16
	// sriov are the files of the physical functions; they come and go with links.
	sriov []string
	// facts are those of the time right before the last read; nil means that it proves nothing.
	facts []byte
}

// newWitness opens the witness's own event socket: the one that wakes the agent
// up may have handed an event over that nobody has acted on yet.
func newWitness() (*witness, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, eventGroups...)
	if err != nil {
		return nil, fmt.Errorf("subscribing to the kernel's network events: %w", err)
	}
	w := &witness{socket: socket, questions: map[int]*question{}, families: map[string]uint16{}}
	for _, protocol := range []int{unix.NETLINK_ROUTE, unix.NETLINK_GENERIC} {
		question, err := newQuestion(protocol)
		if err != nil {
			w.close()
			return nil, err
		}
		w.questions[protocol] = question
	}
	for _, name := range []string{unix.ETHTOOL_GENL_NAME, mptcpFamily} {
		family, err := netlink.GenlFamilyGet(name)
		switch {
		case err == nil:
			w.families[name] = family.ID
		case !errors.Is(err, unix.ENOENT):
			w.close()
			return nil, fmt.Errorf("looking the kernel's %s interface up: %w", name, err)
		}
	}
	return w, nil
}

// close ends it: from then on it proves nothing.
func (w *witness) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.socket.Close()
	for _, question := range w.questions {
		question.close()
	}
}

// unchanged tells whether all is as it was when the network was read last. If
// not, it begins anew: the caller must read now.
func (w *witness) unchanged() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	quiet := w.drain()
	if !quiet || w.facts == nil {
		w.sriov, _ = filepath.Glob(sriovFiles) // the pattern is good
	}
	facts, err := w.collect()
	same := quiet && err == nil && w.facts != nil && bytes.Equal(facts, w.facts)
	w.facts = facts
	return same
}

// forget says that the last read is not to be relied on.
func (w *witness) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts = nil
}

// drain takes all events off the socket, and tells whether there were none.
// Events that were lost (ENOBUFS) count, as does any other error.
func (w *witness) drain() bool {
	buffer := make([]byte, os.Getpagesize())
	for quiet := true; ; quiet = false {
		_, _, err := unix.Recvfrom(w.socket.GetFd(), buffer, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			return quiet
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
			return false
		}
	}
}

// collect returns a digest of what is shown and has no event that would come in time.
func (w *witness) collect() ([]byte, error) {
	if _, err := os.Stat(ovsSocket); err == nil {
		return nil, errors.New("the database of Open vSwitch would have to be asked")
	}
	facts := sha256.New()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, err
	}
	facts.Write(name.Nodename[:])
	for _, path := range slices.Concat(w.sriov, []string{undo.ResolvConf, undo.HostnameFile, mptcpSysctl}) {
		content, err := slurp(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		fmt.Fprintf(facts, "%s %t %d\n%s", path, err == nil, len(content), content)
	}
	if err := w.ask(facts); err != nil {
		return nil, err
	}
	return facts.Sum(nil), nil
}

// slurp is os.ReadFile for small files, without the system calls by which that
// prepares to wait for what never makes it wait.
func slurp(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var content []byte
	for buffer := make([]byte, 4096); ; {
		n, err := unix.Read(fd, buffer)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || n == 0:
			return content, err
		}
		content = append(content, buffer[:n]...)
	}
}

// ask writes into facts the kernel's answers to the questions whose answers may
// change without an event: ethtool's and MPTCP's; links that are down; and IPv6
// addresses, since one that skips duplicate address detection is there before it
// is reported.
func (w *witness) ask(facts io.Writer) error {
	if err := errors.Join(w.downLinks(facts), w.inet6Addresses(facts)); err != nil {
		return err
	}
	if family, ok := w.families[unix.ETHTOOL_GENL_NAME]; ok {
		for _, get := range ethtoolGets {
			if err := w.dump(facts, family, get, ethtoolHeader()); err != nil {
				return err
			}
		}
	}
	if family, ok := w.families[mptcpFamily]; ok {
		return w.dump(facts, family, mptcpGetAddr, nil)
	}
	return nil
}

// ethtoolHeader asks for compact bit sets, which leave the names out.
func ethtoolHeader() *nl.RtAttr {
	// ETHTOOL_A_*_HEADER is 1 in every request.
	header := nl.NewRtAttr(1|unix.NLA_F_NESTED, nil)
	header.AddRtAttr(unix.ETHTOOL_A_HEADER_FLAGS, nl.Uint32Attr(unix.ETHTOOL_FLAG_COMPACT_BITSETS))
	return header
}

// genericHeader is struct genlmsghdr of include/uapi/linux/genetlink.h: command,
// version, reserved. nl.Genlmsg has no room for the last and sends what is next to it.
type genericHeader [4]byte

// Len implements nl.NetlinkRequestData.
func (h genericHeader) Len() int { return len(h) }

// Serialize implements nl.NetlinkRequestData.
func (h genericHeader) Serialize() []byte { return h[:] }

func (w *witness) dump(facts io.Writer, family uint16, command uint8, attribute *nl.RtAttr) error {
	request := nl.NewNetlinkRequest(int(family), unix.NLM_F_DUMP)
	request.AddData(genericHeader{command, 1})
	if attribute != nil {
		request.AddData(attribute)
	}
	return w.questions[unix.NETLINK_GENERIC].dump(request, func(item []byte) { _, _ = facts.Write(item) })
}

// downLinks writes the links that are not up: when an option of one is changed,
// as a bridge's, the kernel reports nothing (netdev_state_change() in net/core/dev.c).
func (w *witness) downLinks(facts io.Writer) error {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	request.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(linkDetails)))
	return w.questions[unix.NETLINK_ROUTE].dump(request, func(link []byte) {
		if nl.DeserializeIfInfomsg(link).Flags&unix.IFF_UP == 0 {
			_, _ = facts.Write(link)
		}
	})
}

// inet6Addresses writes the IPv6 addresses, without their lifetimes.
func (w *witness) inet6Addresses(facts io.Writer) error {
	request := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfAddrmsg(unix.AF_INET6))
	var wrong error
	err := w.questions[unix.NETLINK_ROUTE].dump(request, func(address []byte) {
		attributes, err := nl.ParseRouteAttr(address[unix.SizeofIfAddrmsg:])
		wrong = errors.Join(wrong, err)
		_, _ = facts.Write(address[:unix.SizeofIfAddrmsg])
		for _, attribute := range attributes {
			if attribute.Attr.Type != unix.IFA_CACHEINFO {
				_, _ = facts.Write(attribute.Value)
			}
		}
	})
	return errors.Join(err, wrong)
}
