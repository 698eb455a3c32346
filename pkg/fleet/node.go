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
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// node is what is known of one node. All that the sink is told of it is told
// under its lock, so in order.
type node struct {
	fleet *Fleet
	name  string

	mu   sync.Mutex
	info Node
	// session is the stream that speaks for the node: one that has sent an object. nil if there is none.
	session *session
	// own is what the agent sent last, of the given size in bytes.
	own  *v1alpha1.NodeNetworkState
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

// newNode returns a node that was never heard of, and shows it so.
func newNode(f *Fleet, info Node) *node {
	n := &node{fleet: f, name: info.Name, info: info, since: time.Now(), moved: make(chan struct{})}
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
	if n.session != nil {
		n.session.end(errNodeRemoved)
		n.leave()
	}
	n.fleet.config.Sink.Delete(n.name)
	n.wake()
}

// object records what the agent sent. The first one of a session makes it the
// one that speaks for the node, in place of an older one.
func (n *node) object(s *session, own *v1alpha1.NodeNetworkState, size int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.removed || s.hasEnded() {
		return
	}
	if n.session != s {
		if n.session != nil {
			n.session.end(errReplaced)
			n.fleet.metrics.event(eventReplaced)
			n.leave()
		}
		n.session = s
		n.fleet.metrics.connected.Inc()
	}
	n.fleet.metrics.event(eventObject)
	n.fleet.metrics.stateBytes.Add(float64(size - n.size))
	n.own, n.size = own, size
	n.setReachable(true)
	n.show()
}

// proved records that the object that the session sent last is true now.
func (n *node) proved(s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session != s || n.reachable {
		return
	}
	n.setReachable(true)
	n.show()
}

// missed records that the session did not answer in time.
func (n *node) missed(s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
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
	n.size = 0
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
