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
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/change"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

func (p *plugin) newConfirm() *cobra.Command {
	return p.newDecision(change.Confirm, &cobra.Command{
		Use:     "confirm ID",
		Short:   "Confirm a change that waits for it",
		Long:    "Confirms the change with this ID, which waits for a manual confirmation: it is committed. The beginning of the ID is enough.",
		Example: "  kubectl nmstate confirm 1f2e3d4c",
	})
}

func (p *plugin) newRollback() *cobra.Command {
	return p.newDecision(change.RollBack, &cobra.Command{
		Use:     "rollback ID",
		Short:   "Roll back a change that waits for a confirmation",
		Long:    "Rolls back the change with this ID, which waits for a manual confirmation: the node is as it was before. The beginning of the ID is enough.\n\nA change that was committed is taken back by \"undo\".",
		Example: "  kubectl nmstate rollback 1f2e3d4c",
	})
}

// newDecision completes the command that ends a change which waits.
func (p *plugin) newDecision(decision change.Decision, command *cobra.Command) *cobra.Command {
	var o output
	var node string
	command.ValidArgsFunction = p.completeWaiting
	command.PreRunE = func(*cobra.Command, []string) error { return o.check() }
	command.RunE = func(command *cobra.Command, args []string) error {
		if len(args) != 1 {
			return wrongArgs(command, "one ID is needed, and %d are given", len(args))
		}
		return p.decideByID(command.Context(), decision, args[0], node, o)
	}
	command.Flags().StringVar(&node, "node", "", "Node that the change is of. Without it all nodes are looked through, for which you need the right to list them.")
	_ = command.RegisterFlagCompletionFunc("node", p.completeNodes(1))
	o.add(command, asJSON, asYAML)
	return command
}

func (p *plugin) decideByID(ctx context.Context, decision change.Decision, id, node string, o output) error {
	c, err := p.connect()
	if err != nil {
		return err
	}
	waiting, wrong, err := c.waiting(ctx, id, node)
	if err != nil {
		return err
	}
	if wrong != nil {
		if decision == change.RollBack && wrong.Code == fault.Refused {
			wrong.Remedy = strings.TrimSpace(wrong.Remedy + "\nA change that was committed is taken back by \"kubectl nmstate undo NODE ID\".")
		}
		return wrong
	}
	object, err := change.Decided(ctx, c.clients, waiting.Name, waiting.Status.LastApply.ID, decision)
	if err != nil {
		return c.explain(ctx, waiting.Name, err)
	}
	last := object.Status.LastApply
	if o.form != asText {
		return o.print(p.streams.Out, change.Result{Node: object.Name, LastApply: last})
	}
	_, err = fmt.Fprintf(p.streams.Out, "%s: %s  change %s\n", object.Name, last.Outcome, last.ID)
	return err
}

// waiting returns the object of the node on which a change waits whose id begins so, or what is wrong with the id. A change that has just been
// made the server's copy may not have yet: then the nodes are asked.
func (c *connection) waiting(ctx context.Context, id, node string) (object *v1alpha1.NodeNetworkState, wrong *fault.Error, err error) {
	for _, version := range []string{"0", ""} {
		objects, err := c.lookedThrough(ctx, node, version)
		if err != nil {
			return nil, nil, err
		}
		if object, wrong = waitingOf(objects, id); object != nil {
			return object, nil, nil
		}
	}
	return nil, wrong, nil
}

// waitingOf returns the object on which a change waits whose id begins so, or what is wrong.
func waitingOf(objects []v1alpha1.NodeNetworkState, id string) (*v1alpha1.NodeNetworkState, *fault.Error) {
	var found []*v1alpha1.NodeNetworkState
	ended, isNode := "", false
	var others []string
	for i := range objects {
		last := objects[i].Status.LastApply
		isNode = isNode || objects[i].Name == id
		switch {
		case last == nil:
		case strings.HasPrefix(last.ID, id) && waits(last):
			found = append(found, &objects[i])
		case strings.HasPrefix(last.ID, id):
			ended = fmt.Sprintf("change %s of %s does not wait for a confirmation: it is %s", last.ID, objects[i].Name, last.Outcome)
		case waits(last):
			others = append(others, fmt.Sprintf("%s of %s", last.ID, objects[i].Name))
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fault.Wrong(fmt.Sprintf("the ids of %d changes begin with %q: give more of it", len(found), id))
	case isNode:
		return nil, fault.Wrong(fmt.Sprintf("%q is a node: give the ID of its change", id), "\"kubectl get nns "+id+" -o jsonpath={.status.lastApply.id}\" prints it.")
	case ended != "":
		return nil, &fault.Error{Code: fault.Refused, Message: ended}
	case len(others) > 0:
		return nil, &fault.Error{Code: fault.Refused, Message: fmt.Sprintf("no change whose id begins with %q waits for a confirmation", id),
			Remedy: "These do: " + strings.Join(others, ", ") + "."}
	}
	return nil, &fault.Error{Code: fault.Refused, Message: fmt.Sprintf("no change whose id begins with %q waits for a confirmation, nor does any other", id),
		Remedy: "It may have been rolled back, as its time was over: \"kubectl nmstate history NODE\" tells."}
}

// lookedThrough returns the named node, else all, at least as new as the resourceVersion.
func (c *connection) lookedThrough(ctx context.Context, node, version string) ([]v1alpha1.NodeNetworkState, error) {
	if node == "" {
		list, err := c.nodes.List(ctx, metav1.ListOptions{ResourceVersion: version})
		if err != nil {
			return nil, fault.From("", err)
		}
		return list.Items, nil
	}
	object, err := c.nodes.Get(ctx, node, metav1.GetOptions{ResourceVersion: version})
	if err != nil {
		return nil, c.explain(ctx, node, err)
	}
	return []v1alpha1.NodeNetworkState{*object}, nil
}

// waits tells whether a change waits for a manual confirmation.
func waits(last *v1alpha1.LastApply) bool {
	return last.Outcome == v1alpha1.ApplyInProgress && last.ConfirmBefore != nil
}
