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

// Package ports reads what the kernel and the hardware tell of network links, beyond what nmstate
// shows: carriers, speeds, drivers, counters.
package ports

import (
	"bytes"
	"math"
	"net"
	"strings"

	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Describe returns what there is to tell of the links: the kernel has told links, the rest is asked for now. What the
// kernel does not know of a link, or a process without privileges may not see, is left out.
func Describe(links []rtnetlink.Port) []v1alpha1.NetworkPort {
	ports := make([]v1alpha1.NetworkPort, 0, len(links))
	asker, err := ethtool.NewEthtool()
	if err == nil {
		defer asker.Close()
	}
	for _, link := range links {
		port := describe(link)
		if err == nil {
			settings(asker, link, &port)
			driver(asker, &port)
		}
		ports = append(ports, port)
	}
	return ports
}

// IsHardware tells whether a link is an Ethernet device of its own: the kernel names a kind for all that it makes itself.
func IsHardware(link rtnetlink.Port) bool {
	return link.Kind == "" && link.Hardware == unix.ARPHRD_ETHER
}

// describe tells what the kernel has told of the link.
func describe(link rtnetlink.Port) v1alpha1.NetworkPort {
	s := link.Statistics
	return v1alpha1.NetworkPort{
		Name: link.Name, Index: int32(link.Index), Type: typeOf(link),
		MACAddress: hardwareAddress(link.MAC), PermanentMACAddress: permanent(link),
		Carrier:        link.Is(unix.IFF_UP) && link.Is(unix.IFF_LOWER_UP),
		CarrierChanges: int64(link.CarrierChanges),
		OperState:      operState(link.State),
		Counters: v1alpha1.PortCounters{
			RxBytes: counter(s.RxBytes), RxPackets: counter(s.RxPackets), RxErrors: counter(s.RxErrors), RxDropped: counter(s.RxDropped),
			RxMulticast: counter(s.Multicast),
			TxBytes:     counter(s.TxBytes), TxPackets: counter(s.TxPackets), TxErrors: counter(s.TxErrors), TxDropped: counter(s.TxDropped),
		},
	}
}

// counter returns a counter as the API has numbers.
func counter(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// typeOf returns nmstate's type of a link, and the kernel's kind where nmstate has none.
func typeOf(link rtnetlink.Port) string {
	switch {
	case link.Is(unix.IFF_LOOPBACK):
		return "loopback"
	case link.Hardware == unix.ARPHRD_INFINIBAND:
		return "infiniband"
	case link.Kind == "" && link.Hardware == unix.ARPHRD_ETHER:
		return "ethernet"
	}
	switch link.Kind {
	case "":
		return "unknown"
	case "bridge":
		return "linux-bridge"
	case "macvlan":
		return "mac-vlan"
	case "macvtap":
		return "mac-vtap"
	case "openvswitch":
		return "ovs-interface"
	}
	return link.Kind
}

// hardwareAddress returns a MAC address as text; empty if it is none: a tunnel has an IP address in its place.
func hardwareAddress(address net.HardwareAddr) string {
	switch len(address) {
	case 6, 8, 20:
		return address.String()
	}
	return ""
}

// permanent returns the address that the hardware has, if it is not the one in use.
func permanent(link rtnetlink.Port) string {
	if bytes.Equal(link.Permanent, link.MAC) || len(bytes.Trim(link.Permanent, "\x00")) == 0 {
		return ""
	}
	return hardwareAddress(link.Permanent)
}

// operState translates the states of include/uapi/linux/if.h.
func operState(state uint8) v1alpha1.OperState {
	states := []v1alpha1.OperState{v1alpha1.OperUnknown, v1alpha1.OperNotPresent, v1alpha1.OperDown, v1alpha1.OperLowerLayerDown,
		v1alpha1.OperTesting, v1alpha1.OperDormant, v1alpha1.OperUp}
	if int(state) < len(states) {
		return states[state]
	}
	return v1alpha1.OperUnknown
}

// duplexes are the duplex modes of include/uapi/linux/ethtool.h.
var duplexes = map[uint8]v1alpha1.Duplex{ethtool.DUPLEX_FULL: v1alpha1.DuplexFull, ethtool.DUPLEX_HALF: v1alpha1.DuplexHalf}

// connectors are the ports of include/uapi/linux/ethtool.h.
var connectors = map[uint8]v1alpha1.Connector{
	ethtool.PORT_TP: v1alpha1.ConnectorTwistedPair, ethtool.PORT_AUI: v1alpha1.ConnectorAUI, ethtool.PORT_MII: v1alpha1.ConnectorMII,
	ethtool.PORT_FIBRE: v1alpha1.ConnectorFibre, ethtool.PORT_BNC: v1alpha1.ConnectorBNC, ethtool.PORT_DA: v1alpha1.ConnectorDirectAttach,
	ethtool.PORT_NONE: v1alpha1.ConnectorNone, ethtool.PORT_OTHER: v1alpha1.ConnectorOther,
}

// settings adds speed, duplex mode, connector and whether they are negotiated. Of these the last two say something of
// hardware alone. The request is the kernel's older one, which all kernels answer.
func settings(asker *ethtool.Ethtool, link rtnetlink.Port, port *v1alpha1.NetworkPort) {
	var told ethtool.EthtoolCmd
	speed, err := asker.CmdGet(&told, link.Name)
	if err != nil {
		return
	}
	if speed != 0 && speed != ethtool.SPEED_UNKNOWN {
		port.Speed, port.Duplex = int64(speed), duplexes[told.Duplex]
	}
	if IsHardware(link) {
		negotiated := told.Autoneg == ethtool.AUTONEG_ENABLE
		port.AutoNegotiation, port.Connector = &negotiated, connectors[told.Port]
	}
}

// driver adds driver, firmware and where the device is.
func driver(asker *ethtool.Ethtool, port *v1alpha1.NetworkPort) {
	info, err := asker.DriverInfo(port.Name)
	if err != nil {
		return
	}
	port.Driver, port.DriverVersion = told(info.Driver), told(info.Version)
	port.FirmwareVersion, port.BusInfo = told(info.FwVersion), told(info.BusInfo)
}

// told returns what a driver says, and nothing if it says that it has nothing to say.
func told(text string) string {
	text = strings.TrimSpace(text)
	if strings.EqualFold(text, "N/A") {
		return ""
	}
	return text
}
