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

package undo

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// disturbances are the links that have lost, at any moment since the watch began,
// what makes the kernel flush the routes over them, whoever has made these: that
// they were up, an address, their controller such as a VRF, themselves. How they
// are afterwards says nothing: NetworkManager's rollback takes the addresses of a
// link away and puts them back, and the routes are gone.
type disturbances struct {
	// socket has the kernel's reports; they wait there until somebody looks.
	socket *nl.NetlinkSocket
	// indexes are the kernel's of the links when the watch began, and controllers
	// those of their controllers.
	indexes, controllers map[string]int
	// links are those that were disturbed, by index.
	links map[int]bool
	// overflowed tells that reports were lost: any link may have been disturbed.
	overflowed bool
}

// watchDisturbances begins a watch.
func watchDisturbances() (*disturbances, error) {
	socket, err := rtnetlink.Subscribe(unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, err
	}
	return &disturbances{socket: socket, links: map[int]bool{}}, nil
}

// close ends the watch.
func (d *disturbances) close() {
	if d != nil {
		d.socket.Close()
	}
}

// has tells whether the link of that name was disturbed, as far as look has seen.
func (d *disturbances) has(name string) bool {
	return d != nil && (d.overflowed || d.links[d.indexes[name]])
}

// look takes note of what the kernel has reported by now.
func (d *disturbances) look() error {
	if d == nil {
		return nil
	}
	names := map[int]string{}
	for name, index := range d.indexes {
		names[index] = name
	}
	buffer := make([]byte, reportBuffer)
	for {
		n, _, flags, _, err := unix.Recvmsg(d.socket.GetFd(), buffer, nil, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS) || flags&unix.MSG_TRUNC != 0:
			d.overflowed = true
			continue
		case err != nil:
			d.overflowed = true
			return fmt.Errorf("receiving the kernel's network events: %w", err)
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			d.overflowed = true
			return fmt.Errorf("parsing the kernel's network events: %w", err)
		}
		for _, message := range messages {
			if index, disturbed := d.disturbs(message, names); disturbed {
				d.links[index] = true
			}
		}
	}
}

// reportBuffer has room for what the kernel reports of a link with many virtual functions.
const reportBuffer = 1 << 18

// disturbs returns the link that a report is about, and whether it tells of a disturbance.
func (d *disturbances) disturbs(message syscall.NetlinkMessage, names map[int]string) (index int, disturbed bool) {
	switch message.Header.Type {
	case unix.RTM_DELADDR:
		return int(nl.DeserializeIfAddrmsg(message.Data).Index), true
	case unix.RTM_DELLINK, unix.RTM_NEWLINK:
		link := nl.DeserializeIfInfomsg(message.Data)
		index = int(link.Index)
		// A bridge reports what happens to its ports, in messages of the same types.
		if link.Family != unix.AF_UNSPEC {
			return index, false
		}
		down := message.Header.Type == unix.RTM_DELLINK || link.Flags&unix.IFF_UP == 0
		return index, down || controllerOf(message.Data) != d.controllers[names[index]]
	}
	return 0, false
}

// controllerOf returns the index of the controller that a report about a link
// names, 0 if it names none.
func controllerOf(report []byte) int {
	attributes, err := nl.ParseRouteAttr(report[unix.SizeofIfInfomsg:])
	if err != nil {
		return 0
	}
	for _, attribute := range attributes {
		if attribute.Attr.Type == unix.IFLA_MASTER {
			return int(nl.NativeEndian().Uint32(attribute.Value))
		}
	}
	return 0
}
