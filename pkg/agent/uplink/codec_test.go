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
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// TestCodec: what it sends is the message, and an object is not copied.
func TestCodec(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 500_000)
	for _, message := range []proto.Message{
		&agentpb.AgentMessage{},
		&agentpb.AgentMessage{Base: "base", Message: &agentpb.AgentMessage_Object{Object: large}},
		&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Object{Object: []byte("{}")}},
		&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Object{Object: []byte{}}},
		&agentpb.AgentMessage{Base: "base", Message: &agentpb.AgentMessage_Unchanged{Unchanged: []byte("hash")}},
		&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Reply{Reply: &agentpb.Reply{Id: 7, Object: large}}},
		&agentpb.ConfirmRequest{Node: "node"},
	} {
		wire, err := newCodec().Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		back := message.ProtoReflect().New().Interface()
		if err := newCodec().Unmarshal(wire, back); err != nil || !proto.Equal(message, back) {
			t.Errorf("%.100v arrives as %.100v: %v", message, back, err)
		}
		if object, ok := message.(*agentpb.AgentMessage); ok && len(object.GetObject()) == len(large) {
			if sent := wire[len(wire)-1].ReadOnlyData(); &sent[0] != &large[0] {
				t.Error("the object was copied")
			}
		}
		wire.Free()
	}
	fields := (&agentpb.AgentMessage{}).ProtoReflect().Descriptor().Fields()
	if number := fields.ByName("object").Number(); number != object {
		t.Errorf("the object is field %d", number)
	}
	for i := range fields.Len() {
		if field := fields.Get(i); field.ContainingOneof() == nil && field.Name() != "base" {
			t.Errorf("the codec does not know of field %s", field.Name())
		}
	}
}
