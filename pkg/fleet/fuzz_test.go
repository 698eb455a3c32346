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
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
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
	return &Identity{Name: "anyone", Claim: func(context.Context, *agentpb.Hello) error { return nil },
		Speaks: func(string) error { return nil }}, nil
}

// questioner is a stream on which an agent asks what the fuzzer has made up.
type questioner struct {
	grpc.ServerStream
	ctx    context.Context
	text   []byte
	answer *agentpb.ConfirmResponse
}

func (q *questioner) Context() context.Context { return q.ctx }
func (q *questioner) RecvMsg(into any) error   { return proto.Unmarshal(q.text, into.(proto.Message)) }
func (q *questioner) SendMsg(answer any) error {
	q.answer = answer.(*agentpb.ConfirmResponse)
	return nil
}

// FuzzConfirm: whatever an agent asks, it is told no more than who the server is, and what
// is outside only if the server shares its host; and no node comes of it.
func FuzzConfirm(f *testing.F) {
	for _, question := range []*agentpb.ConfirmRequest{
		{Node: "node01", Transaction: "id", StateHash: []byte("hash"), Rehearsal: true, Host: "boot/7"},
		{Node: "node01", Host: "boot/8"}, {Node: "node99"}, {},
	} {
		wire, err := proto.Marshal(question)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	self := Self{Name: "server-1", Host: "boot/7"}
	f.Fuzz(func(t *testing.T, wire []byte) {
		sink := newSink()
		fleet := New(Config{Authenticator: anyone{}, Sink: sink, Self: self, HelloTimeout: 10 * time.Millisecond,
			Outside: func(context.Context, Node) (string, error) { return "outside", nil }})
		fleet.update(klog.Logger{}, []Node{nodeNamed("node01")})
		stream := &questioner{ctx: klog.NewContext(t.Context(), klog.Logger{}), text: wire}
		err := fleet.confirm(stream)
		if got := stream.answer; (err == nil) != (got != nil) {
			t.Errorf("the answer is %v, and the error %v", got, err)
		} else if got != nil && (got.Server != self.Name || got.Host != self.Host || got.Node != "" ||
			got.Outside != "" && !bytes.Contains(wire, []byte(self.Host))) {
			t.Errorf("%q was answered %v", wire, got)
		}
		if len(sink.history) != 1 {
			t.Errorf("there are %d nodes", len(sink.history))
		}
	})
}

// FuzzAgentMessages: whatever an agent says on its stream, its node's object stays
// the directory's in all that is not the agent's, and other nodes' objects stay as
// they are.
func FuzzAgentMessages(f *testing.F) {
	text := []byte(objectText(f, `{"interfaces":[]}`))
	hello := &agentpb.AgentMessage{Message: &agentpb.AgentMessage_Hello{Hello: &agentpb.Hello{Node: "node01", Labels: map[string]string{"a": "b"}}}}
	object := &agentpb.AgentMessage{Message: &agentpb.AgentMessage_Object{Object: text}}
	newer := &agentpb.AgentMessage{Message: &agentpb.AgentMessage_Hello{Hello: &agentpb.Hello{
		Node: "node01", AgentVersion: "v9", Protocol: agent.Protocol, Capabilities: append(agent.Capabilities(), "unknown")}}}
	based := &agentpb.AgentMessage{Base: "a token", Message: &agentpb.AgentMessage_Object{Object: text}}
	for _, said := range [][]*agentpb.AgentMessage{
		{newer, based, {Base: "another", Message: &agentpb.AgentMessage_Unchanged{Unchanged: agent.HashObject(text)}}},
		{newer, based, {Message: &agentpb.AgentMessage_Reply{Reply: &agentpb.Reply{Id: 1, Warnings: []string{"a"}, History: []byte("{}"), Ports: []byte("{}")}}}},
		{newer, {Base: strings.Repeat("b", agent.MaxBase+1), Message: &agentpb.AgentMessage_Object{Object: text}}},
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
