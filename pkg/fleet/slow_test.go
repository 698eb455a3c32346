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
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// slow is the server's end of a stream to an agent that takes its time for each barrier.
type slow struct {
	agentpb.Fleet_ConnectServer
	asked chan uint64
	takes time.Duration
	ended <-chan struct{}
}

func (s *slow) Send(message *agentpb.ServerMessage) error {
	s.asked <- message.GetRequest().GetId()
	return nil
}

func (s *slow) Context() context.Context { return context.Background() }

func (s *slow) Recv() (*agentpb.AgentMessage, error) {
	select {
	case id := <-s.asked:
		select {
		case <-time.After(s.takes):
		case <-s.ended:
			return nil, context.Canceled
		}
		return &agentpb.AgentMessage{Message: &agentpb.AgentMessage_Reply{Reply: &agentpb.Reply{Id: id}}}, nil
	case <-s.ended:
		return nil, context.Canceled
	}
}

// slowNode returns a node whose agent takes so long for each barrier, and what ends it.
func slowNode(t *testing.T, takes time.Duration) (*Fleet, *sink, func()) {
	t.Helper()
	sink := newSink()
	f := New(Config{Sink: sink})
	f.update(klog.Background(), []Node{nodeNamed("node01")})
	ended := make(chan struct{})
	stream := &slow{asked: make(chan uint64, 1), takes: takes, ended: ended}
	session := newSession(f.node("node01"), stream, klog.Background())
	go func() { _ = session.run() }()
	text := objectText(t, "{}")
	own, err := agent.DecodeObject([]byte(text), "node01")
	if err != nil {
		t.Fatal(err)
	}
	f.node("node01").object(session, own, agent.HashObject([]byte(text)), len(text))
	return f, sink, func() { close(ended) }
}

// TestSlowAgentIsNotUnreachable: one that answers each barrier in time is never
// shown as unreachable, however many readers come while it is busy.
func TestSlowAgentIsNotUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, sink, end := slowNode(t, 1900*time.Millisecond)
		defer end()
		var readers sync.WaitGroup
		for range 100 {
			readers.Go(func() {
				if err := f.Barrier(t.Context(), all); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(100 * time.Millisecond)
		}
		readers.Wait()
		for i, obj := range sink.all("node01") {
			if i > 0 && unknown(obj) {
				t.Fatal("an agent that answers in time was shown as unreachable")
			}
		}
	})
}

// TestAnswerInTheNickOfTime: a barrier that is answered just when its time is
// over leaves the node reachable or makes it so.
func TestAnswerInTheNickOfTime(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			f, sink, end := slowNode(t, 2*time.Second)
			defer end()
			for range 3 {
				if err := f.Barrier(t.Context(), all); err != nil {
					t.Error(err)
				}
			}
			synctest.Wait()
			if last := sink.last("node01"); !available(last) {
				t.Errorf("the agent has answered and is shown as %+v", last.Status.Conditions)
			}
		})
	}
}

// TestHangingAgentIsUnreachableAtOnce: once a barrier is overdue, nobody waits for it again.
func TestHangingAgentIsUnreachableAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, sink, end := slowNode(t, time.Hour)
		defer end()
		begin := time.Now()
		for _, want := range []time.Duration{2 * time.Second, 20 * time.Millisecond} {
			at := time.Now()
			if err := f.Barrier(t.Context(), all); err != nil {
				t.Error(err)
			}
			if took := time.Since(at); took != want {
				t.Errorf("the barrier took %s, not %s", took, want)
			}
		}
		if !unknown(sink.last("node01")) {
			t.Errorf("after %s the agent is not shown as unreachable", time.Since(begin))
		}
	})
}
