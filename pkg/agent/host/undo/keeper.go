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

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// Keeper keeps what nobody configures through an apply. NetworkManager, when it
// activates an interface again, takes away leases, other programs' addresses and
// routing daemons' routes. libnmstate without NetworkManager removes all addresses that the
// state does not list: IPv6's link-local one, without which the link finds no
// neighbour any more, and leases, often with the default route; and where the state
// says nothing of addresses, it makes leases last for ever. So there the keeper sets
// the addresses of the links that are there itself, and libnmstate is given the rest
// of the state. Afterwards the keeper puts back what is missing.
type Keeper struct {
	before *snapshot
	// wanted are the static addresses that the state wants, under the titles of
	// snapshot.addresses. Where there are none, libnmstate sets the addresses.
	wanted map[string]addresses
	// off has the titles of which nothing is kept: the state switches the family,
	// or the interface, off.
	off map[string]bool
	// static has the titles of which no lease is kept.
	static map[string]bool
	// unannounced has the titles of which no address that a router announces is kept.
	unannounced map[string]bool
}

// NewKeeper returns the keeper for an apply of desired, and what is left of desired
// for libnmstate.
func NewKeeper(b *Before, desired []byte) (*Keeper, []byte, error) {
	before := b.was
	k := &Keeper{before: before, wanted: map[string]addresses{}, off: map[string]bool{}, static: map[string]bool{}, unannounced: map[string]bool{}}
	state, err := tree.Decode(desired)
	if err != nil {
		return nil, nil, err
	}
	full, err := tree.Decode(before.full)
	if err != nil {
		return nil, nil, err
	}
	there, ports := tree.InterfacesByName(full), madePorts(state)
	for _, item := range tree.List(state, "interfaces") {
		entry, _ := item.(map[string]any)
		name := tree.StringAt(entry, "name")
		is := there[name]
		if is == nil || is["state"] == "ignore" {
			continue
		}
		for title, field := range map[string]string{"IPv4 of " + name: "ipv4", "IPv6 of " + name: "ipv6"} {
			k.take(title, field, entry, is, isPort(entry, is, ports))
		}
	}
	rest, err := tree.Encode(state)
	return k, rest, err
}

// WithoutPortsAddresses returns a desired state without what it says of the
// addresses of ports and already holds. The kernel gives a port a link-local
// address, which is shown, and nmstate refuses a port with addresses.
func WithoutPortsAddresses(desired, current []byte) ([]byte, error) {
	state, err := tree.Decode(desired)
	if err != nil {
		return nil, err
	}
	full, err := tree.Decode(current)
	if err != nil {
		return nil, err
	}
	there, ports := tree.InterfacesByName(full), madePorts(state)
	for _, item := range tree.List(state, "interfaces") {
		entry, _ := item.(map[string]any)
		is := there[tree.StringAt(entry, "name")]
		if is == nil || !isPort(entry, is, ports) {
			continue
		}
		for _, field := range []string{"ipv4", "ipv6"} {
			section, _ := entry[field].(map[string]any)
			current, _ := is[field].(map[string]any)
			wanted, ok := staticsOf(section["address"])
			has, _ := staticsOf(current["address"])
			if ok && section["enabled"] == true && onlyAddresses(section, current) && slices.Equal(keys(wanted), keys(has)) {
				delete(entry, field)
			}
		}
	}
	return tree.Encode(state)
}

// isPort tells whether an interface is a port, or is to be one.
func isPort(entry, is map[string]any, ports []string) bool {
	return slices.Contains(ports, tree.StringAt(entry, "name")) || tree.StringAt(entry, "controller") != "" || tree.StringAt(is, "controller") != ""
}

// onlyAddresses tells whether a section wants the family switched on as it is, with
// some addresses, and nothing else that is not so already.
func onlyAddresses(section, current map[string]any) bool {
	if section["enabled"] != true || current["enabled"] != true {
		return false
	}
	for key, value := range section {
		switch key {
		case "enabled", "address", "allow-extra-address":
			continue
		}
		// What is off need not be shown.
		if !tree.SameValue(value, current[key]) && (value != false || current[key] != nil) {
			return false
		}
	}
	return true
}

// madePorts are the interfaces that a state makes ports of others.
func madePorts(node any) []string {
	var ports []string
	switch node := node.(type) {
	case map[string]any:
		for key, child := range node {
			ports = append(ports, madePorts(child)...)
			if key != "port" && key != "ports" {
				continue
			}
			for _, item := range tree.List(node, key) {
				if name, isText := item.(string); isText {
					ports = append(ports, name)
				}
				fields, _ := item.(map[string]any)
				ports = append(ports, tree.StringAt(fields, "name"))
			}
		}
	case []any:
		for _, child := range node {
			ports = append(ports, madePorts(child)...)
		}
	}
	return ports
}

// take takes the addresses of one family out of an interface's entry, if all that
// is wanted there is that they be some of the addresses that are there, and others.
// What else a section can say is libnmstate's.
func (k *Keeper) take(title, field string, entry, is map[string]any, isPort bool) {
	section, given := entry[field].(map[string]any)
	current, _ := is[field].(map[string]any)
	if state := entry["state"]; state != nil && state != "up" || section["enabled"] == false {
		// A link whose first address of IPv6 came just after it was read is shown as one without IPv6.
		k.off[title] = true
		if isPort && field == "ipv4" && section["enabled"] == false && current["enabled"] == true && !k.before.scope.managed {
			// libnmstate alone leaves the addresses of what becomes a port, and then finds them. Those of IPv6 go when the
			// preparation switches IPv6 off.
			was := k.before.addresses[title]
			k.wanted[title] = addresses{link: was.link, family: was.family}
			delete(entry, field)
		}
		return
	}
	for _, source := range []string{"dhcp", "autoconf"} {
		k.static[title] = k.static[title] || section[source] == false && current[source] == true
	}
	k.unannounced[title] = !k.before.scope.managed && field == "ipv6" && section["autoconf"] == false
	if k.before.scope.managed || isPort || !given || !onlyAddresses(section, current) {
		return
	}
	wanted := section["address"]
	if wanted == nil {
		wanted = current["address"]
	}
	statics, ok := staticsOf(wanted)
	if !ok {
		return
	}
	was := k.before.addresses[title]
	k.wanted[title] = addresses{link: was.link, family: was.family, list: statics}
	if autoconf := section["autoconf"]; autoconf != nil && field == "ipv6" {
		entry[field] = map[string]any{"autoconf": autoconf} // the preparation sees to that
		return
	}
	delete(entry, field)
}

// staticsOf are the addresses of a section's list that are to be configured; not ok
// if there is one that only libnmstate may understand.
func staticsOf(section any) (statics []netlink.Addr, ok bool) {
	items, _ := section.([]any)
	for _, item := range items {
		address, _ := item.(map[string]any)
		if tree.IsDynamic(address) || tree.IsForeign(address) {
			continue
		}
		one, err := netlink.ParseAddr(tree.CIDR(address))
		if err != nil {
			return nil, false
		}
		one.Flags = unix.IFA_F_PERMANENT
		one.Broadcast = lastOf(one.IPNet)
		if (addresses{}).ownerOf(*one) == ours {
			statics = append(statics, *one)
		}
	}
	return statics, true
}

// lastOf is the last address of an IPv4 network, which libnmstate makes the broadcast
// address; nil if there is no room for one (RFC 3021) or the network is not of IPv4.
func lastOf(network *net.IPNet) net.IP {
	ip := network.IP.To4()
	if ones, bits := network.Mask.Size(); ip == nil || bits-ones < 2 {
		return nil
	}
	last := slices.Clone(ip)
	for i := range last {
		last[i] |= ^network.Mask[i]
	}
	return last
}

// Set makes the addresses that it sets those that are wanted.
func (k *Keeper) Set() error {
	var errs []error
	for title, wanted := range k.wanted {
		l, err := netlink.LinkByName(wanted.link)
		if err != nil {
			errs = append(errs, fmt.Errorf("setting the addresses of %s: %w", wanted.link, err))
			continue
		}
		was := k.before.addresses[title]
		errs = append(errs, remove(l, slices.DeleteFunc(slices.Clone(was.list), func(one netlink.Addr) bool {
			owner := was.ownerOf(one)
			return owner != ours && (owner != leases || !k.off[title]) || wanted.has(one)
		})))
	}
	return errors.Join(append(errs, k.Keep())...)
}

// Keep adds the addresses that it sets, and puts back the addresses, routes and neighbours
// that it keeps, where they are missing.
func (k *Keeper) Keep() error {
	now, err := k.before.lookAgain()
	if err != nil {
		return err
	}
	var errs []error
	for title := range k.before.addresses {
		errs = append(errs, k.keepAddresses(title, now))
	}
	for _, one := range owed(k.before, now, k.before.routes, now.routes) {
		if one.owner == daemons || isLoopbackNet(one.Route, one.link) {
			// It may not go any more with the new addresses. Its daemon, or the kernel, sees to that.
			_ = one.add()
		}
	}
	for _, one := range owed(k.before, now, k.before.neighbours, now.neighbours) {
		if one.mayStay(now.links[one.Name]) {
			_ = one.add() // a VXLAN of another family does not take it any more
		}
	}
	return errors.Join(errs...)
}

// keepAddresses does so with the addresses of one title. A link that has gone since it was looked at has none, as it would have if it had
// gone before: pods end at any time.
func (k *Keeper) keepAddresses(title string, now *snapshot) error {
	was := k.before.addresses[title]
	link := now.links[was.link]
	remade := now.indexes[was.link] != k.before.indexes[was.link] || now.controllers[was.link] != k.before.controllers[was.link]
	if k.off[title] || remade || !link.Up {
		return nil
	}
	l, err := netlink.LinkByName(was.link)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keeping the addresses of %s: %w", was.link, err)
	}
	errs := []error{k.clear(title, l, now.addresses[title])}
	// With another MAC address the kernel makes another link-local address.
	for _, one := range k.missing(title, now.addresses[title], link.MAC == k.before.links[was.link].MAC) {
		errs = append(errs, was.put(l, one))
	}
	if err = errors.Join(errs...); errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// clear removes the addresses that routers have announced since the link was noted, where the keeper sets the addresses and the state
// wants none of these.
func (k *Keeper) clear(title string, l netlink.Link, is addresses) error {
	wanted, sets := k.wanted[title]
	if !sets || !k.unannounced[title] {
		return nil
	}
	return remove(l, slices.DeleteFunc(slices.Clone(is.list), func(one netlink.Addr) bool {
		return is.ownerOf(one) != leases || one.Flags&unix.IFA_F_MANAGETEMPADDR == 0 || wanted.has(one)
	}))
}

// remove removes addresses of a link. The last one goes first: a primary takes its secondaries along.
func remove(l netlink.Link, list []netlink.Addr) error {
	var errs []error
	for _, one := range slices.Backward(list) {
		if err := netlink.AddrDel(l, &one); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			errs = append(errs, fmt.Errorf("removing address %s of %s: %w", one.IPNet, l.Attrs().Name, err))
		}
	}
	return errors.Join(errs...)
}

// missing are the addresses that have to be added, or have the wrong lifetime.
func (k *Keeper) missing(title string, is addresses, linkLocal bool) []netlink.Addr {
	was, wanted := k.before.addresses[title], k.wanted[title]
	var missing []netlink.Addr
	for _, one := range was.due(is) {
		kept := !wanted.has(one)
		switch was.ownerOf(one) {
		case ours:
			kept = false
		case kernels:
			kept = linkLocal && !k.before.scope.managed
		case leases:
			kept = kept && !k.static[title] && !k.unannounced[title]
		}
		if kept && (!is.has(one) || was.altered(one, is)) {
			missing = append(missing, one)
		}
	}
	for _, one := range wanted.list {
		if !is.isStatic(one) {
			missing = append(missing, one)
		}
	}
	return missing
}
