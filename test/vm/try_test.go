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
	"encoding/json"
	"errors"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/vm/table"
)

// trial tries a batch of cases on a node.
type trial struct {
	*machine
	batch   table.Batch
	results map[*table.Case]*table.Result
	before  table.Facts
	applied bool
	// asBefore tells that the last look has found the node as before, and rebooted that it was rebooted.
	asBefore, rebooted bool
}

// errSplit says that a step failed for which no single case answers: the halves of the batch are tried.
var errSplit = errors.New("the batch is to be split")

// usualBad is what makes a change fail after its first part was made. The kernel has one VLAN of a tag on a link; NetworkManager
// would try for minutes to make the second, but sets what a dummy has not without a word, so that nmstate finds out.
var usualBad = map[v1alpha1.Backend]table.State{
	v1alpha1.BackendKernel: {"interfaces": []any{
		map[string]any{"name": "bad0", "type": "linux-bridge", "state": "up", "bridge": map[string]any{"port": []any{}}},
		map[string]any{"name": "bad0.9a", "type": "vlan", "state": "up", "vlan": map[string]any{"base-iface": "bad0", "id": 9}},
		map[string]any{"name": "bad0.9b", "type": "vlan", "state": "up", "vlan": map[string]any{"base-iface": "bad0", "id": 9}},
	}},
	v1alpha1.BackendNetworkManager: {"interfaces": []any{
		map[string]any{"name": "bad0", "type": "dummy", "state": "up", "ethtool": map[string]any{"ring": map[string]any{"rx": 100}}},
	}},
}

// try tries a batch and, if it fails as a whole, its halves. Afterwards the node is as before.
func (m *machine) try(ctx context.Context, batch table.Batch) map[*table.Case]*table.Result {
	t := &trial{machine: m, batch: batch, results: map[*table.Case]*table.Result{}}
	for _, c := range batch {
		t.results[c] = table.NewResult(c, m.backend, time.Now())
	}
	begun := time.Now()
	err := t.steps(ctx)
	GinkgoWriter.Printf("%s: %d cases took %v: %s: %v\n", m.name, len(batch), time.Since(begun).Round(time.Second), batch.Title(), err)
	if errors.Is(err, errSplit) {
		for _, half := range batch.Halves() {
			for c, result := range m.try(ctx, half) {
				t.results[c] = result
			}
		}
		return t.results
	}
	for _, c := range batch {
		m.results.Add(t.results[c])
	}
	if err := m.results.Save(m.resultsFile(m.backend), m.backend); err != nil {
		t.results[batch[0]].Fail(table.StepApply, err.Error())
	}
	return t.results
}

// named returns a state with what is the node's own in it.
func (m *machine) named(state table.State) table.State {
	text, _ := json.Marshal(state) // it was read from YAML
	var result table.State
	_ = json.Unmarshal([]byte(m.own.Replace(string(text))), &result)
	return result
}

// fail notes that a step failed. If none of several cases answers for it, the batch is to be split.
func (t *trial) fail(step table.Step, c *table.Case, why error) error {
	GinkgoWriter.Printf("%s: %s: %v\n", t.name, step, why)
	if len(t.batch) == 1 {
		c = t.batch[0]
	}
	if c != nil && c.Upstream[t.backend].Step == step {
		return nil // as it does without this project
	}
	if c != nil {
		t.results[c].Fail(step, why.Error())
		return nil
	}
	blame := t.batch.Blame(why.Error())
	if len(blame) == 0 {
		return errSplit
	}
	for c, lines := range blame {
		t.results[c].Fail(step, lines)
	}
	return nil
}

// check notes what came of a step; what no case answers for ends the trial.
func (t *trial) check(step table.Step, err error) error {
	if err != nil {
		if err := t.fail(step, nil, err); err != nil {
			return err
		}
	}
	for _, result := range t.results {
		result.Pass(step)
	}
	return nil
}

// change notes what came of a change. One that failed failed for all cases of a batch, whoever is to blame.
func (t *trial) change(step table.Step, err error) error {
	if err != nil && len(t.batch) > 1 {
		GinkgoWriter.Printf("%s: %s: %v\n", t.name, step, err)
		return errSplit
	}
	return t.check(step, err)
}

// steps tries one step after the other. It returns an error only if the batch is to be split.
func (t *trial) steps(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, t.restore(ctx)) }()
	first := t.batch[0]
	t.reapply = first.Reapply
	if lacks := t.lacks(ctx, first); lacks != "" {
		t.results[first].Lacks = lacks
		return nil
	}
	for _, c := range t.batch {
		stop, err := t.prepareCase(ctx, c)
		defer stop()
		if err != nil {
			return t.fail(table.StepDryRun, c, err)
		}
	}
	if t.before, err = t.facts(ctx); err != nil {
		return t.fail(table.StepDryRun, nil, err)
	}
	if words := first.RefusedBy(t.backend); words != "" {
		return t.refused(ctx, first, words)
	}
	if upstream, ok := first.Upstream[t.backend]; ok {
		if err := t.upstream(ctx, first, upstream); err != nil {
			return err
		}
		if upstream.Step == table.StepApply {
			return t.failsUpstream(ctx, first)
		}
	}
	for _, step := range []func(context.Context) error{t.dryRunStep, t.failing, t.applyStep, t.again, t.changes, t.rebootStep, t.back, t.absent} {
		if err := step(ctx); err != nil {
			return err
		}
		if len(t.batch) == 1 && t.results[first].Failed[table.StepApply] != "" {
			return nil
		}
	}
	return nil
}

// dryRunStep: a dry run says that something would change, and changes nothing.
func (t *trial) dryRunStep(ctx context.Context) error {
	state, _ := t.batch.State(0)
	difference, err := t.dryRun(ctx, state)
	if err != nil {
		return t.change(table.StepDryRun, err)
	}
	if difference == nil {
		err = errors.New("the dry run says that nothing would change")
	}
	if err == nil {
		err = t.unchanged(ctx, t.before, false)
	}
	return t.check(table.StepDryRun, err)
}

// failing: after a change that fails at its second part the node is as before.
func (t *trial) failing(ctx context.Context) error {
	state, _ := t.batch.State(0)
	err := t.apply(ctx, table.Merge(state, t.batch.Bad(usualBad[t.backend])))
	if err == nil {
		t.applied = true
		return t.change(table.StepFailing, errors.New("the change was committed although its second part cannot be"))
	}
	GinkgoWriter.Printf("%s: the failing change says: %v\n", t.name, err)
	if apierrors.IsInvalid(err) {
		return t.change(table.StepFailing, fmt.Errorf("the change was refused before its first part was made: %w", err))
	}
	return t.check(table.StepFailing, t.unchanged(ctx, t.before, true))
}

// applyStep: the change is committed, is seen, and is in sync.
func (t *trial) applyStep(ctx context.Context) error {
	state, _ := t.batch.State(0)
	t.applied = true
	if err := t.change(table.StepApply, t.apply(ctx, state)); err != nil {
		return err
	}
	if len(t.batch) == 1 && t.results[t.batch[0]].Failed[table.StepApply] != "" {
		return nil
	}
	t.seen(ctx, table.StepSeen, 0)
	return t.inSyncStep(ctx, table.StepInSync)
}

// seen looks at what each case must show after so many changes.
func (t *trial) seen(ctx context.Context, step table.Step, changes int) {
	_, looks := t.batch.State(changes)
	for _, c := range t.batch {
		for _, look := range looks[c] {
			if err := t.look(ctx, look); err != nil {
				GinkgoWriter.Printf("%s: %s: %s: %v\n", t.name, step, c.Title(), err)
				t.results[c].Fail(step, err.Error())
			}
		}
		t.results[c].Pass(step)
	}
}

// inSyncStep: the condition InSync is True, and there is no difference.
func (t *trial) inSyncStep(ctx context.Context, step table.Step) error {
	obj, err := t.get(ctx)
	if err == nil && !inSync(obj) {
		text, _ := json.Marshal(obj.Status.Difference)
		conditions, _ := json.Marshal(obj.Status.Conditions)
		err = fmt.Errorf("InSync is not True; the difference is %s", text)
		if obj.Status.Difference == nil {
			err = fmt.Errorf("%w; the conditions are %s", err, conditions)
		}
	}
	return t.check(step, err)
}

// again: the same change again changes nothing.
func (t *trial) again(ctx context.Context) error {
	state, _ := t.batch.State(0)
	return t.check(table.StepAgain, t.idempotent(ctx, state, true))
}

// idempotent applies a state by which nothing may change: neither the network nor, if it is the desired state already,
// the spec and its generation.
func (t *trial) idempotent(ctx context.Context, state table.State, same bool) error {
	facts, err := t.facts(ctx)
	if err != nil {
		return err
	}
	before, err := t.get(ctx)
	if err != nil {
		return err
	}
	if err := t.apply(ctx, state); err != nil {
		return err
	}
	after, err := t.get(ctx)
	if err != nil {
		return err
	}
	if same {
		if before.Generation != after.Generation {
			return fmt.Errorf("the generation was %d and is %d", before.Generation, after.Generation)
		}
		was, is := string(before.Spec.DesiredState.Raw), string(after.Spec.DesiredState.Raw)
		if was != is {
			return fmt.Errorf("spec.desiredState was %s and is %s", was, is)
		}
		return t.unchanged(ctx, facts, false)
	}
	// What keeps the state over a reboot may be written.
	return t.unchanged(ctx, facts, false, "profiles", "connections", "names")
}

// changes makes the changes that cases have.
func (t *trial) changes(ctx context.Context) error {
	for i := range t.batch.Changes() {
		state, _ := t.batch.State(i + 1)
		if err := t.change(table.StepChange, t.apply(ctx, state)); err != nil {
			return err
		}
		t.seen(ctx, table.StepChange, i+1)
		if err := t.inSyncStep(ctx, table.StepChange); err != nil {
			return err
		}
	}
	return nil
}

// rebootStep: what can be there after a reboot is.
func (t *trial) rebootStep(ctx context.Context) error {
	if t.batch[0].Volatile != "" || t.reboots >= *rebootFlag {
		return nil
	}
	if err := t.change(table.StepReboot, t.reboot(ctx)); err != nil {
		return err
	}
	t.rebooted = true
	t.afterBoot(ctx)
	t.seen(ctx, table.StepReboot, t.batch.Changes())
	return nil
}

// back: the current state of the cases' interfaces, sent back as it is shown, changes nothing.
func (t *trial) back(ctx context.Context) error {
	obj, err := t.get(ctx)
	if err == nil && obj.Status.CurrentState == nil {
		err = errors.New("there is no status.currentState")
	}
	var shown table.State
	if err == nil {
		err = json.Unmarshal(obj.Status.CurrentState.Raw, &shown)
	}
	if err == nil {
		state, _ := t.batch.State(t.batch.Changes())
		err = t.idempotent(ctx, shown.Part(t.named(state)), false)
	}
	if err := t.check(table.StepBack, err); err != nil {
		return err
	}
	return t.inSyncStep(ctx, table.StepBack)
}

// absent: the cases are taken away, and the node is as before.
func (t *trial) absent(ctx context.Context) error {
	leave := func() error { return t.apply(ctx, t.batch.Away()) }
	if t.batch[0].Leaves {
		leave = func() error { return t.applyBy(ctx, v1alpha1.RemovalRevert, table.Idle()) }
	}
	if err := leave(); err != nil {
		return t.change(table.StepAbsent, err)
	}
	t.applied = false
	without := []string{"profiles"}
	if t.backend == v1alpha1.BackendNetworkManager {
		without = append(without, "names") // those that udev gives were sent back, and are kept since
	}
	if t.rebooted && t.backend == v1alpha1.BackendNetworkManager {
		without = append(without, table.Activation) // all profiles were activated anew
	}
	err := t.unchanged(ctx, t.batch.Left(t.before, t.backend), true, without...)
	t.asBefore = err == nil
	return t.check(table.StepAbsent, err)
}

// restore sees to it that the node is as before, whatever failed.
func (t *trial) restore(ctx context.Context) error {
	if t.before == nil || t.asBefore {
		return nil
	}
	err := error(nil)
	if t.applied {
		err = t.apply(ctx, t.batch.Away())
	}
	if err == nil {
		var now table.Facts
		if now, err = t.facts(ctx); err == nil && len(now.Difference(t.before, true, "profiles")) == 0 {
			return nil
		}
	}
	if err := t.renew(ctx); err != nil {
		GinkgoWriter.Printf("%s could not be made anew: %v\n", t.name, err)
	}
	return nil
}
