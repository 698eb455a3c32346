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

// Index finds the interfaces of a state by the names that they have.
type Index struct {
	// byName has the interfaces by their names, byOtherName by the names of their profiles and by their alternative ones.
	byName, byOtherName map[string][]map[string]any
}

// NewIndex returns the index of a state's interfaces.
func NewIndex(state map[string]any) Index {
	x := Index{byName: map[string][]map[string]any{}, byOtherName: map[string][]map[string]any{}}
	for _, item := range List(state, "interfaces") {
		iface := Object(item)
		name := Text(iface["name"])
		x.byName[name] = append(x.byName[name], iface)
		others := []any{iface["profile-name"]}
		for _, other := range List(iface, "alt-names") {
			others = append(others, Object(other)["name"])
		}
		for _, other := range others {
			if other != nil {
				x.byOtherName[Text(other)] = append(x.byOtherName[Text(other)], iface)
			}
		}
	}
	return x
}

// Find returns the interface that has the given name, or goes by it; nil if there is none. An interface that only
// Open vSwitch or IPsec knows may have the name of one that the kernel knows, so the type tells them apart.
func (x Index) Find(name, kind any) map[string]any {
	for _, index := range []map[string][]map[string]any{x.byName, x.byOtherName} {
		for _, iface := range index[Text(name)] {
			if Compatible(iface["type"], kind) {
				return iface
			}
		}
	}
	return nil
}

// Compatible tells whether interfaces of these two types can be the same one. A type that is not given can be any.
func Compatible(a, b any) bool {
	return a == nil || b == nil || a == "unknown" || b == "unknown" || InUserspace(a) == InUserspace(b)
}

// InUserspace tells whether the kernel does not know interfaces of a type.
func InUserspace(kind any) bool { return kind == "ovs-bridge" || kind == "ipsec" }

// Identifies tells whether a wanted interface means the interface is, by its MAC or PCI address. Several interfaces may
// have that address; nmstate takes one of them.
func Identifies(wanted, is map[string]any) bool {
	same := func(key, other string) bool {
		return wanted[key] != nil && is[other] != nil && SameValue(wanted[key], is[other])
	}
	switch wanted["identifier"] {
	case "mac-address":
		return same("mac-address", "mac-address") || same("mac-address", "permanent-mac-address")
	case "pci-address":
		return same("pci-address", "pci-address")
	}
	return false
}
