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
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// Connect implements agentpb.FleetServer: one stream, from its greeting to its end.
func (f *Fleet) Connect(stream agentpb.Fleet_ConnectServer) error {
	logger := klog.FromContext(stream.Context())
	var door credentials.AuthInfo
	if p, ok := peer.FromContext(stream.Context()); ok {
		door = p.AuthInfo
		greet(door)
		logger = logger.WithValues("peer", p.Addr.String())
	}
	m, hello, err := f.admit(stream)
	if err != nil {
		f.metrics.event(eventRefused)
		logger.Info("Agent refused", "node", brief(hello.GetNode()), "err", err)
		return err
	}
	defer admitOn(door)()
	logger = logger.WithValues("node", m.name)
	s := newSession(m, stream, logger)
	s.speaker = speakerOf(stream.Context(), hello)
	m.enter(s)
	defer m.detach(s)
	welcome := &agentpb.Welcome{ObjectHash: m.lastHash(), Protocol: agent.Protocol, Host: f.config.Self.Host}
	if err := stream.Send(&agentpb.ServerMessage{Message: &agentpb.ServerMessage_Welcome{Welcome: welcome}}); err != nil {
		return err
	}
	f.metrics.event(eventConnected)
	logger.Info("Agent connected", "agentVersion", s.speaker.version, "protocol", s.speaker.protocol)
	err = s.run()
	f.metrics.event(eventLost)
	logger.Info("Agent lost", "err", err)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// admit takes an agent's greeting and returns the node that it speaks for. The
// error is sent to the agent. The Hello is returned on an error too, if it came.
func (f *Fleet) admit(stream agentpb.Fleet_ConnectServer) (*member, *agentpb.Hello, error) {
	ctx, cancel := context.WithTimeout(stream.Context(), f.config.HelloTimeout)
	defer cancel()
	identity, err := f.authenticate(ctx, f.config.Authenticator)
	if err != nil {
		return nil, nil, err
	}
	ctx, leave := f.greeters.enter(ctx, identity.Name)
	defer leave()
	hello, err := receiveHello(ctx, stream)
	if err != nil {
		return nil, nil, pushedOut(ctx, err)
	}
	if err := identity.Claim(ctx, hello); err != nil {
		return nil, hello, pushedOut(ctx, withCode(codes.PermissionDenied, err))
	}
	m := f.await(ctx, hello.GetNode())
	if m == nil {
		return nil, hello, pushedOut(ctx, status.Errorf(codes.NotFound, "there is no node %q", hello.GetNode()))
	}
	return m, hello, nil
}

// authenticate returns who the agent is, as by says. The error is sent to the agent.
func (f *Fleet) authenticate(ctx context.Context, by Authenticator) (*Identity, error) {
	source := sourceOf(ctx)
	ctx, leave := f.strangers.enter(ctx, source)
	defer leave()
	if err := f.attempts.wait(ctx, source); err != nil {
		return nil, err
	}
	identity, err := by.Authenticate(ctx)
	if err != nil {
		return nil, pushedOut(ctx, withCode(codes.Unauthenticated, err))
	}
	return identity, nil
}

// maxHello is the size in bytes that a Hello may have. It has a node's name and labels.
const maxHello = 64 << 10

// receiveHello returns the first message, which must be a Hello and come before ctx ends.
func receiveHello(ctx context.Context, stream agentpb.Fleet_ConnectServer) (*agentpb.Hello, error) {
	message, err := receiveFirst(ctx, "Hello", stream.Recv)
	if err != nil {
		return nil, err
	}
	hello := message.GetHello()
	if hello.GetNode() == "" {
		return nil, status.Error(codes.InvalidArgument, "the first message is no Hello that names a node")
	}
	return hello, checkGreeting(hello, hello.GetNode())
}

// receiveFirst returns the first message of a stream, which must come before ctx ends. what is what it is called.
func receiveFirst[M any](ctx context.Context, what string, receive func() (M, error)) (M, error) {
	type first struct {
		message M
		err     error
	}
	received := make(chan first, 1)
	go func() {
		message, err := receive()
		received <- first{message, err}
	}()
	select {
	case r := <-received:
		return r.message, r.err
	case <-ctx.Done():
		var none M
		return none, status.Errorf(codes.DeadlineExceeded, "no %s came in time", what)
	}
}

// checkGreeting refuses a first message that is too large, or that names a node by a name that is.
func checkGreeting(greeting proto.Message, node string) error {
	if size := proto.Size(greeting); len(node) > validation.DNS1123SubdomainMaxLength || size > maxHello {
		return status.Errorf(codes.InvalidArgument, "the first message has %d bytes, %d of them the node's name: more than %d and %d are not taken",
			size, len(node), maxHello, validation.DNS1123SubdomainMaxLength)
	}
	return nil
}

// withCode returns a gRPC status error of that code, unless err has a status of its own.
func withCode(code codes.Code, err error) error {
	if own, ok := status.FromError(err); ok {
		code = own.Code()
		err = errors.New(own.Message())
	}
	return status.Error(code, brief(err.Error()))
}

// brief returns the beginning of a text that comes from an agent, or quotes what an
// agent said. It goes into the log, as often as the agent connects.
func brief(text string) string {
	const most, cut = 512, " [cut]"
	if len(text) > most {
		text = text[:most-len(cut)] + cut
	}
	return strings.ToValidUTF8(text, "")
}

// withLogger gives the streams of a server a logger.
func withLogger(logger klog.Logger) grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return handler(server, loggedStream{stream, klog.NewContext(stream.Context(), logger)})
	}
}

// loggedStream is a stream whose context has a logger.
type loggedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s loggedStream) Context() context.Context { return s.ctx }
