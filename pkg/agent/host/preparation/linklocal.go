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
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// hasIPv6 tells whether IPv6 is to be on.
func (e *entry) hasIPv6() bool {
	return e.name != "lo" && e.state() == "up" && tree.Object(e.fields["ipv6"])["enabled"] == true
}

// wantsLinkLocalOnly tells whether IPv6 is to be on, with no address but the kernel's.
func (e *entry) wantsLinkLocalOnly() bool {
	for name, value := range tree.Object(e.fields["ipv6"]) {
		if name != "enabled" && name != "address" && !isOff(value) {
			return false
		}
	}
	return e.hasIPv6() && len(static(tree.Object(e.fields["ipv6"]))) == 0
}

// linkLocal is an address that the kernel has made of a link.
type linkLocal struct {
	link string
	net  *net.IPNet
}

// noteLinkLocals notes the link-local addresses of the links that are to have IPv6. libnmstate may have to make some of them yet.
func (p *Plan) noteLinkLocals() error {
	if len(p.withIPv6) == 0 {
		return nil
	}
	links, err := rtnetlink.Links()
	if err != nil {
		return fmt.Errorf("noting the link-local addresses: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		if slices.Contains(p.withIPv6, l.Name) {
			names[l.Index] = l.Name
		}
	}
	list, err := rtnetlink.Dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, unix.AF_INET6) })
	if err != nil {
		return fmt.Errorf("noting the link-local addresses: %w", err)
	}
	for _, one := range list {
		if name := names[one.LinkIndex]; name != "" && one.IP.IsLinkLocalUnicast() {
			p.linkLocals = append(p.linkLocals, linkLocal{name, one.IPNet})
		}
	}
	return nil
}

// hold notes what the kernel forgets when libnmstate sets links down and up.
func (p *Plan) hold() (err error) {
	p.held, err = rtnetlink.Hold()
	return err
}

// Tidy puts back what the kernel has by itself, and libnmstate has changed although no state asks for it: link-local addresses, which
// it removes if the state does not name them, and if it does; without one, a link finds no neighbour by IPv6. And what the
// kernel has forgotten because libnmstate has set links down and up, and the routes of the loopback.
func (p *Plan) Tidy() error {
	for _, one := range p.linkLocals {
		if err := addAddress(one.link, netlink.Addr{IPNet: one.net}); err != nil {
			return fmt.Errorf("putting the link-local address of %s back: %w", one.link, err)
		}
	}
	if err := p.held.PutBack(func(link string) bool { return !slices.Contains(p.withAddresses, link) }); err != nil {
		return err
	}
	return p.dropRoute()
}
