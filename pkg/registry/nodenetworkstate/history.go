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

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// NewHistoryREST returns the storage of the subresource that tells of a node's last changes.
func NewHistoryREST(writer *Writer) *AskedREST {
	return &AskedREST{
		writer: writer,
		empty:  func() runtime.Object { return &v1alpha1.NodeNetworkStateHistory{} },
		ask: func(ctx context.Context, name string) (object, error) {
			own, err := writer.fleet.History(ctx, name)
			if err != nil {
				return nil, err
			}
			history := &v1alpha1.NodeNetworkStateHistory{Entries: own.Entries}
			if history.Entries == nil {
				history.Entries = []v1alpha1.HistoryEntry{}
			}
			return history, nil
		},
	}
}
