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

// Package rtnetlink has what the netlink library lacks: the marks of addresses, and large
// buffers for what the kernel reports.
package rtnetlink

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// eventBuffer is the socket's, in bytes; when it overflows the kernel says so.
const eventBuffer = 4 << 20

// Subscribe opens a socket on which the kernel reports the changes of the
// rtnetlink(7) groups.
func Subscribe(groups ...uint) (*nl.NetlinkSocket, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	if err != nil {
		return nil, fmt.Errorf("subscribing to the kernel's network events: %w", err)
	}
	if err := unix.SetsockoptInt(socket.GetFd(), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, eventBuffer); err != nil {
		socket.Close()
		return nil, fmt.Errorf("enlarging the event socket's buffer: %w", err)
	}
	return socket, nil
}

// Groups are the rtnetlink(7) groups that report changes of what nmstate shows.
func Groups() []uint {
	return []uint{
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
		// Forwarding; and the next hop objects that take their routes along when they go.
		unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_NEXTHOP,
	}
}
