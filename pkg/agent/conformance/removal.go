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

package conformance

import (
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// applyReverts: what leaves the desired state stays, or is taken away if the spec says so.
func applyReverts(t *testing.T, h Harness) {
	s := start(t, h)
	to := func(state *v1alpha1.State, removal v1alpha1.RemovalPolicy) func(*v1alpha1.NodeNetworkState) {
		return func(obj *v1alpha1.NodeNetworkState) { obj.Spec.DesiredState, obj.Spec.Removal = state, removal }
	}
	before := s.barrier()
	came := s.apply(s.change(to(h.DesiredState(0), v1alpha1.RemovalOrphan)))
	for _, left := range []*v1alpha1.State{nil, h.DesiredState(1)} {
		plan, err := s.Validate(s.context(), s.change(to(left, v1alpha1.RemovalRevert)))
		if err != nil {
			t.Fatal(err)
		}
		if plan.Object.Status.Difference == nil {
			t.Error("a dry run does not show what would be taken away")
		}
	}
	if now := s.barrier(); state(now) != state(came) {
		t.Errorf("a dry run has changed %s to %s", state(came), state(now))
	}
	left := s.apply(s.change(to(nil, v1alpha1.RemovalRevert)))
	if state(left) != state(before) || left.Spec.Removal != v1alpha1.RemovalRevert {
		t.Errorf("the network was %s, is %s, and the policy is %s", state(before), state(left), left.Spec.Removal)
	}
	checkStory(t, left.Status.LastApply, v1alpha1.ApplyCommitted, left.Generation)
	came = s.apply(s.change(to(h.DesiredState(0), v1alpha1.RemovalRevert)))
	for _, stays := range []*v1alpha1.State{h.DesiredState(1), nil} {
		if now := s.apply(s.change(to(stays, v1alpha1.RemovalOrphan))); stays == nil && state(now) == state(before) {
			t.Errorf("what has left is gone: %s", state(now))
		}
	}
	// What stayed is not the spec's any more.
	stayed := s.barrier()
	s.apply(s.change(to(h.DesiredState(0), v1alpha1.RemovalRevert)))
	if now := s.apply(s.change(to(nil, v1alpha1.RemovalRevert))); state(now) != state(stayed) {
		t.Errorf("what was there before it came again was %s, and is %s", state(stayed), state(now))
	}
	if state(came) == state(before) {
		t.Error("what comes changes nothing")
	}
}
