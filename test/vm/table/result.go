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
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Step is something that is tried with each case.
type Step string

// The steps, in their order.
const (
	// StepRefused is the refusal of a case that the backend cannot do: in its words, and nothing is touched.
	StepRefused Step = "refused"
	// StepDryRun says that the state would change something, and changes nothing.
	StepDryRun Step = "dry run"
	// StepFailing is a change whose first part is the case and whose second part fails: the node is as before.
	StepFailing Step = "failing change"
	// StepApply is the change itself.
	StepApply Step = "apply"
	// StepSeen is what the kernel, NetworkManager and Open vSwitch show.
	StepSeen Step = "seen"
	// StepInSync is the condition InSync, and the interfaces in status.currentState.
	StepInSync Step = "in sync"
	// StepAgain is the same change again, by which nothing changes.
	StepAgain Step = "applied again"
	// StepChange is another state of the same interfaces.
	StepChange Step = "change"
	// StepReboot is a reboot, after which all is there again.
	StepReboot Step = "reboot"
	// StepBack is the current state, sent back as it is shown, by which nothing changes.
	StepBack Step = "sent back"
	// StepAbsent is the removal, after which the node is as before.
	StepAbsent Step = "absent"
	// StepUpstream is the fault upstream that the case comes across, shown with nmstatectl.
	StepUpstream Step = "upstream"
)

// Steps are all steps in their order.
var Steps = []Step{StepRefused, StepDryRun, StepFailing, StepApply, StepSeen, StepInSync, StepAgain, StepChange, StepReboot, StepBack, StepAbsent, StepUpstream}

// Result is what came of a case with a backend.
type Result struct {
	Type    string           `json:"type"`
	Name    string           `json:"name"`
	Backend v1alpha1.Backend `json:"backend"`
	Time    time.Time        `json:"time"`
	// Kernel is the release of the kernel of the node that the case was tried on.
	Kernel string `json:"kernel,omitempty"`
	// Passed and Failed have the steps that were tried; Failed says why.
	Passed []Step          `json:"passed,omitempty"`
	Failed map[Step]string `json:"failed,omitempty"`
	// Words are those by which the backend has refused the case.
	Words string `json:"words,omitempty"`
	// Fault is the fault upstream that was shown, and Shown what nmstatectl said of State.
	Fault string `json:"fault,omitempty"`
	Shown string `json:"shown,omitempty"`
	State string `json:"state,omitempty"`
	At    Step   `json:"at,omitempty"`
	// Lacks is what the case needs and the node has not.
	Lacks string `json:"lacks,omitempty"`
	// Volatile is the case's own.
	Volatile string `json:"volatile,omitempty"`
}

// NewResult returns the result of a case of which nothing was tried yet.
func NewResult(c *Case, backend v1alpha1.Backend, now time.Time) *Result {
	return &Result{Type: c.Type, Name: c.Name, Backend: backend, Time: now, Failed: map[Step]string{}, Volatile: c.Volatile}
}

// Pass notes a step that went well, unless it failed before.
func (r *Result) Pass(step Step) {
	if r.Failed[step] == "" && !slices.Contains(r.Passed, step) {
		r.Passed = append(r.Passed, step)
	}
}

// Fail notes a step that did not, and why; the first reason counts.
func (r *Result) Fail(step Step, why string) {
	if r.Failed[step] == "" {
		r.Failed[step] = why
	}
	r.Passed = slices.DeleteFunc(r.Passed, func(passed Step) bool { return passed == step })
}

// Err returns what failed as an error, nil if nothing did.
func (r *Result) Err() error {
	var errs []error
	for _, step := range Steps {
		if why := r.Failed[step]; why != "" {
			errs = append(errs, fmt.Errorf("%s: %s", step, why))
		}
	}
	return errors.Join(errs...)
}

// Versions are those of what a backend's node runs, in the last run.
type Versions struct {
	Kernel         string `json:"kernel"`
	Agent          string `json:"agent"`
	Nmstate        string `json:"nmstate"`
	NetworkManager string `json:"networkManager,omitempty"`
	OpenVSwitch    string `json:"openVSwitch,omitempty"`
}

// Results are what came of all cases, as far as they were tried: those of a run, or of several runs.
type Results struct {
	Versions map[v1alpha1.Backend]Versions `json:"versions"`
	Results  []*Result                     `json:"results"`
}

// LoadResults reads the results of earlier runs from files, of which some may not be there.
func LoadResults(files ...string) (*Results, error) {
	all := &Results{Versions: map[v1alpha1.Backend]Versions{}}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var results Results
		if err := json.Unmarshal(text, &results); err != nil {
			return nil, fmt.Errorf("reading the results in %s: %w", file, err)
		}
		maps.Copy(all.Versions, results.Versions)
		all.Results = append(all.Results, results.Results...)
	}
	return all, nil
}

// Add puts a result in the place of the one that there was of the same case and backend. One that says what a node lacks leaves
// what came of the case on another node.
func (r *Results) Add(result *Result) {
	result.Kernel = r.Versions[result.Backend].Kernel
	c := &Case{Type: result.Type, Name: result.Name}
	if was := r.find(c, result.Backend); was != nil && was.Lacks == "" && result.Lacks != "" {
		return
	}
	r.Results = slices.DeleteFunc(r.Results, func(other *Result) bool { return other.isOf(c, result.Backend) })
	r.Results = append(r.Results, result)
}

// Save writes the results of one backend to a file.
func (r *Results) Save(file string, backend v1alpha1.Backend) error {
	one := &Results{Versions: map[v1alpha1.Backend]Versions{backend: r.Versions[backend]}}
	for _, result := range r.Results {
		if result.Backend == backend {
			one.Results = append(one.Results, result)
		}
	}
	slices.SortStableFunc(one.Results, func(a, b *Result) int { return strings.Compare(a.Type+": "+a.Name, b.Type+": "+b.Name) })
	text, err := json.MarshalIndent(one, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// isOf tells whether the result is of a case with a backend.
func (r *Result) isOf(c *Case, backend v1alpha1.Backend) bool {
	return r.Type == c.Type && r.Name == c.Name && r.Backend == backend
}

// find returns the result of a case with a backend, nil if there is none.
func (r *Results) find(c *Case, backend v1alpha1.Backend) *Result {
	for _, result := range r.Results {
		if result.isOf(c, backend) {
			return result
		}
	}
	return nil
}
