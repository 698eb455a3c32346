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

package table

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Backends are the columns of the matrix.
var Backends = []v1alpha1.Backend{v1alpha1.BackendNetworkManager, v1alpha1.BackendKernel}

const preface = `# What works on which backend

<!-- Written by make test-vm. Do not edit: change test/vm/cases and run it again. -->

Each line is a case of ` + "`test/vm/cases`" + `: a state that was applied to a virtual machine. *NetworkManager* is a node with NetworkManager and Open
vSwitch, *kernel only* a node with neither. A cell begins with one of these words:

| word | meaning |
| --- | --- |
| works | all steps of the next table were seen |
| refused | The node does not do this, for the reason in the cell, and is as before. Nothing is touched, unless only a driver or another program, such as NetworkManager, finds out; then the change is undone. |
| upstream, STEP | At this step nmstate, NetworkManager or the kernel has a fault that shows without this project, too; [how to see it](#faults-upstream). With *apply* the case cannot be used. With *absent* or *sent back* it can, but its removal leaves something behind, or sending the current state back changes something. |
| fails | a fault of this project |
| not tried | the machine lacks what the case needs, or nobody has tried it yet |

| step | what was seen |
| --- | --- |
| dry run | it says what would change, and changes nothing |
| failing change | the case together with a part that fails: the node is as before, byte for byte: links, addresses, routes, rules, sysctls, DNS, NetworkManager's profiles, Open vSwitch's database |
| apply, seen, in sync | the change is committed; ` + "`ip`, `bridge`, `ovs-vsctl` or `nmcli` show it; `InSync` is True" + ` |
| applied again, sent back | the same state, and the current state as it is shown, change nothing but, with NetworkManager, what keeps the state over a reboot: its profiles and udev's names of links |
| change | another state of the same interfaces, where the case has one |
| reboot | it is there again |
| absent | it is taken away, and the node is as before |

Two kernels: 6.12 is Debian's, in QEMU; 6.1 is Debian's User-mode Linux, which runs where there is no KVM.
`

// titles are the columns' names.
var titles = map[v1alpha1.Backend]string{v1alpha1.BackendNetworkManager: "NetworkManager", v1alpha1.BackendKernel: "kernel only"}

// ways are what a refusal has before its reason: whose it is, and the way to the field within the interface.
var ways = regexp.MustCompile(`NodeNetworkState\.nmstate\.io "[^"]*" is invalid: spec\.desiredState: (InvalidArgument: )?|` +
	`node "[^"]*": |spec\.desiredState\.(interfaces\[name=[^]]*\]\.)?|without NetworkManager this cannot be set on this node; | \(change [0-9a-f-]{36}\)`)

// Matrix returns the document that says what works.
func Matrix(cases []*Case, results *Results) string {
	var text strings.Builder
	text.WriteString(preface)
	text.WriteString(versions(results))
	text.WriteString(totals(cases, results))
	kind := ""
	for _, c := range cases {
		if c.Type != kind {
			kind = c.Type
			fmt.Fprintf(&text, "\n## %s\n\n| case | NetworkManager | kernel only |\n| --- | --- | --- |\n", kind)
		}
		fmt.Fprintf(&text, "| %s |", c.Name)
		for _, backend := range Backends {
			fmt.Fprintf(&text, " %s |", cell(results.find(c, backend)))
		}
		text.WriteString("\n")
	}
	text.WriteString(faults(cases, results))
	return text.String()
}

func versions(results *Results) string {
	var text strings.Builder
	text.WriteString("\n| | NetworkManager | kernel only |\n| --- | --- | --- |\n")
	line := func(name string, value func(backend v1alpha1.Backend) string) {
		fmt.Fprintf(&text, "| %s |", name)
		for _, backend := range Backends {
			fmt.Fprintf(&text, " %s |", value(backend))
		}
		text.WriteString("\n")
	}
	line("tried", func(backend v1alpha1.Backend) string { return days(results, backend) })
	line("kernel", func(backend v1alpha1.Backend) string { return kernels(results, backend) })
	line("node-agent", func(backend v1alpha1.Backend) string { return results.Versions[backend].Agent })
	line("nmstate", func(backend v1alpha1.Backend) string { return results.Versions[backend].Nmstate })
	line("NetworkManager", func(backend v1alpha1.Backend) string { return results.Versions[backend].NetworkManager })
	line("Open vSwitch", func(backend v1alpha1.Backend) string { return results.Versions[backend].OpenVSwitch })
	return text.String()
}

// kernels are the releases of the kernels that the cases of a backend were tried on.
func kernels(results *Results, backend v1alpha1.Backend) string {
	return strings.Join(results.distinct(backend, func(r *Result) string { return r.Kernel }), " and ")
}

// distinct returns what the results of a backend have, but for what is empty: sorted, each once.
func (r *Results) distinct(backend v1alpha1.Backend, of func(*Result) string) []string {
	var all []string
	for _, result := range r.Results {
		if text := of(result); result.Backend == backend && text != "" {
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// days says when the cases of a backend were tried.
func days(results *Results, backend v1alpha1.Backend) string {
	all := results.distinct(backend, func(r *Result) string { return r.Time.UTC().Format("2006-01-02") })
	if len(all) == 0 {
		return "not yet"
	}
	first, last := all[0], all[len(all)-1]
	if first == last {
		return first
	}
	return first + " to " + last
}

// verdict is what a cell of the matrix begins with.
type verdict string

const (
	works    verdict = "works"
	refused  verdict = "refused"
	upstream verdict = "upstream"
	fails    verdict = "fails"
	untried  verdict = "not tried"
)

func (r *Result) verdict() verdict {
	switch {
	case r == nil || r.Lacks != "":
		return untried
	case len(r.Failed) > 0:
		return fails
	case r.Fault != "":
		return upstream
	case r.Words != "":
		return refused
	}
	return works
}

func cell(r *Result) string {
	text := string(r.verdict())
	switch r.verdict() {
	case works:
		switch {
		case r.Volatile != "":
			text += "; no reboot: " + r.Volatile
		case !slices.Contains(r.Passed, StepReboot):
			text += "; a reboot was not tried"
		}
	case untried:
		if r != nil {
			text += ": the machine has no " + r.Lacks
		}
	case refused:
		text += ": " + ways.ReplaceAllString(r.Words, "")
	case upstream:
		text += fmt.Sprintf(", %s: %s", r.At, r.Fault)
	case fails:
		var steps []string
		for _, step := range Steps {
			if why := r.Failed[step]; why != "" {
				steps = append(steps, fmt.Sprintf("%s: %s", step, why))
			}
		}
		text += ", " + strings.Join(steps, "; ")
	}
	return oneLine(text)
}

// longestCell is how long a cell may be.
const longestCell = 400

// oneLine makes a text fit into a cell.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(text)), " ")
	if len(text) > longestCell {
		text = strings.ToValidUTF8(text[:longestCell], "") + " …"
	}
	return text
}

// totals counts the cases by what came of them.
func totals(cases []*Case, results *Results) string {
	var text strings.Builder
	text.WriteString("\n| cases | NetworkManager | kernel only |\n| --- | --- | --- |\n")
	for _, v := range []verdict{works, refused, upstream, fails, untried} {
		fmt.Fprintf(&text, "| %s |", v)
		for _, backend := range Backends {
			count := 0
			for _, c := range cases {
				if results.find(c, backend).verdict() == v {
					count++
				}
			}
			fmt.Fprintf(&text, " %d |", count)
		}
		text.WriteString("\n")
	}
	return text.String()
}

// faults lists those upstream, each with the state that shows it.
func faults(cases []*Case, results *Results) string {
	var text strings.Builder
	for _, backend := range Backends {
		for _, c := range cases {
			r := results.find(c, backend)
			if r == nil || r.Fault == "" || r.Shown == "" {
				continue
			}
			command := "nmstatectl apply"
			if backend == v1alpha1.BackendKernel {
				command += " --kernel"
			}
			fmt.Fprintf(&text, "\n### %s, %s\n\nFault: %s.\n", c.Title(), titles[backend], strings.TrimSuffix(r.Fault, "."))
			script := func(when, what string) {
				if what != "" {
					fmt.Fprintf(&text, "\n%s\n\n```sh\n%s\n```\n", when, strings.TrimSpace(what))
				}
			}
			script("First run:", c.Before)
			fmt.Fprintf(&text, "\nApply this with `%s`:\n\n```yaml\n%s```\n", command, r.State)
			script("Then run:", c.Upstream[backend].Then)
			fmt.Fprintf(&text, "\nIt prints: %s\n", oneLine(r.Shown))
		}
	}
	if text.Len() == 0 {
		return "\n## Faults upstream\n\nNone were come across.\n"
	}
	return "\n## Faults upstream\n" + text.String()
}
