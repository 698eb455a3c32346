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
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// Why the server ends a session. They are sent to the agent.
var (
	errReplaced    = status.Error(codes.Aborted, "a newer stream speaks for the node")
	errNodeRemoved = status.Error(codes.NotFound, "the node was removed")
)

// A request ends with errEnded if its session ends before the reply comes, and with
// errNotSent if it was not sent.
var (
	errEnded   = errors.New("the stream to the agent ended")
	errNotSent = errors.New("the request was not sent")
)

// session is one admitted stream of an agent.
type session struct {
	member *member
	stream agentpb.Fleet_ConnectServer
	logger klog.Logger
	// speaker is who is at the other end.
	speaker speaker
	// turn has an element while nothing is being sent. Whoever takes it may send.
	turn chan struct{}
	// rounds are the barriers.
	rounds
	// heard is when the agent sent something last. silent says that it was asked and has
	// sent nothing since. The member's lock guards them.
	heard  time.Time
	silent bool
	// ended is closed when the session ends, cause then says why.
	ended chan struct{}

	mu     sync.Mutex
	cause  error
	lastID uint64
	// barrierID is the id of the barrier that was sent and not answered, 0 if there is none.
	barrierID uint64
	pending   map[uint64]*pending
}

// pending is a request that has no reply yet.
type pending struct {
	begin time.Time
	apply bool
	// unsent tells that the request could not be sent; the session's lock guards it.
	unsent bool
	// reply gets the one reply.
	reply chan *agentpb.Reply
}

func newSession(m *member, stream agentpb.Fleet_ConnectServer, logger klog.Logger) *session {
	s := &session{
		member:  m,
		stream:  stream,
		logger:  logger,
		turn:    make(chan struct{}, 1),
		ended:   make(chan struct{}),
		pending: map[uint64]*pending{},
	}
	s.turn <- struct{}{}
	s.initRounds()
	return s
}

// run serves the session, which its node knows of, until it ends, and returns why. It
// does not wait for a Send: an agent that reads nothing can make one last for good. gRPC
// ends it when the stream ends, which it does after run has returned.
func (s *session) run() error {
	go func() { s.end(s.receive()) }()
	<-s.ended
	return s.cause
}

// send sends a message, nil for none, and the barrier that is due. The caller has taken the turn, which
// send gives back. It runs in a goroutine of its own, which is there only while something is sent: the stack
// of a goroutine for each node would take much of the memory of a server that has many.
func (s *session) send(message *agentpb.ServerMessage) {
	for {
		if message != nil {
			// An error of Send means that the agent does not get the message.
			if err := s.stream.Send(message); err != nil {
				s.unsent(message.GetRequest().GetId())
				s.end(err)
			}
			message = nil
		}
		if s.due.Swap(false) {
			if err := s.sendBarrier(); err != nil {
				s.end(err)
			}
		}
		s.turn <- struct{}{}
		// Whoever found the turn taken meanwhile has left the barrier to this loop.
		if !s.due.Load() || s.hasEnded() {
			return
		}
		select {
		case <-s.turn:
		default:
			return
		}
	}
}

// end ends the session because of cause, unless it has ended.
func (s *session) end(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return
	}
	s.cause = cause
	for _, p := range s.pending {
		if p.apply && !p.unsent {
			s.member.fleet.metrics.observeApply(string(agent.Lost), p.begin)
		}
	}
	close(s.ended)
}

func (s *session) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// receive takes what the agent says until the stream ends; it returns why.
func (s *session) receive() error {
	for {
		message, err := s.stream.Recv()
		if err != nil {
			return err
		}
		s.member.heard(s)
		if err := s.member.budget.WaitN(s.stream.Context(), cost(message)); err != nil {
			return err
		}
		if base := message.GetBase(); len(base) > agent.MaxBase {
			return status.Errorf(codes.InvalidArgument, "the base has %d bytes, and may have at most %d", len(base), agent.MaxBase)
		}
		switch m := message.Message.(type) {
		case *agentpb.AgentMessage_Object:
			if err := apart(func() error { return s.observe(m.Object, message.GetBase()) }); err != nil {
				return err
			}
		case *agentpb.AgentMessage_Unchanged:
			if !s.member.unchanged(s, m.Unchanged, message.GetBase()) {
				return status.Error(codes.FailedPrecondition, "the server has another object of the node than the agent thinks: connect again")
			}
		case *agentpb.AgentMessage_Reply:
			s.answered(m.Reply)
		default:
			return status.Error(codes.InvalidArgument, "a message that is neither an object nor a reply")
		}
	}
}

// observe takes the text of an object that the agent has sent. The error is sent to the agent.
func (s *session) observe(text []byte, base string) error {
	own, err := agent.DecodeObject(text, s.member.name)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	s.member.object(s, known{own: own, base: base, hash: agent.HashObject(text), size: len(text)})
	return nil
}

// apart returns what do returns, which runs in a goroutine of its own. To decode an object takes a deep stack. A
// goroutine that waits for the next message most of the time would keep it: Go halves a stack
// only where less than a quarter is in use.
func apart(do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	return <-done
}

// answered passes a reply to the callers of the barrier, or to that of ask if it still waits.
func (s *session) answered(reply *agentpb.Reply) {
	s.mu.Lock()
	if s.barrierID != 0 && reply.GetId() == s.barrierID {
		s.barrierID = 0
		s.mu.Unlock()
		s.passed(reply)
		return
	}
	defer s.mu.Unlock()
	p := s.pending[reply.GetId()]
	if p == nil {
		return
	}
	delete(s.pending, reply.GetId())
	if p.apply {
		outcome := "Committed"
		if err := agent.ErrorFromWire(reply.GetError()); err != nil {
			outcome = string(agent.KindOf(err))
		}
		s.member.fleet.metrics.observeApply(outcome, p.begin)
	}
	p.reply <- reply
}

// ask sends a request, which it gives an id, and returns the reply. The error is
// errNotSent, errEnded or ctx's, wrapped.
func (s *session) ask(ctx context.Context, request *agentpb.Request) (*agentpb.Reply, error) {
	_, apply := request.Request.(*agentpb.Request_Apply)
	p := &pending{begin: time.Now(), apply: apply, reply: make(chan *agentpb.Reply, 1)}
	s.mu.Lock()
	s.lastID++
	request.Id = s.lastID
	s.pending[request.Id] = p
	s.mu.Unlock()
	select {
	case <-s.turn:
	case <-s.ended:
		return nil, errors.Join(errNotSent, errEnded)
	case <-ctx.Done():
		s.forget(request.Id)
		return nil, errors.Join(errNotSent, ctx.Err())
	}
	if s.hasEnded() {
		return nil, errors.Join(errNotSent, errEnded)
	}
	go s.send(&agentpb.ServerMessage{Message: &agentpb.ServerMessage_Request{Request: request}})
	select {
	case reply := <-p.reply:
		return reply, nil
	case <-s.ended:
		// What was answered before the end is an answer.
		select {
		case reply := <-p.reply:
			return reply, nil
		default:
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if p.unsent {
			return nil, errors.Join(errNotSent, errEnded)
		}
		return nil, errEnded
	case <-ctx.Done():
		if !apply {
			// The outcome of an apply is measured however late it comes.
			s.forget(request.Id)
		}
		return nil, ctx.Err()
	}
}

// unsent records that a request could not be sent.
func (s *session) unsent(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pending[id]; p != nil {
		p.unsent = true
	}
}

func (s *session) forget(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, id)
}

// ping returns once the agent has said that it is alive. The error is ask's.
func (s *session) ping(ctx context.Context) error {
	// An agent of an older version answers with an error. That is an answer.
	_, err := s.ask(ctx, &agentpb.Request{Request: &agentpb.Request_Ping{Ping: &agentpb.Ping{}}})
	return err
}
