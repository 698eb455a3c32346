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
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/uplink"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// raw is an agent that says what a test makes it say.
type raw struct {
	agentpb.Fleet_ConnectClient
	t *testing.T
	// close drops the connection.
	close func()
}

// connection returns a connection to the server whose streams have the given token.
func (s *server) connection(token string) *grpc.ClientConn {
	s.t.Helper()
	tls, err := credentials.NewClientTLSFromFile(filepath.Join(s.folder, "cert.pem"), "localhost")
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.t.TempDir(), "token")
	write(s.t, path, []byte(token))
	conn, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(tls), grpc.WithNoProxy(),
		grpc.WithPerRPCCredentials(uplink.Files{Token: path}))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// raw connects to the server with the given token.
func (s *server) raw(token string) *raw {
	s.t.Helper()
	return s.rawOn(s.connection(token))
}

// rawOn opens a stream on a connection.
func (s *server) rawOn(conn *grpc.ClientConn) *raw {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	s.t.Cleanup(cancel)
	stream, err := agentpb.NewFleetClient(conn).Connect(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return &raw{stream, s.t, func() { conn.Close() }}
}

// admitted connects as a node and returns once it is admitted.
func (s *server) admitted(name string) *raw {
	s.t.Helper()
	r := s.raw(token)
	r.hello(name)
	first, err := r.Recv()
	if err != nil || first.GetWelcome() == nil {
		s.t.Fatalf("the first message is %v, %v, not a Welcome", first, err)
	}
	return r
}

// admittedAs is admitted, for an agent that says more of itself. Each of its objects has a base.
func (s *server) admittedAs(hello *agentpb.Hello) (*raw, *agentpb.Welcome) {
	s.t.Helper()
	r := s.raw(token)
	r.say(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Hello{Hello: hello}})
	first, err := r.Recv()
	if err != nil || first.GetWelcome() == nil {
		s.t.Fatalf("the first message is %v, %v, not a Welcome", first, err)
	}
	return r, first.GetWelcome()
}

// modern is the Hello of an agent of today.
func modern(name string) *agentpb.Hello {
	return &agentpb.Hello{Node: name, AgentVersion: "v9", Protocol: agent.Protocol, Capabilities: agent.Capabilities(), Instance: "first"}
}

// based sends an object with a base.
func (r *raw) based(text, base string) {
	r.t.Helper()
	r.say(&agentpb.AgentMessage{Base: base, Message: &agentpb.AgentMessage_Object{Object: []byte(text)}})
}

// say sends a message; that the server hung up is for the next Recv to tell.
func (r *raw) say(message *agentpb.AgentMessage) {
	r.t.Helper()
	if err := r.Send(message); err != nil && !errors.Is(err, io.EOF) {
		r.t.Fatal(err)
	}
}

func (r *raw) hello(name string) {
	r.t.Helper()
	r.say(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Hello{Hello: &agentpb.Hello{Node: name}}})
}

func (r *raw) object(text string) {
	r.t.Helper()
	r.say(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Object{Object: []byte(text)}})
}

func (r *raw) reply(reply *agentpb.Reply) {
	r.t.Helper()
	r.say(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Reply{Reply: reply}})
}

// request returns the next request but pings, which it answers.
func (r *raw) request() *agentpb.Request {
	r.t.Helper()
	for {
		message, err := r.Recv()
		if err != nil || message.GetRequest() == nil {
			r.t.Fatalf("got %v, %v, not a request", message, err)
		}
		if message.GetRequest().GetPing() == nil {
			return message.GetRequest()
		}
		r.reply(&agentpb.Reply{Id: message.GetRequest().Id})
	}
}

// pongs answers so many pings, which must be all that comes.
func (r *raw) pongs(count int) {
	for range count {
		message, err := r.Recv()
		if err != nil || message.GetRequest().GetPing() == nil {
			r.t.Errorf("got %v, %v, not a ping", message, err)
			return
		}
		r.reply(&agentpb.Reply{Id: message.GetRequest().Id})
	}
}

// barrier returns the id of the next request, which must be a barrier. It answers nothing.
func (r *raw) barrier() uint64 {
	r.t.Helper()
	message, err := r.Recv()
	if err != nil || message.GetRequest().GetBarrier() == nil {
		r.t.Fatalf("got %v, %v, not a barrier", message, err)
	}
	return message.GetRequest().Id
}

// end returns what the server ends the stream with.
func (r *raw) end() error {
	for {
		if _, err := r.Recv(); err != nil {
			return err
		}
	}
}

// objectText returns an object of an agent's, Available, with the given current state.
func objectText(t testing.TB, state string) string {
	t.Helper()
	obj := &v1alpha1.NodeNetworkState{}
	obj.Generation = 1
	obj.Status.CurrentState = v1alpha1.NewState([]byte(state))
	obj.Status.Conditions = conditionsOf(v1alpha1.ConditionAvailable, v1alpha1.ConditionInSync)
	text, err := agent.EncodeObject(obj)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// proxy passes TCP connections on until it is frozen: then it holds what comes, both ways.
type proxy struct {
	net.Listener
	mu     sync.Mutex
	frozen bool
	conns  []net.Conn
	// accepted gets an entry for each connection.
	accepted chan struct{}
}

// newProxy starts a proxy in front of the address.
func newProxy(t *testing.T, address string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: listener, accepted: make(chan struct{}, 1000)}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				near.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, near, far)
			p.mu.Unlock()
			p.accepted <- struct{}{}
			tasks.Go(func() { p.pass(near, far) })
			tasks.Go(func() { p.pass(far, near) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		tasks.Wait()
	})
	return p
}

// awaitSecond waits for a second connection.
func (p *proxy) awaitSecond(t *testing.T) {
	t.Helper()
	for range 2 {
		select {
		case <-p.accepted:
		case <-time.After(timeout):
			t.Fatal("nobody dialled again")
		}
	}
}

// freeze makes all connections silent for good.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
}

func (p *proxy) isFrozen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frozen
}

// pass passes on what comes; once frozen it takes it, so that no side sees a full socket.
func (p *proxy) pass(from, to net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			if !p.isFrozen() {
				to.Close()
			}
			return
		}
		if !p.isFrozen() {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
}
