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
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/ownership"
)

func (p *plugin) newBlame() *cobra.Command {
	var o output
	command := &cobra.Command{
		Use:   "blame NODE",
		Short: "Show who owns each part of a node's spec, and since when",
		Long: `Shows for each interface, route, rule and other part of a node's spec, probes, confirmation, reapply and removal included, which field manager owns it, and when it wrote it last. FIELDS are those that a manager owns where it does not own the whole.

A manager that applies what another one owns gets a conflict; --force-conflicts takes it over.`,
		Example:           `  kubectl nmstate blame node01`,
		ValidArgsFunction: p.completeNodes(1),
		PreRunE:           func(*cobra.Command, []string) error { return o.check() },
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrongArgs(command, "one NODE is needed, and %d are given", len(args))
			}
			return p.blame(command.Context(), args[0], o)
		},
	}
	o.add(command, asJSON, asYAML)
	return command
}

func (p *plugin) blame(ctx context.Context, node string, o output) error {
	c, err := p.connect()
	if err != nil {
		return err
	}
	object, err := c.nodes.Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return c.explain(ctx, node, err)
	}
	items, err := ownership.Of(object)
	if err != nil {
		return &fault.Error{Node: node, Code: fault.Unreachable, Message: err.Error()}
	}
	if o.form != asText {
		return o.print(p.streams.Out, map[string]any{"node": node, "items": items})
	}
	if len(items) == 0 {
		_, err := fmt.Fprintf(p.streams.Out, "%s: the spec is empty\n", node)
		return err
	}
	return blameTable(items).write(p.streams.Out)
}

func blameTable(items []ownership.Item) *table {
	t := &table{alone: true}
	t.add("", "PART", "NAME", "OWNER", "OPERATION", "TIME", "FIELDS")
	named := map[string]int{}
	for _, item := range items {
		named[item.Kind+" "+item.Name]++
	}
	for _, item := range items {
		name := item.Name
		if item.Type != "" && named[item.Kind+" "+item.Name] > 1 {
			name += " (" + item.Type + ")"
		}
		if len(item.Owners) == 0 {
			t.add("", item.Kind, name, "", "", "", "")
		}
		for _, owner := range item.Owners {
			when := ""
			if owner.Time != nil {
				when = owner.Time.UTC().Format(time.RFC3339)
			}
			t.add("", item.Kind, name, owner.Manager, owner.Operation, when, strings.Join(owner.Fields, ", "))
		}
	}
	return t
}
