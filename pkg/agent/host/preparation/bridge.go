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
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// userHz is how many of the kernel's units of time a second has for programs (USER_HZ).
const userHz = 100

// bridgeOptions are the options of bridges but the default VLAN and the filter, which depend on each other.
var bridgeOptions = []option{
	{"group-addr", nl.IFLA_BR_GROUP_ADDR, hardware},
	{"group-forward-mask", nl.IFLA_BR_GROUP_FWD_MASK, unsigned(2)},
	{"group-fwd-mask", nl.IFLA_BR_GROUP_FWD_MASK, unsigned(2)},
	{"hash-max", nl.IFLA_BR_MCAST_HASH_MAX, unsigned(4)},
	{"mac-ageing-time", nl.IFLA_BR_AGEING_TIME, times(userHz)},
	{"multicast-last-member-count", nl.IFLA_BR_MCAST_LAST_MEMBER_CNT, unsigned(4)},
	{"multicast-last-member-interval", nl.IFLA_BR_MCAST_LAST_MEMBER_INTVL, unsigned(8)},
	{"multicast-membership-interval", nl.IFLA_BR_MCAST_MEMBERSHIP_INTVL, unsigned(8)},
	{"multicast-querier", nl.IFLA_BR_MCAST_QUERIER, truth(1)},
	{"multicast-querier-interval", nl.IFLA_BR_MCAST_QUERIER_INTVL, unsigned(8)},
	{"multicast-query-interval", nl.IFLA_BR_MCAST_QUERY_INTVL, unsigned(8)},
	{"multicast-query-response-interval", nl.IFLA_BR_MCAST_QUERY_RESPONSE_INTVL, unsigned(8)},
	{"multicast-query-use-ifaddr", nl.IFLA_BR_MCAST_QUERY_USE_IFADDR, truth(1)},
	{"multicast-router", nl.IFLA_BR_MCAST_ROUTER, word(1, "disabled", "auto", "enabled")},
	{"multicast-snooping", nl.IFLA_BR_MCAST_SNOOPING, truth(1)},
	{"multicast-startup-query-count", nl.IFLA_BR_MCAST_STARTUP_QUERY_CNT, unsigned(4)},
	{"multicast-startup-query-interval", nl.IFLA_BR_MCAST_STARTUP_QUERY_INTVL, unsigned(8)},
	{"vlan-protocol", nl.IFLA_BR_VLAN_PROTOCOL, protocol},
}

// stpOptions are the options of the spanning tree.
var stpOptions = []option{
	{"enabled", nl.IFLA_BR_STP_STATE, truth(4)},
	{"forward-delay", nl.IFLA_BR_FORWARD_DELAY, times(userHz)},
	{"hello-time", nl.IFLA_BR_HELLO_TIME, times(userHz)},
	{"max-age", nl.IFLA_BR_MAX_AGE, times(userHz)},
	{"priority", nl.IFLA_BR_PRIORITY, unsigned(2)},
}

// bridgePortOptions are the options of a bridge's port.
var bridgePortOptions = []option{
	{"stp-hairpin-mode", nl.IFLA_BRPORT_MODE, truth(1)},
	{"stp-path-cost", nl.IFLA_BRPORT_COST, unsigned(4)},
	{"stp-priority", nl.IFLA_BRPORT_PRIORITY, unsigned(2)},
}

func bridgeSettings(fields map[string]any, _ *rtnetlink.Link) (fixed, free []setting, err error) {
	given := section(fields, "options")
	if free, err = settings(given, bridgeOptions); err != nil {
		return nil, nil, err
	}
	stp, err := settings(section(given, "stp"), stpOptions)
	return nil, append(free, stp...), err
}

// vlans are the VLANs of a bridge's port, each with its flags (BRIDGE_VLAN_INFO_…).
type vlans map[uint16]uint16

const native = nl.BRIDGE_VLAN_INFO_PVID | nl.BRIDGE_VLAN_INFO_UNTAGGED

// portVLANs returns the VLANs that a port's filter asks for. Without a native VLAN the bridge's default one stays, as
// with NetworkManager; 0 is no default.
func portVLANs(filter map[string]any, byDefault uint16) (vlans, error) {
	wanted, hasNative := vlans{}, false
	tag, err := vlanID(filter["tag"])
	if err != nil {
		return nil, err
	}
	enabled, _ := boolean(filter["enable-native"])
	if tag != 0 && (tree.StringAt(filter, "mode") != "trunk" || enabled) {
		wanted[tag], hasNative = native, true
	}
	for _, item := range tree.List(filter, "trunk-tags") {
		first, last, err := tagRange(tree.Object(item))
		if err != nil {
			return nil, err
		}
		for id := int(first); id <= int(last); id++ {
			if _, is := wanted[uint16(id)]; !is {
				wanted[uint16(id)] = 0
			}
		}
	}
	if _, is := wanted[byDefault]; !hasNative && !is && byDefault != 0 {
		wanted[byDefault] = native
	}
	return wanted, nil
}

func vlanID(value any) (uint16, error) {
	if value == nil {
		return 0, nil
	}
	number, err := integer(value)
	if err == nil && number > 4095 {
		err = fmt.Errorf("%d is no VLAN", number)
	}
	return uint16(number), err
}

func tagRange(item map[string]any) (first, last uint16, err error) {
	lowest, highest := tree.Tags(item)
	if first, err = vlanID(lowest); err == nil {
		last, err = vlanID(highest)
	}
	return first, last, err
}

// bridgePorts returns the ports that a state gives a bridge, by their names there.
func bridgePorts(bridge map[string]any) (ports []map[string]any, given bool) {
	for _, key := range []string{"port", "ports"} {
		if list, is := bridge[key].([]any); is {
			for _, item := range list {
				ports = append(ports, tree.Object(item))
			}
			return ports, true
		}
	}
	return nil, false
}

// filters tells whether a bridge is to filter VLANs: one of its ports asks for some. A port whose filter the state does not
// give keeps the one that it has.
func filters(ports []map[string]any, current map[string]any, name func(string) string) bool {
	has, _ := bridgePorts(section(current, "bridge"))
	return slices.ContainsFunc(ports, func(port map[string]any) bool {
		if port["vlan"] != nil {
			return len(tree.Object(port["vlan"])) > 0
		}
		return slices.ContainsFunc(has, func(other map[string]any) bool {
			return tree.StringAt(other, "name") == name(tree.StringAt(port, "name")) && len(tree.Object(other["vlan"])) > 0
		})
	})
}
