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
	"maps"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// VLANs returns the VLANs of the bridges and their ports by the link's index, each with its flags (BRIDGE_VLAN_INFO_…).
func VLANs() (map[int]map[uint16]uint16, error) {
	lists, err := Dump(netlink.BridgeVlanList)
	if err != nil {
		return nil, fmt.Errorf("listing the VLANs of bridges: %w", err)
	}
	found := map[int]map[uint16]uint16{}
	for index, list := range lists {
		found[int(index)] = map[uint16]uint16{}
		for _, one := range list {
			found[int(index)][one.Vid] = one.Flags & (nl.BRIDGE_VLAN_INFO_PVID | nl.BRIDGE_VLAN_INFO_UNTAGGED)
		}
	}
	return found, nil
}

// SetVLANs makes the VLANs of a port those that are wanted; self tells that it is the bridge itself.
func SetVLANs(index int, self bool, has, wanted map[uint16]uint16) error {
	l := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
	surplus, missing := map[uint16]uint16{}, map[uint16]uint16{}
	for id := range has {
		if _, is := wanted[id]; !is {
			surplus[id] = 0
		}
	}
	for id, flags := range wanted {
		if is, there := has[id]; !there || is != flags {
			missing[id] = flags
		}
	}
	for _, s := range spans(surplus) {
		if err := netlink.BridgeVlanDelRange(l, s.first, s.end(), false, false, self, !self); err != nil {
			return fmt.Errorf("removing VLANs %d to %d: %w", s.first, s.last, err)
		}
	}
	for _, s := range spans(missing) {
		pvid, untagged := s.flags&nl.BRIDGE_VLAN_INFO_PVID != 0, s.flags&nl.BRIDGE_VLAN_INFO_UNTAGGED != 0
		if err := netlink.BridgeVlanAddRange(l, s.first, s.end(), pvid, untagged, self, !self); err != nil {
			return fmt.Errorf("adding VLANs %d to %d: %w", s.first, s.last, err)
		}
	}
	return nil
}

// span is VLANs in a row that have the same flags.
type span struct{ first, last, flags uint16 }

// spans puts VLANs together. The native one is alone: a row has none.
func spans(of map[uint16]uint16) []span {
	var list []span
	for _, id := range slices.Sorted(maps.Keys(of)) {
		last := len(list) - 1
		if last >= 0 && list[last].last+1 == id && list[last].flags == of[id] && of[id]&nl.BRIDGE_VLAN_INFO_PVID == 0 {
			list[last].last = id
			continue
		}
		list = append(list, span{id, id, of[id]})
	}
	return list
}

// end is the last one, 0 if it is the first one: the kernel takes no row of one.
func (s span) end() uint16 {
	if s.first == s.last {
		return 0
	}
	return s.last
}
