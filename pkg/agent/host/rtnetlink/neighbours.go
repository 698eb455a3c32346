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
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Neighbour is a neighbour of a link, or an entry of the forwarding database of a bridge or VXLAN, that somebody has set and that
// stays until somebody takes it away. What is peculiar to it is as the kernel writes it.
type Neighbour struct {
	// Family is AF_BRIDGE for an entry of a forwarding database.
	Family int `json:"family"`
	// Link is the index of the link, Via that of the link that a VXLAN reaches the neighbour over, 0 if none is given.
	Link int `json:"link"`
	Via  int `json:"via,omitempty"`
	// OfController tells that the entry is in the database of the link's controller.
	OfController bool   `json:"ofController,omitempty"`
	State        uint16 `json:"state"`
	Flags        uint8  `json:"flags,omitempty"`
	// Data are the attributes of the entry that can be set, such as NDA_LLADDR.
	Data Attributes `json:"data,omitempty"`
}

// What the library lacks of include/uapi/linux/neighbour.h.
const (
	neighbourController, neighbourSourceVNI, neighbourProtocol, neighbourNexthop = 9, 11, 12, 13 // NDA_MASTER, NDA_SRC_VNI, NDA_PROTOCOL, NDA_NH_ID
	// learnt tells that a routing daemon has brought an entry: NTF_EXT_LEARNED.
	learnt = 1 << 4
	// shown are flags that the kernel only shows: NTF_OFFLOADED.
	shown = 1 << 5
)

// settableOfNeighbour are the attributes that make a neighbour.
var settableOfNeighbour = []uint16{
	unix.NDA_DST, unix.NDA_LLADDR, unix.NDA_VLAN, unix.NDA_PORT, unix.NDA_VNI, neighbourSourceVNI, neighbourProtocol, neighbourNexthop,
}

// Neighbours returns the neighbours of links and the entries of forwarding databases that somebody has set. It leaves out those that
// the kernel makes itself, and those that routing daemons bring and put back.
func Neighbours(links []Link) ([]Neighbour, error) {
	byIndex := map[int]Link{}
	for _, l := range links {
		byIndex[l.Index] = l
	}
	var found []Neighbour
	for _, of := range []struct {
		family int
		flags  uint8
	}{{unix.AF_INET, 0}, {unix.AF_INET6, 0}, {unix.AF_INET, unix.NTF_PROXY}, {unix.AF_INET6, unix.NTF_PROXY}, {unix.AF_BRIDGE, 0}} {
		messages, err := Dump(func() ([][]byte, error) {
			request := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, unix.NLM_F_DUMP)
			request.AddData(&neighbourHeader{Family: uint8(of.family), Flags: of.flags})
			return request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
		})
		if err != nil {
			return nil, fmt.Errorf("listing neighbours: %w", err)
		}
		for _, message := range messages {
			one, bridge, err := parseNeighbour(message)
			if err != nil {
				return nil, fmt.Errorf("listing neighbours: %w", err)
			}
			if one.isSet(byIndex[one.Link], bridge) {
				found = append(found, one)
			}
		}
	}
	return found, nil
}

// neighbourHeader is a struct ndmsg.
type neighbourHeader struct {
	Family uint8
	Index  uint32
	State  uint16
	Flags  uint8
}

func (h *neighbourHeader) Len() int { return unix.SizeofNdMsg }

func (h *neighbourHeader) Serialize() []byte {
	raw := make([]byte, h.Len())
	raw[0], raw[10] = h.Family, h.Flags
	nl.NativeEndian().PutUint32(raw[4:], h.Index)
	nl.NativeEndian().PutUint16(raw[8:], h.State)
	return raw
}

// parseNeighbour returns a neighbour, and the index of the bridge that has it in its database, 0 if none has.
func parseNeighbour(message []byte) (one Neighbour, bridge int, err error) {
	if len(message) < unix.SizeofNdMsg {
		return one, 0, fmt.Errorf("a message has %d bytes", len(message))
	}
	one = Neighbour{
		Family: int(message[0]), Link: int(nl.NativeEndian().Uint32(message[4:])), State: nl.NativeEndian().Uint16(message[8:]), Flags: message[10] &^ shown,
	}
	attributes, err := nl.ParseRouteAttr(message[unix.SizeofNdMsg:])
	if err != nil {
		return one, 0, err
	}
	all := Attributes{}
	for _, a := range attributes {
		all[a.Attr.Type] = slices.Clone(a.Value)
	}
	if one.Family == unix.AF_BRIDGE && one.Flags&unix.NTF_SELF == 0 {
		bridge = int(Number(all[neighbourController]))
	}
	if one.OfController = bridge != 0 && bridge != one.Link; bridge == one.Link {
		one.Flags |= unix.NTF_SELF
	}
	one.Via = int(Number(all[unix.NDA_IFINDEX]))
	one.Data = all.only(settableOfNeighbour)
	return one, bridge, nil
}

// isSet tells whether somebody has set the entry, which is of the link and maybe in a bridge's database.
func (n Neighbour) isSet(link Link, bridge int) bool {
	switch {
	case n.Flags&learnt != 0 || link.Name == "":
		return false
	case n.Family != unix.AF_BRIDGE:
		return n.State&unix.NUD_PERMANENT != 0 || n.Flags&unix.NTF_PROXY != 0
	case link.Kind == "vxlan" && bridge == 0:
		return n.State&unix.NUD_PERMANENT != 0 && !n.isDefault(link)
	}
	// Links without a database show the addresses that they listen to. The addresses of a bridge and its ports the kernel enters itself.
	return bridge != 0 && n.State&(unix.NUD_PERMANENT|unix.NUD_NOARP) != 0 && !bytes.Equal(n.Data[unix.NDA_LLADDR], link.MAC)
}

// isDefault tells whether the kernel has made the entry because the VXLAN has a remote address.
func (n Neighbour) isDefault(link Link) bool {
	remote := link.Data[nl.IFLA_VXLAN_GROUP]
	if remote == nil {
		remote = link.Data[nl.IFLA_VXLAN_GROUP6]
	}
	// Another port or VNI than the VXLAN's is shown, and set by somebody.
	return bytes.Equal(n.Data[unix.NDA_LLADDR], make([]byte, 6)) && bytes.Equal(n.Data[unix.NDA_DST], remote) &&
		n.Data[unix.NDA_PORT] == nil && n.Data[unix.NDA_VNI] == nil
}

// Add sets the neighbour.
func (n Neighbour) Add() error {
	flags, own := unix.NLM_F_REPLACE, n.Flags
	if n.Family == unix.AF_BRIDGE {
		// One address may lead to several others.
		flags = unix.NLM_F_APPEND
		if n.OfController {
			own |= unix.NTF_MASTER
		}
	}
	request := nl.NewNetlinkRequest(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|flags|unix.NLM_F_ACK)
	request.AddData(&neighbourHeader{Family: uint8(n.Family), Index: uint32(n.Link), State: n.State, Flags: own})
	for _, attribute := range settableOfNeighbour {
		if value, is := n.Data[attribute]; is {
			request.AddData(nl.NewRtAttr(int(attribute), value))
		}
	}
	if n.Via != 0 {
		request.AddData(nl.NewRtAttr(unix.NDA_IFINDEX, nl.Uint32Attr(uint32(n.Via))))
	}
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
