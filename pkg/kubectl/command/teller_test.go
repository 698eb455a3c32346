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

package command

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/change"
)

// seen is an object of node01 at some moment.
func seen(state string, last *v1alpha1.LastApply, available metav1.ConditionStatus, reason string) *v1alpha1.NodeNetworkState {
	object := &v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: "node01", CreationTimestamp: metav1.NewTime(noon.Add(-time.Hour))}}
	object.Status.LastApply = last
	object.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAvailable, Status: available, Reason: reason}}
	if state != "" {
		object.Status.CurrentState = v1alpha1.NewState([]byte(state))
	}
	return object
}

// TestTellerOfDrift: while a change is under way the network differs from the spec before or after it; that is no drift, unless it lasts.
func TestTellerOfDrift(t *testing.T) {
	at := func(progressing, inSync metav1.ConditionStatus, reason string) *v1alpha1.NodeNetworkState {
		object := seen("", nil, metav1.ConditionTrue, "StateRead")
		object.Status.Conditions = append(object.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionProgressing, Status: progressing},
			metav1.Condition{Type: v1alpha1.ConditionInSync, Status: inSync, Reason: reason})
		return object
	}
	teller := newTeller(noon)
	var got []string
	var before *v1alpha1.NodeNetworkState
	for _, object := range []*v1alpha1.NodeNetworkState{
		at("False", "True", "StateMatches"), at("True", "True", "StateMatches"), at("True", "False", "Drifted"), at("False", "True", "StateMatches"),
		at("True", "False", "Drifted"), at("False", "False", "Drifted"), at("False", "True", "StateMatches"),
	} {
		for _, line := range teller.tell(change.Event{Old: before, New: object}) {
			got = append(got, line.Before+" → "+line.After)
		}
		before = object
	}
	if want := "[True (StateMatches) → False (Drifted) False (Drifted) → True (StateMatches)]"; fmt.Sprint(got) != want {
		t.Errorf("it tells %v, want %s", got, want)
	}
}

// TestTeller: what is told of a change from outside, one through the API, and a node that is away meanwhile.
func TestTeller(t *testing.T) {
	mtu := func(mtu string) string { return `{"interfaces":[{"name":"eth1","mtu":` + mtu + `}]}` }
	earlier := &v1alpha1.LastApply{ID: "0000-a", Outcome: v1alpha1.ApplyCommitted}
	under := &v1alpha1.LastApply{ID: "1111-a", User: "anna", Outcome: v1alpha1.ApplyInProgress}
	waits := &v1alpha1.LastApply{ID: "1111-a", User: "anna", Outcome: v1alpha1.ApplyInProgress, ConfirmBefore: &metav1.Time{Time: noon}}
	done := &v1alpha1.LastApply{ID: "1111-a", User: "anna", Outcome: v1alpha1.ApplyRolledBack, Reason: "NotConfirmed"}
	objects := []*v1alpha1.NodeNetworkState{
		seen(mtu("1500"), earlier, metav1.ConditionTrue, "StateRead"),
		seen(mtu("1400"), earlier, metav1.ConditionTrue, "StateRead"),
		seen(mtu("1400"), under, metav1.ConditionTrue, "StateRead"),
		seen(mtu("9000"), waits, metav1.ConditionTrue, "StateRead"),
		seen(mtu("1400"), done, metav1.ConditionTrue, "StateRead"),
		seen("", done, metav1.ConditionUnknown, "AgentUnreachable"),
		seen(mtu("1500"), done, metav1.ConditionTrue, "StateRead"),
	}
	teller := newTeller(noon)
	teller.now = func() time.Time { return noon.Local() }
	var lines []string
	if first := teller.tell(change.Event{New: objects[0]}); len(first) > 0 {
		t.Errorf("of what is there it tells %v", lineTexts(first))
	}
	for i := range objects[1:] {
		lines = append(lines, lineTexts(teller.tell(change.Event{Old: objects[i], New: objects[i+1]}))...)
	}
	lines = append(lines, lineTexts(teller.tell(change.Event{Old: objects[6]}))...)
	anew := objects[0].DeepCopy()
	anew.CreationTimestamp = metav1.NewTime(noon.Add(time.Minute))
	lines = append(lines, lineTexts(teller.tell(change.Event{New: anew}))...)
	got := strings.ReplaceAll(strings.Join(lines, "\n"), noon.Local().Format(time.TimeOnly)+"  node01  ", "")
	want := `interface eth1  mtu: 1500 → 1400  (outside)
change 1111 of anna  - → InProgress
change 1111 of anna  InProgress → AwaitingConfirmation
interface eth1  mtu: 1400 → 9000  (by change 1111 of anna)
change 1111 of anna  AwaitingConfirmation → RolledBack (NotConfirmed)
interface eth1  mtu: 9000 → 1400  (by change 1111 of anna)
condition Available  True (StateRead) → Unknown (AgentUnreachable)
condition Available  Unknown (AgentUnreachable) → True (StateRead)
interface eth1  mtu: 1400 → 1500  (outside)
node  present → -
node  - → present`
	if got != want {
		t.Errorf("it tells\n%s\nwant\n%s", got, want)
	}
}
