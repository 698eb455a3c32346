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
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// timeout is how long anything may take on a machine that is busy with other things.
const timeout = time.Minute

// server is a server whose streams a test handles by itself.
type server struct {
	agentpb.UnimplementedFleetServer
	t       *testing.T
	folder  string
	address string
	// streams gets each stream; the test answers on done how it ends.
	streams chan stream
	// confirm answers questions; without it the server is one of protocol 0.
	confirm func(ctx context.Context, question *agentpb.ConfirmRequest) (*agentpb.ConfirmResponse, error)
	// protocol is the one that the server says it speaks.
	protocol uint32
}

func (s *server) Confirm(ctx context.Context, question *agentpb.ConfirmRequest) (*agentpb.ConfirmResponse, error) {
	if s.confirm == nil {
		return s.UnimplementedFleetServer.Confirm(ctx, question)
	}
	return s.confirm(ctx, question)
}

type stream struct {
	agentpb.Fleet_ConnectServer
	done chan error
}

func (s *server) Connect(c agentpb.Fleet_ConnectServer) error {
	st := stream{c, make(chan error, 1)}
	select {
	case s.streams <- st:
	case <-c.Context().Done():
		return c.Context().Err()
	}
	select {
	case err := <-st.done:
		return err
	case <-c.Context().Done():
		return c.Context().Err()
	}
}

// startServer starts a server whose certificate is in the folder.
func startServer(t *testing.T, folder, address string) *server {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, folder: folder, address: listener.Addr().String(), streams: make(chan stream)}
	g := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&certificate)), grpc.MaxRecvMsgSize(agent.MaxMessageSize))
	agentpb.RegisterFleetServer(g, s)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = g.Serve(listener)
	}()
	t.Cleanup(func() {
		g.Stop()
		<-ended
	})
	return s
}

// next returns the next stream.
func (s *server) next() stream {
	s.t.Helper()
	select {
	case st := <-s.streams:
		return st
	case <-time.After(timeout):
		s.t.Fatal("nobody connects")
		return stream{}
	}
}

// welcome returns the next stream, after Hello and Welcome.
func (s *server) welcome() stream {
	s.t.Helper()
	st := s.next()
	message, err := st.Recv()
	if err != nil || message.GetHello().GetNode() != "node01" {
		s.t.Fatalf("the first message is %v, %v, not a Hello", message, err)
	}
	s.send(st, &agentpb.ServerMessage{Message: &agentpb.ServerMessage_Welcome{Welcome: &agentpb.Welcome{Protocol: s.protocol}}})
	return st
}

func (s *server) send(st stream, message *agentpb.ServerMessage) {
	s.t.Helper()
	if err := st.Send(message); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) ask(st stream, request *agentpb.Request) {
	s.t.Helper()
	s.send(st, &agentpb.ServerMessage{Message: &agentpb.ServerMessage_Request{Request: request}})
}

// receive returns the next message.
func (s *server) receive(st stream) *agentpb.AgentMessage {
	s.t.Helper()
	message, err := st.Recv()
	if err != nil {
		s.t.Fatal(err)
	}
	return message
}

// start starts an uplink to the server; the channel gets what Run returns, stop ends it.
func (s *server) start(a agent.Agent, edit func(*Config)) (stop func() error) {
	s.t.Helper()
	_, stop = s.launch(a, edit)
	return stop
}

// launch is start, and returns the uplink, too.
func (s *server) launch(a agent.Agent, edit func(*Config)) (up *Uplink, stop func() error) {
	s.t.Helper()
	config := Config{
		Server: s.address, ServerName: "localhost", CAFile: filepath.Join(s.folder, "cert.pem"),
		Credentials: Files{Token: filepath.Join(s.folder, "token")},
		Node:        "node01", Labels: map[string]string{"a": "b"}, Version: "v9", Agent: a,
		BackoffMin: 10 * time.Millisecond, BackoffMax: 50 * time.Millisecond,
		BackoffRefused: 50 * time.Millisecond, BackoffShortLived: 50 * time.Millisecond,
	}
	if edit != nil {
		edit(&config)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	up = New(config)
	go func() { ended <- up.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	s.t.Cleanup(func() { _ = stop() })
	return up, stop
}

// secrets makes a folder with a certificate for localhost, its own CA, and a token.
func secrets(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	newCertificate(t, folder)
	write(t, filepath.Join(folder, "token"), []byte(" the-token \n"))
	return folder
}

func newCertificate(t *testing.T, folder string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
	write(t, filepath.Join(folder, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestIntroductionAndObjects(t *testing.T) {
	s := startServer(t, secrets(t), "127.0.0.1:0")
	node := fake.New()
	stop := s.start(node, nil)
	st := s.next()
	if got := metadata.ValueFromIncomingContext(st.Context(), agent.TokenKey); len(got) != 1 || got[0] != "Bearer the-token" {
		t.Errorf("the token came as %q", got)
	}
	hello := s.receive(st).GetHello()
	if hello.GetNode() != "node01" || hello.GetLabels()["a"] != "b" || hello.GetAgentVersion() != "v9" ||
		hello.GetProtocol() != agent.Protocol || !slices.Equal(hello.GetCapabilities(), agent.Capabilities()) {
		t.Errorf("the agent says %v", hello)
	}
	s.send(st, &agentpb.ServerMessage{Message: &agentpb.ServerMessage_Welcome{Welcome: &agentpb.Welcome{}}})
	first := s.receive(st)
	obj, err := agent.DecodeObject(first.GetObject(), "node01")
	if err != nil || obj.Status.CurrentState == nil {
		t.Fatalf("the first object is %v, %v", obj, err)
	}
	if base, err := agent.Fingerprint(obj); err != nil || first.GetBase() != base {
		t.Errorf("the first object comes with the base %q, not %q (%v)", first.GetBase(), base, err)
	}
	if err := node.SetState(`{"hostname":"changed"}`); err != nil {
		t.Fatal(err)
	}
	if obj, err := agent.DecodeObject(s.receive(st).GetObject(), "node01"); err != nil || string(obj.Status.CurrentState.Raw) != `{"hostname":"changed"}` {
		t.Errorf("the second object is %v, %v", obj, err)
	}
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
}

// TestAddressInBrackets: manifests write it so, whatever its family is.
func TestAddressInBrackets(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1", "::1"} {
		s := startServer(t, secrets(t), net.JoinHostPort(loopback, "0"))
		stop := s.start(fake.New(), func(config *Config) {
			_, port, err := net.SplitHostPort(config.Server)
			if err != nil {
				t.Fatal(err)
			}
			config.Server = "[" + loopback + "]:" + port
		})
		if hello := s.receive(s.next()).GetHello(); hello.GetNode() != "node01" {
			t.Errorf("the agent says %v", hello)
		}
		_ = stop()
	}
}

func TestObjectsComeBeforeTheReply(t *testing.T) {
	s := startServer(t, secrets(t), "127.0.0.1:0")
	node := fake.New()
	s.start(node, nil)
	st := s.welcome()
	s.receive(st)
	for i := range uint64(100) {
		state := fmt.Sprintf(`{"hostname":"host%d"}`, i)
		if err := node.SetStateUnnoticed(state); err != nil {
			t.Fatal(err)
		}
		s.ask(st, &agentpb.Request{Id: i, Request: &agentpb.Request_Barrier{Barrier: &agentpb.Barrier{}}})
		obj, err := agent.DecodeObject(s.receive(st).GetObject(), "node01")
		if err != nil || string(obj.Status.CurrentState.Raw) != state {
			t.Fatalf("before reply %d came %v, %v", i, obj, err)
		}
		if reply := s.receive(st).GetReply(); reply.GetId() != i || reply.GetError() != nil || !reply.GetRead() {
			t.Fatalf("reply %d is %v", i, reply)
		}
	}
}

// TestPingIsAnsweredAtOnce, whatever else the agent is doing.
func TestPingIsAnsweredAtOnce(t *testing.T) {
	s := startServer(t, secrets(t), "127.0.0.1:0")
	node := fake.New()
	held := make(chan struct{})
	node.SetHooks(fake.Hooks{Barrier: func() { <-held }})
	s.start(node, nil)
	st := s.welcome()
	s.receive(st)
	s.ask(st, &agentpb.Request{Id: 1, Request: &agentpb.Request_Barrier{Barrier: &agentpb.Barrier{}}})
	s.ask(st, &agentpb.Request{Id: 2, Request: &agentpb.Request_Ping{Ping: &agentpb.Ping{}}})
	if reply := s.receive(st).GetReply(); reply.GetId() != 2 || reply.GetError() != nil || reply.GetRead() {
		t.Errorf("while a barrier is under way, a ping got %v", reply)
	}
	close(held)
	if reply := s.receive(st).GetReply(); reply.GetId() != 1 || !reply.GetRead() {
		t.Errorf("the barrier got %v", reply)
	}
}

func TestRequestsThatAreNotValid(t *testing.T) {
	s := startServer(t, secrets(t), "127.0.0.1:0")
	s.start(fake.New(), nil)
	st := s.welcome()
	s.receive(st)
	for _, test := range []struct {
		request *agentpb.Request
		kind    agent.ErrorKind
	}{
		{&agentpb.Request{Id: 1}, agent.Failed},
		{&agentpb.Request{Id: 2, Request: &agentpb.Request_Apply{}}, agent.Invalid},
		{&agentpb.Request{Id: 3, Request: &agentpb.Request_Validate{Validate: &agentpb.Change{Object: []byte("{]")}}}, agent.Invalid},
	} {
		s.ask(st, test.request)
		reply := s.receive(st).GetReply()
		if reply.GetId() != test.request.Id || agent.KindOf(agent.ErrorFromWire(reply.GetError())) != test.kind {
			t.Errorf("request %d got %v, not an error of kind %s", test.request.Id, reply, test.kind)
		}
	}
	// Neither is a message that this version does not know the end of the stream.
	s.send(st, &agentpb.ServerMessage{})
	s.ask(st, &agentpb.Request{Id: 4, Request: &agentpb.Request_Barrier{Barrier: &agentpb.Barrier{}}})
	if reply := s.receive(st).GetReply(); reply.GetId() != 4 || reply.GetError() != nil {
		t.Errorf("a barrier got %v", reply)
	}
}

func TestConnectsAgainWhateverEndsTheStream(t *testing.T) {
	s := startServer(t, secrets(t), "127.0.0.1:0")
	s.start(fake.New(), nil)
	for _, code := range []codes.Code{codes.Unauthenticated, codes.PermissionDenied, codes.Unavailable, codes.OK} {
		s.next().done <- status.Error(code, "ended by a test")
	}
	st := s.next()
	s.receive(st)
	// A first message that is no Welcome is no admission.
	s.ask(st, &agentpb.Request{Id: 1})
	for _, code := range []codes.Code{codes.Aborted, codes.Internal} {
		st := s.welcome()
		s.receive(st)
		st.done <- status.Error(code, "ended by a test")
	}
	s.welcome()
}

func TestCAIsReadAgain(t *testing.T) {
	folder := secrets(t)
	s := startServer(t, folder, "127.0.0.1:0")
	pinned := filepath.Join(t.TempDir(), "ca.pem")
	write(t, pinned, []byte("no certificate"))
	other := secrets(t)
	tried := make(chan struct{}, 1000)
	s.start(fake.New(), func(c *Config) {
		c.CAFile = pinned
		c.Credentials = counted{c.Credentials, tried}
	})
	// A server of another CA is not trusted, and is given no token.
	certificate, err := os.ReadFile(filepath.Join(other, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, pinned, certificate)
	select {
	case <-s.streams:
		t.Fatal("a server of another CA was trusted")
	case <-time.After(200 * time.Millisecond):
	}
	if len(tried) > 0 {
		t.Error("a server of another CA was given the token")
	}
	if certificate, err = os.ReadFile(filepath.Join(folder, "cert.pem")); err != nil {
		t.Fatal(err)
	}
	write(t, pinned, certificate)
	s.welcome()
}

// counted counts how often credentials are asked for.
type counted struct {
	credentials.PerRPCCredentials
	asked chan struct{}
}

func (c counted) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	c.asked <- struct{}{}
	return c.PerRPCCredentials.GetRequestMetadata(ctx, uri...)
}

func TestServerThatComesLater(t *testing.T) {
	folder := secrets(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	absent := &server{t: t, folder: folder, address: address}
	absent.start(fake.New(), nil)
	// The one that is there hangs up at once, and goes.
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	listener.Close()
	startServer(t, folder, address).welcome()
}

// TestReconnect: a pause, and an attempt that hangs, end at once when the network is another one. A stream that is alive stays.
func TestReconnect(t *testing.T) {
	s := startServer(t, secrets(t), "127.0.0.1:0")
	up, stop := s.launch(fake.New(), func(c *Config) {
		c.BackoffMin, c.BackoffMax, c.BackoffShortLived = time.Hour, time.Hour, time.Hour
	})
	current := func() *link {
		up.mu.Lock()
		defer up.mu.Unlock()
		return up.link
	}
	first := s.welcome()
	s.receive(first)
	first.done <- status.Error(codes.Unavailable, "lost") // soon after the Welcome: the pause is an hour
	for current() != nil {
		time.Sleep(time.Millisecond)
	}
	up.Reconnect(t.Context())
	s.receive(s.welcome())
	alive := current()
	up.Reconnect(t.Context())
	if alive == nil || current() != alive {
		t.Error("a stream that is alive was replaced")
	}
	if len(up.reconnect) > 0 {
		t.Error("the next pause would be left out")
	}
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}

	up, _ = s.launch(fake.New(), nil)
	hangs := s.next() // it gets no Welcome
	up.Reconnect(t.Context())
	s.receive(s.welcome())
	<-hangs.Context().Done()
}
