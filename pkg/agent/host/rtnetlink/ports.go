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
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Port is what the kernel tells of a link beyond what can be set: how it is now, and what has passed.
type Port struct {
	Index int
	Name  string
	// Kind is the kernel's, such as "bond"; hardware has none.
	Kind string
	// Hardware is the kernel's number of what the link's frames are like, such as ARPHRD_ETHER.
	Hardware uint16
	// Flags are those of netdevice(7), such as IFF_LOWER_UP.
	Flags uint32
	// State is the operational state, IF_OPER_UP and the like.
	State          uint8
	MAC            net.HardwareAddr
	Permanent      net.HardwareAddr
	CarrierChanges uint32
	// Controller is the index of the controller, 0 if there is none, and PortKind the controller's kind.
	Controller int
	PortKind   string
	Statistics Statistics
}

// Statistics are the first of struct rtnl_link_stats64 of include/uapi/linux/if_link.h, in its order.
type Statistics struct {
	RxPackets, TxPackets, RxBytes, TxBytes, RxErrors, TxErrors, RxDropped, TxDropped, Multicast uint64
}

// Is tells whether a flag is set.
func (p Port) Is(flag uint32) bool { return p.Flags&flag != 0 }

// Ports returns all links, in the order of their indexes.
func Ports() ([]Port, error) { return Dump(ports) }

func ports() ([]Port, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	found := make([]Port, 0, len(messages))
	for _, message := range messages {
		p, err := parsePort(message)
		if err != nil {
			return nil, fmt.Errorf("listing links: %w", err)
		}
		found = append(found, p)
	}
	slices.SortFunc(found, func(a, b Port) int { return a.Index - b.Index })
	return found, nil
}

// parsePort reads one link from a message of the kernel.
func parsePort(message []byte) (Port, error) {
	header := nl.DeserializeIfInfomsg(message)
	p := Port{Index: int(header.Index), Flags: header.Flags, Hardware: header.Type}
	attributes, err := nl.ParseRouteAttr(message[header.Len():])
	if err != nil {
		return p, err
	}
	for _, a := range attributes {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.IFLA_IFNAME:
			p.Name = text(a.Value)
		case unix.IFLA_ADDRESS:
			p.MAC = slices.Clone(a.Value)
		case unix.IFLA_PERM_ADDRESS:
			p.Permanent = slices.Clone(a.Value)
		case unix.IFLA_OPERSTATE:
			if len(a.Value) == 1 {
				p.State = a.Value[0]
			}
		case unix.IFLA_MASTER:
			p.Controller = int(Number(a.Value))
		case unix.IFLA_CARRIER_CHANGES:
			p.CarrierChanges = Number(a.Value)
		case unix.IFLA_STATS64:
			p.Statistics.parse(a.Value)
		case unix.IFLA_LINKINFO:
			var kind Link
			err = kind.parseKind(a.Value)
			p.Kind, p.PortKind = kind.Kind, kind.PortKind
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// parse reads the counters. A kernel may have fewer or more of them.
func (s *Statistics) parse(value []byte) {
	for i, counter := range []*uint64{&s.RxPackets, &s.TxPackets, &s.RxBytes, &s.TxBytes, &s.RxErrors, &s.TxErrors,
		&s.RxDropped, &s.TxDropped, &s.Multicast} {
		if len(value) >= 8*(i+1) {
			*counter = nl.NativeEndian().Uint64(value[8*i:])
		}
	}
}
