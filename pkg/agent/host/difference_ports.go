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
	"maps"
	"slices"
	"strconv"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// comparePorts compares the ports of a bond, bridge or VRF. Each wanted port has to
// be there as wanted. Any other one must not be there, unless it may be extra.
func comparePorts(c *comparison, p property) (any, bool) {
	wanted, there := tree.Items(p.wanted), tree.Items(p.there)
	for _, port := range wanted {
		if !slices.ContainsFunc(there, func(other any) bool { return c.samePort(p.path, port, other) }) {
			return p.wanted, true
		}
	}
	for _, other := range there {
		isWanted := slices.ContainsFunc(wanted, func(port any) bool { return c.portName(port) == c.portName(other) })
		if !isWanted && !c.mayBeExtra(p.in, other) {
			return p.wanted, true
		}
	}
	return nil, false
}

// samePort tells whether a port is the wanted one and is as wanted.
func (c *comparison) samePort(path string, wanted, there any) bool {
	if c.portName(wanted) != c.portName(there) {
		return false
	}
	return tree.Object(wanted) == nil || c.holds(path, withoutName(wanted), there)
}

func withoutName(port any) map[string]any {
	fields := maps.Clone(tree.Object(port))
	delete(fields, "name")
	return fields
}

// portName returns the name that the kernel has for a port, which is given as an
// object or as a name.
func (c *comparison) portName(port any) any {
	name := port
	if fields := tree.Object(port); fields != nil {
		name = fields["name"]
	}
	if iface := c.find(name, nil); iface != nil {
		return iface["name"]
	}
	return name
}

// mayBeExtra tells whether a port that is not wanted is no difference. This is so
// if the controller may have others, and if nmstate leaves the port alone: one that
// NetworkManager does not manage, such as a pod's, or one that is no interface. A
// bond of Open vSwitch is no interface, but its ports are.
func (c *comparison) mayBeExtra(in map[string]any, port any) bool {
	if in["allow-extra-ports"] == true {
		return true
	}
	if ports := tree.List(tree.Object(tree.Object(port)["link-aggregation"]), "port"); len(ports) > 0 {
		return !slices.ContainsFunc(ports, func(one any) bool { return !c.mayBeExtra(in, one) })
	}
	iface := c.kernelInterface(c.portName(port))
	if iface == nil || c.isIgnored(iface["name"]) || iface["type"] == "unknown" {
		return true
	}
	return in["allow-extra-patch-ports"] == true && iface["patch"] != nil
}

// kernelInterface returns the current interface of the given name that the kernel
// knows: a bridge of Open vSwitch may have a port of its own name.
func (c *comparison) kernelInterface(name any) map[string]any { return c.find(name, "ethernet") }

// compareVLAN compares the VLAN filter of a bridge's port. An empty one means
// that there is to be none.
func compareVLAN(c *comparison, p property) (any, bool) {
	if len(tree.Object(p.wanted)) == 0 {
		return p.wanted, len(tree.Object(p.there)) > 0
	}
	return plain(c, p)
}

// compareTags compares the VLANs of a trunk port, which may be given as ranges.
func compareTags(_ *comparison, p property) (any, bool) {
	return p.wanted, !maps.Equal(tags(p.wanted), tags(p.there))
}

func tags(list any) map[int]bool {
	found := map[int]bool{}
	for _, item := range tree.Items(list) {
		lowest, highest := tree.Tags(tree.Object(item))
		first, err1 := strconv.Atoi(tree.Text(lowest))
		last, err2 := strconv.Atoi(tree.Text(highest))
		if err1 != nil || err2 != nil {
			continue
		}
		for tag := first; tag <= last && tag < 4096; tag++ {
			found[tag] = true
		}
	}
	return found
}

// withVRFs returns the desired state with the controller of each interface that is
// a port of a VRF and stays one. The current state as JSON does not say of which
// type an interface's controller is. So nmstate takes the port of a VRF for the
// port of a bridge, which must not have IP, and refuses the state. Of a controller
// that is desired it looks the type up.
func withVRFs(desired []byte, current map[string]any) []byte {
	wanted, err := tree.Decode(desired)
	if err != nil {
		return desired
	}
	controllers := map[string]string{}
	for _, item := range tree.List(current, "interfaces") {
		if iface := tree.Object(item); iface["type"] == "vrf" {
			for _, port := range tree.List(tree.Object(iface["vrf"]), "port") {
				controllers[tree.Text(port)] = tree.StringAt(iface, "name")
			}
		}
	}
	changed := false
	for _, item := range tree.List(wanted, "interfaces") {
		iface := tree.Object(item)
		port := tree.StringAt(iface, "name")
		vrf := controllers[port]
		if vrf != "" && iface["controller"] == nil && keepsPort(wanted, vrf, port) {
			iface["controller"], changed = vrf, true
		}
	}
	if !changed {
		return desired
	}
	text, err := tree.Encode(wanted)
	if err != nil {
		return desired
	}
	return text
}

// keepsPort tells whether a port stays with its VRF: the state does not take it
// away and no other controller claims it.
func keepsPort(wanted map[string]any, vrf, port string) bool {
	for _, item := range tree.List(wanted, "interfaces") {
		iface := tree.Object(item)
		ports, given := portsOf(iface)
		isVRF := iface["name"] == vrf
		switch {
		case isVRF && (iface["state"] == "absent" || iface["state"] == "down"):
			return false
		case given && slices.Contains(ports, any(port)) != isVRF:
			return false
		}
	}
	return true
}

// portsOf returns the names of the ports that an interface is given, and whether
// it is given any list of them.
func portsOf(iface map[string]any) (names []any, given bool) {
	for _, section := range []string{"bridge", "link-aggregation", "vrf"} {
		ports, isList := tree.Object(iface[section])["port"].([]any)
		given = given || isList
		for _, port := range ports {
			if fields := tree.Object(port); fields != nil {
				port = fields["name"]
			}
			names = append(names, port)
		}
	}
	return names, given
}
