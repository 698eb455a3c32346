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

	"golang.org/x/sync/errgroup"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/change"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

// make makes changes, some at the same time, and none any more after one has failed. It shows how far they are and how they ended, and returns
// the results of those that were tried, and the nodes of the others.
func (p *plugin) make(ctx context.Context, c *connection, patches []patch, output output, atOnce int) (tried []*change.Result, left []string) {
	var nodes []string
	for _, one := range patches {
		nodes = append(nodes, one.node)
	}
	shown := p.streams.Out
	if output.form != asText {
		shown = p.streams.ErrOut
	}
	b := newBoard(shown, canRewrite(shown), nodes)
	done := make(chan struct{})
	defer close(done)
	go b.tick(done)
	asks := &asking{plugin: p, board: b}
	maker := &change.Maker{Clients: c.clients, Report: b.report, Decide: asks.decide}

	results := make([]*change.Result, len(patches))
	group, going := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, one := range patches {
		if going.Err() != nil {
			break
		}
		group.Go(func() error {
			if going.Err() != nil {
				return nil
			}
			result := p.makeOne(ctx, c, maker, one, b)
			results[i] = &result
			if result.Error != nil {
				return result.Error
			}
			return nil
		})
	}
	_ = group.Wait()
	for i, result := range results {
		if result == nil {
			left = append(left, nodes[i])
		} else {
			tried = append(tried, result)
		}
	}
	return tried, left
}

// makeOne makes the change of one node.
func (p *plugin) makeOne(ctx context.Context, c *connection, maker *change.Maker, one patch, b *board) change.Result {
	given := &warnings{}
	begun := time.Now()
	result := maker.Make(collectWarnings(ctx, given), change.Request{
		Node: one.node, Manager: one.options.FieldManager,
		Send: func(ctx context.Context) (*v1alpha1.NodeNetworkState, error) { return c.send(ctx, one) },
	})
	result.Warnings = given.take()
	if result.Error != nil {
		result.Error = c.known(ctx, result.Error)
	}
	b.end(one.node, outcome(result, time.Since(begun)))
	return result
}

// tellResults prints what make has returned, or what has gone wrong. The error sets the exit code.
func (p *plugin) tellResults(tried []*change.Result, left []string, output output) error {
	var errs []*fault.Error
	waits := false
	for _, result := range tried {
		for _, text := range result.Warnings {
			fmt.Fprintf(p.streams.ErrOut, "Warning: %s: %s\n", result.Node, safe(text))
		}
		errs = append(errs, result.Error)
		if result.Waits() {
			waits = true
			fmt.Fprintf(p.streams.ErrOut, "%s: the change is in effect and is rolled back at %s unless it is confirmed:\n  kubectl nmstate confirm %s\n  kubectl nmstate rollback %s\n",
				result.Node, result.ConfirmBefore.UTC().Format(time.RFC3339), result.ID, result.ID)
		}
	}
	if len(left) > 0 {
		slices.Sort(left)
		errs = append(errs, &fault.Error{Code: fault.Done, Message: "not tried any more: " + strings.Join(left, ", "),
			Remedy: "Nothing was changed there. Give the same command again when what stopped it is put right: nodes that have the change already stay as they are."})
	}
	if output.form != asText {
		// Scripts get lists, also where there is nothing in them.
		lists := map[string]any{"results": append([]*change.Result{}, tried...), "notTried": append([]string{}, left...)}
		if err := output.print(p.streams.Out, lists); err != nil {
			return err
		}
	}
	if err := fault.Join(compactErrors(errs)); err != nil {
		return err
	}
	if waits {
		return fault.Status(fault.Undecided)
	}
	return nil
}
