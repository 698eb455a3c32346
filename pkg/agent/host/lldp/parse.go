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

package lldp

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// etherType is the type of the frames.
const etherType = 0x88cc

const (
	// headerLength is the length of an Ethernet header.
	headerLength = 14
	// maxID is how many bytes an identifier may have, without the byte that says what kind it is.
	maxID = 255
	// maxAddresses is how many addresses are remembered of a neighbour.
	maxAddresses = 16
)

// Types of the parts of a frame (IEEE 802.1AB, table 8-1), and of those that an organization has defined.
const (
	typeEnd               = 0
	typeChassisID         = 1
	typePortID            = 2
	typeTTL               = 3
	typePortDescription   = 4
	typeSystemName        = 5
	typeSystemDescription = 6
	typeCapabilities      = 7
	typeManagementAddress = 8
	typeOrganization      = 127
)

// The parts that IEEE 802.1 has defined: its identifier, and the subtypes for a port's VLAN and for the name of a VLAN.
const (
	organization8021 = "\x00\x80\xc2"
	subtypePortVLAN  = 1
	subtypeVLANName  = 3
)

// The numbers of address families (IANA).
const (
	familyIPv4 = 1
	familyIPv6 = 2
	family802  = 6
)

// message is what one frame says.
type message struct {
	v1alpha1.LLDPNeighbor
	// identity is the neighbour's port: chassis and port as they are in the frame.
	identity struct{ chassis, port string }
}

// parse reads a frame with its Ethernet header. A frame that breaks the standard in what is needed, or whose parts
// do not fit it, is an error: nothing of it is taken. What is unknown is passed over.
func parse(frame []byte) (*message, error) {
	if len(frame) < headerLength || binary.BigEndian.Uint16(frame[12:]) != etherType {
		return nil, errors.New("it is no frame of LLDP")
	}
	m := &message{}
	m.SourceMACAddress = net.HardwareAddr(frame[6:12]).String()
	rest, part := frame[headerLength:], 0
	for ; len(rest) > 0; part++ {
		if len(rest) < 2 {
			return nil, errors.New("its last part has no length")
		}
		kind, length := rest[0]>>1, int(rest[0]&1)<<8|int(rest[1])
		if len(rest) < 2+length {
			return nil, fmt.Errorf("part %d of type %d has %d bytes, of which there are %d", part, kind, length, len(rest)-2)
		}
		value := rest[2 : 2+length]
		rest = rest[2+length:]
		if kind == typeEnd && part >= typeTTL {
			break
		}
		// The first three parts are chassis, port and TTL, in this order, and none of them comes twice.
		if wanted := byte(part + 1); part < typeTTL && kind != wanted || part >= typeTTL && kind <= typeTTL {
			return nil, fmt.Errorf("part %d is of type %d", part, kind)
		}
		if err := m.add(kind, value); err != nil {
			return nil, fmt.Errorf("part %d of type %d: %w", part, kind, err)
		}
	}
	if part < typeTTL {
		return nil, errors.New("it ends before it has said who has sent it, and for how long that holds")
	}
	return m, nil
}

// add takes one part of the frame.
func (m *message) add(kind byte, value []byte) (err error) {
	switch kind {
	case typeChassisID:
		m.ChassisID, m.ChassisIDType, err = identifier(value, chassisIDTypes)
		m.identity.chassis = string(value)
	case typePortID:
		m.PortID, m.PortIDType, err = identifier(value, portIDTypes)
		m.identity.port = string(value)
	case typeTTL:
		if len(value) < 2 {
			return errors.New("it is too short")
		}
		m.TTLSeconds = int32(binary.BigEndian.Uint16(value))
	case typePortDescription:
		say(&m.PortDescription, value)
	case typeSystemName:
		say(&m.SystemName, value)
	case typeSystemDescription:
		say(&m.SystemDescription, value)
	case typeCapabilities:
		if len(value) >= 4 && m.Capabilities == nil {
			m.Capabilities = capabilitiesOf(binary.BigEndian.Uint16(value) & binary.BigEndian.Uint16(value[2:]))
		}
	case typeManagementAddress:
		if address := managementAddress(value); address != "" && len(m.ManagementAddresses) < maxAddresses {
			m.ManagementAddresses = append(m.ManagementAddresses, address)
		}
	case typeOrganization:
		if len(value) >= 4 && string(value[:3]) == organization8021 {
			m.addVLAN(value[3], value[4:])
		}
	}
	return err
}

// addVLAN takes a part that is about VLANs.
func (m *message) addVLAN(subtype byte, value []byte) {
	if len(value) < 2 {
		return
	}
	id := int32(binary.BigEndian.Uint16(value))
	switch subtype {
	case subtypePortVLAN:
		m.PortVLANID = id
	case subtypeVLANName:
		if len(value) >= 3 && len(value) >= 3+int(value[2]) && len(m.NamedVLANs) < agent.MaxNeighborItems {
			m.NamedVLANs = append(m.NamedVLANs, v1alpha1.LLDPVLAN{ID: id, Name: agent.Word(string(value[3 : 3+int(value[2])]))})
		}
	}
}

// say sets a text, unless it is set.
func say(text *string, value []byte) {
	if *text == "" {
		*text = agent.Told(string(value))
	}
}

// chassisIDTypes and portIDTypes are what identifiers may be, by their numbers from 1 on (tables 8-2 and 8-3).
var (
	chassisIDTypes = []v1alpha1.LLDPIDType{v1alpha1.LLDPIDChassisComponent, v1alpha1.LLDPIDInterfaceAlias, v1alpha1.LLDPIDPortComponent,
		v1alpha1.LLDPIDMACAddress, v1alpha1.LLDPIDNetworkAddress, v1alpha1.LLDPIDInterfaceName, v1alpha1.LLDPIDLocal}
	portIDTypes = []v1alpha1.LLDPIDType{v1alpha1.LLDPIDInterfaceAlias, v1alpha1.LLDPIDPortComponent, v1alpha1.LLDPIDMACAddress,
		v1alpha1.LLDPIDNetworkAddress, v1alpha1.LLDPIDInterfaceName, v1alpha1.LLDPIDAgentCircuitID, v1alpha1.LLDPIDLocal}
)

// identifier returns an identifier as text, and what kind it is. One that is no text is shown in hexadecimal digits.
func identifier(value []byte, kinds []v1alpha1.LLDPIDType) (string, v1alpha1.LLDPIDType, error) {
	if len(value) < 2 || len(value) > 1+maxID {
		return "", "", fmt.Errorf("an identifier of %d bytes", len(value))
	}
	kind, id := v1alpha1.LLDPIDReserved, value[1:]
	if n := int(value[0]); n >= 1 && n <= len(kinds) {
		kind = kinds[n-1]
	}
	switch {
	case kind == v1alpha1.LLDPIDMACAddress && len(id) == 6:
		return net.HardwareAddr(id).String(), kind, nil
	case kind == v1alpha1.LLDPIDNetworkAddress:
		if address := address(id[0], id[1:]); address != "" {
			return address, kind, nil
		}
	case kind != v1alpha1.LLDPIDMACAddress:
		if text := strings.TrimRight(string(id), "\x00"); text != "" && isPrintable(text) {
			return text, kind, nil
		}
	}
	return hex.EncodeToString(id), kind, nil
}

// isPrintable tells whether all of a text can be shown.
func isPrintable(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// managementAddress returns the address of a part of that type; empty if it is of a family that is not known.
func managementAddress(value []byte) string {
	if len(value) < 2 || value[0] < 1 || len(value) < 1+int(value[0]) {
		return ""
	}
	return address(value[1], value[2:1+int(value[0])])
}

// address returns an address of a family as text; empty if the family is not known, or the address is not of its length.
func address(family byte, value []byte) string {
	switch {
	case family == familyIPv4 && len(value) == 4, family == familyIPv6 && len(value) == 16:
		ip, _ := netip.AddrFromSlice(value)
		return ip.String()
	case family == family802 && len(value) == 6:
		return net.HardwareAddr(value).String()
	}
	return ""
}

// capabilitiesOf returns what the bits stand for (table 8-4).
func capabilitiesOf(bits uint16) []v1alpha1.LLDPCapability {
	all := []v1alpha1.LLDPCapability{v1alpha1.LLDPOther, v1alpha1.LLDPRepeater, v1alpha1.LLDPBridge, v1alpha1.LLDPWLANAccessPoint,
		v1alpha1.LLDPRouter, v1alpha1.LLDPTelephone, v1alpha1.LLDPDOCSISCableDevice, v1alpha1.LLDPStationOnly,
		v1alpha1.LLDPCustomerVLAN, v1alpha1.LLDPServiceVLAN, v1alpha1.LLDPTwoPortMACRelay}
	var found []v1alpha1.LLDPCapability
	for bit, capability := range all {
		if bits&(1<<bit) != 0 {
			found = append(found, capability)
		}
	}
	return found
}
