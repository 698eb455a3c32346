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

package fake

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// SetPorts replaces the ports that the node tells of; with nil they are the network's again.
func (a *Agent) SetPorts(ports []v1alpha1.NetworkPort) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ports = ports
}

// Ports implements agent.Agent. Each interface of the network has a port. Between two calls a thousand bytes in one
// packet pass through each.
func (a *Agent) Ports(ctx context.Context) (*v1alpha1.NodeNetworkPorts, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	told := &v1alpha1.NodeNetworkPorts{ReadTime: metav1.NewMicroTime(time.Now().Truncate(time.Microsecond)), Ports: a.ports}
	if a.ports != nil {
		return told.DeepCopy(), ctx.Err()
	}
	a.told++
	for i, one := range a.network.interfaces() {
		properties := one.(map[string]any)
		kind, _ := properties["type"].(string)
		up := properties["state"] == "up"
		state := v1alpha1.OperDown
		if up {
			state = v1alpha1.OperUp
		}
		told.Ports = append(told.Ports, v1alpha1.NetworkPort{Name: nameOf(one), Index: int32(i + 1), Type: kind, Carrier: up, OperState: state,
			Counters: v1alpha1.PortCounters{RxBytes: 1000 * a.told, RxPackets: a.told, TxBytes: 1000 * a.told, TxPackets: a.told}})
	}
	return told, ctx.Err()
}
