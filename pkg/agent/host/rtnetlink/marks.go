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

package rtnetlink

import (
	"bytes"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// addressMark is IFA_PROTO of include/uapi/linux/if_addr.h. It tells who made an
	// address; the kernel has it since 5.18.
	addressMark = 11
	// LastKernelMark is IFAPROT_KERNEL_LL: the marks up to it are the kernel's own.
	LastKernelMark = 3
)

// ListMarks returns the marks of addresses, which netlink.AddrList leaves out, by
// the link's index and the address's text.
func ListMarks() (map[int]map[string]byte, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfAddrmsg(unix.AF_UNSPEC))
	messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	if err != nil {
		return nil, err
	}
	marks := map[int]map[string]byte{}
	for _, message := range messages {
		header := nl.DeserializeIfAddrmsg(message)
		attributes, err := nl.ParseRouteAttrAsMap(message[header.Len():])
		if err != nil {
			return nil, err
		}
		mark, is := attributes[addressMark]
		if !is || len(mark.Value) != 1 {
			continue
		}
		ip, prefix := attributes[unix.IFA_ADDRESS].Value, int(header.Prefixlen)
		// With a peer the prefix is the peer's.
		if local, is := attributes[unix.IFA_LOCAL]; is && !bytes.Equal(local.Value, ip) {
			ip, prefix = local.Value, 8*len(local.Value)
		}
		mask := net.CIDRMask(prefix, 8*len(ip))
		index, address := int(header.Index), (&net.IPNet{IP: ip, Mask: mask}).String()
		if marks[index] == nil {
			marks[index] = map[string]byte{}
		}
		marks[index][address] = mark.Value[0]
	}
	return marks, nil
}

// SetMark marks an address of the link that is there.
func SetMark(l netlink.Link, one netlink.Addr, mark byte) error {
	request := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_REPLACE|unix.NLM_F_ACK)
	header := nl.NewIfAddrmsg(nl.GetIPFamily(one.IP))
	header.Index = uint32(l.Attrs().Index)
	header.Scope = uint8(one.Scope)
	mask := one.Mask
	ip, peer := []byte(one.IP), []byte(one.IP)
	if one.Peer != nil {
		mask, peer = one.Peer.Mask, one.Peer.IP
	}
	prefix, _ := mask.Size()
	header.Prefixlen = uint8(prefix)
	request.AddData(header)
	if ip4 := one.IP.To4(); ip4 != nil {
		ip, peer = ip4, net.IP(peer).To4()
	}
	request.AddData(nl.NewRtAttr(unix.IFA_LOCAL, ip))
	request.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, peer))
	request.AddData(nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(uint32(one.Flags))))
	request.AddData(nl.NewRtAttr(addressMark, []byte{mark}))
	if one.ValidLft > 0 {
		lifetimes := nl.IfaCacheInfo{IfaCacheinfo: unix.IfaCacheinfo{Valid: uint32(one.ValidLft), Prefered: uint32(one.PreferedLft)}}
		request.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, lifetimes.Serialize()))
	}
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
