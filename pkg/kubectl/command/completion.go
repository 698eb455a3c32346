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
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/netstate"
)

// completionWait is how long a completion asks the server; a shell waits for it.
const completionWait = 3 * time.Second

type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completeNodes completes the names of nodes, at most so many arguments; 0 is any number.
func (p *plugin) completeNodes(most int) completion {
	return func(command *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return p.complete(command, func(ctx context.Context, c *connection) []string {
			names, _ := c.names(ctx, "")
			return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args, name) })
		}, begun)
	}
}

// completeList completes the last part of a list with commas, as one completes a part. Parts that are there already are not offered.
func completeList(one completion) completion {
	return func(command *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		last := strings.LastIndexByte(begun, ',') + 1
		there := strings.Split(begun[:last], ",")
		found, directive := one(command, args, begun[last:])
		var lists []string
		for _, part := range found {
			if strings.HasPrefix(part, begun[last:]) && !slices.Contains(there, part) {
				lists = append(lists, begun[:last]+part)
			}
		}
		return lists, directive
	}
}

// completeConfig completes what the kubeconfig has of a kind.
func (p *plugin) completeConfig(names func(clientcmdapi.Config) []string) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		config, err := p.flags.ToRawKubeConfigLoader().RawConfig()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found := names(config)
		slices.Sort(found)
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeConfigFlags has the flags completed that name a part of the kubeconfig.
func (p *plugin) completeConfigFlags(root *cobra.Command) {
	for flag, names := range map[string]func(clientcmdapi.Config) []string{
		"context": func(c clientcmdapi.Config) []string { return slices.Collect(maps.Keys(c.Contexts)) },
		"cluster": func(c clientcmdapi.Config) []string { return slices.Collect(maps.Keys(c.Clusters)) },
		"user":    func(c clientcmdapi.Config) []string { return slices.Collect(maps.Keys(c.AuthInfos)) },
	} {
		_ = root.RegisterFlagCompletionFunc(flag, p.completeConfig(names))
	}
}

// complete returns what ask finds, as far as it begins with what is there. What goes wrong completes nothing.
func (p *plugin) complete(command *cobra.Command, ask func(context.Context, *connection) []string, begun string) ([]string, cobra.ShellCompDirective) {
	c, err := p.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(collectWarnings(command.Context(), &warnings{}), completionWait)
	defer cancel()
	found := slices.DeleteFunc(ask(ctx, c), func(one string) bool { return !strings.HasPrefix(one, begun) })
	slices.Sort(found)
	return slices.Compact(found), cobra.ShellCompDirectiveNoFileComp
}

// completeInterfaces completes the names of interfaces of the nodes that are named, else of all.
func (p *plugin) completeInterfaces(command *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	return p.complete(command, func(ctx context.Context, c *connection) []string {
		var names []string
		for _, obj := range c.cached(ctx, args) {
			if obj.Status.CurrentState == nil {
				continue
			}
			if state, err := tree.Decode(obj.Status.CurrentState.Raw); err == nil {
				names = append(names, netstate.InterfaceNames(state)...)
			}
		}
		return names
	}, begun)
}

// cached returns the named nodes, else all, as the server has them. No node is asked.
func (c *connection) cached(ctx context.Context, names []string) []v1alpha1.NodeNetworkState {
	if len(names) == 0 {
		list, err := c.nodes.List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return nil
		}
		return list.Items
	}
	var all []v1alpha1.NodeNetworkState
	for _, name := range names {
		if obj, err := c.nodes.Get(ctx, name, metav1.GetOptions{ResourceVersion: "0"}); err == nil {
			all = append(all, *obj)
		}
	}
	return all
}

// completeWaiting completes the ids of changes that wait for a confirmation.
func (p *plugin) completeWaiting(command *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.complete(command, func(ctx context.Context, c *connection) []string {
		var ids []string
		for _, obj := range c.cached(ctx, nil) {
			if last := obj.Status.LastApply; last != nil && last.Outcome == v1alpha1.ApplyInProgress && last.ConfirmBefore != nil {
				ids = append(ids, last.ID)
			}
		}
		return ids
	}, begun)
}

// completeUndo completes a node, and then the ids of its changes that can be undone.
func (p *plugin) completeUndo(command *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return p.completeNodes(1)(command, args, begun)
	case 1:
		return p.complete(command, func(ctx context.Context, c *connection) []string {
			history, err := c.nodes.GetHistory(ctx, args[0], metav1.GetOptions{})
			if err != nil {
				return nil
			}
			var ids []string
			for i := range history.Entries {
				if entry := &history.Entries[i]; undoable(entry) {
					ids = append(ids, entry.ID)
				}
			}
			return ids
		}, begun)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}
