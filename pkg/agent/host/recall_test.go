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
	"strconv"
	"testing"

	"github.com/google/uuid"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestRecallOfAnnotationsOutlivesTheAgent, which may be killed before it has answered.
func TestRecallOfAnnotationsOutlivesTheAgent(t *testing.T) {
	dir := t.TempDir()
	var ids []string
	t.Run("first", func(t *testing.T) {
		h := newHost(t, dir)
		for i := range maxKept + 1 {
			change := desire(t, h, "")
			change.Object.Spec = v1alpha1.NodeNetworkStateSpec{}
			change.Object.Annotations = map[string]string{"number": strconv.Itoa(i)}
			change.ID = uuid.NewString()
			ids = append(ids, change.ID)
			if _, err := h.Apply(t.Context(), change); err != nil {
				t.Fatal(err)
			}
		}
	})
	h := newHost(t, dir)
	for i, id := range ids {
		last, err := h.Recall(t.Context(), id)
		if err != nil || (last != nil && last.Outcome == v1alpha1.ApplyCommitted) != (i > 0) {
			t.Errorf("of %d changes, number %d is told as %+v, %v", len(ids), i, last, err)
		}
	}
}
