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

package preparation

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink/nl"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// Attributes that the library has no names for, from include/uapi/linux/if_link.h.
const (
	hsrPort1, hsrPort2, hsrMulticast, hsrVersion, hsrProtocol, hsrInterlink                                    = 1, 2, 3, 6, 7, 8
	macsecPort, macsecEncrypt, macsecIncludeSCI, macsecValidation, macsecOffload                               = 2, 7, 9, 13, 15
	macvlanNoPromisc                                                                                           = 1
	ipvlanPrivate, ipvlanVEPA                                                                                  = 1, 2
	tunnelLink, tunnelLocal, tunnelRemote, tunnelTTL, tunnelTOS, tunnelEncapLimit, tunnelFlowInfo, tunnelFlags = 1, 2, 3, 4, 5, 6, 7, 8
	tunnelProto, tunnelPMTUDisc, tunnelFwMark                                                                  = 9, 10, 20
	vlanReorderHeaders, vlanGVRP, vlanLooseBinding, vlanMVRP                                                   = 1, 2, 4, 8
	protoIPIP, protoIPv6                                                                                       = 4, 41
	protoHSR, protoPRP                                                                                         = 0, 1
)

// family is a type of interface that the kernel makes, and what its section of a state says.
type family struct {
	// kind is the kernel's name of it.
	kind string
	// sections are the names of its section; the first one is nmstate's own.
	sections []string
	// base is the field of the section with the link below, "" if there is none, or it is a setting.
	base string
	// settings returns what a link of this type is made with and keeps, and what can be set later, too.
	settings func(fields map[string]any, is *rtnetlink.Link) (fixed, free []setting, err error)
}

// families are the types of interface that are made here, by nmstate's names.
func families() map[string]family {
	return map[string]family{
		"bond":         {kind: "bond", sections: []string{"link-aggregation", "bond"}, settings: bondSettings},
		"dummy":        {kind: "dummy"},
		"hsr":          {kind: "hsr", sections: []string{"hsr"}, settings: hsrSettings},
		"ip-tunnel":    {kind: "ipip", sections: []string{"ip-tunnel"}, settings: tunnelSettings},
		"ipvlan":       {kind: "ipvlan", sections: []string{"ipvlan"}, base: "base-iface", settings: ipvlanSettings},
		"linux-bridge": {kind: "bridge", sections: []string{"bridge"}, settings: bridgeSettings},
		"mac-vlan":     {kind: "macvlan", sections: []string{"mac-vlan"}, base: "base-iface", settings: macvlanSettings},
		"mac-vtap":     {kind: "macvtap", sections: []string{"mac-vtap"}, base: "base-iface", settings: macvlanSettings},
		"macsec":       {kind: "macsec", sections: []string{"macsec"}, base: "base-iface", settings: macsecSettings},
		"veth":         {kind: "veth", sections: []string{"veth"}},
		"vlan":         {kind: "vlan", sections: []string{"vlan"}, base: "base-iface", settings: vlanSettings},
		"vrf":          {kind: "vrf", sections: []string{"vrf"}, settings: vrfSettings},
		"vxlan":        {kind: "vxlan", sections: []string{"vxlan"}, settings: vxlanSettings},
	}
}

func vrfSettings(fields map[string]any, _ *rtnetlink.Link) (fixed, free []setting, err error) {
	fixed, err = settings(fields, []option{{"route-table-id", nl.IFLA_VRF_TABLE, unsigned(4)}})
	return fixed, nil, err
}

func vlanSettings(fields map[string]any, is *rtnetlink.Link) (fixed, free []setting, err error) {
	fixed, err = settings(fields, []option{{"id", nl.IFLA_VLAN_ID, unsigned(2)}, {"protocol", nl.IFLA_VLAN_PROTOCOL, protocol}})
	if err != nil {
		return nil, nil, err
	}
	flags, mask := uint32(0), uint32(0)
	set := func(flag uint32, value bool) {
		if mask |= flag; value {
			flags |= flag
		}
	}
	for name, flag := range map[string]uint32{"reorder-headers": vlanReorderHeaders, "loose-binding": vlanLooseBinding} {
		if given := fields[name]; given != nil {
			value, err := boolean(given)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, err)
			}
			set(flag, value)
		}
	}
	if registration := tree.StringAt(fields, "registration-protocol"); registration != "" {
		set(vlanGVRP, registration == "gvrp")
		set(vlanMVRP, registration == "mvrp")
	}
	if mask != 0 {
		free = append(free, vlanFlags(flags, mask, is))
	}
	for name, attribute := range map[string]uint16{"ingress-qos-map": nl.IFLA_VLAN_INGRESS_QOS, "egress-qos-map": nl.IFLA_VLAN_EGRESS_QOS} {
		if fields[name] == nil {
			continue
		}
		one, err := qosMap(name, attribute, tree.List(fields, name), is)
		if err != nil {
			return nil, nil, err
		}
		free = append(free, one...)
	}
	return fixed, free, nil
}

// vlanFlags sets flags of a VLAN. The kernel shows a mask of all bits, so the setting is left out by its flags.
func vlanFlags(flags, mask uint32, is *rtnetlink.Link) setting {
	s := setting{
		name: "flags", attribute: nl.IFLA_VLAN_FLAGS, text: fmt.Sprintf("%#x/%#x", flags, mask),
		value: append(width(uint64(flags), 4), width(uint64(mask), 4)...),
	}
	if is != nil {
		if has := is.Data[nl.IFLA_VLAN_FLAGS]; len(has) == 8 && nl.NativeEndian().Uint32(has)&mask == flags {
			s.value = has
		}
	}
	return s
}

// qosMap maps priorities. The kernel keeps a mapping until it maps to 0.
func qosMap(name string, attribute uint16, list []any, is *rtnetlink.Link) ([]setting, error) {
	wanted := map[uint64]uint64{}
	var order []uint64
	if is != nil {
		for _, pair := range rtnetlink.Each(is.Data[attribute]) {
			if len(pair) == 8 {
				from := uint64(nl.NativeEndian().Uint32(pair))
				wanted[from], order = 0, append(order, from)
			}
		}
	}
	for _, item := range list {
		from, err1 := integer(tree.Object(item)["from"])
		to, err2 := integer(tree.Object(item)["to"])
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("%s: a mapping has from and to, both numbers", name)
		}
		if _, is := wanted[from]; !is {
			order = append(order, from)
		}
		wanted[from] = to
	}
	if len(order) == 0 {
		return nil, nil
	}
	var value []byte
	var texts []string
	for _, from := range order {
		value = append(value, rtnetlink.Nest(nl.IFLA_VLAN_QOS_MAPPING, append(width(from, 4), width(wanted[from], 4)...))...)
		texts = append(texts, fmt.Sprintf("%d:%d", from, wanted[from]))
	}
	return []setting{{name: name, attribute: attribute, value: value, text: strings.Join(texts, ",")}}, nil
}

func macvlanSettings(fields map[string]any, is *rtnetlink.Link) (fixed, free []setting, err error) {
	modes := map[string]uint64{"private": 1, "vepa": 2, "bridge": 4, "passthru": 8, "source": 16}
	if name := tree.StringAt(fields, "mode"); name != "" {
		mode := setting{name: "mode", attribute: nl.IFLA_MACVLAN_MODE, value: width(modes[name], 4), text: name}
		// A link neither becomes nor ceases to be the only one over its base.
		if has := is != nil && len(is.Data[nl.IFLA_MACVLAN_MODE]) == 4; !has || (is.Data[nl.IFLA_MACVLAN_MODE][0] == 8) != (name == "passthru") {
			fixed = append(fixed, mode)
		} else {
			free = append(free, mode)
		}
	}
	for _, name := range []string{"promiscuous", "accept-all-mac"} {
		if fields[name] == nil {
			continue
		}
		promiscuous, err := boolean(fields[name])
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		flags := uint64(macvlanNoPromisc)
		if promiscuous {
			flags = 0
		}
		free = append(free, setting{name: "flags", attribute: nl.IFLA_MACVLAN_FLAGS, value: width(flags, 2), text: fmt.Sprint(flags)})
	}
	return fixed, free, nil
}

func ipvlanSettings(fields map[string]any, is *rtnetlink.Link) (fixed, free []setting, err error) {
	if free, err = settings(fields, []option{{"mode", nl.IFLA_IPVLAN_MODE, word(2, "l2", "l3", "l3s")}}); err != nil {
		return nil, nil, err
	}
	flags, given := uint64(0), false
	if is != nil {
		if has := is.Data[nl.IFLA_IPVLAN_FLAG]; len(has) == 2 {
			flags = uint64(nl.NativeEndian().Uint16(has))
		}
	}
	for name, flag := range map[string]uint64{"private": ipvlanPrivate, "vepa": ipvlanVEPA} {
		if fields[name] == nil {
			continue
		}
		value, err := boolean(fields[name])
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		if given, flags = true, flags&^flag; value {
			flags |= flag
		}
	}
	if given {
		free = append(free, setting{name: "flags", attribute: nl.IFLA_IPVLAN_FLAG, value: width(flags, 2), text: fmt.Sprint(flags)})
	}
	return nil, free, nil
}

// overIPv6 tells whether a tunnel sends IPv6, and whether its section says so.
func overIPv6(kind string, section map[string]any) (six, given bool) {
	switch kind {
	case "ip-tunnel":
		is := tunnelKinds[tree.StringAt(section, "mode")]
		return is == "ip6tnl", is != ""
	case "vxlan":
		for _, field := range []string{"local", "remote"} {
			if ip, err := netip.ParseAddr(tree.StringAt(section, field)); err == nil {
				return ip.Is6(), true
			}
		}
	}
	return false, false
}

// vxlanSettings: a VXLAN keeps its version of IP, which is that of its addresses.
func vxlanSettings(fields map[string]any, is *rtnetlink.Link) (fixed, free []setting, err error) {
	fixed, err = settings(fields, []option{{"id", nl.IFLA_VXLAN_ID, unsigned(4)}, {"destination-port", nl.IFLA_VXLAN_PORT, bigEndian}})
	if err != nil {
		return nil, nil, err
	}
	if base := tree.StringAt(fields, "base-iface"); base != "" {
		free = append(free, setting{name: "base-iface", attribute: nl.IFLA_VXLAN_LINK, text: base, link: base})
	}
	if some, err := settings(fields, []option{{"learning", nl.IFLA_VXLAN_LEARNING, truth(1)}}); err == nil {
		free = append(free, some...)
	}
	six := is != nil && (is.Data[nl.IFLA_VXLAN_LOCAL6] != nil || is.Data[nl.IFLA_VXLAN_GROUP6] != nil)
	for name, attributes := range map[string][2]uint16{
		"local": {nl.IFLA_VXLAN_LOCAL, nl.IFLA_VXLAN_LOCAL6}, "remote": {nl.IFLA_VXLAN_GROUP, nl.IFLA_VXLAN_GROUP6},
	} {
		text := tree.StringAt(fields, name)
		if text == "" {
			continue
		}
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		one := setting{name: name, attribute: attributes[0], value: ip.AsSlice(), text: text}
		if ip.Is6() {
			one.attribute = attributes[1]
		}
		if is != nil && ip.Is6() != six {
			fixed = append(fixed, one)
		} else {
			free = append(free, one)
		}
	}
	return fixed, free, nil
}

// hsrSettings are all kept. The kernel does not show the version.
func hsrSettings(fields map[string]any, is *rtnetlink.Link) (fixed, free []setting, err error) {
	for name, attribute := range map[string]uint16{"port1": hsrPort1, "port2": hsrPort2, "interlink": hsrInterlink} {
		if link := tree.StringAt(fields, name); link != "" {
			fixed = append(fixed, setting{name: name, attribute: attribute, text: link, link: link})
		}
	}
	some, err := settings(fields, []option{{"multicast-spec", hsrMulticast, unsigned(1)}})
	fixed = append(fixed, some...)
	protocol := tree.StringAt(fields, "protocol")
	switch protocol {
	case "prp":
		fixed = append(fixed, setting{name: "protocol", attribute: hsrProtocol, value: []byte{protoPRP}, text: protocol})
	case "hsr", "hsr-2010", "hsr-2012":
		fixed = append(fixed, setting{name: "protocol", attribute: hsrProtocol, value: []byte{protoHSR}, text: protocol})
	}
	if is == nil && protocol == "hsr-2012" {
		fixed = append(fixed, setting{name: "version", attribute: hsrVersion, value: []byte{1}, text: "1"})
	}
	return fixed, nil, err
}

func macsecSettings(fields map[string]any, _ *rtnetlink.Link) (fixed, free []setting, err error) {
	if fixed, err = settings(fields, []option{{"port", macsecPort, bigEndian}}); err != nil {
		return nil, nil, err
	}
	free, err = settings(fields, []option{
		{"encrypt", macsecEncrypt, truth(1)}, {"send-sci", macsecIncludeSCI, truth(1)},
		{"validation", macsecValidation, word(1, "disabled", "check", "strict")}, {"offload", macsecOffload, word(1, "off", "phy", "mac")},
	})
	return fixed, free, err
}

// tunnelKinds are the kernel's names of the modes of tunnels.
var tunnelKinds = map[string]string{"ipip": "ipip", "sit": "sit", "ip6ip6": "ip6tnl", "ipip6": "ip6tnl"}

func tunnelSettings(fields map[string]any, is *rtnetlink.Link) (fixed, free []setting, err error) {
	six, given := overIPv6("ip-tunnel", fields)
	six = six || !given && is != nil && is.Kind == "ip6tnl"
	switch tree.StringAt(fields, "mode") {
	case "ip6ip6":
		fixed = append(fixed, setting{name: "mode", attribute: tunnelProto, value: []byte{protoIPv6}, text: "ip6ip6"})
	case "ipip6":
		fixed = append(fixed, setting{name: "mode", attribute: tunnelProto, value: []byte{protoIPIP}, text: "ipip6"})
	}
	free, err = settings(fields, []option{
		{"local", tunnelLocal, address}, {"remote", tunnelRemote, address}, {"ttl", tunnelTTL, unsigned(1)}, {"tos", tunnelTOS, unsigned(1)},
		{"fwmark", tunnelFwMark, unsigned(4)},
	})
	if err != nil {
		return nil, nil, err
	}
	if base := tree.StringAt(fields, "base-iface"); base != "" {
		free = append(free, setting{name: "base-iface", attribute: tunnelLink, text: base, link: base})
	}
	if !six {
		some, err := settings(fields, []option{{"pmtu-disc", tunnelPMTUDisc, truth(1)}})
		return fixed, append(free, some...), err
	}
	some, err := settings(fields, []option{{"encap-limit", tunnelEncapLimit, unsigned(1)}, {"flow-label", tunnelFlowInfo, flowLabel}, {"ip6tun-flags", tunnelFlags, tunnelFlagBits}})
	return fixed, append(free, some...), err
}

func flowLabel(value any) ([]byte, error) {
	number, err := integer(value)
	return binary.BigEndian.AppendUint32(nil, uint32(number)&0xfffff), err
}

// tunnelFlagBits are the flags of IPv6 tunnels by their bits (IP6_TNL_F_ in include/uapi/linux/ip6_tunnel.h).
func tunnelFlagBits(value any) ([]byte, error) {
	bits := map[string]uint64{
		"ign-encap-limit": 0x1, "use-orig-tclass": 0x2, "use-orig-flowlabel": 0x4, "mip6-dev": 0x8, "rcv-dscp-copy": 0x10,
		"use-orig-fw-mark": 0x20, "allow-local-remote": 0x40, "cap-xmit": 0x10000, "cap-rcv": 0x20000, "cap-per-packet": 0x40000,
	}
	flags := uint64(0)
	for _, item := range tree.Items(value) {
		bit, known := bits[tree.Text(item)]
		if !known {
			return nil, fmt.Errorf("%q is no flag of tunnels", tree.Text(item))
		}
		flags |= bit
	}
	return width(flags, 4), nil
}
