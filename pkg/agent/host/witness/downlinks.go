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
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// linkDetails are RTEXT_FILTER_VF and RTEXT_FILTER_SKIP_STATS of include/uapi/linux/rtnetlink.h.
	linkDetails = 1<<0 | 1<<3
	// mostAsked is how many links are asked for one by one. A list takes 3 µs for each link of a node, also for those that are up; a link alone takes 8 µs.
	mostAsked = 64
)

// downLinks are the indexes of the links that are not up: when an option of one is changed, as a bridge's, the kernel reports
// nothing (netdev_state_change() in net/core/dev.c). That a link comes, goes, or is set up or down is reported before the call that
// does it returns. nil if they are not known.
type downLinks map[int32]bool

// note takes a report of the kernel's, of which the end may be missing.
func (d *downLinks) note(report []byte) {
	const withLink = unix.SizeofNlMsghdr + unix.SizeofIfInfomsg
	if *d == nil || len(report) < unix.SizeofNlMsghdr {
		return
	}
	size, kind := binary.NativeEndian.Uint32(report), binary.NativeEndian.Uint16(report[4:])
	isLink := kind == unix.RTM_NEWLINK || kind == unix.RTM_DELLINK
	switch {
	case int(size)+unix.NLMSG_ALIGNTO <= len(report), isLink && len(report) < withLink:
		d.forget() // it is not as the kernel reports: one message at a time
		return
	case !isLink:
		return
	}
	link := nl.DeserializeIfInfomsg(report[unix.SizeofNlMsghdr:])
	switch {
	case link.Family != unix.AF_UNSPEC: // a bridge tells of its port
	case kind == unix.RTM_NEWLINK && link.Flags&unix.IFF_UP == 0:
		(*d)[link.Index] = true
	default:
		delete(*d, link.Index)
	}
}

// forget forgets all links.
func (d *downLinks) forget() { *d = nil }

// write writes what the kernel answers of these links.
func (d *downLinks) write(kernel *question, facts io.Writer) error {
	if *d == nil {
		if err := d.learn(kernel); err != nil {
			return err
		}
	}
	if len(*d) > mostAsked {
		return listDown(kernel, func(_ int32, answer []byte) { _, _ = facts.Write(answer) })
	}
	for _, index := range slices.Sorted(maps.Keys(*d)) {
		err := kernel.dump(linkRequest(unix.NLM_F_ACK, index), func(answer []byte) { _, _ = facts.Write(answer) })
		// That a link has gone meanwhile will be reported.
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return err
		}
	}
	return nil
}

// learn asks which links are down.
func (d *downLinks) learn(kernel *question) error {
	down := downLinks{}
	err := listDown(kernel, func(index int32, _ []byte) { down[index] = true })
	if err == nil {
		*d = down
	}
	return err
}

// listDown has the kernel list all links, and calls each with those that are down.
func listDown(kernel *question, each func(index int32, answer []byte)) error {
	return kernel.dump(linkRequest(unix.NLM_F_DUMP, 0), func(answer []byte) {
		if link := nl.DeserializeIfInfomsg(answer); link.Flags&unix.IFF_UP == 0 {
			each(link.Index, answer)
		}
	})
}

// linkRequest asks for a link, or for all if the index is 0.
func linkRequest(flags int, index int32) *nl.NetlinkRequest {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, flags)
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index = index
	request.AddData(header)
	request.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(linkDetails)))
	return request
}
