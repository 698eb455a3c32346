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

// FindFollowers sets Follows of links. Only sysfs tells the origin of a MAC address. If it cannot be read, the
// link counts as one that follows no other.
func FindFollowers(links []Link) {
	for i, l := range links {
		switch l.Kind {
		case "macvlan", "macvtap":
			// The only one over its base has the base's address.
			links[i].Follows = Number(l.Data[nl.IFLA_MACVLAN_MODE]) == nl.MACVLAN_MODE_PASSTHRU
		case "bond", "bridge", "vlan":
			origin, err := os.ReadFile(filepath.Join("/sys/class/net", l.Name, "addr_assign_type"))
			links[i].Follows = err == nil && l.follows(strings.TrimSpace(string(origin)))
		}
	}
}

// follows tells whether a link follows others by the origin of its address. A bridge or bond has a random one until it gets ports.
func (l Link) follows(origin string) bool {
	return origin == stolenMAC || origin == randomMAC && (l.Kind == "bridge" || l.Kind == "bond")
}
