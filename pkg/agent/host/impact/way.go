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
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// Way is how the kernel reaches the API server.
type Way struct {
	// Server is the API server's address, HOST:PORT, and IP the address of its host.
	Server string
	IP     netip.Addr
	// Interface is the interface that packets to the server leave by. It is empty if the
	// server's address is the node's own.
	Interface string
}

// FindWay asks the kernel how it reaches the API server at HOST:PORT.
func FindWay(ctx context.Context, server string) (*Way, error) {
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		return nil, err
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("resolving the API server's name: %w", err)
	}
	err = fmt.Errorf("%s has no address", host)
	for _, address := range addresses {
		var routes []netlink.Route
		if routes, err = netlink.RouteGet(address.Unmap().AsSlice()); err != nil || len(routes) == 0 {
			continue
		}
		way := &Way{Server: server, IP: address.Unmap()}
		if routes[0].Type == unix.RTN_LOCAL {
			return way, nil
		}
		var link netlink.Link
		if link, err = netlink.LinkByIndex(routes[0].LinkIndex); err == nil {
			way.Interface = link.Attrs().Name
			return way, nil
		}
	}
	return nil, fmt.Errorf("looking up the route to the API server at %s: %w", server, err)
}

// way warns of what the change does to the way to the API server.
func (c *change) way(way *Way) []string {
	if way == nil || way.Interface == "" {
		return nil
	}
	var warnings []string
	for _, name := range c.carriers(way.Interface) {
		fate := c.fate(name)
		switch {
		case fate == "":
		case name == way.Interface:
			warnings = append(warnings, fmt.Sprintf("%s: it carries the way to the API server at %s", fate, way.Server))
		default:
			warnings = append(warnings, fmt.Sprintf("%s: %s, which carries the way to the API server at %s, depends on it", fate, way.Interface, way.Server))
		}
	}
	for _, item := range tree.List(tree.Object(c.difference["routes"]), "config") {
		route := tree.Object(item)
		prefix, err := tree.Prefix(route["destination"])
		if err == nil && prefix.Bits() > 0 && prefix.Contains(way.IP) && inMainTable(route) {
			warnings = append(warnings, fmt.Sprintf("%s: it leads to the API server at %s", routeFate(route), way.Server))
		}
	}
	return warnings
}

// carriers returns an interface and those that its packets go through: its base, its
// ports, and its controller.
func (c *change) carriers(name string) []string {
	found := []string{name}
	for i := 0; i < len(found); i++ {
		iface := c.there[found[i]]
		var below []string
		if base := tree.BaseOf(iface); base != "" {
			below = append(below, base)
		}
		if c.controllers[found[i]] != "" && i == 0 {
			below = append(below, c.controllers[name])
		}
		if isVRF := iface["type"] == "vrf"; !isVRF {
			for port, controller := range c.controllers {
				if controller == found[i] && !c.isPod(port) {
					below = append(below, port)
				}
			}
		}
		slices.Sort(below)
		for _, one := range below {
			if !slices.Contains(found, one) {
				found = append(found, one)
			}
		}
	}
	return found
}
