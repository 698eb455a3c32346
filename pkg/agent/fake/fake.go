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

// Package fake is an agent of a node that exists in memory only. It keeps the
// contract of agent.Agent at the level of meaning: it knows what interfaces are,
// merges a wanted state into the current one and tells the difference, but there
// is no kernel and no nmstate behind it.
package fake

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

var _ agent.Agent = &Agent{}

// Counts tells how often the node was asked for something.
type Counts struct {
	// Reads of the network, Barriers carried out (not asked for), changes
	// validated, and applies that touched the network.
	Reads, Barriers, Validates, Applies int
}

// Hooks are called, where set, at the points they are named after. Barrier and
// Apply may block, which holds up nothing but what is named so.
type Hooks struct {
	// Barrier is called as a barrier begins, before the network is read.
	Barrier func()
	// Validate is called once a change is found to be valid in itself; an error refuses it.
	Validate func(agent.Change) error
	// Apply is called half-way through an apply; an error rolls it back.
	Apply func(agent.Change) error
}

// Agent is the fake; see the package's documentation.
type Agent struct {
	feed   *agent.Feed
	rounds *agent.Rounds

	mu      sync.Mutex
	hooks   Hooks
	counts  Counts
	network network
	// text is the network as JSON, nil until it is asked for. A network is replaced, never changed: a simulated node
	// costs little then, as one that proves that nothing has changed.
	text   *v1alpha1.State
	record record
	// applying is whether an apply is under way.
	applying bool
	// waiting is the change that waits for a manual confirmation, nil if none does.
	waiting *waiting
	// warnings are those of each dry run.
	warnings []string
	// history has the last changes, the newest first.
	history []v1alpha1.HistoryEntry
	// ports replace those of the network if they are set; told counts how often they were asked for.
	ports []v1alpha1.NetworkPort
	told  int64
	// kept are the ids of the changes of annotations alone.
	kept []string
}

// record is the durable part of the object.
type record struct {
	annotations   map[string]string
	managedFields []metav1.ManagedFieldsEntry
	generation    int64
	spec          v1alpha1.NodeNetworkStateSpec
	lastApply     *v1alpha1.LastApply
	// before is what there was of each interface before it came into the spec.
	before map[string]map[string]any
}

// New returns an agent of a node that has one interface, the loopback.
func New() *Agent {
	a := &Agent{
		feed:    agent.NewFeed(),
		network: network{"interfaces": []any{iface("lo", "loopback")}},
		record:  record{generation: 1},
	}
	a.rounds = agent.NewRounds(a.barrier)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.publish()
	return a
}

func iface(name, kind string) map[string]any {
	return map[string]any{"name": name, "type": kind, "state": "up"}
}

// SetHooks replaces the hooks.
func (a *Agent) SetHooks(hooks Hooks) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hooks = hooks
}

// SetWarnings replaces the warnings that each dry run has.
func (a *Agent) SetWarnings(warnings ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.warnings = warnings
}

// Counts returns what happened so far.
func (a *Agent) Counts() Counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counts
}

// SetState changes the network as somebody on the node would, and wakes the
// agent up. state is nmstate's, as JSON.
func (a *Agent) SetState(state string) error {
	changed, err := parse(v1alpha1.NewState([]byte(state)))
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.setNetwork(changed)
	a.publish()
	return nil
}

// SetStateUnnoticed is SetState, but nothing wakes the agent up: only a barrier finds it.
func (a *Agent) SetStateUnnoticed(state string) error {
	changed, err := parse(v1alpha1.NewState([]byte(state)))
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.setNetwork(changed)
	return nil
}

// Watch implements agent.Agent.
func (a *Agent) Watch(ctx context.Context, deliver func(*v1alpha1.NodeNetworkState)) error {
	return a.feed.Watch(ctx, deliver)
}

// Barrier implements agent.Agent.
func (a *Agent) Barrier(ctx context.Context) (read bool, err error) {
	round := a.rounds.Join()
	select {
	case <-round.Done():
		read, _ = round.Result()
		return read, a.feed.Settled(ctx)
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// barrier reads the network and publishes what has changed.
func (a *Agent) barrier() (read bool, err error) {
	a.mu.Lock()
	hook := a.hooks.Barrier
	a.counts.Barriers++
	a.mu.Unlock()
	if hook != nil {
		hook()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.publish()
	return true, nil
}

// setNetwork replaces the network. The caller holds the lock.
func (a *Agent) setNetwork(n network) { a.network, a.text = n, nil }

// state returns the network as JSON. The caller holds the lock.
func (a *Agent) state() *v1alpha1.State {
	if a.text == nil {
		a.text = a.network.state()
	}
	return a.text
}

// publish reads the network and publishes the object if it is not the one that
// was published last. The caller holds the lock.
func (a *Agent) publish() {
	a.counts.Reads++
	last := a.feed.Last()
	next := a.compose(a.record, last)
	if last != nil && sameObject(last, next) {
		return
	}
	read := now()
	next.Status.LastSuccessfulUpdateTime = &read
	a.feed.Publish(next)
}

// progress returns the reason why Progressing is True, nothing if it is not. The caller holds the lock.
func (a *Agent) progress() string {
	switch {
	case a.applying:
		return v1alpha1.ReasonApplying
	case a.waiting != nil:
		return v1alpha1.ReasonAwaitingConfirmation
	}
	return ""
}

// now returns the time as it is after it was in a JSON text.
func now() metav1.Time { return metav1.NewTime(time.Now()).Rfc3339Copy() }
