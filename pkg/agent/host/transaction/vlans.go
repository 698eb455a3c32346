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

package transaction

import (
	"slices"
	"strconv"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// spellVLANs writes the VLANs of a state as nmstate shows them where it takes another spelling for another value.
func spellVLANs(desired, current []byte) ([]byte, error) {
	wanted, err := tree.Decode(desired)
	if err != nil {
		return nil, err
	}
	there, err := tree.Decode(current)
	if err != nil {
		return nil, err
	}
	left, joined := leaveProtocols(wanted, there), joinTrunks(wanted)
	if !left && !joined {
		return desired, nil
	}
	return tree.Encode(wanted)
}

// leaveProtocols takes the protocol of each VLAN that has it already out of a state: nmstate takes it for another one than the
// profile's if that names none, and has NetworkManager make the VLAN again, with a gap (is_vlan_changed() of nmstate). So what is
// shown could not be sent back. It tells whether there was one.
func leaveProtocols(wanted, there map[string]any) (changed bool) {
	has := map[string]string{}
	for _, item := range tree.List(there, "interfaces") {
		if iface := tree.Object(item); iface["type"] == "vlan" {
			has[tree.StringAt(iface, "name")] = tree.StringAt(tree.Object(iface["vlan"]), "protocol")
		}
	}
	for _, item := range tree.List(wanted, "interfaces") {
		iface := tree.Object(item)
		vlan := tree.Object(iface["vlan"])
		if protocol := tree.StringAt(vlan, "protocol"); protocol != "" && strings.EqualFold(protocol, has[tree.StringAt(iface, "name")]) {
			delete(vlan, "protocol")
			changed = true
		}
	}
	return changed
}

// joinTrunks sorts and joins the tags of the trunk ports of each bridge of Open vSwitch: nmstate joins those that are there
// (compress_vlan_trunk_tags()), compares them with those of the state one by one, and takes tags 1 and 2 for others than the
// tags from 1 to 2. It tells whether there were some.
func joinTrunks(wanted map[string]any) (changed bool) {
	for _, item := range tree.List(wanted, "interfaces") {
		iface := tree.Object(item)
		if iface["type"] != "ovs-bridge" {
			continue
		}
		for _, port := range tree.List(tree.Object(iface["bridge"]), "port") {
			vlan := tree.Object(tree.Object(port)["vlan"])
			if joined, ok := joinTags(tree.List(vlan, "trunk-tags")); ok {
				vlan["trunk-tags"] = joined
				changed = true
			}
		}
	}
	return changed
}

// joinTags returns the same tags in as few ranges as there can be, in their order. It leaves what nmstate refuses.
func joinTags(list []any) (joined []any, ok bool) {
	var tags []int
	for _, item := range list {
		first, last := tree.Tags(tree.Object(item))
		lowest, err := strconv.ParseUint(tree.Text(first), 10, 12)
		highest, err2 := strconv.ParseUint(tree.Text(last), 10, 12)
		if err != nil || err2 != nil || lowest > highest {
			return nil, false
		}
		for tag := lowest; tag <= highest; tag++ {
			tags = append(tags, int(tag))
		}
	}
	slices.Sort(tags)
	if len(slices.Compact(slices.Clone(tags))) < len(tags) {
		return nil, false
	}
	for i := 0; i < len(tags); {
		lowest := tags[i]
		for i++; i < len(tags) && tags[i] == tags[i-1]+1; i++ {
		}
		if highest := tags[i-1]; highest > lowest {
			joined = append(joined, map[string]any{"id-range": map[string]any{"min": lowest, "max": highest}})
		} else {
			joined = append(joined, map[string]any{"id": lowest})
		}
	}
	return joined, len(tags) > 0
}
