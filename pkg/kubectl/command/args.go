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
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

// wrongArgs is an error of the arguments of a command.
func wrongArgs(command *cobra.Command, format string, args ...any) error {
	return fault.Wrong(fmt.Sprintf(format, args...), fmt.Sprintf("Usage: %s. See \"%s --help\".", command.UseLine(), command.CommandPath()))
}

// explainUnknown returns cobra's error of a command that there is not in the form of the plugin's errors, and each other error as it is.
func explainUnknown(root *cobra.Command, err error) error {
	if err == nil || !strings.HasPrefix(err.Error(), "unknown command ") {
		return err
	}
	message, similar, suggests := strings.Cut(err.Error(), "\n\nDid you mean this?")
	remedy := fmt.Sprintf("See \"%s --help\".", root.CommandPath())
	name, _, _ := strings.Cut(strings.TrimPrefix(message, "unknown command \""), "\"")
	if instead := otherNames[name]; instead != "" {
		remedy = instead + " " + remedy
	} else if suggests {
		remedy = fmt.Sprintf("Did you mean %s? %s", strings.Join(strings.Fields(similar), " or "), remedy)
	}
	return fault.Wrong(message, remedy)
}

// otherNames are commands that people expect, from other programs, and what to do instead.
var otherNames = map[string]string{
	"get": `"kubectl nmstate show" shows the network of nodes, "kubectl get nns" their objects.`, "list": `"kubectl nmstate show" shows all nodes.`,
	"describe": `"kubectl nmstate show NODE" shows the network of a node, "kubectl describe nns NODE" its object.`,
	"set":      `"kubectl nmstate apply -f FILE" makes a change.`, "edit": `"kubectl edit nns NODE" edits the desired state of a node.`,
	"delete": `Apply the interface, route or rule with "state: absent".`, "explain": `"kubectl explain nns.spec.desiredState" explains the fields of a state.`,
	"revert": `"kubectl nmstate undo NODE" takes a change back.`, "log": seeHistory, "logs": seeHistory,
	"events":  seeWatch,
	"version": `"kubectl nmstate --version" prints it.`,
}

const seeHistory = `"kubectl nmstate history NODE" shows the last changes of a node.`

// habit is what people write who know kubectl, as the error of it says, and what to do instead. The commands are those that the remedy is
// for; none stands for all.
type habit struct {
	message, remedy string
	commands        []string
}

const noNamespace = "Nodes are in no namespace: leave it out."

const kustomize = "Have kubectl make the file: \"kubectl kustomize FOLDER | kubectl nmstate … -f -\"."

const seeWatch = "\"kubectl nmstate watch\" prints each change as it happens."

var habits = []habit{
	{"unknown flag: --dry-run", "\"kubectl nmstate diff\" shows what a change would do.", []string{"apply"}},
	{"unknown flag: --dry-run", "Without --yes undo shows what would change, and asks: answer no.", []string{"undo"}},
	{"unknown flag: --server-side", "Each change is a server-side apply: leave it out.", nil},
	{"unknown flag: --namespace", noNamespace, nil},
	{"unknown flag: --all-namespaces", noNamespace, nil},
	{"unknown shorthand flag: 'n' in ", noNamespace, nil},
	{"unknown shorthand flag: 'A' in ", noNamespace, nil},
	{"unknown flag: --all", "Without the name of a node it is about all nodes.", []string{"show", "watch", "top", "wait"}},
	{"unknown flag: --all", "Name the nodes with --node, or select them with -l.", []string{"apply", "diff"}},
	{"unknown flag: --all", "It is about one node: name it.", []string{"history", "undo", "blame"}},
	{"unknown flag: --force", "--force-conflicts takes over what others own.", []string{"apply", "diff"}},
	{"unknown flag: --kustomize", kustomize, []string{"apply", "diff"}},
	{"unknown shorthand flag: 'k' in ", kustomize, []string{"apply", "diff"}},
	{"unknown flag: --watch", seeWatch, []string{"show", "history"}},
	{"unknown shorthand flag: 'w' in ", seeWatch, []string{"show", "history"}},
	{"missing unit in duration", "Write the unit, too, as in 30s or 2m.", nil},
	{"invalid duration", "Write a number and a unit, as in 30s or 2m.", nil},
}

// fits tells whether the error of a command is that of the habit. The name of a flag has to be the whole one.
func (h habit) fits(command *cobra.Command, message string) bool {
	if len(h.commands) > 0 && !slices.Contains(h.commands, command.Name()) {
		return false
	}
	if strings.HasPrefix(h.message, "unknown flag: ") {
		return message == h.message
	}
	return strings.Contains(message, h.message)
}

// wrongFlag is an error of a flag.
func wrongFlag(command *cobra.Command, err error) error {
	remedy := fmt.Sprintf("See \"%s --help\".", command.CommandPath())
	for _, habit := range habits {
		if habit.fits(command, err.Error()) {
			remedy = habit.remedy + " " + remedy
			break
		}
	}
	return fault.Wrong(err.Error(), remedy)
}

// checkArgs returns the check of a command's arguments: its own, and that none is empty or the name of another kind of thing. An empty
// argument or flag is most often a variable of a script that was not set, and must not mean something else, such as all nodes.
func checkArgs(own cobra.PositionalArgs) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if own != nil {
			if err := own(command, args); err != nil {
				return err
			}
		}
		if empty := emptyFlag(command); empty != "" {
			return wrongArgs(command, "--%s is empty, or a part of it is", empty)
		}
		for i, arg := range args {
			if arg == "" {
				return wrongArgs(command, "an argument is empty")
			}
			if err := checkArg(command, i, arg); err != nil {
				return err
			}
		}
		return nil
	}
}

// emptyFlag returns the name of a flag that is given and has nothing in it, or in one of its parts; "" if there is none.
func emptyFlag(command *cobra.Command) string {
	empty := ""
	command.Flags().Visit(func(flag *pflag.Flag) {
		if command.InheritedFlags().Lookup(flag.Name) != nil {
			return // of kubectl, where nothing means what the kubeconfig says
		}
		values := []string{flag.Value.String()}
		if list, isList := flag.Value.(pflag.SliceValue); isList {
			values = list.GetSlice()
		}
		if len(values) == 0 || slices.Contains(values, "") {
			empty = flag.Name
		}
	})
	return empty
}

// checkArg is an error if an argument can be no name of a node, or no ID, as the usage of the command has it at that place.
func checkArg(command *cobra.Command, i int, arg string) error {
	places := strings.Fields(command.Use)[1:]
	_, name, slash := strings.Cut(arg, "/")
	comma := strings.Contains(arg, ",")
	switch wanted := places[min(i, len(places)-1)]; {
	case !slash && !comma:
		return nil
	case strings.Contains(wanted, "ID"):
		return wrongArgs(command, "%q is no ID of a change", arg)
	case slash:
		return fault.Wrong(fmt.Sprintf("%q is no name of a node", arg), fmt.Sprintf("Write the name alone: %s.", name))
	case wanted == "[NODE...]":
		return fault.Wrong(fmt.Sprintf("%q is no name of a node", arg), "Write several nodes with blanks between them: "+strings.ReplaceAll(arg, ",", " ")+".")
	}
	return fault.Wrong(fmt.Sprintf("%q is no name of a node", arg), "It is about one node: name one.")
}

// filesAsFlags is an error if a file is given as an argument.
func filesAsFlags(command *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return wrongArgs(command, "%q is not expected here: a file is given with -f, a node with --node", args[0])
}

// unique returns names without those that are there already, in their order.
func unique(names []string) []string {
	var some []string
	for _, name := range names {
		if !slices.Contains(some, name) {
			some = append(some, name)
		}
	}
	return some
}
