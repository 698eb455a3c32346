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

package host

import (
	"net/netip"
	"slices"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// ipRules returns the rules of the fields of ipv4 and ipv6.
func ipRules() map[string]rule {
	table := map[string]rule{
		"enabled":             compareEnabled,
		"allow-extra-address": notCompared,
		"dhcp":                whileEnabled(plain),
		"autoconf":            whileEnabled(plain),
		"address":             whileEnabled(compareAddresses),
		"token":               whileEnabled(unlessShown("::")),
		// nmstate takes -1 for the default metric.
		"prefix-route-metric": whileEnabled(unlessShown("-1")),
		"auto-route-metric":   whileAutomatic(unlessShown("-1")),
		"auto-route-table-id": whileAutomatic(unlessShown("0")),
		"forwarding":          whileEnabled(plain),
	}
	for _, name := range []string{
		"auto-dns", "auto-gateway", "auto-routes", "dhcp-client-id", "dhcp-send-hostname", "dhcp-custom-hostname",
	} {
		table[name] = whileAutomatic(plain)
	}
	return table
}

// whileEnabled compares a field that has no meaning while IP is to be off.
func whileEnabled(compare rule) rule {
	return func(c *comparison, p property) (any, bool) {
		if p.in["enabled"] == false {
			return nil, false
		}
		return compare(c, p)
	}
}

// whileAutomatic compares a field that has a meaning only with DHCP or, in IPv6,
// router advertisements. nmstate's own comparison adds some that are not desired.
func whileAutomatic(compare rule) rule {
	return func(c *comparison, p property) (any, bool) {
		if p.in[p.name] == nil || !isAutomatic(p.in, p.thereIn) {
			return nil, false
		}
		return whileEnabled(compare)(c, p)
	}
}

// isAutomatic tells whether addresses are to be assigned by others. What is not
// mentioned stays as it is.
func isAutomatic(in, thereIn map[string]any) bool {
	for _, name := range []string{"dhcp", "autoconf"} {
		if in[name] == true || in[name] == nil && thereIn[name] == true {
			return true
		}
	}
	return false
}

// compareEnabled compares whether IP is on. It does not count for IPv4 if there is
// to be no address: then it depends on the routes that there are.
func compareEnabled(c *comparison, p property) (any, bool) {
	list, given := p.in["address"].([]any)
	if p.path == "ipv4.enabled" && given && len(static(list)) == 0 && !isAutomatic(p.in, nil) && len(static(tree.Items(p.thereIn["address"]))) == 0 {
		return nil, false
	}
	return plain(c, p)
}

// compareAddresses compares static addresses. An additional address is a difference
// only if allow-extra-address is false; nmstate's default is true.
func compareAddresses(_ *comparison, p property) (any, bool) {
	wanted, there := static(tree.Items(p.wanted)), static(tree.Items(p.there))
	for _, prefix := range wanted {
		if !slices.Contains(there, prefix) {
			return p.wanted, true
		}
	}
	for _, prefix := range there {
		if p.in["allow-extra-address"] == false && !slices.Contains(wanted, prefix) {
			return p.wanted, true
		}
	}
	return nil, false
}

// static returns the addresses, with prefix length, that are neither leases nor
// link-local ones of IPv6. nmstate ignores the others in a desired state.
func static(list []any) []string {
	var found []string
	for _, item := range list {
		fields := tree.Object(item)
		lifetime := fields["valid-life-time"]
		ip, err := netip.ParseAddr(tree.Text(fields["ip"]))
		if err != nil || ip.Is6() && ip.IsLinkLocalUnicast() || lifetime != nil && lifetime != "forever" {
			continue
		}
		found = append(found, ip.String()+"/"+tree.Text(fields["prefix-length"]))
	}
	return found
}
