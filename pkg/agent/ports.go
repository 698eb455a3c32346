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

package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Limits of what an agent tells of its ports.
const (
	// maxPortsText is the size in bytes that it may have on the stream. A port takes some 600.
	maxPortsText = 8 << 20
	// maxPorts is how many ports there may be.
	maxPorts = 8192
	// MaxNeighbors is how many neighbours an agent remembers of a port.
	MaxNeighbors = 8
	// MaxNeighborItems is how many capabilities, addresses or named VLANs are remembered of a neighbour.
	MaxNeighborItems = 64
	// maxLLDPText is the size in bytes of what is told of a port's neighbours; a frame has 1500.
	maxLLDPText = 128 << 10
	// maxNeighborText is the size in bytes of a text of a neighbour. LLDP's are not longer than 511.
	maxNeighborText = 512
)

// ReasonTooManyPorts is the reason of an error about more ports than can be sent.
const ReasonTooManyPorts = "TooManyPorts"

// EncodePorts returns ports as they travel on the stream. The error is of kind Failed if
// they are too many for it.
func EncodePorts(ports *v1alpha1.NodeNetworkPorts) ([]byte, error) {
	text, err := json.Marshal(ports)
	if err != nil {
		return nil, fmt.Errorf("encoding the ports: %w", err)
	}
	if len(ports.Ports) > maxPorts || len(text) > maxPortsText {
		return nil, &Error{Kind: Failed, Reason: ReasonTooManyPorts, Message: fmt.Sprintf(
			"the node has %d ports, which take %d bytes; at most %d ports and %d bytes can be told", len(ports.Ports), len(text), maxPorts, maxPortsText)}
	}
	return text, nil
}

// receivedPorts are ports as they come from the stream. What has lists stays text at
// first, as in received; and so in the types below.
type receivedPorts struct {
	v1alpha1.NodeNetworkPorts `json:",inline"`

	Metadata json.RawMessage `json:"metadata"`
	Ports    json.RawMessage `json:"ports"`
}

type receivedPort struct {
	v1alpha1.NetworkPort `json:",inline"`

	LLDP json.RawMessage `json:"lldp"`
}

type receivedLLDP struct {
	Neighbors json.RawMessage `json:"neighbors"`
	Message   string          `json:"message"`
}

type receivedNeighbor struct {
	v1alpha1.LLDPNeighbor `json:",inline"`

	Capabilities        json.RawMessage `json:"capabilities"`
	ManagementAddresses json.RawMessage `json:"managementAddresses"`
	NamedVLANs          json.RawMessage `json:"namedVLANs"`
}

// DecodePorts returns the ports that EncodePorts made, without kind and metadata. Like
// DecodeObject it takes nothing that is beyond the limits, or that clients cannot decode.
func DecodePorts(text []byte) (*v1alpha1.NodeNetworkPorts, error) {
	var r receivedPorts
	if len(text) == 0 {
		return nil, errors.New("the ports are not valid: nothing was told")
	}
	if err := decodePart("what it tells", text, maxPortsText, &r); err != nil {
		return nil, fmt.Errorf("the ports are not valid: %w", err)
	}
	received, err := decodeList[receivedPort]("ports", r.Ports, maxPortsText, maxPorts)
	if err == nil && (r.ReadTime.UTC().Year() < 0 || r.ReadTime.UTC().Year() > 9999) {
		err = fmt.Errorf("readTime is of the year %d", r.ReadTime.UTC().Year())
	}
	if err != nil {
		return nil, fmt.Errorf("the ports are not valid: %w", err)
	}
	ports := &v1alpha1.NodeNetworkPorts{ReadTime: r.ReadTime, Ports: make([]v1alpha1.NetworkPort, 0, len(received))}
	for i := range received {
		port, err := received[i].port()
		if err != nil {
			return nil, fmt.Errorf("the ports are not valid: port %d: %w", i, err)
		}
		ports.Ports = append(ports.Ports, *port)
	}
	return ports, nil
}

// port decodes what is text still, and cuts what is too long.
func (r *receivedPort) port() (*v1alpha1.NetworkPort, error) {
	p := &r.NetworkPort
	p.Name, p.Type, p.MACAddress, p.PermanentMACAddress = word(p.Name), word(p.Type), word(p.MACAddress), word(p.PermanentMACAddress)
	p.OperState, p.Duplex, p.Connector = word(p.OperState), word(p.Duplex), word(p.Connector)
	p.Driver, p.DriverVersion, p.FirmwareVersion, p.BusInfo = word(p.Driver), word(p.DriverVersion), word(p.FirmwareVersion), word(p.BusInfo)
	var heard *receivedLLDP
	if err := decodePart("lldp", r.LLDP, maxLLDPText, &heard); err != nil || heard == nil {
		return p, err
	}
	neighbors, err := decodeList[receivedNeighbor]("lldp.neighbors", heard.Neighbors, maxLLDPText, MaxNeighbors)
	if err != nil {
		return nil, err
	}
	p.LLDP = &v1alpha1.PortLLDP{Neighbors: make([]v1alpha1.LLDPNeighbor, 0, len(neighbors)), Message: shortened(heard.Message)}
	for i := range neighbors {
		neighbor, err := neighbors[i].neighbor()
		if err != nil {
			return nil, err
		}
		p.LLDP.Neighbors = append(p.LLDP.Neighbors, *neighbor)
	}
	return p, nil
}

// neighbor decodes what is text still, and cuts what is too long.
func (r *receivedNeighbor) neighbor() (*v1alpha1.LLDPNeighbor, error) {
	n := &r.LLDPNeighbor
	var errs [3]error
	n.Capabilities, errs[0] = decodeList[v1alpha1.LLDPCapability]("capabilities", r.Capabilities, maxText, MaxNeighborItems)
	n.ManagementAddresses, errs[1] = decodeList[string]("managementAddresses", r.ManagementAddresses, maxText, MaxNeighborItems)
	n.NamedVLANs, errs[2] = decodeList[v1alpha1.LLDPVLAN]("namedVLANs", r.NamedVLANs, maxText, MaxNeighborItems)
	if err := errors.Join(append(errs[:], checkTime("lastHeardTime", &n.LastHeardTime))...); err != nil {
		return nil, err
	}
	n.ChassisIDType, n.PortIDType, n.SourceMACAddress = word(n.ChassisIDType), word(n.PortIDType), word(n.SourceMACAddress)
	for _, text := range []*string{&n.ChassisID, &n.PortID, &n.PortDescription, &n.SystemName, &n.SystemDescription} {
		*text = Told(*text)
	}
	for i := range n.Capabilities {
		n.Capabilities[i] = word(n.Capabilities[i])
	}
	for i := range n.ManagementAddresses {
		n.ManagementAddresses[i] = word(n.ManagementAddresses[i])
	}
	for i := range n.NamedVLANs {
		n.NamedVLANs[i].Name = word(n.NamedVLANs[i].Name)
	}
	return n, nil
}

// Told returns a text that a neighbour has said, as one that can be shown: valid UTF-8, without
// control characters but line breaks and tabs.
func Told(text string) string {
	return printable(text, maxNeighborText, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' })
}
