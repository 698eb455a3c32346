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
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// FuzzDecodeObject: what an agent may send.
func FuzzDecodeObject(f *testing.F) {
	text, _ := EncodeObject(full())
	f.Add(text)
	for _, text := range []string{
		`{"kind":"NodeNetworkState"}`,
		kind + `"status":{"currentState":{"a":0},"currentState":{"b":0}},"Status":{"currentstate":{"c":0}}}`,
		kind + `"status":{"currentState":{"a":0},"currentState":null},"stat\u0075s":null}`,
		kind + `"a":"\"status\":{\"currentState\":{}}","status":{"currentState":{"a":00}}}`,
		kind + `"status":[{"currentState":{"a":"\u12"}}],"status":{"currentState":{"a":"\x"}}}`,
		kind + `"metadata":{"annotations":null,"managedFields":[null,{"time":null,"fieldsV1":{}}]}}`,
		kind + `"metadata":{"managedFields":[{}],"managedFields":[]},"spec":null,"status":{"status":{},"lastApply":null}}`,
		kind + `"status":{"conditions":[{}],"Conditions":[{"message":"\ud800"}],"lastApply":{"finishTime":"2026-01-02T03:04:05Z"}}}`,
		kind + `"spec":{"desiredState":{"a":[1e400,"\\u003c",{"b":{}}]}},"status":{"interfaces":{"total":1}}}`,
		kind + `"metadata":{"managedFields":[{"time":"9999-12-31T23:59:59-14:00","fieldsV1":{"f:spec":{}}}]}}`,
		kind + `"spec":{"probes":[{"name":"a","tcp":{"address":"192.0.2.1:1"},"timeout":"5s"}],"confirmation":{"mode":"Manual","timeout":"1m0s"},"reapply":"Never"}}`,
		kind + `"status":{"lastApply":{"id":"a","confirmBefore":"9999-12-31T23:59:59-14:00","probes":[{"name":"a","before":"Passed"},{}],"Probes":null}}}`,
		kind + `"status":{"lastSuccessfulUpdateTime":"0000-01-01T00:00:00+14:00","currentState":{"a":-1.5e308}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		obj, err := DecodeObject(text, "node01")
		whole, wholeErr := decodeObject(text, nil, "node01")
		if (err == nil) != (wholeErr == nil) || err == nil && !equality.Semantic.DeepEqual(obj, whole) {
			t.Errorf("%s: %+v, %v; as a whole %+v, %v", text, obj, err, whole, wholeErr)
		}
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
	change, _ := EncodeChange(Change{Object: full(), Base: "base", User: "user", Manager: "kubectl", ID: "id",
		Addresses: map[string][]string{"node01": {"192.0.2.1"}, "node02": {"2001:db8::1"}}})
	decision := EncodeDecision(Decision{Transaction: "id", Commit: true, User: "user"})
	for _, message := range []*agentpb.ServerMessage{
		{Message: &agentpb.ServerMessage_Welcome{Welcome: &agentpb.Welcome{ObjectHash: []byte("hash"), Protocol: Protocol, Host: "host"}}},
		{Message: &agentpb.ServerMessage_Request{Request: &agentpb.Request{Id: 4, Request: &agentpb.Request_Decide{Decide: decision}}}},
		{Message: &agentpb.ServerMessage_Request{Request: &agentpb.Request{Id: 5, Request: &agentpb.Request_History{History: &agentpb.HistoryRequest{}}}}},
		{Message: &agentpb.ServerMessage_Request{Request: &agentpb.Request{Id: 6, Request: &agentpb.Request_Ports{Ports: &agentpb.PortsRequest{}}}}},
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
		if decision := DecodeDecision(request.GetDecide()); len(decision.Transaction) > maxWord || len(decision.User) > maxText {
			t.Errorf("the decision is %v", decision)
		}
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

// FuzzReply: what an agent may answer beside an object.
func FuzzReply(f *testing.F) {
	history, _ := EncodeHistory(&v1alpha1.NodeNetworkStateHistory{})
	ports, _ := EncodePorts(&v1alpha1.NodeNetworkPorts{Ports: []v1alpha1.NetworkPort{{Name: "eth1", Index: 2, Counters: v1alpha1.PortCounters{RxBytes: 1},
		LLDP: &v1alpha1.PortLLDP{Neighbors: []v1alpha1.LLDPNeighbor{{ChassisID: "a", Capabilities: []v1alpha1.LLDPCapability{v1alpha1.LLDPBridge},
			NamedVLANs: []v1alpha1.LLDPVLAN{{ID: 7, Name: "seven"}}, ManagementAddresses: []string{"192.0.2.1"}}}}}}})
	for _, reply := range []*agentpb.Reply{
		{Id: 1, Warnings: []string{"the way to the API server is touched", "\x1b[2J"}},
		{Id: 2, History: history},
		{Id: 3, History: []byte(`{"items":[{"id":"a","startTime":null},{}]}`)},
		{Id: 5, Ports: ports},
		{Id: 6, Ports: []byte(`{"readTime":"2026-01-02T03:04:05.000006+01:00","ports":[{"lldp":null},{"speed":-1,"lldp":{"neighbors":[{"lastHeardTime":null}]}}]}`)},
		{Id: 4, Error: &agentpb.Error{Kind: "Conflict", Reason: "Reason", Message: "message"}},
	} {
		wire, err := proto.Marshal(reply)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		reply := &agentpb.Reply{}
		if proto.Unmarshal(wire, reply) != nil {
			return
		}
		warnings := WarningsFromWire(reply.GetWarnings())
		if len(warnings) > maxWarnings {
			t.Errorf("there are %d warnings", len(warnings))
		}
		for _, warning := range warnings {
			if len(warning) > maxText || !utf8.ValidString(warning) {
				t.Errorf("a warning is %q", warning)
			}
		}
		if ports, err := DecodePorts(reply.GetPorts()); err == nil {
			checkPorts(t, ports)
		}
		if history, err := DecodeHistory(reply.GetHistory()); err == nil {
			if _, err := EncodeHistory(history); err != nil {
				t.Errorf("what was decoded cannot be encoded: %v", err)
			}
		}
	})
}

// checkPorts checks ports that were decoded: every client can decode them.
func checkPorts(t *testing.T, ports *v1alpha1.NodeNetworkPorts) {
	t.Helper()
	text, err := json.Marshal(ports)
	if err != nil || !utf8.Valid(text) {
		t.Fatalf("what was decoded cannot be encoded: %v", err)
	}
	if err := json.Unmarshal(text, &v1alpha1.NodeNetworkPorts{}); err != nil {
		t.Errorf("clients cannot decode %s: %v", text, err)
	}
	if again, err := DecodePorts(text); err != nil || !equality.Semantic.DeepEqual(ports, again) {
		t.Errorf("%s became %+v, %v", text, again, err)
	}
}
