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

// Package table has the cases of the suite test/vm: which there are, how they are put together into
// one state, and how what came of them is written down.
package table

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Case is one kind of configuration: a state that is applied, what it makes, and how it goes away.
type Case struct {
	// Name is unique within the type. Both together name the case.
	Name string `json:"name"`
	// Type groups cases: a type of interface, or a section of a state.
	Type string `json:"-"`
	// Sample says that the case belongs to the small run.
	Sample bool `json:"sample,omitempty"`
	// Alone says that the case is applied without others.
	Alone bool `json:"alone,omitempty"`

	// State is the desired state. Example is a file of docs/examples that has it instead.
	State   State  `json:"state,omitempty"`
	Example string `json:"example,omitempty"`
	// Shows is what the node must show as soon as the state is applied.
	Shows []Look `json:"shows,omitempty"`
	// Changes are made one after the other, once the state is applied.
	Changes []Change `json:"changes,omitempty"`
	// Away is what takes the case away beyond the removal of the interfaces that it made.
	Away State `json:"away,omitempty"`
	// Reapply is spec.reapply for the case, where the default does not keep it over a reboot.
	Reapply v1alpha1.ReapplyPolicy `json:"reapply,omitempty"`
	// Leaves says that the case leaves the spec with spec.removal set to Revert, and that nothing else takes it away.
	Leaves bool `json:"leaves,omitempty"`
	// Bad is the part that fails in the failing change, if it is not the usual one.
	Bad State `json:"bad,omitempty"`

	// Takes are ports that the case needs for itself although its states do not name them.
	Takes []string `json:"takes,omitempty"`
	// Before and After are shell commands on the node. Hub is what must be in the network that the node is
	// plugged into: "dhcp" or "lldp".
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	Hub    string `json:"hub,omitempty"`
	// AfterBoot is a shell command that makes again what Before made and a reboot took away.
	AfterBoot string `json:"afterBoot,omitempty"`
	// Needs is what a node must have for the case, if not all have it: else the case is not tried.
	Needs Need `json:"needs,omitzero"`
	// Volatile says why the case is not there after a reboot, or has nothing that could be.
	Volatile string `json:"volatile,omitempty"`
	// Refused is, by backend, a regular expression of the words by which the case is refused before
	// anything is touched. "*" is for all backends that are not named.
	Refused map[v1alpha1.Backend]string `json:"refused,omitempty"`
	// Late says that only a driver knows what it lacks: a dry run does not refuse the case, a change does, and is undone.
	Late bool `json:"late,omitempty"`
	// Gone is, by backend, a link that Before makes and that goes with the case: without NetworkManager what is absent is
	// removed, whoever has made it.
	Gone map[v1alpha1.Backend]string `json:"gone,omitempty"`
	// Upstream is, by backend, a fault of nmstate or below that the case comes across.
	Upstream map[v1alpha1.Backend]Upstream `json:"upstream,omitempty"`
}

// State is a state of nmstate, or a part of one.
type State map[string]any

// Look is a command on the node, and regular expressions that its output must have or lack. The
// command "nns" prints status.currentState as JSON.
type Look struct {
	Run   string   `json:"run"`
	Has   []string `json:"has,omitempty"`
	Lacks []string `json:"lacks,omitempty"`
	// Only is the backend that the look is for, if it is not for all.
	Only v1alpha1.Backend `json:"only,omitempty"`
}

// Need is what only some nodes have. Run is a shell command that ends well on a node that has it.
type Need struct {
	Run  string `json:"run"`
	What string `json:"what"`
}

// Change is a state that takes the place of the case's, and what it makes.
type Change struct {
	State State  `json:"state"`
	Shows []Look `json:"shows,omitempty"`
}

// Upstream is a fault that shows without this project, with nmstatectl.
type Upstream struct {
	// Step is the step at which the case fails.
	Step Step `json:"step"`
	// State is the smallest state that shows it. Says is a regular expression of what nmstatectl says of it.
	State State  `json:"state"`
	Says  string `json:"says"`
	// Then is a shell command that shows what nmstatectl did: what it prints counts as said.
	Then string `json:"then,omitempty"`
	// Why says what the fault is.
	Why string `json:"why"`
	// Undo is a shell command that takes away what nmstatectl leaves.
	Undo string `json:"undo,omitempty"`
}

// Title names the case among all.
func (c *Case) Title() string { return c.Type + ": " + c.Name }

// RefusedBy returns the words by which a backend refuses the case, "" if it does not.
func (c *Case) RefusedBy(backend v1alpha1.Backend) string {
	if words, ok := c.Refused[backend]; ok {
		return words
	}
	return c.Refused["*"]
}

// Load reads the cases of a folder, those of a file in a list under their type.
func Load(root, folder string) ([]*Case, error) {
	files, err := filepath.Glob(filepath.Join(root, folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("there are no cases in %s", folder)
	}
	var all []*Case
	for _, file := range files {
		cases, err := loadFile(root, file)
		if err != nil {
			return nil, fmt.Errorf("reading the cases of %s: %w", filepath.Base(file), err)
		}
		all = append(all, cases...)
	}
	slices.SortStableFunc(all, func(a, b *Case) int { return strings.Compare(a.Type, b.Type) })
	seen := map[string]bool{}
	for _, c := range all {
		if seen[c.Title()] {
			return nil, fmt.Errorf("there are two cases %q", c.Title())
		}
		seen[c.Title()] = true
	}
	return all, nil
}

func loadFile(root, file string) ([]*Case, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var types map[string][]*Case
	if err := yaml.UnmarshalStrict(text, &types); err != nil {
		return nil, err
	}
	var all []*Case
	for kind, cases := range types {
		for _, c := range cases {
			c.Type = kind
			if err := c.complete(root); err != nil {
				return nil, fmt.Errorf("%s: %w", c.Title(), err)
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// complete reads the example that the case refers to, and checks the case.
func (c *Case) complete(root string) error {
	if c.Example != "" {
		text, err := os.ReadFile(filepath.Join(root, c.Example))
		if err != nil {
			return err
		}
		var example struct{ Spec struct{ DesiredState State } }
		if err := yaml.Unmarshal(text, &example); err != nil {
			return err
		}
		c.State = example.Spec.DesiredState
	}
	var errs []error
	if len(c.State) == 0 {
		errs = append(errs, errors.New("it has no state"))
	}
	looks := slices.Clone(c.Shows)
	for _, change := range c.Changes {
		looks = append(looks, change.Shows...)
	}
	var patterns []string
	for _, look := range looks {
		patterns = append(patterns, slices.Concat(look.Has, look.Lacks)...)
		if len(look.Has)+len(look.Lacks) == 0 {
			errs = append(errs, fmt.Errorf("%q looks for nothing", look.Run))
		}
	}
	for _, words := range c.Refused {
		patterns = append(patterns, words)
	}
	for _, upstream := range c.Upstream {
		patterns = append(patterns, upstream.Says)
		if !slices.Contains(Steps, upstream.Step) {
			errs = append(errs, fmt.Errorf("there is no step %q", upstream.Step))
		}
	}
	for _, pattern := range patterns {
		_, err := regexp.Compile(pattern)
		errs = append(errs, err)
	}
	if len(c.Shows) == 0 && len(c.Refused) == 0 {
		errs = append(errs, errors.New("it shows nothing"))
	}
	return errors.Join(errs...)
}
