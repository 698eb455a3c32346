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
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"github.com/nmstate/kubernetes-nmstate/pkg/standalone"
)

// newJoinToken returns the command that makes, lists and deletes join tokens.
func newJoinToken() *cobra.Command {
	var stateDir string
	command := &cobra.Command{
		Use:   "join-token",
		Short: "Make, list and delete the tokens with which nodes join a standalone server",
		Long: "Makes, lists and deletes the tokens with which nodes join a standalone server. Run it where the server runs, as the server's user. " +
			"A running server knows of each change at once.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
		// It stands for that of the server, which sets up logging: without it errors are printed as they are.
		PersistentPreRun: func(*cobra.Command, []string) {},
	}
	command.PersistentFlags().StringVar(&stateDir, "state-dir", defaultStateDir, "Folder of the standalone server's state.")
	tokens := func() (*standalone.JoinTokens, error) {
		state, err := standalone.OpenExisting(stateDir)
		if err != nil {
			return nil, err
		}
		return state.JoinTokens(clock.RealClock{}), nil
	}
	command.AddCommand(newJoinTokenCreate(tokens), newJoinTokenList(tokens), newJoinTokenDelete(tokens))
	// The help of the server is in sections, and a subcommand would inherit it.
	plain := &cobra.Command{}
	command.SetHelpFunc(plain.HelpFunc())
	command.SetUsageFunc(plain.UsageFunc())
	return command
}

// openTokens returns the join tokens of the state folder that the flag names.
type openTokens func() (*standalone.JoinTokens, error)

func newJoinTokenCreate(open openTokens) *cobra.Command {
	var node string
	var ttl time.Duration
	command := &cobra.Command{
		Use:   "create",
		Short: "Make a join token and print it",
		Long: "Makes a join token and prints it. The server keeps only its hash: it cannot be shown again. " +
			"The token lets one node join until its time is over. The node then has a key of its own and needs the token no more.",
		Example: "  apiserver join-token create --node node01 > node01.token",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			tokens, err := open()
			if err != nil {
				return err
			}
			token, err := tokens.Create(node, ttl)
			if err != nil {
				return err
			}
			if node == "" {
				command.PrintErrln("Warning: whoever has this token can join as any node that has not joined yet, and then gets what is sent to that node. Use --node to make a token for one node.")
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), token)
			return err
		},
	}
	command.Flags().StringVar(&node, "node", "", "Name of the only node that the token lets join; empty means any node.")
	command.Flags().DurationVar(&ttl, "ttl", time.Hour, "How long a node can join with the token.")
	return command
}

func newJoinTokenList(open openTokens) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the join tokens",
		Long: "Lists the join tokens that expire, never the tokens themselves. A token that has expired is listed for a day. " +
			"The shared token in STATE-DIR/join-token is not listed.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			tokens, err := open()
			if err != nil {
				return err
			}
			all, err := tokens.List()
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 3, ' ', 0)
			fmt.Fprintln(table, "ID\tNODE\tEXPIRES\tCREATED")
			for _, one := range all {
				node, expires := one.Node, one.Expires.UTC().Format(time.RFC3339)
				if node == "" {
					node = "any"
				}
				if tokens.Expired(one) {
					expires += " (expired)"
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", one.ID, node, expires, one.Created.UTC().Format(time.RFC3339))
			}
			return table.Flush()
		},
	}
}

func newJoinTokenDelete(open openTokens) *cobra.Command {
	return &cobra.Command{
		Use:   "delete ID",
		Short: "Delete a join token",
		Long:  "Deletes a join token: nobody can join with it any more. The nodes that have joined with it stay.",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			tokens, err := open()
			if err != nil {
				return err
			}
			return tokens.Delete(args[0])
		},
	}
}
