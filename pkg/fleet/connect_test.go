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
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

func TestRefusals(t *testing.T) {
	s := startServer(t, func(c *Config) { c.HelloTimeout = time.Second }, "node01")
	object := &agentpb.AgentMessage{Message: &agentpb.AgentMessage_Object{Object: []byte("{}")}}
	for name, test := range map[string]struct {
		token string
		greet func(*raw)
		code  codes.Code
		words string
	}{
		"wrong token":  {"wrong", func(r *raw) { r.hello("node01") }, codes.Unauthenticated, "the token is wrong"},
		"another node": {token, func(r *raw) { r.hello("forbidden") }, codes.PermissionDenied, "may not speak for node forbidden"},
		"unknown node": {token, func(r *raw) { r.hello("node99") }, codes.NotFound, `no node "node99"`},
		"no name":      {token, func(r *raw) { r.hello("") }, codes.InvalidArgument, "names a node"},
		"long name":    {token, func(r *raw) { r.hello(strings.Repeat("x", 1000)) }, codes.InvalidArgument, "1000 of them the node's name"},
		"no Hello":     {token, func(r *raw) { r.say(object) }, codes.InvalidArgument, "no Hello"},
		"nothing":      {token, func(*raw) {}, codes.DeadlineExceeded, "no Hello came in time"},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.raw(test.token)
			test.greet(r)
			err := r.end()
			if status.Code(err) != test.code || !strings.Contains(err.Error(), test.words) || strings.Contains(err.Error(), token) {
				t.Errorf("the agent is told %v, not %s with %q", err, test.code, test.words)
			}
		})
	}
	if got := s.count(eventRefused); got != 7 {
		t.Errorf("%v refusals were counted, not 7", got)
	}
	s.join("node01")
}

// TestRefusalsAreBrief: an error about labels quoted all of them, and went into the log.
func TestRefusalsAreBrief(t *testing.T) {
	long := strings.Repeat("\u00e9", maxHello)
	for name, err := range map[string]error{"an error": errors.New(long), "a status": status.Error(codes.NotFound, long)} {
		got := withCode(codes.NotFound, err)
		if text := got.Error(); status.Code(got) != codes.NotFound || len(text) > 1000 || !strings.HasSuffix(text, "[cut]") || !utf8.ValidString(text) {
			t.Errorf("%s became %s with %d bytes: %q", name, status.Code(got), len(text), text)
		}
	}
	if got := withCode(codes.NotFound, status.Error(codes.Aborted, "why")); status.Code(got) != codes.Aborted || !strings.HasSuffix(got.Error(), "why") {
		t.Errorf("a status became %v", got)
	}
}

// TestTokensAreShort: nobody is listened to for long before it is known who it is.
func TestTokensAreShort(t *testing.T) {
	s := startServer(t, nil, "node01")
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	stream, err := agentpb.NewFleetClient(s.connection(strings.Repeat("x", 100<<10))).Connect(ctx)
	if err == nil {
		_, err = stream.Recv()
	}
	if err == nil || !strings.Contains(err.Error(), "header list size") {
		t.Errorf("a token of 100 kB: %v", err)
	}
}

// TestTalkativeAgentsAreSlowedDown: what they say is kept in memory for a while.
func TestTalkativeAgentsAreSlowedDown(t *testing.T) {
	s := startServer(t, nil, "node01")
	r := s.admitted("node01")
	s.member("node01").budget.ReserveN(time.Now(), agent.MaxMessageSize)
	begin := time.Now()
	state := `{"hostname":"` + strings.Repeat("x", talk/2) + `"}`
	r.object(objectText(t, state))
	s.sink.until(t, "node01", "a large object", shows(state))
	if took := time.Since(begin); took < 400*time.Millisecond {
		t.Errorf("2 MiB were taken in %s", took)
	}
}

// TestSilentStreamsKeepNobodyOut: 300 streams of one agent never say Hello. Each
// that is beyond the bound ends the oldest of them, and no other agent.
func TestSilentStreamsKeepNobodyOut(t *testing.T) {
	s := startServer(t, nil, "node01", "node02")
	waiting := s.raw(token + "-of-node02")
	connection := s.connection(token + "-of-nobody")
	var silent []*raw
	for i := range 300 {
		if i%4 == 0 {
			connection = s.connection(token + "-of-nobody")
		}
		silent = append(silent, s.rawOn(connection))
	}
	// 256 may wait, and one of them is the other agent.
	ended := make(chan error, len(silent))
	last := silent[len(silent)-1]
	for _, r := range silent[:len(silent)-1] {
		go func() { ended <- r.end() }()
	}
	for range 300 - 255 {
		if err := <-ended; status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a silent stream is told %v", err)
		}
	}
	s.join("node01")
	waiting.hello("node02")
	if first, err := waiting.Recv(); err != nil || first.GetWelcome() == nil {
		t.Errorf("an agent that waited longer than the silent ones is told %v, %v", first, err)
	}
	// Those that are not pushed out are there still.
	last.hello("node01")
	if first, err := last.Recv(); err != nil || first.GetWelcome() == nil {
		t.Errorf("a silent stream that speaks is told %v, %v", first, err)
	}
}

// TestStrangersAreBounded: so are streams that are not authenticated yet, by their address.
func TestStrangersAreBounded(t *testing.T) {
	asked := make(chan struct{}, 10)
	s := startServer(t, func(c *Config) { c.MaxGreetings, c.Authenticator = 2, hanging{asked} }, "node01")
	first := s.raw(token)
	<-asked
	s.raw(token)
	<-asked
	s.raw(token)
	if err := first.end(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("the oldest stream is told %v", err)
	}
}

// hanging is an Authenticator that does not come to an end, and tells when it was asked.
type hanging struct{ asked chan struct{} }

func (h hanging) Authenticate(ctx context.Context) (*Identity, error) {
	h.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestInvalidMessagesEndTheSession(t *testing.T) {
	s := startServer(t, nil, "node01")
	for name, message := range map[string]*agentpb.AgentMessage{
		"no JSON":        {Message: &agentpb.AgentMessage_Object{Object: []byte("{]")}},
		"no object":      {Message: &agentpb.AgentMessage_Object{Object: []byte(`[1]`)}},
		"wrong kind":     {Message: &agentpb.AgentMessage_Object{Object: []byte(`{"kind":"Pod","apiVersion":"v1"}`)}},
		"another node":   {Message: &agentpb.AgentMessage_Object{Object: []byte(strings.Replace(objectText(t, "{}"), `"metadata":{`, `"metadata":{"name":"node02",`, 1))}},
		"state is text":  {Message: &agentpb.AgentMessage_Object{Object: []byte(objectText(t, `"text"`))}},
		"10,000 deep":    {Message: &agentpb.AgentMessage_Object{Object: []byte(objectText(t, "{}") + strings.Repeat("[", 20000))}},
		"a second Hello": {Message: &agentpb.AgentMessage_Hello{Hello: &agentpb.Hello{Node: "node01"}}},
		"nothing":        {},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.admitted("node01")
			r.object(objectText(t, `{"before":true}`))
			s.sink.until(t, "node01", "available", available)
			r.say(message)
			if err := r.end(); status.Code(err) != codes.InvalidArgument {
				t.Errorf("the agent is told %v, not InvalidArgument", err)
			}
			s.sink.until(t, "node01", "unknown", unknown)
		})
	}
	s.join("node01")
}

func TestRepliesToNothingAreIgnored(t *testing.T) {
	s := startServer(t, nil, "node01")
	r := s.admitted("node01")
	r.reply(&agentpb.Reply{Id: 77})
	r.say(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Reply{}})
	r.object(objectText(t, "{}"))
	s.sink.until(t, "node01", "available", available)
}

func TestGarbageOnThePort(t *testing.T) {
	s := startServer(t, func(c *Config) { c.HelloTimeout = time.Second }, "node01")
	send := func(conn net.Conn, text []byte) {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(timeout))
		_, _ = conn.Write(text)
		// The server hangs up, at the latest when the time for a greeting is over.
		buffer := make([]byte, 1024)
		for {
			if _, err := conn.Read(buffer); err != nil {
				if err, ok := err.(net.Error); ok && err.Timeout() {
					t.Error("the server did not hang up")
				}
				return
			}
		}
	}
	noise := make([]byte, 64<<10)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	var all sync.WaitGroup
	for _, text := range [][]byte{nil, noise, []byte("GET / HTTP/1.1\r\n\r\n"), []byte("\x16\x03\x01\xff\xff")} {
		plain, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() { send(plain, text) })
		inside, err := tls.Dial("tcp", s.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() { send(inside, text) })
	}
	all.Wait()
	s.join("node01")
	// They may hear of it a moment before it is counted.
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, timeout, true, func(context.Context) (bool, error) {
		return s.count(eventNoGreeting) == 8, nil
	})
	if err != nil {
		t.Errorf("%v connections without a greeting were counted, not 8", s.count(eventNoGreeting))
	}
}

func TestServerEndsWithoutWaitingForTheSilent(t *testing.T) {
	s := startServer(t, nil, "node01")
	silent, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s.raw(token)
	s.join("node01")
	begin := time.Now()
	s.stop()
	if took := time.Since(begin); took > timeout/2 {
		t.Errorf("the server took %s to end", took)
	}
}

func TestNewerStreamReplacesTheOlder(t *testing.T) {
	s := startServer(t, nil, "node01")
	older := s.admitted("node01")
	older.object(objectText(t, `{"stream":1}`))
	s.sink.until(t, "node01", "available", available)
	newer := s.admitted("node01")
	// Until the newer one says what is, the older one speaks for the node.
	older.object(objectText(t, `{"stream":2}`))
	s.sink.until(t, "node01", "the older stream's", shows(`{"stream":2}`))
	newer.object(objectText(t, `{"stream":3}`))
	if err := older.end(); status.Code(err) != codes.Aborted {
		t.Errorf("the older stream is told %v", err)
	}
	s.sink.until(t, "node01", "the newer stream's", shows(`{"stream":3}`))
	for i, obj := range s.sink.all("node01") {
		if i > 0 && unknown(obj) {
			t.Error("the node was shown unreachable while it was replaced")
		}
	}
	if got := s.count(eventReplaced); got != 1 {
		t.Errorf("%v replacements were counted, not 1", got)
	}
	// Whoever is not admitted replaces nobody.
	r := s.raw("wrong")
	r.hello("node01")
	if err := r.end(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("an agent with a wrong token is told %v", err)
	}
	newer.object(objectText(t, `{"stream":4}`))
	s.sink.until(t, "node01", "the newer stream's", shows(`{"stream":4}`))
}

// TestOneCandidateIsEnough: who may speak for a node cannot fill the server with
// streams that say nothing.
func TestOneCandidateIsEnough(t *testing.T) {
	s := startServer(t, nil, "node01")
	speaking := s.admitted("node01")
	speaking.object(objectText(t, `{"stream":1}`))
	s.sink.until(t, "node01", "available", available)
	silent := s.admitted("node01")
	newer := s.admitted("node01")
	if err := silent.end(); status.Code(err) != codes.Aborted {
		t.Errorf("the silent stream is told %v", err)
	}
	speaking.object(objectText(t, `{"stream":2}`))
	s.sink.until(t, "node01", "the first stream's", shows(`{"stream":2}`))
	newer.object(objectText(t, `{"stream":3}`))
	s.sink.until(t, "node01", "the newer stream's", shows(`{"stream":3}`))
}

// TestObjectsCountForSomethingEach, or a node could use up the history of all. So do
// replies, less: an agent can send them without being asked.
func TestObjectsCountForSomethingEach(t *testing.T) {
	object := func(size int) *agentpb.AgentMessage {
		return &agentpb.AgentMessage{Message: &agentpb.AgentMessage_Object{Object: make([]byte, size)}}
	}
	if small, large := cost(object(1)), cost(object(talk)); small != talk/100 || large < talk || large > talk+100 {
		t.Errorf("objects count for %d and %d", small, large)
	}
	if got := cost(object(2 * agent.MaxMessageSize)); got != agent.MaxMessageSize {
		t.Errorf("more than can ever be had: %d", got)
	}
	if got := cost(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Reply{Reply: &agentpb.Reply{Id: 1}}}); got != leastReply {
		t.Errorf("a reply counts for %d", got)
	}
}

// TestOnlyReadyNodesAreAwaited when a server takes over.
func TestOnlyReadyNodesAreAwaited(t *testing.T) {
	s := startServer(t, nil, "node01")
	s.join("node01")
	off := nodeNamed("node02")
	off.NotReady = "it is off"
	s.directory.set(off)
	s.sink.until(t, "node02", "unknown", unknown)
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	s.AwaitAgents(ctx)
	if ctx.Err() != nil {
		t.Error("a node that is not ready was waited for")
	}
}

func TestManyAgentsComeAndGo(t *testing.T) {
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("node%02d", i))
	}
	s := startServer(t, nil, names...)
	var stops []func()
	for _, name := range names {
		stops = append(stops, s.dial(name, fake.New(), s.address))
	}
	for _, name := range names {
		s.sink.until(t, name, "available", available)
	}
	for _, stop := range stops[:25] {
		stop()
	}
	for i, name := range names {
		if i < 25 {
			s.sink.until(t, name, "unknown", unknown)
		} else if !available(s.sink.last(name)) {
			t.Errorf("%s is not available any more", name)
		}
	}
}
