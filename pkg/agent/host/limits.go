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

package host

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

const (
	// maxVLAN is the last VLAN id: the kernel refuses VLAN_VID_MASK, 4095 (vlan_validate).
	maxVLAN = 4094
	// maxVXLAN is the last VXLAN id: there are VXLAN_N_VID, 2^24 (vxlan_validate).
	maxVXLAN = 1<<24 - 1
)

// impossible returns what of a desired state this node's kernel is known to
// refuse, although nmstate takes the state for valid. Without this check nmstate
// would find out by trying, which takes NetworkManager two minutes, and would call
// it a bug of its own. What is in doubt is left to nmstate.
//
// makes tells whether the kernel can make links of a kind.
func impossible(desired, current []byte, makes func(kind string) bool) (field.ErrorList, error) {
	wanted, err := tree.Decode(desired)
	if err != nil {
		return nil, err
	}
	there, err := tree.Decode(current)
	if err != nil {
		return nil, err
	}
	c := limitCheck{
		wanted: tree.InterfacesByName(wanted), there: tree.InterfacesByName(there), index: tree.NewIndex(there), kinds: linkKinds(), makes: makes,
	}
	for _, item := range tree.List(wanted, "interfaces") {
		iface, isObject := item.(map[string]any)
		if !isObject {
			continue
		}
		// An interface that is found by its MAC or PCI address is there, under a name of its own.
		if id := tree.StringAt(iface, "identifier"); id != "" && id != "name" {
			continue
		}
		if state := tree.StringAt(iface, "state"); state == "" || state == "up" {
			c.check(iface)
		}
	}
	return c.errs, nil
}

// limitCheck is one call of impossible.
type limitCheck struct {
	// wanted and there are the interfaces of the desired and the current state, by name.
	wanted, there map[string]map[string]any
	// index finds the interfaces of the current state by all of their names.
	index tree.Index
	kinds map[string]linkKind
	makes func(kind string) bool
	errs  field.ErrorList
}

// check checks one interface that is to be up.
func (c *limitCheck) check(iface map[string]any) {
	name := tree.StringAt(iface, "name")
	path := statePath().Child("interfaces").Key("name=" + name)
	kind, known := c.kinds[c.typeOf(iface)]
	if c.typeOf(iface) == infiniBand && name != "" {
		c.checkInfiniBand(iface, path)
	}
	if !known || name == "" {
		return
	}
	c.checkID(iface, path, "vlan", maxVLAN)
	c.checkID(iface, path, "vxlan", maxVXLAN)
	if !c.isThere(name) {
		c.checkNew(iface, kind, path)
	}
	c.checkBase(iface, kind, path)
}

// typeOf returns the type of a wanted interface: the one that it has if the state
// gives none.
func (c *limitCheck) typeOf(iface map[string]any) string {
	if name := tree.StringAt(iface, "type"); name != "" && name != "unknown" {
		if _, hasPeer := iface["veth"]; hasPeer && name == "ethernet" {
			return "veth"
		}
		return name
	}
	return tree.StringAt(c.there[tree.StringAt(iface, "name")], "type")
}

// isThere tells whether an interface is there, by its name, by an alternative one
// or by its profile's.
func (c *limitCheck) isThere(name string) bool { return c.index.Find(name, nil) != nil }

// checkID checks the id of a VLAN or VXLAN.
func (c *limitCheck) checkID(iface map[string]any, path *field.Path, section string, most int64) {
	fields, _ := iface[section].(map[string]any)
	if id, ok := integer(fields["id"]); ok && id > most {
		c.refuse(path.Child(section, "id"), id, fmt.Sprintf("must be %d at most", most))
	}
}

// checkNew checks an interface that is to be made.
func (c *limitCheck) checkNew(iface map[string]any, kind linkKind, path *field.Path) {
	if !c.makes(kind.name) {
		c.refuse(path.Child("type"), tree.StringAt(iface, "type"), "the kernel of this node cannot make links of the kind "+kind.name)
	}
	c.checkName(tree.StringAt(iface, "name"), path.Child("name"))
	if veth, _ := iface["veth"].(map[string]any); !c.isThere(tree.StringAt(veth, "peer")) {
		c.checkName(tree.StringAt(veth, "peer"), path.Child("veth", "peer"))
	}
	switch mtu, ok := integer(iface["mtu"]); {
	case !ok:
	case kind.maxMTU > 0 && mtu > kind.maxMTU:
		c.refuse(path.Child("mtu"), mtu, fmt.Sprintf("the kernel takes %d at most for a new %s", kind.maxMTU, kind.name))
	case mtu > math.MaxInt32:
		c.refuse(path.Child("mtu"), mtu, fmt.Sprintf("the kernel takes %d at most", math.MaxInt32))
	case mtu < kind.minMTU:
		c.refuse(path.Child("mtu"), mtu, fmt.Sprintf("the kernel takes %d at least for a new %s", kind.minMTU, kind.name))
	}
}

// checkName checks the name of an interface that is to be made, as dev_valid_name
// does in the kernel's net/core/dev.c.
func (c *limitCheck) checkName(name string, path *field.Path) {
	switch {
	case len(name) >= unix.IFNAMSIZ:
		c.refuse(path, name, fmt.Sprintf("the name of a new interface has %d bytes at most", unix.IFNAMSIZ-1))
	case name == "." || name == ".." || strings.ContainsAny(name, "/:") || strings.ContainsFunc(name, unicode.IsSpace):
		c.refuse(path, name, `the name of a new interface has no "/", no ":" and no white space, and is not "." or ".."`)
	}
}

// checkBase checks that the MTU of an interface is not above the MTU that the
// interface below it has once the state is applied. An MTU that stays as it is can be
// above: a VXLAN keeps its own when its base's is lowered.
func (c *limitCheck) checkBase(iface map[string]any, kind linkKind, path *field.Path) {
	is := c.there[tree.StringAt(iface, "name")]
	mtu, ok := integer(iface["mtu"])
	if now, isThere := integer(is["mtu"]); !ok || kind.base == "" || isThere && now == mtu {
		return
	}
	base := baseOf(iface, kind)
	if base == "" {
		base = baseOf(is, kind)
	}
	if limit, sure := c.mtuOfBase(base); sure && mtu > limit {
		c.refuse(path.Child("mtu"), mtu, fmt.Sprintf("the MTU of its base-iface %s is %d: raise that too, in the same state", base, limit))
	}
}

func baseOf(iface map[string]any, kind linkKind) string {
	fields, _ := iface[kind.base].(map[string]any)
	return tree.StringAt(fields, "base-iface")
}

// mtuOfBase returns the MTU that a base has once the state is applied. It is sure
// if the state gives it, or if nothing else in the state can change it: a bridge
// follows its ports, and the ports of a bond follow the bond.
func (c *limitCheck) mtuOfBase(base string) (mtu int64, sure bool) {
	wanted, is := c.wanted[base], c.there[base]
	if mtu, given := integer(wanted["mtu"]); given {
		return mtu, true
	}
	switch tree.StringAt(is, "type") {
	case "ethernet", "veth":
		for _, iface := range c.wanted {
			if c.typeOf(iface) == "bond" {
				return 0, false
			}
		}
	case "bond":
		if wanted != nil {
			return 0, false
		}
	default:
		return 0, false
	}
	if tree.StringAt(is, "controller") != "" {
		return 0, false
	}
	return integer(is["mtu"])
}

// infiniBand is nmstate's type of an InfiniBand port, and of a partition of one.
const infiniBand = "infiniband"

// checkInfiniBand checks that the node has the hardware: a port of the interface's own name, or for a partition the port that is its base.
// NetworkManager would say of a missing one that another device does not fit.
func (c *limitCheck) checkInfiniBand(iface map[string]any, path *field.Path) {
	port, at := tree.StringAt(iface, "name"), path.Child("name")
	if c.isThere(port) {
		return
	}
	fields, _ := iface["infiniband"].(map[string]any)
	if base := tree.StringAt(fields, "base-iface"); base != "" {
		port, at = base, path.Child("infiniband", "base-iface")
	}
	if tree.StringAt(c.there[port], "type") != infiniBand {
		c.refuse(at, port, "this node has no InfiniBand port of this name; status.currentState shows its interfaces")
	}
}

func (c *limitCheck) refuse(path *field.Path, value any, why string) {
	c.errs = append(c.errs, field.Invalid(path, value, why))
}

// integer returns a number that is given as such or as text, as nmstate takes it.
func integer(value any) (number int64, ok bool) {
	if value == nil {
		return 0, false
	}
	number, err := strconv.ParseInt(tree.Text(value), 10, 64)
	return number, err == nil
}
