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

// Package impact tells what a user should know about a change to a node's network
// before it is made: what of it can cut the node off, move what other programs rely
// on, or make the change impossible to confirm.
//
// It warns of what changes, never of what stays as it is. It decides by states alone;
// only FindWay asks the kernel.
package impact

import (
	"slices"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// Input is a change and where it happens.
type Input struct {
	// Desired is the desired state, in nmstate's own notation. Current is the whole
	// current one, with the interfaces that are not shown. Difference is the part of
	// the desired state that does not hold now.
	Desired, Current, Difference []byte
	// Way is how the kernel reaches the API server; nil if that is not known.
	Way *Way
	// Testimony is what a rehearsal of the confirmation has found out; nil if nobody was asked.
	Testimony *agent.Testimony
	// HasGateway tells whether there is a default gateway.
	HasGateway bool
	// Addresses are the InternalIPs of this node.
	Addresses []string
}

// Warnings returns sentences for the user, each about one interface, address or route,
// and what happens to it. There are none if nothing changes.
func Warnings(in Input) ([]string, error) {
	if len(in.Difference) == 0 {
		return nil, nil
	}
	c, err := newChange(in)
	if err != nil {
		return nil, err
	}
	warnings := slices.Concat(c.way(in.Way), c.defaultRoutes(), c.dns(), c.internalIPs(in.Addresses), c.takenPorts(in.Way))
	if t := in.Testimony; t != nil && t.SameHost && t.Outside == "" && !in.HasGateway {
		warnings = append(warnings, "the change cannot be confirmed from elsewhere: the API server runs on this node, "+
			"nothing outside of it answers, and there is no default gateway")
	}
	return warnings, nil
}

// change is a change as it is looked up.
type change struct {
	// desired and current are the states, and difference is what changes.
	desired, current, difference map[string]any
	// there are the current interfaces by name. wanted are the desired ones, and differs
	// the parts of them that do not hold, both by the names that the interfaces have now.
	there, wanted, differs map[string]map[string]any
	// controllers has the controller of each port by the port's name.
	controllers map[string]string
}

func newChange(in Input) (*change, error) {
	c := &change{}
	for _, part := range []struct {
		text []byte
		into *map[string]any
	}{{in.Desired, &c.desired}, {in.Current, &c.current}, {in.Difference, &c.difference}} {
		decoded, err := tree.Decode(part.text)
		if err != nil {
			return nil, err
		}
		*part.into = decoded
	}
	c.there = tree.InterfacesByName(c.current)
	c.wanted, c.differs = c.byCurrentName(c.desired), c.byCurrentName(c.difference)
	c.controllers = map[string]string{}
	for name, iface := range c.there {
		for _, port := range tree.PortsOf(iface) {
			c.controllers[port] = name
		}
	}
	for name, iface := range c.there {
		if controller := tree.StringAt(iface, "controller"); controller != "" {
			c.controllers[name] = controller
		}
	}
	return c, nil
}

// byCurrentName returns the interfaces of a state by the names that they have now.
func (c *change) byCurrentName(state map[string]any) map[string]map[string]any {
	named := map[string]map[string]any{}
	for _, item := range tree.List(state, "interfaces") {
		if iface := tree.Object(item); iface != nil {
			named[c.currentName(iface)] = iface
		}
	}
	return named
}

// currentName returns the name that a desired interface has now. The state may give
// another name of it, or find it by its MAC address.
func (c *change) currentName(wanted map[string]any) string {
	name := tree.StringAt(wanted, "name")
	byMAC := tree.StringAt(c.desiredOf(name), "identifier") == "mac-address"
	if c.there[name] != nil && !byMAC {
		return name
	}
	for current, iface := range c.there {
		switch {
		case byMAC && tree.SameValue(iface["mac-address"], c.desiredOf(name)["mac-address"]):
			return current
		case !byMAC && name != "" && c.goesBy(iface, name):
			return current
		}
	}
	return name
}

// desiredOf returns the desired interface that is given this name.
func (c *change) desiredOf(name string) map[string]any {
	for _, item := range tree.List(c.desired, "interfaces") {
		if iface := tree.Object(item); tree.StringAt(iface, "name") == name {
			return iface
		}
	}
	return nil
}

// goesBy tells whether an interface has the given name beside its own.
func (c *change) goesBy(iface map[string]any, name string) bool {
	if tree.StringAt(iface, "profile-name") == name {
		return true
	}
	return slices.ContainsFunc(tree.List(iface, "alt-names"), func(item any) bool {
		return tree.StringAt(tree.Object(item), "name") == name
	})
}

// portName returns the name that a port has now which the desired state names.
func (c *change) portName(name string) string {
	return c.currentName(map[string]any{"name": name})
}
