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
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

const (
	// looksPerNode is how often a second this server looks for something outside of one
	// node, which takes two requests to the cluster over connections of their own.
	looksPerNode = 2
	// lookTimeout bounds one look. It is shorter than agents wait for an answer.
	lookTimeout = 3 * time.Second
	// maxHost is the size in bytes that a host in a question may have.
	maxHost = 256
)

// description returns the service with Confirm as a stream of one message each way, which is the
// same to whoever calls it. gRPC reads the message of a unary call, of up to
// MaxMessageSize, before anybody has looked who calls.
func description() *grpc.ServiceDesc {
	desc := agentpb.Fleet_ServiceDesc
	desc.Methods = nil
	desc.Streams = append(slices.Clone(desc.Streams), grpc.StreamDesc{
		StreamName: "Confirm",
		Handler:    func(server any, stream grpc.ServerStream) error { return server.(*Fleet).confirm(stream) },
	})
	return &desc
}

// confirm tells an agent that it can reach this server. What it proves is that the
// question came: nothing is remembered, so a server that has just taken over can do it.
func (f *Fleet) confirm(stream grpc.ServerStream) error {
	logger := klog.FromContext(stream.Context())
	if p, ok := peer.FromContext(stream.Context()); ok {
		greet(p.AuthInfo)
		logger = logger.WithValues("peer", p.Addr.String())
	}
	ctx, cancel := context.WithTimeout(klog.NewContext(stream.Context(), logger), f.config.HelloTimeout)
	defer cancel()
	question, response, err := f.testify(ctx, stream)
	logger = logger.WithValues("node", brief(question.GetNode()), "transaction", brief(question.GetTransaction()), "rehearsal", question.GetRehearsal())
	if err != nil {
		f.metrics.event(eventRefused)
		logger.Info("Agent is refused a confirmation", "err", err)
		return err
	}
	f.metrics.event(eventConfirmed)
	logger.Info("Agent can reach this server", "outside", response.GetOutside())
	return stream.SendMsg(response)
}

// testify returns what an agent has asked, if it has come, and what to answer. An agent has to
// pass what it has to pass to be admitted, see admit; but nobody joins by a question.
func (f *Fleet) testify(ctx context.Context, stream grpc.ServerStream) (*agentpb.ConfirmRequest, *agentpb.ConfirmResponse, error) {
	identity, err := f.authenticate(ctx, f.config.Anew)
	if err != nil {
		return nil, nil, err
	}
	ctx, leave := f.greeters.enter(ctx, identity.Name)
	defer leave()
	question, err := receiveFirst(ctx, "question", func() (*agentpb.ConfirmRequest, error) {
		question := &agentpb.ConfirmRequest{}
		return question, stream.RecvMsg(question)
	})
	if err != nil {
		return nil, nil, pushedOut(ctx, err)
	}
	if err := checkGreeting(question, question.GetNode()); err != nil {
		return nil, nil, err
	}
	if identity.Speaks == nil {
		return question, nil, status.Error(codes.PermissionDenied, "this server cannot tell which node the agent speaks for")
	}
	if err := identity.Speaks(question.GetNode()); err != nil {
		return question, nil, withCode(codes.PermissionDenied, err)
	}
	m := f.await(ctx, question.GetNode())
	if m == nil {
		return question, nil, pushedOut(ctx, status.Errorf(codes.NotFound, "there is no node %q", question.GetNode()))
	}
	self := f.config.Self
	return question, &agentpb.ConfirmResponse{Server: self.Name, Host: self.Host, Node: self.Node, Outside: f.outside(ctx, m, question)}, nil
}

// outside returns what lies outside of the agent's node and answers this server; empty if
// nothing does, or if this server does not run on that node, so that its own answer is enough.
func (f *Fleet) outside(ctx context.Context, m *member, question *agentpb.ConfirmRequest) string {
	self := f.config.Self
	if host := question.GetHost(); len(host) > maxHost || (self.Host == "" || self.Host != host) && (self.Node == "" || self.Node != m.name) {
		return ""
	}
	if f.config.Outside == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if err := m.looks.Wait(ctx); err != nil {
		return ""
	}
	found, err := f.config.Outside(ctx, m.node())
	if err != nil {
		klog.FromContext(ctx).Info("Nothing outside of the node that this server runs on has answered", "node", m.name, "err", err)
		return ""
	}
	return found
}
