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
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// part returns a part of a frame.
func part(kind int, value ...byte) []byte {
	return append([]byte{byte(kind<<1 | len(value)>>8), byte(len(value))}, value...)
}

// text returns a part that is a text after some bytes.
func text(kind int, text string, before ...byte) []byte {
	return part(kind, append(before, text...)...)
}

// frame returns a frame with these parts, padded as Ethernet wants it.
func frame(parts ...[]byte) []byte {
	header := []byte{0x01, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 7, 0x88, 0xcc}
	whole := append(header, slices.Concat(parts...)...)
	return append(whole, make([]byte, max(0, 60-len(whole)))...)
}

var (
	chassis = part(typeChassisID, 4, 2, 0, 0, 0, 0, 1)
	portID  = text(typePortID, "swp7", 5)
	ttl     = part(typeTTL, 0, 120)
	end     = part(typeEnd)
)

// whole is a frame of a switch, as switches send them.
func whole() []byte {
	return frame(chassis, portID, ttl,
		text(typePortDescription, "to node01"), text(typeSystemName, "leaf1.example.org"),
		text(typeSystemDescription, "Network OS 5.9\r\nx86_64"), part(typeCapabilities, 0, 0x14, 0, 0x04),
		part(typeManagementAddress, 5, 1, 192, 0, 2, 1, 2, 0, 0, 0, 1, 0),
		part(typeManagementAddress, append(append([]byte{17, 2}, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), 2, 0, 0, 0, 1, 0)...),
		text(typeOrganization, "\x00\x0a", 0, 0x80, 0xc2, subtypePortVLAN),
		text(typeOrganization, "\x00\x64\x04blue", 0, 0x80, 0xc2, subtypeVLANName),
		text(typeOrganization, "\x00\x01\x02", 0, 0x12, 0x0f, 1), end)
}

func TestParse(t *testing.T) {
	m, err := parse(whole())
	if err != nil {
		t.Fatal(err)
	}
	want := v1alpha1.LLDPNeighbor{ChassisID: "02:00:00:00:00:01", ChassisIDType: v1alpha1.LLDPIDMACAddress,
		PortID: "swp7", PortIDType: v1alpha1.LLDPIDInterfaceName, PortDescription: "to node01", SystemName: "leaf1.example.org",
		SystemDescription: "Network OS 5.9\nx86_64", Capabilities: []v1alpha1.LLDPCapability{v1alpha1.LLDPBridge},
		ManagementAddresses: []string{"192.0.2.1", "2001:db8::1"}, PortVLANID: 10, NamedVLANs: []v1alpha1.LLDPVLAN{{ID: 100, Name: "blue"}},
		SourceMACAddress: "02:00:00:00:00:07", TTLSeconds: 120}
	if !reflect.DeepEqual(m.LLDPNeighbor, want) {
		t.Errorf("got  %+v\nwant %+v", m.LLDPNeighbor, want)
	}
}

func TestParseIdentifiers(t *testing.T) {
	for name, test := range map[string]struct {
		id    []byte
		kinds []v1alpha1.LLDPIDType
		want  string
		kind  v1alpha1.LLDPIDType
	}{
		"a name":            {[]byte("\x07core-1"), chassisIDTypes, "core-1", v1alpha1.LLDPIDLocal},
		"a name with a NUL": {[]byte("\x05swp1\x00"), portIDTypes, "swp1", v1alpha1.LLDPIDInterfaceName},
		"an alias":          {[]byte("\x02uplink"), chassisIDTypes, "uplink", v1alpha1.LLDPIDInterfaceAlias},
		"IPv4":              {[]byte{5, 1, 192, 0, 2, 9}, chassisIDTypes, "192.0.2.9", v1alpha1.LLDPIDNetworkAddress},
		"IPv4 cut off":      {[]byte{4, 1, 192, 0}, portIDTypes, "01c000", v1alpha1.LLDPIDNetworkAddress},
		"a MAC address":     {[]byte{3, 2, 0, 0, 0, 0, 9}, portIDTypes, "02:00:00:00:00:09", v1alpha1.LLDPIDMACAddress},
		"half of one":       {[]byte("\x03abc"), portIDTypes, "616263", v1alpha1.LLDPIDMACAddress},
		"no text":           {[]byte("\x07\x1b[2J"), chassisIDTypes, "1b5b324a", v1alpha1.LLDPIDLocal},
		"no UTF-8":          {[]byte("\x07\xff\xfe"), chassisIDTypes, "fffe", v1alpha1.LLDPIDLocal},
		"nothing but NULs":  {[]byte("\x07\x00\x00"), chassisIDTypes, "0000", v1alpha1.LLDPIDLocal},
		"a reserved kind":   {[]byte("\x08abc"), portIDTypes, "abc", v1alpha1.LLDPIDReserved},
		"kind 0":            {[]byte("\x00abc"), portIDTypes, "abc", v1alpha1.LLDPIDReserved},
	} {
		if id, kind, err := identifier(test.id, test.kinds); err != nil || id != test.want || kind != test.kind {
			t.Errorf("%s: %q, %s, %v", name, id, kind, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, wrong := range map[string][]byte{
		"nothing":                     nil,
		"a header alone":              frame()[:headerLength],
		"another type of frame":       append(append([]byte{}, whole()[:12]...), 8, 0),
		"an end at once":              frame(end),
		"no port":                     frame(chassis, ttl, end),
		"no TTL":                      frame(chassis, portID, end),
		"no TTL and no end":           frame()[:headerLength:headerLength],
		"another order":               frame(portID, chassis, ttl, end),
		"a chassis twice":             frame(chassis, portID, ttl, chassis, end),
		"a TTL twice":                 frame(chassis, portID, ttl, ttl, end),
		"a short TTL":                 frame(chassis, portID, part(typeTTL, 1), end),
		"an empty chassis":            frame(part(typeChassisID), portID, ttl, end),
		"a chassis of no identifier":  frame(part(typeChassisID, 4), portID, ttl, end),
		"too long a chassis":          frame(text(typeChassisID, strings.Repeat("a", maxID+1), 7), portID, ttl, end),
		"a part that does not fit":    append(frame()[:headerLength], slices.Concat(chassis, portID, ttl, []byte{typeSystemName << 1, 9, 'a'})...),
		"a part without its length":   append(frame()[:headerLength], slices.Concat(chassis, portID, ttl, []byte{typeSystemName << 1})...),
		"a first part that is longer": append(frame()[:headerLength], typeChassisID<<1, 200, 4, 2),
	} {
		if m, err := parse(wrong); err == nil {
			t.Errorf("%s was taken for %+v", name, m)
		}
	}
}

// TestParsePassesOver what it does not know, and what is wrong in a part that is not needed.
func TestParsePassesOver(t *testing.T) {
	for name, right := range map[string][]byte{
		"a reserved type":          frame(chassis, portID, ttl, part(9, 1, 2, 3), end),
		"another organization":     frame(chassis, portID, ttl, text(typeOrganization, "hello", 0, 0x90, 0x69, 1), end),
		"no organization":          frame(chassis, portID, ttl, part(typeOrganization, 0, 0x80), end),
		"short capabilities":       frame(chassis, portID, ttl, part(typeCapabilities, 0, 4, 0), end),
		"a short address":          frame(chassis, portID, ttl, part(typeManagementAddress, 5, 1, 192), end),
		"an empty address":         frame(chassis, portID, ttl, part(typeManagementAddress, 0), end),
		"a family that is unknown": frame(chassis, portID, ttl, part(typeManagementAddress, 3, 9, 1, 2, 0, 0, 0, 0, 0, 0), end),
		"a VLAN without a name":    frame(chassis, portID, ttl, text(typeOrganization, "\x00\x64\x09b", 0, 0x80, 0xc2, subtypeVLANName), end),
		"what is after the end":    frame(chassis, portID, ttl, end, text(typeSystemName, "after")),
		"no end":                   append(frame()[:headerLength], slices.Concat(chassis, portID, ttl)...),
	} {
		m, err := parse(right)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := v1alpha1.LLDPNeighbor{ChassisID: "02:00:00:00:00:01", ChassisIDType: v1alpha1.LLDPIDMACAddress, PortID: "swp7",
			PortIDType: v1alpha1.LLDPIDInterfaceName, SourceMACAddress: "02:00:00:00:00:07", TTLSeconds: 120}
		if !reflect.DeepEqual(m.LLDPNeighbor, want) {
			t.Errorf("%s: %+v", name, m.LLDPNeighbor)
		}
	}
}

// crowded is a frame with as many items as fit.
func crowded() []byte {
	parts := [][]byte{chassis, portID, ttl}
	for n := range 75 {
		parts = append(parts, part(typeManagementAddress, 5, 1, 192, 0, 2, byte(n)), text(typeOrganization, "\x00\x01\x01a", 0, 0x80, 0xc2, subtypeVLANName))
	}
	return frame(append(parts, end)...)
}

// TestParseIsBounded in what it remembers of one frame.
func TestParseIsBounded(t *testing.T) {
	m, err := parse(crowded())
	if err != nil || len(m.ManagementAddresses) != maxAddresses || len(m.NamedVLANs) != agent.MaxNeighborItems {
		t.Errorf("%+v, %v", m, err)
	}
}

// FuzzParse: whatever a neighbour sends, it is refused, or it is a neighbour that the server takes and that can be shown.
func FuzzParse(f *testing.F) {
	for _, seed := range [][]byte{whole(), crowded(), frame(chassis, portID, ttl, end), frame(), nil,
		frame(text(typeChassisID, "\xff\x00", 7), text(typePortID, "\x1b[2J", 7), part(typeTTL, 0, 0), text(typeSystemName, "\x1b[2J\xff"), end)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, err := parse(frame)
		if err != nil {
			return
		}
		if m.ChassisID == "" || m.PortID == "" || m.identity.chassis == "" || m.identity.port == "" || m.TTLSeconds < 0 {
			t.Errorf("the neighbour is %+v", m)
		}
		told := &v1alpha1.NodeNetworkPorts{Ports: []v1alpha1.NetworkPort{{Name: "eth1", LLDP: &v1alpha1.PortLLDP{Neighbors: []v1alpha1.LLDPNeighbor{m.LLDPNeighbor}}}}}
		text, err := agent.EncodePorts(told)
		if err != nil || !utf8.Valid(text) {
			t.Fatalf("it cannot be encoded: %v", err)
		}
		back, err := agent.DecodePorts(text)
		if err != nil {
			t.Fatalf("the server does not take %s: %v", text, err)
		}
		if again, err := json.Marshal(back.Ports); err != nil || !strings.Contains(string(text), string(again)) {
			t.Errorf("%s became %s, %v", text, again, err)
		}
	})
}
