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

package fake

import (
	"maps"
	"slices"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// asked returns what a change to the record asks of the network: what is wanted, and what takes away the interfaces that leave the
// spec. Of other sections nothing is taken away.
func (a *Agent) asked(after record, wanted network) network {
	if after.spec.Removal != v1alpha1.RemovalRevert {
		return wanted
	}
	interfaces := slices.Clone(wanted.interfaces())
	for _, name := range slices.Sorted(maps.Keys(a.record.before)) {
		switch before := a.record.before[name]; {
		case wanted.named(name) != nil:
		case before == nil:
			interfaces = append(interfaces, map[string]any{"name": name, "state": "absent"})
		default:
			interfaces = append(interfaces, before)
		}
	}
	if len(interfaces) == 0 {
		return wanted
	}
	asked := network{"interfaces": interfaces}
	for key, value := range wanted {
		if key != "interfaces" {
			asked[key] = value
		}
	}
	return asked
}

// noted returns what there was of the wanted interfaces before each came into the spec, nil for one that was not there.
func (a *Agent) noted(wanted network) map[string]map[string]any {
	noted := map[string]map[string]any{}
	for _, i := range wanted.interfaces() {
		name := nameOf(i)
		if before, is := a.record.before[name]; is {
			noted[name] = before
		} else {
			noted[name] = a.network.named(name)
		}
	}
	return noted
}
