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

// Package app is the command line of the node's agent.
package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/uplink"
	"github.com/nmstate/kubernetes-nmstate/pkg/memory"
	"github.com/nmstate/kubernetes-nmstate/pkg/secretfile"
	"github.com/nmstate/kubernetes-nmstate/version"
)

// NewCommand returns the command that runs the agent.
func NewCommand() *cobra.Command {
	options := NewOptions()
	command := &cobra.Command{
		Use:           "node-agent",
		Short:         "Show and set the network of this node",
		Long:          "Runs on a node, connects to the API server, shows it the node's network as it is and applies what it asks for. It listens on nothing.",
		Version:       version.Version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := logsapi.ValidateAndApply(options.Logs, nil); err != nil {
				return err
			}
			if errs := options.Validate(); len(errs) > 0 {
				return utilerrors.NewAggregate(errs)
			}
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return options.Run(ctx)
		},
	}
	logs.AddFlags(command.Flags(), logs.SkipLoggingConfigurationFlags())
	options.AddFlags(command.Flags())
	command.AddCommand(newWorker())
	command.CompletionOptions.DisableDefaultCmd = true
	return command
}

// newWorker returns the command with which the agent runs itself to validate and
// apply states.
func newWorker() *cobra.Command {
	return &cobra.Command{
		Use:    transaction.WorkerCommand,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return transaction.RunWorker(command.InOrStdin(), command.OutOrStdout())
		},
	}
}

// Run runs the agent until ctx ends.
func (o *Options) Run(ctx context.Context) error {
	credentials, err := o.credentials()
	if err != nil {
		return err
	}
	link := uplink.New(uplink.Config{
		Server:      o.Server,
		ServerName:  o.ServerName,
		CAFile:      o.CAFile,
		Credentials: credentials,
		Node:        o.NodeName,
		Labels:      o.NodeLabels,
		Version:     version.Version,
	})
	agent, err := host.New(host.Config{
		StateDir:           o.StateDir,
		Backend:            host.BackendChoice(o.Backend),
		KeepUnmanagedVeths: o.IncludeUnmanagedVeths,
		Confirmer:          link,
		Restored:           link.Reconnect,
		Server:             o.Server,
		ApplyTimeout:       o.ApplyTimeout,
		LLDP:               o.LLDP,
	})
	if err != nil {
		return err
	}
	link.Serve(agent)
	klog.FromContext(ctx).Info("Starting", "node", o.NodeName, "version", version.Version)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return agent.Run(ctx) })
	group.Go(func() error { return link.Run(ctx) })
	group.Go(func() error { return memory.Trim(ctx) })
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// credentials returns what proves which node this is: in a cluster the token of
// its pod, else the join token with a key that the agent makes for itself.
func (o *Options) credentials() (uplink.Files, error) {
	if o.TokenFile != "" {
		return uplink.Files{Token: o.TokenFile}, nil
	}
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		return uplink.Files{}, fmt.Errorf("making the agent's state folder: %w", err)
	}
	key := filepath.Join(o.StateDir, "node-key")
	return uplink.Files{Token: o.JoinTokenFile, NodeKey: key}, secretfile.Ensure(key)
}
