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
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
	"github.com/nmstate/kubernetes-nmstate/pkg/hostid"
)

// confirmer returns an uplink that nobody runs.
func (s *server) confirmer() *Uplink {
	return New(Config{
		Server: s.address, ServerName: "localhost", CAFile: filepath.Join(s.folder, "cert.pem"),
		Credentials: Files{Token: filepath.Join(s.folder, "token")}, Node: "node01",
	})
}

// TestConfirmReusesNothing: each question comes over a socket of its own, after a whole
// handshake, with the token as it is then.
func TestConfirmReusesNothing(t *testing.T) {
	s := startServer(t, secrets(t), "127.0.0.1:0")
	from, tokens := map[string]bool{}, map[string]bool{}
	s.confirm = func(ctx context.Context, question *agentpb.ConfirmRequest) (*agentpb.ConfirmResponse, error) {
		if question.GetNode() != "node01" || question.GetTransaction() != "id" || string(question.GetStateHash()) != "hash" || !question.GetRehearsal() {
			t.Errorf("the question is %v", question)
		}
		p, _ := peer.FromContext(ctx)
		if p.AuthInfo.(credentials.TLSInfo).State.DidResume {
			t.Error("a TLS session was resumed")
		}
		from[p.Addr.String()] = true
		tokens[metadata.ValueFromIncomingContext(ctx, agent.TokenKey)[0]] = true
		return &agentpb.ConfirmResponse{Server: "server-1", Host: "boot/7"}, nil
	}
	up := s.confirmer()
	for _, token := range []string{"one", "two", "three"} {
		write(t, filepath.Join(s.folder, "token"), []byte(token))
		got, err := up.Confirm(t.Context(), agent.Question{Transaction: "id", StateHash: []byte("hash"), Rehearsal: true})
		if want := (agent.Testimony{Server: "server-1"}); err != nil || got != want {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if len(from) != 3 || len(tokens) != 3 {
		t.Errorf("three questions came from %v with %v", from, tokens)
	}
}

// TestConfirmKnowsTheHost: a server that runs on the node itself counts only with what is outside.
func TestConfirmKnowsTheHost(t *testing.T) {
	here, err := hostid.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, secrets(t), "127.0.0.1:0")
	var response *agentpb.ConfirmResponse
	s.confirm = func(_ context.Context, question *agentpb.ConfirmRequest) (*agentpb.ConfirmResponse, error) {
		if question.GetHost() != here {
			t.Errorf("the question comes from host %q", question.GetHost())
		}
		return response, nil
	}
	for _, test := range []struct {
		response *agentpb.ConfirmResponse
		want     agent.Testimony
	}{
		{&agentpb.ConfirmResponse{Host: here, Outside: "192.0.2.7:6443"}, agent.Testimony{SameHost: true, Outside: "192.0.2.7:6443"}},
		{&agentpb.ConfirmResponse{Host: here}, agent.Testimony{SameHost: true}},
		{&agentpb.ConfirmResponse{Host: "boot/7", Node: "node01", Outside: "192.0.2.7:6443"}, agent.Testimony{SameHost: true, Outside: "192.0.2.7:6443"}},
		{&agentpb.ConfirmResponse{Host: "boot/7", Node: "node02", Outside: "192.0.2.7:6443"}, agent.Testimony{}},
		{&agentpb.ConfirmResponse{Server: "\x1b[2J" + strings.Repeat("s", 1000)}, agent.Testimony{Server: agent.Word("\x1b[2J" + strings.Repeat("s", 1000))}},
	} {
		response = test.response
		if got, err := s.confirmer().Confirm(t.Context(), agent.Question{Rehearsal: true}); err != nil || got != test.want {
			t.Errorf("%v: got %+v, %v, not %+v", test.response, got, err, test.want)
		}
	}
}

func TestConfirmThatFails(t *testing.T) {
	s := startServer(t, secrets(t), "127.0.0.1:0")
	s.confirm = func(context.Context, *agentpb.ConfirmRequest) (*agentpb.ConfirmResponse, error) {
		return nil, status.Error(codes.PermissionDenied, "the token does not speak for node01")
	}
	if got, err := s.confirmer().Confirm(t.Context(), agent.Question{}); err == nil || !strings.Contains(err.Error(), s.address) || !strings.Contains(err.Error(), "does not speak") {
		t.Errorf("a refusal: got %+v, %v", got, err)
	}
	// Somebody else at the address is nobody.
	stranger := s.confirmer()
	stranger.config.CAFile = filepath.Join(secrets(t), "cert.pem")
	s.confirm = nil
	if got, err := stranger.Confirm(t.Context(), agent.Question{}); err == nil {
		t.Errorf("a server of another CA: got %+v", got)
	}
	absent := s.confirmer()
	absent.config.Server = "127.0.0.1:1"
	if got, err := absent.Confirm(t.Context(), agent.Question{}); err == nil {
		t.Errorf("no server: got %+v", got)
	}
}

// TestConfirmByAnOlderServer: that it answers is all that it can testify.
func TestConfirmByAnOlderServer(t *testing.T) {
	s := startServer(t, secrets(t), "127.0.0.1:0")
	up, _ := s.launch(fake.New(), nil)
	for _, test := range []struct {
		protocol uint32
		want     error
	}{{0, nil}, {agent.Protocol, errNoConfirmation}} {
		s.protocol = test.protocol
		st := s.welcome()
		s.receive(st)
		got, err := up.Confirm(t.Context(), agent.Question{Transaction: "id"})
		if !errors.Is(err, test.want) || err == nil && got != (agent.Testimony{Server: olderServer}) {
			t.Errorf("protocol %d: got %+v, %v, not %v", test.protocol, got, err, test.want)
		}
		st.done <- status.Error(codes.Unavailable, "ended by a test")
	}
}

// relay passes connections on. Those that were made before it is frozen carry nothing any more.
type relay struct {
	net.Listener
	mu     sync.Mutex
	frozen map[net.Conn]bool
	conns  []net.Conn
}

func newRelay(t *testing.T, address string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: listener, frozen: map[net.Conn]bool{}}
	go func() {
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
			r.mu.Lock()
			r.conns = append(r.conns, near, far)
			r.mu.Unlock()
			go r.pass(near, far)
			go r.pass(far, near)
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, conn := range r.conns {
			conn.Close()
		}
	})
	return r
}

func (r *relay) pass(from, to net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		r.mu.Lock()
		frozen := r.frozen[from] || r.frozen[to]
		r.mu.Unlock()
		if err != nil {
			if !frozen && errors.Is(err, io.EOF) {
				to.Close()
			}
			return
		}
		if !frozen {
			_, _ = to.Write(buffer[:n])
		}
	}
}

func (r *relay) freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.conns {
		r.frozen[conn] = true
	}
}

// TestStaleStreamIsReplaced: once a new connection reaches the server, a stream that carries
// nothing any more is replaced, without a pause; but a rehearsal replaces nothing.
func TestStaleStreamIsReplaced(t *testing.T) {
	s := startServer(t, secrets(t), "127.0.0.1:0")
	s.confirm = func(context.Context, *agentpb.ConfirmRequest) (*agentpb.ConfirmResponse, error) {
		return &agentpb.ConfirmResponse{Server: "server-1"}, nil
	}
	r := newRelay(t, s.address)
	up, _ := s.launch(fake.New(), func(c *Config) {
		c.Server = r.Addr().String()
		c.BackoffMin, c.BackoffMax, c.BackoffShortLived = time.Hour, time.Hour, time.Hour
	})
	s.receive(s.welcome())
	confirm := func(rehearsal bool) {
		t.Helper()
		if _, err := up.Confirm(t.Context(), agent.Question{Rehearsal: rehearsal}); err != nil {
			t.Fatal(err)
		}
	}
	current := func() *link {
		up.mu.Lock()
		defer up.mu.Unlock()
		return up.link
	}
	alive := current()
	up.Reconnect(t.Context())
	if current() != alive || alive == nil {
		t.Error("a stream that is alive was replaced")
	}
	r.freeze()
	confirm(true)
	if current() != alive {
		t.Error("a rehearsal has replaced the stream")
	}
	confirm(false)
	s.receive(s.welcome())
}

// TestStreamWhoseAddressIsGone ends at once.
func TestStreamWhoseAddressIsGone(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1": true, "127.0.0.77": true, "::1": true, "203.0.113.1": false} {
		ends := &ends{latest: &net.TCPAddr{IP: net.ParseIP(address), Port: 1}}
		if got := ends.present(); got != want {
			t.Errorf("%s is present: %t", address, got)
		}
	}
	if !(&ends{}).present() {
		t.Error("an address that is not known is gone")
	}
	ended := make(chan error, 1)
	gone := &link{ends: &ends{latest: &net.TCPAddr{IP: net.ParseIP("203.0.113.1")}}, end: func(err error) { ended <- err }}
	gone.check(t.Context())
	if err := <-ended; !errors.Is(err, errStale) {
		t.Errorf("it ended with %v", err)
	}
}
