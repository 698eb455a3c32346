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
	"maps"
	"net"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// portKind and portData are IFLA_INFO_SLAVE_KIND and IFLA_INFO_SLAVE_DATA of
	// include/uapi/linux/if_link.h: what a link is as a port of another.
	portKind, portData = nl.IFLA_INFO_SLAVE_KIND, nl.IFLA_INFO_SLAVE_DATA
	// vethPeer is VETH_INFO_PEER of include/uapi/linux/veth.h.
	vethPeer = 1
	// skipStatistics is RTEXT_FILTER_SKIP_STATS.
	skipStatistics = 1 << 3
)

// Attributes are attributes of netlink by their numbers, each as the kernel writes and reads it.
type Attributes map[uint16][]byte

// Link is a link as the kernel has it. What is peculiar to its kind is as the kernel writes it.
type Link struct {
	Index int    `json:"index"`
	Name  string `json:"name"`
	// Kind is the kernel's, such as "bond"; hardware has none.
	Kind string `json:"kind,omitempty"`
	// Data are the attributes of the kind.
	Data Attributes `json:"data,omitempty"`
	// PortKind and PortData are what the link is as a port of its controller.
	PortKind string     `json:"portKind,omitempty"`
	PortData Attributes `json:"portData,omitempty"`
	// Flags are those of netdevice(7), such as IFF_UP.
	Flags uint32           `json:"flags,omitempty"`
	MTU   int              `json:"mtu,omitempty"`
	MAC   net.HardwareAddr `json:"mac,omitempty"`
	// Follows tells that the MAC address is that of another link, below the link or a port of it, and changes with it. FindFollowers sets it.
	Follows bool `json:"follows,omitempty"`
	// Permanent is the MAC address that the hardware has.
	Permanent net.HardwareAddr `json:"permanent,omitempty"`
	// Controller and Parent are the indexes of the controller and of the link below, 0 if there is none.
	Controller int `json:"controller,omitempty"`
	Parent     int `json:"parent,omitempty"`
	// Elsewhere tells that the link below, or the other end of a veth, is in another network namespace.
	Elsewhere bool     `json:"elsewhere,omitempty"`
	AltNames  []string `json:"altNames,omitempty"`
	// Label is the text that ifalias holds.
	Label string `json:"label,omitempty"`
	// Queue is the length of the transmit queue.
	Queue uint32 `json:"queue,omitempty"`
	Group uint32 `json:"group,omitempty"`
}

// Is tells whether a flag is set.
func (l Link) Is(flag uint32) bool { return l.Flags&flag != 0 }

// Links returns all links.
func Links() ([]Link, error) { return Dump(links) }

func links() ([]Link, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	request.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics)))
	messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	found := make([]Link, 0, len(messages))
	for _, message := range messages {
		l, err := parse(message)
		if err != nil {
			return nil, fmt.Errorf("listing links: %w", err)
		}
		found = append(found, l)
	}
	return found, nil
}

// parse reads one link from a message of the kernel.
func parse(message []byte) (Link, error) {
	header := nl.DeserializeIfInfomsg(message)
	l := Link{Index: int(header.Index), Flags: header.Flags}
	attributes, err := nl.ParseRouteAttr(message[header.Len():])
	if err != nil {
		return l, err
	}
	for _, a := range attributes {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.IFLA_IFNAME:
			l.Name = text(a.Value)
		case unix.IFLA_MTU:
			l.MTU = int(Number(a.Value))
		case unix.IFLA_ADDRESS:
			l.MAC = slices.Clone(a.Value)
		case unix.IFLA_PERM_ADDRESS:
			l.Permanent = slices.Clone(a.Value)
		case unix.IFLA_MASTER:
			l.Controller = int(Number(a.Value))
		case unix.IFLA_LINK:
			l.Parent = int(Number(a.Value))
		case unix.IFLA_LINK_NETNSID:
			l.Elsewhere = true
		case unix.IFLA_IFALIAS:
			l.Label = text(a.Value)
		case unix.IFLA_TXQLEN:
			l.Queue = Number(a.Value)
		case unix.IFLA_GROUP:
			l.Group = Number(a.Value)
		case unix.IFLA_PROP_LIST:
			err = l.parseNames(a.Value)
		case unix.IFLA_LINKINFO:
			err = l.parseKind(a.Value)
		}
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

func (l *Link) parseNames(value []byte) error {
	names, err := nl.ParseRouteAttr(value)
	for _, name := range names {
		if name.Attr.Type == unix.IFLA_ALT_IFNAME {
			l.AltNames = append(l.AltNames, text(name.Value))
		}
	}
	slices.Sort(l.AltNames)
	return err
}

func (l *Link) parseKind(value []byte) error {
	infos, err := nl.ParseRouteAttr(value)
	for _, info := range infos {
		switch info.Attr.Type &^ unix.NLA_F_NESTED {
		case nl.IFLA_INFO_KIND:
			l.Kind = text(info.Value)
		case nl.IFLA_INFO_DATA:
			l.Data = nested(info.Value)
		case portKind:
			l.PortKind = text(info.Value)
		case portData:
			l.PortData = nested(info.Value)
		}
	}
	if l.Kind == "hsr" {
		l.Data.addSpec()
	}
	return err
}

// nested reads attributes within an attribute. What cannot be read is left out: it is some kind's that nobody sets.
func nested(value []byte) Attributes {
	found := Attributes{}
	attributes, err := nl.ParseRouteAttr(value)
	if err != nil {
		return found
	}
	for _, a := range attributes {
		found[a.Attr.Type&^unix.NLA_F_NESTED] = slices.Clone(a.Value)
	}
	return found
}

func text(value []byte) string { return string(bytes.TrimRight(value, "\x00")) }

// Number is a value of 32 bits, 0 if it is none.
func Number(value []byte) uint32 {
	if len(value) != 4 {
		return 0
	}
	return nl.NativeEndian().Uint32(value)
}

// Change is what is to be made of a link. What is zero stays as it is.
type Change struct {
	// Index is the link's; 0 makes a new one.
	Index int
	// Wanted is the index that a new link is to have.
	Wanted int
	Name   string
	// Kind and Data are what it is, PortData what it is as a port.
	Kind     string
	Data     Attributes
	PortKind string
	PortData Attributes
	Parent   int
	// Peer is the other end of a veth that is made.
	Peer       *Change
	MTU        int
	MAC        net.HardwareAddr
	Controller *int
	// Flags are set as they are, where Mask is set.
	Flags, Mask uint32
	Label       string
	Queue       *uint32
	Group       *uint32
}

// Do makes or changes the link.
func (c Change) Do() error {
	flags := unix.NLM_F_ACK
	if c.Index == 0 {
		flags |= unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	request := nl.NewNetlinkRequest(unix.RTM_NEWLINK, flags)
	request.AddData(c.header())
	for _, a := range c.attributes() {
		request.AddData(a)
	}
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

func (c Change) header() *nl.IfInfomsg {
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index = int32(c.Index)
	if c.Index == 0 {
		header.Index = int32(c.Wanted)
	}
	header.Flags, header.Change = c.Flags, c.Mask
	return header
}

func (c Change) attributes() []*nl.RtAttr {
	var list []*nl.RtAttr
	add := func(number int, value []byte) { list = append(list, nl.NewRtAttr(number, value)) }
	if c.Index == 0 && c.Name != "" {
		add(unix.IFLA_IFNAME, nl.ZeroTerminated(c.Name))
	}
	if c.Parent != 0 {
		add(unix.IFLA_LINK, nl.Uint32Attr(uint32(c.Parent)))
	}
	if c.MTU != 0 {
		add(unix.IFLA_MTU, nl.Uint32Attr(uint32(c.MTU)))
	}
	if c.MAC != nil {
		add(unix.IFLA_ADDRESS, c.MAC)
	}
	if c.Controller != nil {
		add(unix.IFLA_MASTER, nl.Uint32Attr(uint32(*c.Controller)))
	}
	if c.Label != "" {
		add(unix.IFLA_IFALIAS, []byte(c.Label))
	}
	if c.Queue != nil {
		add(unix.IFLA_TXQLEN, nl.Uint32Attr(*c.Queue))
	}
	if c.Group != nil {
		add(unix.IFLA_GROUP, nl.Uint32Attr(*c.Group))
	}
	if info := c.info(); info != nil {
		list = append(list, info)
	}
	return list
}

// info returns what is peculiar to the kind; nil if nothing is said of it.
func (c Change) info() *nl.RtAttr {
	if c.Kind == "" && c.PortData == nil {
		return nil
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	if c.Kind != "" {
		info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(c.Kind))
	}
	if c.Data != nil || c.Peer != nil {
		data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
		c.Data.addTo(data)
		if c.Peer != nil {
			peer := data.AddRtAttr(vethPeer, nil)
			peer.AddChild(c.Peer.header())
			for _, a := range c.Peer.attributes() {
				peer.AddChild(a)
			}
		}
	}
	if c.PortData != nil {
		info.AddRtAttr(portKind, nl.NonZeroTerminated(c.PortKind))
		c.PortData.addTo(info.AddRtAttr(portData, nil))
	}
	return info
}

func (a Attributes) addTo(parent *nl.RtAttr) {
	for _, number := range slices.Sorted(maps.Keys(a)) {
		parent.AddRtAttr(int(number), a[number])
	}
}

// Nest writes values as attributes numbered from first on, as an attribute that is a list has them.
func Nest(first int, values ...[]byte) []byte {
	var list []byte
	for i, value := range values {
		list = append(list, nl.NewRtAttr(first+i, value).Serialize()...)
	}
	return list
}

// Each returns the values of an attribute that is a list, in order.
func Each(list []byte) [][]byte {
	attributes, err := nl.ParseRouteAttr(list)
	if err != nil {
		return nil
	}
	var values [][]byte
	for _, a := range attributes {
		values = append(values, a.Value)
	}
	return values
}

// LinkByName returns the link of a name. If there is none, the error is ENODEV.
func LinkByName(name string) (Link, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_ACK)
	request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	request.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	request.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics)))
	messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil || len(messages) == 0 {
		return Link{}, fmt.Errorf("looking for link %s: %w", name, err)
	}
	return parse(messages[0])
}

// Remove removes a link.
func Remove(index int) error {
	request := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index = int32(index)
	request.AddData(header)
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
