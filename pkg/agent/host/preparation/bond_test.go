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
	"testing"

	"github.com/vishvananda/netlink/nl"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// TestBondOptionsThatAlterOthers: the kernel keeps delays as multiples of miimon, and another mode resets options.
func TestBondOptionsThatAlterOthers(t *testing.T) {
	const shown = "{interfaces: [{name: b, type: bond, state: up}]}"
	links := []rtnetlink.Link{link(1, "b", "bond", func(l *rtnetlink.Link) {
		l.Data = rtnetlink.Attributes{
			nl.IFLA_BOND_MODE: {1}, nl.IFLA_BOND_MIIMON: width(100, 4), nl.IFLA_BOND_UPDELAY: width(200, 4), nl.IFLA_BOND_DOWNDELAY: width(0, 4),
			nl.IFLA_BOND_ARP_INTERVAL: width(0, 4), nl.IFLA_BOND_ARP_VALIDATE: width(1, 4), nl.IFLA_BOND_RESEND_IGMP: width(1, 4),
		}
	})}
	for _, one := range []struct{ desired, steps string }{
		{"options: {miimon: 50, updelay: 200}", "set b: miimon=50; set b: updelay=200"},
		{"options: {miimon: 50}", "set b: miimon=50; set b: updelay=200"},
		{"options: {miimon: 50, updelay: 100}", "set b: miimon=50 updelay=100"},
		{"options: {miimon: 100, updelay: 200}", ""},
		{"options: {miimon: 0, updelay: 0}", "set b: miimon=0 updelay=0"},
		{"options: {resend_igmp: 2, updelay: 200}", "set b: resend_igmp=2"},
		{"mode: balance-xor, options: {arp_validate: active, miimon: 100}", "set b down; set b: mode=balance-xor; set b: miimon=100 arp_validate=active; set b up"},
	} {
		plan, err := New(asJSON(t, "{interfaces: [{name: b, type: bond, state: up, link-aggregation: {"+one.desired+"}}]}"), asJSON(t, shown), links)
		if err != nil {
			t.Fatal(err)
		}
		if got := stepsOf(plan); got != one.steps {
			t.Errorf("%s: the steps are\n%s\nand should be\n%s", one.desired, got, one.steps)
		}
	}
}
