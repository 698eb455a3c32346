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
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// noGeneration is the value of addr_gen_mode with which the kernel makes no link-local addresses (IN6_ADDR_GEN_MODE_NONE).
const noGeneration = "1"

// hasIPv6 tells whether IPv6 is to be on.
func (e *entry) hasIPv6() bool {
	return e.name != "lo" && e.state() == "up" && tree.Object(e.fields["ipv6"])["enabled"] == true
}

// wantsLinkLocalOnly tells whether IPv6 is switched on of a link with a carrier, and the kernel's address is all that it is to have.
func (p *planner) wantsLinkLocalOnly(e *entry) bool {
	ip := tree.Object(e.fields["ipv6"])
	for name, value := range ip {
		if name != "enabled" && !isOff(value) {
			return false
		}
	}
	return e.hasIPv6() && e.is != nil && !p.again[e.name] && e.is.Is(unix.IFF_UP) && e.is.Is(unix.IFF_RUNNING) && tree.Object(e.current["ipv6"])["enabled"] == false
}

// MakeLinkLocals has the kernel make the link-local addresses again that libnmstate has removed: it removes all that the state
// does not name, and takes no notice of link-local ones that are named. Without one, a link finds no neighbour by IPv6.
func (p *Plan) MakeLinkLocals() error {
	var errs []error
	for _, name := range p.withIPv6 {
		if err := makeLinkLocal(name); err != nil {
			errs = append(errs, fmt.Errorf("making the link-local address of %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func makeLinkLocal(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if of := l.Attrs(); of.RawFlags&(unix.IFF_UP|unix.IFF_RUNNING) != unix.IFF_UP|unix.IFF_RUNNING || len(of.HardwareAddr) != 6 {
		return nil // the kernel makes none
	}
	list, err := rtnetlink.Dump(func() ([]netlink.Addr, error) { return netlink.AddrList(l, unix.AF_INET6) })
	if err != nil || slices.ContainsFunc(list, func(one netlink.Addr) bool { return one.IP.IsLinkLocalUnicast() }) {
		return err
	}
	path := filepath.Join("/proc/sys/net/ipv6/conf", name, "addr_gen_mode")
	mode, err := os.ReadFile(path)
	if err != nil || strings.TrimSpace(string(mode)) == noGeneration {
		return err
	}
	// The kernel makes the address when the mode changes.
	return errors.Join(os.WriteFile(path, []byte(noGeneration), 0o644), os.WriteFile(path, mode, 0o644))
}
