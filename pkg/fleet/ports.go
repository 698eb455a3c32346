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

package fleet

import (
	"context"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// Ports is agent.Agent's for a node. If there is no answer within Config.ApplyTimeout, the error is of kind Lost.
func (f *Fleet) Ports(ctx context.Context, name string) (*v1alpha1.NodeNetworkPorts, error) {
	return inquire(ctx, f, name, portsOf)
}

// portsOf asks the agent of a session for the ports.
func portsOf(ctx context.Context, s *session) (*v1alpha1.NodeNetworkPorts, error) {
	if err := s.require(agent.CapabilityPorts, "the subresource ports"); err != nil {
		return nil, err
	}
	reply, err := s.request(ctx, &agentpb.Request{Request: &agentpb.Request_Ports{Ports: &agentpb.PortsRequest{}}})
	if err != nil {
		return nil, err
	}
	ports, err := agent.DecodePorts(reply.GetPorts())
	if err != nil {
		return nil, &agent.Error{Kind: agent.Failed, Reason: "InvalidReply", Message: err.Error()}
	}
	return ports, nil
}
