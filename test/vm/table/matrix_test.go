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
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

func TestMatrix(t *testing.T) {
	shown := map[v1alpha1.Backend]Upstream{v1alpha1.BackendKernel: {Then: "ip link"}}
	all := []*Case{{Type: "bond", Name: "a"}, {Type: "bond", Name: "b", Before: "ip link add b\n", Upstream: shown}, {Type: "ovs", Name: "c", Volatile: "it is gone"}}
	day := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	results := &Results{Versions: map[v1alpha1.Backend]Versions{v1alpha1.BackendKernel: {Kernel: "6.12.9", Nmstate: "2.2.62"}}}
	add := func(c *Case, backend v1alpha1.Backend, change func(*Result)) {
		r := NewResult(c, backend, day)
		r.Pass(StepApply)
		change(r)
		results.Add(r)
	}
	add(all[0], v1alpha1.BackendNetworkManager, func(r *Result) { r.Pass(StepReboot) })
	add(all[0], v1alpha1.BackendKernel, func(r *Result) {
		r.Fail(StepReboot, "it is\ngone | away")
		r.Fail(StepDryRun, "<nothing>")
	})
	add(all[1], v1alpha1.BackendKernel, func(r *Result) {
		r.Fault, r.Shown, r.State, r.At = "the option is dropped", "desire 1, current 0", "interfaces: []\n", StepApply
	})
	add(all[1], v1alpha1.BackendNetworkManager, func(r *Result) { r.Lacks = "rings" })
	add(all[2], v1alpha1.BackendNetworkManager, func(*Result) {})
	add(all[2], v1alpha1.BackendKernel, func(r *Result) {
		r.Words = `NodeNetworkState.nmstate.io "vm02" is invalid: spec.desiredState: InvalidArgument: spec.desiredState.interfaces[name=br1].type: ` +
			"Forbidden: without NetworkManager this cannot be set on this node; it would need Open vSwitch"
	})

	var files []string
	for _, backend := range Backends {
		file := filepath.Join(t.TempDir(), "folder", "results.json")
		if err := results.Save(file, backend); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	results, err := LoadResults(files...)
	if err != nil {
		t.Fatal(err)
	}
	text := Matrix(all, results)
	for _, want := range []string{
		"| a | works | fails, dry run: &lt;nothing>; reboot: it is gone \\| away |",
		"| b | not tried: the machine has no rings | upstream, apply: the option is dropped |",
		"| c | works; no reboot: it is gone | refused: type: Forbidden: it would need Open vSwitch |",
		"| kernel |  | 6.12.9 |", "| tried | 2026-11-28 | 2026-11-28 |",
		"| works | 2 | 0 |", "| refused | 0 | 1 |", "| upstream | 0 | 1 |", "| fails | 0 | 1 |", "| not tried | 1 | 0 |",
		"### bond: b, kernel only\n\nFault: the option is dropped.\n\nFirst run:\n\n```sh\nip link add b\n```\n\nApply this with `nmstatectl apply --kernel`:\n\n" +
			"```yaml\ninterfaces: []\n```\n\nThen run:\n\n```sh\nip link\n```\n\nIt prints: desire 1, current 0\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// TestAdd: a result takes the place of the one before.
func TestAdd(t *testing.T) {
	c := &Case{Type: "bond", Name: "a"}
	results := &Results{}
	for range 2 {
		r := NewResult(c, v1alpha1.BackendKernel, time.Now())
		r.Pass(StepApply)
		r.Fail(StepApply, "first")
		r.Fail(StepApply, "second")
		r.Pass(StepApply)
		results.Add(r)
	}
	if len(results.Results) != 1 {
		t.Fatalf("there are %d results", len(results.Results))
	}
	if r := results.Results[0]; len(r.Passed) != 0 || r.Err() == nil || !strings.Contains(r.Err().Error(), "apply: first") {
		t.Errorf("%+v", r)
	}
}

// TestAddOfANodeThatLacksSomething: what was seen on another node stays.
func TestAddOfANodeThatLacksSomething(t *testing.T) {
	c := &Case{Type: "bond", Name: "a"}
	results := &Results{}
	for _, lacks := range []string{"bonds", "", "bonds"} {
		r := NewResult(c, v1alpha1.BackendKernel, time.Now())
		r.Lacks = lacks
		results.Add(r)
	}
	if len(results.Results) != 1 || results.Results[0].Lacks != "" {
		t.Errorf("%+v", results.Results[0])
	}
}

func TestLoadResultsOfNone(t *testing.T) {
	results, err := LoadResults(filepath.Join(t.TempDir(), "results.json"))
	if err != nil || len(results.Results) != 0 || results.Versions == nil {
		t.Errorf("%+v, %v", results, err)
	}
}
