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
	"context"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// waitingNode returns the resource with node1, on which a change waits for a confirmation, and the id of the change.
func waitingNode(t *testing.T) (*REST, string) {
	t.Helper()
	r := newOneNode(t)
	before := r.log.Get(Key("node1")).(*v1alpha1.NodeNetworkState)
	wanted := before.DeepCopy()
	wanted.Spec.DesiredState = v1alpha1.NewState([]byte(`{"interfaces":[{"name":"eth1"}]}`))
	wanted.Spec.Confirmation = &v1alpha1.Confirmation{Mode: v1alpha1.ConfirmManually}
	change, err := changeFrom(t.Context(), before, wanted)
	if err != nil {
		t.Fatal(err)
	}
	obj, err := r.writer.fleet.Apply(t.Context(), "node1", change)
	if err != nil || !waits(obj.Status.LastApply) {
		t.Fatalf("%+v, %v", obj, err)
	}
	return r, obj.Status.LastApply.ID
}

func TestDecisions(t *testing.T) {
	for name, test := range map[string]struct {
		rest      func(*Writer) *DecisionREST
		dryRun    []string
		outcome   v1alpha1.ApplyOutcome
		desired   string
		confirmed v1alpha1.Witness
	}{
		"confirm":             {NewConfirmREST, nil, v1alpha1.ApplyCommitted, "eth1", v1alpha1.WitnessUser},
		"rollback":            {NewRollbackREST, nil, v1alpha1.ApplyRolledBack, "", ""},
		"dry run of confirm":  {NewConfirmREST, []string{metav1.DryRunAll}, v1alpha1.ApplyInProgress, "eth1", ""},
		"dry run of rollback": {NewRollbackREST, []string{metav1.DryRunAll}, v1alpha1.ApplyInProgress, "eth1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, id := waitingNode(t)
			ctx := genericapirequest.WithUser(t.Context(), &user.DefaultInfo{Name: "eve"})
			got, err := test.rest(r.writer).Create(ctx, "node1", &v1alpha1.TransactionReference{ID: id}, nil, &metav1.CreateOptions{DryRun: test.dryRun})
			if err != nil {
				t.Fatal(err)
			}
			now := r.log.Get(Key("node1")).(*v1alpha1.NodeNetworkState)
			for _, obj := range []*v1alpha1.NodeNetworkState{got.(*v1alpha1.NodeNetworkState), now} {
				last := obj.Status.LastApply
				if obj.Name != "node1" || last.ID != id || last.Outcome != test.outcome || last.ConfirmedBy != test.confirmed {
					t.Errorf("%s: %+v", obj.Name, last)
				}
				if spec := obj.Spec.DesiredState; (spec != nil) != (test.desired != "") || spec != nil && !strings.Contains(string(spec.Raw), test.desired) {
					t.Errorf("the spec is %v", spec)
				}
				if test.dryRun == nil && !strings.Contains(last.Message, "eve") {
					t.Errorf("the decision is not eve's: %s", last.Message)
				}
			}
		})
	}
}

func TestDecisionsThatAreRefused(t *testing.T) {
	r, id := waitingNode(t)
	const another = "11111111-2222-3333-4444-555555555555"
	denied := apierrors.NewForbidden(v1alpha1.Resource("nodenetworkstates"), "node1", nil)
	for name, test := range map[string]struct {
		node   string
		obj    runtime.Object
		denied error
		code   int32
		says   string
	}{
		"no id":            {"node1", &v1alpha1.TransactionReference{}, nil, http.StatusUnprocessableEntity, "id: Required value"},
		"no UUID":          {"node1", &v1alpha1.TransactionReference{ID: "x y"}, nil, http.StatusUnprocessableEntity, "id: Invalid value"},
		"another name":     {"node1", &v1alpha1.TransactionReference{ObjectMeta: metav1.ObjectMeta{Name: "node2"}, ID: id}, nil, http.StatusBadRequest, `"node2"`},
		"another kind":     {"node1", &v1alpha1.NodeNetworkState{}, nil, http.StatusBadRequest, "TransactionReference"},
		"no node":          {"node2", &v1alpha1.TransactionReference{ID: id}, nil, http.StatusNotFound, `"node2"`},
		"another change":   {"node1", &v1alpha1.TransactionReference{ID: another}, nil, http.StatusConflict, id},
		"denied admission": {"node1", &v1alpha1.TransactionReference{ID: id}, denied, http.StatusForbidden, ""},
	} {
		t.Run(name, func(t *testing.T) {
			validate := func(context.Context, runtime.Object) error { return test.denied }
			for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
				for _, decision := range []*DecisionREST{NewConfirmREST(r.writer), NewRollbackREST(r.writer)} {
					_, err := decision.Create(t.Context(), test.node, test.obj, validate, &metav1.CreateOptions{DryRun: dryRun})
					answer(t, err, test.code, test.says)
				}
			}
			if now := r.log.Get(Key("node1")).(*v1alpha1.NodeNetworkState); !waits(now.Status.LastApply) {
				t.Errorf("the change does not wait any more: %+v", now.Status.LastApply)
			}
		})
	}
	if _, err := NewConfirmREST(r.writer).Create(t.Context(), "node1", &v1alpha1.TransactionReference{ID: id}, nil, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		_, err := NewConfirmREST(r.writer).Create(t.Context(), "node1", &v1alpha1.TransactionReference{ID: id}, nil, &metav1.CreateOptions{DryRun: dryRun})
		answer(t, err, http.StatusConflict, "no change waits")
	}
}

func TestHistory(t *testing.T) {
	r := newOneNode(t)
	get := func() *v1alpha1.NodeNetworkStateHistory {
		t.Helper()
		obj, err := NewHistoryREST(r.writer).Get(t.Context(), "node1", &metav1.GetOptions{ResourceVersion: "0"})
		if err != nil {
			t.Fatal(err)
		}
		history := obj.(*v1alpha1.NodeNetworkStateHistory)
		if history.Name != "node1" || history.Entries == nil {
			t.Errorf("%+v", history)
		}
		return history
	}
	if entries := get().Entries; len(entries) > 0 {
		t.Errorf("%+v", entries)
	}
	waiting, id := waitingNode(t)
	r = waiting
	if _, err := NewRollbackREST(r.writer).Create(t.Context(), "node1", &v1alpha1.TransactionReference{ID: id}, nil, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if entries := get().Entries; len(entries) != 1 || entries[0].ID != id || entries[0].Outcome != v1alpha1.ApplyRolledBack {
		t.Errorf("%+v", entries)
	}
	_, err := NewHistoryREST(r.writer).Get(t.Context(), "node2", &metav1.GetOptions{})
	answer(t, err, http.StatusNotFound, "node2")
}

// warned has the warnings of a request.
type warned []string

func (w *warned) AddWarning(_, text string) { *w = append(*w, text) }

// oldFleet is a fleet of a node whose agent is of an older version.
type oldFleet struct{ *fleetOfOne }

func (oldFleet) Warnings(node string) []string { return []string{"the agent of " + node + " is older"} }

// TestWarnings: what the agent wants the user to know, and that an old agent confirms nothing.
func TestWarnings(t *testing.T) {
	f, _ := newFleetOfOne()
	f.warnings = []string{"the default route changes"}
	now := node()
	for _, test := range []struct {
		fleet Fleet
		want  []string
	}{
		{f, []string{"the default route changes"}},
		{oldFleet{f}, []string{"the default route changes", "the agent of node1 is older"}},
	} {
		var got warned
		ctx := warning.WithWarningRecorder(t.Context(), &got)
		w := NewWriter(test.fleet, f.log)
		if _, err := w.plan(ctx, now, now); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(test.want) || !strings.Contains(strings.Join(got, "\n"), test.want[len(test.want)-1]) {
			t.Errorf("warned of %q, want %q", got, test.want)
		}
		got = nil
		if _, err := w.Update(ctx, Key("node1"), now, now); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(test.want)-1 {
			t.Errorf("warned of %q at a write, want %q", got, test.want[1:])
		}
	}
}
