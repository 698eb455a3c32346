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
	"io"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/netstate"
)

type diff struct {
	*plugin
	output
	files
	applying
}

func (p *plugin) newDiff() *cobra.Command {
	d := &diff{plugin: p}
	command := &cobra.Command{
		Use:   "diff -f FILE",
		Short: "Show what a change would make of nodes' networks",
		Long: `Shows what "apply" with the same arguments would change. Each node checks the change (a dry run), touches nothing, and tells what would become of its network; the server warns of what the change can break.

On a terminal the output is coloured, unless NO_COLOR is set. The exit code is 0 if nothing would change, 1 if something would, and more if something is wrong, as of "kubectl diff".`,
		Example: `  # What would this manifest change?
  kubectl nmstate diff -f docs/examples/linux-bridge.yaml

  # What would a bare state change on all nodes of a zone?
  kubectl nmstate diff -f state.yaml -l topology.kubernetes.io/zone=a`,
		Args:              filesAsFlags,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := d.applying.check(command.Flags()); err != nil {
				return err
			}
			return d.run(command.Context())
		},
	}
	d.files.add(command, p)
	d.applying.add(command)
	d.output.add(command, asJSON, asYAML)
	return command
}

// planned is what a change would make of a node.
type planned struct {
	Node string `json:"node"`
	// Changes tells whether the network or the spec would change.
	Changes bool `json:"changes"`
	// Before and After are the part of the network that would change.
	Before map[string]any `json:"before,omitempty"`
	After  map[string]any `json:"after,omitempty"`
	// SpecBefore and SpecAfter are the spec, if it would change.
	SpecBefore map[string]any `json:"specBefore,omitempty"`
	SpecAfter  map[string]any `json:"specAfter,omitempty"`
	Warnings   []string       `json:"warnings,omitempty"`
	Error      *fault.Error   `json:"error,omitempty"`
}

func (d *diff) run(ctx context.Context) error {
	if err := d.output.check(); err != nil {
		return err
	}
	c, err := d.connect()
	if err != nil {
		return err
	}
	targets, err := d.targets(ctx, d.plugin, c)
	if err != nil {
		return err
	}
	plans := make([]planned, len(targets))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, target := range targets {
		group.Go(func() error {
			request, err := d.request(target)
			if err != nil {
				return err
			}
			plans[i] = c.plan(ctx, request)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return d.tell(plans)
}

// plan makes a dry run.
func (c *connection) plan(ctx context.Context, request patch) planned {
	result := planned{Node: request.node}
	given := &warnings{}
	ctx = collectWarnings(ctx, given)
	now, err := c.nodes.Get(ctx, request.node, metav1.GetOptions{})
	if err != nil {
		result.Error = c.explain(ctx, request.node, err)
		return result
	}
	if now.Status.CurrentState == nil {
		result.Error = unavailable(now)
		return result
	}
	request.options.DryRun = []string{metav1.DryRunAll}
	then, err := c.send(ctx, request)
	if result.Warnings = given.take(); err != nil {
		result.Error = c.explain(ctx, request.node, err)
		return result
	}
	current, err1 := decode(now.Status.CurrentState)
	difference, err2 := decode(then.Status.Difference)
	before, err3 := asTree(now.Spec)
	after, err4 := asTree(then.Spec)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			result.Error = &fault.Error{Node: request.node, Code: fault.Unreachable, Message: "the answer cannot be read: " + err.Error()}
			return result
		}
	}
	if len(difference) > 0 {
		result.Before, result.After = netstate.Plan(current, difference)
	}
	if len(netstate.Changes(before, after)) > 0 {
		result.SpecBefore, result.SpecAfter = before, after
	}
	result.Changes = result.After != nil || result.SpecAfter != nil
	return result
}

// tell prints the plans. The error sets the exit code.
func (d *diff) tell(plans []planned) error {
	changes := false
	var errs []*fault.Error
	for _, plan := range plans {
		errs = append(errs, plan.Error)
		changes = changes || plan.Changes
	}
	if d.form != asText {
		if err := d.output.print(d.streams.Out, map[string]any{"nodes": plans}); err != nil {
			return err
		}
	} else {
		for _, plan := range plans {
			if err := d.plugin.tellPlan(d.streams.Out, plan); err != nil {
				return err
			}
		}
	}
	if err := fault.Join(compactErrors(errs)); err != nil {
		return err
	}
	if changes {
		return fault.Status(fault.Differs)
	}
	return nil
}

// tellPlan prints what would become of one node.
func (p *plugin) tellPlan(out io.Writer, plan planned) error {
	for _, text := range plan.Warnings {
		fmt.Fprintf(p.streams.ErrOut, "Warning: %s: %s\n", plan.Node, safe(text))
	}
	switch {
	case plan.Error != nil:
		return nil
	case !plan.Changes:
		_, err := fmt.Fprintf(out, "%s: nothing would change\n", plan.Node)
		return err
	case plan.After == nil:
		if _, err := fmt.Fprintf(out, "%s: the network stays as it is, the spec would change:\n", plan.Node); err != nil {
			return err
		}
		return writeDifference(out, plan.SpecBefore, plan.SpecAfter)
	}
	if _, err := fmt.Fprintf(out, "%s: the network would change:\n", plan.Node); err != nil {
		return err
	}
	if err := writeDifference(out, plan.Before, plan.After); err != nil {
		return err
	}
	// The rest of the spec is no part of the network.
	before, after := withoutState(plan.SpecBefore), withoutState(plan.SpecAfter)
	if len(netstate.Changes(before, after)) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(out, "%s: and the rest of the spec:\n", plan.Node); err != nil {
		return err
	}
	return writeDifference(out, before, after)
}
