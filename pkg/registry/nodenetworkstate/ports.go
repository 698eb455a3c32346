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

var _ rest.Getter = &PortsREST{}

// PortsREST serves the subresource that tells what the kernel and the hardware of a node
// know of its ports.
type PortsREST struct{ writer *Writer }

// NewPortsREST returns the storage of the subresource.
func NewPortsREST(writer *Writer) *PortsREST { return &PortsREST{writer} }

// New implements rest.Storage.
func (p *PortsREST) New() runtime.Object { return &v1alpha1.NodeNetworkPorts{} }

// Destroy implements rest.Storage.
func (p *PortsREST) Destroy() {}

// Get implements rest.Getter. The node's agent is asked, whatever the resourceVersion: the
// server keeps nothing of it.
func (p *PortsREST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	node, err := p.writer.known(name)
	if err != nil {
		return nil, err
	}
	own, err := p.writer.fleet.Ports(ctx, name)
	if err != nil {
		return nil, statusError(name, err)
	}
	ports := &v1alpha1.NodeNetworkPorts{ReadTime: own.ReadTime, Ports: own.Ports}
	ports.Name, ports.CreationTimestamp = name, node.CreationTimestamp
	if ports.Ports == nil {
		ports.Ports = []v1alpha1.NetworkPort{}
	}
	return ports, nil
}
