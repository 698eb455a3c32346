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
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// autoconfAlone names, under root, the interfaces that are to have IPv6 addresses from routers and none by DHCPv6. libnmstate has no method of
// NetworkManager for that (its nm/settings/ip.rs), and says so only when the change is under way, after a dry run that took it.
func autoconfAlone(root *field.Path, desired, current []byte) (field.ErrorList, error) {
	wanted, err := tree.Decode(desired)
	if err != nil {
		return nil, err
	}
	there, err := tree.Decode(current)
	if err != nil {
		return nil, err
	}
	var errs field.ErrorList
	interfaces := tree.NewIndex(there)
	for _, item := range tree.List(wanted, "interfaces") {
		iface := tree.Object(item)
		if state := tree.StringAt(iface, "state"); state != "" && state != "up" {
			continue
		}
		ipv6, is := tree.Object(iface["ipv6"]), tree.Object(interfaces.Find(iface["name"], iface["type"])["ipv6"])
		if isSet(ipv6, is, "autoconf") && isSet(ipv6, is, "enabled") && !isSet(ipv6, is, "dhcp") && tree.SameValue(ipv6["autoconf"], true) {
			path := root.Child("interfaces").Key("name="+tree.StringAt(iface, "name")).Child("ipv6", "autoconf")
			errs = append(errs, field.Invalid(path, true, "nmstate with NetworkManager has no autoconf without DHCP: "+
				"set dhcp to true, too; where no DHCPv6 server answers, the addresses are those of the routers"))
		}
	}
	return errs, nil
}

// isSet tells whether a field is true: as it is wanted, or else as it is.
func isSet(wanted, is map[string]any, name string) bool {
	value, ok := wanted[name]
	if !ok {
		value = is[name]
	}
	return tree.SameValue(value, true)
}
