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
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

const (
	// mptcpFamily is the generic netlink family of include/uapi/linux/mptcp_pm.h,
	// and mptcpGetAddr its MPTCP_PM_CMD_GET_ADDR.
	mptcpFamily  = "mptcp_pm"
	mptcpGetAddr = 3
	mptcpSysctl  = "/proc/sys/net/mptcp/enabled"
	// netClass is the folder of the kernel's links, and netVirtual that of those without a device. sriovFiles are what libnmstate reads of
	// one that is a physical function.
	netClass   = "/sys/class/net"
	netVirtual = "/sys/devices/virtual/net"
	sriovFiles = "device/sriov_*"
)

// ethtoolGets are the requests of ethtool(8)'s netlink interface whose answers
// libnmstate shows.
var ethtoolGets = []uint8{
	unix.ETHTOOL_MSG_LINKMODES_GET, unix.ETHTOOL_MSG_FEATURES_GET, unix.ETHTOOL_MSG_RINGS_GET,
	unix.ETHTOOL_MSG_COALESCE_GET, unix.ETHTOOL_MSG_PAUSE_GET, unix.ETHTOOL_MSG_FEC_GET,
}

// kernel proves that the kernel shows what it showed.
//
// Links, IPv4 addresses, routes and rules are reported on its socket before the
// call that changes them returns. For the rest, of which the kernel reports
// nothing or does so later, it compares the facts themselves.
type kernel struct {
	socket *nl.NetlinkSocket
	// events counts how often something was reported.
	events uint64
	// questions are the sockets that the kernel is asked on, by protocol.
	questions map[int]*question
	// down are the links that are down.
	down downLinks
	// families are the generic netlink families that this kernel has.
	families map[string]uint16
	// sriov are the files of the physical functions as of counted events; they come and go with links.
	sriov   []string
	counted uint64
}

// newKernel opens an event socket of its own: the one that wakes the agent
// up may have handed an event over that nobody has acted on yet.
func newKernel() (*kernel, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, rtnetlink.Groups()...)
	if err != nil {
		return nil, fmt.Errorf("subscribing to the kernel's network events: %w", err)
	}
	k := &kernel{socket: socket, events: 1, questions: map[int]*question{}, families: map[string]uint16{}}
	for _, protocol := range []int{unix.NETLINK_ROUTE, unix.NETLINK_GENERIC} {
		question, err := newQuestion(protocol)
		if err != nil {
			k.close()
			return nil, err
		}
		k.questions[protocol] = question
	}
	for _, name := range []string{unix.ETHTOOL_GENL_NAME, mptcpFamily} {
		family, err := netlink.GenlFamilyGet(name)
		switch {
		case err == nil:
			k.families[name] = family.ID
		case !errors.Is(err, unix.ENOENT):
			k.close()
			return nil, fmt.Errorf("looking the kernel's %s interface up: %w", name, err)
		}
	}
	return k, nil
}

func (k *kernel) close() {
	k.socket.Close()
	for _, question := range k.questions {
		question.close()
	}
}

// observe returns how often something was reported, and a digest of what is shown and has no event that would come in time.
func (k *kernel) observe(context.Context) ([]byte, error) {
	if !k.drain() {
		k.events++
	}
	// Each looks elsewhere, and waits for the kernel most of the time.
	var facts [3][]byte
	var looks errgroup.Group
	for i, look := range []func(io.Writer) error{k.askRoutes, k.askGeneric, k.readFiles} {
		looks.Go(func() error {
			digest := sha256.New()
			err := look(digest)
			facts[i] = digest.Sum(nil)
			return err
		})
	}
	if err := looks.Wait(); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%d %x %x %x", k.events, facts[0], facts[1], facts[2]), nil
}

// readFiles writes what the kernel shows in files.
func (k *kernel) readFiles(facts io.Writer) error {
	if k.counted != k.events {
		k.sriov = physicalFunctions(netClass, netVirtual)
		k.counted = k.events
	}
	return errors.Join(contents(facts, k.sriov), contents(facts, []string{mptcpSysctl}))
}

// physicalFunctions returns the files that tell of virtual functions. Links without a device, of which a node may have hundreds, cost
// little: sysfs has them in a folder of their own.
func physicalFunctions(class, virtual string) (files []string) {
	without := map[string]bool{}
	links, _ := os.ReadDir(virtual)
	for _, link := range links {
		without[link.Name()] = true
	}
	links, _ = os.ReadDir(class) // without sysfs, libnmstate shows none either
	for _, link := range links {
		if !without[link.Name()] {
			its, _ := filepath.Glob(filepath.Join(class, link.Name(), sriovFiles)) // the pattern is good
			files = append(files, its...)
		}
	}
	return files
}

// drain takes all events off the socket, and tells whether there were none.
// Events that were lost (ENOBUFS) count, as does any other error.
func (k *kernel) drain() bool {
	buffer := make([]byte, os.Getpagesize())
	for quiet := true; ; quiet = false {
		n, from, err := unix.Recvfrom(k.socket.GetFd(), buffer, unix.MSG_DONTWAIT)
		switch {
		case err == nil && !isKernel(from):
			k.down.forget()
		case err == nil:
			k.down.note(buffer[:n])
		case errors.Is(err, unix.EAGAIN):
			return quiet
		case errors.Is(err, unix.EINTR):
		default:
			k.down.forget()
			if !errors.Is(err, unix.ENOBUFS) {
				return false
			}
		}
	}
}

// askRoutes writes the kernel's answers of rtnetlink's that may change without an event: links that are down; and IPv6
// addresses, since one that skips duplicate address detection is there before it is reported.
func (k *kernel) askRoutes(facts io.Writer) error {
	return errors.Join(k.down.write(k.questions[unix.NETLINK_ROUTE], facts), k.inet6Addresses(facts))
}

// askGeneric writes the answers of generic netlink's families that may change without an event: ethtool's and MPTCP's.
func (k *kernel) askGeneric(facts io.Writer) error {
	if family, ok := k.families[unix.ETHTOOL_GENL_NAME]; ok {
		for _, get := range ethtoolGets {
			if err := k.dump(facts, family, get, ethtoolHeader()); err != nil {
				return err
			}
		}
	}
	if family, ok := k.families[mptcpFamily]; ok {
		return k.dump(facts, family, mptcpGetAddr, nil)
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

func (k *kernel) dump(facts io.Writer, family uint16, command uint8, attribute *nl.RtAttr) error {
	request := nl.NewNetlinkRequest(int(family), unix.NLM_F_DUMP)
	request.AddData(genericHeader{command, 1})
	if attribute != nil {
		request.AddData(attribute)
	}
	return k.questions[unix.NETLINK_GENERIC].dump(request, func(item []byte) { _, _ = facts.Write(item) })
}

// inet6Addresses writes the IPv6 addresses, without their lifetimes.
func (k *kernel) inet6Addresses(facts io.Writer) error {
	request := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfAddrmsg(unix.AF_INET6))
	var wrong error
	err := k.questions[unix.NETLINK_ROUTE].dump(request, func(address []byte) {
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
