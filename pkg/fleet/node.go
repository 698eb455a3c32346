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
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// node is what is known of one node. All that the sink is told of it is told
// under its lock, so in order.
type node struct {
	fleet *Fleet
	name  string
	// budget is what its agents may say, in bytes; see cost.
	budget *rate.Limiter

	mu   sync.Mutex
	info Node
	// session is the stream that speaks for the node: one that has sent an object. nil if there is none.
	session *session
	// candidate is the newest stream that has not sent one yet, nil if there is none.
	candidate *session
	// own is what the agent sent last, of the given hash, and size in bytes.
	own  *v1alpha1.NodeNetworkState
	hash []byte
	size int
	// reachable is whether own is shown as what is now; since is when it ceased to be.
	reachable bool
	since     time.Time
	// conditions are those that were shown last.
	conditions []metav1.Condition
	// removed is set once the directory has the node no more.
	removed bool
	// moved is closed, and replaced, whenever session, reachable or removed changes.
	moved chan struct{}
}

// talk is how many bytes a second an agent may say for long, and a hundredth of
// it is what each object counts for at least. What was said is kept for watches
// that are behind, for minutes: a node that somebody has taken over is neither to
// fill the memory of the server of all, nor to use up the history of all nodes.
const talk = 4 << 20

// cost is what a message counts for.
func cost(message *agentpb.AgentMessage) int {
	size := proto.Size(message)
	if message.GetReply() == nil {
		size = max(size, talk/100)
	}
	return min(size, agent.MaxMessageSize)
}

// newNode returns a node that was never heard of, and shows it so.
func newNode(f *Fleet, info Node) *node {
	n := &node{
		fleet: f, name: info.Name, info: info, since: time.Now(), moved: make(chan struct{}),
		budget: rate.NewLimiter(talk, agent.MaxMessageSize),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.show()
	return n
}

// node returns what the directory says of it.
func (n *node) node() Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.info
}

// is tells whether the node has that uid.
func (n *node) is(uid types.UID) bool { return n.node().UID == uid }

// setInfo records what the directory says of it now.
func (n *node) setInfo(info Node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.info = info
	n.show()
}

// remove ends all that is there of the node.
func (n *node) remove() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.removed = true
	if n.candidate != nil {
		n.candidate.end(errNodeRemoved)
	}
	if n.session != nil {
		n.session.end(errNodeRemoved)
		n.leave()
	}
	n.fleet.config.Sink.Delete(n.name)
	n.wake()
}

// lastHash returns the hash of what the agent sent last, nil if it sent nothing.
func (n *node) lastHash() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hash
}

// unchanged records that a new session has nothing to send but what was sent
// last; false if that is not what is here.
func (n *node) unchanged(s *session, hash []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.own == nil || !bytes.Equal(n.hash, hash) {
		return false
	}
	n.fleet.metrics.event(eventUnchanged)
	n.take(s, n.own, hash, n.size)
	return true
}

// enter records a session that has been admitted and has sent nothing yet. There
// is one such at a time: an older one ends, or one agent could have any number.
func (n *node) enter(s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.removed {
		s.end(errNodeRemoved)
		return
	}
	if n.candidate != nil {
		n.candidate.end(errReplaced)
		n.fleet.metrics.event(eventReplaced)
	}
	n.candidate = s
}

// object records what the agent sent. The first one of a session makes it the
// one that speaks for the node, in place of an older one.
func (n *node) object(s *session, own *v1alpha1.NodeNetworkState, hash []byte, size int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fleet.metrics.event(eventObject)
	n.take(s, own, hash, size)
}

// take is object. The caller holds the lock.
func (n *node) take(s *session, own *v1alpha1.NodeNetworkState, hash []byte, size int) {
	if n.removed {
		s.end(errNodeRemoved)
	}
	if s.hasEnded() {
		return
	}
	if n.session != s {
		if n.candidate == s {
			n.candidate = nil
		}
		if n.session != nil {
			n.session.end(errReplaced)
			n.fleet.metrics.event(eventReplaced)
			n.leave()
		}
		n.session = s
		n.fleet.metrics.connected.Inc()
		n.fleet.metrics.stateBytes.Add(float64(n.size))
	}
	n.fleet.metrics.stateBytes.Add(float64(size - n.size))
	n.own, n.hash, n.size = own, hash, size
	n.setReachable(true)
	n.show()
}

// asking records when the session's barrier began, the zero time that it has ended.
func (n *node) asking(s *session, begin time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s.asked = begin
}

// due returns until when the session's agent has time to pass a barrier: the one
// under way, or one that begins now. The caller holds the node's lock.
func (s *session) due() time.Time {
	begin := s.asked
	if begin.IsZero() {
		begin = time.Now()
	}
	return begin.Add(s.node.fleet.config.BarrierTimeout)
}

// proved records that the object that the session sent last is true now.
func (n *node) proved(s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s.asked = time.Time{}
	if n.session != s || n.reachable {
		return
	}
	n.setReachable(true)
	n.show()
}

// failed records that the session's agent could not pass a barrier.
func (n *node) failed(s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.missed(s)
}

// overdue records that the session has not passed its barrier in time, if that
// is so still; false if the node could not be asked before.
func (n *node) overdue(s *session) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s == nil || !n.reachable {
		return false
	}
	if !time.Now().Before(s.due()) {
		n.missed(s)
	}
	return true
}

// missed records that what the session sent last is not known to be true. The caller holds the lock.
func (n *node) missed(s *session) {
	if n.session != s || !n.reachable {
		return
	}
	s.logger.Info("The agent did not answer in time")
	n.setReachable(false)
	n.show()
}

// detach records that the session has ended.
func (n *node) detach(s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.candidate == s {
		n.candidate = nil
	}
	if n.session != s {
		return
	}
	n.leave()
	n.setReachable(false)
	n.show()
}

// leave forgets the session. The caller holds the lock.
func (n *node) leave() {
	n.session = nil
	n.fleet.metrics.connected.Dec()
	n.fleet.metrics.stateBytes.Add(-float64(n.size))
	n.wake()
}

// setReachable records whether the agent can be asked. The caller holds the lock.
func (n *node) setReachable(reachable bool) {
	if n.reachable == reachable {
		return
	}
	n.reachable = reachable
	if !reachable {
		n.since = time.Now()
		n.fleet.metrics.event(eventUnreachable)
	}
	n.wake()
}

// awaitReachable returns once the agent can be asked, or cannot ever be, or ctx has ended.
func (n *node) awaitReachable(ctx context.Context) {
	for {
		n.mu.Lock()
		done, moved := n.reachable || n.removed, n.moved
		n.mu.Unlock()
		if done {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}

// show gives the sink the object as it is. The caller holds the lock.
func (n *node) show() {
	if n.removed || n.fleet.stopped.Load() {
		return
	}
	var obj *v1alpha1.NodeNetworkState
	if n.reachable {
		obj = compose(n.info, n.own, n.conditions)
	} else {
		obj = unreachable(n.info, n.own, n.conditions, n.since)
	}
	n.conditions = obj.Status.Conditions
	n.fleet.config.Sink.Set(obj)
}

func (n *node) wake() {
	close(n.moved)
	n.moved = make(chan struct{})
}
