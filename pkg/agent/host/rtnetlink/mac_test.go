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
	"net"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// TestWhileDown: a driver that takes a MAC address only while its link is down costs no routes and no IPv6 addresses. What went
// with an address stays away.
func TestWhileDown(t *testing.T) {
	netns.Run(t, "sh", "-c", `ip link add slow0 type veth peer name slow1; ip link set slow0 up; ip link set slow1 up
		ip addr add 192.0.2.1/24 dev slow0; ip addr add 2001:db8::1/64 dev slow0 nodad; ip addr add 198.51.100.1/24 dev slow1
		ip route add default via 192.0.2.2; ip route add 203.0.113.0/24 dev slow0 table 77 proto dhcp metric 5; ip -6 route add 2001:db8:1::/64 via 2001:db8::2
		ip route add 198.18.0.0/24 metric 6 nexthop via 192.0.2.2 dev slow0 weight 1 nexthop via 198.51.100.2 dev slow1 weight 2; ip route add 198.18.1.0/24 dev slow1`)
	defer netns.Run(t, "ip", "link", "del", "slow0")
	var indexes []int
	for _, name := range []string{"slow0", "slow1"} {
		l, err := LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		indexes = append(indexes, l.Index)
	}
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	if err := whileDown(indexes, func() error {
		netns.Run(t, "ip", "addr", "flush", "dev", "slow1")
		return Change{Index: indexes[0], MAC: mac}.Do()
	}); err != nil {
		t.Fatal(err)
	}
	shown := strings.Join(strings.Fields(netns.Run(t, "sh", "-c", "ip link show slow0; ip -6 addr show slow0; ip route show table all; ip -6 route")), " ")
	for _, want := range []string{
		mac.String(), "2001:db8::1/64", "default via 192.0.2.2 dev slow0", "203.0.113.0/24 dev slow0 table 77 proto dhcp scope link metric 5", "2001:db8:1::/64 via 2001:db8::2",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is gone:\n%s", want, shown)
		}
	}
	if strings.Contains(shown, "198.18.") {
		t.Errorf("a route over a link without addresses is there:\n%s", shown)
	}
}
