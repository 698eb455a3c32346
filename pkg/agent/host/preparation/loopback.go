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
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// noteLoopback notes whether libnmstate may add a route: it sets the address ::1 of a loopback in the state once more, and the kernel
// then adds a route for it to the table main. The one that has always been there is in the table local.
func (p *Plan) noteLoopback() error {
	if !p.withLoopback {
		return nil
	}
	routes, err := loopbackRoutes()
	p.dropLoopbackRoute = len(routes) == 0
	return err
}

// dropRoute removes the route that was not there before.
func (p *Plan) dropRoute() error {
	if !p.dropLoopbackRoute {
		return nil
	}
	routes, err := loopbackRoutes()
	for _, route := range routes {
		if no := netlink.RouteDel(&route); !errors.Is(no, unix.ESRCH) {
			err = errors.Join(err, no)
		}
	}
	if err != nil {
		return fmt.Errorf("removing the route to ::1 that libnmstate has had the kernel add: %w", err)
	}
	return nil
}

// loopbackRoutes returns the routes to ::1 of the table main.
func loopbackRoutes() ([]netlink.Route, error) {
	wanted := netlink.Route{Table: unix.RT_TABLE_MAIN, Dst: &net.IPNet{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)}}
	return rtnetlink.Dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(unix.AF_INET6, &wanted, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
	})
}
