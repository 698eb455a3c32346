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
	"cmp"
	"fmt"
	"io"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/netstate"
)

// shownInterface is an interface, and its port, if the node has told of it.
type shownInterface struct {
	netstate.Interface
	port *v1alpha1.NetworkPort
}

// column is a column of the table of interfaces. What tells more of an interface adds one to interfaceColumns.
type column struct {
	title string
	value func(shownInterface) string
	// optional tells that the column is left out if there is nothing in it.
	optional bool
}

var interfaceColumns = []column{
	{"NAME", func(i shownInterface) string { return i.Name }, false},
	{"TYPE", func(i shownInterface) string { return i.Type }, false},
	{"STATE", func(i shownInterface) string { return i.State }, false},
	{"CARRIER", carrier, true},
	{"SPEED", portSpeed, true},
	{"ADDRESSES", func(i shownInterface) string { return strings.Join(i.Addresses, ", ") }, false},
	{"MTU", func(i shownInterface) string { return i.MTU }, false},
	{"TOPOLOGY", func(i shownInterface) string { return i.Topology }, false},
	{"NEIGHBOR", neighbors, true},
}

func carrier(i shownInterface) string {
	if i.port == nil {
		return ""
	}
	return yesOrNo(i.port.Carrier)
}

func portSpeed(i shownInterface) string {
	if i.port == nil {
		return ""
	}
	return speed(i.port.Speed)
}

// neighbors names the neighbours that were heard by LLDP, and their ports.
func neighbors(i shownInterface) string {
	if i.port == nil || i.port.LLDP == nil {
		return ""
	}
	var names []string
	for _, n := range i.port.LLDP.Neighbors {
		names = append(names, cmp.Or(n.SystemName, n.ChassisID)+" "+n.PortID)
	}
	return strings.Join(names, ", ")
}

// interfaceCells returns the heads of the columns, and below them the cells of each interface, without columns that have
// nothing in them and need not be there.
func interfaceCells(interfaces []shownInterface) [][]string {
	rows := make([][]string, 1+len(interfaces))
	for _, c := range interfaceColumns {
		cells := make([]string, len(interfaces))
		for n, i := range interfaces {
			cells[n] = c.value(i)
		}
		if c.optional && strings.Join(cells, "") == "" {
			continue
		}
		for n, cell := range append([]string{c.title}, cells...) {
			rows[n] = append(rows[n], cell)
		}
	}
	return rows
}

// portOf returns the port of an interface. A bridge of Open vSwitch has none, though an interface inside may have its name.
func portOf(ports *v1alpha1.NodeNetworkPorts, i netstate.Interface) *v1alpha1.NetworkPort {
	if ports == nil || i.Type == "ovs-bridge" {
		return nil
	}
	for n := range ports.Ports {
		if ports.Ports[n].Name == i.Name {
			return &ports.Ports[n]
		}
	}
	return nil
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
	routes.add("NODE", "DESTINATION", "NEXT HOP", "INTERFACE", "METRIC", "TABLE", "KIND")
	rules.add("NODE", "RULE")
	dns.add("NODE", "DNS SERVERS", "SEARCH")
	var all []shownInterface
	owners := []string{"NODE"}
	for _, node := range nodes {
		for _, i := range netstate.Interfaces(node.State, interfaces...) {
			all = append(all, shownInterface{i, portOf(node.ports, i)})
			owners = append(owners, node.Node)
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
	for n, cells := range interfaceCells(all) {
		links.add(owners[n], cells...)
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
