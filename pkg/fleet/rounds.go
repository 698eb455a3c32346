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
	"sync/atomic"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// round is one barrier of a session, which any number of callers share.
type round struct {
	// done is closed when the agent has answered; err is then its error. It stays open if the session ends first.
	done chan struct{}
	err  error
}

// rounds are the barriers of a session, one at a time. A caller that comes while one is under way
// shares the next: what a caller joins is always sent after it came. A barrier has a goroutine only
// while it is sent, and its timer is the session's: a list has one barrier for each node. The member's lock
// guards all but due.
type rounds struct {
	// asked is when the barrier that is under way began; zero if none is.
	asked time.Time
	// current was sent to the agent; next is to be sent. They are nil if there is none.
	current, next *round
	// due is set when next is to be sent.
	due atomic.Bool
	// paused is set while the node has read as often as it may.
	paused bool
	// slow fires when a barrier takes long; attended ends what is done then.
	slow     *time.Timer
	attended context.CancelFunc
}

// initRounds makes the session ready for barriers.
func (s *session) initRounds() {
	s.slow = time.AfterFunc(s.attendance(), s.attend)
	s.slow.Stop()
}

// attendance is how often an agent is pinged while it is at a barrier.
func (s *session) attendance() time.Duration { return s.member.fleet.config.BarrierTimeout / 2 }

// join returns the round that is sent next, at once if none is under way. The caller holds the member's lock.
func (s *session) join() *round {
	if s.next == nil {
		s.next = &round{done: make(chan struct{})}
	}
	s.begin()
	return s.next
}

// begin has the next round sent, if there is one and none is under way. The caller holds the member's lock.
func (s *session) begin() {
	if s.next == nil || s.paused || !s.asked.IsZero() {
		return
	}
	if delay := s.member.readDelay(); delay > 0 {
		s.member.fleet.metrics.readsDelayed.Inc()
		s.paused = true
		time.AfterFunc(delay, s.resume)
		return
	}
	s.asked = time.Now()
	s.slow.Reset(s.attendance())
	s.due.Store(true)
	select {
	case <-s.turn:
		go s.send(nil)
	default: // Whoever has the turn sends the barrier, too.
	}
}

// resume ends a pause.
func (s *session) resume() {
	s.member.mu.Lock()
	defer s.member.mu.Unlock()
	s.paused = false
	s.begin()
}

// sendBarrier sends the next round.
func (s *session) sendBarrier() error {
	s.member.mu.Lock()
	s.current, s.next = s.next, nil
	s.member.mu.Unlock()
	s.mu.Lock()
	s.lastID++
	id := s.lastID
	s.barrierID = id
	s.mu.Unlock()
	return s.stream.Send(&agentpb.ServerMessage{Message: &agentpb.ServerMessage_Request{Request: &agentpb.Request{
		Id: id, Request: &agentpb.Request_Barrier{Barrier: &agentpb.Barrier{}},
	}}})
}

// passed ends the round that is under way, with the agent's answer. By then all that the agent
// has sent before the answer was recorded.
func (s *session) passed(reply *agentpb.Reply) {
	m := s.member
	if reply.GetRead() {
		m.charge()
	}
	err := agent.ErrorFromWire(reply.GetError())
	m.mu.Lock()
	defer m.mu.Unlock()
	begin, round := s.asked, s.current
	s.asked, s.current = time.Time{}, nil
	s.slow.Stop()
	if s.attended != nil {
		s.attended()
		s.attended = nil
	}
	if err == nil {
		m.fleet.metrics.barrier.Observe(time.Since(begin).Seconds())
		m.proved(s)
	} else {
		round.err = fmt.Errorf("barrier on node %s: %w", m.name, err)
	}
	close(round.done)
	s.begin()
}

// attend pings the agent, again and again, while a barrier is under way that takes long: an agent
// that reads answers pings, one that hangs does not.
func (s *session) attend() {
	s.member.mu.Lock()
	if s.asked.IsZero() || s.attended != nil {
		s.member.mu.Unlock()
		return
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	s.attended = end
	s.member.mu.Unlock()
	for {
		if err := s.ping(ctx); err != nil {
			return
		}
		s.member.alive(s)
		select {
		case <-time.After(s.attendance()):
		case <-ctx.Done():
			return
		case <-s.ended:
			return
		}
	}
}
