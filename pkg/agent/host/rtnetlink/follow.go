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

package rtnetlink

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink/nl"
)

// What the kernel says of the origin of a MAC address (include/uapi/linux/netdevice.h).
const (
	randomMAC = "1" // NET_ADDR_RANDOM
	stolenMAC = "2" // NET_ADDR_STOLEN
)

// FindFollowers sets Follows of links.
func FindFollowers(links []Link) {
	for i, l := range links {
		switch l.Kind {
		case "macvlan", "macvtap":
			// The only one over its base has the base's address.
			links[i].Follows = Number(l.Data[nl.IFLA_MACVLAN_MODE]) == nl.MACVLAN_MODE_PASSTHRU
		default:
			links[i].Follows = Follows(l.Name, l.Kind)
		}
	}
}

// Follows tells whether the MAC address of a bond, a bridge or a VLAN is that of a port or of the link below, and changes with it. Only
// sysfs tells the origin of a MAC address. If it cannot be read, the link counts as one that follows no other.
func Follows(name, kind string) bool {
	if !FollowsPorts(kind) && kind != "vlan" {
		return false
	}
	text, err := os.ReadFile(filepath.Join("/sys/class/net", name, "addr_assign_type"))
	origin := strings.TrimSpace(string(text))
	// A bridge or bond has a random one until it gets ports.
	return err == nil && (origin == stolenMAC || origin == randomMAC && FollowsPorts(kind))
}

// FollowsPorts tells whether a link of this kind gets its MAC address from its ports unless somebody sets one.
func FollowsPorts(kind string) bool { return kind == "bridge" || kind == "bond" }
