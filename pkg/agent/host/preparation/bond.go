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
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// Attributes that the library has no names for, from include/uapi/linux/if_link.h.
const (
	bondLACPActive  = 29 // IFLA_BOND_AD_LACP_ACTIVE
	bondMissedMax   = 30 // IFLA_BOND_MISSED_MAX
	bondNSTarget    = 31 // IFLA_BOND_NS_IP6_TARGET
	bondPortPrio    = 9  // IFLA_BOND_SLAVE_PRIO
	bondPortQueueID = nl.IFLA_BOND_SLAVE_QUEUE_ID
)

// activeBackup is the number of the mode, and failOverActive of the option fail_over_mac, with which the active port gives the MAC address.
const activeBackup, failOverActive = 1, 1

// bondModes are the modes in the kernel's order.
var bondModes = []string{"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"}

// bondOption is an option of bonds, and in which modes and states of a bond the kernel takes it, see
// drivers/net/bonding/bond_options.c.
type bondOption struct {
	option
	// modes are the modes that have the option; all of them if there are none.
	modes []string
	// down tells that the bond must be down, empty that it must be down and have no ports.
	down, empty bool
}

var (
	lacp      = []string{"802.3ad"}
	balanced  = []string{"balance-tlb", "balance-alb"}
	oneActive = []string{"active-backup", "balance-tlb", "balance-alb"}
	watching  = []string{"balance-rr", "active-backup", "balance-xor", "broadcast"}
)

// bondOptions are all options but the primary port, which is a link.
var bondOptions = []bondOption{
	{option: option{"miimon", nl.IFLA_BOND_MIIMON, unsigned(4)}},
	{option: option{"updelay", nl.IFLA_BOND_UPDELAY, unsigned(4)}},
	{option: option{"downdelay", nl.IFLA_BOND_DOWNDELAY, unsigned(4)}},
	{option: option{"use_carrier", nl.IFLA_BOND_USE_CARRIER, truth(1)}},
	{option: option{"arp_interval", nl.IFLA_BOND_ARP_INTERVAL, unsigned(4)}, modes: watching},
	{option: option{"arp_ip_target", nl.IFLA_BOND_ARP_IP_TARGET, addresses}, modes: watching},
	{option: option{"arp_validate", nl.IFLA_BOND_ARP_VALIDATE, word(4, "none", "active", "backup", "all", "filter", "filter_active", "filter_backup")}, modes: watching},
	{option: option{"arp_all_targets", nl.IFLA_BOND_ARP_ALL_TARGETS, word(4, "any", "all")}},
	{option: option{"arp_missed_max", bondMissedMax, unsigned(1)}, modes: watching},
	{option: option{"ns_ip6_target", bondNSTarget, addresses}, modes: watching},
	{option: option{"primary_reselect", nl.IFLA_BOND_PRIMARY_RESELECT, word(1, "always", "better", "failure")}, modes: oneActive},
	{option: option{"fail_over_mac", nl.IFLA_BOND_FAIL_OVER_MAC, word(1, "none", "active", "follow")}, empty: true},
	{option: option{"xmit_hash_policy", nl.IFLA_BOND_XMIT_HASH_POLICY, word(1, "layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac")}},
	{option: option{"resend_igmp", nl.IFLA_BOND_RESEND_IGMP, unsigned(4)}},
	{option: option{"num_grat_arp", nl.IFLA_BOND_NUM_PEER_NOTIF, unsigned(1)}},
	{option: option{"num_unsol_na", nl.IFLA_BOND_NUM_PEER_NOTIF, unsigned(1)}},
	{option: option{"all_slaves_active", nl.IFLA_BOND_ALL_SLAVES_ACTIVE, word(1, "dropped", "delivered")}},
	{option: option{"min_links", nl.IFLA_BOND_MIN_LINKS, unsigned(4)}},
	{option: option{"lp_interval", nl.IFLA_BOND_LP_INTERVAL, unsigned(4)}},
	{option: option{"packets_per_slave", nl.IFLA_BOND_PACKETS_PER_SLAVE, unsigned(4)}, modes: []string{"balance-rr"}},
	{option: option{"lacp_rate", nl.IFLA_BOND_AD_LACP_RATE, word(1, "slow", "fast")}, modes: lacp, down: true},
	{option: option{"lacp_active", bondLACPActive, truth(1)}, modes: lacp, down: true},
	{option: option{"ad_select", nl.IFLA_BOND_AD_SELECT, word(1, "stable", "bandwidth", "count")}, down: true},
	{option: option{"ad_actor_sys_prio", nl.IFLA_BOND_AD_ACTOR_SYS_PRIO, unsigned(2)}, modes: lacp},
	{option: option{"ad_user_port_key", nl.IFLA_BOND_AD_USER_PORT_KEY, unsigned(2)}, modes: lacp, down: true},
	{option: option{"ad_actor_system", nl.IFLA_BOND_AD_ACTOR_SYSTEM, hardware}, modes: lacp},
	{option: option{"tlb_dynamic_lb", nl.IFLA_BOND_TLB_DYNAMIC_LB, truth(1)}, modes: balanced, down: true},
}

// bondPortOptions are the options of a bond's port.
var bondPortOptions = []option{
	{"queue-id", bondPortQueueID, unsigned(2)},
	{"priority", bondPortPrio, unsigned(4)},
}

// addresses is the encoder of lists of IP addresses, which a state has as a list or as one text.
func addresses(value any) ([]byte, error) {
	items := tree.Items(value)
	if text, isText := value.(string); isText {
		for one := range strings.SplitSeq(text, ",") {
			if one = strings.TrimSpace(one); one != "" {
				items = append(items, one)
			}
		}
	}
	var list [][]byte
	for _, item := range items {
		one, err := address(item)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return rtnetlink.Nest(0, list...), nil
}

// bondMode returns the mode that a bond is to have: the one that it has if the state gives none.
func bondMode(fields map[string]any, is *rtnetlink.Link) (string, error) {
	value, given := fields["mode"]
	if !given && is != nil {
		if has := is.Data[nl.IFLA_BOND_MODE]; len(has) == 1 && int(has[0]) < len(bondModes) {
			return bondModes[has[0]], nil
		}
	}
	if text := strings.ToLower(tree.Text(value)); text == "lacp" {
		return "802.3ad", nil
	}
	encoded, err := word(1, bondModes...)(value)
	if err != nil {
		return "", errors.New("the mode of a new bond must be given")
	}
	return bondModes[encoded[0]], nil
}

// bondSettings returns the mode of a bond, and its other settings.
func bondSettings(fields map[string]any, is *rtnetlink.Link) (fixed, free []setting, err error) {
	mode, err := bondMode(fields, is)
	if err != nil {
		return nil, nil, err
	}
	fixed = []setting{{name: "mode", attribute: nl.IFLA_BOND_MODE, value: width(uint64(slices.Index(bondModes, mode)), 1), text: mode}}
	given := section(fields, "options")
	for _, o := range bondOptions {
		if len(o.modes) > 0 && !slices.Contains(o.modes, mode) {
			continue
		}
		one, err := settings(given, []option{o.option})
		if err != nil {
			return nil, nil, err
		}
		free = append(free, one...)
	}
	return fixed, free, nil
}

// bondPrimary returns the setting of the primary port, which must be a port already; none if the state does not give it.
func bondPrimary(fields map[string]any, mode string, name func(string) string) []setting {
	value, given := section(fields, "options")["primary"].(string)
	if !given || !slices.Contains(oneActive, mode) {
		return nil
	}
	primary := setting{name: "primary", attribute: nl.IFLA_BOND_PRIMARY, value: width(0, 4), text: value}
	if value != "" {
		primary.link = name(value)
	}
	return []setting{primary}
}

// bondDelays are kept by the kernel as multiples of miimon: they change with it.
var bondDelays = []option{{"updelay", nl.IFLA_BOND_UPDELAY, nil}, {"downdelay", nl.IFLA_BOND_DOWNDELAY, nil}, {"peer_notif_delay", rtnetlink.BondNotifyDelay, nil}}

// bondAltered returns the settings that a bond has, and that the kernel alters when it sets those that change: another mode resets
// options, and another miimon changes the delays, those that the state does not give too. They have to be set afterwards.
func bondAltered(given, changed []setting, has rtnetlink.Attributes) []setting {
	find := func(list []setting, number uint16) *setting {
		if i := slices.IndexFunc(list, func(s setting) bool { return s.attribute == number }); i >= 0 {
			return &list[i]
		}
		return nil
	}
	var list []setting
	if find(changed, nl.IFLA_BOND_MODE) != nil {
		list = slices.DeleteFunc(slices.Clone(given), func(s setting) bool { return find(changed, s.attribute) != nil })
	}
	if miimon := find(changed, nl.IFLA_BOND_MIIMON); miimon == nil || rtnetlink.Number(miimon.value) == 0 {
		return list
	}
	for _, delay := range bondDelays {
		if was := rtnetlink.Number(has[delay.attribute]); was != 0 && find(changed, delay.attribute) == nil && find(list, delay.attribute) == nil {
			list = append(list, setting{name: delay.name, attribute: delay.attribute, value: has[delay.attribute], text: fmt.Sprint(was)})
		}
	}
	return list
}

// bondNeeds tells what a bond that is there must be before it takes settings: down, or also without ports.
func bondNeeds(list []setting) (down, empty bool) {
	for _, s := range list {
		empty = empty || s.attribute == nl.IFLA_BOND_MODE
		for _, o := range bondOptions {
			if o.attribute == s.attribute {
				down, empty = down || o.down, empty || o.empty
			}
		}
	}
	return down || empty, empty
}
