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
	"bytes"
	"slices"
	"time"

	"github.com/google/uuid"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// compose returns the object of a node as it is served: what the agent owns from
// its own object, the rest from the directory. before are the conditions that
// were served last. The result shares what its parameters point to.
func compose(node Node, own *v1alpha1.NodeNetworkState, before []metav1.Condition) *v1alpha1.NodeNetworkState {
	obj := &v1alpha1.NodeNetworkState{
		ObjectMeta: metav1.ObjectMeta{
			Name:              node.Name,
			UID:               uidOf(node),
			Labels:            node.Labels,
			CreationTimestamp: node.CreationTimestamp,
		},
	}
	if node.Owner != nil {
		obj.OwnerReferences = []metav1.OwnerReference{*node.Owner}
	}
	if own != nil {
		obj.Annotations = own.Annotations
		obj.ManagedFields = own.ManagedFields
		obj.Generation = own.Generation
		obj.Spec = own.Spec
		obj.Status = own.Status
		obj.Status.Conditions = carryTimes(own.Status.Conditions, before)
	}
	return obj
}

// shareStates has an object that nobody knows yet refer to the states of the one before it
// where they are the same. An agent sends all of an object when a part has changed, such as the stage of a
// change, and the objects before it are kept for watches.
func shareStates(now, before *v1alpha1.NodeNetworkState) {
	share(&now.Spec.DesiredState, before.Spec.DesiredState)
	share(&now.Status.CurrentState, before.Status.CurrentState)
	share(&now.Status.Difference, before.Status.Difference)
}

func share(now **v1alpha1.State, before *v1alpha1.State) {
	if *now != nil && before != nil && bytes.Equal((*now).Raw, before.Raw) {
		*now = before
	}
}

// uidOf derives the uid of a node's object from the node's own.
func uidOf(node Node) types.UID {
	name := "https://nmstate.io/nodenetworkstates/" + string(node.UID)
	return types.UID(uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String())
}

// carryTimes keeps lastTransitionTime of each condition whose status did not
// change since it was last shown. One whose status did change gets a time later
// than it was last shown: the agent does not know that it was shown as Unknown.
func carryTimes(own, before []metav1.Condition) []metav1.Condition {
	result := slices.Clone(own)
	for i := range result {
		c := &result[i]
		last := apimeta.FindStatusCondition(before, c.Type)
		if last == nil || last.LastTransitionTime.Before(&c.LastTransitionTime) {
			continue
		}
		if c.Status == last.Status {
			c.LastTransitionTime = last.LastTransitionTime
		} else {
			c.LastTransitionTime = metav1.Now().Rfc3339Copy()
		}
	}
	return result
}

// composeUnreachable returns the object of a node whose agent cannot be asked since
// the given time: with the durable part as it was last known, without current state.
func composeUnreachable(node Node, own *v1alpha1.NodeNetworkState, before []metav1.Condition, since time.Time) *v1alpha1.NodeNetworkState {
	obj := compose(node, own, before)
	obj.Status.Conditions = slices.Clone(before)
	types := []string{v1alpha1.ConditionAvailable, v1alpha1.ConditionInSync, v1alpha1.ConditionProgressing}
	if own == nil {
		types = append(types, v1alpha1.ConditionFailing)
	}
	hideState(obj, types, v1alpha1.ReasonAgentUnreachable, unreachableMessage(node, own != nil, since), since)
	return obj
}

// composeReading returns the object of a node whose agent has been reading the
// network since the given time: as the agent last said, without current state.
func composeReading(node Node, own *v1alpha1.NodeNetworkState, before []metav1.Condition, since time.Time) *v1alpha1.NodeNetworkState {
	obj := compose(node, own, before)
	types := []string{v1alpha1.ConditionAvailable, v1alpha1.ConditionInSync}
	for _, name := range types {
		// One that was Unknown stays so, since when it was.
		if last := apimeta.FindStatusCondition(before, name); last != nil && last.Status == metav1.ConditionUnknown {
			apimeta.SetStatusCondition(&obj.Status.Conditions, *last)
		}
	}
	hideState(obj, types, v1alpha1.ReasonReading, "the node's agent has been reading the network since "+since.UTC().Format(time.RFC3339)+
		", longer than readers wait: read this node alone, which waits longer, or again later; changes can be made meanwhile. "+
		"A read takes long with very many interfaces or routes, or on a node that has no processor time to spare", since)
	return obj
}

// hideState takes out of an object what is true only now, and makes the
// conditions of those types Unknown, since the given time if they were not.
func hideState(obj *v1alpha1.NodeNetworkState, types []string, reason, message string, since time.Time) {
	obj.Status.CurrentState = nil
	obj.Status.Difference = nil
	obj.Status.Interfaces = nil
	for _, name := range types {
		apimeta.SetStatusCondition(&obj.Status.Conditions, metav1.Condition{
			Type:               name,
			Status:             metav1.ConditionUnknown,
			Reason:             reason,
			Message:            message,
			LastTransitionTime: metav1.NewTime(since).Rfc3339Copy(),
			ObservedGeneration: obj.Generation,
		})
	}
}

// unreachableMessage says since when an agent cannot be asked, and what to do.
func unreachableMessage(node Node, known bool, since time.Time) string {
	message := "the node's agent has not answered since " + since.UTC().Format(time.RFC3339)
	if !known {
		message += ", when this API server began to look for it (what the agent keeps, such as the spec, is not known here before it connects)"
	}
	message += ": check that the node is up, that its agent runs (its log tells more), and that it reaches the API server"
	if node.NotReady != "" {
		message += "; " + node.NotReady
	}
	return message
}
