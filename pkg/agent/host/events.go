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
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

const (
	// debounce is how long events are gathered before the network is read:
	// they come in swarms.
	debounce = 50 * time.Millisecond
	// After sendBurst reads in a row there is one a sendInterval: what the
	// server remembers is the state's size times the changes of the last 90 s.
	sendBurst    = 4
	sendInterval = time.Second
)

// eventGroups are the rtnetlink(7) groups whose messages wake the agent up.
var eventGroups = []uint{
	unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
	// Forwarding; and the next hop objects that take their routes along when they go.
	unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_NEXTHOP,
}

// listen puts something into events whenever the kernel reports a change, until
// ctx ends and the socket is closed. What changed does not matter: all is read
// anyway.
func listen(ctx context.Context, socket *nl.NetlinkSocket, events chan<- struct{}) error {
	for {
		_, _, err := socket.Receive()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// ENOBUFS: events were lost, so there were some.
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return fmt.Errorf("receiving the kernel's network events: %w", err)
		}
		select {
		case events <- struct{}{}:
		default:
		}
	}
}

// follow reads the network after events, until ctx ends.
func (h *Host) follow(ctx context.Context, events <-chan struct{}) error {
	limit := rate.NewLimiter(rate.Every(sendInterval), sendBurst)
	for {
		select {
		case <-events:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-time.After(debounce):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := limit.Wait(ctx); err != nil {
			return err
		}
		// What is read from here on covers all events until here.
		select {
		case <-events:
		default:
		}
		if err := h.round(ctx); err != nil {
			return err
		}
	}
}
