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

package uplink

import (
	"strings"
	"testing"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

func TestLargeObjects(t *testing.T) {
	s := startServer(t, secrets(t), "127.0.0.1:0")
	node := fake.New()
	large := make([]byte, agent.MaxMessageSize-1<<20)
	for i := range large {
		large[i] = 'x'
	}
	if err := node.SetState(`{"hostname":"` + string(large) + `"}`); err != nil {
		t.Fatal(err)
	}
	s.start(node, nil)
	st := s.welcome()
	if got := len(s.receive(st).GetObject()); got < len(large) {
		t.Errorf("an object of %d bytes came as %d", len(large), got)
	}
}

// TestObjectsThatDoNotFitAMessage: the node stays in the API, and can be changed.
func TestObjectsThatDoNotFitAMessage(t *testing.T) {
	s := startServer(t, secrets(t), "127.0.0.1:0")
	node := fake.New()
	if err := node.SetState(`{"hostname":"` + strings.Repeat("x", agent.MaxMessageSize) + `"}`); err != nil {
		t.Fatal(err)
	}
	s.start(node, nil)
	st := s.welcome()
	tooLarge := func(text []byte) *v1alpha1.NodeNetworkState {
		t.Helper()
		obj, err := agent.DecodeObject(text, "node01")
		if err != nil {
			t.Fatal(err)
		}
		available := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionAvailable)
		if obj.Status.CurrentState != nil || available == nil || available.Reason != v1alpha1.ReasonStateTooLarge {
			t.Errorf("the object came with %.80v, Available is %+v", obj.Status.CurrentState, available)
		}
		return obj
	}
	obj := tooLarge(s.receive(st).GetObject())
	base, err := agent.Fingerprint(obj)
	if err != nil {
		t.Fatal(err)
	}
	obj.Annotations = map[string]string{"a": "b"}
	change, err := agent.EncodeChange(agent.Change{Object: obj, Base: base})
	if err != nil {
		t.Fatal(err)
	}
	s.ask(st, &agentpb.Request{Id: 1, Request: &agentpb.Request_Apply{Apply: change}})
	if obj := tooLarge(s.receive(st).GetObject()); obj.Annotations["a"] != "b" {
		t.Errorf("the object has the annotations %v", obj.Annotations)
	}
	reply := s.receive(st).GetReply()
	if reply.GetError() != nil {
		t.Fatal(reply.GetError())
	}
	tooLarge(reply.GetObject())
}
