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

package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// half is what nmstate does before it fails at the rest: a bridge with a port of
// the node's and an address.
const half = `{"name":"half0","type":"linux-bridge","state":"up","bridge":{"port":[{"name":"eth2"}]},"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"203.0.113.1","prefix-length":24}]}}`

// failing are states that fail half-way, by backend: a veth has no ring; and
// libnmstate makes no VXLAN without NetworkManager, and changes no MTU there and
// says nothing of it until it verifies.
var failing = []struct {
	name    string
	backend v1alpha1.Backend
	state   string
}{
	{"at a ring", v1alpha1.BackendNetworkManager, `{"interfaces":[` + half + `,{"name":"eth3","type":"ethernet","state":"up","ethtool":{"ring":{"rx":512}}}]}`},
	{"at a ring, with DNS", v1alpha1.BackendNetworkManager, `{"interfaces":[` + half + `,{"name":"eth3","type":"ethernet","state":"up","ethtool":{"ring":{"rx":512}}}],
		"dns-resolver":{"config":{"server":["192.0.2.58"],"search":["half.example"]}}}`},
	{"at a ring", v1alpha1.BackendKernel, `{"interfaces":[` + half + `,{"name":"eth3","type":"ethernet","state":"up","mtu":1407,"ethtool":{"ring":{"rx":512}}}]}`},
	{"at a router that is not there, with a VXLAN and DNS", v1alpha1.BackendKernel, `{"interfaces":[` + half + `,{"name":"half1","type":"vxlan","state":"up","vxlan":{"id":9,"remote":"192.0.2.9","base-iface":"eth1"},
		"ipv6":{"enabled":true,"dhcp":false,"autoconf":true}}],"dns-resolver":{"config":{"server":["192.0.2.58"],"search":["half.example"]}}}`},
}

// Before something fails there is an address, a route and DNS that could get lost.
const (
	beforehand = `{"interfaces":[{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.21","prefix-length":24}]}}],
		"routes":{"config":[{"destination":"198.18.50.0/24","next-hop-interface":"eth1","next-hop-address":"198.51.100.22"}]},
		"dns-resolver":{"config":{"server":["192.0.2.59"],"search":["before.example"]}}}`
	afterwards = `{"interfaces":[{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":false}}],
		"routes":{"config":[{"state":"absent","next-hop-interface":"eth1"}]},"dns-resolver":{"config":{}}}`
)

func (s *suite) failureSpecs() {
	for _, n := range s.oneOfEach() {
		It("what nmstate refuses is 422 in its words, with "+string(n.backend), Label(string(n.backend)), NodeTimeout(long), func(ctx SpecContext) {
			before := s.facts(ctx, n.name)
			_, err := s.tryDesire(ctx, n.name, `{"interfaces":[{"name":"ve9","type":"veth","state":"up"}]}`)
			Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
			Expect(err).To(MatchError(ContainSubstring("ve9")))
			Expect(s.facts(ctx, n.name)).To(Equal(before))
			last := s.get(ctx, n.name).Status.LastApply
			Expect(last.Outcome).To(Equal(v1alpha1.ApplyRejected))
			Expect(last.User).To(Equal("admin"))
			Expect(last.Reason).To(Equal("InvalidArgument"))
		})
	}
	for _, n := range s.oneOfEach() {
		It("a spec that is too large is 422, and the node stays manageable, with "+string(n.backend), Label(string(n.backend)), NodeTimeout(2*long), func(ctx SpecContext) {
			s.tooLarge(ctx, n.name)
		})
		It("what the kernel is known to refuse is 422 at once, with "+string(n.backend), Label(string(n.backend)), NodeTimeout(long), func(ctx SpecContext) {
			before := s.facts(ctx, n.name)
			_, err := s.tryDesire(ctx, n.name, `{"interfaces":[{"name":"br9","type":"linux-bridge","state":"up","mtu":9999999,"bridge":{"port":[{"name":"eth2"}]}}]}`)
			Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
			Expect(err).To(MatchError(And(ContainSubstring("spec.desiredState.interfaces[name=br9].mtu"), ContainSubstring("9999999"), ContainSubstring("65535"))))
			Expect(s.facts(ctx, n.name)).To(Equal(before))
			Expect(s.get(ctx, n.name).Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyRejected))
		})
		It("a failure is over once the spec is taken away, in whatever way, with "+string(n.backend), Label(string(n.backend)), NodeTimeout(2*time.Minute), func(ctx SpecContext) {
			s.desireAfterwards(n.name, `{"interfaces":[{"name":"eth1","type":"ethernet","state":"up"}]}`)
			for _, nothing := range []string{"null", "{}"} {
				s.desire(ctx, n.name, `{"interfaces":[{"name":"eth1","type":"ethernet","state":"up"}]}`)
				_, err := s.tryDesire(ctx, n.name, `{"interfaces":[{"name":"ve9","type":"veth","state":"up"}]}`)
				Expect(err).To(HaveOccurred())
				before := s.get(ctx, n.name)
				Expect(isTrue(v1alpha1.ConditionFailing)(before)).To(BeTrue())
				s.desire(ctx, n.name, nothing)
				obj := s.get(ctx, n.name)
				Expect(isTrue(v1alpha1.ConditionFailing)(obj)).To(BeFalse(), "%s: %+v", nothing, obj.Status.LastApply)
				Expect(obj.Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyCommitted))
				Expect(obj.Status.LastApply.Generation).To(Equal(before.Generation + 1))
				Expect(obj.Generation).To(Equal(before.Generation + 1))
			}
		})
	}
	for _, f := range failing {
		It("what fails "+f.name+" leaves the node as it was, with "+string(f.backend), Label(string(f.backend)), NodeTimeout(4*time.Minute), func(ctx SpecContext) {
			node := "node01"
			if f.backend == v1alpha1.BackendKernel {
				node = s.kernelOnly()
			}
			s.desire(ctx, node, beforehand)
			s.desireAfterwards(node, afterwards)
			before, dns, spec := s.facts(ctx, node), s.managersDNS(ctx, node, f.backend), s.get(ctx, node).Spec
			Expect(before).To(ContainSubstring("192.0.2.59"))
			Expect(before).To(ContainSubstring("198.18.50.0/24"))

			_, err := s.tryDesire(ctx, node, f.state)
			Expect(apierrors.IsInternalError(err) || apierrors.IsTimeout(err)).To(BeTrue(), "%v", err)
			obj := s.waitFor(ctx, node, "", 3*time.Minute, func(obj *v1alpha1.NodeNetworkState) bool {
				return !isTrue(v1alpha1.ConditionProgressing)(obj)
			})
			Expect(obj.Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyRolledBack))
			Expect(obj.Status.LastApply.Message).NotTo(BeEmpty())
			Expect(v1alpha1.SameState(obj.Spec.DesiredState, spec.DesiredState)).To(BeTrue(), "the spec is %s", obj.Spec.DesiredState)
			Expect(s.facts(ctx, node)).To(Equal(before))
			now := s.managersDNS(ctx, node, f.backend)
			Expect(now.global).To(Equal(dns.global))
			Expect(now.all).NotTo(ContainSubstring("192.0.2.58"))
			Expect(now.all).NotTo(ContainSubstring("half.example"))
			Expect(s.get(ctx, node).Status.Difference).To(BeNil())
		})
	}
}

// tooLarge writes specs of characters that are escaped for HTML, each of which then has six bytes.
func (s *suite) tooLarge(ctx SpecContext, node string) {
	GinkgoHelper()
	s.desireAfterwards(node, `{"interfaces":[]}`)
	before := s.get(ctx, node)
	describe := func(size int) string {
		return `{"spec":{"desiredState":{"description":"` + strings.Repeat("<", size) + `"}}}`
	}
	for _, size := range []int{1_900_000, 2_900_000} {
		out, err := s.kubectl(ctx, describe(size), "patch", "nns", node, "--type=merge", "--patch-file=/dev/stdin")
		Expect(err).To(HaveOccurred(), out)
		Expect(out).To(And(ContainSubstring("spec.desiredState: Too long: has "), ContainSubstring("at most %d", v1alpha1.MaxDesiredState)))
	}
	Expect(s.get(ctx, node).Generation).To(Equal(before.Generation), "the node was asked")
	// Nearly as large as may be, in all copies of it: spec and difference. A merge patch keeps other sections.
	out, err := s.kubectl(ctx, describe(v1alpha1.MaxDesiredState-1000), "patch", "nns", node, "--type=merge", "--patch-file=/dev/stdin")
	Expect(err).NotTo(HaveOccurred(), out)
	Expect(s.killAgent(ctx, node)).To(Succeed())
	Expect(s.startAgent(ctx, node)).To(Succeed())
	obj := s.waitFor(ctx, node, "", long, isTrue(v1alpha1.ConditionAvailable))
	Expect(len(obj.Spec.DesiredState.Raw)).To(BeNumerically(">", v1alpha1.MaxDesiredState-1100))
	Expect(obj.Status.CurrentState).NotTo(BeNil())
}

// managersDNS is what a NetworkManager knows of DNS: what holds for all links,
// and that with what each link's profile says. A profile that is activated anew,
// as by a rollback, tells of its own DNS, which nmstate has put into it; what
// holds for all goes before it.
type managersDNS struct{ global, all string }

// managersDNS returns what NetworkManager of a node knows of DNS, if it has one.
func (s *suite) managersDNS(ctx context.Context, node string, backend v1alpha1.Backend) managersDNS {
	GinkgoHelper()
	if backend != v1alpha1.BackendNetworkManager {
		return managersDNS{}
	}
	ask := func(object, kind, property string) string {
		GinkgoHelper()
		return s.must(ctx, node, fmt.Sprintf("dbus-send --system --print-reply=literal --dest=org.freedesktop.NetworkManager "+
			"/org/freedesktop/NetworkManager%s org.freedesktop.DBus.Properties.Get string:org.freedesktop.NetworkManager%s string:%s",
			object, kind, property))
	}
	dns := managersDNS{global: ask("", "", "GlobalDnsConfiguration"), all: ask("/DnsManager", ".DnsManager", "Configuration")}
	Expect(dns.global).To(ContainSubstring("before.example"))
	return dns
}

// slowState keeps NetworkManager busy for two minutes: the kernel takes no second
// VXLAN of the same id, which nobody knows before it is tried, and nmstate tries an
// activation that fails six times.
const slowState = `{"interfaces":[
	{"name":"twin1","type":"vxlan","state":"up","vxlan":{"id":77,"remote":"192.0.2.77","destination-port":4789}},
	{"name":"twin2","type":"vxlan","state":"up","vxlan":{"id":77,"remote":"192.0.2.78","destination-port":4789}}]}`

// slowApply is a change that takes two minutes and fails. It goes on while other
// specs run.
type slowApply struct {
	*suite
	node, before string
	desired      *v1alpha1.State
	answered     chan error
}

func (s *slowApply) beginSpecs() {
	It("shows that it is in progress, and another has to wait", NodeTimeout(long), func(ctx SpecContext) {
		s.before, s.desired = s.facts(ctx, s.node), s.get(ctx, s.node).Spec.DesiredState
		s.answered = make(chan error, 1)
		go func() {
			defer GinkgoRecover()
			_, err := s.tryDesire(context.Background(), s.node, slowState)
			s.answered <- err
		}()
		obj := s.waitFor(ctx, s.node, "", long, isTrue(v1alpha1.ConditionProgressing))
		Expect(isTrue(v1alpha1.ConditionAvailable)(obj)).To(BeTrue())
		Expect(obj.Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyInProgress))
		// Without the half a minute for which client-go would try again.
		err := s.clients(nil).NmstateV1alpha1().RESTClient().Patch(types.MergePatchType).Resource("nodenetworkstates").Name(s.node).
			MaxRetries(0).Body([]byte(`{"spec":{"desiredState":{"interfaces":[]}}}`)).Do(ctx).Error()
		Expect(apierrors.IsTooManyRequests(err)).To(BeTrue(), "%v", err)
		seconds, delayed := apierrors.SuggestsClientDelay(err)
		Expect(delayed && seconds > 0).To(BeTrue(), "%v", err)
		// It says who is at it, and since when.
		Expect(err).To(MatchError(And(ContainSubstring(`"admin"`), ContainSubstring(obj.Status.LastApply.StartTime.UTC().Format(time.RFC3339)))))
	})
}

func (s *slowApply) endSpecs() {
	It("has answered 504, and lastApply tells how it ended", NodeTimeout(4*time.Minute), func(ctx SpecContext) {
		Expect(s.answered).NotTo(BeNil(), "it has not begun")
		var err error
		Eventually(s.answered).WithContext(ctx).WithTimeout(long).Should(Receive(&err))
		Expect(apierrors.IsTimeout(err)).To(BeTrue(), "%v", err)
		Expect(err).To(MatchError(ContainSubstring("lastApply")))
		obj := s.waitFor(ctx, s.node, "", 4*time.Minute, func(obj *v1alpha1.NodeNetworkState) bool {
			return !isTrue(v1alpha1.ConditionProgressing)(obj)
		})
		Expect(obj.Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyRolledBack))
		Expect(obj.Status.LastApply.Message).NotTo(BeEmpty())
		Expect(v1alpha1.SameState(obj.Spec.DesiredState, s.desired)).To(BeTrue(), "%v", obj.Spec.DesiredState)
		Expect(s.facts(ctx, s.node)).To(Equal(s.before))
	})
}
