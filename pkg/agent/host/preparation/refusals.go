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

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// needed are the types of interface that neither libnmstate without NetworkManager nor the preparation makes or sets, and
// what a node would need for them.
var needed = map[string]string{
	"ovs-bridge":    "Open vSwitch, and NetworkManager with its plugin for it",
	"ovs-interface": "Open vSwitch, and NetworkManager with its plugin for it",
	"infiniband":    "InfiniBand hardware and NetworkManager",
	"ipsec":         "Libreswan, and NetworkManager with its plugin for it",
	"xfrm":          "an IPsec connection, which has it made",
	"wireguard":     "a libnmstate that knows the type",
	"tun":           "the program that uses it, which makes it",
}

// neededFor are the fields of an interface that neither can set, and what a node would need for them.
var neededFor = []struct {
	path   []string
	needed string
}{
	{[]string{"802.1x"}, "NetworkManager and wpa_supplicant"},
	{[]string{"macsec", "mka-cak"}, "NetworkManager and wpa_supplicant"},
	{[]string{"macsec", "mka-ckn"}, "NetworkManager and wpa_supplicant"},
	{[]string{"ethernet", "sr-iov"}, "NetworkManager, and hardware that has virtual functions"},
	{[]string{"ethernet", "speed"}, "NetworkManager"},
	{[]string{"ethernet", "duplex"}, "NetworkManager"},
	{[]string{"ethernet", "auto-negotiation"}, "NetworkManager"},
	{[]string{"ethtool", "fec"}, "NetworkManager"},
	{[]string{"description"}, "NetworkManager, which keeps it"},
	{[]string{"dispatch"}, "NetworkManager, which runs the scripts"},
	{[]string{"lldp", "enabled"}, "NetworkManager, which listens for LLDP"},
	{[]string{"mptcp"}, "NetworkManager"},
	{[]string{"ovs-db"}, "Open vSwitch, and NetworkManager with its plugin for it"},
	{[]string{"ipv4", "dhcp"}, "a DHCP client, such as NetworkManager"},
	{[]string{"ipv6", "dhcp"}, "a DHCP client, such as NetworkManager"},
	{[]string{"ipv6", "token"}, "NetworkManager"},
	{[]string{"ipv6", "addr-gen-mode"}, "NetworkManager"},
	{[]string{"ipv4", "prefix-route-metric"}, "NetworkManager"},
	{[]string{"ipv6", "prefix-route-metric"}, "NetworkManager"},
	{[]string{"wait-ip"}, "NetworkManager, which waits for addresses"},
	{[]string{"profile-name"}, "NetworkManager, which has profiles"},
}

// Refusals names what of a desired state cannot be had without NetworkManager, under root, and says what would be needed.
// What holds already is not refused. A secret is in none of it.
func Refusals(root *field.Path, desired, current []byte) (field.ErrorList, error) {
	n, err := read(desired, current, nil)
	if err != nil {
		return nil, err
	}
	var errs field.ErrorList
	for _, section := range []string{"ovs-db", "ovn"} {
		if value := n.desired[section]; value != nil && !holds(value, n.current[section]) {
			errs = append(errs, forbidden(root.Child(section), "Open vSwitch, and NetworkManager with its plugin for it"))
		}
	}
	for _, e := range n.entries {
		path := root.Child("interfaces").Key("name=" + tree.StringAt(e.fields, "name"))
		errs = append(errs, e.refusals(path)...)
	}
	for i, route := range configured(n.desired, "routes") {
		if route["cwnd"] != nil && route["state"] != "absent" {
			errs = append(errs, forbidden(root.Child("routes", "config").Index(i).Child("cwnd"), "NetworkManager"))
		}
	}
	return errs, nil
}

func forbidden(path *field.Path, needed string) *field.Error {
	return field.Forbidden(path, "without NetworkManager this cannot be set on this node; it would need "+needed)
}

func (e *entry) refusals(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch e.state() {
	case "ignore", "unknown":
		return nil
	case "absent", "down":
		if why := needed[e.kind]; why != "" && e.current != nil && e.current["state"] != "down" {
			errs = append(errs, forbidden(path.Child("type"), why))
		}
		return errs
	}
	if why := needed[e.kind]; why != "" && !(e.current != nil && holds(e.fields, e.current)) {
		return append(errs, forbidden(path.Child("type"), why))
	}
	for _, one := range neededFor {
		wanted, is := at(e.fields, one.path), at(e.current, one.path)
		if wanted == nil || e.isIdle(one.path, wanted, is) || holds(wanted, is) {
			continue
		}
		errs = append(errs, forbidden(path.Child(one.path[0], one.path[1:]...), one.needed))
	}
	return errs
}

// isIdle tells whether a value asks for nothing: it is off, or what is without NetworkManager anyway.
func (e *entry) isIdle(path []string, wanted, is any) bool {
	switch path[len(path)-1] {
	case "dhcp": // can be given up without a client
		return isOff(wanted)
	case "wait-ip":
		return wanted == "any"
	case "profile-name":
		return wanted == e.fields["name"] || wanted == e.name
	case "token":
		return wanted == "" || wanted == "::"
	}
	return isOff(wanted) && (is == nil || isOff(is))
}

// at returns what is at a path, nil if there is nothing.
func at(fields map[string]any, path []string) any { return within(fields, path)[path[len(path)-1]] }

// within returns the object that has what is at a path, nil if there is none.
func within(fields map[string]any, path []string) map[string]any {
	for _, key := range path[:len(path)-1] {
		fields = tree.Object(fields[key])
	}
	return fields
}

// isOff tells whether a value means no more than no value does.
func isOff(value any) bool {
	switch value := value.(type) {
	case bool:
		return !value
	case string:
		return value == ""
	case []any:
		return len(value) == 0
	case map[string]any:
		for _, inner := range value {
			if !isOff(inner) {
				return false
			}
		}
		return true
	}
	return fmt.Sprint(value) == "0"
}

// holds tells whether a value is so already: an object may have other fields, too.
func holds(wanted, is any) bool {
	switch wanted := wanted.(type) {
	case map[string]any:
		for key, value := range wanted {
			if !holds(value, tree.Object(is)[key]) {
				return false
			}
		}
		return is != nil
	case []any:
		list := tree.Items(is)
		if len(list) != len(wanted) {
			return false
		}
		for i := range wanted {
			if !holds(wanted[i], list[i]) {
				return false
			}
		}
		return true
	}
	return tree.SameValue(wanted, is)
}
