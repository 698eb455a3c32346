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

package host

import (
	"fmt"
	"reflect"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/version"
)

// view is all that the object is made of.
type view struct {
	record record
	// state is what was read last; nil if that failed, as readError says.
	state     *state
	readError string
	// difference is what of the record's desired state does not hold, or why
	// that cannot be told.
	difference      *v1alpha1.State
	differenceError string
	// change is the change that is under way, nil if there is none.
	change *underWay
	// damage is what is wrong with the record's file: that it was set aside, or
	// that it cannot be written. leftover is what could not be put back.
	damage, notWritable, leftover string
	backend                       backend
	nmstateVersion                string
}

// shown is the record as the object shows it: of the change that is under way it has the story, and
// while that waits for a user also the rest.
func (v view) shown() record {
	r := v.record
	if v.change == nil || v.change.stage == "" {
		return r
	}
	if v.change.stage == v1alpha1.StageAwaitingConfirmation {
		r = v.change.after
	}
	if story := v.change.told(); !story.StartTime.IsZero() {
		r.LastApply = story
	}
	return r
}

// compose returns the object that shows v; conditions that are as in last keep
// their times. It has no secrets.
func compose(v view, last *v1alpha1.NodeNetworkState) (*v1alpha1.NodeNetworkState, error) {
	v.record = v.shown()
	obj, err := v.record.object()
	if err != nil {
		return nil, err
	}
	obj.Status = v1alpha1.NodeNetworkStateStatus{
		Difference:            v.difference,
		LastApply:             v.record.LastApply.DeepCopy(),
		ObservedGeneration:    v.record.Generation,
		Backend:               v.backend.name,
		AgentVersion:          version.Version,
		NmstateVersion:        v.nmstateVersion,
		NetworkManagerVersion: v.backend.version,
	}
	if v.state != nil {
		obj.Status.CurrentState = v.state.shown
		obj.Status.Interfaces = v.state.count.DeepCopy()
	}
	if last != nil {
		obj.Status.Conditions = last.DeepCopy().Status.Conditions
		obj.Status.LastSuccessfulUpdateTime = last.Status.LastSuccessfulUpdateTime
	}
	for _, condition := range v.conditions() {
		condition.ObservedGeneration = v.record.Generation
		condition.LastTransitionTime = now()
		apimeta.SetStatusCondition(&obj.Status.Conditions, condition)
	}
	// An object on the stream is JSON: what is published is what arrives.
	return obj.DeepCopy(), nil
}

// unfit returns why the network cannot be changed now, nil if it can.
func (v view) unfit() error {
	switch {
	case v.state == nil:
		return &agent.Error{Kind: agent.Failed, Reason: v1alpha1.ReasonReadFailed, Message: v.readError}
	case v.backend.away:
		return &agent.Error{Kind: agent.Failed, Reason: "NetworkManagerAway",
			Message: "NetworkManager, which answered on this node until a moment ago, does not: try again; " +
				"when it is gone for longer than " + absence.String() + ", changes are made without it"}
	case v.backend.silent:
		return &agent.Error{Kind: agent.Failed, Reason: "NetworkManagerAway",
			Message: "NetworkManager does not answer on this node: nothing was changed; try again when it works"}
	}
	return nil
}

func (v view) conditions() []metav1.Condition {
	return []metav1.Condition{v.available(), v.inSync(), v.progressing(), v.failing()}
}

func (v view) available() metav1.Condition {
	if v.state == nil {
		return metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionFalse,
			Reason: v1alpha1.ReasonReadFailed, Message: v.readError}
	}
	return metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionTrue,
		Reason: v1alpha1.ReasonStateRead, Message: "the node's network was read"}
}

func (v view) inSync() metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionInSync, Status: metav1.ConditionTrue,
		Reason: v1alpha1.ReasonStateMatches, Message: "all of spec.desiredState holds"}
	switch {
	case v.record.desiresNothing():
		c.Reason, c.Message = v1alpha1.ReasonNoDesiredState, "there is no spec.desiredState, or it is empty"
	case v.state == nil:
		c.Status, c.Reason = metav1.ConditionUnknown, v1alpha1.ReasonReadFailed
		c.Message = "the node's network could not be read"
	case v.differenceError != "":
		c.Status, c.Reason, c.Message = metav1.ConditionUnknown, v1alpha1.ReasonComparisonFailed, v.differenceError
	case v.difference != nil:
		c.Status, c.Reason = metav1.ConditionFalse, v1alpha1.ReasonDrifted
		c.Message = "status.difference tells what of spec.desiredState does not hold"
	}
	return c
}

func (v view) progressing() metav1.Condition {
	if v.change == nil || v.change.stage == "" {
		return metav1.Condition{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionFalse,
			Reason: v1alpha1.ReasonIdle, Message: "no change is being applied"}
	}
	message := map[v1alpha1.ApplyStage]string{
		v1alpha1.StageChecking:             "a change is being checked, and nothing is touched yet",
		v1alpha1.StagePreparing:            "what is needed to undo a change is being noted, and nothing is touched yet",
		v1alpha1.StageApplying:             "nmstate applies a change and verifies it",
		v1alpha1.StageConfirming:           "a change is in effect, and is committed once the node could be reached with it",
		v1alpha1.StageAwaitingConfirmation: "a change waits for a confirmation: it is rolled back unless it is confirmed by its id",
		v1alpha1.StageRollingBack:          "a change is being undone",
		v1alpha1.StageRecovering:           "the agent has started again and ends a change that was under way",
	}[v.change.stage]
	return metav1.Condition{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionTrue, Reason: string(v.change.stage),
		Message: fmt.Sprintf("%s, since %s; see status.lastApply", message, v.change.since.UTC().Format(time.RFC3339))}
}

func (v view) failing() metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionFailing, Status: metav1.ConditionTrue}
	switch {
	// A record that is kept as it is cannot be written for the same reason.
	case v.notWritable != "" && v.notWritable != v.damage:
		c.Reason, c.Message = v1alpha1.ReasonRecordNotWritable, v.notWritable
	case v.leftover != "":
		c.Reason, c.Message = v1alpha1.ReasonRollbackIncomplete, v.leftover
	case v.damage != "":
		c.Reason, c.Message = v1alpha1.ReasonRecordDamaged, v.damage
	case agent.ApplyFailed(v.record.LastApply):
		c.Reason, c.Message = v1alpha1.ReasonApplyFailed, "the last change failed, status.lastApply tells why"
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonNoFailure, "nothing has failed"
	}
	return c
}

// sameObject tells whether two objects are the same.
func sameObject(a, b *v1alpha1.NodeNetworkState) bool {
	return a != nil && b != nil && reflect.DeepEqual(a, b)
}
