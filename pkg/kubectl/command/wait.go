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
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/change"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

// awaited are the values of --for: the condition that is waited for, and its status.
var awaited = map[string]struct {
	condition string
	status    metav1.ConditionStatus
}{
	"available": {v1alpha1.ConditionAvailable, metav1.ConditionTrue},
	"insync":    {v1alpha1.ConditionInSync, metav1.ConditionTrue},
	"idle":      {v1alpha1.ConditionProgressing, metav1.ConditionFalse},
}

type wait struct {
	*plugin
	output
	selector string
	what     []string
	timeout  time.Duration
}

func (p *plugin) newWait() *cobra.Command {
	w := &wait{plugin: p}
	command := &cobra.Command{
		Use:   "wait [NODE...]",
		Short: "Wait until nodes are available, in sync, or idle",
		Long: `Waits until all of the nodes are as wanted: available (the network can be read), insync (all of spec.desiredState holds), idle (no change is under way). Without NODE it waits for all nodes that there are.

The exit code is 5 if they are not in time; each node that is not is told with the reason.`,
		Example: `  # Until no change is under way on the node
  kubectl nmstate wait node01 --for=idle --timeout=2m

  # Until all nodes of a zone are available and as desired
  kubectl nmstate wait -l topology.kubernetes.io/zone=a --for=available,insync`,
		ValidArgsFunction: p.completeNodes(0),
		RunE:              func(command *cobra.Command, args []string) error { return w.run(command.Context(), args) },
	}
	flags := command.Flags()
	flags.StringVarP(&w.selector, "selector", "l", "", "Wait for the nodes whose labels match this selector.")
	flags.StringSliceVar(&w.what, "for", []string{"available"}, "What is waited for: available, insync, idle; several with commas.")
	flags.DurationVar(&w.timeout, "timeout", 30*time.Second, "How long it is waited.")
	_ = command.RegisterFlagCompletionFunc("for", completeList(cobra.FixedCompletions(slices.Sorted(maps.Keys(awaited)), cobra.ShellCompDirectiveNoFileComp)))
	w.output.add(command, asJSON, asYAML)
	return command
}

// waited is what has come of waiting for a node.
type waited struct {
	Node string `json:"node"`
	Met  bool   `json:"met"`
	// Message says what is not as wanted.
	Message string `json:"message,omitempty"`
}

func (w *wait) check(args []string) error {
	if err := w.output.check(); err != nil {
		return err
	}
	if err := checkSelector(w.selector, args); err != nil {
		return err
	}
	for i, what := range w.what {
		w.what[i] = strings.ToLower(what)
		if _, known := awaited[w.what[i]]; !known {
			return fault.Wrong(fmt.Sprintf("--for=%s is not known: use available, insync or idle", what))
		}
	}
	if len(w.what) == 0 || w.timeout <= 0 {
		return fault.Wrong("--for must name something, and --timeout must be more than 0")
	}
	return nil
}

func (w *wait) run(ctx context.Context, args []string) error {
	if err := w.check(args); err != nil {
		return err
	}
	c, err := w.connect()
	if err != nil {
		return err
	}
	nodes, err := w.nodes(ctx, c, args)
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	state, err := w.until(waiting, c, nodes)
	if ctx.Err() != nil {
		return fault.From("", ctx.Err())
	}
	if err != nil {
		return err
	}
	return w.tell(nodes, state)
}

// nodes returns the names of the nodes that are waited for.
func (w *wait) nodes(ctx context.Context, c *connection, args []string) ([]string, error) {
	if len(args) == 0 {
		names, err := c.names(ctx, w.selector)
		if err != nil {
			return nil, fault.From("", err)
		}
		if len(names) == 0 {
			return nil, noneSelected(w.selector)
		}
		return names, nil
	}
	for _, node := range args {
		if _, err := c.nodes.Get(ctx, node, metav1.GetOptions{ResourceVersion: "0"}); err != nil {
			return nil, c.explain(ctx, node, err)
		}
	}
	return unique(args), nil
}

// until watches the nodes until all are as wanted, or ctx ends. It returns what each was last.
func (w *wait) until(ctx context.Context, c *connection, nodes []string) (map[string]waited, error) {
	options := metav1.ListOptions{LabelSelector: w.selector}
	if len(nodes) == 1 {
		options = change.One(nodes[0])
	}
	failures := make(chan error, 1)
	observation, err := change.Observe(ctx, c.clients, options, func(err error) {
		select {
		case failures <- err:
		default:
		}
	})
	if err != nil {
		return nil, err
	}
	state := map[string]waited{}
	for _, node := range nodes {
		state[node] = waited{Node: node, Message: "it was not seen"}
	}
	for {
		select {
		case event := <-observation.Events:
			if event.New == nil {
				state[event.Old.Name] = waited{Node: event.Old.Name, Message: "it was removed"}
			} else if _, isAwaited := state[event.New.Name]; isAwaited {
				state[event.New.Name] = w.judge(event.New)
			}
			if !slices.ContainsFunc(slices.Collect(maps.Values(state)), func(one waited) bool { return !one.Met }) {
				return state, nil
			}
		case err := <-failures:
			if found := fault.From("", err); found.Code == fault.Refused {
				return nil, found
			}
		case <-ctx.Done():
			return state, nil
		}
	}
}

// judge tells whether a node is as wanted.
func (w *wait) judge(object *v1alpha1.NodeNetworkState) waited {
	result := waited{Node: object.Name, Met: true}
	var wrong []string
	for _, what := range w.what {
		wanted := awaited[what]
		c := apimeta.FindStatusCondition(object.Status.Conditions, wanted.condition)
		switch {
		case c == nil:
			wrong = append(wrong, wanted.condition+" is not known")
		case c.Status != wanted.status:
			wrong = append(wrong, fmt.Sprintf("%s is %s (%s): %s", c.Type, c.Status, c.Reason, c.Message))
		}
	}
	result.Met, result.Message = len(wrong) == 0, strings.Join(wrong, "; ")
	return result
}

func (w *wait) tell(nodes []string, state map[string]waited) error {
	var all []waited
	var errs []*fault.Error
	for _, node := range nodes {
		one := state[node]
		all = append(all, one)
		if !one.Met {
			errs = append(errs, &fault.Error{Node: node, Code: fault.Undecided, Message: fmt.Sprintf("not %s within %v: %s", strings.Join(w.what, " and "), w.timeout, one.Message)})
		} else if w.form == asText {
			fmt.Fprintf(w.streams.Out, "%s: %s\n", node, strings.Join(w.what, ", "))
		}
	}
	if w.form != asText {
		if err := w.output.print(w.streams.Out, map[string]any{"nodes": all}); err != nil {
			return err
		}
	}
	return fault.Join(errs)
}
