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

package stateschema

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

func loaded(t testing.TB) *Schema {
	schema, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestEachObjectHasTheFieldsThatNmstateNames: libnmstate names the fields that it knows where it meets one that it does not
// know. For each object of a state they are compared with the definitions, in number and by name.
func TestEachObjectHasTheFieldsThatNmstateNames(t *testing.T) {
	a := asker{t: t, asked: map[*object]bool{}, silent: map[string]bool{}}
	a.ask(loaded(t).state, func(inner any) any { return inner })
	// Of these libnmstate names no fields: it takes others and drops them, or it reads them by hand and has other words.
	want := []string{"BondPortConfig", "BridgePortTrunkTag", "DispatchConfig", "Ieee8021XConfig", "Interface", "OvnBridgeMapping",
		"OvsBridgeBondPortConfig", "OvsDbIfaceConfig", "VethConfig", "VlanQosMapping"}
	for name := range a.silent {
		if !slices.Contains(want, name) {
			t.Errorf("libnmstate names no fields of %s", name)
		}
	}
	if a.fields < 300 {
		t.Errorf("only %d fields were compared", a.fields)
	}
	t.Logf("%d fields of %d objects are compared; none are named of %v", a.fields, len(a.asked)-len(a.silent), slices.Sorted(maps.Keys(a.silent)))
}

// asker asks libnmstate for the fields of objects.
type asker struct {
	t      *testing.T
	asked  map[*object]bool
	silent map[string]bool
	fields int
}

var backquoted = regexp.MustCompile("`([^`]*)`")

// ask compares an object. within returns the whole state that has a value in the object's place.
func (a *asker) ask(o *object, within func(any) any) {
	if a.asked[o] {
		return
	}
	a.asked[o] = true
	if len(o.variants) > 0 {
		a.askVariants(o, within)
		return
	}
	probe := minimal(o)
	probe["zz"] = 1
	_, err := nmstate.FormatNetState(encode(a.t, within(probe)))
	if err == nil || !strings.Contains(err.Error(), "unknown field `zz`, expected") {
		a.silent[o.name] = true
	} else {
		a.compare(o, err.Error())
	}
	a.askFields(o, func(name string, value any) any {
		outer := minimal(o)
		if len(o.oneOf) > 0 {
			outer = map[string]any{}
		}
		outer[name] = value
		return within(outer)
	})
}

func (a *asker) askFields(o *object, within func(string, any) any) {
	for _, name := range slices.Sorted(maps.Keys(o.properties)) {
		p, place := o.properties[name], func(value any) any { return within(name, value) }
		if p.unchecked {
			continue
		}
		for p.kind == list {
			outer := place
			p, place = p.item, func(value any) any { return outer([]any{value}) }
		}
		if p.kind == composite {
			a.ask(p.object, place)
		}
	}
}

// askVariants asks for what each type of interface has. Those all have is asked for once.
func (a *asker) askVariants(o *object, within func(any) any) {
	a.silent[o.name] = true
	for _, value := range slices.Sorted(maps.Keys(o.variants)) {
		typed := func(name string, inner any) any {
			return within(map[string]any{"name": "x0", "type": value, name: inner})
		}
		a.askFields(o.variants[value], typed)
		a.askFields(o.variants[value].base, typed)
	}
}

func (a *asker) compare(o *object, message string) {
	_, names, _ := strings.Cut(message, "expected")
	var theirs []string
	for _, match := range backquoted.FindAllStringSubmatch(names, -1) {
		theirs = append(theirs, match[1])
	}
	// Both families are read by one struct, which knows the fields of both.
	if strings.HasPrefix(o.name, "InterfaceIpv") {
		theirs = slices.DeleteFunc(theirs, func(name string) bool { return o.find(name) == nil })
	}
	ours := slices.AppendSeq(slices.Collect(maps.Keys(o.properties)), maps.Keys(o.aliases))
	slices.Sort(ours)
	slices.Sort(theirs)
	theirs = slices.Compact(theirs)
	if !slices.Equal(ours, theirs) {
		a.t.Errorf("%s has\n%v, libnmstate has\n%v", o.name, ours, theirs)
	}
	a.fields += len(ours)
}

// minimal returns an object with no more fields than it must have.
func minimal(o *object) map[string]any {
	fields := map[string]any{}
	for _, name := range o.required {
		fields[name] = o.properties[name].any()
	}
	if len(o.oneOf) > 0 {
		fields[o.oneOf[0]] = o.properties[o.oneOf[0]].any()
	}
	return fields
}

// any returns a value that the property takes.
func (p *property) any() any {
	switch p.kind {
	case boolean:
		return true
	case integer:
		return max(p.min, 1)
	case address:
		return map[string]string{"ip": "192.0.2.1", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1"}[p.format]
	case composite:
		return minimal(p.object)
	case list:
		return []any{}
	case dictionary:
		return map[string]any{}
	}
	if len(p.values) > 0 {
		return p.values[0]
	}
	return "0000:00:1f.6" // of the texts, PCI addresses have a form
}

func encode(t testing.TB, value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
