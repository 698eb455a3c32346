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

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

type undo struct {
	*plugin
	output
	yes bool
}

func (p *plugin) newUndo() *cobra.Command {
	u := &undo{plugin: p}
	command := &cobra.Command{
		Use:   "undo NODE [ID]",
		Short: "Take a change of a node back",
		Long: `Takes a change back: the last one that was committed, or the one with this ID ("history" lists them; the beginning of an ID is enough).

It is a change of its own, checked, confirmed and remembered like others. It makes the spec what it was before the change: the desired state, probes, confirmation, reapply and removal, as far as the change altered them. It makes the network what it was, too: what the spec did not speak of before becomes part of the desired state, such as a bridge of the change, which is to be absent. What only goes with that, such as the ports of the bridge, leaves the spec again by a second change, once it is as it was; the result has that as "rest" in -o json. Taking an older change back can take back a part of what came later.

A change that an agent of an older version has made, or whose spec before has more than 64 KiB, is taken back of the network alone. Where the node does not know how to undo the network, the spec alone is taken back. A warning says so before it asks.

It shows what would change and asks, unless --yes is given. The spec's parts that it changes then belong to the field manager ` + fault.UndoManager + `: who applies the same file again gets a conflict, and has to use --force-conflicts.`,
		Example: `  # The last change
  kubectl nmstate undo node01

  # Another one, in a script
  kubectl nmstate undo node01 1f2e3d4c --yes`,
		ValidArgsFunction: p.completeUndo,
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return wrongArgs(command, "a NODE and at most one ID are needed, and %d arguments are given", len(args))
			}
			return u.run(command.Context(), args[0], strings.Join(args[1:], ""))
		},
	}
	command.Flags().BoolVarP(&u.yes, "yes", "y", false, "Do not ask.")
	u.output.add(command, asJSON, asYAML)
	return command
}

func (u *undo) run(ctx context.Context, node, id string) error {
	if err := u.check(); err != nil {
		return err
	}
	c, err := u.connect()
	if err != nil {
		return err
	}
	history, err := c.nodes.GetHistory(ctx, node, metav1.GetOptions{})
	if err != nil {
		wrong := c.explain(ctx, node, err)
		if wrong.NoNode && id == "" && isID(node) {
			wrong.Remedy += fmt.Sprintf(" If %s is a change, name its node, too: \"kubectl nmstate undo NODE %s\".", node, node)
		}
		return wrong
	}
	object, err := c.nodes.Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return c.explain(ctx, node, err)
	}
	if busy := underWay(object); busy != nil {
		return busy
	}
	entry, wrong := undone(node, history.Entries, id)
	if wrong != nil {
		return wrong
	}
	after := specAfter(object, history.Entries, entry)
	if entry.Revert == nil && after == nil {
		return lost(node, history.Entries, entry)
	}
	spec, err := specWithout(object, entry, after)
	if err != nil {
		return err
	}
	request, err := specPatch(node, spec.now, spec.then, fault.UndoManager)
	if err != nil {
		return err
	}
	leaving, err := besides(object, entry, spec.revert)
	if err != nil {
		return err
	}
	u.tellUnknown(node, entry, after)
	u.tellSecrets(node, spec)
	plan := c.plan(ctx, request)
	if u.form == asText || !u.yes {
		out := u.streams.ErrOut
		if u.form == asText {
			out = u.streams.Out
		}
		fmt.Fprintf(out, "%s: takes back change %s, made %s by %s\n", node, entry.ID, entry.StartTime.UTC().Format("2006-01-02 15:04:05Z"), entry.User)
		if err := u.tellPlan(out, plan); err != nil {
			return err
		}
	}
	if plan.Error != nil {
		return withoutSecret(plan.Error)
	}
	if !plan.Changes {
		return u.tellResults(nil, nil, u.output)
	}
	if err := u.agreed(ctx, node); err != nil {
		return err
	}
	made, left := u.make(ctx, c, []patch{request}, u.output, 1)
	for _, one := range made {
		if one.Error == nil && !one.Waits() {
			u.leave(ctx, c, one, leaving)
		}
	}
	return u.tellResults(made, left, u.output)
}

// isID tells whether a text can be the ID of a change, or the first eight characters of one.
func isID(text string) bool {
	return len(text) >= 8 && strings.Trim(text, "0123456789abcdef-") == ""
}

// underWay is an error if a change is under way: what is shown is not what is committed then. It is nil if none is.
func underWay(object *v1alpha1.NodeNetworkState) error {
	last := object.Status.LastApply
	if last == nil || last.Outcome != v1alpha1.ApplyInProgress {
		return nil
	}
	busy := &fault.Error{Node: object.Name, Code: fault.Unreachable, Message: fmt.Sprintf("change %s of %s is under way (%s)", last.ID, last.User, last.Stage),
		Remedy: fmt.Sprintf("Nothing was changed. Try again when it has ended: \"kubectl nmstate wait %s --for=idle\" waits for it.", object.Name)}
	if last.ConfirmBefore != nil {
		busy.Remedy = fmt.Sprintf("Nothing was changed. End it first: \"kubectl nmstate rollback %s\" takes it back, \"kubectl nmstate confirm %s\" keeps it.", shortID(last.ID), shortID(last.ID))
	}
	return busy
}

// agreed asks the user. The error says that the answer was no.
func (u *undo) agreed(ctx context.Context, node string) error {
	if u.yes {
		return nil
	}
	asks := &asking{plugin: u.plugin}
	answer, ok := asks.ask(ctx, node+": take it back? [y/N] ")
	switch {
	case ctx.Err() != nil:
		return fault.Stopped(node)
	case !ok:
		return fault.Wrong("nobody can be asked, as there is no terminal", "Use --yes.")
	case answer == "y" || answer == "yes":
		return nil
	}
	return &fault.Error{Node: node, Code: fault.Undecided, Message: "nothing was changed: you did not say yes"}
}

// undone returns the change that is to be taken back: that of the id, else the newest that was committed.
func undone(node string, entries []v1alpha1.HistoryEntry, id string) (*v1alpha1.HistoryEntry, *fault.Error) {
	var found []*v1alpha1.HistoryEntry
	for i := range entries {
		entry := &entries[i]
		if id == "" && entry.Outcome == v1alpha1.ApplyCommitted && entry.Manager != restManager || id != "" && strings.HasPrefix(entry.ID, id) {
			found = append(found, entry)
		}
	}
	see := fmt.Sprintf("\"kubectl nmstate history %s\" lists the changes.", node)
	switch {
	case id == "" && len(found) == 0:
		return nil, &fault.Error{Node: node, Code: fault.Usage, Message: "no change was committed that could be taken back", Remedy: see}
	case len(found) == 0:
		return nil, &fault.Error{Node: node, Code: fault.Usage, Message: fmt.Sprintf("its last %d changes have no id that begins with %q", len(entries), id), Remedy: see}
	case id != "" && len(found) > 1:
		return nil, &fault.Error{Node: node, Code: fault.Usage, Message: fmt.Sprintf("the ids of %d changes begin with %q: give more of it", len(found), id), Remedy: see}
	}
	switch entry := found[0]; {
	case entry.Outcome != v1alpha1.ApplyCommitted:
		return nil, &fault.Error{Node: node, Code: fault.Usage, Message: fmt.Sprintf("change %s ended as %s: nothing of it is in effect", entry.ID, entry.Outcome), Remedy: see}
	case !undoable(entry):
		return nil, lost(node, entries, entry)
	default:
		return entry, nil
	}
}

// undoable tells whether the history knows something of how a change is taken back: what it made of the network, or of the spec.
func undoable(entry *v1alpha1.HistoryEntry) bool {
	return entry.Outcome == v1alpha1.ApplyCommitted && (entry.Revert != nil || entry.PreviousSpec != nil)
}

// lost is the error of a change of which the history knows too little.
func lost(node string, entries []v1alpha1.HistoryEntry, entry *v1alpha1.HistoryEntry) *fault.Error {
	return &fault.Error{Node: node, Code: fault.Usage, Message: fmt.Sprintf("change %s cannot be taken back: the node does not know how", entry.ID),
		Remedy: "It is too much to be remembered, its nmstate cannot tell, or an agent of an older version made it or the next change." + another(node, entries)}
}

// another names the newest change that can be taken back in any case. The end of an undo is none that somebody would want to take back.
func another(node string, entries []v1alpha1.HistoryEntry) string {
	for _, entry := range entries {
		if entry.Outcome == v1alpha1.ApplyCommitted && entry.Revert != nil && entry.Manager != restManager {
			return fmt.Sprintf(" The newest that can be: \"kubectl nmstate undo %s %s\".", node, shortID(entry.ID))
		}
	}
	return " Apply what the network is to be."
}
