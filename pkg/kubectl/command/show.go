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
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/netstate"
)

type show struct {
	*plugin
	output
	selector   string
	interfaces []string
}

func (p *plugin) newShow() *cobra.Command {
	s := &show{plugin: p}
	command := &cobra.Command{
		Use:   "show [NODE...]",
		Short: "Show interfaces, routes and DNS of nodes as they are now",
		Long: `Shows the interfaces, routes, rules and DNS of nodes as they are now, with carriers and speeds, and with the neighbours that agents hear by LLDP (their flag --lldp). Without NODE it shows all nodes.

Link-local addresses of IPv6 are left out of the table; -o yaml has all. With one NODE, -o yaml and -o json print the node's state in nmstate's format, as "nmstatectl show" does: what it prints can be edited and applied. Else they print a list "nodes".

A node that cannot be asked is told of, and the exit code is 6.`,
		Example: `  # A node's network
  kubectl nmstate show node01

  # One interface on all nodes of a zone
  kubectl nmstate show -l topology.kubernetes.io/zone=a -i mgmt0

  # A node's state in nmstate's format
  kubectl nmstate show node01 -o yaml > node01.yaml`,
		ValidArgsFunction: p.completeNodes(0),
		RunE:              func(command *cobra.Command, args []string) error { return s.run(command.Context(), args) },
	}
	flags := command.Flags()
	flags.StringVarP(&s.selector, "selector", "l", "", "Show the nodes whose labels match this selector.")
	flags.StringSliceVarP(&s.interfaces, "interface", "i", nil, "Show this interface alone, and the routes over it. Can be given several times.")
	_ = command.RegisterFlagCompletionFunc("interface", completeList(p.completeInterfaces))
	s.output.add(command, "table", asYAML, asJSON, "name")
	return command
}

// shownNode is a node as it is shown.
type shownNode struct {
	Node      string `json:"node"`
	Available bool   `json:"available"`
	// Message says why the node is not available.
	Message string         `json:"message,omitempty"`
	State   map[string]any `json:"state,omitempty"`

	// ports are what the kernel and the hardware tell; nil if they do not.
	ports *v1alpha1.NodeNetworkPorts
}

func (s *show) run(ctx context.Context, args []string) error {
	if err := s.check(); err != nil {
		return err
	}
	if err := checkSelector(s.selector, args); err != nil {
		return err
	}
	c, err := s.connect()
	if err != nil {
		return err
	}
	objects, errs := c.selected(collectWarnings(ctx, &warnings{}), args, s.selector)
	var nodes []shownNode
	found := map[string]bool{}
	for _, obj := range objects {
		node, err := s.read(obj)
		if err != nil {
			errs = append(errs, err)
		}
		for _, name := range netstate.InterfaceNames(node.State) {
			found[name] = true
		}
		nodes = append(nodes, node)
	}
	// A typo would show nothing, and look as if there were nothing.
	for _, name := range s.interfaces {
		if !found[name] && slices.ContainsFunc(nodes, func(n shownNode) bool { return n.Available }) {
			errs = append(errs, &fault.Error{Code: fault.Usage, Message: fmt.Sprintf("there is no interface %q on what was selected", name), Remedy: s.known(objects)})
		}
	}
	s.addPorts(ctx, c, nodes)
	if err := s.print(nodes, len(args) == 1); err != nil {
		return err
	}
	return fault.Join(errs)
}

// addPorts adds what only the table has: carriers, speeds and neighbours. A node that does not tell of them, because its agent
// is older, or because the user may not read them, is shown without.
func (s *show) addPorts(ctx context.Context, c *connection, nodes []shownNode) {
	if s.form != asText && s.form != "table" {
		return
	}
	var names []string
	for _, node := range nodes {
		if node.Available {
			names = append(names, node.Node)
		}
	}
	ports, errs := c.ports(ctx, names)
	for i := range nodes {
		nodes[i].ports = ports[nodes[i].Node]
	}
	for _, err := range errs {
		fmt.Fprintf(s.streams.ErrOut, "Warning: carriers, speeds and neighbours of %s are not shown: %s\n", err.Node, safe(err.Message))
	}
}

// known lists the interfaces that there are.
func (s *show) known(objects []*v1alpha1.NodeNetworkState) string {
	var names []string
	for _, obj := range objects {
		if state, err := decode(obj.Status.CurrentState); err == nil {
			names = append(names, netstate.InterfaceNames(state)...)
		}
	}
	return interfacesAre(names)
}

// interfacesAre lists the names of interfaces, as many as are read at a glance.
func interfacesAre(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	const most = 20
	if len(names) > most {
		return fmt.Sprintf("The interfaces are %s and %d more.", strings.Join(names[:most], ", "), len(names)-most)
	}
	return "The interfaces are " + strings.Join(names, ", ") + "."
}

// read returns what is shown of a node. The error says why it has no state.
func (s *show) read(obj *v1alpha1.NodeNetworkState) (shownNode, *fault.Error) {
	node := shownNode{Node: obj.Name, Available: true}
	if obj.Status.CurrentState == nil {
		err := unavailable(obj)
		node.Available, node.Message = false, err.Message
		return node, err
	}
	state, err := decode(obj.Status.CurrentState)
	if err != nil {
		return node, &fault.Error{Node: obj.Name, Code: fault.Unreachable, Message: fmt.Sprintf("its state cannot be read: %v", err)}
	}
	node.State = state
	if len(s.interfaces) > 0 {
		node.State = netstate.Narrow(state, s.interfaces)
	}
	return node, nil
}

// unavailable says why a node has no current state.
func unavailable(obj *v1alpha1.NodeNetworkState) *fault.Error {
	err := &fault.Error{Node: obj.Name, Code: fault.Unreachable, Message: "it is not available",
		Remedy: "See \"A node is not Available\" in docs/user-guide/troubleshooting.md."}
	if c := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionAvailable); c != nil {
		err.Message = fmt.Sprintf("it is not available (%s): %s", c.Reason, c.Message)
		if c.Reason == v1alpha1.ReasonAgentUnreachable {
			err.Remedy = "Is the node up, and does its agent run? The agent's log says what keeps it from connecting."
		}
	}
	return err
}

// decode returns a state as a tree; nil if there is none.
func decode(state *v1alpha1.State) (map[string]any, error) {
	if state == nil {
		return nil, nil
	}
	return tree.Decode(state.Raw)
}

// print prints the nodes. alone tells whether one node was asked for by its name.
func (s *show) print(nodes []shownNode, alone bool) error {
	out := s.streams.Out
	switch s.form {
	case asJSON, asYAML:
		if !alone {
			return s.output.print(out, map[string]any{"nodes": nodes})
		}
		if len(nodes) == 1 && nodes[0].Available {
			return s.output.print(out, nodes[0].State)
		}
		return nil
	case "name":
		for _, node := range nodes {
			for _, name := range netstate.InterfaceNames(node.State) {
				if !alone {
					name = node.Node + "/" + name
				}
				if _, err := fmt.Fprintln(out, safe(name)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return showTables(out, slices.DeleteFunc(nodes, func(n shownNode) bool { return !n.Available }), alone, s.interfaces)
}
