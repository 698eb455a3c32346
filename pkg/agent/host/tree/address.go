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

package tree

import (
	"net/netip"
	"strings"
)

const (
	// Lifetime is the field that tells how long an address is valid. libnmstate
	// takes an address with any value but Forever for a dynamic one, which it does
	// not configure.
	Lifetime = "valid-life-time"
	Forever  = "forever"
	// Dynamic is what is shown instead of the seconds, which change all the time.
	// An address that is sent back with it stays a lease.
	Dynamic = "dynamic"
	// Protocol is the field that tells who made an address. libnmstate does not
	// configure an address with a number there: it is another program's. The names
	// are the kernel's, which not every version tells.
	Protocol = "protocol"
)

// IsDynamic tells whether an address ends by itself unless somebody renews it: it
// is from DHCP or from a router's advertisement.
func IsDynamic(address map[string]any) bool {
	value, given := address[Lifetime]
	return given && value != Forever
}

// CIDR returns an address with the length of its prefix.
func CIDR(address map[string]any) string {
	return StringAt(address, "ip") + "/" + Text(address["prefix-length"])
}

// IsForeign tells whether another program has marked the address as its own.
func IsForeign(address map[string]any) bool {
	return strings.HasPrefix(StringAt(address, Protocol), "0x")
}

// IsLinkLocal tells whether an address is one of IPv6's that are valid on one link alone. The kernel makes them.
func IsLinkLocal(address map[string]any) bool {
	ip, err := netip.ParseAddr(StringAt(address, "ip"))
	return err == nil && ip.Is6() && ip.IsLinkLocalUnicast()
}
