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
	"io"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protodelim"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// script is a stream on which an agent says what the fuzzer has made up, and hangs up.
type script struct {
	grpc.ServerStream
	ctx  context.Context
	text *bytes.Reader
}

func (s script) Context() context.Context          { return s.ctx }
func (s script) Send(*agentpb.ServerMessage) error { return nil }
func (s script) Recv() (*agentpb.AgentMessage, error) {
	message := &agentpb.AgentMessage{}
	options := protodelim.UnmarshalOptions{MaxSize: agent.MaxMessageSize}
	if err := options.UnmarshalFrom(s.text, message); err != nil {
		return nil, io.EOF
	}
	return message, nil
}

// anyone takes every agent for that of the node that it names.
type anyone struct{}

func (anyone) Authenticate(context.Context) (*Identity, error) {
	return &Identity{Name: "anyone", Claim: func(context.Context, *agentpb.Hello) error { return nil }}, nil
}

// FuzzAgentMessages: whatever an agent says on its stream, its node's object stays
// the directory's in all that is not the agent's, and other nodes' objects stay as
// they are.
func FuzzAgentMessages(f *testing.F) {
	text := []byte(objectText(f, `{"interfaces":[]}`))
	hello := &agentpb.AgentMessage{Message: &agentpb.AgentMessage_Hello{Hello: &agentpb.Hello{Node: "node01", Labels: map[string]string{"a": "b"}}}}
	object := &agentpb.AgentMessage{Message: &agentpb.AgentMessage_Object{Object: text}}
	for _, said := range [][]*agentpb.AgentMessage{
		{hello, object, object},
		{hello, {Message: &agentpb.AgentMessage_Unchanged{Unchanged: agent.HashObject(text)}}},
		{hello, object, {Message: &agentpb.AgentMessage_Reply{Reply: &agentpb.Reply{Id: 1, Read: true, Object: text}}}},
		{hello, object, {Message: &agentpb.AgentMessage_Reply{Reply: &agentpb.Reply{Id: 1, Error: &agentpb.Error{Kind: "Busy"}}}}},
		{object, hello}, {hello, hello}, {{}},
	} {
		var wire bytes.Buffer
		for _, message := range said {
			if _, err := protodelim.MarshalTo(&wire, message); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(wire.Bytes())
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		ctx, cancel := context.WithCancel(klog.NewContext(t.Context(), klog.Logger{}))
		defer cancel()
		sink := newSink()
		fleet := New(Config{Authenticator: anyone{}, Sink: sink, HelloTimeout: 10 * time.Millisecond, BarrierGrace: time.Millisecond})
		fleet.update(klog.Logger{}, []Node{nodeNamed("node01"), nodeNamed("node02")})
		other := sink.last("node02")
		asked := make(chan error, 1)
		go func() { asked <- fleet.BarrierNode(ctx, "node01") }()
		_ = fleet.Connect(script{ctx: ctx, text: bytes.NewReader(wire)})
		if err := <-asked; err != nil {
			t.Errorf("the barrier: %v", err)
		}
		for _, obj := range sink.all("node01") {
			want := compose(nodeNamed("node01"), nil, nil)
			if obj.Name != want.Name || obj.UID != want.UID || !reflect.DeepEqual(obj.Labels, want.Labels) ||
				!reflect.DeepEqual(obj.OwnerReferences, want.OwnerReferences) || len(obj.Finalizers) > 0 || obj.DeletionTimestamp != nil {
				t.Errorf("the agent has made the object's metadata %+v", obj.ObjectMeta)
			}
		}
		// An agent that says it is node02's is taken for that here.
		if !bytes.Contains(wire, []byte("node02")) && sink.last("node02") != other {
			t.Errorf("the object of node02 became %+v", sink.last("node02"))
		}
	})
}
