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

package undo

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// addresses are the ones of a link, of one family, in the kernel's order. IPv4's
// has a meaning: the first one in a subnet is the primary, which others go with
// when it is removed, and what packets are sent from.
type addresses struct {
	link   string
	family int
	list   []netlink.Addr
	// marks tell who made an address, by its text: a byte that the kernel keeps with
	// it, and gives its own addresses itself.
	marks map[string]byte
	// noted is when they were: what is left of a lease's time is counted from then.
	noted time.Time
}

// families are those of addresses, by their titles.
var families = map[string]int{"IPv4": unix.AF_INET, "IPv6": unix.AF_INET6}

// noteAddresses notes all addresses of the links in the scope.
func (s *snapshot) noteAddresses(links []netlink.Link) error {
	marks, err := rtnetlink.Dump(rtnetlink.ListMarks)
	if err != nil {
		return fmt.Errorf("listing who made the addresses: %w", err)
	}
	for title, family := range families {
		found, err := rtnetlink.Dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, family) })
		if err != nil {
			return fmt.Errorf("listing the %s addresses: %w", title, err)
		}
		lists := map[int][]netlink.Addr{}
		for _, one := range found {
			lists[one.LinkIndex] = append(lists[one.LinkIndex], one)
		}
		noted := time.Now()
		for _, l := range links {
			if a := l.Attrs(); s.scope.has(a.Name) {
				s.addresses[title+" of "+a.Name] = addresses{
					link: a.Name, family: family, list: lists[a.Index], marks: marks[a.Index], noted: noted,
				}
			}
		}
	}
	return nil
}

// ownerOf tells by whose hand one of the addresses comes and goes.
func (a addresses) ownerOf(one netlink.Addr) owner {
	switch {
	case one.IP.To4() == nil && one.IP.IsLinkLocalUnicast():
		return kernels
	case one.Flags&unix.IFA_F_PERMANENT == 0:
		return leases
	case a.marks[one.IPNet.String()] > rtnetlink.LastKernelMark:
		return others
	}
	return ours
}

// has tells whether an address is among them, whatever its lifetime.
func (a addresses) has(one netlink.Addr) bool {
	return slices.ContainsFunc(a.list, func(other netlink.Addr) bool { return other.IPNet.String() == one.IPNet.String() })
}

// isStatic tells whether an address is among them that does not end by itself.
func (a addresses) isStatic(one netlink.Addr) bool {
	return slices.ContainsFunc(a.list, func(other netlink.Addr) bool {
		return other.IPNet.String() == one.IPNet.String() && a.ownerOf(other) != leases
	})
}

// altered tells whether an address that is there has become a lease, or is none any
// more, or has lost another program's mark. Marks of the kernel's are no matter.
func (a addresses) altered(one netlink.Addr, now addresses) bool {
	mark := a.marks[one.IPNet.String()]
	return a.isStatic(one) != now.isStatic(one) || mark > rtnetlink.LastKernelMark && mark != now.marks[one.IPNet.String()]
}

// due are the addresses that are to be there: all that were, but for leases that
// are gone because their time is up, or because others have taken their place.
func (a addresses) due(now addresses) []netlink.Addr {
	renewed := slices.ContainsFunc(now.list, func(one netlink.Addr) bool { return now.ownerOf(one) == leases && !a.has(one) })
	return slices.DeleteFunc(slices.Clone(a.list), func(one netlink.Addr) bool {
		return a.ownerOf(one) == leases && !now.has(one) && (renewed || a.left(one).ValidLft <= 0)
	})
}

// left returns a lease with what is left of its time.
func (a addresses) left(one netlink.Addr) netlink.Addr {
	if a.ownerOf(one) == leases {
		passed := max(0, int(time.Since(a.noted)/time.Second))
		one.ValidLft -= passed
		one.PreferedLft = max(0, one.PreferedLft-passed)
	}
	return one
}

// answered are the addresses of now that undoing answers for: of those that are
// new, only ours.
func (a addresses) answered(now addresses) []netlink.Addr {
	return slices.DeleteFunc(slices.Clone(now.list), func(one netlink.Addr) bool { return now.ownerOf(one) != ours && !a.has(one) })
}

// differences tells what the addresses lack, have too much or have otherwise.
func (a addresses) differences(title string, now addresses) []string {
	var found []string
	due, is := a.due(now), a.answered(now)
	for _, one := range due {
		switch {
		case !now.has(one):
			found = append(found, fmt.Sprintf("%s: %s is missing", title, one.IPNet))
		case a.altered(one, now):
			found = append(found, fmt.Sprintf("%s: %s has another lifetime, or mark", title, one.IPNet))
		}
	}
	for _, one := range is {
		if !a.has(one) {
			found = append(found, fmt.Sprintf("%s: %s is left", title, one.IPNet))
		}
	}
	if len(found) == 0 && a.family == unix.AF_INET && !slices.Equal(keys(due), keys(is)) {
		found = append(found, fmt.Sprintf("%s: the order is %v and was %v", title, keys(is), keys(due)))
	}
	return found
}

func keys(list []netlink.Addr) []string {
	keys := make([]string, 0, len(list))
	for _, one := range list {
		keys = append(keys, one.IPNet.String())
	}
	return keys
}

// mend makes the addresses of the link what they were: it keeps what is right,
// for IPv4 up to the first that is not, removes the rest and adds what is then
// missing, in order.
func (a addresses) mend(now addresses) error {
	l, err := netlink.LinkByName(a.link)
	if err != nil {
		return err
	}
	due, is := a.due(now), a.answered(now)
	was := keys(due)
	kept := map[string]bool{}
	for i, key := range keys(is) {
		if a.family == unix.AF_INET && (i >= len(was) || was[i] != key) {
			break
		}
		kept[key] = slices.Contains(was, key)
	}
	errs := []error{remove(l, slices.DeleteFunc(is, func(one netlink.Addr) bool { return kept[one.IPNet.String()] }))}
	for _, one := range due {
		if !kept[one.IPNet.String()] || a.altered(one, now) {
			errs = append(errs, a.put(l, one))
		}
	}
	return errors.Join(errs...)
}

// puttable are the flags of an address that whoever adds it decides on.
const puttable = unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_NODAD | unix.IFA_F_MANAGETEMPADDR

// put adds one of the addresses to the link, with its mark, or gives the one that is
// there what is left of its lifetime, and its mark.
func (a addresses) put(l netlink.Link, one netlink.Addr) error {
	one = a.left(one)
	one.LinkIndex = 0
	one.Flags &= puttable
	one.Broadcast = broadcast(one)
	err := netlink.AddrReplace(l, &one)
	if mark := a.marks[one.IPNet.String()]; err == nil && mark != 0 {
		err = rtnetlink.SetMark(l, one, mark)
	}
	if err != nil {
		return fmt.Errorf("adding address %s to %s: %w", one.IPNet, a.link, err)
	}
	return nil
}

// broadcast is the address's own, 0.0.0.0 if it has none: nil would make one.
func broadcast(a netlink.Addr) net.IP {
	if a.Broadcast == nil && a.IP.To4() != nil {
		return net.IPv4zero
	}
	return a.Broadcast
}
