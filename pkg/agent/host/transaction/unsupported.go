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
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// unsupported names, under root, what libnmstate with NetworkManager says only when the change is under way, after a dry run that took it.
// virtual tells whether a port has virtual functions.
func unsupported(root *field.Path, desired, current []byte, virtual func(name string) bool) (field.ErrorList, error) {
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
		name, is := tree.StringAt(iface, "name"), interfaces.Find(iface["name"], iface["type"])
		path := root.Child("interfaces").Key("name=" + name)
		if autoconfAlone(tree.Object(iface["ipv6"]), tree.Object(is["ipv6"])) {
			errs = append(errs, field.Invalid(path.Child("ipv6", "autoconf"), true, "nmstate with NetworkManager has no autoconf without DHCP: "+
				"set dhcp to true, too; where no DHCPv6 server answers, the addresses are those of the routers"))
		}
		if functions := tree.Object(tree.Object(iface["ethernet"])["sr-iov"]); wantsFunctions(functions) && is["type"] == "ethernet" && !virtual(tree.StringAt(is, "name")) {
			errs = append(errs, field.Forbidden(path.Child("ethernet", "sr-iov"), "this port's hardware or driver has no SR-IOV"))
		}
	}
	return errs, nil
}

// autoconfAlone tells whether IPv6 addresses are to come from routers and not by DHCPv6: libnmstate has no method of NetworkManager for
// that (its nm/settings/ip.rs).
func autoconfAlone(wanted, is map[string]any) bool {
	return tree.SameValue(wanted["autoconf"], true) && isSet(wanted, is, "enabled") && !isSet(wanted, is, "dhcp")
}

// wantsFunctions tells whether a port is to have virtual functions.
func wantsFunctions(functions map[string]any) bool {
	return functions["total-vfs"] != nil && !tree.SameValue(functions["total-vfs"], 0) || len(tree.Items(functions["vfs"])) > 0
}

// hasFunctions tells whether a port has virtual functions, by what libnmstate goes by (its query_apply/ethernet.rs).
func hasFunctions(name string) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", name, "device/sriov_numvfs"))
	return err == nil
}

// isSet tells whether a field is true: as it is wanted, or else as it is.
func isSet(wanted, is map[string]any, name string) bool {
	value, ok := wanted[name]
	if !ok {
		value = is[name]
	}
	return tree.SameValue(value, true)
}
