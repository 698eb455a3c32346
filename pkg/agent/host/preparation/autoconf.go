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
	"io/fs"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// setAutoconf has a link listen to routers, or not, where the state says so. Where it is shown as wanted, a failure is no error: in a
// container without privileges the settings are read-only.
func (p *planner) setAutoconf(e *entry) error {
	six := tree.Object(e.fields["ipv6"])
	isMade := e.is != nil || families()[e.kind].kind != ""
	if six["enabled"] == false && e.is != nil && e.name != "lo" {
		p.listenByDefault(e)
	}
	if six["autoconf"] == nil || six["enabled"] == false || six["dhcp"] == true || e.name == "lo" || !isMade {
		return nil
	}
	wanted, err := boolean(six["autoconf"])
	if err != nil {
		return fmt.Errorf("ipv6: autoconf: %w", err)
	}
	isShown := tree.Object(e.current["ipv6"])["autoconf"] == true
	has := func(name string) string {
		link := e.name
		if e.is == nil {
			link = "default"
		}
		value, _ := readSysctl(sysctlPath("ipv6", link, name))
		return value
	}
	if wanted && isShown && has("accept_ra") == "0" {
		return nil // a program listens, not the kernel
	}
	accept, autoconf := "0", "0"
	if wanted {
		accept, autoconf = "1", "1"
		if has("forwarding") == "1" || has("accept_ra") == "2" { // a router listens to others only with 2
			accept = "2"
		}
	}
	e.asksRouters = wanted && (has("accept_ra") != accept || has("autoconf") != autoconf)
	p.listen(e, "accept_ra", accept, isShown == wanted)
	p.listen(e, "autoconf", autoconf, isShown == wanted)
	e.forgetsRouters = !wanted && e.is != nil
	return nil
}

// listenByDefault forgets what a state has once said of routers, with the rest of IPv6: whoever switches it on begins anew.
func (p *planner) listenByDefault(e *entry) {
	for _, name := range []string{"accept_ra", "autoconf"} {
		value, err := readSysctl(sysctlPath("ipv6", "default", name))
		if is, no := readSysctl(sysctlPath("ipv6", e.name, name)); err == nil && no == nil && is != value {
			p.listen(e, name, value, true)
		}
	}
}

// saysAutoconfOnly tells whether an IP section says nothing but whether to listen to routers. libnmstate then has nothing to set.
func saysAutoconfOnly(six map[string]any) bool { return len(six) == 1 && six["autoconf"] != nil }

// listen sets one of the settings by which a link listens to routers. A kernel without IPv6 has none.
func (p *planner) listen(e *entry, name, value string, lenient bool) {
	path := sysctlPath("ipv6", e.name, name)
	if !lenient {
		p.sysctls = append(p.sysctls, sysctl{e, "ipv6", name, value})
	}
	p.steps = append(p.steps, Step{text: fmt.Sprintf("set %s of %s: %s", name, e.name, value), lenient: lenient, do: func() error {
		if err := writeSysctl(path, value); value != "0" || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}})
}

// setRouters has the routers of a link announce themselves that the kernel has not listened to until now, or forgets them.
func (p *planner) setRouters(e *entry) error {
	if e.asksRouters {
		p.steps = append(p.steps, Step{text: "ask the routers of " + e.name, lenient: true, do: func() error { return rtnetlink.AskRouters(e.name) }})
	}
	if e.forgetsRouters {
		p.step("forget the routers of "+e.name, func() error { return forgetRouters(e.name) })
	}
	return nil
}

// forgetRouters removes the routes that routers have announced over a link: gateways, and networks in which the link has no lasting
// address. They would go unseen later, when their time is up. A link that goes on listening keeps them.
func forgetRouters(name string) error {
	if accept, _ := readSysctl(sysctlPath("ipv6", name, "accept_ra")); accept != "0" {
		return nil
	}
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	addresses, err := rtnetlink.Dump(func() ([]netlink.Addr, error) { return netlink.AddrList(l, netlink.FAMILY_V6) })
	if err != nil {
		return err
	}
	return removeRoutes(l, netlink.FAMILY_V6, func(one netlink.Route) bool {
		isNet := one.Protocol == unix.RTPROT_KERNEL && one.Type == unix.RTN_UNICAST && one.Table != unix.RT_TABLE_LOCAL
		return one.Protocol == unix.RTPROT_RA || isNet && !holdsLasting(one.Dst, addresses)
	})
}

// holdsLasting tells whether one of the addresses that last is in a network. The one of IPv6's link-local addresses always is.
func holdsLasting(network *net.IPNet, addresses []netlink.Addr) bool {
	return network == nil || network.IP.IsLinkLocalUnicast() || slices.ContainsFunc(addresses, func(one netlink.Addr) bool {
		return one.Flags&unix.IFA_F_PERMANENT != 0 && network.Contains(one.IP)
	})
}
