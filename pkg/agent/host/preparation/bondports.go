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
	"bytes"
	"net"
	"slices"

	"github.com/vishvananda/netlink/nl"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// isEmptied tells whether a bond that is there has to do without its ports for a moment.
func (p *planner) isEmptied(e *entry) bool {
	fixed, free, err := p.settingsOf(e)
	if err != nil || e.is == nil || e.kind != "bond" {
		return false
	}
	_, empty := bondNeeds(differing(slices.Concat(fixed, free), e.is.Data, p.index))
	return empty
}

// portsOf returns the names of the ports that an interface has now.
func (p *planner) portsOf(e *entry) []string {
	var names []string
	for _, name := range slices.Sorted(keysOf(p.links)) {
		if e.is != nil && p.links[name].Controller == e.is.Index {
			names = append(names, name)
		}
	}
	return names
}

// portsToBe returns the names of the ports to attach. Those of a bond whose ports the state does not give are those that it has. A bond
// without ports takes the MAC address of the first one: if a bond has got its address so, the same port comes first again.
func (p *planner) portsToBe(e *entry) []string {
	ports, given := p.ports(e)
	if e.kind != "bond" {
		return ports
	}
	if !given {
		ports = slices.DeleteFunc(p.portsOf(e), func(name string) bool { return p.controllerOf(name) != e.name })
	}
	if p.isEmptied(e) {
		slices.SortStableFunc(ports, func(a, b string) int { return p.rankAsGiver(a, e) - p.rankAsGiver(b, e) })
	}
	return ports
}

// rankAsGiver is 0 for the port whose own MAC address the bond has, else 1.
func (p *planner) rankAsGiver(port string, e *entry) int {
	if own := p.links[port].PortData[nl.IFLA_BOND_SLAVE_PERM_HWADDR]; len(own) > 0 && bytes.Equal(own, e.is.MAC) {
		return 0
	}
	return 1
}

// macToKeep returns the MAC address that a bond, whose ports leave it for a moment, has to be given again: the kernel gives it a random one.
// It returns nil if the first port gives the same address, or if the active port is to give one.
func (p *planner) macToKeep(e *entry) net.HardwareAddr {
	ports := p.portsToBe(e)
	if e.is.Follows && len(ports) > 0 && p.rankAsGiver(ports[0], e) == 0 {
		return nil
	}
	fixed, free, err := p.settingsOf(e)
	if err != nil || p.isPort(e.name, "bond") {
		return nil
	}
	will := rtnetlink.Attributes{nl.IFLA_BOND_MODE: e.is.Data[nl.IFLA_BOND_MODE], nl.IFLA_BOND_FAIL_OVER_MAC: e.is.Data[nl.IFLA_BOND_FAIL_OVER_MAC]}
	for _, s := range slices.Concat(fixed, free) {
		will[s.attribute] = s.value
	}
	if bytes.Equal(will[nl.IFLA_BOND_MODE], []byte{activeBackup}) && bytes.Equal(will[nl.IFLA_BOND_FAIL_OVER_MAC], []byte{failOverActive}) {
		return nil
	}
	return e.is.MAC
}
