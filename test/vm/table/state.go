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

package table

import (
	"maps"
	"slices"
	"strings"
)

// Ports are the links of a node that cases may use. They are there before and after each case.
var Ports = []string{"eth1", "eth2", "eth3"}

// Idle is the state of the ports while no case uses them.
func Idle() State {
	var interfaces []any
	for _, port := range Ports {
		interfaces = append(interfaces, map[string]any{
			"name": port, "type": "ethernet", "state": "up", "mtu": 1500,
			"ipv4": map[string]any{"enabled": false}, "ipv6": map[string]any{"enabled": false},
		})
	}
	return State{"interfaces": interfaces}
}

// Merge puts states together: lists are appended, other values of later states win.
func Merge(states ...State) State {
	result := State{}
	for _, state := range states {
		mergeInto(result, state)
	}
	return result
}

func mergeInto(result, state map[string]any) {
	for name, value := range state {
		switch value := value.(type) {
		case map[string]any:
			inner, ok := result[name].(map[string]any)
			if !ok {
				inner = map[string]any{}
			}
			inner = maps.Clone(inner)
			mergeInto(inner, value)
			result[name] = inner
		case []any:
			before, _ := result[name].([]any)
			result[name] = slices.Concat(before, value)
		default:
			result[name] = value
		}
	}
}

// interfaces returns the interfaces of a state.
func (s State) interfaces() []map[string]any {
	list, _ := s["interfaces"].([]any)
	var result []map[string]any
	for _, item := range list {
		if iface, ok := item.(map[string]any); ok {
			result = append(result, iface)
		}
	}
	return result
}

// Names returns the names of the interfaces that the state has.
func (s State) Names() []string {
	var names []string
	for _, iface := range s.interfaces() {
		name, _ := iface["name"].(string)
		names = append(names, name)
	}
	return names
}

// joined returns a state in which each interface is named once: what later entries of it say wins.
func (s State) joined() State {
	var list []any
	at := map[[2]any]map[string]any{}
	for _, iface := range s.interfaces() {
		key := [2]any{iface["name"], iface["type"]}
		if entry := at[key]; entry != nil {
			mergeInto(entry, iface)
			continue
		}
		at[key] = maps.Clone(iface)
		list = append(list, at[key])
	}
	result := maps.Clone(s)
	result["interfaces"] = list
	return result
}

// away returns the state that takes the cases away: it removes all interfaces that they make, the last one
// first, and makes the ports idle.
func away(cases []*Case) State {
	idle := Idle()
	var absent []any
	known := map[string]bool{"lo": true}
	for _, port := range Ports {
		known[port] = true
	}
	states := []State{idle}
	for _, c := range cases {
		for _, state := range c.states() {
			for _, iface := range slices.Backward(state.interfaces()) {
				name, _ := iface["name"].(string)
				kind := iface["type"]
				// A bridge of Open vSwitch and its internal port may have one name.
				key := name
				if kind == "ovs-bridge" {
					key += " bridge"
				}
				if known[key] || iface["state"] != "up" || iface["identifier"] != nil {
					continue
				}
				known[key] = true
				absent = append(absent, map[string]any{"name": name, "type": kind, "state": "absent"})
			}
		}
		states = append(states, c.Away, c.routesAway())
	}
	return Merge(append(states, State{"interfaces": absent})...).joined()
}

// routesAway returns the state that removes the case's routes over ports: those over other interfaces go with them.
func (c *Case) routesAway() State {
	var absent []any
	for _, state := range c.states() {
		routes, _ := state["routes"].(map[string]any)
		config, _ := routes["config"].([]any)
		for _, item := range config {
			route, _ := item.(map[string]any)
			if port, _ := route["next-hop-interface"].(string); slices.Contains(Ports, port) {
				absent = append(absent, map[string]any{"next-hop-interface": port, "state": "absent"})
			}
		}
	}
	if absent == nil {
		return nil
	}
	return State{"routes": map[string]any{"config": absent}}
}

// states returns all states of the case.
func (c *Case) states() []State {
	states := []State{c.State}
	for _, change := range c.Changes {
		states = append(states, change.State)
	}
	return states
}

// use is what a case needs of the node: what it has for itself, and what others may use as well.
type use struct{ takes, shares map[string]bool }

// use returns what the case needs. What is below other interfaces is shared, all else that a state
// names is the case's own, and so are sections that are lists of nothing.
func (c *Case) use() use {
	u := use{map[string]bool{}, map[string]bool{}}
	for _, state := range append(c.states(), c.Away, c.Bad) {
		for section, value := range state {
			switch section {
			case "interfaces", "routes", "route-rules":
				u.collect("", value)
			default:
				u.takes[section] = true
			}
		}
	}
	for _, port := range c.Takes {
		u.takes[port] = true
	}
	for name := range u.takes {
		delete(u.shares, name)
	}
	return u
}

func (u use) collect(field string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			u.collect(name, inner)
		}
	case []any:
		for _, inner := range value {
			u.collect(field, inner)
		}
	case string:
		switch {
		case field == "base-iface" || field == "next-hop-interface" || field == "iif":
			u.shares[value] = true
		case field == "name" || slices.Contains(Ports, strings.TrimSpace(value)):
			u.takes[value] = true
		}
	}
}

// collides tells whether two cases cannot be applied together.
func (u use) collides(other use) bool {
	for name := range u.takes {
		if other.takes[name] || other.shares[name] {
			return true
		}
	}
	for name := range u.shares {
		if other.takes[name] {
			return true
		}
	}
	return false
}

// Part returns what a current state has of the interfaces and sections of a desired one.
func (s State) Part(desired State) State {
	part := State{}
	for section := range desired {
		switch section {
		case "interfaces":
			part[section] = s.interfacesOf(desired)
		case "routes":
			part[section] = map[string]any{"config": s.routesOf(desired.Names())}
		default:
			part[section] = s[section]
		}
	}
	return part
}

func (s State) interfacesOf(desired State) []any {
	list := []any{}
	for _, iface := range s.interfaces() {
		for _, wanted := range desired.interfaces() {
			if isSame(iface, wanted) {
				list = append(list, iface)
				break
			}
		}
	}
	return list
}

// isSame tells whether an interface that is shown is the one that a desired state names, by its name, its profile's or its MAC address.
func isSame(iface, wanted map[string]any) bool {
	if wanted["identifier"] == "mac-address" {
		is, _ := iface["mac-address"].(string)
		mac, _ := wanted["mac-address"].(string)
		return strings.EqualFold(is, mac)
	}
	return iface["name"] == wanted["name"] || wanted["profile-name"] != nil && iface["profile-name"] == wanted["profile-name"]
}

func (s State) routesOf(names []string) []any {
	routes, _ := s["routes"].(map[string]any)
	config, _ := routes["config"].([]any)
	var list []any
	for _, item := range config {
		route, _ := item.(map[string]any)
		if name, _ := route["next-hop-interface"].(string); slices.Contains(names, name) {
			list = append(list, item)
		}
	}
	return list
}
