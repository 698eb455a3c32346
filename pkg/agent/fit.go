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
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// EncodeFitting returns an object as it travels on the stream, so that it fits a
// message. If it is too large as it is, it goes without status.currentState, and if
// need be without status.difference; its conditions then say so. The node stays in the
// API, and can be changed. The object itself stays as it is.
func EncodeFitting(obj *v1alpha1.NodeNetworkState) ([]byte, error) {
	fitting := *obj
	fitting.Status.Conditions = slices.Clone(obj.Status.Conditions)
	fitting.Status.LastApply = obj.Status.LastApply.DeepCopy()
	shorten(&fitting.Status)
	text, excess, err := encodeUnlessTooLarge(&fitting)
	if err != nil || excess == "" {
		return text, err
	}
	leaveOutCurrentState(&fitting.Status, excess)
	text, stillExcess, err := encodeUnlessTooLarge(&fitting)
	if err != nil || stillExcess == "" {
		return text, err
	}
	leaveOutDifference(&fitting.Status, stillExcess)
	if text, stillExcess, err = encodeUnlessTooLarge(&fitting); err == nil && stillExcess != "" {
		err = fmt.Errorf("the object of node %q cannot be sent, also without status.currentState and status.difference: %s", obj.Name, stillExcess)
	}
	return text, err
}

// encodeUnlessTooLarge returns the encoded object, or in what it exceeds what the other end takes.
func encodeUnlessTooLarge(obj *v1alpha1.NodeNetworkState) (text []byte, excess string, err error) {
	if err := obj.Status.CurrentState.CheckComplexity(); err != nil {
		return nil, "status.currentState " + err.Error(), nil
	}
	if err := obj.Status.Difference.CheckComplexity(); err != nil {
		return nil, "status.difference " + err.Error(), nil
	}
	text, err = EncodeObject(obj)
	if err == nil && len(text) > maxObject {
		return nil, fmt.Sprintf("the object has %d bytes, and may have at most %d", len(text), maxObject), nil
	}
	return text, "", err
}

func leaveOutCurrentState(status *v1alpha1.NodeNetworkStateStatus, excess string) {
	status.CurrentState = nil
	setCondition(status, v1alpha1.ConditionAvailable, metav1.ConditionFalse,
		"the node's network was read and is too large to be shown: "+excess+
			"; changes can be made as before; see the network with \"nmstatectl show\" on the node, and take away interfaces and routes that nobody needs")
}

func leaveOutDifference(status *v1alpha1.NodeNetworkStateStatus, excess string) {
	if status.Difference == nil {
		return
	}
	status.Difference = nil
	setCondition(status, v1alpha1.ConditionInSync, metav1.ConditionFalse,
		"the node does not match spec.desiredState, and status.difference is too large to be shown: "+excess+"; write a smaller spec.desiredState")
}

// setCondition sets a condition of the status, with reason StateTooLarge. The condition
// keeps its time: an object that stays the same must be encoded as the same. The API
// server shows when it saw the status change.
func setCondition(status *v1alpha1.NodeNetworkStateStatus, kind string, value metav1.ConditionStatus, message string) {
	at := slices.IndexFunc(status.Conditions, func(c metav1.Condition) bool { return c.Type == kind })
	if at < 0 {
		status.Conditions = append(status.Conditions, metav1.Condition{Type: kind, ObservedGeneration: status.ObservedGeneration})
		at = len(status.Conditions) - 1
	}
	c := &status.Conditions[at]
	c.Status, c.Reason, c.Message = value, v1alpha1.ReasonStateTooLarge, message
}
