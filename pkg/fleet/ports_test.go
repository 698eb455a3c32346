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

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// TestPortsThatDoNotCome: each way has an error that says so, and the stream goes on unless the agent ends it.
func TestPortsThatDoNotCome(t *testing.T) {
	s := startServer(t, func(c *Config) { c.ApplyTimeout = time.Second }, "node01", "node02")
	r, _ := s.admittedAs(modern("node01"))
	r.based(objectText(t, "{}"), "base")
	s.sink.until(t, "node01", "available", available)
	asked := func() *agentpb.Request {
		request := r.request()
		if request.GetPorts() == nil {
			t.Errorf("the agent was asked for %v", request)
		}
		return request
	}
	for text, words := range map[string]string{
		"":            "nothing was told",
		"{":           "no JSON",
		`{"ports":1}`: "ports is no list",
		`{"ports":[{"lldp":{"neighbors":[{"lastHeardTime":"9999-12-31T23:59:59-14:00"}]}}]}`: "of the year 10000",
	} {
		go func() { r.reply(&agentpb.Reply{Id: asked().Id, Ports: []byte(text)}) }()
		_, err := s.Ports(t.Context(), "node01")
		wantKind(t, err, agent.Failed, words)
	}
	go func() {
		r.reply(&agentpb.Reply{Id: asked().Id, Error: agent.ErrorToWire(&agent.Error{Kind: agent.Failed, Reason: v1alpha1.ReasonReadFailed, Message: "no links"})})
	}()
	_, err := s.Ports(t.Context(), "node01")
	wantKind(t, err, agent.Failed, "no links")

	late := make(chan *agentpb.Request, 1)
	go func() { late <- asked() }()
	_, err = s.Ports(t.Context(), "node01")
	wantKind(t, err, agent.Lost, "the agent of node node01 did not answer in time")
	// A reply that comes after all is nobody's.
	r.reply(&agentpb.Reply{Id: (<-late).Id, Ports: []byte(`{"ports":[{"name":"late0"}]}`)})
	go func() { r.reply(&agentpb.Reply{Id: asked().Id, Ports: []byte(`{"ports":[{"name":"eth0"}]}`)}) }()
	if told, err := s.Ports(t.Context(), "node01"); err != nil || len(told.Ports) != 1 || told.Ports[0].Name != "eth0" {
		t.Errorf("%+v, %v", told, err)
	}

	go func() {
		asked()
		r.close()
	}()
	_, err = s.Ports(t.Context(), "node01")
	wantKind(t, err, agent.Lost, "was lost after it was asked")
	s.sink.until(t, "node01", "unknown", unknown)
	_, err = s.Ports(t.Context(), "node01")
	wantKind(t, err, agent.Unreachable, "")
	_, err = s.Ports(t.Context(), "node02")
	wantKind(t, err, agent.Unreachable, "")
	_, err = s.Ports(t.Context(), "node99")
	wantKind(t, err, agent.Unreachable, "there is no node node99")
}
