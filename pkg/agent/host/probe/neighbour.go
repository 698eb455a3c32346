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

package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// valid are the states of a neighbour whose hardware address is known and may be doubted.
	valid = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE
	// static are the states of a neighbour that the kernel never asks.
	static = unix.NUD_PERMANENT | unix.NUD_NOARP
)

// askNeighbour lets the kernel ask a gateway for its hardware address, by ARP or
// neighbour discovery, and waits for the answer. That the kernel knows the address
// already proves nothing: the entry is put into the state PROBE, which only a new answer ends.
func askNeighbour(ctx context.Context, gw gateway) error {
	start := time.Now()
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_NEIGH)
	if err != nil {
		return fmt.Errorf("subscribing to the kernel's neighbour events: %w", err)
	}
	defer socket.Close()
	defer context.AfterFunc(ctx, socket.Close)()
	doubted, err := doubt(gw)
	if err != nil {
		return fmt.Errorf("cannot ask %s for its hardware address: %w", gw.address, err)
	}
	for {
		messages, _, err := socket.Receive()
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("no answer from %s to %s within %s", gw.address, protocolOf(gw), elapsed(start))
		}
		if err != nil {
			return fmt.Errorf("receiving the kernel's neighbour events: %w", err)
		}
		for _, message := range messages {
			if message.Header.Type != unix.RTM_NEWNEIGH {
				continue
			}
			neighbour, err := netlink.NeighDeserialize(message.Data)
			if err != nil || !isGateway(*neighbour, gw) {
				continue
			}
			switch {
			case neighbour.State&unix.NUD_PROBE != 0:
				doubted = true
			case neighbour.State&unix.NUD_REACHABLE != 0 && doubted:
				return nil
			case neighbour.State&unix.NUD_FAILED != 0:
				return fmt.Errorf("no answer from %s to %s", gw.address, protocolOf(gw))
			}
		}
	}
}

// doubt makes the kernel ask a gateway for its hardware address. doubted tells that
// the next event by which the entry is reachable tells of an answer; if it is false, this
// is so only after an event with the state PROBE.
func doubt(gw gateway) (doubted bool, err error) {
	entry, err := neighbour(gw)
	if err != nil {
		return false, err
	}
	if entry.State&static != 0 {
		return false, errors.New("it is configured")
	}
	if entry.State&valid != 0 {
		doubted = entry.State&unix.NUD_PROBE != 0
		// Without a hardware address the kernel keeps the one that it has. The flags
		// are kept, too.
		entry.State, entry.HardwareAddr, entry.LLIPAddr = unix.NUD_PROBE, nil, nil
		if err = netlink.NeighSet(&entry); err == nil {
			return doubted, nil
		} // else the entry may have just gone
	}
	// The flag USE makes the kernel resolve the address as if a packet were to be sent.
	return true, netlink.NeighSet(&netlink.Neigh{LinkIndex: gw.link, Family: familyOf(gw), IP: gw.address.AsSlice(), Flags: unix.NTF_USE})
}

// neighbour returns the kernel's entry of a gateway, one without a state if there is none.
func neighbour(gw gateway) (netlink.Neigh, error) {
	entries, err := netlink.NeighList(gw.link, familyOf(gw))
	if err != nil {
		return netlink.Neigh{}, err
	}
	for _, entry := range entries {
		if isGateway(entry, gw) {
			return entry, nil
		}
	}
	return netlink.Neigh{}, nil
}

// isGateway tells whether a neighbour is the gateway.
func isGateway(entry netlink.Neigh, gw gateway) bool {
	address, ok := netip.AddrFromSlice(entry.IP)
	return ok && entry.LinkIndex == gw.link && address.Unmap() == gw.address.WithZone("")
}

func familyOf(gw gateway) int {
	if gw.address.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// protocolOf returns the name of the protocol that asks for the gateway's hardware address.
func protocolOf(gw gateway) string {
	if gw.address.Is6() {
		return "neighbour discovery"
	}
	return "ARP"
}
