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

// unexplained are the words of errors that a link which NetworkManager does not manage leads to: no port is made of it, and no VLAN over it
// while it is down.
var unexplained = []string{"No suitable device found", "Failed to find desired interface"}

// withUnnamed says of such an error which links it may be of: those that the state uses and does not name. NetworkManager manages the links that a
// state names, but for those that its configuration keeps from it, of which remedy tells.
func withUnnamed(failed *nmstate.Error, desired, current []byte) *nmstate.Error {
	isIn := func(words string) bool { return strings.Contains(failed.Msg, words) }
	if !slices.ContainsFunc(unexplained, isIn) || isIn(strictlyUnmanaged) {
		return failed
	}
	links := unnamed(desired, current)
	if len(links) == 0 {
		return failed
	}
	explained := *failed
	explained.Msg = strings.TrimSuffix(failed.Msg, ".") + fmt.Sprintf("; the state uses links that NetworkManager does not manage, and does not name them: %s; name them in the state, with state: up",
		strings.Join(links, ", "))
	return &explained
}

// unnamed returns the links that a state uses as a base or as a port and does not name, and that NetworkManager does not manage. A change waits
// for what it returns, so it calls no library, which may be busy with a read.
func unnamed(desired, current []byte) []string {
	state, err := tree.Decode(desired)
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
		if iface["state"] == "absent" {
			continue
		}
		for _, name := range append(tree.PortsOf(iface), tree.BaseOf(iface)) {
			if named[name] == nil && there.Find(name, nil)["state"] == "ignore" {
				links[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(links))
}
