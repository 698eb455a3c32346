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
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// leaveProtocols takes the protocol of each VLAN that has it already out of a state: nmstate takes it for another one than the
// profile's if that names none, and has NetworkManager make the VLAN again, with a gap (is_vlan_changed() of nmstate). So what is
// shown could not be sent back.
func leaveProtocols(desired, current []byte) ([]byte, error) {
	wanted, err := tree.Decode(desired)
	if err != nil {
		return nil, err
	}
	there, err := tree.Decode(current)
	if err != nil {
		return nil, err
	}
	has := map[string]string{}
	for _, item := range tree.List(there, "interfaces") {
		if iface := tree.Object(item); iface["type"] == "vlan" {
			has[tree.StringAt(iface, "name")] = tree.StringAt(tree.Object(iface["vlan"]), "protocol")
		}
	}
	left := false
	for _, item := range tree.List(wanted, "interfaces") {
		iface := tree.Object(item)
		vlan := tree.Object(iface["vlan"])
		if protocol := tree.StringAt(vlan, "protocol"); protocol != "" && strings.EqualFold(protocol, has[tree.StringAt(iface, "name")]) {
			delete(vlan, "protocol")
			left = true
		}
	}
	if !left {
		return desired, nil
	}
	return tree.Encode(wanted)
}
