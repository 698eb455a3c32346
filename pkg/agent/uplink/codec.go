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
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// codec is gRPC's own, but for messages with an object: it sends the object's own bytes, which nobody changes. gRPC's copies each
// message, and keeps a megabyte for the next one that is as large.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// object is the number of the field of AgentMessage.
const object = protowire.Number(2)

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	message, isAgents := v.(*agentpb.AgentMessage)
	if !isAgents || message.GetObject() == nil {
		return c.CodecV2.Marshal(v)
	}
	head, err := protobuf.Marshal(&agentpb.AgentMessage{Base: message.GetBase()})
	if err != nil {
		return nil, err
	}
	head = protowire.AppendTag(head, object, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(message.GetObject())))
	return mem.BufferSlice{mem.SliceBuffer(head), mem.SliceBuffer(message.GetObject())}, nil
}
