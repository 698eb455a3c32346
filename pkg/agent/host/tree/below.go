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

package tree

import "slices"

// BaseOf returns the interface that another one stands on, "" if there is none.
func BaseOf(iface map[string]any) string {
	for _, section := range iface {
		if base := StringAt(Object(section), "base-iface"); base != "" {
			return base
		}
	}
	return ""
}

// PortsOf returns the names of the ports that an interface is given.
func PortsOf(iface map[string]any) []string {
	var ports []string
	for name, value := range iface {
		section := Object(value)
		if name == "hsr" {
			ports = append(ports, StringAt(section, "port1"), StringAt(section, "port2"))
		}
		ports = append(ports, ListedPorts(section)...)
	}
	return slices.DeleteFunc(ports, func(port string) bool { return port == "" })
}

// ListedPorts returns the names of the ports that a section of an interface lists. Open vSwitch's bridges have bonds among them, with
// ports of their own.
func ListedPorts(section map[string]any) []string {
	var ports []string
	for _, item := range slices.Concat(List(section, "port"), List(section, "ports"), List(section, "slaves")) { // nmstate takes each for the first
		if name, isText := item.(string); isText {
			ports = append(ports, name)
			continue
		}
		fields := Object(item)
		if inner := Object(fields["link-aggregation"]); inner != nil {
			ports = append(ports, ListedPorts(inner)...)
		} else {
			ports = append(ports, StringAt(fields, "name"))
		}
	}
	return ports
}
