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
	"maps"
	"reflect"
	"slices"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/version"
)

// compose returns the object that shows the record and the network; conditions
// that are as in the last object keep their times. The caller holds the lock.
func (a *Agent) compose(r record, last *v1alpha1.NodeNetworkState) *v1alpha1.NodeNetworkState {
	n := a.network
	obj := &v1alpha1.NodeNetworkState{}
	obj.Annotations = maps.Clone(r.annotations)
	for _, entry := range r.managedFields {
		obj.ManagedFields = append(obj.ManagedFields, *entry.DeepCopy())
	}
	obj.Generation = r.generation
	obj.Spec = *r.spec.DeepCopy()
	obj.Status = v1alpha1.NodeNetworkStateStatus{
		CurrentState:       a.state(),
		LastApply:          r.lastApply.DeepCopy(),
		ObservedGeneration: r.generation,
		Interfaces:         n.count(),
		Backend:            v1alpha1.BackendKernel,
		AgentVersion:       version.Version,
		NmstateVersion:     "fake",
	}
	wanted, err := parse(r.spec.DesiredState)
	if err == nil {
		obj.Status.Difference = n.missing(wanted)
	}
	if last != nil {
		obj.Status.Conditions = slices.Clone(last.Status.Conditions)
	}
	for _, condition := range conditions(obj, wanted, a.progress()) {
		condition.ObservedGeneration = r.generation
		condition.LastTransitionTime = now()
		apimeta.SetStatusCondition(&obj.Status.Conditions, condition)
	}
	return obj
}

// count counts the interfaces.
func (n network) count() *v1alpha1.InterfaceCount {
	count := &v1alpha1.InterfaceCount{}
	for _, i := range n.interfaces() {
		count.Total++
		if n.named(nameOf(i))["state"] == "up" {
			count.Up++
		}
	}
	return count
}

// conditions returns the conditions that follow from the rest of the status and
// from the wanted network, without times.
func conditions(obj *v1alpha1.NodeNetworkState, wanted network, progress string) []metav1.Condition {
	available := metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionTrue,
		Reason: v1alpha1.ReasonStateRead, Message: "the node's network was read"}
	inSync := metav1.Condition{Type: v1alpha1.ConditionInSync, Status: metav1.ConditionTrue,
		Reason: v1alpha1.ReasonStateMatches, Message: "all of spec.desiredState holds"}
	switch {
	case len(wanted) == 0:
		inSync.Reason, inSync.Message = v1alpha1.ReasonNoDesiredState, "there is no spec.desiredState, or it is empty"
	case obj.Status.Difference != nil:
		inSync.Status, inSync.Reason = metav1.ConditionFalse, v1alpha1.ReasonDrifted
		inSync.Message = "status.difference tells what does not hold"
	}
	progressing := metav1.Condition{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionFalse,
		Reason: v1alpha1.ReasonIdle, Message: "no change is being applied"}
	if progress != "" {
		progressing.Status, progressing.Reason = metav1.ConditionTrue, progress
		progressing.Message = "a change is under way, see status.lastApply"
	}
	failing := metav1.Condition{Type: v1alpha1.ConditionFailing, Status: metav1.ConditionFalse,
		Reason: v1alpha1.ReasonNoFailure, Message: "nothing has failed"}
	if agent.ApplyFailed(obj.Status.LastApply) {
		failing.Status, failing.Reason = metav1.ConditionTrue, v1alpha1.ReasonApplyFailed
		failing.Message = "status.lastApply tells why"
	}
	return []metav1.Condition{available, inSync, progressing, failing}
}

// sameObject tells whether two objects are the same but for the time of reading.
func sameObject(a, b *v1alpha1.NodeNetworkState) bool {
	left, right := *a, *b
	left.Status.LastSuccessfulUpdateTime, right.Status.LastSuccessfulUpdateTime = nil, nil
	return reflect.DeepEqual(left, right)
}
