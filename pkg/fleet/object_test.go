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

package fleet

import (
	"reflect"
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// stamp is when the conditions of tests changed.
var stamp = metav1.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// conditionsOf returns conditions that are True.
func conditionsOf(names ...string) []metav1.Condition {
	var result []metav1.Condition
	for _, name := range names {
		result = append(result, metav1.Condition{Type: name, Status: metav1.ConditionTrue, Reason: "Tested", LastTransitionTime: stamp})
	}
	return result
}

func ownObject() *v1alpha1.NodeNetworkState {
	own := &v1alpha1.NodeNetworkState{}
	own.Name = "whatever the agent says"
	own.UID = "likewise"
	own.Labels = map[string]string{"agents": "have no say"}
	own.Annotations = map[string]string{"a": "b"}
	own.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m"}}
	own.Generation = 3
	own.Spec.DesiredState = v1alpha1.NewState([]byte(`{"hostname":"wanted"}`))
	own.Status = v1alpha1.NodeNetworkStateStatus{
		CurrentState: v1alpha1.NewState([]byte(`{}`)),
		Difference:   v1alpha1.NewState([]byte(`{"hostname":"wanted"}`)),
		Conditions: conditionsOf(v1alpha1.ConditionAvailable, v1alpha1.ConditionInSync,
			v1alpha1.ConditionProgressing, v1alpha1.ConditionFailing),
		LastApply:                &v1alpha1.LastApply{Generation: 3},
		Interfaces:               &v1alpha1.InterfaceCount{Total: 1},
		Backend:                  v1alpha1.BackendKernel,
		AgentVersion:             "v1",
		LastSuccessfulUpdateTime: &stamp,
	}
	return own
}

func TestComposeTakesEachPartFromItsOwner(t *testing.T) {
	node, own := nodeNamed("node01"), ownObject()
	obj := compose(node, own, nil)
	want := ownObject()
	want.ObjectMeta = metav1.ObjectMeta{
		Name: "node01", UID: obj.UID, Labels: node.Labels, CreationTimestamp: node.CreationTimestamp,
		OwnerReferences: []metav1.OwnerReference{*node.Owner},
		Annotations:     own.Annotations, ManagedFields: own.ManagedFields, Generation: 3,
	}
	if !reflect.DeepEqual(obj, want) {
		t.Errorf("got\n%+v, not\n%+v", obj, want)
	}
	if len(obj.UID) != 36 || obj.UID == node.UID || obj.UID != compose(node, nil, nil).UID {
		t.Errorf("the uid %q is not one derived from the node's", obj.UID)
	}
	other := node
	other.UID = "another"
	if compose(other, nil, nil).UID == obj.UID {
		t.Error("two nodes have one uid")
	}
	if !reflect.DeepEqual(own, ownObject()) {
		t.Error("the agent's own object was changed")
	}
}

func TestUnreachableKeepsWhatLasts(t *testing.T) {
	since := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	live := compose(nodeNamed("node01"), ownObject(), nil)
	obj := composeUnreachable(nodeNamed("node01"), ownObject(), live.Status.Conditions, since)
	if obj.Status.CurrentState != nil || obj.Status.Difference != nil || obj.Status.Interfaces != nil {
		t.Errorf("what lives is still shown: %+v", obj.Status)
	}
	want := live.DeepCopy()
	want.Status.CurrentState, want.Status.Difference, want.Status.Interfaces = nil, nil, nil
	want.Status.Conditions = obj.Status.Conditions
	if !reflect.DeepEqual(obj, want) {
		t.Errorf("what lasts is not as it was:\n%+v\n%+v", obj, want)
	}
	for _, name := range []string{v1alpha1.ConditionAvailable, v1alpha1.ConditionInSync, v1alpha1.ConditionProgressing} {
		c := apimeta.FindStatusCondition(obj.Status.Conditions, name)
		if c == nil || c.Status != metav1.ConditionUnknown || c.Reason != v1alpha1.ReasonAgentUnreachable ||
			!strings.Contains(c.Message, "2026-02-01T12:00:00Z") || !c.LastTransitionTime.Time.Equal(since) || c.ObservedGeneration != 3 {
			t.Errorf("condition %s is %+v", name, c)
		}
	}
	if !apimeta.IsStatusConditionTrue(obj.Status.Conditions, v1alpha1.ConditionFailing) {
		t.Error("Failing, which lasts, is not as it was")
	}
	again := composeUnreachable(nodeNamed("node01"), ownObject(), obj.Status.Conditions, since)
	if !reflect.DeepEqual(obj, again) {
		t.Errorf("the same content is not the same object:\n%+v\n%+v", obj, again)
	}
	if !reflect.DeepEqual(live, compose(nodeNamed("node01"), ownObject(), nil)) {
		t.Error("what was shown before was changed")
	}
}

// TestReadingKeepsWhatTheAgentSays: the agent is there, so only what needs the read is Unknown.
func TestReadingKeepsWhatTheAgentSays(t *testing.T) {
	since := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	live := compose(nodeNamed("node01"), ownObject(), nil)
	obj := composeReading(nodeNamed("node01"), ownObject(), live.Status.Conditions, since)
	if obj.Status.CurrentState != nil || obj.Status.Difference != nil || obj.Status.Interfaces != nil {
		t.Errorf("what lives is still shown: %+v", obj.Status)
	}
	for name, want := range map[string]metav1.ConditionStatus{
		v1alpha1.ConditionAvailable: metav1.ConditionUnknown, v1alpha1.ConditionInSync: metav1.ConditionUnknown,
		v1alpha1.ConditionProgressing: metav1.ConditionTrue, v1alpha1.ConditionFailing: metav1.ConditionTrue,
	} {
		c := apimeta.FindStatusCondition(obj.Status.Conditions, name)
		if c == nil || c.Status != want || (c.Reason == v1alpha1.ReasonReading) != (want == metav1.ConditionUnknown) {
			t.Errorf("condition %s is %+v", name, c)
		}
	}
	// One that was Unknown has been so since then.
	lost := composeUnreachable(nodeNamed("node01"), ownObject(), live.Status.Conditions, since)
	again := composeReading(nodeNamed("node01"), ownObject(), lost.Status.Conditions, since.Add(time.Hour))
	if c := apimeta.FindStatusCondition(again.Status.Conditions, v1alpha1.ConditionAvailable); !c.LastTransitionTime.Time.Equal(since) {
		t.Errorf("it is Unknown since %s, not %s", c.LastTransitionTime, since)
	}
	if !reflect.DeepEqual(live, compose(nodeNamed("node01"), ownObject(), nil)) {
		t.Error("what was shown before was changed")
	}
}

func TestUnreachableOfANodeThatWasNeverSeen(t *testing.T) {
	obj := composeUnreachable(nodeNamed("node01"), nil, nil, stamp.Time)
	if obj.Name != "node01" || len(obj.Status.Conditions) != 4 {
		t.Errorf("got %+v", obj)
	}
	for _, c := range obj.Status.Conditions {
		if c.Status != metav1.ConditionUnknown {
			t.Errorf("condition %s is %s", c.Type, c.Status)
		}
	}
}

func TestTimesOfConditions(t *testing.T) {
	later := metav1.NewTime(stamp.Add(time.Hour))
	condition := func(status metav1.ConditionStatus, at metav1.Time) []metav1.Condition {
		return []metav1.Condition{{Type: "Available", Status: status, LastTransitionTime: at}}
	}
	for name, test := range map[string]struct {
		own, before []metav1.Condition
		want        metav1.Time
	}{
		"nothing before":                      {condition("True", stamp), nil, stamp},
		"the same":                            {condition("True", stamp), condition("True", stamp), stamp},
		"the same, seen to change later":      {condition("True", stamp), condition("True", later), later},
		"the same, changed there and back":    {condition("True", later), condition("True", stamp), later},
		"changed, and the agent knows when":   {condition("False", later), condition("True", stamp), later},
		"changed later than the agent thinks": {condition("True", stamp), condition("Unknown", later), metav1.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := carryTimes(test.own, test.before)[0].LastTransitionTime
			if test.want.IsZero() {
				if time.Since(got.Time) > timeout {
					t.Errorf("the time is %s, not now", got)
				}
			} else if !got.Equal(&test.want) {
				t.Errorf("the time is %s, not %s", got, test.want)
			}
		})
	}
}
