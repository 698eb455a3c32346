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
	"maps"
	"slices"

	"github.com/vishvananda/netlink/nl"
)

// What the library lacks of include/uapi/linux/if_link.h.
const (
	inheritTTL      = 28 // IFLA_VXLAN_TTL_INHERIT
	BondNotifyDelay = 28 // IFLA_BOND_PEER_NOTIF_DELAY
	ipv6Targets     = 31 // IFLA_BOND_NS_IP6_TARGET
)

// settable are the attributes of each kind of link that can be set, and that do not change by themselves. They are what a
// link of the kind is made of. Attributes of a kind that is not here are unknown.
//
// The numbers without a name are those of include/uapi/linux/if_link.h that the library lacks.
func settable(kind string) (all, live []uint16) {
	switch kind {
	case "bond":
		all = slices.DeleteFunc(row(nl.IFLA_BOND_MODE, 31), func(n uint16) bool {
			return n == nl.IFLA_BOND_ACTIVE_SLAVE || n == nl.IFLA_BOND_AD_INFO
		})
		live = slices.DeleteFunc(slices.Clone(all), func(n uint16) bool {
			return slices.Contains([]uint16{
				nl.IFLA_BOND_MODE, nl.IFLA_BOND_FAIL_OVER_MAC, nl.IFLA_BOND_AD_LACP_RATE, nl.IFLA_BOND_AD_SELECT,
				nl.IFLA_BOND_AD_USER_PORT_KEY, nl.IFLA_BOND_TLB_DYNAMIC_LB, 29,
			}, n)
		})
	case "bridge":
		all = slices.Concat(row(nl.IFLA_BR_FORWARD_DELAY, nl.IFLA_BR_GROUP_FWD_MASK), []uint16{nl.IFLA_BR_GROUP_ADDR},
			row(nl.IFLA_BR_MCAST_ROUTER, nl.IFLA_BR_VLAN_DEFAULT_PVID), row(nl.IFLA_BR_VLAN_STATS_ENABLED, nl.IFLA_BR_MCAST_MLD_VERSION))
		live = all
	case "vlan":
		all = row(nl.IFLA_VLAN_ID, nl.IFLA_VLAN_PROTOCOL)
		live = []uint16{nl.IFLA_VLAN_FLAGS}
	case "vrf":
		all = []uint16{nl.IFLA_VRF_TABLE}
	case "vxlan":
		all = row(nl.IFLA_VXLAN_ID, 31)
	case "macvlan", "macvtap":
		all = []uint16{nl.IFLA_MACVLAN_MODE, nl.IFLA_MACVLAN_FLAGS, nl.IFLA_MACVLAN_BC_QUEUE_LEN}
	case "ipvlan":
		all = []uint16{nl.IFLA_IPVLAN_MODE, nl.IFLA_IPVLAN_FLAG}
		live = all
	case "macsec":
		all = []uint16{1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15}
	case "hsr":
		all = []uint16{1, 2, 3, 6, 7, 8}
	case "ipip", "sit", "ip6tnl":
		all = slices.Concat(row(1, 10), []uint16{20})
	case "dummy", "veth", "ifb":
		return []uint16{}, nil
	}
	return all, live
}

// portSettable is settable for a port of a link of some kind.
func portSettable(kind string) []uint16 {
	switch kind {
	case "bond":
		return []uint16{nl.IFLA_BOND_SLAVE_QUEUE_ID, 9}
	case "bridge":
		return slices.Concat(row(nl.IFLA_BRPORT_PRIORITY, nl.IFLA_BRPORT_PROXYARP), []uint16{
			nl.IFLA_BRPORT_PROXYARP_WIFI, nl.IFLA_BRPORT_MULTICAST_ROUTER, nl.IFLA_BRPORT_MCAST_FLOOD, nl.IFLA_BRPORT_MCAST_TO_UCAST,
			nl.IFLA_BRPORT_VLAN_TUNNEL, nl.IFLA_BRPORT_BCAST_FLOOD, nl.IFLA_BRPORT_GROUP_FWD_MASK, nl.IFLA_BRPORT_NEIGH_SUPPRESS,
			nl.IFLA_BRPORT_ISOLATED, nl.IFLA_BRPORT_LOCKED,
		})
	}
	return nil
}

func row(first, last uint16) []uint16 {
	var numbers []uint16
	for n := first; n <= last; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}

// addSpec adds what an HSR link is made with and the kernel shows only as the last byte of the address of supervision frames.
func (a Attributes) addSpec() {
	const spec, supervision = 3, 4 // IFLA_HSR_MULTICAST_SPEC, IFLA_HSR_SUPERVISION_ADDR
	if address := a[supervision]; len(address) == 6 && a[spec] == nil {
		a[spec] = address[5:]
	}
}

// IsKnown tells whether a link of this kind can be made again from its attributes.
func IsKnown(kind string) bool {
	all, _ := settable(kind)
	return all != nil
}

// Lasting returns what of a link can be set and does not change by itself.
func (l Link) Lasting() Link {
	all, _ := settable(l.Kind)
	l.Data = l.Data.only(all)
	l.PortData = l.PortData.only(portSettable(l.PortKind))
	return l
}

func (a Attributes) only(numbers []uint16) Attributes {
	var kept Attributes
	for _, n := range numbers {
		if value, is := a[n]; is {
			if kept == nil {
				kept = Attributes{}
			}
			kept[n] = value
		}
	}
	return kept
}

// Differing returns the attributes that the other has not, or otherwise.
func (a Attributes) Differing(other Attributes) Attributes {
	var found Attributes
	for number, value := range a {
		if is, there := other[number]; !there || !bytes.Equal(is, value) {
			if found == nil {
				found = Attributes{}
			}
			found[number] = value
		}
	}
	return found
}

// IsOf tells whether a link, both without what changes by itself, can become what it was while it stays there.
func (l Link) IsOf(was Link) bool {
	_, live := settable(was.Kind)
	if l.Kind != was.Kind || l.Kind != "veth" && l.Kind != "" && l.Parent != was.Parent {
		return false
	}
	for number := range was.Data.Differing(l.Data) {
		if !slices.Contains(live, number) {
			return false
		}
	}
	for number := range l.Data {
		_, had := was.Data[number]
		if _, can := cleared(l.Kind, number); !had && !can {
			return false
		}
	}
	return true
}

// cleared returns the value by which an attribute is taken from a link that stays there, if that can be.
func cleared(kind string, number uint16) (value []byte, can bool) {
	switch {
	case kind == "bond" && number == nl.IFLA_BOND_PRIMARY:
		return nl.Uint32Attr(0), true
	case kind == "bond" && (number == nl.IFLA_BOND_ARP_IP_TARGET || number == ipv6Targets):
		return nil, true
	}
	return nil, false
}

// writable returns attributes that the kernel has written as it reads them, which for some is another way; is are those that
// the link has.
func (a Attributes) writable(kind string, is Attributes) Attributes {
	if kind != "vlan" && kind != "vxlan" {
		return a
	}
	written := maps.Clone(a)
	switch kind {
	case "vlan":
		if flags := written[nl.IFLA_VLAN_FLAGS]; len(flags) == 8 {
			written[nl.IFLA_VLAN_FLAGS] = vlanFlags(flags, is[nl.IFLA_VLAN_FLAGS])
		}
	case "vxlan":
		// It is written as a number, and read as a flag, which has no value.
		if inherits, given := written[inheritTTL]; given {
			written[inheritTTL] = nil
			if slices.Equal(inherits, []byte{0}) {
				delete(written, inheritTTL)
			}
		}
	}
	return written
}

// vlanFlags returns a struct ifla_vlan_flags: the flags, and the mask of those that are to change. The kernel writes a mask of
// all bits, and takes none with bits that it does not know.
func vlanFlags(wanted, is []byte) []byte {
	have := uint32(nl.VLAN_FLAG_REORDER_HDR) // of a new VLAN
	if len(is) == 8 {
		have = nl.NativeEndian().Uint32(is)
	}
	flags := nl.NativeEndian().Uint32(wanted)
	return slices.Concat(nl.Uint32Attr(flags), nl.Uint32Attr(flags^have))
}

// Make makes the link again, with the same index if that is free. A bond takes many of its options only in some mode, or while it
// is down: it is made with its mode, and gets the others at once.
func (l Link) Make(peer *Link) error {
	change := Change{Wanted: l.Index, Name: l.Name, Kind: l.Kind, Data: l.Data.writable(l.Kind, nil), MAC: l.MAC, Queue: &l.Queue, Group: &l.Group, Label: l.Label}
	switch {
	case l.Kind == "bond":
		change.Data = l.Data.only([]uint16{nl.IFLA_BOND_MODE})
	case l.Kind == "bridge":
		change.Data = nil
	case l.Kind == "ipvlan", l.Kind == "ipip", l.Kind == "sit", l.Kind == "ip6tnl":
		change.MAC = nil
	}
	if l.Follows {
		change.MAC = nil
	}
	if l.Kind != "veth" {
		change.Parent = l.Parent
	}
	if peer != nil {
		change.Peer = &Change{Wanted: peer.Index, Name: peer.Name, MAC: peer.MAC}
	}
	err := change.Do()
	if err != nil && change.Wanted != 0 {
		change.Wanted = 0
		if change.Peer != nil {
			change.Peer.Wanted = 0
		}
		err = change.Do()
	}
	if err != nil || l.Kind != "bond" {
		return err
	}
	made, err := LinkByName(l.Name)
	if err != nil {
		return err
	}
	return l.Mend(made.Lasting())
}

// Set sets attributes of the link.
func (l Link) Set(data Attributes) error { return SetData(l.Index, l.Kind, l.whole(data)) }

// whole returns the attributes with which a link is told some: a tunnel takes all that are not given for none (ipip_changelink()
// and the like in net/ipv4 and net/ipv6).
func (l Link) whole(data Attributes) Attributes {
	switch l.Kind {
	case "ipip", "sit", "ip6tnl":
		all := Attributes{}
		maps.Copy(all, l.Lasting().Data)
		maps.Copy(all, data)
		return all
	}
	return data
}

// SetData sets attributes of a link that is there. A bond ceases to watch its ports' carrier last: then it takes no delays any more,
// not even none.
func SetData(index int, kind string, data Attributes) error {
	change := Change{Index: index, Kind: kind, Data: data}
	if delays := data.only([]uint16{nl.IFLA_BOND_UPDELAY, nl.IFLA_BOND_DOWNDELAY, BondNotifyDelay}); kind == "bond" && delays != nil && Number(data[nl.IFLA_BOND_MIIMON]) == 0 {
		if err := (Change{Index: index, Kind: kind, Data: delays}).Do(); err != nil {
			return err
		}
		change.Data = maps.Clone(data)
		maps.DeleteFunc(change.Data, func(n uint16, _ []byte) bool { _, done := delays[n]; return done })
	}
	if len(change.Data) == 0 {
		return nil
	}
	return change.Do()
}

// Mend sets what is different of the link that is there: its own attributes, and those as a port.
func (l Link) Mend(is Link) error {
	change := l.Data.Differing(is.Data)
	for number := range is.Data {
		_, had := l.Data[number]
		if value, can := cleared(l.Kind, number); !had && can {
			if change == nil {
				change = Attributes{}
			}
			change[number] = value
		}
	}
	if l.Kind == "bridge" {
		if err := l.mendFilter(is, change); err != nil {
			return err
		}
		delete(change, nl.IFLA_BR_VLAN_FILTERING)
		delete(change, nl.IFLA_BR_VLAN_DEFAULT_PVID)
	}
	if len(change) > 0 {
		if err := SetData(is.Index, l.Kind, change.writable(l.Kind, is.Data)); err != nil {
			return err
		}
	}
	if port := l.PortData.Differing(is.PortData); len(port) > 0 && l.PortKind == is.PortKind {
		return Change{Index: is.Index, PortKind: l.PortKind, PortData: port}.Do()
	}
	return nil
}

// mendFilter sets a bridge's default VLAN, which it takes only while it does not filter, and its filter.
func (l Link) mendFilter(is Link, change Attributes) error {
	pvid := change.only([]uint16{nl.IFLA_BR_VLAN_DEFAULT_PVID})
	filter := change.only([]uint16{nl.IFLA_BR_VLAN_FILTERING})
	if pvid == nil && filter == nil {
		return nil
	}
	steps := []Attributes{filter}
	if pvid != nil {
		steps = []Attributes{{nl.IFLA_BR_VLAN_FILTERING: {0}}, pvid, l.Data.only([]uint16{nl.IFLA_BR_VLAN_FILTERING})}
	}
	for _, step := range steps {
		if err := (Change{Index: is.Index, Kind: l.Kind, Data: step}).Do(); err != nil {
			return err
		}
	}
	return nil
}
