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
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/netstate"
)

func (p *plugin) newHistory() *cobra.Command {
	var o output
	command := &cobra.Command{
		Use:   "history NODE",
		Short: "Show the last changes of a node and how they ended",
		Long: `Shows the last 20 changes of a node that were made through this API, the newest first, those that failed included: who made each, how it ended, what it was about, and whether "undo" can take it back. -o json has also what each change was to make different, the state that takes it back, and the spec before it.

The first eight characters of an id are enough for other commands.`,
		Example: `  kubectl nmstate history node01

  # Why did the last change fail?
  kubectl nmstate history node01 -o json | jq '.entries[0] | {outcome, reason, message, probes}'`,
		ValidArgsFunction: p.completeNodes(1),
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrongArgs(command, "one NODE is needed, and %d are given", len(args))
			}
			return p.history(command.Context(), args[0], o)
		},
	}
	o.add(command, asJSON, asYAML)
	command.PreRunE = func(*cobra.Command, []string) error { return o.check() }
	return command
}

func (p *plugin) history(ctx context.Context, node string, o output) error {
	c, err := p.connect()
	if err != nil {
		return err
	}
	history, err := c.nodes.GetHistory(ctx, node, metav1.GetOptions{})
	if err != nil {
		return c.explain(ctx, node, err)
	}
	if o.form != asText {
		return o.print(p.streams.Out, history)
	}
	if len(history.Entries) == 0 {
		_, err := fmt.Fprintf(p.streams.Out, "%s: no change was made through this API\n", node)
		return err
	}
	return historyTable(history.Entries).write(p.streams.Out)
}

// historyTable has a line for each change.
func historyTable(entries []v1alpha1.HistoryEntry) *table {
	t := &table{alone: true}
	t.add("", "CHANGE", "STARTED", "TOOK", "USER", "MANAGER", "OUTCOME", "ABOUT", "UNDO")
	for i := range entries {
		entry := &entries[i]
		took := ""
		if entry.FinishTime != nil {
			took = entry.FinishTime.Sub(entry.StartTime.Time).Round(time.Second).String()
		}
		outcome := string(entry.Outcome)
		if entry.Reason != "" {
			outcome += " (" + entry.Reason + ")"
		}
		undo := "no"
		if undoable(entry) {
			undo = "yes"
		}
		t.add("", shortID(entry.ID), entry.StartTime.UTC().Format(time.RFC3339), took, entry.User, entry.Manager, outcome, about(entry.Difference), undo)
	}
	return t
}

// about names what a difference is about: its interfaces, and its other sections.
func about(difference *v1alpha1.State) string {
	state, err := decode(difference)
	if err != nil || state == nil {
		return ""
	}
	names := netstate.InterfaceNames(state)
	var sections []string
	for section, value := range state {
		if section != "interfaces" && (tree.Object(value) == nil || len(tree.Object(value)) > 0) {
			sections = append(sections, section)
		}
	}
	slices.Sort(sections)
	names = append(names, sections...)
	const most = 5
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("and %d more", len(names)-most))
	}
	return strings.Join(names, ", ")
}
