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
	"bytes"
	"reflect"
	"sync"
	"time"

	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// member is a node of the fleet: what the directory says of it, its agent's
// streams, and what the agent has sent. The sink is told of it under its lock, so
// in order.
type member struct {
	fleet *Fleet
	name  string
	// budget is how many bytes its agents may send; see cost.
	budget *rate.Limiter
	// reads is how often its agent may read for readers; nil if there is no limit.
	reads *rate.Limiter
	// looks is how often this server looks for something outside of the node.
	looks *rate.Limiter

	mu   sync.Mutex
	info Node
	// session is the stream that speaks for the node: it has sent an object. nil if there is none.
	session *session
	// candidate is the newest stream that has not sent an object yet, nil if there is none.
	candidate *session
	// known is what the agent sent last.
	known
	// standing says whether own is shown as what is now, and since is since when.
	standing standing
	since    time.Time
	// conditions are the ones that were shown last.
	conditions []metav1.Condition
	// removed is set once the node is no longer in the directory.
	removed bool
	// moved is closed, and replaced, whenever session, standing or removed changes.
	moved chan struct{}
	// told is closed, and forgotten, when the agent sends an object or the node is removed; nil if
	// nobody waits for that.
	told chan struct{}
}

// known is an object that an agent has sent.
type known struct {
	own *v1alpha1.NodeNetworkState
	// base is the agent's token for the durable part of the object, hash the object's hash and
	// size its size in bytes.
	base string
	hash []byte
	size int
}

// newMember returns a member that was never heard of, and shows it so.
func newMember(f *Fleet, info Node) *member {
	m := &member{
		fleet: f, name: info.Name, info: info, since: time.Now(), moved: make(chan struct{}),
		budget: rate.NewLimiter(talk, agent.MaxMessageSize),
		looks:  rate.NewLimiter(looksPerNode, 2*looksPerNode),
	}
	if often := f.config.Reads.MaxPerNode; often > 0 {
		m.reads = rate.NewLimiter(rate.Limit(often), 2*often)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.show()
	return m
}

// node returns what the directory says of the node.
func (m *member) node() Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.info
}

// is tells whether the node has that uid.
func (m *member) is(uid types.UID) bool { return m.node().UID == uid }

// setInfo records what the directory says of the node now. The directory says it of all nodes when one has changed.
func (m *member) setInfo(info Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if reflect.DeepEqual(m.info, info) {
		return
	}
	m.info = info
	m.show()
}

// remove ends the node's streams and deletes its object.
func (m *member) remove() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removed = true
	if m.candidate != nil {
		m.candidate.end(errNodeRemoved)
	}
	if m.session != nil {
		m.session.end(errNodeRemoved)
		m.leave()
	}
	m.fleet.config.Sink.Delete(m.name)
	m.wake()
	m.tell()
}

// lastHash returns the hash of what the agent sent last, nil if it sent nothing.
func (m *member) lastHash() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hash
}

// unchanged records that the object of a new session is the one that the agent
// sent last. It returns false if the hash is another.
func (m *member) unchanged(s *session, hash []byte, base string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.own == nil || !bytes.Equal(m.hash, hash) {
		return false
	}
	m.fleet.metrics.event(eventUnchanged)
	m.take(s, known{own: m.own, base: base, hash: hash, size: m.size})
	return true
}

// enter records a session that has been admitted and has sent nothing yet. A node
// has one such session at a time: the older one ends. Otherwise one agent could
// open any number of them.
func (m *member) enter(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.removed {
		s.end(errNodeRemoved)
		return
	}
	if m.candidate != nil {
		m.candidate.end(errReplaced)
		m.fleet.metrics.event(eventReplaced)
	}
	m.candidate = s
}

// object records an object that the agent sent. A session that has sent one speaks
// for the node, in place of an older session.
func (m *member) object(s *session, sent known) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fleet.metrics.event(eventObject)
	m.take(s, sent)
}

// take is object. The caller holds the lock.
func (m *member) take(s *session, sent known) {
	if m.removed {
		s.end(errNodeRemoved)
	}
	if s.hasEnded() {
		return
	}
	if m.session != s {
		if m.candidate == s {
			m.candidate = nil
		}
		if m.session != nil {
			m.session.end(errReplaced)
			m.fleet.metrics.event(eventReplaced)
			m.leave()
		}
		m.session = s
		m.fleet.metrics.connected.Inc()
		m.fleet.metrics.stateBytes.Add(float64(m.size))
	}
	m.fleet.metrics.stateBytes.Add(float64(sent.size - m.size))
	if m.own != nil && m.own != sent.own {
		shareStates(sent.own, m.own)
	}
	m.known = sent
	m.setStanding(live, time.Now())
	m.show()
	m.tell()
}

// detach records that the session has ended.
func (m *member) detach(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.candidate == s {
		m.candidate = nil
	}
	if m.session != s {
		return
	}
	m.leave()
	m.setStanding(unreachable, time.Now())
	m.show()
}

// leave forgets the session. The caller holds the lock.
func (m *member) leave() {
	m.session = nil
	m.fleet.metrics.connected.Dec()
	m.fleet.metrics.stateBytes.Add(-float64(m.size))
	m.wake()
}

// show gives the sink the object as it is. The caller holds the lock.
func (m *member) show() {
	if m.removed || m.fleet.stopped.Load() {
		return
	}
	var obj *v1alpha1.NodeNetworkState
	switch m.standing {
	case live:
		obj = compose(m.info, m.own, m.conditions)
	case reading:
		obj = composeReading(m.info, m.own, m.conditions, m.since)
	default:
		obj = composeUnreachable(m.info, m.own, m.conditions, m.since)
	}
	m.conditions = obj.Status.Conditions
	m.fleet.config.Sink.Set(obj)
}

func (m *member) wake() {
	close(m.moved)
	m.moved = make(chan struct{})
}
