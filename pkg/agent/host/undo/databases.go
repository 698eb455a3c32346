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
package undo

import (
	"maps"
	"slices"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// databasesBefore returns the state that makes Open vSwitch's database what it was before a
// change to desired, nil if the change does not touch it. Neither the kernel nor
// NetworkManager's checkpoints know of it. nmstate's own revert has the same, but for an
// empty map, which takes everything away.
func databasesBefore(desired, full []byte) (state []byte, err error) {
	wanted, err := tree.Decode(desired)
	if err != nil {
		return nil, err
	}
	there, err := tree.Decode(full)
	if err != nil {
		return nil, err
	}
	before := map[string]any{}
	columns, purged := columnsBefore(tree.Object(wanted["ovs-db"]), tree.Object(there["ovs-db"]))
	if len(columns) > 0 {
		before["ovs-db"] = columns
	}
	if mappings := mappingsBefore(tree.Object(wanted["ovn"]), tree.Object(there["ovn"]), purged); len(mappings) > 0 {
		before["ovn"] = map[string]any{"bridge-mappings": mappings}
	}
	if len(before) == 0 {
		return nil, nil
	}
	return tree.Encode(before)
}

// columnsBefore returns the columns of the section ovs-db. purged tells that the change takes
// all external_ids away, and with them OVN's mappings, which are one of them.
func columnsBefore(wanted, there map[string]any) (before map[string]any, purged bool) {
	before = map[string]any{}
	for _, column := range []string{"external_ids", "other_config"} {
		change, given := wanted[column].(map[string]any)
		if !given {
			continue
		}
		is := tree.Object(there[column])
		was := map[string]any{}
		for key := range change {
			was[key] = is[key] // null takes a key away
		}
		if len(change) == 0 {
			purged = purged || column == "external_ids"
			was = maps.Clone(is)
		}
		if len(was) > 0 { // an empty map would take everything away
			before[column] = was
		}
	}
	return before, purged
}

// mappingsBefore returns the mappings of the section ovn, all of them or those that are wanted
// otherwise.
func mappingsBefore(wanted, there map[string]any, all bool) []any {
	is := tree.List(there, "bridge-mappings")
	if all {
		return is
	}
	var before []any
	for _, item := range tree.List(wanted, "bridge-mappings") {
		localnet := tree.StringAt(tree.Object(item), "localnet")
		at := slices.IndexFunc(is, func(one any) bool { return tree.StringAt(tree.Object(one), "localnet") == localnet })
		if at >= 0 {
			before = append(before, is[at])
		} else {
			before = append(before, map[string]any{"localnet": localnet, "state": "absent"})
		}
	}
	return before
}

// sysctls are those of a link that NetworkManager sets for nmstate and leaves when it does not
// manage the link any more. The asterisk stands for the link.
var sysctls = []string{"/proc/sys/net/ipv4/conf/*/forwarding", "/proc/sys/net/ipv6/conf/*/disable_ipv6"}

// isSysctl tells whether a file comes and goes with a link.
func isSysctl(name string) bool { return strings.HasPrefix(name, "/proc/sys/") }

// sysctlsOf returns the files of a link's sysctls.
func sysctlsOf(link string) []string {
	var files []string
	for _, file := range sysctls {
		files = append(files, strings.Replace(file, "*", link, 1))
	}
	return files
}
