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
	"testing"
	"time"

	"golang.org/x/time/rate"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/klog/v2"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// shows tells of an object whether it shows that current state.
func shows(state string) func(*v1alpha1.NodeNetworkState) bool {
	return func(obj *v1alpha1.NodeNetworkState) bool {
		return obj != nil && obj.Status.CurrentState != nil && string(obj.Status.CurrentState.Raw) == state
	}
}

func TestNodeThatWasNeverSeen(t *testing.T) {
	s := startServer(t, nil, "node01")
	obj := s.sink.until(t, "node01", "unknown", unknown)
	if obj.Labels["kubernetes.io/hostname"] != "node01" || obj.Status.CurrentState != nil {
		t.Errorf("got %+v", obj)
	}
}

// TestStatesAreHeldOnce: an agent sends the whole object when only a part of it has changed, and the memory has
// what is the same once. What differs is what the agent says.
func TestStatesAreHeldOnce(t *testing.T) {
	m := newMember(New(Config{Sink: newSink()}), nodeNamed("node01"))
	s := newSession(m, nil, klog.Background())
	send := func(desired, current string, generation int64) *v1alpha1.NodeNetworkState {
		own := &v1alpha1.NodeNetworkState{}
		own.Generation = generation
		own.Spec.DesiredState = v1alpha1.NewState([]byte(desired))
		own.Status.CurrentState = v1alpha1.NewState([]byte(current))
		m.object(s, known{own: own})
		return m.own
	}
	first := send(`{"a":1}`, `{"b":1}`, 1)
	second := send(`{"a":1}`, `{"b":2}`, 2)
	if second.Spec.DesiredState != first.Spec.DesiredState {
		t.Error("the desired state, which is the same, is in memory twice")
	}
	if string(second.Status.CurrentState.Raw) != `{"b":2}` || second.Generation != 2 || string(first.Status.CurrentState.Raw) != `{"b":1}` {
		t.Errorf("%+v after %+v", second, first)
	}
	none := &v1alpha1.NodeNetworkState{}
	m.object(s, known{own: none})
	if m.own.Spec.DesiredState != nil || m.own.Status.CurrentState != nil {
		t.Error("a state that is gone is there still")
	}
}

func TestLostAgentIsLabelledAndComesBack(t *testing.T) {
	s := startServer(t, nil, "node01")
	node := fake.New()
	stop := s.dial("node01", node, s.address)
	live := s.sink.until(t, "node01", "available", available)
	stop()
	lost := s.sink.until(t, "node01", "unknown", unknown)
	if lost.Status.CurrentState != nil || lost.Status.AgentVersion != live.Status.AgentVersion ||
		lost.Generation != live.Generation || !lost.Status.LastSuccessfulUpdateTime.Equal(live.Status.LastSuccessfulUpdateTime) {
		t.Errorf("the object of a lost agent is %+v", lost)
	}
	s.dial("node01", node, s.address)
	back := s.sink.until(t, "node01", "available", available)
	was := apimeta.FindStatusCondition(lost.Status.Conditions, v1alpha1.ConditionAvailable)
	is := apimeta.FindStatusCondition(back.Status.Conditions, v1alpha1.ConditionAvailable)
	if is.LastTransitionTime.Before(&was.LastTransitionTime) {
		t.Errorf("Available became True at %s, before it was Unknown at %s", is.LastTransitionTime, was.LastTransitionTime)
	}
	if s.count(eventUnreachable) != 1 || s.count(eventConnected) != 2 {
		t.Error("the events were not counted")
	}
}

func TestDirectoryChanges(t *testing.T) {
	s := startServer(t, nil, "node01")
	s.join("node01")
	labelled := nodeNamed("node01")
	labelled.Labels = map[string]string{"role": "edge"}
	s.directory.set(labelled)
	obj := s.sink.until(t, "node01", "labelled", func(obj *v1alpha1.NodeNetworkState) bool { return obj.Labels["role"] == "edge" })
	if !available(obj) {
		t.Error("a change of labels has made the node unavailable")
	}
	s.directory.set(nodeNamed("node02"))
	s.sink.until(t, "node02", "there", unknown)
	s.join("node02")
}

// TestOnlyTheChangedNodeIsShownAnew: the directory tells of all nodes whenever one has changed, and thousands that
// join one after the other would have each shown thousands of times.
func TestOnlyTheChangedNodeIsShownAnew(t *testing.T) {
	s := startServer(t, nil, "node01", "node02")
	s.join("node01")
	before := len(s.sink.all("node01"))
	changed := nodeNamed("node02")
	changed.Labels = map[string]string{"role": "edge"}
	s.directory.set(changed)
	s.sink.until(t, "node02", "labelled", func(obj *v1alpha1.NodeNetworkState) bool { return obj.Labels["role"] == "edge" })
	s.directory.set(nodeNamed("node03")) // By then the delivery before is over.
	s.sink.until(t, "node03", "there", unknown)
	if after := len(s.sink.all("node01")); after != before {
		t.Errorf("a node that has not changed was shown %d times when others did", after-before)
	}
}

func TestRemovedNode(t *testing.T) {
	s := startServer(t, nil, "node01")
	r := s.admitted("node01")
	r.object(objectText(t, "{}"))
	s.sink.until(t, "node01", "available", available)
	s.directory.remove("node01")
	s.sink.until(t, "node01", "deleted", func(obj *v1alpha1.NodeNetworkState) bool { return obj == nil })
	if err := r.end(); status.Code(err) != codes.NotFound {
		t.Errorf("the agent of a removed node is told %v", err)
	}
	if err := s.BarrierNode(t.Context(), "node01"); err != nil {
		t.Errorf("a barrier on a removed node: %v", err)
	}
	s.directory.set(nodeNamed("node01"))
	s.join("node01")
}

func TestNodeThatWasMadeAnew(t *testing.T) {
	s := startServer(t, nil, "node01")
	s.join("node01")
	before := s.sink.last("node01")
	anew := nodeNamed("node01")
	anew.UID = "another"
	s.directory.set(anew)
	after := s.sink.until(t, "node01", "anew", func(obj *v1alpha1.NodeNetworkState) bool {
		return available(obj) && obj.UID != before.UID
	})
	deleted := false
	for _, obj := range s.sink.all("node01") {
		deleted = deleted || obj == nil
	}
	if !deleted || after.UID == before.UID {
		t.Error("a node made anew is not another object")
	}
}

func TestServerRestart(t *testing.T) {
	s := startServer(t, nil, "node01")
	node := s.join("node01")
	s.stop()
	if !available(s.sink.last("node01")) {
		t.Error("that the server ends is told as news of its nodes")
	}
	if err := node.SetState(`{"interfaces":[{"name":"later"}]}`); err != nil {
		t.Fatal(err)
	}
	next := startServerAt(t, s.address, s.folder, nil, "node01")
	next.sink.until(t, "node01", "the state of now", shows(`{"interfaces":[{"name":"later"}]}`))
}

func TestDeadPeer(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(c *Config) { c.KeepaliveTime, c.KeepaliveTimeout = time.Second, time.Second }, "node01")
	between := newProxy(t, s.address)
	s.dial("node01", fake.New(), between.Addr().String())
	s.sink.until(t, "node01", "available", available)
	between.freeze()
	begin := time.Now()
	s.sink.until(t, "node01", "unknown", unknown)
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("a dead agent was found after %s", took)
	}
}

func TestDeadServer(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil, "node01")
	between := newProxy(t, s.address)
	s.dial("node01", fake.New(), between.Addr().String())
	s.sink.until(t, "node01", "available", available)
	between.freeze()
	begin := time.Now()
	// The agent hangs up and dials again; what it dials now is as silent.
	between.awaitSecond(t)
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("a dead server was found after %s", took)
	}
}

// TestLeavingCounts: an agent that comes and goes, or is silent every now and then, fills
// the history with its object, which it has sent once.
func TestLeavingCounts(t *testing.T) {
	for _, to := range []standing{unreachable, reading} {
		m := newMember(New(Config{Sink: newSink()}), nodeNamed("node01"))
		m.budget = rate.NewLimiter(0, agent.MaxMessageSize)
		m.size = 1 << 20
		m.standing = live
		for range 3 {
			m.setStanding(to, time.Now())
			m.setStanding(live, time.Now())
		}
		if left := m.budget.Tokens(); left != agent.MaxMessageSize-3<<20 {
			t.Errorf("3 times to %v and back leave %v bytes", to, left)
		}
	}
}
