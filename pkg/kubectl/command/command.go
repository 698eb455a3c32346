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

// Package command is the command line of the kubectl plugin.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
	"github.com/nmstate/kubernetes-nmstate/version"
)

// completer is the name by which kubectl calls the plugin to complete a command line.
const completer = "kubectl_complete-nmstate"

// Run runs the plugin, called by the given name, and returns its exit code. Errors are printed.
func Run(ctx context.Context, streams genericiooptions.IOStreams, name string, args []string) fault.Code {
	if name == completer {
		args = append([]string{cobra.ShellCompRequestCmd}, args...)
	}
	// Libraries log what the plugin tells in its own words.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	root := New(streams)
	root.SetArgs(args)
	err := explainUnknown(root, root.ExecuteContext(ctx))
	printError(streams.ErrOut, err)
	return fault.CodeOf(err)
}

// printError prints each error on lines of its own, what to do below it.
func printError(out io.Writer, err error) {
	if err == nil || err.Error() == "" {
		return
	}
	all := (fault.Errors)(nil)
	if !errors.As(err, &all) {
		fmt.Fprintln(out, "Error:", safeLines(err.Error()))
		return
	}
	for _, one := range all {
		fmt.Fprintln(out, "Error:", safeLines(one.Error()))
	}
}

const long = `Shows and changes the networks of nodes: NodeNetworkStates of nmstate.io/v1alpha1.

A change goes to the node at once, as one transaction. It takes effect as a whole and only if the node can still be reached with it; else the node is as it was before.

Exit codes:
  0    done; for diff: nothing would change
  1    of diff alone: something would change
  2    an argument, a flag, a file or the kubeconfig is wrong; nothing was changed
  3    the API has refused the request; nothing was changed
  4    the change failed on the node, which is as it was before
  5    not decided: the change goes on or waits for a confirmation, or what was waited for has not come
  6    the API server or a node cannot be reached, or the node is busy; nothing was changed
  130  interrupted; a change that was sent goes on
Of several nodes, the highest code counts.`

// plugin is what the commands share.
type plugin struct {
	streams genericiooptions.IOStreams
	flags   *genericclioptions.ConfigFlags
	person  *person
}

// New returns the plugin's command.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	p := &plugin{streams: streams, flags: genericclioptions.NewConfigFlags(false), person: &person{}}
	// Nodes have no namespace, and nothing is cached.
	p.flags.Namespace, p.flags.CacheDir = nil, nil
	root := &cobra.Command{
		Use:           "kubectl-nmstate",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl nmstate"},
		Short:         "Show and change the networks of nodes",
		Long:          long,
		Version:       version.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	p.flags.AddFlags(root.PersistentFlags())
	p.completeConfigFlags(root)
	root.SetFlagErrorFunc(wrongFlag)
	root.AddCommand(p.newShow(), p.newDiff(), p.newApply(), p.newWatch(), p.newHistory(), p.newUndo(), p.newBlame(), p.newWait(),
		p.newConfirm(), p.newRollback(), p.newTop())
	for _, command := range root.Commands() {
		command.Args = checkArgs(command.Args)
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}
