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

// Package netstate reads network states in nmstate's format for people: as tables, as the changes between two states, as what
// a planned change makes of the network, and as the state that takes a change back.
package netstate

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// Interface is what a table shows of an interface.
type Interface struct {
	Name  string
	Type  string
	State string
	MTU   string
	// Addresses are in CIDR notation, without link-local ones of IPv6. One that DHCP or a router gave ends with " (dynamic)".
	Addresses []string
	// Topology says how the interface is linked with others, such as "port of br1" or "vlan 7 on eth0".
	Topology string
}

// Interfaces returns the interfaces of a state by name. If names are given, only these are returned.
func Interfaces(state map[string]any, names ...string) []Interface {
	var all []Interface
	for _, item := range tree.List(state, "interfaces") {
		fields := tree.Object(item)
		name := tree.StringAt(fields, "name")
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		all = append(all, Interface{
			Name: name, Type: tree.StringAt(fields, "type"), State: tree.StringAt(fields, "state"),
			MTU: textAt(fields, "mtu"), Addresses: shownAddresses(fields), Topology: topology(fields),
		})
	}
	slices.SortStableFunc(all, func(a, b Interface) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	return all
}

// InterfaceNames returns the names of a state's interfaces, each once.
func InterfaceNames(state map[string]any) []string {
	var names []string
	for _, one := range Interfaces(state) {
		names = append(names, one.Name)
	}
	return slices.Compact(names)
}

// Narrow returns the state with the named interfaces alone, and the routes over them.
func Narrow(state map[string]any, names []string) map[string]any {
	narrow := map[string]any{}
	var interfaces []any
	for _, item := range tree.List(state, "interfaces") {
		if slices.Contains(names, tree.StringAt(tree.Object(item), "name")) {
			interfaces = append(interfaces, item)
		}
	}
	narrow["interfaces"] = orEmpty(interfaces)
	routes := map[string]any{}
	for _, section := range []string{"config", "running"} {
		var over []any
		for _, item := range tree.List(tree.Object(state["routes"]), section) {
			if slices.Contains(names, tree.StringAt(tree.Object(item), "next-hop-interface")) {
				over = append(over, item)
			}
		}
		routes[section] = orEmpty(over)
	}
	narrow["routes"] = routes
	return narrow
}

func orEmpty(list []any) []any {
	if list == nil {
		return []any{}
	}
	return list
}

// textAt returns the value at key as text, "" if there is none.
func textAt(fields map[string]any, key string) string {
	if fields[key] == nil {
		return ""
	}
	return tree.Text(fields[key])
}

// addresses returns the addresses of an interface, both families.
func addresses(iface map[string]any) []map[string]any {
	var all []map[string]any
	for _, family := range []string{"ipv4", "ipv6"} {
		for _, item := range tree.List(tree.Object(iface[family]), "address") {
			if address := tree.Object(item); address != nil {
				all = append(all, address)
			}
		}
	}
	return all
}

func shownAddresses(iface map[string]any) []string {
	var shown []string
	for _, address := range addresses(iface) {
		if isLinkLocal(address) {
			continue
		}
		text := tree.CIDR(address)
		if tree.IsDynamic(address) {
			text += " (dynamic)"
		}
		shown = append(shown, text)
	}
	return shown
}

// isLinkLocal tells whether an address is one that each interface with IPv6 has.
func isLinkLocal(address map[string]any) bool {
	ip, err := netip.ParseAddr(tree.StringAt(address, "ip"))
	return err == nil && ip.Is6() && ip.IsLinkLocalUnicast()
}

// topology says how an interface is linked with others.
func topology(iface map[string]any) string {
	var parts []string
	if controller := tree.StringAt(iface, "controller"); controller != "" {
		parts = append(parts, "port of "+controller)
	}
	if ports := portNames(iface); len(ports) > 0 {
		parts = append(parts, "ports "+strings.Join(ports, ","))
	}
	for _, kind := range []string{"vlan", "vxlan", "mac-vlan", "mac-vtap", "macsec", "ipvlan"} {
		fields := tree.Object(iface[kind])
		base := tree.StringAt(fields, "base-iface")
		if base == "" {
			continue
		}
		text := "on " + base
		if id := textAt(fields, "id"); id != "" {
			text = kind + " " + id + " " + text
		}
		parts = append(parts, text)
	}
	if peer := tree.StringAt(tree.Object(iface["veth"]), "peer"); peer != "" {
		parts = append(parts, "peer "+peer)
	}
	return strings.Join(parts, "; ")
}

// portNames returns the names of the ports of a bridge, bond or VRF. Of a bond in a bridge of Open vSwitch these are its own ports.
func portNames(iface map[string]any) []string {
	var names []string
	for _, section := range []string{"bridge", "link-aggregation", "vrf"} {
		for _, item := range tree.List(tree.Object(iface[section]), "port") {
			port := tree.Object(item)
			if port == nil {
				names = append(names, tree.Text(item))
				continue
			}
			bonded := tree.List(tree.Object(port["link-aggregation"]), "port")
			if len(bonded) == 0 {
				names = append(names, tree.StringAt(port, "name"))
			}
			for _, one := range bonded {
				names = append(names, tree.StringAt(tree.Object(one), "name"))
			}
		}
	}
	return names
}
