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

package impact

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// internalIPs warns of InternalIPs of the node that no interface has once the change is made.
func (c *change) internalIPs(addresses []string) []string {
	var warnings []string
	for _, text := range addresses {
		address, err := netip.ParseAddr(text)
		if err != nil || c.arrives(address) {
			continue
		}
		var why []string
		for _, name := range sortedNames(c.there) {
			entry := addressOf(c.there[name], address)
			if entry == nil {
				continue
			}
			reason := c.goes(name, address, entry)
			if reason == "" { // it stays on this interface
				why = nil
				break
			}
			why = append(why, reason)
		}
		if len(why) > 0 {
			warnings = append(warnings, fmt.Sprintf("%s goes, which is an InternalIP of this node: %s", address, why[0]))
		}
	}
	return warnings
}

// familySection returns the section of an interface that has addresses of the given one's family.
func familySection(address netip.Addr) string {
	if address.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// addressOf returns the entry of an address in the list of an interface's, nil if it is not there.
func addressOf(iface map[string]any, address netip.Addr) map[string]any {
	list := tree.List(tree.Object(iface[familySection(address)]), "address")
	i := slices.IndexFunc(list, func(item any) bool {
		ip, err := netip.ParseAddr(tree.StringAt(tree.Object(item), "ip"))
		return err == nil && ip == address
	})
	if i < 0 {
		return nil
	}
	return tree.Object(list[i])
}

// arrives tells whether an interface is to have the address that does not have it now.
func (c *change) arrives(address netip.Addr) bool {
	for name, wanted := range c.wanted {
		section := tree.Object(wanted[familySection(address)])
		if isUp(wanted) && section["enabled"] != false && addressOf(wanted, address) != nil && addressOf(c.there[name], address) == nil {
			return true
		}
	}
	return false
}

// goes says why an address leaves an interface, "" if it stays.
func (c *change) goes(name string, address netip.Addr, entry map[string]any) string {
	if c.isLost(name) {
		return c.fate(name)
	}
	family := familySection(address)
	section := tree.Object(c.wanted[name][family])
	list, given := section["address"].([]any)
	automatic := tree.IsDynamic(entry)
	switch {
	case section == nil:
		return ""
	case section["enabled"] == false:
		return fmt.Sprintf("%s of %s is disabled", family, name)
	case addressOf(c.wanted[name], address) != nil:
		return ""
	case !given: // also without DHCP: nmstate then makes a lease a static address
		return ""
	case automatic && (section["dhcp"] == false || section["autoconf"] == false && section["dhcp"] != true):
		return fmt.Sprintf("%s gets no addresses from others any more", name)
	case automatic:
		return ""
	case len(list) == 0:
		return fmt.Sprintf("%s keeps no configured address", name)
	}
	return fmt.Sprintf("it is not among the addresses that %s is to have", name)
}

// takenPorts warns of ports that pods or Open vSwitch use and the change takes away.
func (c *change) takenPorts(way *Way) []string {
	carriers := []string{}
	if way != nil && way.Interface != "" {
		carriers = c.carriers(way.Interface)
	}
	var warnings []string
	for _, name := range sortedNames(c.there) {
		user := c.userOf(name)
		if user == "" || slices.Contains(carriers, name) && c.controllers[name] == "" {
			continue
		}
		_, moves := c.newController(name)
		state := c.differs[name]["state"]
		if moves || c.leaves(name) || state == "absent" || state == "down" {
			warnings = append(warnings, c.fate(name)+": "+user)
		}
	}
	return warnings
}

// userOf says who uses an interface as a port, "" if neither pods nor a bridge do.
func (c *change) userOf(name string) string {
	controller := c.controllers[name]
	switch kind := tree.StringAt(c.there[controller], "type"); {
	case c.isPod(name):
		return "a pod uses it, its other end is in another network namespace"
	case kind == "ovs-bridge":
		return "it is now a port of the Open vSwitch bridge " + controller
	case controller != "" && c.hasPods(controller):
		return "it is now a port of " + controller + ", which pods use, too"
	case kind == "linux-bridge":
		if _, moves := c.newController(name); moves {
			return "it is now a port of the bridge " + controller
		}
	}
	return ""
}

// hasPods tells whether pods' veths are ports of an interface.
func (c *change) hasPods(controller string) bool {
	for port, its := range c.controllers {
		if its == controller && c.isPod(port) {
			return true
		}
	}
	return false
}

// isPod tells whether an interface is the host's end of a pod's veth: NetworkManager
// leaves it alone, or its other end is not in this network namespace and a bridge or a
// route to a single address uses it. The node itself may be a container: then its own
// interfaces are such veths, too, but not used like that.
func (c *change) isPod(name string) bool {
	iface := c.there[name]
	switch {
	case iface["type"] != "veth":
		return false
	case iface["state"] == "ignore":
		return true
	case tree.StringAt(tree.Object(iface["veth"]), "peer") != "":
		return false
	}
	return c.controllers[name] != "" || c.hasHostRoute(name)
}

// hasHostRoute tells whether a route to a single address leads over an interface.
func (c *change) hasHostRoute(name string) bool {
	return slices.ContainsFunc(tree.List(tree.Object(c.current["routes"]), "running"), func(item any) bool {
		route := tree.Object(item)
		prefix, err := tree.Prefix(route["destination"])
		return err == nil && prefix.IsSingleIP() && tree.StringAt(route, "next-hop-interface") == name
	})
}
