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

package vm

import (
	"context"
	"fmt"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	"sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/vm/table"
)

// changeID is what is another one each time.
var changeID = regexp.MustCompile(` \(change [0-9a-f-]{36}\)`)

// refused: the backend refuses the case in the expected words, and nothing is touched, or is as before.
func (t *trial) refused(ctx context.Context, c *table.Case, words string) error {
	result := t.results[c]
	_, dryErr := t.dryRun(ctx, c.State)
	err := t.apply(ctx, c.State)
	t.applied = err == nil
	switch {
	case err == nil:
		result.Fail(table.StepRefused, "it is committed, not refused")
	case !regexp.MustCompile(words).MatchString(err.Error()):
		result.Fail(table.StepRefused, "other words than "+words+": "+err.Error())
	case dryErr == nil && !c.Late:
		result.Fail(table.StepRefused, "a dry run does not refuse it, a change does: "+err.Error())
	}
	if err != nil {
		result.Words = changeID.ReplaceAllString(err.Error(), "")
	}
	if err := t.unchanged(ctx, t.before, false); err != nil && !t.applied {
		result.Fail(table.StepRefused, err.Error())
	} else if err == nil {
		t.asBefore = true
	}
	result.Pass(table.StepRefused)
	return nil
}

// upstream shows a fault with nmstatectl.
func (t *trial) upstream(ctx context.Context, c *table.Case, fault table.Upstream) error {
	text, err := yaml.Marshal(fault.State)
	if err != nil {
		return err
	}
	state, flag := t.own.Replace(string(text)), ""
	if t.backend == v1alpha1.BackendKernel {
		flag = " --kernel"
	}
	out, err := t.exec(ctx, fmt.Sprintf("nmstatectl apply%s - 2>&1 <<'STATE'\n%s\nSTATE\nstatus=$?; echo; echo status $status\n%s", flag, state, fault.Then))
	if undo, undoErr := t.exec(ctx, fault.Undo); undoErr != nil {
		GinkgoWriter.Printf("undoing what nmstatectl did: %v: %s\n", undoErr, undo)
	}
	result := t.results[c]
	if err == nil && !regexp.MustCompile(fault.Says).MatchString(out) {
		err = fmt.Errorf("nmstatectl does not say %s: %s", fault.Says, out)
	}
	if err != nil {
		result.Fail(table.StepUpstream, err.Error())
		return nil
	}
	result.Fault, result.State, result.At = fault.Why, state, fault.Step
	result.Shown = regexp.MustCompile(".*(" + fault.Says + ").*").FindString(out)
	result.Pass(table.StepUpstream)
	return nil
}

// failsUpstream: the change fails as it does with nmstatectl, and the node is as before.
func (t *trial) failsUpstream(ctx context.Context, c *table.Case) error {
	err := t.apply(ctx, c.State)
	if t.applied = err == nil; t.applied {
		t.results[c].Fail(table.StepApply, "it is committed, although nmstatectl fails")
		return nil
	}
	return t.check(table.StepFailing, t.unchanged(ctx, t.before, true))
}
