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

package fake

import (
	"context"
	"maps"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Validate implements agent.Agent.
func (a *Agent) Validate(ctx context.Context, change agent.Change) (*agent.Plan, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts.Validates++
	if err := a.checkBase(change); err != nil {
		return nil, err
	}
	wanted, err := a.checkState(change)
	if err != nil {
		return nil, err
	}
	after := a.record.with(change)
	obj := a.compose(after, a.feed.Last())
	obj.Status.Difference = a.network.missing(a.asked(after, wanted))
	obj.Status.LastSuccessfulUpdateTime = a.feed.Last().Status.LastSuccessfulUpdateTime
	return &agent.Plan{Object: obj, Warnings: a.warnings}, nil
}

// Apply implements agent.Agent.
func (a *Agent) Apply(ctx context.Context, change agent.Change) (*v1alpha1.NodeNetworkState, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	type outcome struct {
		obj *v1alpha1.NodeNetworkState
		err error
	}
	ended := make(chan outcome, 1)
	go func() {
		obj, err := a.apply(change)
		_ = a.feed.Settled(context.Background())
		ended <- outcome{obj, err}
	}()
	select {
	case o := <-ended:
		return o.obj, o.err
	case <-ctx.Done():
		return nil, &agent.Error{Kind: agent.InProgress, Message: "the change is still being applied"}
	}
}

// apply carries the change out, to its end or until it waits for a manual confirmation.
func (a *Agent) apply(change agent.Change) (*v1alpha1.NodeNetworkState, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.applying || a.waiting != nil {
		return nil, agent.BusyWith(a.record.lastApply)
	}
	if err := a.checkBase(change); err != nil {
		return nil, err
	}
	before, after := a.record, a.record.with(change)
	current, err := parse(before.spec.DesiredState)
	if err != nil {
		return nil, err
	}
	specChanges := after.generation != before.generation
	again := sameMetadata(before, after) && (a.network.missing(current) != nil || agent.ApplyFailed(before.lastApply))
	if !specChanges && !again {
		a.record = after
		a.kept = append(a.kept, change.ID)
		a.publish()
		return a.feed.Last(), nil
	}
	t := a.begin(change, before, after)
	wanted, err := a.checkState(change)
	switch {
	case err != nil || specChanges && sameMeaning(before.spec.DesiredState, after.spec.DesiredState):
		// It is refused, or asks nothing of the network.
	default:
		t.after.before = a.noted(wanted)
		asked := a.asked(after, wanted)
		t.entry.Difference = a.network.missing(asked)
		if len(asked) > 0 {
			t.entry.Revert = a.network.revert(asked)
		}
		err = a.carryOut(change, t, asked)
		if err == nil && len(asked) > 0 {
			if t.confirmation() == v1alpha1.ConfirmManually {
				return a.await(t), nil
			}
			t.witness()
		}
	}
	return a.finish(t, err)
}

// carryOut changes the network; the lock is released while the hook runs.
func (a *Agent) carryOut(change agent.Change, t *waiting, wanted network) error {
	a.applying = true
	a.counts.Applies++
	a.record.lastApply = t.inStage(v1alpha1.StageApplying)
	a.publish()
	hook := a.hooks.Apply
	a.mu.Unlock()
	var err error
	if hook != nil {
		err = hook(change)
	}
	a.mu.Lock()
	a.applying = false
	if err == nil {
		t.network = a.network
		a.setNetwork(a.network.merged(wanted))
	}
	return err
}

// checkBase returns an error of kind Conflict if the change starts from another object.
func (a *Agent) checkBase(change agent.Change) error {
	base, err := agent.Fingerprint(a.feed.Last())
	if err != nil {
		return err
	}
	if base != change.Base {
		return &agent.Error{Kind: agent.Conflict, Message: "the object was changed since it was read"}
	}
	return nil
}

// checkState returns the wanted state, or an error if it is not valid.
func (a *Agent) checkState(change agent.Change) (network, error) {
	wanted, err := parse(change.Object.Spec.DesiredState)
	if err == nil && a.hooks.Validate != nil {
		err = a.hooks.Validate(change)
	}
	return wanted, err
}

// with returns the record as it is once the change is committed.
func (r record) with(change agent.Change) record {
	r.annotations = maps.Clone(change.Object.Annotations)
	r.managedFields = nil
	for _, entry := range change.Object.ManagedFields {
		r.managedFields = append(r.managedFields, *entry.DeepCopy())
	}
	if !sameSpec(r.spec, change.Object.Spec) {
		r.spec = *change.Object.Spec.DeepCopy()
		r.generation++
	}
	return r
}

// sameSpec tells whether two specs mean the same.
func sameSpec(a, b v1alpha1.NodeNetworkStateSpec) bool {
	if !sameMeaning(a.DesiredState, b.DesiredState) {
		return false
	}
	a.DesiredState, b.DesiredState = nil, nil
	return equality.Semantic.DeepEqual(a, b)
}

// sameMetadata tells whether the annotations and managed fields of two records are the same.
func sameMetadata(a, b record) bool {
	return maps.Equal(a.annotations, b.annotations) && equality.Semantic.DeepEqual(a.managedFields, b.managedFields)
}
