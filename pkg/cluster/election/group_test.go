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

package election

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	"k8s.io/utils/clock"
)

// atOnce is as long as something may take that waits for no timer. The tests'
// time stands still while anything runs, so it only covers repeated requests.
const atOnce = 300 * time.Millisecond

// aWhile ends between two renewals.
const aWhile = time.Minute + retryPeriod/2

// group is the servers of a test and the api that they share.
type group struct {
	t     *testing.T
	ctx   context.Context
	api   *api
	admin admin
	// leading gets one for each call of lead.
	leading chan led

	mu    sync.Mutex
	terms []uint64
	now   map[string]bool
	// mayOverlap is set when somebody tampers with the Lease.
	mayOverlap bool
}

// led says that lead was called.
type led struct {
	name string
	term uint64
}

// server is one member of a group.
type server struct {
	*Election
	client *client
	stop   context.CancelFunc
	done   chan error
	// hold keeps lead from returning until it is closed; nil: not at all.
	hold chan struct{}
	// fail is what lead returns at once.
	fail error
	// memory is a term that the server has seen before.
	memory uint64
}

// run runs a test in a bubble of its own, in which time is virtual.
func run(t *testing.T, test func(t *testing.T, g *group)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		logger := ktesting.NewLogger(t, ktesting.NewConfig(ktesting.Verbosity(2)))
		ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), logger))
		defer synctest.Wait()
		defer cancel()
		shared := newAPI()
		test(t, &group{
			t: t, ctx: ctx, api: shared, admin: admin{t, shared.client()},
			leading: make(chan led, 1000), now: map[string]bool{},
		})
	})
}

// start starts a server whose Run ends with the test.
func (g *group) start(name string, changes ...func(*Config, *server)) *server {
	s := &server{client: g.api.client(), done: make(chan error, 1)}
	config := Config{Client: s.client, Namespace: namespace, PodName: name}
	for _, change := range changes {
		change(&config, s)
	}
	s.Election = New(config)
	s.remember(s.memory)
	g.restart(s)
	return s
}

// restart runs a server again whose Run has ended, with its memory.
func (g *group) restart(s *server) {
	ctx, stop := context.WithCancel(g.ctx)
	s.stop = stop
	go func() {
		s.done <- s.Run(ctx, func(ctx context.Context, term uint64) error { return g.lead(ctx, s, term) })
	}()
}

func (g *group) lead(ctx context.Context, s *server, term uint64) error {
	g.begin(s.Identity(), term)
	defer g.end(s.Identity())
	if s.fail != nil {
		return s.fail
	}
	<-ctx.Done()
	if s.hold != nil {
		<-s.hold
	}
	return nil
}

// begin checks that nobody else leads and that the term is far enough from the
// last.
func (g *group) begin(name string, term uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.now) > 0 && !g.mayOverlap {
		g.t.Errorf("%s leads while %v does", name, g.now)
	}
	if n := len(g.terms); n > 0 && term < g.terms[n-1]+termDistance {
		g.t.Errorf("term %d of %s comes after %d", term, name, g.terms[n-1])
	}
	g.now[name] = true
	g.terms = append(g.terms, term)
	g.leading <- led{name, term}
}

func (g *group) end(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.now, name)
}

func (g *group) setMayOverlap(may bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mayOverlap = may
}

// leaders are those that lead now.
func (g *group) leaders() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for name := range g.now {
		names = append(names, name)
	}
	return names
}

// awaitLeader returns who leads next, which has to be within the time given.
func (g *group) awaitLeader(within time.Duration) led {
	g.t.Helper()
	start := time.Now()
	select {
	case l := <-g.leading:
		if took := time.Since(start); took > within {
			g.t.Errorf("it took %s until somebody led, want %s at most", took, within)
		}
		return l
	case <-time.After(time.Hour):
		g.t.Fatal("nobody leads")
		return led{}
	}
}

// awaitEnd returns what Run returned, which has to be within the time given.
func (g *group) awaitEnd(s *server, within time.Duration) error {
	g.t.Helper()
	start := time.Now()
	select {
	case err := <-s.done:
		if took := time.Since(start); took > within {
			g.t.Errorf("it took %s until Run returned, want %s at most", took, within)
		}
		return err
	case <-time.After(time.Hour):
		g.t.Fatal("Run does not return")
		return nil
	}
}

// await waits until the condition holds, looking at it whenever all is quiet.
func (g *group) await(what string, within time.Duration, condition func() bool) {
	g.t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(time.Millisecond) {
		synctest.Wait()
		if condition() {
			return
		}
		if time.Now().After(end) {
			g.t.Fatalf("after %s not so: %s", within, what)
		}
	}
}

// leaseIs checks who holds the Lease and which term it names.
func (g *group) leaseIs(identity string, term uint64) {
	g.t.Helper()
	lease := g.admin.lease()
	if holder(lease) != identity || lease.Annotations[TermAnnotation] != strconv.FormatUint(term, 10) {
		g.t.Errorf("lease is held by %q in term %q, want %q and %d", holder(lease), lease.Annotations[TermAnnotation], identity, term)
	}
}

func withClock(clock clock.PassiveClock) func(*Config, *server) {
	return func(config *Config, _ *server) { config.Clock = clock }
}

func withMemory(term uint64) func(*Config, *server) {
	return func(_ *Config, s *server) { s.memory = term }
}

func podName(i int) string { return fmt.Sprintf("nmstate-apiserver-%d", i) }
