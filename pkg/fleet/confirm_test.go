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
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/uplink"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
	"github.com/nmstate/kubernetes-nmstate/pkg/hostid"
)

// ask asks over a connection of its own, with the given token.
func (s *server) ask(token string, question *agentpb.ConfirmRequest) (*agentpb.ConfirmResponse, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), timeout)
	defer cancel()
	conn := s.connection(token)
	defer conn.Close()
	return agentpb.NewFleetClient(conn).Confirm(ctx, question)
}

// TestConfirm: the server says who it is, and looks outside only if it runs on the node.
func TestConfirm(t *testing.T) {
	self := Self{Name: "server-1", Host: "boot/7", Node: "node02"}
	looked := make(chan string, 100)
	s := startServer(t, func(c *Config) {
		c.Self = self
		c.Outside = func(_ context.Context, node Node) (string, error) {
			looked <- node.Name
			if node.Name == "node03" {
				return "", errors.New("nothing answers")
			}
			return "192.0.2.7:6443", nil
		}
	}, "node01", "node02", "node03")
	for _, test := range []struct {
		node, host, outside string
		looks               bool
	}{
		{node: "node01", host: "boot/8"},
		{node: "node01"},
		{node: "node01", host: strings.Repeat("h", maxHost+1)},
		{node: "node01", host: self.Host, outside: "192.0.2.7:6443", looks: true},
		{node: "node02", host: "boot/8", outside: "192.0.2.7:6443", looks: true},
		{node: "node03", host: self.Host, looks: true},
	} {
		got, err := s.ask(token, &agentpb.ConfirmRequest{Node: test.node, Host: test.host, Transaction: "id"})
		if err != nil || got.GetServer() != self.Name || got.GetHost() != self.Host || got.GetNode() != self.Node || got.GetOutside() != test.outside {
			t.Errorf("%+v got %v, %v", test, got, err)
		}
		if len(looked) > 0 != test.looks {
			t.Errorf("%+v: the server has looked outside %d times", test, len(looked))
		}
		for len(looked) > 0 {
			if node := <-looked; node != test.node {
				t.Errorf("the server has looked outside of %s", node)
			}
		}
	}
	if got := s.count(eventConfirmed); got != 6 {
		t.Errorf("%v confirmations were counted", got)
	}
}

// TestConfirmIsRefused: who is not admitted is not answered either, and nobody is admitted by it.
func TestConfirmIsRefused(t *testing.T) {
	s := startServer(t, func(c *Config) {
		c.HelloTimeout = time.Second
		c.Self = Self{Name: "server-1", Host: "boot/7"}
	}, "node01", "forbidden")
	for _, test := range []struct {
		token, node string
		code        codes.Code
	}{
		{"wrong", "node01", codes.Unauthenticated},
		{token, "forbidden", codes.PermissionDenied},
		{token, "", codes.NotFound},
		{token, "node99", codes.NotFound},
		{token, strings.Repeat("n", 1000), codes.InvalidArgument},
	} {
		got, err := s.ask(test.token, &agentpb.ConfirmRequest{Node: test.node})
		if status.Code(err) != test.code || got != nil {
			t.Errorf("%.20q with token %q got %v, %v, not %s", test.node, test.token, got, err, test.code)
		}
	}
	_, err := s.ask(token, &agentpb.ConfirmRequest{Node: "node01", StateHash: make([]byte, maxHello)})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a question that is too large got %v", err)
	}
}

// anew admits nobody, and tells how often it was asked.
type anew struct{ asked chan struct{} }

func (a anew) Authenticate(context.Context) (*Identity, error) {
	a.asked <- struct{}{}
	return nil, errors.New("the token was revoked")
}

// TestConfirmAuthenticatesAnew: not as Connect does, and before the question is read.
func TestConfirmAuthenticatesAnew(t *testing.T) {
	asked := make(chan struct{}, 100)
	s := startServer(t, func(c *Config) { c.Anew = anew{asked} }, "node01")
	s.join("node01")
	stream, err := s.connection(token).NewStream(t.Context(), &grpc.StreamDesc{}, agentpb.Fleet_Confirm_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing is sent.
	if err := stream.RecvMsg(&agentpb.ConfirmResponse{}); status.Code(err) != codes.Unauthenticated || len(asked) != 1 {
		t.Errorf("got %v, after %d authentications", err, len(asked))
	}
}

// TestSilentQuestionsMakeRoom: streams for a question are bounded together with those for a Hello.
func TestSilentQuestionsMakeRoom(t *testing.T) {
	s := startServer(t, func(c *Config) { c.MaxGreetings = 2 }, "node01")
	open := func(token string) grpc.ClientStream {
		stream, err := s.connection(token).NewStream(t.Context(), &grpc.StreamDesc{}, agentpb.Fleet_Confirm_FullMethodName)
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	oldest := open(token)
	for range 2 {
		open(token)
		s.raw(token)
	}
	if err := oldest.RecvMsg(&agentpb.ConfirmResponse{}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("the oldest of them got %v", err)
	}
	if _, err := s.ask(token+"-another", &agentpb.ConfirmRequest{Node: "node01"}); err != nil {
		t.Errorf("another agent got %v", err)
	}
}

// TestLooksAreBounded: an agent cannot make the server look outside as often as it likes.
func TestLooksAreBounded(t *testing.T) {
	looks := 0
	f := New(Config{Sink: newSink(), Self: Self{Host: "boot/7"}, Outside: func(context.Context, Node) (string, error) {
		looks++
		return "192.0.2.7:6443", nil
	}})
	m := newMember(f, nodeNamed("node01"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 * looksPerNode {
		f.outside(ctx, m, &agentpb.ConfirmRequest{Host: "boot/7"})
	}
	if looks > 2*looksPerNode {
		t.Errorf("the server has looked %d times at once", looks)
	}
}

// TestConfirmByAnUplink: an agent knows that the server shares its host.
func TestConfirmByAnUplink(t *testing.T) {
	here, err := hostid.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, func(c *Config) {
		c.Self = Self{Name: "server-1", Host: here}
		c.Outside = func(context.Context, Node) (string, error) { return "192.0.2.7:6443", nil }
	}, "node01")
	up := uplink.New(uplink.Config{
		Server: s.address, ServerName: "localhost", CAFile: s.folder + "/cert.pem",
		Credentials: uplink.Files{Token: s.folder + "/token"}, Node: "node01", Agent: fake.New(),
	})
	got, err := up.Confirm(t.Context(), agent.Question{Transaction: "id", Rehearsal: true})
	if want := (agent.Testimony{Server: "server-1", SameHost: true, Outside: "192.0.2.7:6443"}); err != nil || got != want {
		t.Errorf("got %+v, %v, not %+v", got, err, want)
	}
	// A server that takes over can confirm at once: it remembers nothing, and needs no stream.
	if s.count(eventConnected) != 0 {
		t.Error("a question was taken for a stream")
	}
}
