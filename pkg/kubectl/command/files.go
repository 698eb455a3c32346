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
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/manifest"
)

// files are what a user gives with -f, and the nodes that it is for.
type files struct {
	paths     []string
	recursive bool
	nodes     []string
	selector  string
}

func (f *files) add(command *cobra.Command, p *plugin) {
	flags := command.Flags()
	flags.StringSliceVarP(&f.paths, "filename", "f", nil, "File or folder with NodeNetworkStates, or one with a bare nmstate state; \"-\" is standard input.")
	flags.BoolVarP(&f.recursive, "recursive", "R", false, "Read the folders within a folder, too.")
	flags.StringSliceVar(&f.nodes, "node", nil, "Node that a bare state is for; of NodeNetworkStates, take those of this node alone. Can be given several times.")
	flags.StringVarP(&f.selector, "selector", "l", "", "The same for all nodes whose labels match this selector.")
	_ = command.MarkFlagFilename("filename", "yaml", "yml", "json")
	_ = command.RegisterFlagCompletionFunc("node", completeList(p.completeNodes(0)))
}

// targets reads the files and returns what is for which node.
func (f *files) targets(ctx context.Context, p *plugin, c *connection) ([]manifest.Target, error) {
	if err := checkSelector(f.selector, f.nodes); err != nil {
		return nil, err
	}
	documents, err := f.read(ctx, p)
	if err != nil {
		return nil, err
	}
	selected, selects := slices.Clone(f.nodes), len(f.nodes) > 0
	slices.Sort(selected)
	selected = slices.Compact(selected)
	if f.selector != "" {
		selects = true
		if selected, err = c.names(ctx, f.selector); err != nil {
			return nil, fault.From("", err)
		}
		if len(selected) == 0 {
			return nil, noneSelected(f.selector)
		}
	}
	targets, err := manifest.Targets(documents, selected, selects)
	if errors.Is(err, manifest.ErrNoNode) {
		return nil, fault.Wrong(err.Error(), "Name the node with --node, or select several with -l.")
	}
	if err != nil {
		return nil, fault.Wrong(err.Error())
	}
	return targets, f.unused(targets)
}

// read reads the files. A terminal or a pipe can take forever: ctx ends it, too.
func (f *files) read(ctx context.Context, p *plugin) ([]manifest.Document, error) {
	if slices.Contains(f.paths, "-") && printers.IsTerminal(p.streams.In) {
		end := "Ctrl-D"
		if runtime.GOOS == "windows" {
			end = "Ctrl-Z and Enter"
		}
		fmt.Fprintf(p.streams.ErrOut, "Reading standard input, up to its end (%s).\n", end)
	}
	var documents []manifest.Document
	done := make(chan error, 1)
	go func() {
		var err error
		documents, err = manifest.Read(f.paths, f.recursive, p.streams.In)
		done <- err
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
	}
	switch {
	case ctx.Err() != nil:
		return nil, fault.Stopped("")
	case err != nil:
		return nil, fault.Wrong(err.Error())
	}
	return documents, nil
}

// unused is an error if a node was named that nothing is for: it may be a typo.
func (f *files) unused(targets []manifest.Target) error {
	for _, node := range f.nodes {
		if !slices.ContainsFunc(targets, func(t manifest.Target) bool { return t.Node == node }) {
			return fault.Wrong(fmt.Sprintf("--node %s: no file is for this node", node))
		}
	}
	return nil
}
