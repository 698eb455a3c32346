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
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

type sinkOfNothing struct{}

func (sinkOfNothing) Set(*v1alpha1.NodeNetworkState) {}
func (sinkOfNothing) Delete(string)                  {}

func shown(reachable bool, apply *v1alpha1.LastApply) *v1alpha1.NodeNetworkState {
	obj := &v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{
		Name: "node01", UID: "u", OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "node01", UID: "n"}},
	}}
	available := metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionTrue, Reason: "StateRead"}
	if !reachable {
		available = metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonAgentUnreachable, Message: "not answered"}
	}
	obj.Status.Conditions = []metav1.Condition{available}
	obj.Status.LastApply = apply
	return obj
}

func apply(generation int64, outcome v1alpha1.ApplyOutcome, message string) *v1alpha1.LastApply {
	start := metav1.NewTime(time.Unix(generation, 0))
	return &v1alpha1.LastApply{Generation: generation, Outcome: outcome, User: "anna", StartTime: start, Message: message, Reason: "VerificationError"}
}

// told returns the events that were recorded since the last call, without their notes.
func told(recorder *events.FakeRecorder) []string {
	var result []string
	for {
		select {
		case event := <-recorder.Events:
			words := strings.Fields(event)
			result = append(result, words[0]+" "+words[1])
		default:
			return result
		}
	}
}

func TestEvents(t *testing.T) {
	recorder := events.NewFakeRecorder(100)
	sink := NewEventSink(sinkOfNothing{}, recorder)
	twice := func(event string) []string { return []string{event, event} }
	old := apply(1, v1alpha1.ApplyCommitted, "")
	for _, step := range []struct {
		what string
		obj  *v1alpha1.NodeNetworkState
		want []string
	}{
		{"never heard of in this term", shown(false, nil), nil},
		{"heard of, with an old story", shown(true, old), nil},
		{"the same again", shown(true, old), nil},
		{"begun", shown(true, apply(2, v1alpha1.ApplyInProgress, "")), nil},
		{"rolled back", shown(true, apply(2, v1alpha1.ApplyRolledBack, "no")), twice("Warning ApplyRolledBack")},
		{"lost", shown(false, apply(2, v1alpha1.ApplyRolledBack, "no")), twice("Warning AgentLost")},
		{"still lost", shown(false, apply(2, v1alpha1.ApplyRolledBack, "no")), nil},
		{"found, and has changed meanwhile", shown(true, apply(3, v1alpha1.ApplyCommitted, "")), append(twice("Normal AgentFound"), twice("Normal ApplyCommitted")...)},
		{"a long story", shown(true, apply(4, v1alpha1.ApplyRejected, strings.Repeat("x", 3000))), twice("Warning ApplyRejected")},
	} {
		sink.Set(step.obj)
		if got := told(recorder); !slices.Equal(got, step.want) {
			t.Errorf("%s: told %q, want %q", step.what, got, step.want)
		}
	}
	sink.Delete("node01")
	sink.Set(shown(true, old))
	if got := told(recorder); got != nil {
		t.Errorf("a new node of the name: told %q", got)
	}
}

// compared is an object whose condition InSync has the given status.
func compared(status metav1.ConditionStatus, difference string) *v1alpha1.NodeNetworkState {
	obj := shown(true, nil)
	obj.Status.Conditions = append(obj.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionInSync, Status: status})
	if difference != "" {
		obj.Status.Difference = v1alpha1.NewState([]byte(difference))
	}
	return obj
}

func TestDriftIsTold(t *testing.T) {
	recorder := events.NewFakeRecorder(100)
	sink := NewEventSink(sinkOfNothing{}, recorder)
	const difference = `{"routes":{"config":[]},"interfaces":[{"name":"eth1","mtu":1400},{"name":"br0"}]}`
	drifts, ends := []string{"Warning Drifted", "Warning Drifted"}, []string{"Normal InSync", "Normal InSync"}
	changing := compared(metav1.ConditionFalse, difference)
	changing.Status.Conditions = append(changing.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionTrue})
	for _, step := range []struct {
		what string
		obj  *v1alpha1.NodeNetworkState
		want []string
	}{
		{"drifted before this term", compared(metav1.ConditionFalse, difference), nil},
		{"ended", compared(metav1.ConditionTrue, ""), ends},
		{"a change is under way", changing, nil},
		{"it has ended", compared(metav1.ConditionTrue, ""), nil},
		{"begun", compared(metav1.ConditionFalse, difference), drifts},
		{"still", compared(metav1.ConditionFalse, `{"routes":{"config":[]}}`), nil},
		{"not known", compared(metav1.ConditionUnknown, ""), nil},
		{"known again, and the same", compared(metav1.ConditionFalse, difference), nil},
		{"not known again", shown(false, nil), []string{"Warning AgentLost", "Warning AgentLost"}},
		{"ended meanwhile", compared(metav1.ConditionTrue, ""), append([]string{"Normal AgentFound", "Normal AgentFound"}, ends...)},
	} {
		sink.Set(step.obj)
		if got := told(recorder); !slices.Equal(got, step.want) {
			t.Errorf("%s: told %q, want %q", step.what, got, step.want)
		}
	}
	sink.Set(compared(metav1.ConditionFalse, difference))
	const want = "spec.desiredState any more: interface br0, interface eth1, routes; see status.difference"
	if event := <-recorder.Events; !strings.Contains(event, want) {
		t.Errorf("the event does not say %q: %s", want, event)
	}
}

// TestEachApplyHasAnEvent: client-go makes one of Events that are called the same.
func TestEachApplyHasAnEvent(t *testing.T) {
	client := fake.NewClientset()
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	defer broadcaster.Shutdown()
	if err := broadcaster.StartRecordingToSinkWithContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	sink := NewEventSink(sinkOfNothing{}, broadcaster.NewRecorder(scheme.Scheme, "test"))
	sink.Set(shown(true, nil))
	want := []string{"because of a", "because of b", "because of c"}
	for i, message := range want {
		obj := shown(true, apply(int64(i+1), v1alpha1.ApplyRejected, message))
		obj.ResourceVersion = strconv.Itoa(i + 1)
		sink.Set(obj)
	}
	for _, kind := range []string{"Node", "NodeNetworkState"} {
		err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
			all, err := client.EventsV1().Events(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
			if err != nil {
				return false, err
			}
			return !slices.ContainsFunc(want, func(message string) bool {
				return !slices.ContainsFunc(all.Items, func(event eventsv1.Event) bool {
					return event.Regarding.Kind == kind && strings.HasSuffix(event.Note, message)
				})
			}), nil
		})
		if err != nil {
			t.Errorf("%s: not all is told: %v", kind, err)
		}
	}
}

// TestNotesFit: the API refuses an event whose note is longer.
func TestNotesFit(t *testing.T) {
	recorder := events.NewFakeRecorder(10)
	sink := NewEventSink(sinkOfNothing{}, recorder)
	sink.Set(shown(true, nil))
	sink.Set(shown(true, apply(1, v1alpha1.ApplyRejected, strings.Repeat("ü", 3000))))
	if event := <-recorder.Events; len(event) > maxNote+100 || !strings.Contains(event, "anna") {
		t.Errorf("the event has %d bytes: %.100s", len(event), event)
	}
}

// TestANodeIsNotToldOfAllTheTime: its agent says what is told, and as often as it likes.
func TestANodeIsNotToldOfAllTheTime(t *testing.T) {
	recorder := events.NewFakeRecorder(1000)
	sink := NewEventSink(sinkOfNothing{}, recorder)
	for i := range 100 {
		sink.Set(shown(true, apply(int64(i), v1alpha1.ApplyRejected, "")))
		sink.Set(shown(false, apply(int64(i), v1alpha1.ApplyRejected, "")))
	}
	// Each is told of the node and of its object.
	if got := len(told(recorder)); got < 2*tellBurst || got > 4*tellBurst {
		t.Errorf("%d Events were recorded", got)
	}
	for range 100 {
		sink.Set(compared(metav1.ConditionFalse, ""))
		sink.Set(compared(metav1.ConditionTrue, ""))
	}
	if got := told(recorder); len(got) > 2 {
		t.Errorf("%d Events of drift were recorded besides", len(got))
	}
	other := shown(true, nil)
	other.Name = "node02"
	sink.Set(other)
	other = shown(true, apply(1, v1alpha1.ApplyRejected, ""))
	other.Name = "node02"
	sink.Set(other)
	if got := told(recorder); len(got) != 2 {
		t.Errorf("of another node: %q", got)
	}
}
