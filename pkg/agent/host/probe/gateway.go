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

package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrNoGateway says that there is no default route, or only one without a gateway, as
// that of a point-to-point link.
var ErrNoGateway = errors.New("there is no default gateway")

// gateway is a next hop of a default route.
type gateway struct {
	// address has a zone if it is a link-local one.
	address netip.Addr
	// link is the index of the interface that leads to it.
	link int
}

// HasGateway tells whether there is a default gateway.
func HasGateway() (bool, error) {
	gateways, err := defaultGateways()
	return len(gateways) > 0, err
}

// Gateway asks the default gateway for an answer and returns its address. Many
// gateways drop pings, so an answer to ARP or neighbour discovery will do, which each
// has to give. It asks the gateways of IPv4 and IPv6, and all of a multipath route, at
// the same time; one of them must answer, in 5 seconds at most. Where there is none it
// returns ErrNoGateway.
func Gateway(ctx context.Context) (address string, err error) {
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	return askGateways(ctx, func(ctx context.Context, gw gateway) error {
		return either(ctx,
			func(ctx context.Context) error { return echo(ctx, gw.address) },
			func(ctx context.Context) error { return askNeighbour(ctx, gw) })
	})
}

// pingGateway asks the default gateway for an ICMP echo.
func pingGateway(ctx context.Context) error {
	_, err := askGateways(ctx, func(ctx context.Context, gw gateway) error { return echo(ctx, gw.address) })
	return err
}

// askGateways asks all default gateways, and returns the address of the first that answers.
func askGateways(ctx context.Context, ask func(context.Context, gateway) error) (string, error) {
	gateways, err := defaultGateways()
	if err != nil {
		return "", err
	}
	if len(gateways) == 0 {
		return "", ErrNoGateway
	}
	answered, err := first(ctx, gateways, ask)
	if err != nil {
		return "", err
	}
	return answered.address.String(), nil
}

// either tries several questions at the same time; one of them must be answered.
func either(ctx context.Context, questions ...func(context.Context) error) error {
	_, err := first(ctx, questions, func(ctx context.Context, question func(context.Context) error) error { return question(ctx) })
	return err
}

// defaultGateways returns the next hops of the best default route of each family in the
// main table.
func defaultGateways() ([]gateway, error) {
	var gateways []gateway
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, fmt.Errorf("reading the default routes: %w", err)
		}
		routes = slices.DeleteFunc(routes, func(route netlink.Route) bool { return !isDefault(route) })
		if len(routes) == 0 {
			continue
		}
		best := slices.MinFunc(routes, func(a, b netlink.Route) int { return a.Priority - b.Priority }).Priority
		for _, route := range routes {
			if route.Priority == best {
				gateways = append(gateways, nextHops(route)...)
			}
		}
	}
	return gateways, nil
}

// isDefault tells whether a route is a default route that carries packets.
func isDefault(route netlink.Route) bool {
	if route.Type != unix.RTN_UNICAST {
		return false
	}
	if route.Dst == nil {
		return true
	}
	ones, _ := route.Dst.Mask.Size()
	return ones == 0 && route.Dst.IP.IsUnspecified()
}

// nextHops returns the gateways of a route.
func nextHops(route netlink.Route) []gateway {
	hops := []*netlink.NexthopInfo{{LinkIndex: route.LinkIndex, Gw: route.Gw, Via: route.Via}}
	if len(route.MultiPath) > 0 {
		hops = route.MultiPath
	}
	var gateways []gateway
	for _, hop := range hops {
		ip := hop.Gw
		if via, ok := hop.Via.(*netlink.Via); ok && ip == nil {
			ip = via.Addr
		}
		address, ok := netip.AddrFromSlice(ip)
		if !ok {
			continue
		}
		gateways = append(gateways, gateway{address: withZone(address.Unmap(), hop.LinkIndex), link: hop.LinkIndex})
	}
	return gateways
}

// withZone returns a link-local address with its interface as its zone, and others as they are.
func withZone(address netip.Addr, link int) netip.Addr {
	if !address.Is6() || !address.IsLinkLocalUnicast() {
		return address
	}
	iface, err := net.InterfaceByIndex(link)
	if err != nil { // it has just gone
		return address
	}
	return address.WithZone(iface.Name)
}
