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
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// Apply is agent.Agent's for a node; the sink has the object that came of it
// before it returns. It waits for the outcome for Config.ApplyTimeout at most,
// after which the error is of kind InProgress. If the stream to the agent ends meanwhile, it
// waits for the agent to come back and to tell the outcome. The caller must not change the object.
func (f *Fleet) Apply(ctx context.Context, name string, change agent.Change) (*v1alpha1.NodeNetworkState, error) {
	change.ID = cmp.Or(change.ID, uuid.NewString())
	wire, err := agent.EncodeChange(change)
	if err != nil {
		return nil, &agent.Error{Kind: agent.Invalid, Message: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, f.config.ApplyTimeout)
	defer cancel()
	s, err := f.reach(ctx, name)
	if err != nil {
		return nil, f.explain(name, err, agent.Unreachable, "")
	}
	err = s.address(wire, change)
	if s.speaker.protocol == 0 {
		wire.Id = ""
	}
	var reply *agentpb.Reply
	if err == nil {
		reply, err = s.request(ctx, &agentpb.Request{Request: &agentpb.Request_Apply{Apply: wire}})
	}
	switch {
	case err == nil:
		return f.object(name, reply)
	case lostMidway(err) && wire.Id == "":
		return nil, &agent.Error{Kind: agent.Lost, Message: lostMessage(name, "")}
	case lostMidway(err):
		return s.outcome(ctx, wire.Id, nil)
	}
	return nil, f.explain(name, err, agent.InProgress, stillApplied(name, wire.Id))
}

// Validate is agent.Agent's for a node. If there is no answer within
// Config.ApplyTimeout, the error is of kind Lost; nothing was touched.
func (f *Fleet) Validate(ctx context.Context, name string, change agent.Change) (*agent.Plan, error) {
	wire, err := agent.EncodeChange(change)
	if err != nil {
		return nil, &agent.Error{Kind: agent.Invalid, Message: err.Error()}
	}
	plan, err := f.plan(ctx, name, change, wire)
	return plan, f.explain(name, err, agent.Lost, fmt.Sprintf("the agent of node %s did not answer in time; nothing was changed", name))
}

// plan asks the node's agent what the change would do.
func (f *Fleet) plan(ctx context.Context, name string, change agent.Change, wire *agentpb.Change) (*agent.Plan, error) {
	ctx, cancel := context.WithTimeout(ctx, f.config.ApplyTimeout)
	defer cancel()
	s, err := f.reach(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := s.address(wire, change); err != nil {
		return nil, err
	}
	reply, err := s.request(ctx, &agentpb.Request{Request: &agentpb.Request_Validate{Validate: wire}})
	if err != nil {
		return nil, err
	}
	object, err := f.object(name, reply)
	if err != nil {
		return nil, err
	}
	return &agent.Plan{Object: object, Warnings: agent.WarningsFromWire(reply.GetWarnings())}, nil
}

// Decide is agent.Agent's for a node. Like Apply it waits for an agent that is lost meanwhile:
// to roll a change back may move the address that the agent connects from.
func (f *Fleet) Decide(ctx context.Context, name string, decision agent.Decision) (*v1alpha1.NodeNetworkState, error) {
	what := "roll back"
	if decision.Commit {
		what = "confirm"
	}
	late := fmt.Sprintf("node %s was asked to %s change %s and is still at it; status.lastApply tells how the change ends", name, what, decision.Transaction)
	ctx, cancel := context.WithTimeout(ctx, f.config.ApplyTimeout)
	defer cancel()
	s, err := f.reach(ctx, name)
	if err == nil {
		err = s.require(agent.CapabilityConfirmation, "the confirmation of changes")
	}
	var reply *agentpb.Reply
	if err == nil {
		reply, err = s.request(ctx, &agentpb.Request{Request: &agentpb.Request_Decide{Decide: agent.EncodeDecision(decision)}})
	}
	switch {
	case err == nil:
		return f.object(name, reply)
	case lostMidway(err):
		return s.outcome(ctx, decision.Transaction, &decision.Commit)
	}
	return nil, f.explain(name, err, agent.InProgress, late)
}

// History is agent.Agent's for a node.
func (f *Fleet) History(ctx context.Context, name string) (*v1alpha1.NodeNetworkStateHistory, error) {
	return inquire(ctx, f, name, func(ctx context.Context, s *session) (*v1alpha1.NodeNetworkStateHistory, error) {
		return s.history(ctx, &agentpb.HistoryRequest{})
	})
}

// inquire asks a node's agent for what asking does not change. If there is no answer within Config.ApplyTimeout, the error is of kind Lost.
func inquire[T any](ctx context.Context, f *Fleet, name string, ask func(context.Context, *session) (*T, error)) (*T, error) {
	ctx, cancel := context.WithTimeout(ctx, f.config.ApplyTimeout)
	defer cancel()
	s, err := f.reach(ctx, name)
	var answer *T
	if err == nil {
		answer, err = ask(ctx, s)
	}
	return answer, f.explain(name, err, agent.Lost, fmt.Sprintf("the agent of node %s did not answer in time", name))
}

// history asks the agent for the last changes, or for one.
func (s *session) history(ctx context.Context, request *agentpb.HistoryRequest) (*v1alpha1.NodeNetworkStateHistory, error) {
	if err := s.require(agent.CapabilityHistory, "the history of changes"); err != nil {
		return nil, err
	}
	reply, err := s.request(ctx, &agentpb.Request{Request: &agentpb.Request_History{History: request}})
	if err != nil {
		return nil, err
	}
	history, err := agent.DecodeHistory(reply.GetHistory())
	if err != nil {
		return nil, &agent.Error{Kind: agent.Failed, Reason: "InvalidReply", Message: err.Error()}
	}
	return history, nil
}

// reach returns the session of a node's agent, which is alive; see member.reach.
func (f *Fleet) reach(ctx context.Context, name string) (*session, error) {
	m := f.member(name)
	if m == nil {
		return nil, &agent.Error{Kind: agent.Unreachable, Message: fmt.Sprintf("there is no node %s", name)}
	}
	return m.reach(ctx)
}

// request sends a request and returns the reply, which has no error.
func (s *session) request(ctx context.Context, request *agentpb.Request) (*agentpb.Reply, error) {
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
			"the agent of node %s was lost after it was asked", name)}
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
		pinged.join()
		pinged.silent = true
		m.lost(pinged, "The agent does not answer")
	}
	if m.session == nil || m.session.silent {
		return nil, &agent.Error{Kind: agent.Unreachable, Message: unreachableMessage(m.info, m.own != nil, m.since)}
	}
	return m.session, nil
}

// token returns the agent's own token for the object whose fingerprint it is. The error is
// of kind Conflict if the agent has sent another object since, or errNotSent if the session
// does not speak for the node any more.
func (m *member) token(s *session, fingerprint string) (string, error) {
	m.mu.Lock()
	last, speaks := m.known, m.session == s
	m.mu.Unlock()
	if !speaks {
		return "", errors.Join(errNotSent, errEnded)
	}
	own, err := agent.Fingerprint(last.own)
	if err != nil {
		return "", err
	}
	if own != fingerprint {
		return "", &agent.Error{Kind: agent.Conflict, Message: "the object was changed since it was read"}
	}
	return last.base, nil
}

// served returns an object of the agent's as it is served.
func (m *member) served(own *v1alpha1.NodeNetworkState) *v1alpha1.NodeNetworkState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return compose(m.info, own, m.conditions)
}
