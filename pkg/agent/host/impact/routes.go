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
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// mainTable is the kernel's number of the main routing table.
const mainTable = "254"

// inMainTable tells whether a route is in the main table, as one is that names none.
func inMainTable(route map[string]any) bool {
	table := route["table-id"]
	return table == nil || tree.Text(table) == "0" || tree.Text(table) == mainTable
}

// isDefault tells whether a route is a default route of the main table.
func isDefault(route map[string]any) bool {
	prefix, err := tree.Prefix(route["destination"])
	return err == nil && prefix.Bits() == 0 && inMainTable(route)
}

// defaultRoutes warns of default routes that are added or removed, and of those whose
// interface is lost or is configured by others in another way.
func (c *change) defaultRoutes() []string {
	var warnings []string
	for _, item := range tree.List(tree.Object(c.difference["routes"]), "config") {
		wanted := tree.Object(item)
		switch {
		case isDefault(wanted):
			warnings = append(warnings, routeFate(wanted))
		case wanted["state"] == "absent" && wanted["destination"] == nil:
			warnings = append(warnings, c.removedDefaults(wanted)...)
		}
	}
	for _, item := range tree.List(tree.Object(c.current["routes"]), "running") {
		route := tree.Object(item)
		name := tree.StringAt(route, "next-hop-interface")
		if !isDefault(route) || name == "" {
			continue
		}
		switch family := familyOf(route); {
		case c.isLost(name):
			warnings = append(warnings, fmt.Sprintf("the %s goes: %s", routeName(route), c.fate(name)))
		case tree.Object(c.differs[name][family])["enabled"] == false:
			warnings = append(warnings, fmt.Sprintf("the %s goes: %s of %s is disabled", routeName(route), family, name))
		}
	}
	return append(warnings, c.automatic("auto-gateway", "auto-routes", "auto-route-metric", "auto-route-table-id", "dhcp", "autoconf")...)
}

// removedDefaults warns of the default routes that an entry without destination removes.
func (c *change) removedDefaults(wanted map[string]any) []string {
	var warnings []string
	for _, item := range tree.List(tree.Object(c.current["routes"]), "config") {
		route := tree.Object(item)
		matches := isDefault(route)
		for _, key := range []string{"next-hop-interface", "next-hop-address", "table-id"} {
			given := wanted[key]
			matches = matches && (given == nil || given == "" || tree.SameValue(given, route[key]))
		}
		if matches {
			warnings = append(warnings, fmt.Sprintf("the %s is removed", routeName(route)))
		}
	}
	return warnings
}

// automatic warns of interfaces that get routes and DNS servers from others in another
// way than now.
func (c *change) automatic(keys ...string) []string {
	var warnings []string
	for _, name := range sortedNames(c.differs) {
		for _, family := range []string{"ipv4", "ipv6"} {
			fields := tree.Object(c.differs[name][family])
			for _, key := range keys {
				if value, differs := fields[key]; differs && c.matters(name, family, key, value) {
					warnings = append(warnings, fmt.Sprintf("the default route and the DNS servers can change: %s of %s in %s becomes %s",
						key, name, family, tree.Text(value)))
				}
			}
		}
	}
	return warnings
}

// matters tells whether it can change routes and DNS servers that a field becomes value:
// what is off already stays off, and a new interface gets them only if it asks for addresses.
func (c *change) matters(name, family, key string, value any) bool {
	if section := tree.Object(c.there[name][family]); section[key] != nil {
		return true
	}
	return value == true && (key == "dhcp" || key == "autoconf")
}

// dns warns of changes of the DNS servers.
func (c *change) dns() []string {
	warnings := c.automatic("auto-dns")
	resolver := tree.Object(c.difference["dns-resolver"])
	if resolver == nil {
		return warnings
	}
	config := tree.Object(resolver["config"])
	var servers []string
	for _, server := range tree.List(config, "server") {
		servers = append(servers, tree.Text(server))
	}
	_, given := config["server"]
	switch {
	case len(servers) > 0:
		return append(warnings, "the DNS servers change to "+strings.Join(servers, ", "))
	case given || len(config) == 0:
		return append(warnings, "the DNS servers that are configured now are removed")
	}
	return append(warnings, "the DNS configuration changes ("+strings.Join(fieldsOf(config), ", ")+")")
}

// routeFate says what happens to a route of the difference.
func routeFate(route map[string]any) string {
	if route["state"] == "absent" {
		return "the " + routeName(route) + " is removed"
	}
	return "the " + routeName(route) + " is added"
}

// routeName returns how a sentence calls a route.
func routeName(route map[string]any) string {
	name := "route to " + tree.StringAt(route, "destination")
	if isDefault(route) {
		name = map[string]string{"ipv4": "IPv4", "ipv6": "IPv6"}[familyOf(route)] + " default route"
	}
	if via := tree.StringAt(route, "next-hop-address"); via != "" {
		name += " via " + via
	}
	if iface := tree.StringAt(route, "next-hop-interface"); iface != "" {
		name += " over " + iface
	}
	return name
}

// familyOf returns the section of an interface that a route's family has.
func familyOf(route map[string]any) string {
	if strings.Contains(tree.StringAt(route, "destination"), ":") {
		return "ipv6"
	}
	return "ipv4"
}
