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

package rtnetlink

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Held is what the kernel forgets of links that go down and up: the routes over them, and their IPv6 addresses. It has neither what
// the kernel makes itself, nor what routers advertise: that comes again with the link.
type Held struct {
	routes    []netlink.Route
	addresses []netlink.Addr
	// addressed are the links that have addresses, by family.
	addressed map[familyOf]bool
}

// familyOf is a link, by its index, and a family of addresses.
type familyOf struct{ link, family int }

// Hold notes the routes and addresses that are there.
func Hold() (*Held, error) {
	routes, err := heldRoutes()
	if err != nil {
		return nil, err
	}
	h := &Held{routes: routes}
	h.addresses, h.addressed, err = heldAddresses()
	return h, err
}

// PutBack adds what is gone, if its link is there and up. with tells of which links the addresses are added; a family that has no
// address any more gets no routes. What the kernel does not take any more, because it went with an address, stays away.
func (h *Held) PutBack(with func(link string) bool) error {
	links, err := Links()
	if err != nil {
		return err
	}
	up := map[int]string{}
	for _, l := range links {
		if l.Is(unix.IFF_UP) {
			up[l.Index] = l.Name
		}
	}
	return errors.Join(h.putAddresses(up, with), h.putRoutes(up))
}

// puttable are the flags of an address that whoever adds it decides on.
const puttable = unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_NODAD | unix.IFA_F_MANAGETEMPADDR

func (h *Held) putAddresses(up map[int]string, with func(string) bool) error {
	now, _, err := heldAddresses()
	if err != nil {
		return err
	}
	var errs []error
	for _, one := range h.addresses {
		is := func(other netlink.Addr) bool {
			return other.LinkIndex == one.LinkIndex && other.IPNet.String() == one.IPNet.String()
		}
		name := up[one.LinkIndex]
		if name == "" || !with(name) || slices.ContainsFunc(now, is) {
			continue
		}
		one.Flags &= puttable
		if err := netlink.AddrAdd(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: one.LinkIndex}}, &one); err != nil && !errors.Is(err, unix.EEXIST) {
			errs = append(errs, fmt.Errorf("putting address %s of %s back: %w", one.IPNet, name, err))
		}
	}
	return errors.Join(errs...)
}

// putRoutes adds the routes that are gone: first those without a next hop, over which the others' next hops are reached.
func (h *Held) putRoutes(up map[int]string) error {
	list, err := heldRoutes()
	if err != nil {
		return err
	}
	_, addressed, err := heldAddresses()
	if err != nil {
		return err
	}
	now := map[string]bool{}
	for _, r := range list {
		now[routeText(r)] = true
	}
	var errs []error
	for _, viaHop := range []bool{false, true} {
		for _, r := range h.routes {
			if viaHop != (len(r.Gw) > 0 || len(r.MultiPath) > 0) || now[routeText(r)] || !h.mayCome(r, up, addressed) {
				continue
			}
			r.Flags &^= unix.RTNH_F_LINKDOWN | unix.RTNH_F_DEAD
			if err := netlink.RouteAdd(&r); err != nil && !isOutOfReach(err) {
				errs = append(errs, fmt.Errorf("putting route %s back: %w", r, err))
			}
		}
	}
	return errors.Join(errs...)
}

// isOutOfReach tells whether the kernel refuses a route because of what else there is: one in its place, or another network.
func isOutOfReach(err error) bool {
	return slices.ContainsFunc([]error{unix.EEXIST, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EINVAL, unix.ENETDOWN, unix.ENODEV}, func(one error) bool {
		return errors.Is(err, one)
	})
}

// mayCome tells whether all links of a route are up, and whether they have addresses if they had.
func (h *Held) mayCome(r netlink.Route, up map[int]string, addressed map[familyOf]bool) bool {
	indexes := []int{r.LinkIndex}
	if len(r.MultiPath) > 0 {
		indexes = nil
	}
	for _, hop := range r.MultiPath {
		indexes = append(indexes, hop.LinkIndex)
	}
	return !slices.ContainsFunc(indexes, func(index int) bool {
		of := familyOf{index, r.Family}
		return index != 0 && (up[index] == "" || h.addressed[of] && !addressed[of])
	})
}

// routeText is a route in one line, without what changes by itself.
func routeText(r netlink.Route) string {
	text := fmt.Sprint(r.Dst, r.Src, r.Gw, r.LinkIndex, r.Table, r.Priority, r.Protocol, r.Type, r.Tos, r.MTU)
	for _, hop := range r.MultiPath {
		text += fmt.Sprint(hop.LinkIndex, hop.Gw, hop.Hops)
	}
	return text
}

// heldRoutes returns the routes that the kernel does not make itself.
func heldRoutes() ([]netlink.Route, error) {
	all := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	routes, err := Dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_ALL, all, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("listing routes: %w", err)
	}
	return slices.DeleteFunc(routes, func(r netlink.Route) bool {
		_, isProgram := r.Encap.(*netlink.BpfEncap) // cannot be added as it is shown
		return isProgram || r.Table == unix.RT_TABLE_LOCAL || slices.Contains([]netlink.RouteProtocol{unix.RTPROT_KERNEL, unix.RTPROT_RA, unix.RTPROT_REDIRECT}, r.Protocol)
	}), nil
}

// heldAddresses returns the IPv6 addresses that last and that the kernel does not make itself, and the links that have addresses.
func heldAddresses() ([]netlink.Addr, map[familyOf]bool, error) {
	var found []netlink.Addr
	addressed := map[familyOf]bool{}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := Dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, family) })
		if err != nil {
			return nil, nil, fmt.Errorf("listing addresses: %w", err)
		}
		for _, one := range list {
			addressed[familyOf{one.LinkIndex, family}] = true
			if family == netlink.FAMILY_V6 && one.Flags&unix.IFA_F_PERMANENT != 0 && !one.IP.IsLinkLocalUnicast() && !one.IP.IsLoopback() {
				found = append(found, one)
			}
		}
	}
	return found, addressed, nil
}
