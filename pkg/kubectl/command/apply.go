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

	"github.com/spf13/cobra"

	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

type apply struct {
	*plugin
	output
	files
	applying
	atOnce int
}

func (p *plugin) newApply() *cobra.Command {
	a := &apply{plugin: p}
	command := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Change the networks of nodes, and follow the change",
		Long: `Changes the networks of nodes by server-side apply, and shows how far each change is: a line for each node, on a terminal printed over.

A file has NodeNetworkStates (several documents, a List, a folder), or one bare state in nmstate's format, which --node or -l give to nodes. One node is changed after the other, and none any more after the first that fails; --at-once changes several at the same time.

With --confirm=manual the command asks at the terminal what becomes of the change. Without a terminal it prints how to confirm the change, and ends with exit code 5.

If you interrupt the command, the change goes on: it says how far it is and how to follow it.`,
		Example: `  # What the manifest says
  kubectl nmstate apply -f docs/examples/linux-bridge.yaml

  # A bare state, to two nodes, if the router still answers afterwards
  kubectl nmstate apply -f state.yaml --node node01,node02 --probe ping=192.0.2.1

  # "Commit confirmed": back after two minutes unless you say yes
  kubectl nmstate apply -f docs/examples/linux-bridge.yaml --confirm=manual --timeout=2m

  # A bare state from standard input, as nmstatectl takes it
  kubectl nmstate apply -f - --node node02 < state.yaml`,
		Args:              filesAsFlags,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := a.applying.check(command.Flags()); err != nil {
				return err
			}
			return a.run(command.Context())
		},
	}
	a.files.add(command, p)
	a.applying.add(command)
	a.output.add(command, asJSON, asYAML)
	command.Flags().IntVar(&a.atOnce, "at-once", 1, "How many nodes are changed at the same time.")
	return command
}

func (a *apply) run(ctx context.Context) error {
	if err := a.output.check(); err != nil {
		return err
	}
	if a.atOnce < 1 {
		return fault.Wrong("--at-once must be 1 or more")
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	targets, err := a.targets(ctx, a.plugin, c)
	if err != nil {
		return err
	}
	var patches []patch
	for _, target := range targets {
		request, err := a.request(target)
		if err != nil {
			return err
		}
		patches = append(patches, request)
	}
	tried, left := a.make(ctx, c, patches, a.output, a.atOnce)
	return a.tellResults(tried, left, a.output)
}
