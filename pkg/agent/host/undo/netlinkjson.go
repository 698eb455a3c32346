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
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The structs of the netlink library have interfaces as fields, which JSON cannot read
// back, and net.IP, whose text does not tell whether an IPv4 address has 4 bytes or 16.
// The types of this file have what JSON reads back as it was.

// prefixOf returns an address with its mask, nil for nil.
func prefixOf(n *net.IPNet) *netip.Prefix {
	if n == nil {
		return nil
	}
	ip := n.IP
	if ip4 := ip.To4(); ip4 != nil && len(n.Mask) == net.IPv4len {
		ip = ip4
	}
	address, _ := netip.AddrFromSlice(ip)
	bits, _ := n.Mask.Size()
	prefix := netip.PrefixFrom(address, bits)
	return &prefix
}

// netOf is prefixOf's opposite.
func netOf(p *netip.Prefix) *net.IPNet {
	if p == nil || !p.IsValid() {
		return nil
	}
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// addrOf returns an address, nil for nil.
func addrOf(ip net.IP) *netip.Addr {
	address, ok := netip.AddrFromSlice(ip)
	if !ok {
		return nil
	}
	return &address
}

// ipOf is addrOf's opposite.
func ipOf(a *netip.Addr) net.IP {
	if a == nil || !a.IsValid() {
		return nil
	}
	return a.AsSlice()
}

// filled returns the exported fields of a struct that are not zero, without those whose
// types JSON cannot read back: these are given in special, by the fields' names.
func filled(of any, special map[string]any) map[string]any {
	fields := map[string]any{}
	value := reflect.ValueOf(of)
	for i := range value.NumField() {
		name := value.Type().Field(i).Name
		if _, is := special[name]; !is && !value.Field(i).IsZero() {
			fields[name] = value.Field(i).Interface()
		}
	}
	for name, one := range special {
		if one != nil && !reflect.ValueOf(one).IsZero() {
			fields[name] = one
		}
	}
	return fields
}

// addressesJSON is what addresses are in JSON.
type addressesJSON struct {
	Link   string          `json:"link"`
	Family int             `json:"family"`
	List   []addressJSON   `json:"list,omitempty"`
	Marks  map[string]byte `json:"marks,omitempty"`
	Noted  time.Time       `json:"noted"`
}

type addressJSON struct {
	Address   netip.Prefix  `json:"address"`
	Label     string        `json:"label,omitempty"`
	Flags     int           `json:"flags,omitempty"`
	Scope     int           `json:"scope,omitempty"`
	Peer      *netip.Prefix `json:"peer,omitempty"`
	Broadcast *netip.Addr   `json:"broadcast,omitempty"`
	Valid     int           `json:"valid,omitempty"`
	Preferred int           `json:"preferred,omitempty"`
	LinkIndex int           `json:"linkIndex,omitempty"`
}

func (a addresses) MarshalJSON() ([]byte, error) {
	document := addressesJSON{Link: a.link, Family: a.family, Marks: a.marks, Noted: a.noted}
	for _, one := range a.list {
		document.List = append(document.List, addressJSON{
			Address: *prefixOf(one.IPNet), Label: one.Label, Flags: one.Flags, Scope: one.Scope,
			Peer: prefixOf(one.Peer), Broadcast: addrOf(one.Broadcast),
			Valid: one.ValidLft, Preferred: one.PreferedLft, LinkIndex: one.LinkIndex,
		})
	}
	return json.Marshal(document)
}

func (a *addresses) UnmarshalJSON(raw []byte) error {
	var document addressesJSON
	if err := json.Unmarshal(raw, &document); err != nil {
		return err
	}
	if document.Family != unix.AF_INET && document.Family != unix.AF_INET6 {
		return fmt.Errorf("%d is not the family of addresses", document.Family)
	}
	*a = addresses{link: document.Link, family: document.Family, marks: document.Marks, noted: document.Noted}
	for _, one := range document.List {
		if !one.Address.IsValid() {
			return errors.New("an address has no IP")
		}
		a.list = append(a.list, netlink.Addr{
			IPNet: netOf(&one.Address), Label: one.Label, Flags: one.Flags, Scope: one.Scope,
			Peer: netOf(one.Peer), Broadcast: ipOf(one.Broadcast),
			ValidLft: one.Valid, PreferedLft: one.Preferred, LinkIndex: one.LinkIndex,
		})
	}
	return nil
}

// routeJSON is what a route is in JSON. The fields that are not named here are those of
// netlink.Route.
type routeJSON struct {
	netlink.Route
	Dst       *netip.Prefix
	Src, Gw   *netip.Addr
	MultiPath []hopJSON
	NewDst    *netlink.MPLSDestination
	Encap     *encapJSON
	Via       *viaJSON
	Owner     owner
	Link      string
	Hops      []string
}

// hopJSON is one of a route's next hops.
type hopJSON struct {
	LinkIndex, Hops, Flags int
	Gw                     *netip.Addr              `json:",omitempty"`
	NewDst                 *netlink.MPLSDestination `json:",omitempty"`
	Encap                  *encapJSON               `json:",omitempty"`
	Via                    *viaJSON                 `json:",omitempty"`
}

// encapJSON is an encapsulation; one of the fields is set. What the library cannot give
// back to the kernel is not noted, see isKnown.
type encapJSON struct {
	MPLS      *netlink.MPLSEncap      `json:",omitempty"`
	SEG6      *netlink.SEG6Encap      `json:",omitempty"`
	SEG6Local *netlink.SEG6LocalEncap `json:",omitempty"`
}

func encapOf(encap netlink.Encap) *encapJSON {
	switch encap := encap.(type) {
	case *netlink.MPLSEncap:
		return &encapJSON{MPLS: encap}
	case *netlink.SEG6Encap:
		return &encapJSON{SEG6: encap}
	case *netlink.SEG6LocalEncap:
		return &encapJSON{SEG6Local: encap}
	}
	return nil
}

func (e *encapJSON) encap() netlink.Encap {
	switch {
	case e == nil:
	case e.MPLS != nil:
		return e.MPLS
	case e.SEG6 != nil:
		return e.SEG6
	case e.SEG6Local != nil:
		return e.SEG6Local
	}
	return nil
}

// viaJSON is a next hop of another family than the route.
type viaJSON struct{ Address netip.Addr }

func viaOf(via netlink.Destination) *viaJSON {
	if via, is := via.(*netlink.Via); is {
		if address := addrOf(via.Addr); address != nil {
			return &viaJSON{*address}
		}
	}
	return nil
}

func (v *viaJSON) via() netlink.Destination {
	if v == nil || !v.Address.IsValid() {
		return nil
	}
	family := unix.AF_INET6
	if v.Address.Is4() {
		family = unix.AF_INET
	}
	return &netlink.Via{AddrFamily: family, Addr: v.Address.AsSlice()}
}

// labelsOf returns the MPLS labels that a route changes to.
func labelsOf(destination netlink.Destination) *netlink.MPLSDestination {
	labels, _ := destination.(*netlink.MPLSDestination)
	return labels
}

// destinationOf is labelsOf's opposite. A nil pointer in an interface is not nil.
func destinationOf(labels *netlink.MPLSDestination) netlink.Destination {
	if labels == nil {
		return nil
	}
	return labels
}

func (r route) MarshalJSON() ([]byte, error) {
	var hops []hopJSON
	for _, hop := range r.MultiPath {
		hops = append(hops, hopJSON{
			LinkIndex: hop.LinkIndex, Hops: hop.Hops, Flags: hop.Flags, Gw: addrOf(hop.Gw),
			NewDst: labelsOf(hop.NewDst), Encap: encapOf(hop.Encap), Via: viaOf(hop.Via),
		})
	}
	fields := filled(r.Route, map[string]any{
		"Dst": prefixOf(r.Dst), "Src": addrOf(r.Src), "Gw": addrOf(r.Gw), "MultiPath": hops,
		"NewDst": labelsOf(r.NewDst), "Encap": encapOf(r.Encap), "Via": viaOf(r.Via),
		"Owner": r.owner, "Link": r.link, "Hops": r.hops,
	})
	return json.Marshal(fields)
}

func (r *route) UnmarshalJSON(raw []byte) error {
	var document routeJSON
	if err := json.Unmarshal(raw, &document); err != nil {
		return err
	}
	if len(document.Hops) != len(document.MultiPath) {
		return fmt.Errorf("a route has %d next hops over %d links", len(document.MultiPath), len(document.Hops))
	}
	*r = route{Route: document.Route, owner: document.Owner, link: document.Link, hops: document.Hops}
	r.Dst, r.Src, r.Gw = netOf(document.Dst), ipOf(document.Src), ipOf(document.Gw)
	r.NewDst, r.Encap, r.Via = destinationOf(document.NewDst), document.Encap.encap(), document.Via.via()
	for _, hop := range document.MultiPath {
		r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{
			LinkIndex: hop.LinkIndex, Hops: hop.Hops, Flags: hop.Flags, Gw: ipOf(hop.Gw),
			NewDst: destinationOf(hop.NewDst), Encap: hop.Encap.encap(), Via: hop.Via.via(),
		})
	}
	return nil
}

// ruleJSON is what a rule is in JSON. The fields that are not named here are those of
// netlink.Rule.
type ruleJSON struct {
	netlink.Rule
	Src, Dst *netip.Prefix
}

func (r notedRule) MarshalJSON() ([]byte, error) {
	return json.Marshal(filled(r.Rule, map[string]any{"Src": prefixOf(r.Src), "Dst": prefixOf(r.Dst)}))
}

func (r *notedRule) UnmarshalJSON(raw []byte) error {
	var document ruleJSON
	if err := json.Unmarshal(raw, &document); err != nil {
		return err
	}
	*r = notedRule{document.Rule}
	r.Src, r.Dst = netOf(document.Src), netOf(document.Dst)
	return nil
}
