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

package cluster

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
)

var _ fleet.Sink = &EventSink{}

// Reasons of the Events.
const (
	EventAgentLost  = "AgentLost"
	EventAgentFound = "AgentFound"
	// EventDrifted: the node does not match spec.desiredState any more. EventInSync: it does again.
	EventDrifted = "Drifted"
	EventInSync  = "InSync"
)

// maxNote is the API's limit for a note, in bytes.
const maxNote = 1024

// EventSink is a fleet.Sink that records Events on the node and on its
// NodeNetworkState: how each apply ended, that an agent was lost or found, and that
// the node drifted from its desired state or matches it again. It
// records only what changes while this server is the active one: the server
// before has recorded the rest. A change that happens while no server is active
// gets no Event.
type EventSink struct {
	next     fleet.Sink
	recorder events.EventRecorder

	mu   sync.Mutex
	seen map[string]sight
}

// sight is the last known state of a node.
type sight struct {
	reachable, wasReachable bool
	lastApply               *v1alpha1.LastApply
	// inSync is the status of the condition InSync when it was known last, and empty before.
	inSync metav1.ConditionStatus
	// told is how often the node may still be told of.
	told *rate.Limiter
}

// A node is told of so many times at once, then once in each interval: its agent says
// what is to be told, and each Event is a write to the cluster. All nodes share the
// recorder's queue.
const (
	tellInterval = 10 * time.Second
	tellBurst    = 20
)

// NewEventSink returns an EventSink in front of next.
func NewEventSink(next fleet.Sink, recorder events.EventRecorder) *EventSink {
	return &EventSink{next: next, recorder: recorder, seen: map[string]sight{}}
}

// Set implements fleet.Sink.
func (s *EventSink) Set(obj *v1alpha1.NodeNetworkState) {
	s.next.Set(obj)
	s.mu.Lock()
	before := s.seen[obj.Name]
	now := sight{reachable: !isLost(obj), lastApply: obj.Status.LastApply, inSync: inSync(obj, before.inSync)}
	if now.told = before.told; now.told == nil {
		now.told = rate.NewLimiter(rate.Every(tellInterval), tellBurst)
	}
	now.wasReachable = before.wasReachable || now.reachable
	if !now.wasReachable {
		now.lastApply = nil
	}
	s.seen[obj.Name] = now
	s.mu.Unlock()

	if !before.wasReachable {
		return
	}
	switch {
	case before.reachable == now.reachable || !now.told.Allow():
	case !now.reachable:
		s.tell(obj, corev1.EventTypeWarning, EventAgentLost, "Connect", availableMessage(obj))
	default:
		s.tell(obj, corev1.EventTypeNormal, EventAgentFound, "Connect", "the node's agent answers again")
	}
	if applied := now.lastApply; ended(applied) && !sameApply(applied, before.lastApply) && now.told.Allow() {
		s.tellApply(obj, applied)
	}
	if before.inSync != "" && now.inSync != before.inSync && now.told.Allow() {
		s.tellDrift(obj, now.inSync)
	}
}

// Delete implements fleet.Sink.
func (s *EventSink) Delete(name string) {
	s.next.Delete(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, name)
}

// isLost tells whether the object is of a node whose agent cannot be asked.
func isLost(obj *v1alpha1.NodeNetworkState) bool {
	c := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionAvailable)
	return c != nil && c.Status == metav1.ConditionUnknown && c.Reason == v1alpha1.ReasonAgentUnreachable
}

func availableMessage(obj *v1alpha1.NodeNetworkState) string {
	if c := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionAvailable); c != nil {
		return c.Message
	}
	return ""
}

// inSync returns the status of the condition InSync, or the one before if the status is
// Unknown. While a change is under way the network differs from one of both specs: the
// one before counts then, too.
func inSync(obj *v1alpha1.NodeNetworkState, before metav1.ConditionStatus) metav1.ConditionStatus {
	c := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionInSync)
	if c == nil || c.Status == metav1.ConditionUnknown || apimeta.IsStatusConditionTrue(obj.Status.Conditions, v1alpha1.ConditionProgressing) {
		return before
	}
	return c.Status
}

func ended(apply *v1alpha1.LastApply) bool {
	return apply != nil && apply.Outcome != v1alpha1.ApplyInProgress
}

// sameApply tells whether both describe the same apply. Their times alone do not
// tell, because they are whole seconds.
func sameApply(a, b *v1alpha1.LastApply) bool {
	return b != nil && a.Generation == b.Generation && a.StartTime.Equal(&b.StartTime) && a.Outcome == b.Outcome && a.Message == b.Message
}

func (s *EventSink) tellApply(obj *v1alpha1.NodeNetworkState, apply *v1alpha1.LastApply) {
	kind, note := corev1.EventTypeNormal, "the change that "+apply.User+" asked for is committed"
	if apply.Outcome != v1alpha1.ApplyCommitted {
		kind, note = corev1.EventTypeWarning, "the change that "+apply.User+" asked for was not made: "+apply.Reason+": "+apply.Message
	}
	// client-go merges Events with equal references and keeps the first note. The
	// resourceVersion sets the Events of two applies apart.
	s.tellOf(obj, obj.ResourceVersion, kind, "Apply"+string(apply.Outcome), "Apply", note)
}

// tellDrift records that a drift has begun, or that it has ended.
func (s *EventSink) tellDrift(obj *v1alpha1.NodeNetworkState, inSync metav1.ConditionStatus) {
	if inSync == metav1.ConditionTrue {
		s.tellOf(obj, obj.ResourceVersion, corev1.EventTypeNormal, EventInSync, "Compare", "the node matches all of spec.desiredState again")
		return
	}
	note := "the node does not match spec.desiredState any more"
	if parts := partsOf(obj.Status.Difference); len(parts) > 0 {
		note += ": " + strings.Join(parts, ", ")
	}
	s.tellOf(obj, obj.ResourceVersion, corev1.EventTypeWarning, EventDrifted, "Compare", note+"; see status.difference")
}

// partsOf names what a state is about: each interface by its name, the rest by its section.
func partsOf(state *v1alpha1.State) []string {
	if state == nil {
		return nil
	}
	var sections map[string]json.RawMessage
	if json.Unmarshal(state.Raw, &sections) != nil {
		return nil
	}
	var interfaces []struct {
		Name string `json:"name"`
	}
	var parts []string
	for section, content := range sections {
		if section != "interfaces" || json.Unmarshal(content, &interfaces) != nil {
			parts = append(parts, section)
		}
	}
	for _, i := range interfaces {
		parts = append(parts, "interface "+i.Name)
	}
	slices.Sort(parts)
	return parts
}

// tell records an Event on the object, and one on its node.
func (s *EventSink) tell(obj *v1alpha1.NodeNetworkState, kind, reason, action, note string) {
	s.tellOf(obj, "", kind, reason, action, note)
}

// tellOf is tell with the given resourceVersion in the reference to the object.
func (s *EventSink) tellOf(obj *v1alpha1.NodeNetworkState, version, kind, reason, action, note string) {
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote-3], "") + "..."
	}
	own := &corev1.ObjectReference{
		APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "NodeNetworkState", Name: obj.Name, UID: obj.UID, ResourceVersion: version,
	}
	s.recorder.Eventf(own, nil, kind, reason, action, "%s", note)
	for _, owner := range obj.OwnerReferences {
		node := &corev1.ObjectReference{APIVersion: owner.APIVersion, Kind: owner.Kind, Name: owner.Name, UID: owner.UID}
		s.recorder.Eventf(node, own, kind, reason, action, "%s", note)
	}
}
