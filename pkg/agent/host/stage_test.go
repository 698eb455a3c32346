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
	"slices"
	"strings"
	"testing"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestTheObjectTellsTheStage that a change is in, and since when; so does the error of a change that comes meanwhile.
func TestTheObjectTellsTheStage(t *testing.T) {
	var h *Host
	var stages []v1alpha1.ApplyStage
	look := func() {
		obj := h.feed.Last()
		last, c := obj.Status.LastApply, apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionProgressing)
		if last == nil || last.StageStartTime == nil || c.Reason != string(last.Stage) || !strings.Contains(c.Message, "since ") {
			t.Errorf("lastApply is %+v, and Progressing %+v", last, c)
			return
		}
		stages = append(stages, last.Stage)
		_, err := h.Apply(t.Context(), desire(t, h, veth(1)))
		if want := "in stage " + string(last.Stage) + " since "; agent.KindOf(err) != agent.Busy || !strings.Contains(err.Error(), want) {
			t.Errorf("another change ended with %v", err)
		}
	}
	h = newHostWith(t, t.TempDir(), yes{}, func(config *transaction.Config) {
		impossible := config.Impossible
		config.Impossible = func(desired, current []byte) (field.ErrorList, error) {
			look()
			return impossible(desired, current)
		}
		config.At = func(moment transaction.Moment) {
			switch moment {
			case transaction.BeforeConfirmed:
				// The object is published with the network as it is since the change was applied.
				if err := h.awaitReread(t.Context()); err != nil {
					t.Error(err)
				}
				look()
			case transaction.BeforePrepared, transaction.BeforeApplied, transaction.BeforeUndo:
				look()
			}
		}
	})
	for _, test := range []struct {
		state string
		want  []v1alpha1.ApplyStage
	}{
		{veth(0), []v1alpha1.ApplyStage{v1alpha1.StageChecking, v1alpha1.StagePreparing, v1alpha1.StageApplying, v1alpha1.StageConfirming}},
		{halfWay, []v1alpha1.ApplyStage{v1alpha1.StageChecking, v1alpha1.StagePreparing, v1alpha1.StageRollingBack}},
	} {
		stages = nil
		_, err := h.Apply(t.Context(), desire(t, h, test.state))
		if !slices.Equal(stages, test.want) {
			t.Errorf("the stages were %v, and the change ended with %v", stages, err)
		}
		obj := h.feed.Last()
		if last := obj.Status.LastApply; last.Stage != "" || last.StageStartTime != nil || last.FinishTime == nil ||
			!apimeta.IsStatusConditionFalse(obj.Status.Conditions, v1alpha1.ConditionProgressing) {
			t.Errorf("afterwards lastApply is %+v", last)
		}
		for _, entry := range h.runner.History() {
			if entry.Stage != "" {
				t.Errorf("the history has the stage %s of a change that has ended", entry.Stage)
			}
		}
	}
}
