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

package nodenetworkstate

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
)

const live = `{"interfaces":[
	{"name":"lo","type":"loopback","state":"up","ipv4":{"address":[{"ip":"127.0.0.1","prefix-length":8}]}},
	{"name":"eth0","type":"ethernet","state":"up","ipv4":{"address":[{"ip":"192.0.2.7","prefix-length":24}]},
	 "ipv6":{"address":[{"ip":"fe80::1","prefix-length":64},{"ip":"2001:db8::7","prefix-length":64}]}},
	{"name":"eth1","type":"ethernet","state":"down","ipv4":{"address":[{"ip":"192.0.2.8","prefix-length":24}]}}],
	"routes":{"running":[{"destination":"0.0.0.0/0","next-hop-address":"192.0.2.9","next-hop-interface":"eth9","table-id":100},
	{"destination":"0.0.0.0/0","next-hop-address":"192.0.2.1","next-hop-interface":"eth0","table-id":254}]}}`

func node() *v1alpha1.NodeNetworkState {
	return &v1alpha1.NodeNetworkState{
		ObjectMeta: metav1.ObjectMeta{Name: "node1", ResourceVersion: "7", Generation: 3, Labels: map[string]string{"zone": "a"}},
		Spec:       v1alpha1.NodeNetworkStateSpec{DesiredState: v1alpha1.NewState([]byte(`{"a":1.0}`))},
		Status: v1alpha1.NodeNetworkStateStatus{
			CurrentState: v1alpha1.NewState([]byte(live)),
			Backend:      v1alpha1.BackendKernel,
			Interfaces:   &v1alpha1.InterfaceCount{Total: 3, Up: 2},
			Conditions:   []metav1.Condition{{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionTrue}},
		},
	}
}

// described returns a state with a description that repeats the text.
func described(text string, times int) *v1alpha1.State {
	return v1alpha1.NewState([]byte(`{"description":"` + strings.Repeat(text, times) + `"}`))
}

// TestWhatIsTooLargeNamesSizeAndLimit: whoever wrote it learns what to do.
func TestWhatIsTooLargeNamesSizeAndLimit(t *testing.T) {
	before, now := node(), node()
	// It is 11.4 MB as a patch leaves it, and 1.9 MB as it would travel.
	now.Spec.DesiredState = described(`\u003c`, 1_900_000)
	s := newStrategy(nil, testFormat(t))
	s.PrepareForUpdate(t.Context(), now, before)
	errs := s.ValidateUpdate(t.Context(), now, before)
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "spec.desiredState: Too long: has 1900018 bytes") || !strings.Contains(errs[0].Error(), "at most 1048576") {
		t.Errorf("%v", errs)
	}
}

func TestWhatMayBeChanged(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*v1alpha1.NodeNetworkState)
		field  string
	}{
		"nothing":       {func(*v1alpha1.NodeNetworkState) {}, ""},
		"annotations":   {func(n *v1alpha1.NodeNetworkState) { n.Annotations = map[string]string{"a": "b"} }, ""},
		"spec":          {func(n *v1alpha1.NodeNetworkState) { n.Spec.DesiredState = v1alpha1.NewState([]byte(`{"b":2}`)) }, ""},
		"no spec":       {func(n *v1alpha1.NodeNetworkState) { n.Spec.DesiredState = nil }, ""},
		"no object":     {func(n *v1alpha1.NodeNetworkState) { n.Spec.DesiredState = v1alpha1.NewState([]byte(`7`)) }, "spec.desiredState"},
		"labels":        {func(n *v1alpha1.NodeNetworkState) { n.Labels = nil }, "metadata.labels"},
		"owner":         {func(n *v1alpha1.NodeNetworkState) { n.OwnerReferences = []metav1.OwnerReference{{}} }, "metadata.ownerReferences"},
		"finalizers":    {func(n *v1alpha1.NodeNetworkState) { n.Finalizers = []string{"a/b"} }, "metadata.finalizers"},
		"status":        {func(n *v1alpha1.NodeNetworkState) { n.Status.Backend = "x" }, "status"},
		"current state": {func(n *v1alpha1.NodeNetworkState) { n.Status.CurrentState = nil }, "status"},
		"probes, wrong": {func(n *v1alpha1.NodeNetworkState) { n.Spec.Probes = []v1alpha1.Probe{{Name: "a"}} }, "spec.probes[0]"},
		"probes": {func(n *v1alpha1.NodeNetworkState) {
			n.Spec.Probes = []v1alpha1.Probe{{Name: "a", Ping: &v1alpha1.PingProbe{}}}
		}, ""},
		"spec, too large": {func(n *v1alpha1.NodeNetworkState) { n.Spec.DesiredState = described("<", v1alpha1.MaxDesiredState) }, "spec.desiredState"},
		"spec, as large as may be": {func(n *v1alpha1.NodeNetworkState) {
			n.Spec.DesiredState = described("<", v1alpha1.MaxDesiredState-len(`{"description":""}`))
		}, ""},
		"spec, small and escaped for HTML": {func(n *v1alpha1.NodeNetworkState) {
			n.Spec.DesiredState = described(`\u003c`, v1alpha1.MaxDesiredState-100)
		}, ""},
		"managed fields, too large": {func(n *v1alpha1.NodeNetworkState) {
			n.ManagedFields = []metav1.ManagedFieldsEntry{{FieldsV1: metav1.NewFieldsV1(string(described("<", v1alpha1.MaxManagedFields).Raw))}}
		}, "metadata.managedFields"},
		"status, encoded anew": {func(n *v1alpha1.NodeNetworkState) {
			n.Status.CurrentState = v1alpha1.NewState([]byte(strings.ReplaceAll(live, "\n", " ")))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before, now := node(), node()
			now.Generation = 99
			test.change(now)
			s := newStrategy(nil, testFormat(t))
			s.PrepareForUpdate(t.Context(), now, before)
			errs := s.ValidateUpdate(t.Context(), now, before)
			if test.field == "" && (len(errs) > 0 || now.Generation != 3 || string(now.Status.CurrentState.Raw) != live) {
				t.Errorf("%v, generation %d", errs, now.Generation)
			}
			if test.field != "" && (len(errs) != 1 || errs[0].Field != test.field) {
				t.Errorf("%v, want one of %s", errs, test.field)
			}
		})
	}
}

func TestTable(t *testing.T) {
	list := &v1alpha1.NodeNetworkStateList{ListMeta: metav1.ListMeta{ResourceVersion: "9"}, Items: []v1alpha1.NodeNetworkState{*node(), {}}}
	list.Items[0].CreationTimestamp = metav1.NewTime(time.Date(2026, 2, 3, 5, 5, 6, 0, time.FixedZone("", 3600)))
	got, err := table{NewEncodings()}.ConvertToTable(t.Context(), list, nil)
	if err != nil || got.ResourceVersion != "9" || len(got.Rows) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, column := range got.ColumnDefinitions {
		want := map[string]any{"Name": "node1", "Available": "True", "In Sync": "Unknown", "Interfaces": "2/3",
			"Default Route": "192.0.2.1%eth0", "Last Apply": "<none>", "Joined": "2026-02-03T04:05:06Z", "Addresses": "192.0.2.7/24,2001:db8::7/64", "Backend": "Kernel"}[column.Name]
		if cell := got.Rows[0].Cells[i]; want != nil && cell != want {
			t.Errorf("%s is %v, want %v", column.Name, cell, want)
		}
	}
}

// TestTableOfChanges: how the last change went, and until when it can be confirmed.
func TestTableOfChanges(t *testing.T) {
	until := metav1.NewTime(time.Date(2026, 2, 3, 5, 5, 6, 0, time.FixedZone("", 3600)))
	ended := metav1.NewTime(time.Now().Add(-5 * time.Minute))
	for _, test := range []struct {
		last              v1alpha1.LastApply
		column, confirmed string
	}{
		{v1alpha1.LastApply{Outcome: v1alpha1.ApplyInProgress, ConfirmBefore: &until}, "AwaitingConfirmation until 2026-02-03T04:05:06Z", "<none>"},
		{v1alpha1.LastApply{Outcome: v1alpha1.ApplyCommitted, ConfirmBefore: &until, FinishTime: &ended, ConfirmedBy: v1alpha1.WitnessUser}, "Committed (5m ago)", "User"},
		{v1alpha1.LastApply{Outcome: v1alpha1.ApplyInProgress, StartTime: ended}, "InProgress (5m ago)", "<none>"},
		{v1alpha1.LastApply{Outcome: v1alpha1.ApplyInProgress, Stage: v1alpha1.StageApplying, StageStartTime: &ended}, "Applying (for 5m)", "<none>"},
	} {
		n := node()
		n.Status.LastApply = &test.last
		got, err := table{NewEncodings()}.ConvertToTable(t.Context(), n, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, column := range got.ColumnDefinitions {
			want := map[string]any{"Last Apply": test.column, "Confirmed By": test.confirmed}[column.Name]
			if cell := got.Rows[0].Cells[i]; want != nil && cell != want {
				t.Errorf("%s is %v, want %v", column.Name, cell, want)
			}
		}
	}
}

func TestTableOfProblems(t *testing.T) {
	for want, conditions := range map[string][]string{
		"<none>":                     {"Available True StateRead", "InSync True StateMatches", "Progressing True Applying", "Failing False NoFailure"},
		"Drifted,RollbackIncomplete": {"Available True StateRead", "InSync False Drifted", "Progressing False Idle", "Failing True RollbackIncomplete"},
		"AgentUnreachable":           {"Available Unknown AgentUnreachable", "InSync Unknown AgentUnreachable", "Progressing Unknown AgentUnreachable", "Failing False NoFailure"},
		"Other":                      {"Available False " + strings.Repeat("MadeUp", 1000), "InSync False MadeUp", "MadeUp True MadeUp"},
	} {
		got, err := table{NewEncodings()}.ConvertToTable(t.Context(), measured("node01", conditions...), nil)
		if err != nil {
			t.Fatal(err)
		}
		column := slices.IndexFunc(got.ColumnDefinitions, func(c metav1.TableColumnDefinition) bool { return c.Name == "Problem" })
		if cell := got.Rows[0].Cells[column]; cell != want {
			t.Errorf("%s: the problem is %v", conditions, cell)
		}
	}
}

func TestSelecting(t *testing.T) {
	for selector, want := range map[string]bool{
		"metadata.name=node1": true, "metadata.name=node2": false,
		"status.conditions.Available=True": true, "status.conditions.Available!=True": false, "status.conditions.InSync=Unknown": true,
	} {
		field, err := fields.ParseSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		p := predicate(labels.Everything(), field)
		if got, err := p.Matches(node()); err != nil || got != want {
			t.Errorf("%s: %v, %v", selector, got, err)
		}
	}
}

func TestScopeNarrowsTheBarrier(t *testing.T) {
	s, _ := withScope(t.Context(), labels.SelectorFromSet(labels.Set{"zone": "a"}), fields.OneTermEqualSelector("metadata.name", "node1")).Value(scopeKey{}).(scope)
	for _, test := range []struct {
		node fleet.Node
		want bool
	}{
		{fleet.Node{Name: "node1", Labels: map[string]string{"zone": "a"}}, true},
		{fleet.Node{Name: "node1", Labels: map[string]string{"zone": "b"}}, false},
		{fleet.Node{Name: "node2", Labels: map[string]string{"zone": "a"}}, false},
	} {
		if got := s.selects(test.node); got != test.want {
			t.Errorf("%+v is selected: %v", test.node, got)
		}
	}
	if !(scope{}).selects(fleet.Node{Name: "any"}) {
		t.Error("no scope leaves a node out")
	}
}

func TestErrorsOfAgentsBecomeTheAPIs(t *testing.T) {
	for kind, code := range map[agent.ErrorKind]int32{
		agent.Invalid: http.StatusUnprocessableEntity, agent.Conflict: http.StatusConflict, agent.Busy: http.StatusTooManyRequests,
		agent.Failed: http.StatusInternalServerError, agent.Unreachable: http.StatusServiceUnavailable,
		agent.Lost: http.StatusGatewayTimeout, agent.InProgress: http.StatusGatewayTimeout,
	} {
		err := statusError("node1", &agent.Error{Kind: kind, Reason: "VerificationError", Message: "in nmstate's words"})
		var status apierrors.APIStatus
		if !errors.As(err, &status) || status.Status().Code != code || !strings.Contains(err.Error(), "in nmstate's words") {
			t.Errorf("%s became %v", kind, err)
		}
	}
	err := statusError("node1", &agent.Error{Kind: agent.Invalid, Message: "spec.desiredState.interfaces[name=eth1].mtu: Invalid value: 9000: the device has at most 1500"})
	if cause := err.(*apierrors.StatusError).ErrStatus.Details.Causes[0]; cause.Field != "spec.desiredState.interfaces[name=eth1].mtu" || !strings.HasPrefix(cause.Message, "Invalid value") {
		t.Errorf("the cause is %+v", cause)
	}
	other := errors.New("other")
	if got := statusError("node1", other); got != other {
		t.Errorf("%v became %v", other, got)
	}
}
