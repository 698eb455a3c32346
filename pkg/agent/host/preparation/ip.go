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
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// setSysctls switches IPv6 on and off, and forwarding, where the state says so.
func (p *planner) setSysctls(e *entry) error {
	six, four := tree.Object(e.fields["ipv6"]), tree.Object(e.fields["ipv4"])
	if e.name == "lo" {
		return nil
	}
	if enabled, is := six["enabled"].(bool); is && (enabled || !p.hasNoIPv6(e)) {
		p.sysctl(e, "ipv6", "disable_ipv6", !enabled)
	}
	if four["forwarding"] != nil {
		on, err := boolean(four["forwarding"])
		if err != nil {
			return fmt.Errorf("ipv4: forwarding: %w", err)
		}
		p.sysctl(e, "ipv4", "forwarding", on)
	}
	return nil
}

// underIPv6 returns the link over which a VXLAN sends IPv6, "" if it sends none, or over any link. The kernel makes such a VXLAN
// only while the link has IPv6.
func (p *planner) underIPv6(e *entry) string {
	for _, field := range []string{"local", "remote"} {
		if ip, err := netip.ParseAddr(tree.StringAt(e.section(), field)); e.kind == "vxlan" && err == nil && ip.Is6() {
			return p.name(tree.StringAt(e.section(), "base-iface"))
		}
	}
	return ""
}

// withoutIPv6 says why the kernel has refused a link, if it is because the link below has no IPv6.
func withoutIPv6(under string, err error) error {
	if under == "" || !errors.Is(err, unix.EPERM) {
		return err
	}
	if off, _ := readSysctl(sysctlPath("ipv6", under, "disable_ipv6")); off != "1" {
		return err
	}
	return fmt.Errorf("%w: IPv6 is switched off on its base interface: give %s ipv6 with enabled: true", err, under)
}

// hasNoIPv6 tells whether a link that stays as it is has no IPv6 address although it has a carrier, as bonds' ports and VRFs: what
// is shown as disabled, and sent back, changes nothing.
func (p *planner) hasNoIPv6(e *entry) bool {
	return p.lacksIPv6(e) && !p.freed[e.name] && !p.isNewPort(e) && e.is.Is(unix.IFF_RUNNING|unix.IFF_SLAVE)
}

// lacksIPv6 tells whether a link that stays and is up has no IPv6 address.
func (p *planner) lacksIPv6(e *entry) bool {
	return e.is != nil && !p.again[e.name] && e.is.Is(unix.IFF_UP) && tree.Object(e.current["ipv6"])["enabled"] == false
}

// setAddresses adds the static addresses, which routes need. libnmstate takes away those that are not to be there.
func (p *planner) setAddresses(e *entry) error {
	for _, family := range []string{"ipv4", "ipv6"} {
		ip := tree.Object(e.fields[family])
		if ip["enabled"] != true {
			continue
		}
		for _, fields := range static(ip) {
			text := tree.CIDR(fields)
			if e.is != nil && !p.again[e.name] && hasAddress(tree.Object(e.current[family]), fields) {
				continue
			}
			one, err := netlink.ParseAddr(text)
			if err != nil {
				return fmt.Errorf("%s: %w", family, err)
			}
			p.step("add address "+text+" to "+e.name, func() error { return addAddress(e.name, *one) })
		}
	}
	return p.removeIPv6(e)
}

// static returns the addresses of an IP section that neither a lease, nor others, nor the kernel give.
func static(ip map[string]any) []map[string]any {
	var list []map[string]any
	for _, item := range tree.List(ip, "address") {
		fields := tree.Object(item)
		if !tree.IsDynamic(fields) && !tree.IsForeign(fields) && !tree.IsLinkLocal(fields) {
			list = append(list, fields)
		}
	}
	return list
}

// removeIPv6 removes the addresses of a link that is to have the kernel's alone: libnmstate is not asked for its IPv6, see rest.
func (p *planner) removeIPv6(e *entry) error {
	if e.is == nil || p.again[e.name] || !e.wantsLinkLocalOnly() {
		return nil
	}
	for _, item := range tree.List(tree.Object(e.current["ipv6"]), "address") {
		fields := tree.Object(item)
		if tree.IsForeign(fields) || tree.IsLinkLocal(fields) {
			continue
		}
		if err := p.removeAddress(e.name, fields); err != nil {
			return fmt.Errorf("ipv6: %w", err)
		}
	}
	return nil
}

func (p *planner) removeAddress(name string, fields map[string]any) error {
	text := tree.CIDR(fields)
	one, err := netlink.ParseAddr(text)
	if err == nil {
		p.step("remove address "+text+" from "+name, func() error { return removeAddress(name, *one) })
	}
	return err
}

func removeAddress(name string, one netlink.Addr) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.AddrDel(l, &one); !errors.Is(err, unix.EADDRNOTAVAIL) {
		return err
	}
	return nil
}

func hasAddress(current, wanted map[string]any) bool {
	for _, item := range tree.List(current, "address") {
		is := tree.Object(item)
		if tree.SameValue(is["ip"], wanted["ip"]) && tree.SameValue(is["prefix-length"], wanted["prefix-length"]) && !tree.IsDynamic(is) {
			return true
		}
	}
	return false
}

func addAddress(name string, one netlink.Addr) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if ip := one.IP.To4(); ip != nil {
		one.Broadcast = broadcast(ip, one.Mask)
	}
	err = netlink.AddrAdd(l, &one)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// broadcast is the last address of an IPv4 network; nil if there is no room for one (RFC 3021).
func broadcast(ip net.IP, mask net.IPMask) net.IP {
	if ones, bits := mask.Size(); bits-ones < 2 {
		return nil
	}
	last := make(net.IP, len(ip))
	for i := range ip {
		last[i] = ip[i] | ^mask[i]
	}
	return last
}
