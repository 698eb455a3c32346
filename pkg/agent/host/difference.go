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
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/preparation"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// difference returns the part of desired that applying it again would change,
// nil if applying it again would change nothing. Secrets are masked on both
// sides and never differ.
//
// For interfaces, nmstate's own comparison comes first. It finds too much: it
// compares lists as a whole, and it does not know what nmstate's verification after
// an apply knows, for example that a list which is not shown is empty. So each
// field that it finds is compared again, as the verification compares: what was
// verified is no difference. The rules for that are in difference_fields.go.
func difference(desired *v1alpha1.State, current []byte, backend v1alpha1.Backend) (*v1alpha1.State, error) {
	return differenceBy(desired, current, backend, (*comparison).candidates)
}

// differenceBy is difference with another first comparison of interfaces, which
// returns the wanted interfaces that may differ, with the fields that may.
func differenceBy(desired *v1alpha1.State, current []byte, backend v1alpha1.Backend, candidates func(*comparison, []any) []any) (*v1alpha1.State, error) {
	if desired == nil {
		return nil, nil
	}
	// In nmstate's own notation each field has one name, and numbers and texts
	// are what nmstate takes them for.
	formatted, err := nmstate.FormatNetState(desired.Raw)
	if err != nil {
		return nil, err
	}
	c := &comparison{backend: backend, candidatesOf: candidates, rules: rules()}
	if c.desired, err = tree.Decode(formatted); err != nil {
		return nil, err
	}
	if c.current, err = tree.Decode(current); err != nil {
		return nil, err
	}
	c.indexInterfaces()
	// nmstate ignores what describes a state as a whole.
	delete(c.desired, "description")
	differs := c.fields("", c.desired, c.desired, c.current)
	if len(differs) == 0 {
		return nil, nil
	}
	text, err := tree.Encode(differs)
	return v1alpha1.NewState(text), err
}

// comparison compares a desired state with the current one.
type comparison struct {
	desired, current map[string]any
	// backend sets the state: what it cannot do is no difference.
	backend v1alpha1.Backend
	// candidatesOf is the first comparison of interfaces.
	candidatesOf func(*comparison, []any) []any
	rules        map[string]rule
	// there finds the current interfaces by their names.
	there tree.Index
	// wantedStates has the states of the wanted interfaces by name.
	wantedStates map[string]any
}

// property is a field of a desired state and its counterpart in the current one.
type property struct {
	name string
	// path has the names of all objects around the field, and its own. The path
	// of an interface's field begins at the interface. An item of a list has
	// the path of the list.
	path          string
	wanted, there any
	// in is the desired object around the field, with all of its fields.
	// thereIn is the current one.
	in, thereIn map[string]any
}

// rule compares a field. It returns the part of the wanted value that does not
// hold, and whether there is such a part: null is a value, too.
type rule func(c *comparison, p property) (rest any, differs bool)

// fields compares the fields of an object and returns those that differ. The
// object may have a part of the desired fields only; in has all of them.
func (c *comparison) fields(path string, wanted, in, there map[string]any) map[string]any {
	left := map[string]any{}
	for name, value := range wanted {
		p := property{name: name, path: strings.TrimPrefix(path+"."+name, "."), wanted: value, there: there[name], in: in, thereIn: there}
		compare := plain
		if special := c.rules[p.path]; special != nil {
			compare = special
		}
		if rest, differs := compare(c, p); differs {
			left[name] = rest
		}
	}
	return left
}

// plain compares a field that has no rule of its own: of an object each field, of
// a list all items in any order, else the value. What is off or empty need not
// be shown.
func plain(c *comparison, p property) (any, bool) {
	switch wanted := p.wanted.(type) {
	case map[string]any:
		in := tree.Object(p.in[p.name])
		if in == nil {
			in = wanted
		}
		left := c.fields(p.path, wanted, in, tree.Object(p.there))
		for name, value := range wanted {
			if len(left) > 0 && (wholes[p.path] || strings.HasPrefix(name, "allow-extra-")) {
				left[name] = value
			}
		}
		return left, len(left) > 0
	case []any:
		return wanted, !c.sameItems(p.path, wanted, tree.Items(p.there))
	case nil:
		// Only in Open vSwitch's database does null want a value to be absent.
		return nil, p.there != nil && strings.Contains(p.path, "ovs-db.")
	}
	off := p.there == nil && (p.wanted == false || p.wanted == "")
	return p.wanted, !off && p.wanted != secret.Mask && !tree.SameValue(p.wanted, p.there)
}

// sameItems tells whether two lists have the same items, in any order. An item
// that is there may have more fields than the wanted one.
func (c *comparison) sameItems(path string, wanted, there []any) bool {
	isThere := func(one any) bool { return c.hasItem(path, one, there) }
	isWanted := func(other any) bool {
		return slices.ContainsFunc(wanted, func(one any) bool { return c.holds(path, one, other) })
	}
	return len(wanted) == len(there) && all(wanted, isThere) && all(there, isWanted)
}

// all tells whether all items are as asked.
func all(items []any, is func(any) bool) bool {
	return !slices.ContainsFunc(items, func(item any) bool { return !is(item) })
}

// hasItem tells whether a list has an item with all that is wanted.
func (c *comparison) hasItem(path string, wanted any, list []any) bool {
	return slices.ContainsFunc(list, func(item any) bool { return c.holds(path, wanted, item) })
}

// holds tells whether an item of a list has all that is wanted.
func (c *comparison) holds(path string, wanted, there any) bool {
	if fields, ok := wanted.(map[string]any); ok {
		return len(c.fields(path, fields, fields, tree.Object(there))) == 0
	}
	return tree.SameValue(wanted, there)
}

// candidates returns the wanted interfaces in which nmstate finds a difference,
// with the fields that differ. nmstate knows interfaces by other names, too, such
// as alternative ones, and returns them with their own. It refuses to compare
// some states that it has applied: one that differs only in some fields of a
// VXLAN, for example. Then all wanted interfaces are candidates.
func (c *comparison) candidates(wanted []any) []any {
	if len(wanted) == 0 {
		return nil
	}
	desired, err1 := tree.Encode(map[string]any{"interfaces": wanted})
	current, err2 := tree.Encode(map[string]any{"interfaces": c.current["interfaces"]})
	if err1 != nil || err2 != nil {
		return wanted
	}
	differs, err := nmstate.GenerateDifferences(withKeys(withVRFs(desired, c.current)), withKeys(current))
	if err != nil {
		return wanted
	}
	root, err := tree.Decode(bytes.ReplaceAll(differs, []byte(maskedKey), []byte(secret.Mask)))
	if err != nil {
		return wanted
	}
	return tree.List(root, "interfaces")
}

// maskedKey is a mask of the length of a MACsec key. nmstate refuses keys of
// another length, so it would not compare a state with the mask itself.
var maskedKey = fmt.Sprintf("%-32s", secret.Mask)

// withKeys returns a masked state with masks that nmstate accepts.
func withKeys(state []byte) []byte {
	return bytes.ReplaceAll(state, []byte(secret.Mask), []byte(maskedKey))
}

// differenceOf returns what of a desired state does not hold in the current one.
func differenceOf(desired *v1alpha1.State, current *state, backend v1alpha1.Backend) (*v1alpha1.State, error) {
	masked, err := secret.MaskState(desired.Raw)
	if err == nil && backend == v1alpha1.BackendKernel {
		masked, err = preparation.Named(masked, current.full)
	}
	if err != nil {
		return nil, err
	}
	return difference(v1alpha1.NewState(masked), current.full, backend)
}
