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
	"slices"
)

// compareInterfaces returns the wanted interfaces that differ, each with the
// fields that do.
func compareInterfaces(c *comparison, p property) (any, bool) {
	var left []any
	for _, item := range c.candidatesOf(c, items(p.wanted)) {
		if rest := c.interfaceRest(object(item)); rest != nil {
			left = append(left, rest)
		}
	}
	return left, len(left) > 0
}

// interfaceRest returns the part of a wanted interface that does not hold, with
// its name, type and state; nil if all holds.
func (c *comparison) interfaceRest(wanted map[string]any) map[string]any {
	there := c.find(wanted["name"], wanted["type"])
	settled := there == nil
	switch wanted["state"] {
	case "ignore", "unknown":
		return nil
	case "absent":
		settled = isAbsent(there)
	case "down":
		settled = there["state"] != "up"
	default:
		if there == nil {
			return wanted
		}
		left := c.fields("", wanted, c.inFull(wanted, there), there)
		if len(left) == 0 {
			return nil
		}
		for _, key := range []string{"name", "type", "state"} {
			left[key] = wanted[key]
		}
		return left
	}
	if settled {
		return nil
	}
	return wanted
}

// inFull returns the desired interface of which wanted has the fields that may differ.
func (c *comparison) inFull(wanted, there map[string]any) map[string]any {
	for _, item := range list(c.desired, "interfaces") {
		full := object(item)
		sameName := full["name"] == wanted["name"] || full["name"] == wanted["profile-name"] || goesBy(there, full["name"])
		if sameName && compatible(full["type"], wanted["type"]) {
			return full
		}
	}
	return wanted
}

// find returns the current interface with the given name, or with that as another
// name of it; nil if there is none. One that is known to Open vSwitch or IPsec
// alone may have the name of one that the kernel knows.
func (c *comparison) find(name, kind any) map[string]any {
	current := list(c.current, "interfaces")
	for _, is := range []func(map[string]any) bool{
		func(iface map[string]any) bool { return iface["name"] == name },
		func(iface map[string]any) bool { return goesBy(iface, name) },
	} {
		for _, item := range current {
			if iface := object(item); is(iface) && compatible(iface["type"], kind) {
				return iface
			}
		}
	}
	return nil
}

// goesBy tells whether an interface has the given name beside its own.
func goesBy(iface map[string]any, name any) bool {
	return name != nil && (iface["profile-name"] == name || named("name", name, list(iface, "alt-names")) != nil)
}

// compatible tells whether interfaces of two types, of which one may not be given,
// can be the same one.
func compatible(a, b any) bool {
	inUserspace := func(kind any) bool { return kind == "ovs-bridge" || kind == "ipsec" }
	return a == nil || b == nil || a == "unknown" || b == "unknown" || inUserspace(a) == inUserspace(b)
}

// compareType compares types of interfaces. To nmstate a veth is an ethernet
// interface with a peer.
func compareType(_ *comparison, p property) (any, bool) {
	ethernet := []any{"ethernet", "veth"}
	same := p.wanted == "unknown" || p.wanted == p.there || slices.Contains(ethernet, p.wanted) && slices.Contains(ethernet, p.there)
	return p.wanted, !same
}

// isAbsent tells whether an interface is absent as far as it can be: a physical
// one stays there and is down, the loopback stays as it is.
func isAbsent(iface map[string]any) bool {
	switch iface["type"] {
	case nil, "loopback":
		return true
	case "ethernet", "infiniband":
		return iface["state"] != "up"
	}
	return false
}

// compareAltNames compares alternative names, and returns those that differ.
// Names that are not mentioned stay.
func compareAltNames(_ *comparison, p property) (any, bool) {
	var left []any
	for _, item := range items(p.wanted) {
		isThere := named("name", object(item)["name"], items(p.there)) != nil
		if isThere == (object(item)["state"] == "absent") {
			left = append(left, item)
		}
	}
	return left, len(left) > 0
}
