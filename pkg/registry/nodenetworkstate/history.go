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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

var _ rest.Getter = &HistoryREST{}

// HistoryREST serves the subresource that tells of a node's last changes.
type HistoryREST struct{ writer *Writer }

// NewHistoryREST returns the storage of the subresource.
func NewHistoryREST(writer *Writer) *HistoryREST { return &HistoryREST{writer} }

// New implements rest.Storage.
func (h *HistoryREST) New() runtime.Object { return &v1alpha1.NodeNetworkStateHistory{} }

// Destroy implements rest.Storage.
func (h *HistoryREST) Destroy() {}

// Get implements rest.Getter. The node's agent is asked, whatever the resourceVersion: the
// server keeps no history.
func (h *HistoryREST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	node, err := h.writer.known(name)
	if err != nil {
		return nil, err
	}
	own, err := h.writer.fleet.History(ctx, name)
	if err != nil {
		return nil, statusError(name, err)
	}
	history := &v1alpha1.NodeNetworkStateHistory{Entries: own.Entries}
	history.Name, history.CreationTimestamp = name, node.CreationTimestamp
	if history.Entries == nil {
		history.Entries = []v1alpha1.HistoryEntry{}
	}
	return history, nil
}
