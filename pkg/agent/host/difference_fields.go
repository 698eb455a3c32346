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

package host

import (
	"slices"
	"strconv"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// rules returns the rules of the fields that nmstate's verification does not
// compare like all others, by the path of the field.
func rules() map[string]rule {
	table := map[string]rule{
		// Of the whole state.
		"interfaces":           compareInterfaces,
		"dns-resolver.config":  compareDNS,
		"dns-resolver.running": notCompared,
		"routes.config":        compareRoutes,
		"routes.running":       notCompared,
		"route-rules.config":   compareRouteRules,
		"ovn.bridge-mappings":  compareBridgeMappings,

		// Of an interface: its name may be another one of its names.
		"name":         notCompared,
		"type":         compareType,
		"alt-names":    compareAltNames,
		"profile-name": profileName,
		"identifier":   unlessShown("name"),
		"mac-address":  macAddress,
		"mtu":          notOf("ovs-bridge"),
		"ipv4":         notOf("ovs-bridge"),
		"ipv6":         notOf("ovs-bridge"),
		"wait-ip":      ifShown,

		// nmstate shows these and ignores them when it applies, or the other way round.
		"copy-mac-from":                  notCompared,
		"driver":                         notCompared,
		"permanent-mac-address":          notCompared,
		"min-mtu":                        notCompared,
		"max-mtu":                        notCompared,
		"lldp.neighbors":                 notCompared,
		"hsr.supervision-address":        notCompared,
		"ethernet.sr-iov.max-vfs":        notCompared,
		"ethernet.sr-iov.vfs.iface-name": notCompared,
		"bridge.allow-extra-ports":       notCompared,
		"bridge.allow-extra-patch-ports": notCompared,
		"bridge.options.gc-timer":        notCompared,
		"bridge.options.hello-timer":     notCompared,

		// A link that negotiates has the speed that came of it.
		"ethernet.speed":     unless("auto-negotiation"),
		"ethernet.duplex":    unless("auto-negotiation"),
		"ethtool.fec.mode":   unless("auto"),
		"ethtool.feature":    compareFeatures,
		"vrf.route-table-id": unlessIs("0"),

		// Lists that are more than their items in any order.
		"ethernet.sr-iov.vfs":               compareFunctions,
		"mptcp.address-flags":               compareFlags,
		"ip-tunnel.ip6tun-flags":            compareFlags,
		"link-aggregation.port":             comparePorts,
		"link-aggregation.ports-config":     comparePorts,
		"vrf.port":                          comparePorts,
		"bridge.port":                       comparePorts,
		"bridge.port.link-aggregation.port": comparePorts,
		"bridge.port.vlan":                  compareVLAN,
		"bridge.port.vlan.trunk-tags":       compareTags,
		"bridge.options.mac-ageing-time":    compareAgeing,

		// The kernel makes delays multiples of the interval of the checks.
		"link-aggregation.options.updelay":   compareDelay,
		"link-aggregation.options.downdelay": compareDelay,
		// The kernel shows these in the mode 802.3ad alone.
		"link-aggregation.options.ad_actor_sys_prio": ifShown,
		"link-aggregation.options.ad_actor_system":   ifShown,
		"link-aggregation.options.ad_user_port_key":  ifShown,
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		for name, compare := range ipRules() {
			table[family+"."+name] = compare
		}
	}
	return table
}

// wholes are the objects that nmstate does not read in part: if a field of them
// differs, all wanted ones are shown.
var wholes = map[string]bool{
	"vlan": true, "vxlan": true, "mac-vlan": true, "mac-vtap": true, "macsec": true, "hsr": true,
	"libreswan": true, "dpdk": true,
}

// notCompared is the rule of a field that never differs.
func notCompared(*comparison, property) (any, bool) { return nil, false }

// ifShown compares a field that is not always read back.
func ifShown(c *comparison, p property) (any, bool) {
	if p.there == nil {
		return nil, false
	}
	return plain(c, p)
}

// unlessShown compares a field with a value that stands for the default, which
// is what is there as long as nothing else is.
func unlessShown(value string) rule {
	return func(c *comparison, p property) (any, bool) {
		if tree.Text(p.wanted) == value && p.there == nil {
			return nil, false
		}
		return plain(c, p)
	}
}

// unlessIs compares a field with a value that stands for whatever is there.
func unlessIs(value string) rule {
	return func(c *comparison, p property) (any, bool) {
		if tree.Text(p.wanted) == value && p.there != nil {
			return nil, false
		}
		return plain(c, p)
	}
}

// unless compares a field that has no meaning while another one is wanted to be on.
func unless(name string) rule {
	return func(c *comparison, p property) (any, bool) {
		if p.in[name] == true {
			return nil, false
		}
		return plain(c, p)
	}
}

// notOf compares a field that interfaces of the given type do not have. nmstate
// accepts it for them and ignores it.
func notOf(kind string) rule {
	return func(c *comparison, p property) (any, bool) {
		if p.in["type"] == kind {
			return nil, false
		}
		return plain(c, p)
	}
}

// macAddress compares MAC addresses. nmstate ignores that of a VRF, and that of a
// bond which takes over the address of its active port. One that identifies the
// interface is not to be set: a port of a bond has the bond's.
func macAddress(c *comparison, p property) (any, bool) {
	bond := tree.Object(p.thereIn["link-aggregation"])
	options := tree.Object(bond["options"])
	if p.in["type"] == "vrf" || p.in["identifier"] == "mac-address" || bond["mode"] == "active-backup" && options["fail_over_mac"] == "active" {
		return nil, false
	}
	return plain(c, p)
}

// profileName compares names of profiles. nmstate does not show one that is the
// interface's own.
func profileName(c *comparison, p property) (any, bool) {
	if p.there == nil && p.wanted == p.thereIn["name"] {
		return nil, false
	}
	return plain(c, p)
}

// compareDNS compares what DNS is configured to be. What is not mentioned stays as
// it is, but if nothing is mentioned, there is to be nothing. The resolver asks
// servers and search domains in their order.
func compareDNS(c *comparison, p property) (any, bool) {
	wanted, there := tree.Object(p.wanted), tree.Object(p.there)
	for _, name := range []string{"server", "search", "options"} {
		if wanted[name] == nil && len(wanted) > 0 {
			continue
		}
		want, has := tree.Items(wanted[name]), tree.Items(there[name])
		same := slices.EqualFunc(want, has, tree.SameValue)
		if name == "options" {
			same = c.sameItems(p.path, want, has)
		}
		if !same {
			return wanted, true
		}
	}
	return nil, false
}

// compareFeatures compares ethtool's features. nmstate knows some by two names
// and shows them by one, which its own comparison has, too. A feature that is not
// shown is none of the device's.
func compareFeatures(_ *comparison, p property) (any, bool) {
	there := tree.Object(p.there)
	left := map[string]any{}
	for name, value := range tree.Object(p.wanted) {
		if there[name] != nil && !tree.SameValue(value, there[name]) {
			left[name] = value
		}
	}
	return left, len(left) > 0
}

// compareDelay compares a bond's delay, which the kernel rounds down.
func compareDelay(c *comparison, p property) (any, bool) {
	wanted, err1 := strconv.Atoi(tree.Text(p.wanted))
	there, err2 := strconv.Atoi(tree.Text(p.there))
	miimon := p.in["miimon"]
	if miimon == nil {
		miimon = p.thereIn["miimon"]
	}
	interval, err3 := strconv.Atoi(tree.Text(miimon))
	if err1 == nil && err2 == nil && err3 == nil && interval > 0 && there == wanted-wanted%interval {
		return nil, false
	}
	return plain(c, p)
}

// compareAgeing compares how long a bridge remembers a MAC address. While its spanning tree changes, the kernel makes that twice
// the forward delay (__br_set_topology_change() in net/bridge/br_stp.c).
func compareAgeing(c *comparison, p property) (any, bool) {
	stp := tree.Object(p.thereIn["stp"])
	there, err1 := strconv.Atoi(tree.Text(p.there))
	delay, err2 := strconv.Atoi(tree.Text(stp["forward-delay"]))
	if stp["enabled"] == true && err1 == nil && err2 == nil && there == 2*delay {
		return nil, false
	}
	return plain(c, p)
}

// compareFlags compares sets of flags. A flag that begins with "cap-" is only shown.
func compareFlags(_ *comparison, p property) (any, bool) {
	set := func(list any) []string {
		var flags []string
		for _, item := range tree.Items(list) {
			if flag := tree.Text(item); !strings.HasPrefix(flag, "cap-") {
				flags = append(flags, flag)
			}
		}
		slices.Sort(flags)
		return slices.Compact(flags)
	}
	return p.wanted, !slices.Equal(set(p.wanted), set(p.there))
}

// compareFunctions compares SR-IOV's virtual functions. Those that are not
// mentioned stay as they are.
func compareFunctions(c *comparison, p property) (any, bool) {
	for _, one := range tree.Items(p.wanted) {
		if !c.hasItem(p.path, one, tree.Items(p.there)) {
			return p.wanted, true
		}
	}
	return nil, false
}

// compareBridgeMappings compares OVN's mappings, and returns those that differ.
// Those that are not mentioned stay as they are.
func compareBridgeMappings(c *comparison, p property) (any, bool) {
	var left []any
	for _, item := range tree.Items(p.wanted) {
		wanted := tree.Object(item)
		there := named("localnet", wanted["localnet"], tree.Items(p.there))
		if wanted["state"] == "absent" {
			if there != nil {
				left = append(left, item)
			}
		} else if !tree.SameValue(wanted["bridge"], there["bridge"]) {
			left = append(left, item)
		}
	}
	return left, len(left) > 0
}

// named returns the object of a list that has the given name in the given field,
// nil if there is none.
func named(key string, name any, list []any) map[string]any {
	for _, item := range list {
		if fields := tree.Object(item); fields != nil && tree.SameValue(fields[key], name) {
			return fields
		}
	}
	return nil
}
