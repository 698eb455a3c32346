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
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// matchesRoute tells whether a route's entry in a state means a route of the
// kernel. Fields that it does not look at make it match more, which only means
// that more is put back if it is missing.
func matchesRoute(entry map[string]any, r netlink.Route) bool {
	hops := []net.IP{r.Gw}
	for _, hop := range r.MultiPath {
		hops = append(hops, hop.Gw)
	}
	return matchesPrefix(entry["destination"], r.Dst, r.Family, true) &&
		matchesHop(entry["next-hop-address"], hops) &&
		matchesNumber(entry["table-id"], 0, uint64(r.Table))
}

// matchesNowhere is matchesRoute for routes that are over no link. Its fields are
// all of those that nmstate matches: what it means too much could be another program's.
func matchesNowhere(entry map[string]any, r netlink.Route) bool {
	kinds := map[string]int{"blackhole": unix.RTN_BLACKHOLE, "unreachable": unix.RTN_UNREACHABLE, "prohibit": unix.RTN_PROHIBIT}
	kind, isText := entry["route-type"].(string)
	return entry["next-hop-interface"] == nil && (!isText || kinds[kind] == r.Type) &&
		matchesNumber(entry["metric"], -1, uint64(max(r.Priority, 0))) && matchesRoute(entry, r)
}

// matchesRule is matchesRoute for rules. Its fields are all of those that nmstate
// matches: a rule that it means too much for could be another program's.
func matchesRule(entry map[string]any, r netlink.Rule) bool {
	mask := uint64(0)
	if r.Mask != nil {
		mask = uint64(*r.Mask)
	}
	return matchesFamily(entry, r.Family) &&
		matchesPrefix(entry["ip-from"], r.Src, r.Family, false) &&
		matchesPrefix(entry["ip-to"], r.Dst, r.Family, false) &&
		(entry["iif"] == nil || tree.SameValue(entry["iif"], r.IifName)) &&
		matchesNumber(entry["priority"], -1, uint64(max(r.Priority, 0))) &&
		matchesNumber(entry["route-table"], 0, uint64(r.Table)) &&
		matchesNumber(entry["fwmark"], noDefault, uint64(r.Mark)) &&
		matchesNumber(entry["fwmask"], noDefault, mask) &&
		matchesNumber(entry["suppress-prefix-length"], noDefault, uint64(r.SuppressPrefixlen)) &&
		matchesAction(entry["action"], r.Type)
}

func matchesFamily(entry map[string]any, family int) bool {
	switch entry["family"] {
	case "ipv4":
		return family == unix.AF_INET
	case "ipv6":
		return family == unix.AF_INET6
	}
	return true
}

// matchesPrefix compares an address or prefix. Without one any matches; "" is a
// wildcard, or means that there must be none.
func matchesPrefix(wanted any, is *net.IPNet, family int, wildcard bool) bool {
	given, isText := wanted.(string)
	if !isText || given == "" && wildcard {
		return true
	}
	has := netip.Prefix{}
	if is != nil {
		has, _ = netip.ParsePrefix(is.String())
	}
	if given == "" {
		return !has.IsValid() || has.Bits() == 0
	}
	prefix, err := tree.Prefix(given)
	if err != nil {
		return true
	}
	if is == nil { // everything
		return prefix.Bits() == 0 && prefix.Addr().Is4() == (family == unix.AF_INET)
	}
	return prefix == has
}

func matchesHop(wanted any, hops []net.IP) bool {
	given, isText := wanted.(string)
	if !isText {
		return true
	}
	addr, err := netip.ParseAddr(given)
	for _, hop := range hops {
		has, is := netip.AddrFromSlice(hop)
		if given == "" && !is || err == nil && is && has.Unmap() == addr {
			return true
		}
	}
	return given != "" && err != nil
}

// noDefault is no value that a number has, which stands for any.
const noDefault = -2

// matchesNumber compares a number, which may be given as text, in hexadecimal
// too. Without one, and with the default, any matches.
func matchesNumber(wanted any, anyOf int64, is uint64) bool {
	if wanted == nil {
		return true
	}
	number, err := strconv.ParseInt(strings.TrimSpace(tree.Text(wanted)), 0, 64)
	return err != nil || number == anyOf || uint64(number) == is
}

// matchesAction compares what a rule does with what it matches.
func matchesAction(wanted any, is uint8) bool {
	switch wanted {
	case "blackhole":
		return is == unix.FR_ACT_BLACKHOLE
	case "unreachable":
		return is == unix.FR_ACT_UNREACHABLE
	case "prohibit":
		return is == unix.FR_ACT_PROHIBIT
	}
	return true
}
