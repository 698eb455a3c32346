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
	"errors"
	"fmt"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// Apply is agent.Agent's for a node; the sink has the object that came of it
// before it returns. It waits for the outcome for Config.ApplyTimeout at most,
// after which the error is of kind InProgress. The caller must not change the object.
func (f *Fleet) Apply(ctx context.Context, name string, change agent.Change) (*v1alpha1.NodeNetworkState, error) {
	wire, err := agent.EncodeChange(change)
	if err != nil {
		return nil, &agent.Error{Kind: agent.Invalid, Message: err.Error()}
	}
	obj, err := f.askForObject(ctx, name, &agentpb.Request{Request: &agentpb.Request_Apply{Apply: wire}})
	return obj, f.explain(name, err, agent.InProgress, fmt.Sprintf(
		"the change of node %s is still being applied: it goes on, status.lastApply tells how it ends "+
			"(kubectl get nodenetworkstates %s -o yaml)", name, name))
}

// Validate is agent.Agent's for a node. If there is no answer within
// Config.ApplyTimeout, the error is of kind Lost; nothing was touched.
func (f *Fleet) Validate(ctx context.Context, name string, change agent.Change) (*agent.Plan, error) {
	wire, err := agent.EncodeChange(change)
	if err != nil {
		return nil, &agent.Error{Kind: agent.Invalid, Message: err.Error()}
	}
	var plan agent.Plan
	reply, err := f.ask(ctx, name, &agentpb.Request{Request: &agentpb.Request_Validate{Validate: wire}})
	if err == nil {
		plan.Warnings = agent.WarningsFromWire(reply.GetWarnings())
		plan.Object, err = f.object(name, reply)
	}
	if err != nil {
		return nil, f.explain(name, err, agent.Lost, fmt.Sprintf(
			"the agent of node %s did not answer in time; nothing was changed", name))
	}
	return &plan, nil
}

// Decide is agent.Agent's for a node.
func (f *Fleet) Decide(ctx context.Context, name string, decision agent.Decision) (*v1alpha1.NodeNetworkState, error) {
	obj, err := f.askForObject(ctx, name, &agentpb.Request{Request: &agentpb.Request_Decide{Decide: agent.EncodeDecision(decision)}})
	return obj, f.explain(name, err, agent.InProgress, fmt.Sprintf(
		"node %s was told to end the change; status.lastApply tells how it ends", name))
}

// History is agent.Agent's for a node.
func (f *Fleet) History(ctx context.Context, name string) (*v1alpha1.NodeNetworkStateHistory, error) {
	reply, err := f.ask(ctx, name, &agentpb.Request{Request: &agentpb.Request_History{History: &agentpb.HistoryRequest{}}})
	if err != nil {
		return nil, f.explain(name, err, agent.Lost, fmt.Sprintf("the agent of node %s did not answer in time", name))
	}
	history, err := agent.DecodeHistory(reply.GetHistory())
	if err != nil {
		return nil, &agent.Error{Kind: agent.Failed, Reason: "InvalidReply", Message: err.Error()}
	}
	return history, nil
}

// askForObject sends a request to a node's agent and returns the object that it answers with, as it is served.
func (f *Fleet) askForObject(ctx context.Context, name string, request *agentpb.Request) (*v1alpha1.NodeNetworkState, error) {
	reply, err := f.ask(ctx, name, request)
	if err != nil {
		return nil, err
	}
	return f.object(name, reply)
}

// ask sends a request to a node's agent and returns its reply, which has no error.
func (f *Fleet) ask(ctx context.Context, name string, request *agentpb.Request) (*agentpb.Reply, error) {
	m := f.member(name)
	if m == nil {
		return nil, &agent.Error{Kind: agent.Unreachable, Message: fmt.Sprintf("there is no node %s", name)}
	}
	s, err := m.reach(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.config.ApplyTimeout)
	defer cancel()
	reply, err := s.ask(ctx, request)
	if err != nil {
		return nil, err
	}
	return reply, agent.ErrorFromWire(reply.GetError())
}

// object returns the object of a reply as it is served.
func (f *Fleet) object(name string, reply *agentpb.Reply) (*v1alpha1.NodeNetworkState, error) {
	own, err := agent.DecodeObject(reply.GetObject(), name)
	if err != nil {
		return nil, &agent.Error{Kind: agent.Failed, Reason: "InvalidReply", Message: err.Error()}
	}
	m := f.member(name)
	if m == nil {
		return nil, &agent.Error{Kind: agent.Unreachable, Message: fmt.Sprintf("node %s was removed", name)}
	}
	return m.served(own), nil
}

// explain makes an error of ask one of the contract. An error of kind late with
// that message says that there was no answer before ctx ended.
func (f *Fleet) explain(name string, err error, late agent.ErrorKind, message string) error {
	var own *agent.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errors.Is(err, errNotSent):
		return &agent.Error{Kind: agent.Unreachable, Message: fmt.Sprintf(
			"the agent of node %s could not be reached; nothing was sent to it", name)}
	case errors.Is(err, errEnded):
		return &agent.Error{Kind: agent.Lost, Message: fmt.Sprintf(
			"the agent of node %s was lost after it was asked; once it is back, status.lastApply tells the outcome", name)}
	default:
		return &agent.Error{Kind: late, Message: message}
	}
}

// reach returns the session that speaks for the node, whose agent has said just
// now that it is alive. So nothing is sent to an agent that hangs, which might
// carry it out much later. The error is of kind Unreachable or wraps errNotSent.
func (m *member) reach(ctx context.Context) (*session, error) {
	s, err := m.speaker(nil, time.Time{})
	if err != nil {
		return nil, err
	}
	asked := time.Now()
	ping, cancel := context.WithTimeout(ctx, m.fleet.config.BarrierTimeout)
	defer cancel()
	err = s.ping(ping)
	switch {
	case err == nil:
		return s, nil
	case ctx.Err() != nil || errors.Is(err, errEnded):
		return nil, errors.Join(errNotSent, err)
	}
	return m.speaker(s, asked)
}

// speaker returns the session that speaks for the node, or an error of kind
// Unreachable if there is none or it is silent. pinged is a session that was pinged
// at the given time, nil if none was: if it has sent nothing since, it is silent.
func (m *member) speaker(pinged *session, at time.Time) (*session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if pinged != nil && !pinged.heard.After(at) {
		// Its answer to a barrier, however late, makes the node reachable again.
		pinged.rounds.Join()
		pinged.silent = true
		m.lost(pinged, "The agent does not answer")
	}
	if m.session == nil || m.session.silent {
		return nil, &agent.Error{Kind: agent.Unreachable, Message: unreachableMessage(m.info, m.own != nil, m.since)}
	}
	return m.session, nil
}

// served returns an object of the agent's as it is served.
func (m *member) served(own *v1alpha1.NodeNetworkState) *v1alpha1.NodeNetworkState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return compose(m.info, own, m.conditions)
}
