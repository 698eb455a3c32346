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

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// lostMidway tells whether an error of ask says that the stream ended after the request
// was sent. A change may well have that effect: it moves the address that the agent
// connects from, and the agent comes back over another connection.
func lostMidway(err error) bool {
	return errors.Is(err, errEnded) && !errors.Is(err, errNotSent)
}

// outcome waits until the agent of the node, whose stream has ended, or the one that runs after it tells over the next
// stream how the change of that id has ended. The object is as it is served. decided is nil, or
// what was decided about the change: then it is not enough that the change waits for a decision.
func (s *session) outcome(ctx context.Context, id string, decided *bool) (*v1alpha1.NodeNetworkState, error) {
	m := s.member
	for {
		last, told, removed := m.lastApply()
		if removed {
			return nil, &agent.Error{Kind: agent.Lost, Message: fmt.Sprintf("node %s was removed while change %s was under way", m.name, id)}
		}
		mine := last != nil && last.ID == id
		if mine {
			if ended, err := judge(last, decided); ended {
				return m.servedLast(), err
			}
		}
		if next := m.successor(s); next != nil && !mine {
			if ended, err := next.recalls(ctx, told, id, s, decided); ended {
				return m.servedLast(), err
			}
		}
		select {
		case <-told:
			continue
		case <-ctx.Done():
		case <-m.fleet.stopping:
		}
		if mine {
			return nil, &agent.Error{Kind: agent.InProgress, Message: stillApplied(m.name, id)}
		}
		return nil, &agent.Error{Kind: agent.Lost, Message: lostMessage(m.name, id)}
	}
}

// successor returns the stream that the node's agent has since that session has ended, once the agent has ended what was
// under way; nil if there is none.
func (m *member) successor(of *session) *session {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.session
	if next == nil || next == of || next.speaker.instance == "" ||
		apimeta.IsStatusConditionTrue(m.own.Status.Conditions, v1alpha1.ConditionProgressing) {
		return nil
	}
	return next
}

// recalls asks the agent, which has come back, for a change that it was asked to make over the stream before. ended tells
// whether the error says what became of the change. An agent that was started since has not begun a change that it does not
// know; the same agent may still begin it. It is not asked any longer once told is closed: its object may tell.
func (s *session) recalls(ctx context.Context, told <-chan struct{}, id string, before *session, decided *bool) (ended bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-told:
			cancel()
		case <-ctx.Done():
		}
	}()
	history, err := s.history(ctx, &agentpb.HistoryRequest{Change: id})
	if err != nil {
		return false, nil
	}
	for _, entry := range history.Entries {
		if entry.ID == id {
			return judge(&entry.LastApply, decided)
		}
	}
	switch {
	case decided != nil, s.speaker.instance == before.speaker.instance:
		return false, nil
	case !s.speaker.can(agent.CapabilityRecall):
		return true, &agent.Error{Kind: agent.Lost, Message: lostMessage(s.member.name, id)}
	}
	return true, &agent.Error{Kind: agent.Unreachable, Message: fmt.Sprintf(
		"the agent of node %s ended before it began the change; nothing was changed: try again", s.member.name)}
}

// judge tells whether the change has ended, and with which error. One that waits for a
// manual confirmation has been answered, unless the decision is what was asked for.
func judge(last *v1alpha1.LastApply, decided *bool) (ended bool, err error) {
	kind := agent.Failed
	switch last.Outcome {
	case v1alpha1.ApplyInProgress:
		return last.ConfirmBefore != nil && decided == nil, nil
	case v1alpha1.ApplyCommitted:
		if decided == nil || *decided {
			return true, nil
		}
	case v1alpha1.ApplyRolledBack:
		if decided != nil && !*decided {
			return true, nil
		}
	case v1alpha1.ApplyRejected:
		kind = agent.Invalid
	}
	return true, &agent.Error{Kind: kind, Reason: last.Reason, Message: outcomeMessage(last)}
}

// outcomeMessage says how a change ended whose agent says nothing more of it.
func outcomeMessage(last *v1alpha1.LastApply) string {
	if last.Message != "" {
		return fmt.Sprintf("%s (change %s)", last.Message, last.ID)
	}
	return fmt.Sprintf("change %s ended as %s", last.ID, last.Outcome)
}

// lastApply returns the story of the node's last change, a channel that is closed when the
// agent sends another object or the node is removed, and whether the node was removed.
func (m *member) lastApply() (last *v1alpha1.LastApply, told <-chan struct{}, removed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.told == nil {
		m.told = make(chan struct{})
	}
	if m.own == nil {
		return nil, m.told, m.removed
	}
	return m.own.Status.LastApply, m.told, m.removed
}

// tell wakes those who wait for an object. The caller holds the lock.
func (m *member) tell() {
	if m.told != nil {
		close(m.told)
		m.told = nil
	}
}

// servedLast returns the object that the agent sent last, as it is served.
func (m *member) servedLast() *v1alpha1.NodeNetworkState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return compose(m.info, m.own, m.conditions)
}

// stillApplied says that nobody waits any more for a change that goes on. id is empty if
// the agent is too old to be told one.
func stillApplied(node, id string) string {
	return fmt.Sprintf("the change of node %s is still being applied%s: it goes on, status.lastApply tells how it ends "+
		"(kubectl get nodenetworkstates %s -o yaml)", node, asID(id), node)
}

// lostMessage says that it is not known what became of a change.
func lostMessage(node, id string) string {
	return fmt.Sprintf("the agent of node %s was lost after it was asked to make the change%s; once it is back, status.lastApply tells the outcome", node, asID(id))
}

func asID(id string) string {
	if id == "" {
		return ""
	}
	return ", whose id is " + id
}
