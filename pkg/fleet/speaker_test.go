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
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// changed returns the request that the agent of node01 gets for a change, which it refuses.
func (s *server) changed(r *raw, change agent.Change) *agentpb.Change {
	s.t.Helper()
	requests := make(chan *agentpb.Request, 1)
	go func() {
		request := r.request()
		r.reply(&agentpb.Reply{Id: request.Id, Error: &agentpb.Error{Kind: "Busy", Message: "as the test wants"}})
		requests <- request
	}()
	_, err := s.Apply(s.t.Context(), "node01", change)
	wantKind(s.t, err, agent.Busy, "as the test wants")
	return (<-requests).GetApply()
}

// TestBaseIsTheAgentsOwn: the server passes the agent's token on, whatever it is, and
// refuses a change of an object that the agent has replaced.
func TestBaseIsTheAgentsOwn(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Self.Host = "boot/7" }, "node01")
	r, welcome := s.admittedAs(modern("node01"))
	if welcome.GetProtocol() != agent.Protocol || welcome.GetHost() != "boot/7" {
		t.Errorf("the agent is welcomed with %v", welcome)
	}
	text := objectText(t, `{"hostname":"a"}`)
	r.based(text, "a token")
	s.sink.until(t, "node01", "available", available)
	change := s.desire("node01", dummy)
	if got := s.changed(r, change); got.GetBase() != "a token" || len(got.GetId()) != 36 {
		t.Errorf("the agent got %v", got)
	}
	// The network changes, the object's durable part does not.
	r.based(objectText(t, `{"hostname":"b"}`), "the same part")
	s.sink.until(t, "node01", "changed", shows(`{"hostname":"b"}`))
	if got := s.changed(r, change); got.GetBase() != "the same part" {
		t.Errorf("the agent got the base %q", got.GetBase())
	}
	obj, err := agent.DecodeObject([]byte(text), "node01")
	if err != nil {
		t.Fatal(err)
	}
	obj.Generation++
	if text, err := agent.EncodeObject(obj); err == nil {
		r.based(string(text), "another part")
	}
	s.sink.until(t, "node01", "of another generation", func(o *v1alpha1.NodeNetworkState) bool { return o.Generation == obj.Generation })
	go r.pongs(2)
	_, err = s.Apply(t.Context(), "node01", change)
	wantKind(t, err, agent.Conflict, "changed since it was read")
	_, err = s.Validate(t.Context(), "node01", change)
	wantKind(t, err, agent.Conflict, "changed since it was read")
}

// TestBaseComesWithUnchanged: the token may be another one than before.
func TestBaseComesWithUnchanged(t *testing.T) {
	s := startServer(t, nil, "node01")
	first, _ := s.admittedAs(modern("node01"))
	text := objectText(t, "{}")
	first.based(text, "before")
	s.sink.until(t, "node01", "available", available)
	first.close()
	s.sink.until(t, "node01", "unknown", unknown)
	again, _ := s.admittedAs(modern("node01"))
	again.say(&agentpb.AgentMessage{Base: "after", Message: &agentpb.AgentMessage_Unchanged{Unchanged: agent.HashObject([]byte(text))}})
	s.sink.until(t, "node01", "available", available)
	if got := s.changed(again, s.desire("node01", dummy)); got.GetBase() != "after" {
		t.Errorf("the base is %q", got.GetBase())
	}
}

func TestBaseThatIsTooLong(t *testing.T) {
	s := startServer(t, nil, "node01")
	r, _ := s.admittedAs(modern("node01"))
	r.based(objectText(t, "{}"), strings.Repeat("b", agent.MaxBase+1))
	if err := r.end(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("the stream ended with %v", err)
	}
}

// TestOlderAgent gets what it knows. What it would drop without a word is refused, and
// users are told what it does not do.
func TestOlderAgent(t *testing.T) {
	s := startServer(t, nil, "node01")
	r, _ := s.admittedAs(&agentpb.Hello{Node: "node01", AgentVersion: "v1"})
	r.object(objectText(t, "{}"))
	s.sink.until(t, "node01", "available", available)
	plain := s.desire("node01", dummy)
	if got := s.changed(r, plain); got.GetBase() != plain.Base || got.GetId() != "" {
		t.Errorf("the agent got %v", got)
	}
	if got := s.Warnings("node01"); len(got) != 1 || !strings.Contains(got[0], "(version v1, protocol 0) is older than this API server (protocol 1)") {
		t.Errorf("the warnings are %q", got)
	}
	if got := s.Warnings("node99"); len(got) != 0 {
		t.Errorf("the warnings about a node that is not known are %q", got)
	}
	const sentence = "the agent of node node01 (version v1) does not support "
	for words, edit := range map[string]func(*v1alpha1.NodeNetworkStateSpec){
		"spec.confirmation: update it": func(spec *v1alpha1.NodeNetworkStateSpec) {
			spec.Confirmation = &v1alpha1.Confirmation{Mode: v1alpha1.ConfirmManually}
		},
		"spec.confirmation, spec.probes: update it": func(spec *v1alpha1.NodeNetworkStateSpec) {
			spec.Confirmation = &v1alpha1.Confirmation{Timeout: &metav1.Duration{}}
			spec.Probes = []v1alpha1.Probe{{Name: "gateway"}}
		},
		"spec.removal: Revert: update it": func(spec *v1alpha1.NodeNetworkStateSpec) { spec.Removal = v1alpha1.RemovalRevert },
		"spec.reapply: update it":         func(spec *v1alpha1.NodeNetworkStateSpec) { spec.Reapply = v1alpha1.ReapplyNever },
	} {
		change := s.desire("node01", dummy)
		edit(&change.Object.Spec)
		go r.pongs(2)
		_, err := s.Apply(t.Context(), "node01", change)
		wantKind(t, err, agent.Invalid, sentence+words)
		_, err = s.Validate(t.Context(), "node01", change)
		wantKind(t, err, agent.Invalid, sentence+words)
	}
	// What is said explicitly and is the default asks nothing of it.
	change := s.desire("node01", dummy)
	change.Object.Spec.Confirmation = &v1alpha1.Confirmation{Mode: v1alpha1.ConfirmByReachability}
	change.Object.Spec.Removal = v1alpha1.RemovalOrphan
	s.changed(r, change)
	go r.pongs(3)
	_, err := s.Decide(t.Context(), "node01", agent.Decision{Transaction: "id"})
	wantKind(t, err, agent.Invalid, sentence)
	_, err = s.History(t.Context(), "node01")
	wantKind(t, err, agent.Invalid, sentence)
	_, err = s.Ports(t.Context(), "node01")
	wantKind(t, err, agent.Invalid, sentence+"the subresource ports: update it")
	go func() {
		r.reply(&agentpb.Reply{Id: r.request().Id, Object: []byte(objectText(t, "{}")), Warnings: []string{"of its own"}})
	}()
	plan, err := s.Validate(t.Context(), "node01", plain)
	if err != nil || len(plan.Warnings) != 1 || plan.Warnings[0] != "of its own" { // the rest is said once, by Warnings
		t.Errorf("a dry run answers %+v, %v", plan, err)
	}
}

// TestAddressesGoWithAChange: of the node and of those that its probes name.
func TestAddressesGoWithAChange(t *testing.T) {
	s := startServer(t, nil, "node01", "node02", "node03")
	known := nodeNamed("node02")
	known.Addresses = []string{"192.0.2.2", "2001:db8::2"}
	s.directory.set(known)
	r, _ := s.admittedAs(modern("node01"))
	r.based(objectText(t, "{}"), "first")
	s.sink.until(t, "node01", "available", available)
	change := s.desire("node01", dummy)
	for _, name := range []string{"node02", "node03", "node99"} {
		change.Object.Spec.Probes = append(change.Object.Spec.Probes, v1alpha1.Probe{Name: name, Node: &v1alpha1.NodeProbe{Name: name}})
	}
	change.Object.Spec.Probes = append(change.Object.Spec.Probes, v1alpha1.Probe{Name: "dns", DNS: &v1alpha1.DNSProbe{Name: "example.org"}})
	// The agents come from the loopback, which leads each node to itself.
	got := s.changed(r, change)
	if ips := got.GetAddresses()["node02"].GetIps(); len(got.GetAddresses()) != 1 || !reflect.DeepEqual(ips, known.Addresses) {
		t.Errorf("the addresses are %v", got.GetAddresses())
	}
}

func TestReachable(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1234": "192.0.2.1", "[2001:db8::1]:1": "2001:db8::1", "[::ffff:192.0.2.1]:1": "192.0.2.1",
		"127.0.0.1:1": "", "[::1]:1": "", "[fe80::1%eth0]:1": "", "pipe": "", "0.0.0.0:1": "",
	} {
		if got := reachable(remote); got != want {
			t.Errorf("an agent that comes from %s is reached at %q, not %q", remote, got, want)
		}
	}
}
