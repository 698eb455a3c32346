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

package transaction

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// withUnnamed says of an error of NetworkManager's what its words leave out: NetworkManager makes no port of a link that it does not manage,
// and no VLAN over one that is down. It manages the links that a state names.
func withUnnamed(failed *nmstate.Error, desired, current []byte) *nmstate.Error {
	links := unnamed(desired, current)
	if len(links) == 0 {
		return failed
	}
	explained := *failed
	explained.Msg = strings.TrimSuffix(failed.Msg, ".") + fmt.Sprintf("; the state uses links that NetworkManager does not manage, and does not name them: %s; name them in the state, with state: up",
		strings.Join(links, ", "))
	return &explained
}

// unnamed returns the links that a state uses as a base or as a port and does not name, and that NetworkManager does not manage.
func unnamed(desired, current []byte) []string {
	formatted, err := nmstate.FormatNetState(desired)
	if err != nil {
		return nil
	}
	state, err := tree.Decode(formatted)
	if err != nil {
		return nil
	}
	is, err := tree.Decode(current)
	if err != nil {
		return nil
	}
	named, there, links := tree.InterfacesByName(state), tree.NewIndex(is), map[string]bool{}
	for _, item := range tree.List(state, "interfaces") {
		iface := tree.Object(item)
		for _, name := range append(tree.PortsOf(iface), tree.BaseOf(iface)) {
			if named[name] == nil && there.Find(name, nil)["state"] == "ignore" {
				links[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(links))
}
