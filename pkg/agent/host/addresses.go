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
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addresses are the ones of a link, of one family, in the kernel's order. IPv4's
// has a meaning: the first one in a subnet is the primary, which others go with
// when it is removed, and what packets are sent from.
type addresses struct {
	link   string
	family int
	list   []netlink.Addr
}

// noteAddresses notes all addresses but the link-local ones of IPv6, which the
// kernel makes itself whenever a link comes up.
func (s *snapshot) noteAddresses(links []netlink.Link) error {
	for _, l := range links {
		name := l.Attrs().Name
		if !s.scope.has(name) {
			continue
		}
		for family, title := range map[int]string{unix.AF_INET: "IPv4", unix.AF_INET6: "IPv6"} {
			found, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(l, family) })
			if err != nil {
				return fmt.Errorf("listing the addresses of %s: %w", name, err)
			}
			found = slices.DeleteFunc(found, func(a netlink.Addr) bool {
				return family == unix.AF_INET6 && a.IP.IsLinkLocalUnicast()
			})
			s.addresses[title+" of "+name] = addresses{link: name, family: family, list: found}
		}
	}
	return nil
}

// same tells whether the addresses are the same, IPv4's in the same order. Where
// the kernel puts one of IPv6 among the others is up to its version.
func (a addresses) same(other addresses) bool {
	mine, others := a.keys(), other.keys()
	if a.family == unix.AF_INET6 {
		slices.Sort(mine)
		slices.Sort(others)
	}
	return slices.Equal(mine, others)
}

func (a addresses) keys() []string {
	keys := make([]string, 0, len(a.list))
	for _, one := range a.list {
		keys = append(keys, one.IPNet.String())
	}
	return keys
}

// differences tells what the addresses lack, have too much or have otherwise.
func (a addresses) differences(title string, now addresses) []string {
	var found []string
	was, is := a.keys(), now.keys()
	for _, key := range was {
		if !slices.Contains(is, key) {
			found = append(found, title+": "+key+" is missing")
		}
	}
	for _, key := range is {
		if !slices.Contains(was, key) {
			found = append(found, title+": "+key+" is left")
		}
	}
	if len(found) == 0 && !a.same(now) {
		found = append(found, fmt.Sprintf("%s: the order is %v and was %v", title, is, was))
	}
	return found
}

// mend makes the addresses of the link what they were: it keeps what is right,
// for IPv4 up to the first that is not, removes the rest and adds what is then
// missing, in order.
func (a addresses) mend(now addresses) error {
	l, err := netlink.LinkByName(a.link)
	if err != nil {
		return err
	}
	was, is := a.keys(), now.keys()
	kept := map[string]bool{}
	for i, key := range is {
		if a.family == unix.AF_INET && (i >= len(was) || was[i] != key) {
			break
		}
		kept[key] = slices.Contains(was, key)
	}
	var errs []error
	// The last one first: a primary takes its secondaries along.
	for _, one := range slices.Backward(now.list) {
		if kept[one.IPNet.String()] {
			continue
		}
		if err := netlink.AddrDel(l, &one); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			errs = append(errs, fmt.Errorf("removing address %s: %w", one.IPNet, err))
		}
	}
	for _, one := range a.list {
		if kept[one.IPNet.String()] {
			continue
		}
		one.LinkIndex = 0
		one.Flags &= unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_NODAD
		one.Broadcast = broadcast(one)
		if err := netlink.AddrAdd(l, &one); err != nil && !errors.Is(err, unix.EEXIST) {
			errs = append(errs, fmt.Errorf("adding address %s: %w", one.IPNet, err))
		}
	}
	return errors.Join(errs...)
}

// broadcast is the address's own, 0.0.0.0 if it has none: nil would make one.
func broadcast(a netlink.Addr) net.IP {
	if a.Broadcast == nil && a.IP.To4() != nil {
		return net.IPv4zero
	}
	return a.Broadcast
}
