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
	"context"
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// rich returns an object with all of a spec.
func rich() *v1alpha1.NodeNetworkState {
	obj := &v1alpha1.NodeNetworkState{}
	obj.Generation = 3
	obj.Spec = v1alpha1.NodeNetworkStateSpec{
		DesiredState: v1alpha1.NewState([]byte(`{"hostname":"a"}`)),
		Probes:       []v1alpha1.Probe{{Name: "gateway", Ping: &v1alpha1.PingProbe{}}},
		Confirmation: &v1alpha1.Confirmation{Mode: v1alpha1.ConfirmManually, Timeout: &metav1.Duration{Duration: time.Minute}},
		Reapply:      v1alpha1.ReapplyAlways,
	}
	return obj
}

// TestTranslate: a server of protocol 0 knows the desired state alone.
func TestTranslate(t *testing.T) {
	last := rich()
	legacy, err := agent.LegacyFingerprint(last)
	if err != nil {
		t.Fatal(err)
	}
	token, err := agent.Fingerprint(last)
	if err != nil || token == legacy {
		t.Fatalf("the token is %q, %v", token, err)
	}
	wanted := v1alpha1.NewState([]byte(`{"hostname":"b"}`))
	change := agent.Change{Object: &v1alpha1.NodeNetworkState{Spec: v1alpha1.NodeNetworkStateSpec{DesiredState: wanted}}, Base: legacy}
	if err := translate(&change, last); err != nil {
		t.Fatal(err)
	}
	want := rich().Spec
	want.DesiredState = wanted
	if change.Base != token || !reflect.DeepEqual(change.Object.Spec, want) {
		t.Errorf("the change became one from %q to %+v", change.Base, change.Object.Spec)
	}
	if !reflect.DeepEqual(last, rich()) {
		t.Error("what was delivered was changed")
	}
	// A change from another object stays one, and so does one before any object.
	for _, before := range []*v1alpha1.NodeNetworkState{last, nil} {
		other := agent.Change{Object: &v1alpha1.NodeNetworkState{}, Base: "another"}
		if err := translate(&other, before); err != nil || other.Base != "another" {
			t.Errorf("the base became %q, %v", other.Base, err)
		}
	}
}

// TestChangesOfAnOlderServer are translated, those of one of today are not.
func TestChangesOfAnOlderServer(t *testing.T) {
	for _, protocol := range []uint32{0, agent.Protocol} {
		s := startServer(t, secrets(t), "127.0.0.1:0")
		s.protocol = protocol
		node := fake.New()
		changes := make(chan agent.Change, 1)
		s.start(&recording{node, changes}, nil)
		st := s.welcome()
		s.receive(st)
		legacy, err := agent.LegacyFingerprint(rich())
		if err != nil {
			t.Fatal(err)
		}
		wire, err := agent.EncodeChange(agent.Change{Object: &v1alpha1.NodeNetworkState{}, Base: legacy})
		if err != nil {
			t.Fatal(err)
		}
		s.ask(st, &agentpb.Request{Id: 1, Request: &agentpb.Request_Apply{Apply: wire}})
		got := <-changes
		if translated := got.Base != legacy && got.Object.Spec.Reapply == v1alpha1.ReapplyAlways; translated != (protocol == 0) {
			t.Errorf("protocol %d: the agent got a change from %q to %+v", protocol, got.Base, got.Object.Spec)
		}
	}
}

// recording is an agent that shows the rich object and takes note of changes.
type recording struct {
	*fake.Agent
	changes chan agent.Change
}

func (r *recording) Watch(ctx context.Context, deliver func(*v1alpha1.NodeNetworkState)) error {
	deliver(rich())
	<-ctx.Done()
	return ctx.Err()
}

func (r *recording) Apply(_ context.Context, change agent.Change) (*v1alpha1.NodeNetworkState, error) {
	r.changes <- change
	return nil, &agent.Error{Kind: agent.Busy, Message: "as the test wants"}
}
