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
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/grpc/peer"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// speaker is what an agent has said of itself, and where it connects from.
type speaker struct {
	version  string
	protocol uint32
	// capabilities are those that the agent has and this server knows.
	capabilities []string
	// instance tells the agent from the one that runs on the node after it; empty if the agent does not tell.
	instance string
	// address is where the agent connects from; empty if that says nothing about where
	// others reach the node.
	address string
}

// speakerOf returns who has said that Hello.
func speakerOf(ctx context.Context, hello *agentpb.Hello) speaker {
	s := speaker{version: brief(hello.GetAgentVersion()), protocol: hello.GetProtocol(), instance: brief(hello.GetInstance())}
	for _, known := range agent.Capabilities() {
		if slices.Contains(hello.GetCapabilities(), known) {
			s.capabilities = append(s.capabilities, known)
		}
	}
	if p, ok := peer.FromContext(ctx); ok {
		s.address = reachable(p.Addr.String())
	}
	return s
}

// reachable returns the IP address that others reach the host by that has connected from
// there; empty if they do not: a loopback or link-local address leads each of them elsewhere.
func reachable(remote string) string {
	parsed, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	address := parsed.Addr().Unmap().WithZone("")
	if address.IsLoopback() || address.IsLinkLocalUnicast() || address.IsUnspecified() {
		return ""
	}
	return address.String()
}

// can tells whether the agent has a capability.
func (s *speaker) can(capability string) bool { return slices.Contains(s.capabilities, capability) }

// Warnings are what a user should know about each change of a node, because of the agent that is connected now.
func (f *Fleet) Warnings(node string) []string {
	m := f.member(node)
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session == nil || m.session.speaker.can(agent.CapabilityConfirmation) {
		return nil
	}
	who := m.session.speaker
	return []string{fmt.Sprintf("the agent of node %s (version %s, protocol %d) is older than this API server (protocol %d) and does not confirm changes: "+
		"a change that cuts the node off is committed; update the agent", node, who.version, who.protocol, agent.Protocol)}
}

// require returns an error of kind Invalid if the agent lacks a capability, which what
// is asked for needs.
func (s *session) require(capability, what string) error {
	if s.speaker.can(capability) {
		return nil
	}
	return &agent.Error{Kind: agent.Invalid, Reason: agent.ReasonNotSupported, Message: fmt.Sprintf(
		"the agent of node %s (version %s) does not support %s: update it", s.member.name, s.speaker.version, what)}
}

// check returns an error of kind Invalid if the agent would drop a part of the spec, which
// it does not know, without a word.
func (s *session) check(spec v1alpha1.NodeNetworkStateSpec) error {
	var unknown []string
	if c := spec.Confirmation; c != nil && (c.Timeout != nil || c.Mode != "" && c.Mode != v1alpha1.ConfirmByReachability) {
		unknown = append(unknown, "spec.confirmation")
	}
	if len(spec.Probes) > 0 {
		unknown = append(unknown, "spec.probes")
	}
	if spec.Reapply != "" {
		unknown = append(unknown, "spec.reapply")
	}
	if unknown != nil {
		if err := s.require(agent.CapabilityConfirmation, strings.Join(unknown, ", ")); err != nil {
			return err
		}
	}
	if spec.Removal != "" && spec.Removal != v1alpha1.RemovalOrphan {
		return s.require(agent.CapabilityRemoval, "spec.removal: "+string(spec.Removal))
	}
	return nil
}

// address fits a change to the agent of the session: what it is based on, and where
// nodes are reached. The error is errNotSent, or of kind Invalid or Conflict.
func (s *session) address(wire *agentpb.Change, change agent.Change) error {
	if err := s.check(change.Object.Spec); err != nil {
		return err
	}
	base, err := s.member.token(s, change.Base)
	if err != nil {
		return err
	}
	wire.Base = s.wireBase(base, change.Base)
	wire.Addresses = s.member.fleet.addresses(s.member.name, change.Object.Spec.Probes)
	return nil
}

// addresses returns the addresses of a node, and of the nodes that probes name, by name.
func (f *Fleet) addresses(name string, probes []v1alpha1.Probe) map[string]*agentpb.Addresses {
	names := []string{name}
	for _, probe := range probes {
		if probe.Node != nil {
			names = append(names, probe.Node.Name)
		}
	}
	result := map[string]*agentpb.Addresses{}
	for _, name := range names {
		if m := f.member(name); m != nil {
			if ips := m.addresses(); len(ips) > 0 {
				result[name] = &agentpb.Addresses{Ips: ips}
			}
		}
	}
	return result
}

// addresses returns where the node is reached: as the directory says, or else where its
// agent connects from.
func (m *member) addresses() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ips := m.info.Addresses; len(ips) > 0 {
		return ips[:min(len(ips), agent.MaxAddresses)]
	}
	if m.session != nil && m.session.speaker.address != "" {
		return []string{m.session.speaker.address}
	}
	return nil
}
