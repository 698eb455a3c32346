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

package transaction

import (
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// TestPortsStayUp applies states that a port has, or gets before libnmstate is asked: the port carries frames all the time.
func TestPortsStayUp(t *testing.T) {
	const bridge = "ip link add br0 type bridge; ip link set br0 up; ip link set eth1 master br0; ip link set eth2 master br0"
	const bond = "ip link add bond1 type bond mode active-backup miimon 100; ip link set eth1 down; ip link set eth1 master bond1; ip link set eth2 down; ip link set eth2 master bond1; " +
		"ip link set bond1 up; ip link add br0 type bridge; ip link set br0 up; ip link set bond1 master br0"
	for _, one := range []struct{ name, before, state string }{
		{"new port", "ip link add br0 type bridge; ip link set br0 up",
			"{interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {options: {stp: {enabled: false}}, port: [{name: eth1}]}}, {name: eth1, type: ethernet, state: up, mtu: 1400}]}"},
		{"port of a new bridge", "",
			"{interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {options: {stp: {enabled: false}}, port: [{name: eth1}]}}, {name: eth1, type: ethernet, state: up, ipv4: {enabled: false}}]}"},
		{"another MTU", bridge, "{interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1400}]}"},
		{"by its MAC address", bridge, "{interfaces: [{name: uplink, type: ethernet, state: up, identifier: mac-address, mac-address: '02:00:00:00:01:01'}]}"},
		{"by its name, as is the default", "", "{interfaces: [{name: eth1, type: ethernet, state: up, identifier: name}]}"},
		{"what asks for nothing", bridge, "{interfaces: [{name: eth1, type: ethernet, state: up, wait-ip: any, profile-name: eth1, ipv6: {enabled: false, token: '::'}}]}"},
		{"in other words", bridge, "{interfaces: [{name: eth1, type: ethernet, state: up, mtu: '1500', ethtool: {feature: {gso: true}}}]}"},
		{"bond, in other words", bond, "{interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {options: {stp: {enabled: false}}, port: [{name: bond1}]}}, " +
			"{name: bond1, type: bond, state: up, link-aggregation: {mode: '1', options: {miimon: '100'}, ports: [eth2, eth1]}}, {name: eth1, type: ethernet, state: up}]}"},
	} {
		t.Run(one.name, func(t *testing.T) {
			freshNetwork(t)
			if one.before == bond && !has("bond") {
				t.Skip("this kernel has no bond")
			}
			if one.before != "" {
				netns.Run(t, "sh", "-c", one.before)
			}
			updates, done := make(chan netlink.LinkUpdate, 1024), make(chan struct{})
			defer close(done)
			if err := netlink.LinkSubscribe(updates, done); err != nil {
				t.Fatal(err)
			}
			if err := applyState(t.Context(), asJSON(t, one.state)); err != nil {
				t.Fatalf("applying: %v", err)
			}
			netns.Run(t, "ip", "link", "set", "eth3", "alias", "applied")
			for update := range updates {
				attributes := update.Attrs()
				if (attributes.Name == "eth1" || attributes.Name == "bond1") && update.IfInfomsg.Flags&unix.IFF_UP == 0 {
					t.Errorf("%s was set down", attributes.Name)
				}
				if attributes.Alias == "applied" {
					break
				}
			}
		})
	}
}
