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
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// detail is what the kernel has of a link beyond what every link has: enough to make it again as it was. It is noted where no
// NetworkManager makes links.
type detail struct {
	rtnetlink.Link
	// Under is the name of the link below, or of a veth's other end.
	Under string `json:"under,omitempty"`
	// VLANs are those of a bridge or of its port, with their flags.
	VLANs map[uint16]uint16 `json:"vlans,omitempty"`
	// Settings are the link's own settings of IPv4 and IPv6, by their paths below /proc/sys/net. SettingsOnly tells that
	// nothing else is noted.
	Settings     map[string]string `json:"settings,omitempty"`
	SettingsOnly bool              `json:"settingsOnly,omitempty"`
	Driver       *driver           `json:"driver,omitempty"`
}

// linkSettings are the settings of a link that are noted: those that somebody sets.
var linkSettings = map[string][]string{
	"ipv4": {
		"accept_local", "accept_redirects", "accept_source_route", "arp_accept", "arp_announce", "arp_filter", "arp_ignore", "arp_notify", "forwarding",
		"ignore_routes_with_linkdown", "proxy_arp", "route_localnet", "rp_filter", "secure_redirects", "send_redirects", "src_valid_mark",
	},
	"ipv6": {
		"accept_dad", "accept_ra", "accept_ra_defrtr", "accept_redirects", "addr_gen_mode", "autoconf", "dad_transmits", "disable_ipv6", "forwarding",
		"keep_addr_on_down", "ndisc_notify", "proxy_ndp", "use_tempaddr",
	},
}

// noteDetails notes the details of the links in the scope, and their neighbours.
func (s *snapshot) noteDetails() error {
	if s.scope.managed {
		s.noteSettings()
		return nil
	}
	links, err := rtnetlink.Links()
	if err != nil {
		return err
	}
	rtnetlink.FindFollowers(links)
	lists, err := rtnetlink.VLANs()
	if err != nil {
		return err
	}
	tool, err := ethtool.NewEthtool()
	if err != nil {
		return fmt.Errorf("asking the drivers of links: %w", err)
	}
	defer tool.Close()
	names := map[int]string{}
	for _, l := range links {
		names[l.Index] = l.Name
	}
	for _, l := range links {
		noted, is := s.links[l.Name]
		if !is || noted.Owner == pods {
			continue
		}
		one := &detail{Link: l.Lasting(), VLANs: lists[l.Index], Settings: settingsOf(l.Name), Driver: driverOf(tool, l.Name, s.scope.all || s.scope.drivers)}
		if !l.Elsewhere {
			one.Under = names[l.Parent]
		}
		noted.Detail = one
		s.links[l.Name] = noted
	}
	return s.noteNeighbours(links)
}

// noteSettings notes the settings of the links that others have configured.
func (s *snapshot) noteSettings() {
	for name := range s.scope.foreign {
		if noted, is := s.links[name]; is && noted.Owner != pods {
			noted.Detail = &detail{Settings: settingsOf(name), SettingsOnly: true}
			s.links[name] = noted
		}
	}
}

// foreignIn returns the links in the scope that others than NetworkManager have configured.
func foreignIn(in scope, uses map[string]use) map[string]bool {
	if !isWritable() {
		return nil
	}
	found := map[string]bool{}
	for name, use := range uses {
		if in.has(name) && use.isOthers() {
			found[name] = true
		}
	}
	return found
}

// isWritable tells whether settings can be written: in a container without privileges they are read-only.
func isWritable() bool {
	return unix.Access("/proc/sys/net/ipv6/conf/default/accept_ra", unix.W_OK) == nil
}

// settingsOf reads the settings of a link. What cannot be read is not there.
func settingsOf(link string) map[string]string {
	found := map[string]string{}
	for family, names := range linkSettings {
		for _, name := range names {
			path := filepath.Join(family, "conf", link, name)
			if value, err := os.ReadFile(filepath.Join("/proc/sys/net", path)); err == nil {
				found[path] = strings.TrimSpace(string(value))
			}
		}
	}
	return found
}

// same tells whether a link is what it was. Flags but promiscuity are elsewhere, and indexes may change.
func (d *detail) same(other *detail) bool {
	if d == nil || other == nil {
		return true
	}
	return d.Kind == other.Kind && d.Under == other.Under && d.Label == other.Label && d.Queue == other.Queue && d.Group == other.Group &&
		d.Is(unix.IFF_PROMISC) == other.Is(unix.IFF_PROMISC) && sameData(d.Data, other.Data) && sameData(d.PortData, other.PortData) &&
		maps.Equal(d.VLANs, other.VLANs) && maps.Equal(d.Settings, other.Settings) && d.Driver.same(other.Driver)
}

func sameData(a, b rtnetlink.Attributes) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

// canStay tells whether a link can become what it was without being made again.
func (d *detail) canStay(was *detail) bool {
	if d == nil || was == nil || !rtnetlink.IsKnown(was.Kind) {
		return true
	}
	is := d.Link
	if d.Under == was.Under { // whatever index it has now
		is.Parent = was.Parent
	}
	return is.IsOf(was.Link)
}

// remake makes links again that are gone, each after those that it stands on. It returns those that it knows no way for, and
// those that the kernel refuses.
func (s *snapshot) remake(missing map[string]link) (left map[string]link, err error) {
	left = maps.Clone(missing)
	var errs []error
	var visit func(name string)
	visit = func(name string) {
		one, is := left[name]
		if !is || one.Detail == nil || !rtnetlink.IsKnown(one.Detail.Kind) || one.Detail.Elsewhere {
			return
		}
		delete(left, name)
		d := one.Detail
		var peer *rtnetlink.Link
		if d.Kind == "veth" {
			other, gone := missing[d.Under]
			if !gone || other.Detail == nil {
				left[name] = one // its other end is there without it
				return
			}
			delete(left, d.Under)
			peer = &other.Detail.Link
		} else if d.Under != "" {
			visit(d.Under)
		}
		if err := s.remakeOne(d, peer); err != nil {
			errs = append(errs, fmt.Errorf("making link %s again: %w", name, err))
			left[name] = one
		}
	}
	// In the order in which they were made, so that what a link names is there.
	names := slices.SortedFunc(maps.Keys(missing), func(a, b string) int { return s.indexes[a] - s.indexes[b] })
	for _, name := range names {
		visit(name)
	}
	return left, errors.Join(errs...)
}

// getsMAC tells whether a link still gets the MAC address that it had from links that are to be put back first: from the one below, or from
// ports. Given to it, the address would not follow them any more.
func (s *snapshot) getsMAC(name string, now *snapshot) bool {
	d := s.links[name].Detail
	switch {
	case d == nil || !d.Follows:
		return false
	case d.Kind != "bridge" && d.Kind != "bond":
		return now.links[d.Under].MAC != s.links[d.Under].MAC
	}
	for other, was := range s.links {
		is := now.links[other]
		if (was.Master == name) != (is.Master == name) || was.Master == name && d.Kind == "bridge" && is.MAC != was.MAC {
			return true
		}
	}
	return false
}

func (s *snapshot) remakeOne(d *detail, peer *rtnetlink.Link) error {
	l := d.Link
	if d.Under != "" && d.Kind != "veth" {
		under, err := rtnetlink.LinkByName(d.Under)
		if err != nil {
			return err
		}
		l.Parent = under.Index
	}
	return l.Make(peer)
}

// mendDetail sets what is different of the details of a link that is there.
func mendDetail(name string, was *detail) error {
	if was == nil {
		return nil
	}
	if was.SettingsOnly {
		return mendSettings(name, was)
	}
	is, err := rtnetlink.LinkByName(name)
	if err != nil {
		return err
	}
	var errs []error
	if rtnetlink.IsKnown(was.Kind) || was.Kind == "" {
		errs = append(errs, was.Mend(is.Lasting()))
	}
	change := rtnetlink.Change{Index: is.Index}
	if is.Is(unix.IFF_PROMISC) != was.Is(unix.IFF_PROMISC) {
		change.Mask, change.Flags = unix.IFF_PROMISC, was.Flags&unix.IFF_PROMISC
	}
	if is.Queue != was.Queue {
		change.Queue = &was.Queue
	}
	if is.Group != was.Group {
		change.Group = &was.Group
	}
	if change.Mask != 0 || change.Queue != nil || change.Group != nil {
		errs = append(errs, change.Do())
	}
	if is.Label != was.Label {
		errs = append(errs, netlink.LinkSetAlias(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: is.Index}}, was.Label))
	}
	lists, err := rtnetlink.VLANs()
	if err == nil && !maps.Equal(lists[is.Index], was.VLANs) && (is.Controller != 0 || is.Kind == "bridge") {
		err = rtnetlink.SetVLANs(is.Index, is.Controller == 0, lists[is.Index], was.VLANs)
	}
	return errors.Join(append(errs, err, mendSettings(name, was))...)
}

// mendSettings sets the settings of a link that are different.
func mendSettings(name string, was *detail) error {
	var errs []error
	now := settingsOf(name)
	for path, value := range was.Settings {
		if _, is := now[path]; is && now[path] != value {
			errs = append(errs, os.WriteFile(filepath.Join("/proc/sys/net", path), []byte(value), 0o644))
		}
	}
	accept := filepath.Join("ipv6", "conf", name, "accept_ra")
	if was, is := was.Settings[accept], now[accept]; is == "0" && was != "" && was != is {
		_ = rtnetlink.AskRouters(name) // their routes come at once, if they answer
	}
	return errors.Join(errs...)
}
