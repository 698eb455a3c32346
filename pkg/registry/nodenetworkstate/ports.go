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

// NewPortsREST returns the storage of the subresource that tells what the kernel and the hardware of a node
// know of its ports.
func NewPortsREST(writer *Writer) *AskedREST {
	return &AskedREST{
		writer: writer,
		empty:  func() runtime.Object { return &v1alpha1.NodeNetworkPorts{} },
		ask: func(ctx context.Context, name string) (object, error) {
			own, err := writer.fleet.Ports(ctx, name)
			if err != nil {
				return nil, err
			}
			ports := &v1alpha1.NodeNetworkPorts{ReadTime: own.ReadTime, Ports: own.Ports}
			if ports.Ports == nil {
				ports.Ports = []v1alpha1.NetworkPort{}
			}
			return ports, nil
		},
	}
}
