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
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// isHardware tells whether a link cannot be removed: the kernel has made it for a device, or for the namespace.
func isHardware(l rtnetlink.Link) bool { return l.Kind == "" }

// remove removes the links that are to be absent, and those that are made again: what stands on others first.
func (p *planner) remove(ordered []*entry) {
	for _, e := range slices.Backward(ordered) {
		l, is := p.links[e.name]
		gone := e.state() == "absent" || e.state() == "up" && p.again[e.name] && e.is == nil
		if !is || !gone {
			continue
		}
		for name, port := range p.links {
			if port.Controller == l.Index && port.Index != l.Index {
				p.freed[name] = true
			}
		}
		p.movesMTU = p.movesMTU || l.Controller != 0
		if isHardware(l) {
			p.step("take the controller and the addresses of "+e.name+" away", func() error { return release(e.name) })
			continue
		}
		p.step("remove "+e.name, func() error { return remove(e.name) })
	}
}

// release takes away from a link that cannot be removed what a state has given it.
func release(name string) error {
	if err := setController(name, "", false); err != nil {
		return err
	}
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	list, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, one := range list {
		if name == "lo" && one.IP.IsLoopback() {
			continue
		}
		if err := netlink.AddrDel(l, &one); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return err
		}
	}
	if name == "lo" {
		return nil
	}
	return setFlag(name, unix.IFF_UP, false)
}

// make makes a link that is not there.
func (p *planner) make(e *entry) error {
	_, known := families()[e.kind]
	if e.is != nil || !known {
		return nil
	}
	fixed, free, err := p.settingsOf(e)
	if err != nil {
		return err
	}
	if e.kind != "bond" { // whose options depend on each other
		fixed, free = slices.Concat(fixed, free), nil
	}
	mac, err := p.mac(e)
	if err != nil {
		return err
	}
	base, peer := p.base(e), p.name(tree.StringAt(e.section(), "peer"))
	if e.kind == "veth" {
		if peer == "" {
			return errors.New("the peer of a new veth must be given")
		}
		if other := p.byName[peer]; other != nil && other.is == nil && slices.ContainsFunc(p.steps, func(s Step) bool { return s.text == "make "+peer+": veth peer="+e.name }) {
			return nil // it comes with its other end
		}
	}
	text := "make " + e.name + ": " + e.kernelKind()
	for name, value := range map[string]string{"base-iface": base} {
		if value != "" {
			text += " " + name + "=" + value
		}
	}
	if peer != "" {
		text += " peer=" + peer
	}
	if len(fixed) > 0 {
		text += " " + described(fixed)
	}
	under := p.underIPv6(e)
	if other := p.byName[under]; other != nil && other.hasIPv6() {
		p.sysctl(other, "ipv6", "disable_ipv6", false)
	}
	p.step(text, func() error { return withoutIPv6(under, makeLink(e.name, e.kernelKind(), base, peer, fixed, mac)) })
	if e.kind == "vrf" {
		p.step("have routes looked up by VRF", lookUpByVRF)
	}
	if len(free) > 0 {
		p.step("set "+e.name+": "+described(free), func() error { return apply(e.name, free, false) })
	}
	return nil
}

// makeLink makes a link. If one of that kind is there, which happens where the preparation is repeated, it stays.
func makeLink(name, kind, base, peer string, list []setting, mac net.HardwareAddr) error {
	data, err := attributes(list)
	if err != nil {
		return err
	}
	change := rtnetlink.Change{Name: name, Kind: kind, Data: data, MAC: mac}
	if base != "" {
		l, err := rtnetlink.LinkByName(base)
		if err != nil {
			return fmt.Errorf("base-iface %s: %w", base, err)
		}
		change.Parent = l.Index
	}
	if peer != "" {
		change.Peer = &rtnetlink.Change{Name: peer}
	}
	return change.Do()
}

// mac returns the MAC address that a link is to have; nil if none is given, or its controller gives it one.
func (p *planner) mac(e *entry) (net.HardwareAddr, error) {
	text := tree.StringAt(e.fields, "mac-address")
	if from := tree.StringAt(e.fields, "copy-mac-from"); from != "" {
		text = tree.StringAt(p.there[p.name(from)], "mac-address")
	}
	if text == "" || e.kind == "ip-tunnel" || e.kind == "ipvlan" || e.kind == "hsr" || p.isPort(e.name, "bond") {
		return nil, nil
	}
	return net.ParseMAC(text)
}

// set sets what is different of a link that is there.
func (p *planner) set(e *entry) error {
	if e.is == nil {
		return p.setFilter(e)
	}
	fixed, free, err := p.settingsOf(e)
	if err != nil {
		return err
	}
	given := slices.Concat(fixed, free)
	changed := differing(given, e.is.Data, p.index)
	down, _ := bondNeeds(changed)
	if down = down && e.kind == "bond"; down && isUp(e.is) {
		p.step("set "+e.name+" down", func() error { return setFlag(e.name, unix.IFF_UP, false) })
	}
	if len(changed) > 0 {
		p.step("set "+e.name+": "+described(changed), func() error { return apply(e.name, changed, false) })
	}
	if altered := bondAltered(given, changed, e.is.Data); e.kind == "bond" && len(altered) > 0 {
		p.step("set "+e.name+": "+described(altered), func() error { return apply(e.name, altered, false) })
	}
	mac, err := p.mac(e)
	if err != nil {
		return err
	}
	emptied := p.isEmptied(e) && len(p.portsOf(e)) > 0
	if emptied && mac == nil {
		mac = p.macToKeep(e)
	}
	// A bridge whose MAC address nobody has set takes another one with its ports, even if it has the given one now.
	moves := emptied || e.kind == "linux-bridge" && p.changesPorts(e)
	if mac != nil && (moves || mac.String() != e.is.MAC.String()) {
		p.step(fmt.Sprintf("set the MAC address of %s: %s", e.name, mac), func() error { return rtnetlink.SetMAC(e.name, mac) })
	}
	return p.setFilter(e)
}

// setMTU sets the MTU; the base's and the ports' come before.
func (p *planner) setMTU(e *entry) error {
	if e.fields["mtu"] == nil {
		p.keepMTU(e)
		return nil
	}
	mtu, err := integer(e.fields["mtu"])
	if err != nil {
		return fmt.Errorf("mtu: %w", err)
	}
	if mtu == 0 || mtu > math.MaxInt32 || e.is != nil && e.is.MTU == int(mtu) && !p.again[e.name] && !p.movesMTU && !p.isPort(e.name, "bond") {
		return nil
	}
	p.movesMTU = true
	p.step(fmt.Sprintf("set the MTU of %s: %d", e.name, mtu), func() error { return setMTU(e.name, int(mtu)) })
	return nil
}

// keepMTU gives a link that is made again the MTU that it had. It keeps the one that it was made with if that is too much for its base.
func (p *planner) keepMTU(e *entry) {
	if mtu, err := integer(e.mtu); err == nil && mtu > 0 && mtu <= math.MaxInt32 {
		p.steps = append(p.steps, Step{text: fmt.Sprintf("keep the MTU of %s: %d", e.name, mtu), lenient: true, do: func() error { return setMTU(e.name, int(mtu)) }})
	}
}

func setMTU(name string, mtu int) error {
	l, err := rtnetlink.LinkByName(name)
	if err != nil || l.MTU == mtu {
		return err
	}
	return rtnetlink.Change{Index: l.Index, MTU: mtu}.Do()
}

// raise sets a link up.
func (p *planner) raise(e *entry) error {
	if p.staysDown(e) { // before it gets its addresses: the kernel takes IPv6 addresses from what goes down
		p.step("set "+e.name+" down", func() error { return setFlag(e.name, unix.IFF_UP, false) })
		return nil
	}
	if isUp(e.is) && !p.again[e.name] && !p.freed[e.name] && !p.isNewPort(e) {
		return nil
	}
	if e.is == nil && families()[e.kind].kind == "" {
		return nil // libnmstate says that there is none
	}
	if e.kind == "vlan" && !p.isLoose(e) {
		p.raiseUnder(cmp.Or(p.base(e), p.parent(e.name)))
	}
	p.raiseOnce(e.name)
	return nil
}

func (p *planner) raiseOnce(name string) {
	if text := "set " + name + " up"; !p.has(text) {
		p.step(text, func() error { return setFlag(name, unix.IFF_UP, true) })
	}
}

// raiseUnder sets a link up over which a VLAN is to be up, unless it is to be down: the kernel sets no VLAN up over a link that is down
// (vlan_dev_open() in net/8021q/vlan_dev.c).
func (p *planner) raiseUnder(name string) {
	l, is := p.links[name]
	if e := p.byName[name]; !is || isUp(&l) || e != nil && e.state() != "up" {
		return
	}
	if l.Kind == "vlan" {
		p.raiseUnder(p.parent(name))
	}
	p.raiseOnce(name)
}

// parent returns the name of the link below one that is there, "" if there is none.
func (p *planner) parent(name string) string { return p.nameOf(p.links[name].Parent) }

// isLoose tells whether a VLAN is to be bound loosely: then it does not go down with its base.
func (p *planner) isLoose(e *entry) bool {
	if given := e.section()["loose-binding"]; given != nil {
		loose, _ := boolean(given)
		return loose
	}
	return isLoose(p.links[e.name])
}

// isNewPort tells whether a link becomes a port, which may set it down.
func (p *planner) isNewPort(e *entry) bool {
	for _, kind := range []string{"bond", "vrf"} {
		if p.isPort(e.name, kind) && tree.StringAt(p.there[p.nameOf(p.links[e.name].Controller)], "type") != kind {
			return true
		}
	}
	return false
}

// raiseFreed sets the links up again that cease to be ports, which sets them down.
func (p *planner) raiseFreed() {
	for _, name := range slices.Sorted(keysOf(p.freed)) {
		l := p.links[name]
		if e := p.byName[name]; e == nil && isUp(&l) {
			p.step("set "+name+" up", func() error {
				if err := setFlag(name, unix.IFF_UP, true); !errors.Is(err, unix.ENODEV) {
					return err
				}
				return nil
			})
		}
	}
}

// lower sets the links down that are to be down: what stands on others first. The kernel sets VLANs up with what they stand on.
func (p *planner) lower(ordered []*entry) {
	for _, e := range slices.Backward(ordered) {
		toBeDown := e.state() == "down" && isUp(e.is) && tree.StringAt(e.current, "state") != "down" && e.name != "lo"
		if toBeDown || p.staysDown(e) {
			p.step("set "+e.name+" down", func() error { return setFlag(e.name, unix.IFF_UP, false) })
		}
	}
}

// setFlags sets whether a link takes the frames for other MAC addresses, too.
func (p *planner) setFlags(e *entry) error {
	if e.fields["accept-all-mac-addresses"] == nil {
		return nil
	}
	all, err := boolean(e.fields["accept-all-mac-addresses"])
	if err != nil {
		return fmt.Errorf("accept-all-mac-addresses: %w", err)
	}
	if has := e.is != nil && e.is.Is(unix.IFF_PROMISC); has != all {
		p.step(fmt.Sprintf("set accept-all-mac-addresses of %s: %t", e.name, all), func() error { return setFlag(e.name, unix.IFF_PROMISC, all) })
	}
	return nil
}

// setAltNames adds and removes alternative names.
func (p *planner) setAltNames(e *entry) error {
	for _, item := range tree.List(e.fields, "alt-names") {
		alias := tree.StringAt(tree.Object(item), "name")
		absent := tree.StringAt(tree.Object(item), "state") == "absent"
		if has := e.is != nil && slices.Contains(e.is.AltNames, alias); alias == "" || has != absent {
			continue
		}
		what := "add the name " + alias + " to " + e.name
		if absent {
			what = "remove the name " + alias + " from " + e.name
		}
		p.step(what, func() error {
			l, err := netlink.LinkByName(e.name)
			if err != nil {
				return err
			}
			if absent {
				return netlink.LinkDelAltName(l, alias)
			}
			return netlink.LinkAddAltName(l, alias)
		})
	}
	return nil
}
