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
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// TestStateIsSentOnlyIfItDiffers: an agent that comes back to the same server
// with the same object sends its hash.
func TestStateIsSentOnlyIfItDiffers(t *testing.T) {
	s := startServer(t, nil, "node01")
	first := s.admitted("node01")
	text := objectText(t, `{"hostname":"same"}`)
	first.object(text)
	s.sink.until(t, "node01", "available", available)
	first.close()
	s.sink.until(t, "node01", "unknown", unknown)

	again := s.raw(token)
	again.hello("node01")
	welcome, err := again.Recv()
	if err != nil || !bytes.Equal(welcome.GetWelcome().GetObjectHash(), agent.HashObject([]byte(text))) {
		t.Fatalf("the agent that comes back is told %v, %v", welcome, err)
	}
	again.unchanged(agent.HashObject([]byte(text)))
	s.sink.until(t, "node01", "as it was", shows(`{"hostname":"same"}`))

	again.unchanged(agent.HashObject([]byte("another")))
	if err := again.end(); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("an agent that thinks of another object is told %v", err)
	}
	s.sink.until(t, "node01", "unknown", unknown)
}

// TestComingBackWithTheSame does it with a real uplink: it comes back available.
func TestComingBackWithTheSame(t *testing.T) {
	s := startServer(t, nil, "node01")
	node := fake.New()
	for range 3 {
		stop := s.dial("node01", node, s.address)
		s.sink.until(t, "node01", "available", available)
		stop()
		s.sink.until(t, "node01", "unknown", unknown)
	}
	if got := s.count(eventUnchanged); got != 2 {
		t.Errorf("the object was spared %v times, not 2", got)
	}
}

// TestNodeRemovedBeforeItsFirstObject: its stream ends, rather than being deaf for good.
func TestNodeRemovedBeforeItsFirstObject(t *testing.T) {
	s := startServer(t, nil, "node01")
	r := s.admitted("node01")
	s.directory.remove("node01")
	s.sink.until(t, "node01", "gone", func(obj *v1alpha1.NodeNetworkState) bool { return obj == nil })
	r.object(objectText(t, "{}"))
	if err := r.end(); status.Code(err) != codes.NotFound {
		t.Errorf("the agent of a removed node is told %v", err)
	}
}

func (r *raw) unchanged(hash []byte) {
	r.t.Helper()
	r.say(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Unchanged{Unchanged: hash}})
}
