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

package uplink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// served is one stream with the agent that is served on it.
//
// The agent delivers an object before it returns the reply that depends on it, and
// delivered objects are sent at once: so the object always precedes the reply.
type served struct {
	stream agentpb.Fleet_ConnectClient
	agent  agent.Agent
	node   string
	// known is the hash of the object that the server has of the node already,
	// nil once an object was sent.
	known []byte
	// protocol is the server's.
	protocol uint32
	// end ends the stream because of an error.
	end context.CancelCauseFunc
	// sending is held while a message is sent: the stream takes one at a time.
	sending sync.Mutex

	mu sync.Mutex
	// last is the object that was delivered last.
	last *v1alpha1.NodeNetworkState
}

// serve answers requests and sends objects until the stream ends; it always returns an
// error. The function end ends the stream. What the agent is doing then goes on without it.
func serve(ctx context.Context, end context.CancelCauseFunc, stream agentpb.Fleet_ConnectClient, welcome *agentpb.Welcome, config Config) error {
	s := &served{stream: stream, agent: config.Agent, node: config.Node, known: welcome.GetObjectHash(), protocol: welcome.GetProtocol(), end: end}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		err := s.agent.Watch(ctx, s.deliver)
		end(fmt.Errorf("watching node %s: %w", s.node, err))
	})
	err := s.receive(ctx, &tasks)
	end(err)
	tasks.Wait()
	return err
}

// receive answers each request in a goroutine of its own.
func (s *served) receive(ctx context.Context, tasks *sync.WaitGroup) error {
	for {
		message, err := s.stream.Recv()
		if err != nil {
			return fmt.Errorf("the stream ended: %w", err)
		}
		request := message.GetRequest()
		if request == nil {
			continue
		}
		tasks.Go(func() { s.answer(ctx, request) })
	}
}

// deliver sends an object, or that it is what the server has already, and by which token
// the server is to name it as the base of a change.
func (s *served) deliver(obj *v1alpha1.NodeNetworkState) {
	text, err := agent.EncodeFitting(obj)
	if err != nil {
		s.end(err)
		return
	}
	base, err := agent.Fingerprint(obj)
	if err != nil {
		s.end(err)
		return
	}
	s.mu.Lock()
	s.last = obj
	s.mu.Unlock()
	if s.known != nil && bytes.Equal(agent.HashObject(text), s.known) {
		s.send(&agentpb.AgentMessage{Base: base, Message: &agentpb.AgentMessage_Unchanged{Unchanged: s.known}})
	} else {
		s.send(&agentpb.AgentMessage{Base: base, Message: &agentpb.AgentMessage_Object{Object: text}})
	}
	s.known = nil
}

// change returns a change that came from the server, as the agent takes it.
func (s *served) change(wire *agentpb.Change) (agent.Change, error) {
	change, err := agent.DecodeChange(wire, s.node)
	if err != nil || s.protocol > 0 {
		return change, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return change, translate(&change, s.last)
}

// answer carries out a request and sends the reply.
func (s *served) answer(ctx context.Context, request *agentpb.Request) {
	reply := &agentpb.Reply{Id: request.Id}
	obj, err := s.carryOut(ctx, request, reply)
	if err == nil && obj != nil {
		reply.Object, err = agent.EncodeFitting(obj)
	}
	reply.Error = agent.ErrorToWire(err)
	if ctx.Err() != nil {
		return
	}
	s.send(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Reply{Reply: reply}})
}

// carryOut asks the agent. What a reply has beside object and error it puts into reply.
func (s *served) carryOut(ctx context.Context, request *agentpb.Request, reply *agentpb.Reply) (*v1alpha1.NodeNetworkState, error) {
	logger := klog.FromContext(ctx).WithValues("request", request.Id)
	var wire *agentpb.Change
	switch kind := request.Request.(type) {
	case *agentpb.Request_Ping:
		return nil, nil
	case *agentpb.Request_Barrier:
		var err error
		reply.Read, err = s.agent.Barrier(ctx)
		return nil, err
	case *agentpb.Request_Validate:
		wire = kind.Validate
	case *agentpb.Request_Apply:
		wire = kind.Apply
		logger.Info("Applying a change", "user", wire.GetUser(), "transaction", wire.GetId())
	case *agentpb.Request_Decide:
		return s.agent.Decide(ctx, agent.DecodeDecision(kind.Decide))
	case *agentpb.Request_History:
		history, err := s.history(ctx, kind.History.GetChange())
		if err == nil {
			reply.History, err = agent.EncodeHistory(history)
		}
		return nil, err
	case *agentpb.Request_Ports:
		ports, err := s.agent.Ports(ctx)
		if err == nil {
			reply.Ports, err = agent.EncodePorts(ports)
		}
		return nil, err
	default:
		return nil, &agent.Error{Kind: agent.Failed, Reason: "UnknownRequest", Message: "this agent does not know the request"}
	}
	change, err := s.change(wire)
	if err != nil {
		return nil, err
	}
	if _, dry := request.Request.(*agentpb.Request_Validate); dry {
		plan, err := s.agent.Validate(ctx, change)
		if err != nil {
			return nil, err
		}
		reply.Warnings = plan.Warnings
		return plan.Object, nil
	}
	obj, err := s.agent.Apply(ctx, change)
	logger.Info("Answered to the change", "err", err)
	return obj, err
}

// history returns the last changes, or the one with that id alone.
func (s *served) history(ctx context.Context, id string) (*v1alpha1.NodeNetworkStateHistory, error) {
	if id == "" {
		return s.agent.History(ctx)
	}
	history := &v1alpha1.NodeNetworkStateHistory{}
	last, err := s.agent.Recall(ctx, id)
	if last != nil {
		history.Entries = []v1alpha1.HistoryEntry{{LastApply: *last}}
	}
	return history, err
}

// send sends a message. If the stream has ended, Send returns io.EOF, and receive gets the reason.
func (s *served) send(message *agentpb.AgentMessage) {
	s.sending.Lock()
	defer s.sending.Unlock()
	if err := s.stream.Send(message); err != nil && !errors.Is(err, io.EOF) {
		s.end(fmt.Errorf("sending: %w", err))
	}
}
