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

package transaction

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestTheOwnerIsToldOfEachStage, but for those of which it is told in another way.
func TestTheOwnerIsToldOfEachStage(t *testing.T) {
	for step, want := range map[string][]v1alpha1.ApplyStage{
		"":        {v1alpha1.StagePreparing, v1alpha1.StageConfirming},
		"check":   nil,
		"prepare": {v1alpha1.StagePreparing},
		"apply":   {v1alpha1.StagePreparing, v1alpha1.StageRollingBack},
		"commit":  {v1alpha1.StagePreparing, v1alpha1.StageConfirming, v1alpha1.StageRollingBack},
	} {
		b := newBench(t)
		b.set(step, errors.New("no"))
		b.set("resume", errors.New("no"))
		r, _ := b.open()
		_, err := r.Run(t.Context(), b.change("c1"))
		if (err == nil) != (step == "") || !slices.Equal(b.stages, want) {
			t.Errorf("%q fails: the stages were %v, and it ended with %v", step, b.stages, err)
		}
	}
}

// TestAnApplyOfABackendThatIsSilent ends long before the limit for those that make progress.
func TestAnApplyOfABackendThatIsSilent(t *testing.T) {
	b := newBench(t)
	r, _ := b.open()
	r.config.Limits.Apply, r.config.Limits.Silence = time.Hour, 10*time.Millisecond
	b.set("stuck", errors.New("no"))
	b.set("await", errors.New("no"))
	_, err := r.Run(t.Context(), b.change("c1"))
	if err == nil || b.told().Reason != v1alpha1.ReasonTimedOut {
		t.Errorf("it ended with %v, %+v", err, b.told())
	}
	if state := b.consistent("afterwards"); state != oldState {
		t.Errorf("the state is %s", state)
	}
}
