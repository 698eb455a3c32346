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

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +kubebuilder:object:root=true
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// NodeNetworkPorts is what the kernel and the hardware of a node tell of its
// network ports: carriers, speeds, drivers and counters, which nmstate's format
// does not have. It is the subresource "ports" of a NodeNetworkState, and is
// read from the node at each request.
type NodeNetworkPorts struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// When the node's agent read them, by the node's clock. Two reads and the time between them give rates.
	ReadTime metav1.MicroTime `json:"readTime"`
	// The network links that status.currentState shows, and no pods' veths; in the order of their indexes.
	// +listType=atomic
	Ports []NetworkPort `json:"ports"`
}

// NetworkPort is one network link of a node. What the kernel or the hardware does
// not tell is absent.
type NetworkPort struct {
	// Name of the interface.
	Name string `json:"name"`
	// The kernel's number of it. Another number behind the same name is another link, whose counters began anew.
	Index int32 `json:"index"`
	// The type of the interface in nmstate's words, such as "ethernet", "bond" or
	// "linux-bridge"; the kernel's own word for what nmstate has no type.
	Type string `json:"type"`
	// The MAC address in use.
	// +optional
	MACAddress string `json:"macAddress,omitempty"`
	// The MAC address that the hardware has, if it is another one, as with a port of a bond.
	// +optional
	PermanentMACAddress string `json:"permanentMACAddress,omitempty"`
	// Whether there is a carrier: the interface is up, and something is at the other end.
	Carrier bool `json:"carrier"`
	// How often the carrier came or went since the interface was made.
	CarrierChanges int64 `json:"carrierChanges"`
	// The operational state (RFC 2863). Virtual interfaces may stay "Unknown" while they work.
	OperState OperState `json:"operState"`
	// Speed in Mbit/s.
	// +optional
	Speed int64 `json:"speed,omitempty"`
	// Whether both ends may send at the same time.
	// +optional
	Duplex Duplex `json:"duplex,omitempty"`
	// Whether speed and duplex mode are negotiated with the other end.
	// +optional
	AutoNegotiation *bool `json:"autoNegotiation,omitempty"`
	// The connector that is in use.
	// +optional
	Connector Connector `json:"connector,omitempty"`
	// Name of the kernel's driver.
	// +optional
	Driver string `json:"driver,omitempty"`
	// Version of the driver; for the kernel's own drivers, that of the kernel.
	// +optional
	DriverVersion string `json:"driverVersion,omitempty"`
	// Version of the firmware.
	// +optional
	FirmwareVersion string `json:"firmwareVersion,omitempty"`
	// Where the device is on its bus: for PCI its address, such as "0000:3b:00.0".
	// +optional
	BusInfo string `json:"busInfo,omitempty"`
	// What has passed since the interface was made.
	Counters PortCounters `json:"counters"`
	// What was heard of the neighbours by LLDP; absent where the agent does not listen:
	// without its flag --lldp nowhere.
	// +optional
	LLDP *PortLLDP `json:"lldp,omitempty"`
}

// PortCounters are a link's counters, as the kernel counts them: rx is what was
// received, tx what was sent.
type PortCounters struct {
	// Bytes that were received.
	RxBytes int64 `json:"rxBytes"`
	// Packets that were received.
	RxPackets int64 `json:"rxPackets"`
	// Packets that came in broken.
	RxErrors int64 `json:"rxErrors"`
	// Packets that came in whole and were not processed, as there was no room or nobody wanted them.
	RxDropped int64 `json:"rxDropped"`
	// Of the packets that were received, those to a multicast address.
	RxMulticast int64 `json:"rxMulticast"`
	// Bytes that were sent.
	TxBytes int64 `json:"txBytes"`
	// Packets that were sent.
	TxPackets int64 `json:"txPackets"`
	// Packets that could not be sent because something failed.
	TxErrors int64 `json:"txErrors"`
	// Packets that were not sent because there was no room.
	TxDropped int64 `json:"txDropped"`
}

// OperState is the operational state of a link (RFC 2863).
// +enum
type OperState string

const (
	// OperUnknown: the driver does not tell.
	OperUnknown OperState = "Unknown"
	// OperNotPresent: a part is missing, as a rule the hardware.
	OperNotPresent OperState = "NotPresent"
	// OperDown: no packets pass.
	OperDown OperState = "Down"
	// OperLowerLayerDown: an interface below this one is down, or the carrier of the other end is.
	OperLowerLayerDown OperState = "LowerLayerDown"
	// OperTesting: in a test, no packets pass.
	OperTesting OperState = "Testing"
	// OperDormant: it waits for something outside, such as 802.1X.
	OperDormant OperState = "Dormant"
	// OperUp: packets pass.
	OperUp OperState = "Up"
)

// Duplex is the duplex mode of a link.
// +enum
type Duplex string

const (
	// DuplexFull: both ends may send at the same time.
	DuplexFull Duplex = "Full"
	// DuplexHalf: one end may send at a time.
	DuplexHalf Duplex = "Half"
)

// Connector is a kind of connector.
// +enum
type Connector string

const (
	// ConnectorTwistedPair is for twisted pairs, such as RJ45.
	ConnectorTwistedPair Connector = "TwistedPair"
	// ConnectorAUI is an attachment unit interface.
	ConnectorAUI Connector = "AUI"
	// ConnectorMII is a media-independent interface.
	ConnectorMII Connector = "MII"
	// ConnectorFibre is for optical fibre.
	ConnectorFibre Connector = "Fibre"
	// ConnectorBNC is for coaxial cable.
	ConnectorBNC Connector = "BNC"
	// ConnectorDirectAttach is for a cable that has its modules at its ends.
	ConnectorDirectAttach Connector = "DirectAttach"
	// ConnectorNone: there is none, as on a backplane.
	ConnectorNone Connector = "None"
	// ConnectorOther is none of these.
	ConnectorOther Connector = "Other"
)

// PortLLDP is what an agent hears on a port by LLDP (IEEE 802.1AB). It listens, and
// sends nothing.
type PortLLDP struct {
	// The neighbours that were heard and whose time is not over; the one that was heard last is first.
	// +listType=atomic
	Neighbors []LLDPNeighbor `json:"neighbors"`
	// Why the agent cannot listen on this port, if it cannot.
	// +optional
	Message string `json:"message,omitempty"`
}

// LLDPNeighbor is what a neighbour says of itself. Nothing proves that it is true.
type LLDPNeighbor struct {
	// Identifies the neighbour, as a rule a switch. What is no text is in hexadecimal digits.
	ChassisID string `json:"chassisID"`
	// What kind of identifier chassisID is.
	ChassisIDType LLDPIDType `json:"chassisIDType"`
	// Identifies the neighbour's port.
	PortID string `json:"portID"`
	// What kind of identifier portID is.
	PortIDType LLDPIDType `json:"portIDType"`
	// The neighbour's description of that port.
	// +optional
	PortDescription string `json:"portDescription,omitempty"`
	// The neighbour's name, as a rule its hostname.
	// +optional
	SystemName string `json:"systemName,omitempty"`
	// What hardware and software the neighbour is.
	// +optional
	SystemDescription string `json:"systemDescription,omitempty"`
	// What the neighbour does: of what it can do, that which is enabled.
	// +optional
	// +listType=atomic
	Capabilities []LLDPCapability `json:"capabilities,omitempty"`
	// Addresses by which the neighbour is managed: IP addresses, and MAC addresses.
	// +optional
	// +listType=atomic
	ManagementAddresses []string `json:"managementAddresses,omitempty"`
	// The VLAN of untagged frames at the neighbour's port.
	// +optional
	PortVLANID int32 `json:"portVLANID,omitempty"`
	// VLANs of the neighbour's port that it names.
	// +optional
	// +listType=atomic
	NamedVLANs []LLDPVLAN `json:"namedVLANs,omitempty"`
	// The source address of the frame.
	SourceMACAddress string `json:"sourceMACAddress"`
	// How long this is good for after it was heard, in seconds, as the neighbour says.
	TTLSeconds int32 `json:"ttlSeconds"`
	// When it was heard last, by the node's clock.
	LastHeardTime metav1.Time `json:"lastHeardTime"`
}

// LLDPVLAN is a VLAN that a neighbour names.
type LLDPVLAN struct {
	// The VLAN's number.
	ID int32 `json:"id"`
	// The VLAN's name.
	Name string `json:"name"`
}

// LLDPIDType is what kind of identifier a chassis or a port has (IEEE 802.1AB, 8.5.2.2 and 8.5.3.2).
// +enum
type LLDPIDType string

const (
	// LLDPIDChassisComponent is the name of a component of a chassis.
	LLDPIDChassisComponent LLDPIDType = "ChassisComponent"
	// LLDPIDPortComponent is the name of a component of a port.
	LLDPIDPortComponent LLDPIDType = "PortComponent"
	// LLDPIDInterfaceAlias is a name that an administrator has given to an interface.
	LLDPIDInterfaceAlias LLDPIDType = "InterfaceAlias"
	// LLDPIDInterfaceName is the name of an interface.
	LLDPIDInterfaceName LLDPIDType = "InterfaceName"
	// LLDPIDMACAddress is a MAC address.
	LLDPIDMACAddress LLDPIDType = "MACAddress"
	// LLDPIDNetworkAddress is an IP address.
	LLDPIDNetworkAddress LLDPIDType = "NetworkAddress"
	// LLDPIDAgentCircuitID is a circuit of a relay agent (RFC 3046).
	LLDPIDAgentCircuitID LLDPIDType = "AgentCircuitID"
	// LLDPIDLocal is a name that the neighbour has chosen.
	LLDPIDLocal LLDPIDType = "Local"
	// LLDPIDReserved is of a kind that the standard has reserved.
	LLDPIDReserved LLDPIDType = "Reserved"
)

// LLDPCapability is something that a neighbour does (IEEE 802.1AB, 8.5.8.1).
// +enum
type LLDPCapability string

const (
	// LLDPOther is none of the others.
	LLDPOther LLDPCapability = "Other"
	// LLDPRepeater repeats frames.
	LLDPRepeater LLDPCapability = "Repeater"
	// LLDPBridge is a bridge, which a switch is.
	LLDPBridge LLDPCapability = "Bridge"
	// LLDPWLANAccessPoint is an access point of a wireless network.
	LLDPWLANAccessPoint LLDPCapability = "WLANAccessPoint"
	// LLDPRouter is a router.
	LLDPRouter LLDPCapability = "Router"
	// LLDPTelephone is a telephone.
	LLDPTelephone LLDPCapability = "Telephone"
	// LLDPDOCSISCableDevice is a cable modem.
	LLDPDOCSISCableDevice LLDPCapability = "DOCSISCableDevice"
	// LLDPStationOnly is an end station that is nothing else.
	LLDPStationOnly LLDPCapability = "StationOnly"
	// LLDPCustomerVLAN is a component of a bridge for customers' VLANs.
	LLDPCustomerVLAN LLDPCapability = "CustomerVLAN"
	// LLDPServiceVLAN is a component of a bridge for providers' VLANs.
	LLDPServiceVLAN LLDPCapability = "ServiceVLAN"
	// LLDPTwoPortMACRelay is a relay of two ports.
	LLDPTwoPortMACRelay LLDPCapability = "TwoPortMACRelay"
)
