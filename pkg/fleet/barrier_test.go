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
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/warning"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// all selects all nodes.
func all(Node) bool { return true }

// warnings is a warning.Recorder.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

func (w *warnings) AddWarning(_, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

// pass passes a barrier to all nodes, and returns the warnings and how long it took.
func (s *server) pass() ([]string, time.Duration) {
	s.t.Helper()
	w := &warnings{}
	begin := time.Now()
	if err := s.Barrier(warning.WithWarningRecorder(context.Background(), w), all); err != nil {
		s.t.Errorf("Barrier: %v", err)
	}
	return w.texts, time.Since(begin)
}

// hold makes an agent's barriers wait until release is called; entered gets an entry for each.
func hold(node *fake.Agent) (entered chan struct{}, release func()) {
	held := make(chan struct{})
	entered = make(chan struct{}, 1000)
	node.SetHooks(fake.Hooks{Barrier: func() {
		entered <- struct{}{}
		<-held
	}})
	return entered, sync.OnceFunc(func() { close(held) })
}

func TestBarrierFindsWhatNobodyNoticed(t *testing.T) {
	s := startServer(t, nil, "node01", "node02")
	first, second := s.join("node01"), s.join("node02")
	for i := range 200 {
		state := fmt.Sprintf(`{"interfaces":[{"name":"eth%d"}]}`, i)
		for _, node := range []*fake.Agent{first, second} {
			if err := node.SetStateUnnoticed(state); err != nil {
				t.Fatal(err)
			}
		}
		if w, _ := s.pass(); w != nil {
			t.Fatalf("warnings: %q", w)
		}
		for _, name := range []string{"node01", "node02"} {
			if !shows(state)(s.sink.last(name)) {
				t.Fatalf("change %d of %s was not there when the barrier passed", i, name)
			}
		}
	}
}

func TestBarrierAsksOnlyTheSelected(t *testing.T) {
	s := startServer(t, nil, "node01", "node02")
	first, second := s.join("node01"), s.join("node02")
	if err := s.Barrier(t.Context(), func(n Node) bool { return n.Labels["kubernetes.io/hostname"] == "node02" }); err != nil {
		t.Fatal(err)
	}
	if first.Counts().Barriers != 0 || second.Counts().Barriers != 1 {
		t.Errorf("the nodes were asked %d and %d times", first.Counts().Barriers, second.Counts().Barriers)
	}
	if err := s.BarrierNode(t.Context(), "node01"); err != nil || first.Counts().Barriers != 1 {
		t.Errorf("a barrier on one node: %v", err)
	}
	if err := s.BarrierNode(t.Context(), "node99"); err != nil {
		t.Errorf("a barrier on no node: %v", err)
	}
}

func TestBarrierIsSharedByManyReaders(t *testing.T) {
	s := startServer(t, nil, "node01")
	node := s.join("node01")
	entered, release := hold(node)
	var readers sync.WaitGroup
	readers.Go(func() { s.pass() })
	<-entered
	// The first barrier is under way: all others share the next.
	var begun sync.WaitGroup
	for range 1000 {
		begun.Add(1)
		readers.Go(func() {
			p := &passage{member: s.member("node01"), begin: time.Now(), patience: timeout}
			p.join()
			begun.Done()
			if found, err := p.wait(context.Background(), time.NewTimer(timeout)); found != live || err != nil {
				t.Errorf("a barrier that was passed: %v, %v", found, err)
			}
		})
	}
	begun.Wait()
	release()
	readers.Wait()
	if got := node.Counts().Barriers; got != 2 {
		t.Errorf("1,001 readers cost the agent %d barriers, not 2", got)
	}
}

func TestSilentAgentDoesNotHoldReadersUp(t *testing.T) {
	s := startServer(t, func(c *Config) { c.BarrierTimeout = 2 * time.Second }, "node01", "node02")
	other, r := s.join("node02"), s.admitted("node01")
	r.object(objectText(t, "{}"))
	s.sink.until(t, "node01", "available", available)
	w, took := s.pass()
	if len(w) != 1 || !strings.Contains(w[0], "node01") || strings.Contains(w[0], "node02") {
		t.Errorf("warnings: %q", w)
	}
	if took < 2*time.Second {
		t.Errorf("the first read took %s", took)
	}
	if !unknown(s.sink.last("node01")) || !available(s.sink.last("node02")) {
		t.Error("after a barrier that one agent missed, not that one alone is unknown")
	}
	for range 5 {
		if w, took = s.pass(); len(w) != 1 || took < 20*time.Millisecond || took > time.Second {
			t.Errorf("a read while the agent is unreachable took %s, with warnings %q", took, w)
		}
	}
	if got := other.Counts().Barriers; got != 6 {
		t.Errorf("the other node was asked %d times, not 6", got)
	}
	// The late reply makes it reachable again, with the object that was sent before.
	revisions := len(s.sink.all("node01"))
	r.reply(&agentpb.Reply{Id: r.barrier()})
	s.sink.until(t, "node01", "available", available)
	if got := len(s.sink.all("node01")); got != revisions+1 {
		t.Errorf("coming back took %d objects, not one", got-revisions)
	}
	if got := s.count(eventUnreachable); got != 1 {
		t.Errorf("%v times unreachable were counted, not 1", got)
	}
}

func TestNewObjectMakesReachableAgain(t *testing.T) {
	s := startServer(t, func(c *Config) { c.BarrierTimeout = 50 * time.Millisecond }, "node01")
	r := s.admitted("node01")
	r.object(objectText(t, "{}"))
	s.sink.until(t, "node01", "available", available)
	s.pass()
	s.sink.until(t, "node01", "unknown", unknown)
	r.object(objectText(t, `{"interfaces":[{"name":"new"}]}`))
	s.sink.until(t, "node01", "the new state", shows(`{"interfaces":[{"name":"new"}]}`))
}

func TestBarrierThatTheAgentFails(t *testing.T) {
	s := startServer(t, nil, "node01")
	r := s.admitted("node01")
	r.object(objectText(t, "{}"))
	s.sink.until(t, "node01", "available", available)
	go func() {
		r.reply(&agentpb.Reply{Id: r.barrier(), Error: &agentpb.Error{Kind: "Failed", Message: "cannot read"}})
		r.reply(&agentpb.Reply{Id: r.barrier()})
	}()
	if w, took := s.pass(); len(w) != 1 || took > timeout/2 {
		t.Errorf("a barrier that failed took %s, with warnings %q", took, w)
	}
	if !unknown(s.sink.last("node01")) {
		t.Error("what is not proved is shown as current")
	}
	w, _ := s.pass()
	s.sink.until(t, "node01", "available again", available)
	if len(w) > 1 {
		t.Errorf("warnings: %q", w)
	}
}

func TestBarrierWaitsForASessionToCome(t *testing.T) {
	s := startServer(t, func(c *Config) { c.BarrierGrace = timeout }, "node01")
	passed := make(chan []string)
	go func() {
		w, _ := s.pass()
		passed <- w
	}()
	s.join("node01")
	if w := <-passed; w != nil {
		t.Errorf("warnings: %q", w)
	}
}

func TestBarrierOutlivesALostSession(t *testing.T) {
	s := startServer(t, func(c *Config) { c.BarrierGrace = timeout }, "node01")
	r := s.admitted("node01")
	r.object(objectText(t, "{}"))
	s.sink.until(t, "node01", "available", available)
	passed := make(chan []string)
	go func() {
		w, _ := s.pass()
		passed <- w
	}()
	r.request()
	r.close()
	s.sink.until(t, "node01", "unknown", unknown)
	s.join("node01")
	if w := <-passed; w != nil {
		t.Errorf("warnings: %q", w)
	}
}

func TestBarrierEndsWithItsContext(t *testing.T) {
	s := startServer(t, nil, "node01")
	node := s.join("node01")
	entered, release := hold(node)
	defer release()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-entered
		cancel()
	}()
	if err := s.Barrier(ctx, all); !errors.Is(err, context.Canceled) {
		t.Errorf("Barrier ended with %v", err)
	}
	if !available(s.sink.last("node01")) {
		t.Error("a reader that gave up has made the node unreachable")
	}
}

func TestBarrierEndsForANodeThatIsRemoved(t *testing.T) {
	s := startServer(t, nil, "node01")
	node := s.join("node01")
	entered, release := hold(node)
	defer release()
	passed := make(chan struct{})
	go func() {
		s.pass()
		close(passed)
	}()
	<-entered
	s.directory.remove("node01")
	<-passed
}

func TestWarningNamesAFew(t *testing.T) {
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("node%03d", i))
	}
	w := missedWarning(unreachable, names)
	if !strings.Contains(w, "node009") || strings.Contains(w, "node010") || !strings.Contains(w, "90 more") {
		t.Errorf("the warning is %q", w)
	}
}
