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

package agent

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// FuzzDecodeObject: what an agent may send.
func FuzzDecodeObject(f *testing.F) {
	text, _ := EncodeObject(full())
	f.Add(text)
	for _, text := range []string{
		`{"kind":"NodeNetworkState"}`,
		kind + `"metadata":{"annotations":null,"managedFields":[null,{"time":null,"fieldsV1":{}}]}}`,
		kind + `"metadata":{"managedFields":[{}],"managedFields":[]},"spec":null,"status":{"status":{},"lastApply":null}}`,
		kind + `"status":{"conditions":[{}],"Conditions":[{"message":"\ud800"}],"lastApply":{"finishTime":"2026-01-02T03:04:05Z"}}}`,
		kind + `"spec":{"desiredState":{"a":[1e400,"\\u003c",{"b":{}}]}},"status":{"interfaces":{"total":1}}}`,
		kind + `"metadata":{"managedFields":[{"time":"9999-12-31T23:59:59-14:00","fieldsV1":{"f:spec":{}}}]}}`,
		kind + `"status":{"lastSuccessfulUpdateTime":"0000-01-01T00:00:00+14:00","currentState":{"a":-1.5e308}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		obj, err := DecodeObject(text, "node01")
		if err != nil {
			return
		}
		again, err := EncodeFitting(obj)
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		back, err := DecodeObject(again, "node01")
		if err != nil {
			t.Fatalf("what was decoded and encoded cannot be decoded: %v", err)
		}
		before, _ := Fingerprint(obj)
		if after, _ := Fingerprint(back); after != before {
			t.Errorf("the fingerprint of %s became that of %s", text, again)
		}
		// Clients decode it in a list, where all are lost if one cannot be decoded.
		list := []byte(`{"items":[` + string(again) + `]}`)
		if err := json.Unmarshal(list, &v1alpha1.NodeNetworkStateList{}); err != nil || !utf8.Valid(list) {
			t.Errorf("clients cannot decode the list %q: %v", list, err)
		}
		if err := json.Unmarshal(list, &map[string]any{}); err != nil {
			t.Errorf("untyped clients cannot decode the list %q: %v", list, err)
		}
	})
}

// FuzzServerMessage: what a server may send to an agent.
func FuzzServerMessage(f *testing.F) {
	change, _ := EncodeChange(Change{Object: full(), Base: "base", User: "user"})
	for _, message := range []*agentpb.ServerMessage{
		{Message: &agentpb.ServerMessage_Welcome{Welcome: &agentpb.Welcome{ObjectHash: []byte("hash")}}},
		{Message: &agentpb.ServerMessage_Request{Request: &agentpb.Request{Id: 1, Request: &agentpb.Request_Barrier{Barrier: &agentpb.Barrier{}}}}},
		{Message: &agentpb.ServerMessage_Request{Request: &agentpb.Request{Id: 2, Request: &agentpb.Request_Apply{Apply: change}}}},
		{Message: &agentpb.ServerMessage_Request{Request: &agentpb.Request{Id: 3, Request: &agentpb.Request_Validate{Validate: change}}}},
	} {
		wire, err := proto.Marshal(message)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		message := &agentpb.ServerMessage{}
		if proto.Unmarshal(wire, message) != nil {
			return
		}
		request := message.GetRequest()
		for _, change := range []*agentpb.Change{request.GetApply(), request.GetValidate()} {
			decoded, err := DecodeChange(change, "node01")
			if err != nil {
				if KindOf(err) != Invalid {
					t.Errorf("the error is of kind %s", KindOf(err))
				}
				continue
			}
			if _, err := EncodeChange(decoded); err != nil {
				t.Errorf("what was decoded cannot be encoded: %v", err)
			}
		}
	})
}
