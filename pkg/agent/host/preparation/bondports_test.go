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
	"net"
	"testing"

	"github.com/vishvananda/netlink/nl"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// TestBondKeepsMAC: a bond whose ports leave it for a moment has its MAC address afterwards, from the port that has given it if there is one.
func TestBondKeepsMAC(t *testing.T) {
	const shown = `
interfaces:
- {name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, port: [eth2, eth1]}}
- {name: eth1, type: ethernet, state: up, controller: bond0}
- {name: eth2, type: ethernet, state: up, controller: bond0}
`
	own := func(last byte) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, last} }
	for _, one := range []struct {
		name, more, options string
		mac                 net.HardwareAddr
		follows             bool
		between             string
	}{
		{"that of the second port", "", "", own(2), true, "attach eth2 to bond0; attach eth1 to bond0"},
		{"that of the second port, as its own", "", "", own(2), false, "set the MAC address of bond0: 02:00:00:00:00:02; attach eth2 to bond0; attach eth1 to bond0"},
		{"that of a port that has left", "", "", own(9), true, "set the MAC address of bond0: 02:00:00:00:00:09; attach eth1 to bond0; attach eth2 to bond0"},
		{"its own, which the state gives", ", mac-address: '02:00:00:00:00:09'", "", own(9), false, "set the MAC address of bond0: 02:00:00:00:00:09; attach eth1 to bond0; attach eth2 to bond0"},
		{"that of the active port", "", ", options: {fail_over_mac: active}", own(9), true, "attach eth1 to bond0; attach eth2 to bond0"},
	} {
		t.Run(one.name, func(t *testing.T) {
			port := func(index int, name string) rtnetlink.Link {
				return link(index, name, "", func(l *rtnetlink.Link) {
					l.Controller, l.MAC, l.PortData = 3, one.mac, rtnetlink.Attributes{nl.IFLA_BOND_SLAVE_PERM_HWADDR: own(byte(index))}
				})
			}
			bond := link(3, "bond0", "bond", func(l *rtnetlink.Link) {
				l.MAC, l.Follows, l.Data = one.mac, one.follows, rtnetlink.Attributes{nl.IFLA_BOND_MODE: {2}, nl.IFLA_BOND_FAIL_OVER_MAC: {0}}
			})
			set := "set bond0: mode=active-backup; "
			if one.options != "" {
				set = "set bond0: mode=active-backup fail_over_mac=active; "
			}
			planOf(t, "{interfaces: [{name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, port: [eth1, eth2]"+one.options+"}"+one.more+"}]}", shown,
				[]rtnetlink.Link{port(1, "eth1"), port(2, "eth2"), bond}, "detach eth1; detach eth2; set bond0 down; "+set+one.between+"; set bond0 up; set eth1 up; set eth2 up")
		})
	}
}
