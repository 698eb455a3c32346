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

package agent

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// withState returns an object whose desired state has a description of that many bytes.
func withState(obj *v1alpha1.NodeNetworkState, character byte, size int) *v1alpha1.NodeNetworkState {
	obj.Spec.DesiredState = described(character, size)
	return obj
}

func described(character byte, size int) *v1alpha1.State {
	return v1alpha1.NewState([]byte(`{"description":"` + string(bytes.Repeat([]byte{character}, size)) + `"}`))
}

// available returns an object of an agent that has read its network.
func available() *v1alpha1.NodeNetworkState {
	obj := full()
	for _, kind := range []string{v1alpha1.ConditionAvailable, v1alpha1.ConditionInSync} {
		obj.Status.Conditions = append(obj.Status.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionTrue, Reason: "Reason", Message: "message", LastTransitionTime: obj.Status.LastApply.StartTime})
	}
	return obj
}

// fitted returns what arrives of an object.
func fitted(t *testing.T, obj *v1alpha1.NodeNetworkState) *v1alpha1.NodeNetworkState {
	t.Helper()
	before := obj.DeepCopy()
	text, err := EncodeFitting(obj)
	if err != nil || len(text) > MaxMessageSize-1000 {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	if !reflect.DeepEqual(obj, before) {
		t.Error("the object itself was changed")
	}
	again, err := EncodeFitting(obj)
	if err != nil || !bytes.Equal(again, text) {
		t.Errorf("the same object is encoded as another, %v", err)
	}
	got, err := DecodeObject(text, "node01")
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWhatFitsIsSentAsItIs(t *testing.T) {
	if got := fitted(t, available()); !reflect.DeepEqual(got, available()) {
		t.Errorf("%+v became %+v", available(), got)
	}
}

func TestStatesThatDoNotFitAreLeftOut(t *testing.T) {
	states := map[string]*v1alpha1.State{
		"too large":       described('x', MaxMessageSize),
		"too many values": v1alpha1.NewState([]byte(`{"a":[` + strings.Repeat(`0,`, v1alpha1.MaxStateValues) + `0]}`)),
		"nested too deep": v1alpha1.NewState([]byte(`{"a":` + strings.Repeat(`[`, 200) + strings.Repeat(`]`, 200) + `}`)),
	}
	for name, state := range states {
		t.Run(name, func(t *testing.T) {
			obj := available()
			obj.Status.CurrentState = state
			got := fitted(t, obj)
			condition := apimeta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionAvailable)
			if got.Status.CurrentState != nil || condition.Status != metav1.ConditionFalse || condition.Reason != v1alpha1.ReasonStateTooLarge {
				t.Errorf("the state is %.80s, the condition %+v", got.Status.CurrentState, condition)
			}
			if got.Status.Difference == nil || !apimeta.IsStatusConditionTrue(got.Status.Conditions, v1alpha1.ConditionInSync) {
				t.Errorf("the difference, which fits, is gone: %+v", got.Status)
			}
			before, _ := Fingerprint(obj)
			if after, _ := Fingerprint(got); after != before {
				t.Error("the fingerprint is another: the node could not be changed")
			}
			obj.Status.Difference = state
			got = fitted(t, obj)
			condition = apimeta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionInSync)
			if got.Status.Difference != nil || condition.Status != metav1.ConditionFalse || condition.Reason != v1alpha1.ReasonStateTooLarge {
				t.Errorf("the difference is %.80s, the condition %+v", got.Status.Difference, condition)
			}
		})
	}
}

func TestTextsThatAreTooLongAreCut(t *testing.T) {
	obj := available()
	obj.Status.Conditions[0].Message = strings.Repeat("\u00e9", maxText)
	obj.Status.LastApply.Message = strings.Repeat("x", MaxMessageSize)
	got := fitted(t, obj)
	for _, text := range []string{got.Status.Conditions[0].Message, got.Status.LastApply.Message} {
		if len(text) > maxText || !strings.HasSuffix(text, "[cut]") {
			t.Errorf("a text of %d bytes that ends in %q", len(text), text[len(text)-10:])
		}
	}
	if got.Status.CurrentState == nil {
		t.Error("the state was left out for the sake of a text")
	}
}

// TestLargestDurablePartLeavesRoom: whatever passes for a write, half of a message is left for
// the current state.
func TestLargestDurablePartLeavesRoom(t *testing.T) {
	obj := available()
	// The shortest secrets: masks make the spec twice as long.
	const masked = `{"802.1x":{"password":"<_password_hid_by_nmstate>"}},`
	count := v1alpha1.MaxDesiredState / len(`{"802.1x":{"password":""}},`)
	obj.Spec.DesiredState = v1alpha1.NewState([]byte(`{"interfaces":[` + strings.Repeat(masked, count) + `{}]}`))
	obj.Status.Difference = obj.Spec.DesiredState
	obj.Annotations = map[string]string{"a": strings.Repeat("\x01", 256<<10-1)}
	obj.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:` + strings.Repeat("x", v1alpha1.MaxManagedFields-1000) + `":{}}`)
	obj.Status.LastApply.Message = strings.Repeat("\x01", MaxMessageSize)
	obj.Status.CurrentState = described('x', MaxMessageSize/2)
	if got := fitted(t, obj); got.Status.CurrentState == nil || got.Status.Difference == nil {
		t.Errorf("left out: %+v", got.Status.Conditions)
	}
}
