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

package removal

import (
	"fmt"
	"maps"
	"slices"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/preparation"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// mappings is the list of the section ovn.
const mappings = "bridge-mappings"

// kind is what routes and rules differ in.
type kind struct {
	section, title string
	// network is the field with the network by which most can be told apart.
	network string
	// means tells whether an entry means one that is there. An entry that is to be absent can mean more.
	means func(wanted, there map[string]any, absent bool) bool
}

var (
	routeKind = &kind{"routes", "route to %s", "destination", func(wanted, there map[string]any, absent bool) bool {
		return preparation.MeansRoute(wanted, there, !absent)
	}}
	ruleKind = &kind{"route-rules", "rule %s", "ip-from", func(wanted, there map[string]any, _ bool) bool {
		return preparation.MeansRule(wanted, there)
	}}
)

// named returns what an entry is called in messages.
func (k *kind) named(fields map[string]any) string {
	if k == routeKind {
		return fmt.Sprintf(k.title, tree.Text(fields["destination"]))
	}
	text := ""
	for _, field := range []string{"priority", "ip-from", "ip-to", "iif", "fwmark"} {
		if value := fields[field]; value != nil && value != "" {
			text += fmt.Sprintf(" %s=%s", field, tree.Text(value))
		}
	}
	return fmt.Sprintf(k.title, text[min(1, len(text)):])
}

// networkOf returns the network in an entry, "" if it has none.
func (k *kind) networkOf(fields map[string]any) string {
	prefix, err := tree.Prefix(fields[k.network])
	if err != nil {
		return ""
	}
	return prefix.String()
}

// entry is one route, or one rule.
type entry struct {
	// key tells it from others. fields are as given, named has the kernel's names of interfaces, and the table of a VRF.
	key           string
	fields, named map[string]any
}

func (e entry) isAbsent() bool { return e.fields["state"] == absent }

// entries are the routes, or the rules, of a state. There can be thousands: all pairs of two states would take minutes to compare.
type entries struct {
	*kind
	list      []entry
	keys      map[string]bool
	byNetwork map[string][]entry
}

func (s *entries) add(e entry) {
	s.list = append(s.list, e)
	s.keys[e.key] = true
	network := s.networkOf(e.fields)
	s.byNetwork[network] = append(s.byNetwork[network], e)
}

// near returns the entries that an entry can mean, or that can mean it: those of the same network, and those of none.
func (s *entries) near(fields map[string]any) []entry {
	network := s.networkOf(fields)
	if network == "" {
		return s.list
	}
	return slices.Concat(s.byNetwork[network], s.byNetwork[""])
}

// wants tells whether an entry means one that is shown, and wants it to be there.
func (s *entries) wants(is map[string]any) bool {
	return slices.ContainsFunc(s.near(is), func(e entry) bool { return !e.isAbsent() && s.means(e.named, is, false) })
}

// forbids tells whether an entry means one that is shown, and wants it to be absent.
func (s *entries) forbids(is map[string]any) bool {
	return slices.ContainsFunc(s.near(is), func(e entry) bool { return e.isAbsent() && s.means(e.named, is, true) })
}

// meant returns what an entry means of what is there. It is called for the entries that are there.
func (s *entries) meant(e entry) []map[string]any {
	var found []map[string]any
	for _, is := range s.near(e.fields) {
		if s.means(e.named, is.fields, e.isAbsent()) {
			found = append(found, is.fields)
		}
	}
	return found
}

// desiredEntries returns the routes, or the rules, of a desired state.
func (n *network) desiredEntries(root map[string]any, of *kind, names func(string) string) *entries {
	s := &entries{kind: of, keys: map[string]bool{}, byNetwork: map[string][]entry{}}
	for _, fields := range configured(root, of.section) {
		if fields["state"] == "ignore" {
			continue
		}
		e := entry{key: keyOfEntry(fields), fields: fields, named: maps.Clone(fields)}
		for _, field := range []string{"next-hop-interface", "iif"} {
			if name := tree.StringAt(fields, field); name != "" {
				e.named[field] = names(name)
			}
		}
		if vrf := tree.StringAt(fields, "vrf-name"); vrf != "" {
			delete(e.named, "vrf-name")
			e.named["table-id"] = n.tableOf(root, vrf, names)
		}
		s.add(e)
	}
	return s
}

// currentEntries returns the routes, or the rules, that are there.
func currentEntries(state map[string]any, of *kind) *entries {
	s := &entries{kind: of, keys: map[string]bool{}, byNetwork: map[string][]entry{}}
	for _, fields := range configured(state, of.section) {
		s.add(entry{fields: fields, named: fields})
	}
	return s
}

// keyOfEntry returns the key of a route or rule: its text.
func keyOfEntry(fields map[string]any) string {
	text, err := tree.Encode(fields)
	if err != nil {
		return ""
	}
	return string(text)
}

// tableOf returns the table of a VRF, of the desired state or one that is there.
func (n *network) tableOf(root map[string]any, vrf string, names func(string) string) any {
	for _, item := range tree.List(root, "interfaces") {
		if fields := tree.Object(item); fields["name"] == vrf {
			if table := tree.Object(fields["vrf"])["route-table-id"]; table != nil {
				return table
			}
		}
	}
	return tree.Object(n.Find(names(vrf), nil)["vrf"])["route-table-id"]
}

// configured returns the entries of a section that are configured.
func configured(root map[string]any, section string) []map[string]any {
	var found []map[string]any
	for _, item := range tree.List(tree.Object(root[section]), "config") {
		if fields := tree.Object(item); fields != nil {
			found = append(found, fields)
		}
	}
	return found
}

// settings returns the sections of a state that have fields, and no entries.
func settings(root map[string]any) map[string]any {
	found := map[string]any{}
	if config, given := tree.Object(root["dns-resolver"])["config"].(map[string]any); given {
		if len(config) == 0 { // it clears what there is
			config = map[string]any{"server": []any{}, "search": []any{}, "options": []any{}}
		}
		found["dns-resolver"] = map[string]any{"config": config}
	}
	for _, section := range []string{"hostname", "ovs-db"} {
		if fields := tree.Object(root[section]); fields != nil {
			found[section] = fields
		}
	}
	if list := tree.List(tree.Object(root["ovn"]), mappings); list != nil {
		found["ovn"] = map[string]any{mappings: byKey(list, "localnet")}
	}
	return found
}
