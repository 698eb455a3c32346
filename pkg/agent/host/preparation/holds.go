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

import "github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"

// holdsAlready tells whether a link is a port and has all that is wanted of it. libnmstate is not asked for such a port: it would set it
// down and up, since it compares the controller's name with an index (need_state_down_before_apply() of nispor), and the port would
// carry nothing meanwhile.
func (p *planner) holdsAlready(e *entry) bool {
	if e.is == nil || e.is.Controller == 0 || p.again[e.name] || p.freed[e.name] {
		return false
	}
	controller := p.nameOf(e.is.Controller)
	if p.again[controller] || p.portOf(e.name, tree.StringAt(p.there[controller], "type")) != controller {
		return false
	}
	for name, wanted := range e.fields {
		// A veth may be called an ethernet interface.
		if name != "type" && !isWithin(wanted, e.current[name]) {
			return false
		}
	}
	return true
}

// isWithin tells whether a value has all of a wanted one. What is off need not be shown.
func isWithin(wanted, there any) bool {
	switch wanted := wanted.(type) {
	case map[string]any:
		fields := tree.Object(there)
		for name, value := range wanted {
			if !isWithin(value, fields[name]) {
				return false
			}
		}
		return true
	case []any:
		items := tree.Items(there)
		if len(items) != len(wanted) {
			return false
		}
		for i, item := range wanted {
			if !isWithin(item, items[i]) {
				return false
			}
		}
		return true
	}
	return tree.SameValue(wanted, there) || there == nil && isOff(wanted)
}
