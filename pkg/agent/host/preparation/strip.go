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

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// cannotHaveIP are the types of controllers whose ports have no addresses: the kernel hands all that a port receives to the controller.
var cannotHaveIP = []string{"linux-bridge", "bond"}

// strip takes the addresses of a link that becomes a port of a bridge or bond, and the routes over it. The kernel keeps them, and would go
// on sending over them, although no answer comes back to the port; libnmstate does not touch a port's addresses.
func (p *planner) strip(name, controllerKind string) error {
	if !slices.Contains(cannotHaveIP, controllerKind) || p.isMadeAgain(name) || p.stripped[name] {
		return nil
	}
	list := slices.Concat(p.addressesOf(name, "ipv4"), p.addressesOf(name, "ipv6"))
	if len(list) == 0 && !p.hasRoutes(name) {
		return nil
	}
	p.stripped[name] = true
	for _, fields := range list {
		if err := p.removeAddress(name, fields); err != nil {
			return err
		}
	}
	p.step("remove the routes over "+name, func() error { return removeRoutesOver(name) })
	return nil
}

// stripPort is strip for a link that is such a port already, and that the state wants to have no addresses.
func (p *planner) stripPort(e *entry) error {
	for _, family := range []string{"ipv4", "ipv6"} {
		for _, fields := range p.addressesOf(e.name, family) {
			if isOff := tree.Object(e.fields[family])["enabled"] == false; !isOff || p.stripped[e.name] || !p.isPortWithoutIP(e.name) {
				continue
			}
			if err := p.removeAddress(e.name, fields); err != nil {
				return fmt.Errorf("%s: %w", family, err)
			}
		}
	}
	return nil
}

// isPortWithoutIP tells whether a link is a port that has no addresses once the state is applied.
func (p *planner) isPortWithoutIP(name string) bool {
	return slices.ContainsFunc(cannotHaveIP, func(kind string) bool { return p.isPort(name, kind) })
}

// hasRoutes tells whether there are routes over a link that the kernel has not made itself. Of those that nobody has configured, which a
// router or a DHCP server has told, nmstate shows no more than that they have a next hop.
func (p *planner) hasRoutes(name string) bool {
	over := func(item any) bool { return tree.StringAt(tree.Object(item), "next-hop-interface") == name }
	routes := tree.Object(p.current["routes"])
	return slices.ContainsFunc(tree.List(routes, "config"), over) || slices.ContainsFunc(tree.List(routes, "running"), func(item any) bool {
		hop := tree.StringAt(tree.Object(item), "next-hop-address")
		return hop != "" && !isUnspecified(hop) && over(item)
	})
}

// addressesOf returns the addresses of a link that neither the kernel nor another program keeps; those with a lifetime, too.
func (p *planner) addressesOf(name, family string) []map[string]any {
	var list []map[string]any
	for _, item := range tree.List(tree.Object(p.there[name][family]), "address") {
		if fields := tree.Object(item); !tree.IsForeign(fields) && !tree.IsLinkLocal(fields) {
			list = append(list, fields)
		}
	}
	return list
}

// removeRoutesOver removes the routes over a link; the kernel's own ones go with their addresses.
func removeRoutesOver(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return removeRoutes(l, netlink.FAMILY_ALL, func(one netlink.Route) bool { return one.Protocol != unix.RTPROT_KERNEL })
}

// removeRoutes removes some of the routes over a link, of all tables.
func removeRoutes(l netlink.Link, family int, which func(netlink.Route) bool) error {
	filter := &netlink.Route{LinkIndex: l.Attrs().Index, Table: unix.RT_TABLE_UNSPEC}
	routes, err := rtnetlink.Dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(family, filter, netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, one := range routes {
		if !which(one) {
			continue
		}
		if err := netlink.RouteDel(&one); !errors.Is(err, unix.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
