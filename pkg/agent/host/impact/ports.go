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

package impact

import (
	"maps"
	"slices"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// givesPorts tells whether a desired interface has a list of ports.
func givesPorts(iface map[string]any) bool {
	return slices.ContainsFunc([]string{"bridge", "link-aggregation", "vrf"}, func(section string) bool {
		_, given := tree.Object(iface[section])["port"].([]any)
		return given
	})
}

// newController returns the controller that an interface gets by the change, if it is
// another one than now.
func (c *change) newController(name string) (controller string, changes bool) {
	if wanted, given := c.differs[name]["controller"].(string); given && wanted != "" && wanted != c.controllers[name] {
		return wanted, true
	}
	for _, other := range sortedNames(c.differs) {
		if other == c.controllers[name] || !isUp(c.differs[other]) {
			continue
		}
		for _, port := range tree.PortsOf(c.wanted[other]) {
			if c.portName(port) == name {
				return other, true
			}
		}
	}
	return "", false
}

// leaves tells whether an interface is taken out of the bridge, bond or VRF that it is a port of.
func (c *change) leaves(name string) bool {
	controller := c.controllers[name]
	if controller == "" {
		return false
	}
	if wanted, given := c.differs[name]["controller"].(string); given && wanted == "" {
		return true
	}
	differs, wanted := c.differs[controller], c.wanted[controller]
	switch {
	case differs == nil:
		return false
	case differs["state"] == "absent":
		return true
	case !givesPorts(differs) || tree.Object(wanted["bridge"])["allow-extra-ports"] == true:
		return false
	}
	return !slices.ContainsFunc(tree.PortsOf(wanted), func(port string) bool { return c.portName(port) == name })
}

// isUp tells whether a desired interface is to be up.
func isUp(wanted map[string]any) bool { return wanted["state"] == nil || wanted["state"] == "up" }

// fate says what happens to an interface, "" if nothing does.
func (c *change) fate(name string) string {
	differs := c.differs[name]
	controller, changes := c.newController(name)
	switch {
	case differs["state"] == "absent":
		return name + " is removed"
	case differs["state"] == "down":
		return name + " is set down"
	case changes:
		return name + " becomes a port of " + controller
	case c.leaves(name):
		return name + " is no port of " + c.controllers[name] + " any more"
	case differs != nil:
		return name + " changes (" + strings.Join(fieldsOf(differs), ", ") + ")"
	}
	return ""
}

// isLost tells whether an interface no longer has IP by the change: it goes, is set down or
// becomes the port of something other than a VRF.
func (c *change) isLost(name string) bool {
	switch state := c.differs[name]["state"]; {
	case state == "absent", state == "down":
		return true
	}
	controller, changes := c.newController(name)
	return changes && c.typeOf(controller) != "vrf"
}

// typeOf returns the type of an interface once the change is made.
func (c *change) typeOf(name string) string {
	if kind := tree.StringAt(c.wanted[name], "type"); kind != "" && kind != "unknown" {
		return kind
	}
	return tree.StringAt(c.there[name], "type")
}

// fieldsOf returns the names of the fields that differ.
func fieldsOf(differs map[string]any) []string {
	names := slices.Sorted(maps.Keys(differs))
	return slices.DeleteFunc(names, func(name string) bool { return name == "name" || name == "type" || name == "state" })
}

func sortedNames(interfaces map[string]map[string]any) []string {
	return slices.Sorted(maps.Keys(interfaces))
}
