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

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// compareInterfaces returns the wanted interfaces that differ, each with the
// fields that do.
func compareInterfaces(c *comparison, p property) (any, bool) {
	var left []any
	for _, item := range c.candidatesOf(c, tree.Items(p.wanted)) {
		if rest := c.interfaceRest(tree.Object(item)); rest != nil {
			left = append(left, rest)
		}
	}
	return left, len(left) > 0
}

// interfaceRest returns the part of a wanted interface that does not hold, nil if
// all holds.
func (c *comparison) interfaceRest(wanted map[string]any) map[string]any {
	there := c.find(wanted["name"], wanted["type"])
	holds := false
	switch wanted["state"] {
	case "ignore", "unknown":
		holds = true
	case "absent":
		holds = c.isAbsent(there)
	case "down":
		holds = c.isDown(there)
	default:
		if there != nil {
			return c.fieldsRest(wanted, there)
		}
	}
	if holds {
		return nil
	}
	return wanted
}

// fieldsRest returns the fields of a wanted interface that do not hold, with name,
// type and state as they are desired; nil if all hold.
func (c *comparison) fieldsRest(wanted, there map[string]any) map[string]any {
	full := c.inFull(wanted, there)
	left := c.fields("", wanted, full, there)
	if len(left) == 0 {
		return nil
	}
	left["name"], left["type"], left["state"] = full["name"], full["type"], full["state"]
	if full["type"] == "unknown" {
		left["type"] = there["type"]
	}
	return left
}

// inFull returns the desired interface of which wanted has the fields that may differ.
func (c *comparison) inFull(wanted, there map[string]any) map[string]any {
	for _, item := range tree.List(c.desired, "interfaces") {
		full := tree.Object(item)
		sameName := full["name"] == wanted["name"] || full["name"] == wanted["profile-name"] || goesBy(there, full["name"])
		if sameName && tree.Compatible(full["type"], wanted["type"]) {
			return full
		}
	}
	return wanted
}

// find returns the current interface that has the given name, or goes by it; nil if there is none.
func (c *comparison) find(name, kind any) map[string]any { return c.there.Find(name, kind) }

// indexInterfaces notes what is looked up for each route and port.
func (c *comparison) indexInterfaces() {
	c.wantedStates = map[string]any{}
	for _, item := range tree.List(c.desired, "interfaces") {
		c.wantedStates[tree.Text(tree.Object(item)["name"])] = tree.Object(item)["state"]
	}
	c.there = tree.NewIndex(c.current)
}

// goesBy tells whether an interface has the given name beside its own.
func goesBy(iface map[string]any, name any) bool {
	return name != nil && (iface["profile-name"] == name || named("name", name, tree.List(iface, "alt-names")) != nil)
}

// compareType compares types of interfaces. To nmstate a veth is an ethernet
// interface with a peer.
func compareType(_ *comparison, p property) (any, bool) {
	ethernet := []any{"ethernet", "veth"}
	same := p.wanted == "unknown" || p.wanted == p.there || slices.Contains(ethernet, p.wanted) && slices.Contains(ethernet, p.there)
	return p.wanted, !same
}

// isAbsent tells whether an interface is absent as far as it can be. What nmstate
// cannot delete goes down, and the loopback stays as it is. With NetworkManager a
// veth stays, and is down, if NetworkManager has not made it.
func (c *comparison) isAbsent(iface map[string]any) bool {
	switch iface["type"] {
	case nil, "loopback":
		return true
	case "veth":
		return iface["state"] != "up" && c.backend != v1alpha1.BackendKernel
	case "ethernet", "infiniband":
		return iface["state"] != "up"
	}
	return false
}

// isDown tells whether an interface is down as far as it can be: the loopback stays up, with NetworkManager
// without IP, and as it is without NetworkManager.
func (c *comparison) isDown(iface map[string]any) bool {
	kind, managed := iface["type"], c.backend != v1alpha1.BackendKernel
	switch {
	case iface["state"] != "up":
		return true
	case kind == "loopback" && !managed:
		return true
	case managed && kind == "loopback":
		return !hasIP(iface)
	}
	return false
}

// hasIP tells whether an interface has addresses that the kernel has not made by
// itself, or waits for some.
func hasIP(iface map[string]any) bool {
	for _, family := range []string{"ipv4", "ipv6"} {
		if ip := tree.Object(iface[family]); isAutomatic(ip, nil) || len(static(tree.List(ip, "address"))) > 0 {
			return true
		}
	}
	return false
}

// compareAltNames compares alternative names, and returns those that differ.
// Names that are not mentioned stay.
func compareAltNames(_ *comparison, p property) (any, bool) {
	var left []any
	for _, item := range tree.Items(p.wanted) {
		isThere := named("name", tree.Object(item)["name"], tree.Items(p.there)) != nil
		if isThere == (tree.Object(item)["state"] == "absent") {
			left = append(left, item)
		}
	}
	return left, len(left) > 0
}
