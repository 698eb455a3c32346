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
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/traffic"
)

// leastInterval is how often the counters can be read: faster they would tell more of the reading than of the network.
const leastInterval = time.Second

type top struct {
	*plugin
	output
	selector   string
	interfaces []string
	interval   time.Duration
	once       bool
	sortBy     string
}

func (p *plugin) newTop() *cobra.Command {
	t := &top{plugin: p}
	command := &cobra.Command{
		Use:   "top [NODE...]",
		Short: "Show what passes through the interfaces of nodes, live",
		Long: `Shows for each interface whether it has a carrier, its speed, and how many bytes, packets, errors and drops there are a second, as the kernel of the node counts them; errors and drops of both directions together, -o json has each. Without NODE it shows all nodes.

The counters are read once in each interval. On a terminal the table is printed over; else a table is printed for each interval, and with -o json a line. It runs until it is interrupted; with --once it ends after one interval.

An interface whose counters began anew has no rates ("-") for one interval. A node that cannot be asked is told of below the table; with --once the exit code is then 6.`,
		Example: `  # What passes through eth1 of all nodes of a zone
  kubectl nmstate top -l topology.kubernetes.io/zone=a -i eth1

  # The interfaces of a node with most traffic first
  kubectl nmstate top node01 --sort-by=traffic

  # For a script: interfaces that drop packets
  kubectl nmstate top --once --interval=5s -o json |
    jq -r '.nodes[] | .node as $n | .interfaces[] | select(.rates.rxDropped + .rates.txDropped > 0) | "\($n) \(.name)"'`,
		ValidArgsFunction: p.completeNodes(0),
		RunE:              func(command *cobra.Command, args []string) error { return t.run(command.Context(), args) },
	}
	flags := command.Flags()
	flags.StringVarP(&t.selector, "selector", "l", "", "Show the nodes whose labels match this selector.")
	flags.StringSliceVarP(&t.interfaces, "interface", "i", nil, "Show this interface alone. Can be given several times.")
	flags.DurationVar(&t.interval, "interval", 2*time.Second, "How long to count, at least 1s.")
	flags.BoolVar(&t.once, "once", false, "Print once, after one interval, and end.")
	flags.StringVar(&t.sortBy, "sort-by", sortByName, "What comes first: "+strings.Join(topOrders, ", ")+".")
	_ = command.RegisterFlagCompletionFunc("interface", completeList(p.completeInterfaces))
	_ = command.RegisterFlagCompletionFunc("sort-by", cobra.FixedCompletions(topOrders, cobra.ShellCompDirectiveNoFileComp))
	t.output.add(command, asJSON)
	return command
}

// topNode is what is shown of a node.
type topNode struct {
	Node string `json:"node"`
	// Seconds is how long was counted, by the node's clock; absent if there is nothing to compare with.
	Seconds    float64        `json:"seconds,omitempty"`
	Interfaces []traffic.Port `json:"interfaces"`
	// Message says why the node has told nothing.
	Message string `json:"message,omitempty"`
}

// topRound is what is shown of one interval.
type topRound struct {
	Time  metav1.Time `json:"time"`
	Nodes []topNode   `json:"nodes"`
}

func (t *top) check(args []string) error {
	if err := t.output.check(); err != nil {
		return err
	}
	if t.interval < leastInterval {
		return fault.Wrong(fmt.Sprintf("--interval=%s must be at least %s", t.interval, leastInterval))
	}
	if !slices.Contains(topOrders, t.sortBy) {
		return fault.Wrong(fmt.Sprintf("--sort-by=%s is not known: use %s", t.sortBy, strings.Join(topOrders, ", ")))
	}
	return checkSelector(t.selector, args)
}

func (t *top) run(ctx context.Context, args []string) error {
	if err := t.check(args); err != nil {
		return err
	}
	c, err := t.connect()
	if err != nil {
		return err
	}
	ctx = collectWarnings(ctx, &warnings{})
	screen := t.screen()
	before, errs := t.read(ctx, c, args)
	if len(before) == 0 {
		return fault.Join(errs)
	}
	if err := t.known(before); err != nil {
		return err
	}
	if screen != nil {
		screen.draw(t.lines(t.round(nil, before, errs)))
	}
	ticks := time.NewTicker(t.interval)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			if t.once {
				return fault.From("", ctx.Err())
			}
			// There is no other end.
			return nil
		}
		now, errs := t.read(ctx, c, args)
		if ctx.Err() != nil {
			continue
		}
		round := t.round(before, now, errs)
		before = now
		if screen != nil {
			screen.draw(t.lines(round))
			continue
		}
		if err := t.print(round); err != nil {
			return err
		}
		if t.once {
			return fault.Join(errs)
		}
	}
}

// screen returns what is printed over, nil if each round is printed below the one before.
func (t *top) screen() *screen {
	if t.once || t.form != asText || !canRewrite(t.streams.Out) {
		return nil
	}
	out := t.streams.Out
	return &screen{out: out, size: func() (int, int) { return sizeOf(out) }}
}

// read asks the nodes for their ports. Nodes that do not tell have an error.
func (t *top) read(ctx context.Context, c *connection, args []string) (map[string]*v1alpha1.NodeNetworkPorts, []*fault.Error) {
	names := unique(args)
	if len(names) == 0 {
		var err error
		if names, err = c.names(ctx, t.selector); err != nil {
			return nil, []*fault.Error{fault.From("", err)}
		}
		if len(names) == 0 {
			return nil, []*fault.Error{noneSelected(t.selector)}
		}
	}
	return c.ports(ctx, names)
}

// ports returns the ports of the named nodes. Nodes that do not tell have an error.
func (c *connection) ports(ctx context.Context, names []string) (map[string]*v1alpha1.NodeNetworkPorts, []*fault.Error) {
	ports := make([]*v1alpha1.NodeNetworkPorts, len(names))
	errs := make([]*fault.Error, len(names))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, name := range names {
		group.Go(func() error {
			told, err := c.nodes.GetPorts(ctx, name, metav1.GetOptions{})
			if err != nil {
				errs[i] = c.known(ctx, fault.FromPorts(name, err))
				return nil
			}
			ports[i] = told
			return nil
		})
	}
	_ = group.Wait()
	found := map[string]*v1alpha1.NodeNetworkPorts{}
	for i, name := range names {
		if ports[i] != nil {
			found[name] = ports[i]
		}
	}
	return found, compactErrors(errs)
}

// known returns an error if a named interface is on no node: a typo would show nothing, and look as if there were nothing.
func (t *top) known(nodes map[string]*v1alpha1.NodeNetworkPorts) error {
	var names []string
	for _, node := range nodes {
		for _, port := range node.Ports {
			names = append(names, port.Name)
		}
	}
	for _, name := range t.interfaces {
		if !slices.Contains(names, name) {
			return fault.Wrong(fmt.Sprintf("there is no interface %q on what was selected", name), interfacesAre(names))
		}
	}
	return nil
}

// round makes what is shown of two reads.
func (t *top) round(before, now map[string]*v1alpha1.NodeNetworkPorts, errs []*fault.Error) topRound {
	round := topRound{Time: metav1.Now(), Nodes: []topNode{}}
	for name, ports := range now {
		all, passed := traffic.Between(before[name], ports)
		if len(t.interfaces) > 0 {
			all = slices.DeleteFunc(all, func(p traffic.Port) bool { return !slices.Contains(t.interfaces, p.Name) })
		}
		round.Nodes = append(round.Nodes, topNode{Node: name, Seconds: passed.Seconds(), Interfaces: all})
	}
	for _, err := range errs {
		round.Nodes = append(round.Nodes, topNode{Node: err.Node, Message: err.Message, Interfaces: []traffic.Port{}})
	}
	slices.SortFunc(round.Nodes, func(a, b topNode) int { return strings.Compare(a.Node, b.Node) })
	return round
}

// print prints a round below the one before.
func (t *top) print(round topRound) error {
	if t.form == asJSON {
		text, err := json.Marshal(round)
		if err == nil {
			_, err = fmt.Fprintln(t.streams.Out, string(text))
		}
		return err
	}
	lines := t.lines(round)
	if t.once {
		// What went wrong is the command's error.
		lines = lines[:len(lines)-len(messages(round))]
	} else {
		lines = append(lines, "")
	}
	_, err := fmt.Fprintln(t.streams.Out, strings.Join(lines, "\n"))
	return err
}
