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
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// entry is one interface of the desired state, under the name that the kernel has for it.
type entry struct {
	name, kind string
	// fields are as desired. Of a link that is made again they are all that is to be.
	fields map[string]any
	// current is the interface now, is the link; both are nil if there is none.
	current map[string]any
	is      *rtnetlink.Link
	// mtu is the MTU of a link that is made again, and that the state does not give; nil if there is none.
	mtu any
	// unnamed tells that the state does not name the interface.
	unnamed bool
	// asksRouters tells that the link begins to listen to routers, forgetsRouters that it is not to listen.
	asksRouters, forgetsRouters bool
}

func (e *entry) state() string {
	if state := tree.StringAt(e.fields, "state"); state != "" {
		return state
	}
	return "up"
}

// section is the part of the interface that its type has.
func (e *entry) section() map[string]any {
	return section(e.fields, families()[e.kind].sections...)
}

// kernelKind is the kernel's name of the type.
func (e *entry) kernelKind() string {
	if e.kind == "ip-tunnel" {
		if kind := tunnelKinds[tree.StringAt(e.section(), "mode")]; kind != "" {
			return kind
		}
		if e.is != nil {
			return e.is.Kind
		}
	}
	return families()[e.kind].kind
}

// network is the desired and the current state, and the kernel's links.
type network struct {
	desired, current map[string]any
	entries          []*entry
	byName           map[string]*entry
	there            map[string]map[string]any
	links            map[string]rtnetlink.Link
	// names are what a state may call an interface other than the kernel does.
	names map[string]string
}

// read reads the states.
func read(desired, current []byte, links []rtnetlink.Link) (*network, error) {
	n := &network{byName: map[string]*entry{}, links: map[string]rtnetlink.Link{}, names: map[string]string{}}
	var err error
	if n.desired, err = tree.Decode(desired); err != nil {
		return nil, fmt.Errorf("reading the desired state: %w", err)
	}
	if n.current, err = tree.Decode(current); err != nil {
		return nil, fmt.Errorf("reading the current state: %w", err)
	}
	for _, l := range links {
		n.links[l.Name] = l
	}
	n.there = tree.InterfacesByName(n.current)
	n.nameThem()
	for _, item := range tree.List(n.desired, "interfaces") {
		fields := tree.Object(item)
		if tree.StringAt(fields, "name") == "" {
			continue
		}
		n.add(n.nameFor(fields), fields)
	}
	return n, nil
}

// add adds an interface of the desired state.
func (n *network) add(name string, fields map[string]any) *entry {
	e := &entry{name: name, fields: fields, current: n.there[name]}
	if l, is := n.links[name]; is {
		e.is = &l
	}
	e.kind = tree.StringAt(fields, "type")
	if e.kind == "" || e.kind == "unknown" {
		e.kind = tree.StringAt(e.current, "type")
	}
	if e.kind == "ethernet" && fields["veth"] != nil {
		e.kind = "veth"
	}
	n.entries, n.byName[name] = append(n.entries, e), e
	return e
}

// nameThem finds the kernel's name of each interface that the state means by something else: by its MAC or PCI address,
// by its profile's name or by an alternative one.
func (n *network) nameThem() {
	for name, iface := range n.there {
		if profile := tree.StringAt(iface, "profile-name"); profile != "" {
			n.names[profile] = name
		}
		for _, item := range tree.List(iface, "alt-names") {
			n.names[tree.StringAt(tree.Object(item), "name")] = name
		}
	}
	for _, item := range tree.List(n.desired, "interfaces") {
		fields := tree.Object(item)
		found := n.identified(fields)
		for _, alias := range []string{tree.StringAt(fields, "name"), tree.StringAt(fields, "profile-name")} {
			if found != "" && alias != "" {
				n.names[alias] = found
			}
		}
	}
}

// nameFor returns the kernel's name of an interface of the desired state.
func (n *network) nameFor(fields map[string]any) string {
	if found := n.identified(fields); found != "" {
		return found
	}
	return n.name(tree.StringAt(fields, "name"))
}

// identified returns the name of the interface that the state means by its address; "" if it does not, or none has it.
func (n *network) identified(fields map[string]any) string {
	switch tree.StringAt(fields, "identifier") {
	case "mac-address":
		return n.holder(fields, "mac-address", "permanent-mac-address", "mac-address")
	case "pci-address":
		return n.holder(fields, "pci-address", "pci-address")
	}
	return ""
}

// holder returns the interface that holds an address, which nmstate looks for in one field after the other.
func (n *network) holder(wanted map[string]any, key string, fields ...string) string {
	if wanted[key] == nil {
		return ""
	}
	for _, field := range fields {
		for _, name := range slices.Sorted(maps.Keys(n.there)) {
			iface := n.there[name]
			kind := tree.StringAt(wanted, "type")
			sameKind := kind == "" || kind == "unknown" || kind == tree.StringAt(iface, "type") || isEthernet(kind) && isEthernet(tree.StringAt(iface, "type"))
			if sameKind && iface[field] != nil && strings.EqualFold(tree.Text(wanted[key]), tree.Text(iface[field])) {
				return name
			}
		}
	}
	return ""
}

func isEthernet(kind string) bool { return kind == "ethernet" || kind == "veth" }

// name returns the kernel's name of an interface.
func (n *network) name(given string) string {
	if _, is := n.links[given]; is {
		return given
	}
	if name, is := n.names[given]; is {
		return name
	}
	return given
}

// nameOf returns the name of the link with an index.
func (n *network) nameOf(index int) string {
	if index == 0 {
		return ""
	}
	for name, l := range n.links {
		if l.Index == index {
			return name
		}
	}
	return ""
}

// ports returns the names of the ports that an interface is to have, and whether the state gives them.
func (n *network) ports(e *entry) (names []string, given bool) {
	fields := e.section()
	switch e.kind {
	case "linux-bridge":
		ports, given := bridgePorts(fields)
		for _, port := range ports {
			names = append(names, n.name(tree.StringAt(port, "name")))
		}
		return names, given
	case "bond", "vrf":
		for _, key := range []string{"port", "ports", "ports-config"} {
			list, is := fields[key].([]any)
			if !is {
				continue
			}
			for _, item := range list {
				name, isText := item.(string)
				if !isText {
					name = tree.StringAt(tree.Object(item), "name")
				}
				names = append(names, n.name(name))
			}
			return names, true
		}
	}
	return nil, false
}

// merged returns the fields of one with those of over instead: objects field by field, all else as a whole.
func merged(one, over map[string]any) map[string]any {
	all := maps.Clone(one)
	if all == nil {
		all = map[string]any{}
	}
	for key, value := range over {
		if inner := tree.Object(value); inner != nil && tree.Object(all[key]) != nil {
			all[key] = merged(tree.Object(all[key]), inner)
		} else {
			all[key] = value
		}
	}
	return all
}

// plain writes a value of a state in one word.
func plain(value any) string { return strings.ReplaceAll(tree.Text(value), " ", "") }
