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
	"slices"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// Rest returns the state that libnmstate is to apply and verify, once the steps are done: current and links are the network as they
// have left it. format returns a state in nmstate's own words. The rest is what is desired, with these differences:
//   - a link that is made again, or goes down and up, is there with all that it is to have: its addresses are gone from the
//     kernel, where libnmstate looks for what the state does not name;
//   - IPv6 of a link that is to have no address but the kernel's is left out: libnmstate would remove that one, and then find IPv6
//     off;
//   - so is IPv6 of which only autoconf is left, because the addresses are set elsewhere;
//   - what goes down and up, and the state does not name, is left out: it has all again, and libnmstate cannot change a VLAN whose id it
//     is not given;
//   - ports that have all that is wanted of them are left out: libnmstate would set them down and up, see outcome.holds;
//   - other ports of a bridge with a spanning tree are left out as well: the tree, which then begins anew, takes longer than libnmstate's
//     verification waits;
//   - what is to be down is left out: without NetworkManager libnmstate sets it up, and verifies nothing;
//   - hardware that is to be absent is left out: libnmstate tries to remove it;
//   - routes are left out: libnmstate takes a route that is there, and that it shows with more fields than the state gives, for two
//     routes in conflict, and refuses routes with several next hops. UnheldRoutes verifies them.
func (p *Plan) Rest(current []byte, links []rtnetlink.Link, format func(state []byte) ([]byte, error)) ([]byte, error) {
	after, err := p.planner.after(current, links, format)
	if err != nil {
		return nil, err
	}
	return p.planner.rest(after)
}

func (p *planner) rest(after *outcome) ([]byte, error) {
	state := merged(p.desired, nil)
	interfaces := []any{} // not null, which libnmstate does not read
	seen := map[string]bool{}
	for _, item := range tree.List(p.desired, "interfaces") {
		fields := tree.Object(item)
		name := p.nameFor(fields)
		e := p.byName[name]
		if e == nil {
			interfaces = append(interfaces, item)
			continue
		}
		if seen[name] = true; after.isLeftOut(after.byName[name]) {
			continue
		}
		if p.again[name] && e.state() == "up" {
			item = e.fields
		}
		interfaces = append(interfaces, e.asked(tree.Object(item)))
	}
	for _, e := range p.entries {
		if !seen[e.name] && e.state() == "up" && !p.staysDown(e) && !(p.again[e.name] && e.is != nil) {
			interfaces = append(interfaces, e.fields)
		}
	}
	if _, given := p.desired["interfaces"]; given || len(interfaces) > 0 {
		state["interfaces"] = interfaces
	}
	delete(state, "routes")
	if p.identifies() {
		state = tree.Object(p.renamed(state))
	}
	return tree.Encode(state)
}

// asked returns what of an interface's fields libnmstate is asked for. It would miss an identifier that is the default: it shows none.
func (e *entry) asked(fields map[string]any) map[string]any {
	asked := merged(fields, nil)
	if e.wantsLinkLocalOnly() || saysAutoconfOnly(tree.Object(asked["ipv6"])) {
		delete(asked, "ipv6")
	}
	if asked["identifier"] == "name" {
		delete(asked, "identifier")
	}
	return asked
}

// identifies tells whether an interface of the desired state is meant by its address. Then libnmstate is given the kernel's
// names: it would look for the state's name as the name of a profile, which only NetworkManager keeps.
func (p *planner) identifies() bool {
	for _, e := range p.entries {
		if p.identified(e.fields) != "" {
			return true
		}
	}
	return false
}

// Named returns a desired state with the kernel's names of the interfaces that it means by their addresses, as the kernel shows
// them: without NetworkManager nobody keeps the state's own names.
func Named(desired, current []byte) ([]byte, error) {
	n, err := read(desired, current, nil)
	if err != nil {
		return nil, err
	}
	if p := (&planner{network: n}); p.identifies() {
		return tree.Encode(p.renamed(n.desired))
	}
	return desired, nil
}

// references are the fields that name an interface.
var references = []string{"controller", "base-iface", "next-hop-interface", "vrf-name", "port1", "port2", "interlink", "copy-mac-from", "iif", "primary", "peer"}

// renamed returns a part of a state with the kernel's names of interfaces.
func (p *planner) renamed(node any) any {
	switch node := node.(type) {
	case map[string]any:
		fields := map[string]any{}
		for key, value := range node {
			name, isText := value.(string)
			switch {
			case isText && slices.Contains(references, key):
				fields[key] = p.name(name)
			case key == "port" || key == "ports" || key == "ports-config":
				fields[key] = p.renamedPorts(value)
			case key == "interfaces":
				fields[key] = p.renamedInterfaces(tree.Items(value))
			default:
				fields[key] = p.renamed(value)
			}
		}
		return fields
	case []any:
		list := make([]any, 0, len(node))
		for _, item := range node {
			list = append(list, p.renamed(item))
		}
		return list
	}
	return node
}

func (p *planner) renamedInterfaces(items []any) []any {
	list := make([]any, 0, len(items))
	for _, item := range items {
		fields := tree.Object(p.renamed(item))
		if p.identified(tree.Object(item)) != "" {
			fields["name"] = p.nameFor(tree.Object(item))
			if fields["identifier"] == "mac-address" {
				delete(fields, "mac-address") // it is not to be set: a port of a bond has another one
			}
			delete(fields, "identifier")
			delete(fields, "profile-name")
		}
		list = append(list, fields)
	}
	return list
}

func (p *planner) renamedPorts(value any) any {
	items, isList := value.([]any)
	if !isList {
		return value
	}
	list := make([]any, 0, len(items))
	for _, item := range items {
		if name, isText := item.(string); isText {
			list = append(list, p.name(name))
			continue
		}
		fields := tree.Object(p.renamed(item))
		if name := tree.StringAt(fields, "name"); name != "" {
			fields["name"] = p.name(name)
		}
		list = append(list, fields)
	}
	return list
}

// isLeftOut tells whether libnmstate is not to be asked for an interface.
func (o *outcome) isLeftOut(e *entry) bool {
	switch e.state() {
	case "up":
		return o.holds(e) || o.wouldRestartTree(e)
	case "down":
		return e.is != nil
	case "absent":
		return e.is != nil && isHardware(*e.is)
	}
	return false
}
