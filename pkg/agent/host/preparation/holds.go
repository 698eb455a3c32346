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
	"fmt"
	"maps"
	"slices"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// outcome is the network as the steps of a plan have left it, and what is wanted of it.
type outcome struct {
	*planner
	// wanted are the fields of each interface in nmstate's own words, by the name that the state has for it.
	wanted map[string]map[string]any
}

// after returns the outcome of a plan. The names that a state has for interfaces mean what they meant before.
func (p *planner) after(current []byte, links []rtnetlink.Link, format func(state []byte) ([]byte, error)) (*outcome, error) {
	n := &network{desired: p.desired, byName: map[string]*entry{}, links: map[string]rtnetlink.Link{}, names: p.names}
	var err error
	if n.current, err = tree.Decode(current); err != nil {
		return nil, fmt.Errorf("reading the prepared state: %w", err)
	}
	n.there = tree.InterfacesByName(n.current)
	for _, l := range links {
		n.links[l.Name] = l
	}
	ports := []any{}
	for _, e := range p.entries {
		is := n.add(e.name, e.fields)
		is.kind = e.kind
		if is.is != nil && is.is.Controller != 0 {
			ports = append(ports, e.fields)
		}
	}
	text, err := tree.Encode(map[string]any{"interfaces": ports})
	if err != nil {
		return nil, err
	}
	if text, err = format(text); err != nil {
		return nil, err
	}
	formatted, err := tree.Decode(text)
	return &outcome{planner: &planner{network: n}, wanted: tree.InterfacesByName(formatted)}, err
}

// holds tells whether a link is a port and has all that is wanted of it. libnmstate is not asked for such a port: it would set it
// down and up, since it compares the controller's name with an index (need_state_down_before_apply() of nispor), and the port would
// carry nothing meanwhile.
func (o *outcome) holds(e *entry) bool {
	if e.is == nil || e.is.Controller == 0 {
		return false
	}
	controller := o.nameOf(e.is.Controller)
	kind := tree.StringAt(o.there[controller], "type")
	wanted := tree.Object(o.renamed(o.wanted[tree.StringAt(e.fields, "name")]))
	if wanted == nil || o.portOf(e.name, kind) != controller {
		return false
	}
	for _, one := range neededFor {
		value, is := at(wanted, one.path), at(e.current, one.path)
		if one.path[len(one.path)-1] != "dhcp" && value != nil && e.isIdle(one.path, value, is) {
			delete(within(wanted, one.path), one.path[len(one.path)-1])
		}
	}
	for name, value := range wanted {
		if !e.hasField(name, value) {
			return false
		}
	}
	return true
}

// hasField tells whether a port has a field as it is wanted.
func (e *entry) hasField(name string, wanted any) bool {
	is := e.current[name]
	switch name {
	case "name", "identifier", "type":
		return true // it is found by these, and a veth may be called an ethernet interface
	case "mac-address":
		return tree.SameValue(wanted, is) || e.fields["identifier"] == name
	case "alt-names":
		return !slices.ContainsFunc(tree.Items(wanted), func(item any) bool {
			return slices.Contains(e.is.AltNames, tree.StringAt(tree.Object(item), "name")) == (tree.Object(item)["state"] == "absent")
		})
	case "ipv4", "ipv6":
		return isWithin(withoutOthers(tree.Object(wanted)), withoutOthers(tree.Object(is)))
	case "ethtool":
		return isWithin(withKernelsFeatures(tree.Object(wanted)), is)
	}
	return isWithin(wanted, is)
}

// withoutOthers returns an IP section without the addresses that others or the kernel make.
func withoutOthers(ip map[string]any) map[string]any {
	list, given := ip["address"].([]any)
	if !given {
		return ip
	}
	return merged(ip, map[string]any{"address": slices.DeleteFunc(slices.Clone(list), func(item any) bool {
		return tree.IsForeign(tree.Object(item)) || tree.IsLinkLocal(tree.Object(item))
	})})
}

// withKernelsFeatures returns an ethtool section with the kernel's names of features.
func withKernelsFeatures(section map[string]any) map[string]any {
	named, features := maps.Clone(section), map[string]any{}
	for name, value := range tree.Object(section["feature"]) {
		features[kernelsFeature(name)] = value
	}
	if len(features) > 0 {
		named["feature"] = features
	}
	return named
}

// timers are the fields of a bridge that change by themselves.
var timers = []string{"gc-timer", "hello-timer"}

// isWithin tells whether a value has all of a wanted one: of a list all items, in any order, and no others. What is off need not be
// shown.
func isWithin(wanted, there any) bool {
	switch wanted := wanted.(type) {
	case map[string]any:
		fields := tree.Object(there)
		for name, value := range wanted {
			if !slices.Contains(timers, name) && !isWithin(value, fields[name]) {
				return false
			}
		}
		return true
	case []any:
		items := slices.Clone(tree.Items(there))
		for _, item := range wanted {
			i := slices.IndexFunc(items, func(other any) bool { return isWithin(item, other) })
			if i < 0 {
				return false
			}
			items = slices.Delete(items, i, i+1)
		}
		return len(items) == 0
	}
	return tree.SameValue(wanted, there) || there == nil && isOff(wanted)
}
