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

// Package app is the command line of the API server.
package app

import (
	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/nmstate/kubernetes-nmstate/version"
)

// helpWidth is where lines of the help break, whatever the terminal: the help is
// held in docs/ too.
const helpWidth = 100

// NewCommand returns the command that runs the API server.
func NewCommand() *cobra.Command {
	options := NewOptions()
	command := &cobra.Command{
		Use:           "apiserver",
		Short:         "Serve the live networks of nodes as a Kubernetes API",
		Long:          "Serves nodenetworkstates.nmstate.io: the network of each node, live. Agents on the nodes connect to it.\n\napiserver join-token makes tokens with which nodes join a standalone server; see apiserver join-token --help.",
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
			return options.Run(genericapiserver.SetupSignalContext())
		},
	}
	logs.AddFlags(command.Flags(), logs.SkipLoggingConfigurationFlags())
	sections := options.Flags()
	for _, section := range sections.FlagSets {
		command.Flags().AddFlagSet(section)
	}
	cliflag.SetUsageAndHelpFunc(command, sections, helpWidth)
	command.AddCommand(newJoinToken(), newUninstall())
	command.CompletionOptions.DisableDefaultCmd = true
	return command
}
