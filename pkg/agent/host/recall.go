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
	"context"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Recall implements agent.Agent.
func (h *Host) Recall(ctx context.Context, id string) (*v1alpha1.LastApply, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if change := h.view.change; change != nil && change.story.ID == id {
		return change.told(), ctx.Err()
	}
	return agent.Recalled(id, h.view.record.LastApply, h.runner.History(), h.view.record.Kept), ctx.Err()
}

// maxKept is how many ids a record keeps.
const maxKept = 20

// remembering returns the record with the id of a change of annotations and managed fields alone.
func (r record) remembering(id string) record {
	r.Kept = append([]string{id}, r.Kept[:min(len(r.Kept), maxKept-1)]...)
	return r
}
