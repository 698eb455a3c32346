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
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/change"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

type watch struct {
	*plugin
	output
	selector string
}

func (p *plugin) newWatch() *cobra.Command {
	w := &watch{plugin: p}
	command := &cobra.Command{
		Use:   "watch [NODE...]",
		Short: "Print each change of nodes' networks as it happens",
		Long: `Prints a line for each thing that changes on the nodes, as it happens: when, on which node, what, what it was and what it is now, and by whom: the change that was made through this API, or "outside" if none was under way. What a change sets off a moment after it has ended counts as outside.

It runs until it is interrupted. While a node cannot be watched, what changes meanwhile is printed when it is back.`,
		Example: `  # All nodes
  kubectl nmstate watch

  # What is changed from outside, as JSON
  kubectl nmstate watch -o json | jq -c 'select(.by.origin == "outside")'`,
		ValidArgsFunction: p.completeNodes(0),
		RunE:              func(command *cobra.Command, args []string) error { return w.run(command.Context(), args) },
	}
	command.Flags().StringVarP(&w.selector, "selector", "l", "", "Watch the nodes whose labels match this selector.")
	w.output.add(command, asJSON)
	return command
}

func (w *watch) run(ctx context.Context, args []string) error {
	if err := w.check(); err != nil {
		return err
	}
	if err := checkSelector(w.selector, args); err != nil {
		return err
	}
	c, err := w.connect()
	if err != nil {
		return err
	}
	options := metav1.ListOptions{LabelSelector: w.selector}
	if len(args) == 1 {
		options = change.One(args[0])
	}
	for _, node := range args {
		if _, err := c.nodes.Get(ctx, node, metav1.GetOptions{ResourceVersion: "0"}); err != nil {
			return c.explain(ctx, node, err)
		}
	}
	failures := make(chan error, 1)
	observation, err := change.Observe(ctx, c.clients, options, func(err error) {
		select {
		case failures <- err:
		default:
		}
	})
	if err != nil {
		return err
	}
	t := newTeller(time.Now())
	for {
		select {
		case event := <-observation.Events:
			if len(args) > 0 && !slices.Contains(args, cmp.Or(event.New, event.Old).Name) {
				continue
			}
			for _, line := range t.tell(event) {
				if err := w.print(line); err != nil {
					return err
				}
			}
		case err := <-failures:
			if err := w.failed(err, t.known()); err != nil {
				return err
			}
		case <-ctx.Done():
			// There is no other end.
			return nil
		}
	}
}

// failed returns an error of the watch that will not pass; others are told of.
func (w *watch) failed(err error, begun bool) error {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return nil
	}
	found := fault.From("", err)
	if !begun || found.Code == fault.Refused {
		return found
	}
	fmt.Fprintf(w.streams.ErrOut, "Warning: the watch is interrupted and tried again: %s\n", found.Message)
	return nil
}

func (w *watch) print(line told) error {
	if w.form == asJSON {
		text, err := json.Marshal(line)
		if err == nil {
			_, err = fmt.Fprintln(w.streams.Out, string(text))
		}
		return err
	}
	_, err := fmt.Fprintln(w.streams.Out, line.text())
	return err
}
