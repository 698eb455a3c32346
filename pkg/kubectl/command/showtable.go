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

package command

import (
	"fmt"
	"io"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/netstate"
)

// column is a column of the table of interfaces. What tells more of an interface adds one to interfaceColumns.
type column struct {
	title string
	value func(netstate.Interface) string
}

var interfaceColumns = []column{
	{"NAME", func(i netstate.Interface) string { return i.Name }},
	{"TYPE", func(i netstate.Interface) string { return i.Type }},
	{"STATE", func(i netstate.Interface) string { return i.State }},
	{"ADDRESSES", func(i netstate.Interface) string { return strings.Join(i.Addresses, ", ") }},
	{"MTU", func(i netstate.Interface) string { return i.MTU }},
	{"TOPOLOGY", func(i netstate.Interface) string { return i.Topology }},
}

// table writes lines with columns, the name of the node in front unless only one is shown.
type table struct {
	rows  [][]string
	alone bool
}

func (t *table) add(node string, cells ...string) {
	for i, cell := range cells {
		if cells[i] = safe(cell); cell == "" {
			cells[i] = "-"
		}
	}
	if !t.alone {
		cells = append([]string{node}, cells...)
	}
	t.rows = append(t.rows, cells)
}

// write writes the table below its title, nothing if it has no row but the heads.
func (t *table) write(out io.Writer) error {
	if len(t.rows) < 2 {
		return nil
	}
	w := printers.GetNewTabWriter(out)
	for _, row := range t.rows {
		if _, err := fmt.Fprintln(w, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// showTables prints interfaces, and below them routes, rules and DNS.
func showTables(out io.Writer, nodes []shownNode, alone bool, interfaces []string) error {
	links := &table{alone: alone}
	routes, rules, dns := &table{alone: alone}, &table{alone: alone}, &table{alone: alone}
	var heads []string
	for _, c := range interfaceColumns {
		heads = append(heads, c.title)
	}
	links.add("NODE", heads...)
	routes.add("NODE", "DESTINATION", "NEXT HOP", "INTERFACE", "METRIC", "TABLE", "KIND")
	rules.add("NODE", "RULE")
	dns.add("NODE", "DNS SERVERS", "SEARCH")
	for _, node := range nodes {
		for _, i := range netstate.Interfaces(node.State, interfaces...) {
			var cells []string
			for _, c := range interfaceColumns {
				cells = append(cells, c.value(i))
			}
			links.add(node.Node, cells...)
		}
		for _, r := range netstate.Routes(node.State, interfaces...) {
			routes.add(node.Node, r.Destination, r.NextHop, r.Interface, r.Metric, r.Table, r.Kind)
		}
		for _, r := range netstate.Rules(node.State) {
			rules.add(node.Node, r)
		}
		if servers, search := netstate.DNS(node.State); len(servers)+len(search) > 0 {
			dns.add(node.Node, strings.Join(servers, ", "), strings.Join(search, ", "))
		}
	}
	first := true
	for _, t := range []*table{links, routes, rules, dns} {
		if len(t.rows) < 2 {
			continue
		}
		if !first {
			if _, err := fmt.Fprintln(out); err != nil {
				return err
			}
		}
		first = false
		if err := t.write(out); err != nil {
			return err
		}
	}
	return nil
}
