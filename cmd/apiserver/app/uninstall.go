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

package app

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nmstate/kubernetes-nmstate/pkg/cluster/removal"
)

// uninstallPatience is how long each part of an uninstallation may take.
const uninstallPatience = 2 * time.Minute

// newUninstall returns the command that takes away what a package manager does not.
func newUninstall() *cobra.Command {
	command := &cobra.Command{
		Use:   "uninstall",
		Short: "Take away from a cluster what a package manager does not",
		Long:  "Takes away from a cluster what a package manager does not. The Helm chart runs these commands before and after it deletes what it has installed.",
		Args:  cobra.NoArgs,
		RunE:  func(command *cobra.Command, _ []string) error { return command.Help() },
		// It stands for that of the server, which sets up logging.
		PersistentPreRun: func(*cobra.Command, []string) {},
	}
	var namespace, service, kubeconfig string
	command.PersistentFlags().StringVar(&namespace, "namespace", "", "Namespace of the server.")
	command.PersistentFlags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file of the cluster; in a pod it is not needed.")
	// run calls a part with the cluster's configuration.
	run := func(part func(context.Context, *rest.Config) error) func(*cobra.Command, []string) error {
		return func(*cobra.Command, []string) error {
			if namespace == "" {
				return errors.New("--namespace must not be empty")
			}
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(genericapiserver.SetupSignalContext(), uninstallPatience)
			defer cancel()
			return part(ctx, config)
		}
	}
	first := &cobra.Command{
		Use:   "apiservice",
		Short: "Delete the APIService, before the servers are deleted",
		Long: "Deletes the APIService v1alpha1.nmstate.io, unless it belongs to another Service. Run it before the servers are deleted: " +
			"while there is an APIService without a server, no namespace of the cluster can be deleted.",
		Args: cobra.NoArgs,
		RunE: run(func(ctx context.Context, config *rest.Config) error {
			client, err := dynamic.NewForConfig(config)
			if err != nil {
				return err
			}
			return removal.DeleteAPIService(ctx, client, types.NamespacedName{Namespace: namespace, Name: service})
		}),
	}
	first.Flags().StringVar(&service, "service-name", NewOptions().ServiceName, "Name of the server's Service.")
	last := &cobra.Command{
		Use:   "made",
		Short: "Delete what the servers have made, after they are deleted",
		Long: "Waits until the servers of the namespace have ended, and deletes what they have made: their Lease, their certificates, and the CA " +
			"that agents trust. The agents' records stay on the nodes.",
		Args: cobra.NoArgs,
		RunE: run(func(ctx context.Context, config *rest.Config) error {
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return err
			}
			return removal.DeleteMade(ctx, client, namespace)
		}),
	}
	command.AddCommand(first, last)
	// The help of the server is in sections, and a subcommand would inherit it.
	plain := &cobra.Command{}
	command.SetHelpFunc(plain.HelpFunc())
	command.SetUsageFunc(plain.UsageFunc())
	return command
}
