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
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestHistoryLeavesOutWhatIsTooLarge: a state, and a spec with its desired state: a spec without it would be another one.
func TestHistoryLeavesOutWhatIsTooLarge(t *testing.T) {
	dir := t.TempDir()
	r := &Runner{history: openHistory(dir)}
	large := v1alpha1.NewState([]byte(`{"hostname":{"config":"` + strings.Repeat("x", maxHistoryState) + `"}}`))
	for id, state := range map[string]*v1alpha1.State{"large": large, "few": v1alpha1.NewState([]byte(`{}`)), "none": nil} {
		r.Remember(v1alpha1.HistoryEntry{LastApply: v1alpha1.LastApply{ID: id}, Difference: state, Revert: state,
			PreviousSpec: &v1alpha1.NodeNetworkStateSpec{DesiredState: state, Reapply: v1alpha1.ReapplyAlways}})
	}
	for _, entry := range openHistory(dir).entries {
		kept := entry.PreviousSpec != nil && entry.PreviousSpec.Reapply == v1alpha1.ReapplyAlways
		if kept == (entry.ID == "large") || entry.ID == "large" && (entry.Difference != nil || entry.Revert != nil) {
			t.Errorf("of %s it has %+v", entry.ID, entry)
		}
	}
}
