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
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// standing is how the server stands with a node's agent.
type standing int

const (
	// unreachable: there is no stream, or nothing comes over it.
	unreachable standing = iota
	// reading: the agent is alive, but its read has taken longer than readers wait.
	reading
	// live: what the agent sent last is shown as what is now.
	live
)

// talk is how many bytes a second an agent may send for long. An object counts
// for at least a hundredth of it, a reply for leastReply. The log keeps what was sent for minutes, for
// watches that are behind: a node that somebody has taken over must neither fill
// the server's memory nor push out the history of all other nodes.
const talk = 4 << 20

// leastReply is how many bytes a reply counts for at least.
const leastReply = 1 << 10

// cost is what a message counts for.
func cost(message *agentpb.AgentMessage) int {
	least := talk / 100
	if message.GetReply() != nil {
		least = leastReply
	}
	return min(max(proto.Size(message), least), agent.MaxMessageSize)
}

// heard records that the session's agent has sent something.
func (m *member) heard(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !s.asked.IsZero() {
		m.fleet.strain.heard(time.Since(s.lastHeard(s.asked)), m.fleet.config.BarrierTimeout)
	}
	s.heard, s.silent = time.Now(), false
}

// lastHeard returns when something came from the agent, at the earliest the given time. The caller holds the member's lock.
func (s *session) lastHeard(asked time.Time) time.Time {
	if s.heard.After(asked) {
		return s.heard
	}
	return asked
}

// alive records that the session's agent has answered a ping while it is at a
// barrier: a node that was unreachable is not any more.
func (m *member) alive(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session == s && m.standing == unreachable && !s.asked.IsZero() {
		m.setStanding(reading, s.asked)
		m.show()
	}
}

// silentAt returns when the agent counts as silent that is asked since the given
// time, if nothing comes from it before. The caller holds the member's lock.
func (s *session) silentAt(asked time.Time) time.Time {
	return s.member.fleet.strain.until(s.lastHeard(asked), s.member.fleet.config.BarrierTimeout)
}

// limit returns until when a passage waits for the node: until the agent is
// silent or has read for too long, whoever it was that asked first. The caller
// holds the lock.
func (m *member) limit(p *passage) time.Time {
	grace := p.begin.Add(m.fleet.config.BarrierGrace)
	if m.standing == unreachable || m.session == nil {
		return grace
	}
	asked := m.session.asked
	if asked.IsZero() {
		// The barrier is about to begin: look again when it could be late.
		return time.Now().Add(min(m.fleet.config.BarrierTimeout, p.patience))
	}
	limit := m.session.silentAt(asked)
	if enough := asked.Add(p.patience); enough.Before(limit) {
		limit = enough
	}
	if limit.Before(grace) {
		return grace
	}
	return limit
}

// late tells whether a passage has waited long enough, and how the node stands
// then; it records that.
func (m *member) late(p *passage) (found standing, late bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.limit(p)) {
		return m.standing, false
	}
	switch s := m.session; {
	case m.standing == unreachable || s == nil:
		return unreachable, true
	case !time.Now().Before(s.silentAt(s.asked)):
		s.silent = true
		m.lost(s, "The agent does not answer")
	case m.standing == live:
		s.logger.Info("The agent is still reading", "since", s.asked)
		m.setStanding(reading, s.asked)
		m.show()
	}
	return m.standing, true
}

// proved records that the object that the session sent last is true now. The caller holds the lock.
func (m *member) proved(s *session) {
	if m.session != s || m.standing == live {
		return
	}
	m.setStanding(live, time.Now())
	m.show()
}

// failed records that the session's agent has answered a barrier with an error.
func (m *member) failed(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost(s, "The agent failed a barrier")
}

// lost records that what the session sent last is not known to be true, and cannot
// be found out. The caller holds the lock.
func (m *member) lost(s *session, why string) {
	if m.session != s || m.standing == unreachable {
		return
	}
	s.logger.Info(why)
	m.setStanding(unreachable, time.Now())
	m.show()
}

// setStanding records how the server stands with the agent, and since when. The
// caller holds the lock.
func (m *member) setStanding(to standing, since time.Time) {
	if m.standing == to {
		return
	}
	if m.standing == live {
		// What was shown becomes a part of the history, and its agent can have that happen
		// again and again without sending it again.
		m.budget.ReserveN(time.Now(), min(m.size, agent.MaxMessageSize))
	}
	m.standing, m.since = to, since
	switch to {
	case unreachable:
		m.fleet.metrics.event(eventUnreachable)
	case reading:
		m.fleet.metrics.event(eventReading)
	}
	m.wake()
}

// awaitReachable returns once the agent can be asked, or cannot ever be, or ctx has ended.
func (m *member) awaitReachable(ctx context.Context) {
	for {
		m.mu.Lock()
		done, moved := m.standing != unreachable || m.removed, m.moved
		m.mu.Unlock()
		if done {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}

// readDelay returns how long the next read has to wait, so that the node does not
// read more often than it may.
func (m *member) readDelay() time.Duration {
	if m.reads == nil {
		return 0
	}
	missing := 1 - m.reads.Tokens()
	return time.Duration(max(missing, 0) / float64(m.reads.Limit()) * float64(time.Second))
}

// charge counts a read of the network that readers have caused.
func (m *member) charge() {
	m.fleet.metrics.reads.Inc()
	if m.reads != nil {
		m.reads.ReserveN(time.Now(), 1)
	}
}
