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
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// told returns an object of an agent's that tells that story of its last change.
func told(t *testing.T, last v1alpha1.LastApply) string {
	t.Helper()
	last.StartTime = metav1.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	obj, err := agent.DecodeObject([]byte(objectText(t, "{}")), "node01")
	if err != nil {
		t.Fatal(err)
	}
	obj.Status.LastApply = &last
	text, err := agent.EncodeObject(obj)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

type answer struct {
	obj *v1alpha1.NodeNetworkState
	err error
}

// lostDuring has the agent of node01 lost after it was sent what ask sends. It returns the
// request, and where the answer comes.
func (s *server) lostDuring(ask func(ctx context.Context) (*v1alpha1.NodeNetworkState, error)) (*agentpb.Request, <-chan answer) {
	s.t.Helper()
	r, _ := s.admittedAs(modern("node01"))
	r.based(objectText(s.t, "{}"), "first")
	s.sink.until(s.t, "node01", "available", available)
	answers := make(chan answer, 1)
	go func() {
		obj, err := ask(context.Background())
		answers <- answer{obj, err}
	}()
	request := r.request()
	r.close()
	s.sink.until(s.t, "node01", "unknown", unknown)
	return request, answers
}

// TestLostAgentTellsTheOutcome: the change had moved its address, say. The agent comes back and
// its object tells what became of the change.
func TestLostAgentTellsTheOutcome(t *testing.T) {
	soon := metav1.Now()
	for name, test := range map[string]struct {
		last  v1alpha1.LastApply
		kind  agent.ErrorKind
		words string
	}{
		"committed":                {last: v1alpha1.LastApply{Outcome: v1alpha1.ApplyCommitted}},
		"awaits confirmation":      {last: v1alpha1.LastApply{Outcome: v1alpha1.ApplyInProgress, ConfirmBefore: &soon}},
		"rolled back":              {v1alpha1.LastApply{Outcome: v1alpha1.ApplyRolledBack, Reason: "NotReachable", Message: "no answer"}, agent.Failed, "no answer"},
		"rolled back, unexplained": {v1alpha1.LastApply{Outcome: v1alpha1.ApplyRolledBack}, agent.Failed, "ended as RolledBack"},
		"rejected":                 {v1alpha1.LastApply{Outcome: v1alpha1.ApplyRejected, Reason: "InvalidArgument", Message: "is wrong"}, agent.Invalid, "is wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, nil, "node01")
			request, answers := s.lostDuring(func(ctx context.Context) (*v1alpha1.NodeNetworkState, error) {
				return s.Apply(ctx, "node01", s.desire("node01", dummy))
			})
			id := request.GetApply().GetId()
			if len(id) != 36 {
				t.Fatalf("the change has the id %q", id)
			}
			again, _ := s.admittedAs(modern("node01"))
			// Neither another change nor one that goes on is the outcome.
			again.based(told(t, v1alpha1.LastApply{ID: "another", Outcome: v1alpha1.ApplyCommitted}), "second")
			again.based(told(t, v1alpha1.LastApply{ID: id, Outcome: v1alpha1.ApplyInProgress}), "third")
			s.sink.until(t, "node01", "in progress", func(obj *v1alpha1.NodeNetworkState) bool {
				return obj.Status.LastApply != nil && obj.Status.LastApply.ID == id
			})
			select {
			case early := <-answers:
				t.Fatalf("the answer was %+v already", early)
			default:
			}
			test.last.ID = id
			again.based(told(t, test.last), "fourth")
			got := <-answers
			switch {
			case test.kind != "":
				wantKind(t, got.err, test.kind, test.words)
			case got.err != nil:
				t.Errorf("got %v", got.err)
			case got.obj.Status.LastApply.ID != id || got.obj.UID != s.sink.last("node01").UID:
				t.Errorf("got %+v", got.obj)
			}
		})
	}
}

// TestLostAgentTellsWhatWasDecided: one that still waits for the decision does not.
func TestLostAgentTellsWhatWasDecided(t *testing.T) {
	soon := metav1.Now()
	for _, commit := range []bool{true, false} {
		for _, outcome := range []v1alpha1.ApplyOutcome{v1alpha1.ApplyCommitted, v1alpha1.ApplyRolledBack} {
			s := startServer(t, nil, "node01")
			_, answers := s.lostDuring(func(ctx context.Context) (*v1alpha1.NodeNetworkState, error) {
				return s.Decide(ctx, "node01", agent.Decision{Transaction: "id", Commit: commit, User: "tester"})
			})
			again, _ := s.admittedAs(modern("node01"))
			again.based(told(t, v1alpha1.LastApply{ID: "id", Outcome: v1alpha1.ApplyInProgress, ConfirmBefore: &soon}), "second")
			again.based(told(t, v1alpha1.LastApply{ID: "id", Outcome: outcome}), "third")
			if got := <-answers; commit == (outcome == v1alpha1.ApplyCommitted) != (got.err == nil) {
				t.Errorf("commit %t, outcome %s: got %v", commit, outcome, got.err)
			}
			s.stop()
		}
	}
}

// TestLostAgentThatTellsNothing: the error names the id, and says which of two things is true.
func TestLostAgentThatTellsNothing(t *testing.T) {
	apply := func(s *server) func(ctx context.Context) (*v1alpha1.NodeNetworkState, error) {
		return func(ctx context.Context) (*v1alpha1.NodeNetworkState, error) {
			return s.Apply(ctx, "node01", s.desire("node01", dummy))
		}
	}
	soon := func(c *Config) { c.ApplyTimeout = 2 * time.Second }
	t.Run("does not come back", func(t *testing.T) {
		s := startServer(t, soon, "node01")
		request, answers := s.lostDuring(apply(s))
		wantKind(t, (<-answers).err, agent.Lost, request.GetApply().GetId())
	})
	t.Run("is still at it", func(t *testing.T) {
		s := startServer(t, soon, "node01")
		request, answers := s.lostDuring(apply(s))
		again, _ := s.admittedAs(modern("node01"))
		again.based(told(t, v1alpha1.LastApply{ID: request.GetApply().GetId(), Outcome: v1alpha1.ApplyInProgress}), "second")
		wantKind(t, (<-answers).err, agent.InProgress, request.GetApply().GetId())
	})
	t.Run("node is removed", func(t *testing.T) {
		s := startServer(t, nil, "node01")
		_, answers := s.lostDuring(apply(s))
		s.directory.remove("node01")
		wantKind(t, (<-answers).err, agent.Lost, "removed")
	})
	t.Run("server shuts down", func(t *testing.T) {
		s := startServer(t, nil, "node01")
		_, answers := s.lostDuring(apply(s))
		s.stop()
		wantKind(t, (<-answers).err, agent.Lost, "lastApply")
	})
}

// TestAnAgentThatIsBackIsAsked: its object does not tell what became of a change of annotations, nor of one that another
// change followed. An agent that was started since has not begun a change that it does not know, and the change need not be
// waited for.
func TestAnAgentThatIsBackIsAsked(t *testing.T) {
	another := func(h *agentpb.Hello) { h.Instance = "another" }
	older := func(h *agentpb.Hello) { another(h); h.Capabilities = []string{agent.CapabilityHistory} }
	same := func(*agentpb.Hello) {}
	for name, test := range map[string]struct {
		successor func(*agentpb.Hello)
		known     v1alpha1.ApplyOutcome // as the agent answers, "" if it does not know the change
		kind      agent.ErrorKind
		words     string
	}{
		"not begun":                           {another, "", agent.Unreachable, "nothing was changed"},
		"committed, and another change since": {successor: another, known: v1alpha1.ApplyCommitted},
		"undone, and another change since":    {another, v1alpha1.ApplyRolledBack, agent.Failed, "RolledBack"},
		"of annotations, by the same agent":   {successor: same, known: v1alpha1.ApplyCommitted},
		"the same agent may begin it":         {same, "", agent.Lost, "lastApply"},
		"an older agent may have made it":     {older, "", agent.Lost, "lastApply"},
		"an older agent has it":               {successor: older, known: v1alpha1.ApplyCommitted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, func(c *Config) { c.ApplyTimeout = 5 * time.Second }, "node01")
			request, answers := s.lostDuring(func(ctx context.Context) (*v1alpha1.NodeNetworkState, error) {
				return s.Apply(ctx, "node01", s.desire("node01", dummy))
			})
			id := request.GetApply().GetId()
			successor := modern("node01")
			test.successor(successor)
			again, _ := s.admittedAs(successor)
			again.based(told(t, v1alpha1.LastApply{ID: "another", Outcome: v1alpha1.ApplyCommitted}), "second")
			asked := again.request()
			if asked.GetHistory().GetChange() != id {
				t.Fatalf("the agent was asked %v", asked)
			}
			history := &v1alpha1.NodeNetworkStateHistory{}
			if test.known != "" {
				history.Entries = []v1alpha1.HistoryEntry{{LastApply: v1alpha1.LastApply{ID: id, Outcome: test.known}}}
			}
			text, err := agent.EncodeHistory(history)
			if err != nil {
				t.Fatal(err)
			}
			again.reply(&agentpb.Reply{Id: asked.GetId(), History: text})
			got := <-answers
			if test.kind == "" && got.err != nil {
				t.Errorf("got %v", got.err)
			}
			if test.kind != "" {
				wantKind(t, got.err, test.kind, test.words)
			}
		})
	}
}

// TestLateAnswersNameTheChange, so that somebody can look for it.
func TestLateAnswersNameTheChange(t *testing.T) {
	s := startServer(t, func(c *Config) { c.ApplyTimeout = time.Second }, "node01")
	r, _ := s.admittedAs(modern("node01"))
	r.based(objectText(t, "{}"), "first")
	s.sink.until(t, "node01", "available", available)
	ids := make(chan string, 1)
	go func() { ids <- r.request().GetApply().GetId() }()
	_, err := s.Apply(t.Context(), "node01", s.desire("node01", dummy))
	if id := <-ids; err == nil || !strings.Contains(err.Error(), id) {
		t.Errorf("got %v, which does not name %s", err, id)
	}
	wantKind(t, err, agent.InProgress, "kubectl get nodenetworkstates node01 -o yaml")
}
