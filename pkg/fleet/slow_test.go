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
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// slow is the server's end of a stream to an agent that takes its time for each
// barrier, and answers all else at once.
type slow struct {
	agentpb.Fleet_ConnectServer
	// takes is how long a barrier takes.
	takes time.Duration
	// proves has the agent say that it need not read; old that it does not know what a ping is.
	proves, old bool
	says        chan *agentpb.AgentMessage
	ended       chan struct{}

	mu sync.Mutex
	// deaf makes the agent answer no pings; frozen makes it say nothing at all, until it is thawed.
	deaf, frozen bool
	held         []*agentpb.AgentMessage
	// begun is when each barrier began, changes is how many changes were sent.
	begun   []time.Time
	changes int
}

func (s *slow) Send(message *agentpb.ServerMessage) error {
	request := message.GetRequest()
	reply := &agentpb.AgentMessage{Message: &agentpb.AgentMessage_Reply{Reply: &agentpb.Reply{Id: request.GetId(), Read: !s.proves}}}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case request.GetBarrier() != nil:
		s.begun = append(s.begun, time.Now())
		time.AfterFunc(s.takes, func() { s.say(reply) })
		return nil
	case request.GetApply() != nil:
		s.changes++
	case s.deaf:
		return nil
	case s.old:
		reply.GetReply().Error = &agentpb.Error{Kind: "Failed", Reason: "UnknownRequest"}
	}
	go s.say(reply)
	return nil
}

func (s *slow) say(message *agentpb.AgentMessage) {
	s.mu.Lock()
	if s.frozen {
		s.held = append(s.held, message)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	select {
	case s.says <- message:
	case <-s.ended:
	}
}

func (s *slow) freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = true
}

func (s *slow) thaw() {
	s.mu.Lock()
	held := s.held
	s.frozen, s.held = false, nil
	s.mu.Unlock()
	for _, message := range held {
		s.say(message)
	}
}

func (s *slow) Context() context.Context { return context.Background() }

func (s *slow) Recv() (*agentpb.AgentMessage, error) {
	select {
	case message := <-s.says:
		return message, nil
	case <-s.ended:
		return nil, context.Canceled
	}
}

// site is a fleet of one node with a slow agent.
type site struct {
	*Fleet
	t    *testing.T
	sink *sink
	node *slow
}

// slowSite returns one whose agent takes so long for each barrier; its stream
// ends with the test. It is for use in synctest.
func slowSite(t *testing.T, takes time.Duration, edit func(*Config, *slow)) *site {
	t.Helper()
	s := &site{t: t, sink: newSink(), node: &slow{takes: takes, says: make(chan *agentpb.AgentMessage), ended: make(chan struct{})}}
	config := Config{Sink: s.sink}
	if edit != nil {
		edit(&config, s.node)
	}
	s.Fleet = New(config)
	if err := s.RegisterMetrics(metrics.NewKubeRegistry().Register); err != nil {
		t.Fatal(err)
	}
	s.update(klog.Background(), []Node{nodeNamed("node01")})
	session := newSession(s.member("node01"), s.node, klog.Background())
	go func() { _ = session.run() }()
	text := objectText(t, "{}")
	own, err := agent.DecodeObject([]byte(text), "node01")
	if err != nil {
		t.Fatal(err)
	}
	s.member("node01").object(session, known{own: own, hash: agent.HashObject([]byte(text)), size: len(text)})
	t.Cleanup(func() { close(s.node.ended) })
	return s
}

// read carries out a read, and returns its warnings and how long it took.
func (s *site) read(read func(context.Context) error) (string, time.Duration) {
	s.t.Helper()
	w := &warnings{}
	begin := time.Now()
	if err := read(warning.WithWarningRecorder(s.t.Context(), w)); err != nil {
		s.t.Error(err)
	}
	return strings.Join(w.texts, "; "), time.Since(begin)
}

func (s *site) list(ctx context.Context) error { return s.Barrier(ctx, all) }
func (s *site) get(ctx context.Context) error  { return s.BarrierNode(ctx, "node01") }

// wantRead checks how long a read takes, what it warns of, and why the node is then not Available; "" if it is.
func (s *site) wantRead(what string, read func(context.Context) error, want time.Duration, reason string) {
	s.t.Helper()
	warned, took := s.read(read)
	if took != want {
		s.t.Errorf("%s took %s, not %s", what, took, want)
	}
	if strings.Contains(warned, "node01") != (reason != "") {
		s.t.Errorf("%s warned %q", what, warned)
	}
	s.wantShown(what, reason)
}

func (s *site) wantShown(what, reason string) {
	s.t.Helper()
	last := s.sink.last("node01")
	condition := apimeta.FindStatusCondition(last.Status.Conditions, v1alpha1.ConditionAvailable)
	if reason == "" && (!available(last) || last.Status.CurrentState == nil) ||
		reason != "" && (!unknown(last) || condition.Reason != reason || last.Status.CurrentState != nil) {
		s.t.Errorf("after %s the node is shown as %+v", what, condition)
	}
}

// TestReadsThatTakeLong: an agent that is alive is waited for: by a reader of that
// node for longer than by a reader of many.
func TestReadsThatTakeLong(t *testing.T) {
	for _, test := range []struct {
		takes, list time.Duration
		listed      string
		// then is how long a list right after that takes, get a GET after that.
		then, get time.Duration
		got       string
	}{
		{5 * time.Second, 5 * time.Second, "", 5 * time.Second, 5 * time.Second, ""},
		// The GET waits for the read that is under way, and for its own.
		{12 * time.Second, 10 * time.Second, v1alpha1.ReasonReading, 20 * time.Millisecond, 1980*time.Millisecond + 12*time.Second, ""},
		{time.Hour, 10 * time.Second, v1alpha1.ReasonReading, 20 * time.Millisecond, 19980 * time.Millisecond, v1alpha1.ReasonReading},
	} {
		t.Run(test.takes.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := slowSite(t, test.takes, nil)
				s.wantRead("a list", s.list, test.list, test.listed)
				s.wantRead("a list after that", s.list, test.then, test.listed)
				s.wantRead("a GET", s.get, test.get, test.got)
				if got := counted(t, s.metrics, eventUnreachable); got != 0 {
					t.Errorf("an agent that is alive was taken for lost %v times", got)
				}
			})
		})
	}
}

// TestAgentOfAnOlderVersion: that it does not know what a ping is says that it is alive.
func TestAgentOfAnOlderVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowSite(t, 9*time.Second, func(_ *Config, a *slow) { a.old = true })
		s.wantRead("a list", s.list, 9*time.Second, "")
	})
}

// TestReadingSaysWhatItIs, and keeps what does not depend on the read.
func TestReadingSaysWhatItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowSite(t, time.Minute, nil)
		s.wantRead("a list", s.list, 10*time.Second, v1alpha1.ReasonReading)
		obj := s.sink.last("node01")
		for _, name := range []string{v1alpha1.ConditionAvailable, v1alpha1.ConditionInSync} {
			c := apimeta.FindStatusCondition(obj.Status.Conditions, name)
			if !strings.Contains(c.Message, "reading the network since 2000-01-01T00:00:00Z") || c.ObservedGeneration != 1 {
				t.Errorf("condition %s is %+v", name, c)
			}
		}
		if obj.Generation != 1 {
			t.Errorf("the generation is %d", obj.Generation)
		}
		// It is available again by itself.
		time.Sleep(50 * time.Second)
		synctest.Wait()
		s.wantShown("the read", "")
	})
}

// TestSlowAgentIsNeverLabelled if its reads take less than readers wait, however
// many readers come while it is busy.
func TestSlowAgentIsNeverLabelled(t *testing.T) {
	for _, test := range []struct {
		takes time.Duration
		deaf  bool
	}{{1900 * time.Millisecond, true}, {9900 * time.Millisecond, false}} {
		synctest.Test(t, func(t *testing.T) {
			s := slowSite(t, test.takes, func(_ *Config, a *slow) { a.deaf = test.deaf })
			var readers sync.WaitGroup
			for range 100 {
				readers.Go(func() { s.read(s.list) })
				time.Sleep(test.takes / 19)
			}
			readers.Wait()
			if slices.ContainsFunc(s.sink.all("node01")[1:], unknown) {
				t.Errorf("an agent that answers after %s was shown as Unknown", test.takes)
			}
		})
	}
}

// TestAnswerInTheNickOfTime: a barrier that is answered just when its time is
// over leaves the node reachable or makes it so.
func TestAnswerInTheNickOfTime(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			s := slowSite(t, 2*time.Second, func(_ *Config, a *slow) { a.deaf = true })
			for range 3 {
				s.read(s.list)
			}
			synctest.Wait()
			s.wantShown("the answer", "")
		})
	}
}

// TestSilentAgentIsUnreachable, whether it never says anything or stops to during
// a read; and once that is known nobody waits for it.
func TestSilentAgentIsUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowSite(t, time.Hour, func(_ *Config, a *slow) { a.deaf = true })
		for _, want := range []time.Duration{2 * time.Second, 20 * time.Millisecond} {
			s.wantRead("a list", s.list, want, v1alpha1.ReasonAgentUnreachable)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := slowSite(t, time.Minute, nil)
		time.AfterFunc(5500*time.Millisecond, s.node.freeze)
		// It was last heard at 5 s.
		s.wantRead("a GET", s.get, 7*time.Second, v1alpha1.ReasonAgentUnreachable)
		s.wantRead("a list", s.list, 20*time.Millisecond, v1alpha1.ReasonAgentUnreachable)
		s.node.thaw()
		synctest.Wait()
		// It reads still, and can be asked.
		s.wantShown("the thaw", v1alpha1.ReasonReading)
		time.Sleep(time.Minute)
		synctest.Wait()
		s.wantShown("the read", "")
	})
}

// TestWriteWhileTheAgentReads is sent, and one to an agent that is silent is not.
func TestWriteWhileTheAgentReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowSite(t, time.Hour, nil)
		s.wantRead("a list", s.list, 10*time.Second, v1alpha1.ReasonReading)
		base, err := agent.Fingerprint(s.sink.last("node01"))
		if err != nil {
			t.Fatal(err)
		}
		change := agent.Change{Object: s.sink.last("node01").DeepCopy(), Base: base, User: "tester"}
		// The answer, which has no object, does not matter here.
		_, err = s.Apply(t.Context(), "node01", change)
		wantKind(t, err, agent.Failed, "not valid")
		s.node.freeze()
		begin := time.Now()
		_, err = s.Apply(t.Context(), "node01", change)
		wantKind(t, err, agent.Unreachable, "has not answered since")
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("the write took %s", took)
		}
		s.node.mu.Lock()
		defer s.node.mu.Unlock()
		if s.node.changes != 1 {
			t.Errorf("the agent was sent %d changes, not 1", s.node.changes)
		}
	})
}

// TestReadsAreLimited: a node reads at most so often, whoever asks; readers beyond
// share the next read, which begins after they came.
func TestReadsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowSite(t, time.Millisecond, func(c *Config, _ *slow) { c.Reads.MaxPerNode = 10 })
		begin := time.Now()
		var readers sync.WaitGroup
		for range 50 {
			readers.Go(func() {
				for time.Since(begin) < 10*time.Second {
					came := time.Now()
					if warned, took := s.read(s.list); warned != "" || took > time.Second {
						t.Errorf("a read took %s and warned %q", took, warned)
					}
					s.node.mu.Lock()
					if last := s.node.begun[len(s.node.begun)-1]; last.Before(came) {
						t.Error("a reader was given what was read before it came")
					}
					s.node.mu.Unlock()
				}
			})
		}
		readers.Wait()
		// 20 at once, and 10 in each of the 10 s.
		if got := len(s.node.begun); got < 100 || got > 122 {
			t.Errorf("the node has read %d times in 10 s", got)
		}
		delayed, err := testutil.GetCounterMetricValue(s.metrics.readsDelayed)
		if err != nil || delayed < 80 {
			t.Errorf("%v reads were counted as delayed, %v", delayed, err)
		}
	})
}

// TestWhatIsProvedIsNoRead: an agent that need not read is not limited.
func TestWhatIsProvedIsNoRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowSite(t, time.Millisecond, func(c *Config, a *slow) { c.Reads.MaxPerNode, a.proves = 1, true })
		for range 100 {
			s.wantRead("a GET", s.get, time.Millisecond, "")
		}
	})
}

// TestNoPauseForAStreamThatEnds: the next stream of the node is not held back by it.
func TestNoPauseForAStreamThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowSite(t, time.Millisecond, func(c *Config, _ *slow) { c.Reads.MaxPerNode = 1 })
		for range 2 {
			s.wantRead("a GET", s.get, time.Millisecond, "")
		}
		session := s.member("node01").session
		time.AfterFunc(100*time.Millisecond, func() {
			session.end(errEnded)
			s.member("node01").detach(session)
		})
		s.wantRead("a GET", s.get, 100*time.Millisecond, v1alpha1.ReasonAgentUnreachable)
	})
}
