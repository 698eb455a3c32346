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

	"k8s.io/component-base/metrics/testutil"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// desire returns the change of a node's object, as it is served, to a desired state.
func (s *server) desire(name, state string) agent.Change {
	s.t.Helper()
	current := s.sink.last(name)
	base, err := agent.Fingerprint(current)
	if err != nil {
		s.t.Fatal(err)
	}
	wanted := current.DeepCopy()
	wanted.Spec.DesiredState = v1alpha1.NewState([]byte(state))
	return agent.Change{Object: wanted, Base: base, User: "tester"}
}

const dummy = `{"interfaces":[{"name":"dummy0","state":"up"}]}`

func wantKind(t *testing.T, err error, kind agent.ErrorKind, words string) {
	t.Helper()
	var own *agent.Error
	if !errors.As(err, &own) || own.Kind != kind || !strings.Contains(own.Message, words) {
		t.Errorf("got %v, not an *agent.Error of kind %s with %q", err, kind, words)
	}
}

func TestWriteAnswersWithTheObjectThatIsServed(t *testing.T) {
	s := startServer(t, nil, "node01")
	s.join("node01")
	plan, err := s.Validate(t.Context(), "node01", s.desire("node01", dummy))
	if err != nil || plan.Object.Status.Difference == nil || plan.Object.UID != s.sink.last("node01").UID {
		t.Fatalf("Validate: %+v, %v", plan, err)
	}
	obj, err := s.Apply(t.Context(), "node01", s.desire("node01", dummy))
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	last := s.sink.last("node01")
	if string(last.Spec.DesiredState.Raw) != dummy || obj.UID != last.UID || obj.Labels["kubernetes.io/hostname"] != "node01" {
		t.Errorf("Apply answered with %+v, the sink has %+v", obj, last)
	}
}

func TestWriteToWhomCannotBeAsked(t *testing.T) {
	s := startServer(t, func(c *Config) { c.BarrierTimeout = 50 * time.Millisecond }, "node01", "node02")
	_, err := s.Apply(t.Context(), "node99", agent.Change{Object: &v1alpha1.NodeNetworkState{}})
	wantKind(t, err, agent.Unreachable, "no node node99")
	s.sink.until(t, "node01", "unknown", unknown)
	_, err = s.Apply(t.Context(), "node01", s.desire("node01", dummy))
	wantKind(t, err, agent.Unreachable, "has not answered since")
	// Neither can one be that has a stream and is silent. It is not sent the change,
	// whether that is known already or not.
	r := s.admitted("node02")
	r.object(objectText(t, "{}"))
	s.sink.until(t, "node02", "available", available)
	for range 2 {
		_, err = s.Validate(t.Context(), "node02", s.desire("node02", dummy))
		wantKind(t, err, agent.Unreachable, "has not answered since")
		s.sink.until(t, "node02", "unknown", unknown)
	}
	if message, err := r.Recv(); err != nil || message.GetRequest().GetPing() == nil {
		t.Errorf("the agent was sent %v, %v, not a ping", message, err)
	}
	// What makes it reachable again is its answer to a barrier.
	r.reply(&agentpb.Reply{Id: r.barrier()})
	s.sink.until(t, "node02", "available", available)
}

// TestWriteToAnAgentThatCannotRead: it answers, so it is asked.
func TestWriteToAnAgentThatCannotRead(t *testing.T) {
	s := startServer(t, nil, "node01")
	r := s.admitted("node01")
	r.object(objectText(t, "{}"))
	s.sink.until(t, "node01", "available", available)
	go func() {
		r.reply(&agentpb.Reply{Id: r.barrier(), Error: &agentpb.Error{Kind: "Failed", Message: "cannot read"}})
		r.reply(&agentpb.Reply{Id: r.request().Id, Error: &agentpb.Error{Kind: "Busy", Message: "as the test wants"}})
	}()
	if w, _ := s.pass(); len(w) != 1 || !unknown(s.sink.last("node01")) {
		t.Errorf("warnings: %q", w)
	}
	_, err := s.Apply(t.Context(), "node01", s.desire("node01", dummy))
	wantKind(t, err, agent.Busy, "as the test wants")
}

func TestWriteToAnAgentThatIsLost(t *testing.T) {
	s := startServer(t, nil, "node01")
	r := s.admitted("node01")
	r.object(objectText(t, "{}"))
	s.sink.until(t, "node01", "available", available)
	answer := make(chan error)
	go func() {
		_, err := s.Apply(context.Background(), "node01", s.desire("node01", dummy))
		answer <- err
	}()
	if got := r.request().GetApply(); got.GetUser() != "tester" || got.GetBase() == "" {
		t.Errorf("the agent got %v", got)
	}
	r.close()
	wantKind(t, <-answer, agent.Lost, "lastApply")
	s.sink.until(t, "node01", "unknown", unknown)
	s.wantApplies("Lost", 1)
}

// TestWriteThatIsTooLargeToBeSent: what was never sent is not lost, and ends no stream.
func TestWriteThatIsTooLargeToBeSent(t *testing.T) {
	s := startServer(t, nil, "node01")
	s.join("node01")
	large := `{"description":"` + strings.Repeat("<", agent.MaxMessageSize) + `"}`
	_, applied := s.Apply(t.Context(), "node01", s.desire("node01", large))
	_, validated := s.Validate(t.Context(), "node01", s.desire("node01", large))
	for _, err := range []error{applied, validated} {
		wantKind(t, err, agent.Invalid, "nothing was sent")
	}
	if _, err := s.Apply(t.Context(), "node01", s.desire("node01", dummy)); err != nil {
		t.Errorf("the change after it: %v", err)
	}
	s.wantApplies("Lost", 0)
}

// TestRequestThatCannotBeSent: an error of Send is none of the agent's.
func TestRequestThatCannotBeSent(t *testing.T) {
	s := startServer(t, nil, "node01")
	s.join("node01")
	session, err := s.member("node01").reach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	large := &agentpb.Change{Object: make([]byte, 2*agent.MaxMessageSize)}
	_, err = session.ask(t.Context(), &agentpb.Request{Request: &agentpb.Request_Apply{Apply: large}})
	if !errors.Is(err, errNotSent) {
		t.Errorf("got %v, not that nothing was sent", err)
	}
	s.wantApplies("Lost", 0)
}

func TestWriteThatTakesTooLong(t *testing.T) {
	s := startServer(t, func(c *Config) { c.ApplyTimeout = 100 * time.Millisecond }, "node01")
	node := s.join("node01")
	held := make(chan struct{})
	node.SetHooks(fake.Hooks{Apply: func(agent.Change) error {
		<-held
		return nil
	}})
	_, err := s.Apply(t.Context(), "node01", s.desire("node01", dummy))
	wantKind(t, err, agent.InProgress, "kubectl get nodenetworkstates node01 -o yaml")
	if w, _ := s.pass(); w != nil {
		t.Errorf("warnings while an apply runs: %q", w)
	}
	close(held)
	s.sink.until(t, "node01", "committed", func(obj *v1alpha1.NodeNetworkState) bool {
		return obj.Status.LastApply != nil && obj.Status.LastApply.Outcome == v1alpha1.ApplyCommitted
	})
	// The reply, which comes after that, is counted though nobody waits for it.
	s.pass()
}

func TestValidateThatTakesTooLong(t *testing.T) {
	s := startServer(t, func(c *Config) { c.ApplyTimeout = 50 * time.Millisecond }, "node01")
	r := s.admitted("node01")
	r.object(objectText(t, "{}"))
	s.sink.until(t, "node01", "available", available)
	go func() { r.request() }()
	_, err := s.Validate(t.Context(), "node01", s.desire("node01", dummy))
	wantKind(t, err, agent.Lost, "nothing was changed")
}

func TestWriteThatTheAgentRefuses(t *testing.T) {
	s := startServer(t, nil, "node01")
	s.join("node01")
	_, err := s.Apply(t.Context(), "node01", s.desire("node01", `{"colour":"green"}`))
	wantKind(t, err, agent.Invalid, "unknown field `colour`")
	s.wantApplies("Invalid", 1)
	if _, err := s.Apply(t.Context(), "node01", s.desire("node01", dummy)); err != nil {
		t.Fatal(err)
	}
	s.wantApplies("Committed", 1)
}

func TestReplyThatIsNotValid(t *testing.T) {
	s := startServer(t, nil, "node01")
	r := s.admitted("node01")
	r.object(objectText(t, "{}"))
	s.sink.until(t, "node01", "available", available)
	go func() { r.reply(&agentpb.Reply{Id: r.request().Id, Object: []byte("{]")}) }()
	_, err := s.Apply(t.Context(), "node01", s.desire("node01", dummy))
	wantKind(t, err, agent.Failed, "not valid")
}

// wantApplies checks how many applies were measured with that outcome.
func (s *server) wantApplies(outcome string, want uint64) {
	s.t.Helper()
	got, err := testutil.GetHistogramMetricCount(s.metrics.apply.WithLabelValues(outcome))
	if err != nil || got != want {
		s.t.Errorf("%d applies were measured as %s, not %d (%v)", got, outcome, want, err)
	}
}

// deaf is a stream whose agent reads nothing and says nothing.
type deaf struct {
	agentpb.Fleet_ConnectServer
	ctx     context.Context
	sending chan struct{}
}

func (d deaf) Context() context.Context { return d.ctx }

func (d deaf) Send(*agentpb.ServerMessage) error {
	d.sending <- struct{}{}
	<-d.ctx.Done()
	return d.ctx.Err()
}

func (d deaf) Recv() (*agentpb.AgentMessage, error) {
	<-d.ctx.Done()
	return nil, d.ctx.Err()
}

// TestAnAgentThatReadsNothingIsReplaced: its stream ends although a message to it is stuck.
func TestAnAgentThatReadsNothingIsReplaced(t *testing.T) {
	// gRPC ends it when the stream's handler has returned.
	ctx, end := context.WithCancel(t.Context())
	defer end()
	stream := deaf{ctx: ctx, sending: make(chan struct{}, 1)}
	s := newSession(newMember(New(Config{Sink: newSink()}), nodeNamed("node01")), stream, klog.Background())
	returned, pinged := make(chan error, 1), make(chan error, 1)
	go func() { returned <- s.run() }()
	go func() { pinged <- s.ping(ctx) }()
	<-stream.sending
	s.end(errReplaced)
	for what, got := range map[string]struct {
		from chan error
		want error
	}{"the stream": {returned, errReplaced}, "the ping": {pinged, errEnded}} {
		select {
		case err := <-got.from:
			if !errors.Is(err, got.want) {
				t.Errorf("%s ended with %v, not %v", what, err, got.want)
			}
		case <-time.After(timeout):
			t.Errorf("%s did not end", what)
		}
	}
}
