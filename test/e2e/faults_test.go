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
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// faultSpecs break something in the midst of a change. What the object says
// afterwards must be what the node has.
func (s *suite) faultSpecs() {
	for _, n := range s.oneOfEach() {
		backend := Label(string(n.backend), "faults")
		for _, outage := range outages {
			// Through kube-proxy it takes half a minute until a stream is known to be lost.
			if _, inCluster := s.environment.(*cluster); *whole && !(inCluster && outage.standaloneOnly) || outage.sample && !(inCluster && outage.lasts > 0) {
				It(outage.name+", with "+string(n.backend), backend, NodeTimeout(5*time.Minute), func(ctx SpecContext) {
					s.changeDuring(ctx, n.name, outage)
				})
			}
		}
		It("the agent is killed at any moment, with "+string(n.backend), backend, NodeTimeout(2*time.Hour), func(ctx SpecContext) {
			s.killAtAnyMoment(ctx, n.name, false)
		})
		It("the agent and its worker are killed at any moment, with "+string(n.backend), backend, NodeTimeout(2*time.Hour), func(ctx SpecContext) {
			s.killAtAnyMoment(ctx, n.name, true)
		})
		if server, ok := s.environment.(*standalone); ok {
			// In a cluster the link also has the routes to other nodes' pods, which NetworkManager does not know.
			It("the management address moves onto a bridge over its port, with "+string(n.backend), backend, NodeTimeout(3*time.Minute), func(ctx SpecContext) {
				s.moveAddress(ctx, n.name)
			})
			It("the power fails at any moment, with "+string(n.backend), backend, NodeTimeout(time.Hour), func(ctx SpecContext) {
				s.powerFails(ctx, server, n)
			})
		}
	}
}

// faultBridge is a bridge with an address of that number.
func faultBridge(number int) string {
	return fmt.Sprintf(`{"interfaces":[{"name":"brf","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[{"name":"eth2"}]},`+
		`"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.18.%d.%d","prefix-length":24}]}}]}`, number/250, number%250+1)
}

const noFaultBridge = `{"interfaces":[{"name":"brf","type":"linux-bridge","state":"absent"}]}`

// moveAddress moves the management address onto a bridge in one write, and back.
func (s *suite) moveAddress(ctx SpecContext, node string) {
	GinkgoHelper()
	address := strings.TrimSpace(s.must(ctx, node, "ip -o -4 addr show mgmt0 | sed 's/.*inet //; s/ .*//' | head -n 1"))
	ip, prefix, _ := strings.Cut(address, "/")
	with := fmt.Sprintf(`"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":%q,"prefix-length":%s}]}`, ip, prefix)
	s.desire(ctx, node, `{"interfaces":[{`+managementLink+`,`+with+`}]}`)
	begin := time.Now()
	obj := s.desire(ctx, node, `{"interfaces":[{`+managementLink+`,"ipv4":{"enabled":false}},{"name":"brm","type":"linux-bridge","state":"up",`+
		`"bridge":{"options":{"stp":{"enabled":false}},"port":[{"name":"mgmt0"}]},`+with+`}]}`)
	AddReportEntry("took", time.Since(begin).String())
	Expect(obj.Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyCommitted))
	Expect(obj.Status.LastApply.ConfirmedBy).NotTo(BeEmpty())
	Expect(s.must(ctx, node, "ip addr show brm")).To(ContainSubstring(address))
	obj = s.desire(ctx, node, `{"interfaces":[{"name":"brm","type":"linux-bridge","state":"absent"},{`+managementLink+`,`+with+`}]}`)
	Expect(obj.Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyCommitted))
	Expect(s.must(ctx, node, "ip addr show mgmt0")).To(ContainSubstring(address))
	Expect(s.must(ctx, node, "ip -br link")).NotTo(ContainSubstring("brm"))
}

// serverOutage is something that goes away while a change is under way, and comes back.
type serverOutage struct {
	name   string
	sample bool
	lasts  time.Duration
	away   func(s *suite, ctx context.Context, node string)
	back   func(s *suite, ctx context.Context, node string)
	// outcome is how the change ends, which has a minute to be confirmed, or 20 s if it is not to be.
	outcome v1alpha1.ApplyOutcome
	// standaloneOnly tells that in a cluster another server takes over.
	standaloneOnly bool
}

func serverAway(s *suite, ctx context.Context, _ string) { Expect(s.killServer(ctx)).To(Succeed()) }
func serverBack(s *suite, ctx context.Context, _ string) { Expect(s.startServer(ctx)).To(Succeed()) }
func bothAway(s *suite, ctx context.Context, node string) {
	Expect(s.killServer(ctx)).To(Succeed())
	Expect(s.killAgent(ctx, node)).To(Succeed())
}
func bothBack(s *suite, ctx context.Context, node string) {
	Expect(s.startServer(ctx)).To(Succeed())
	Expect(s.startAgent(ctx, node)).To(Succeed())
}
func networkAway(s *suite, ctx context.Context, n string) { s.onHub(ctx, "ip link set "+n+"-m down") }
func networkBack(s *suite, ctx context.Context, n string) { s.onHub(ctx, "ip link set "+n+"-m up") }

var outages = []serverOutage{
	{name: "the server is killed, and back at once", sample: true, away: serverAway, back: serverBack, outcome: v1alpha1.ApplyCommitted},
	{name: "the server is away for longer than the confirmation may take", lasts: 25 * time.Second, away: serverAway, back: serverBack, outcome: v1alpha1.ApplyRolledBack, standaloneOnly: true},
	{name: "the server and the agent are killed, and back after 5 s", lasts: 5 * time.Second, away: bothAway, back: bothBack, outcome: v1alpha1.ApplyRolledBack},
	{name: "the network is cut for 1 s", sample: true, lasts: time.Second, away: networkAway, back: networkBack, outcome: v1alpha1.ApplyCommitted},
	{name: "the network is cut for 10 s", lasts: 10 * time.Second, away: networkAway, back: networkBack, outcome: v1alpha1.ApplyCommitted},
	{name: "the network is cut for 30 s", lasts: 30 * time.Second, away: networkAway, back: networkBack, outcome: v1alpha1.ApplyRolledBack},
	{name: "the network is cut for 120 s", lasts: 120 * time.Second, away: networkAway, back: networkBack, outcome: v1alpha1.ApplyRolledBack},
}

// changeDuring makes a change, and something goes away once the node has it, before it is confirmed: the agent is stopped meanwhile.
func (s *suite) changeDuring(ctx SpecContext, node string, o serverOutage) {
	GinkgoHelper()
	before := s.desire(ctx, node, noFaultBridge)
	facts := s.lastingFacts(ctx, node)
	number := rand.IntN(10_000)
	over := make(chan struct{})
	seen := s.shellOn(node)
	seen.must("agent=$(pgrep -x -o node-agent)")
	go func() {
		defer GinkgoRecover()
		defer close(over)
		seen.must("until [ -e /sys/class/net/brf ]; do sleep 0.002; done; kill -STOP $agent")
		o.away(s, ctx, node)
		seen.must("kill -CONT $agent || true") // it may be what is away
		time.Sleep(o.lasts)
		o.back(s, ctx, node)
	}()
	timeout := map[v1alpha1.ApplyOutcome]string{v1alpha1.ApplyCommitted: "60s", v1alpha1.ApplyRolledBack: "20s"}[o.outcome]
	err := s.confirmed(ctx, node, faultBridge(number), fmt.Sprintf(`{"timeout":%q}`, timeout))
	<-over
	obj := s.ended(ctx, node, before)
	last := obj.Status.LastApply
	AddReportEntry("ended", fmt.Sprintf("%s %s %s; the client was told: %v", last.Outcome, last.Reason, last.Message, err))
	Expect(last.Outcome).To(Equal(o.outcome))
	s.holds(ctx, node, obj, before, facts, faultBridge(number))
	s.desire(ctx, node, noFaultBridge)
	Expect(s.lastingFacts(ctx, node)).To(Equal(facts))
}

// holds fails the spec unless the node has what its object says: the change, or what was before it.
func (s *suite) holds(ctx context.Context, node string, obj, before *v1alpha1.NodeNetworkState, facts, state string) {
	GinkgoHelper()
	last := obj.Status.LastApply
	switch last.Outcome {
	case v1alpha1.ApplyCommitted:
		Expect(v1alpha1.SameState(obj.Spec.DesiredState, v1alpha1.NewState([]byte(state)))).To(BeTrue(), "%s; %+v", obj.Spec.DesiredState.Raw, last)
		Expect(isTrue(v1alpha1.ConditionInSync)(obj)).To(BeTrue(), "%+v; %+v", last, obj.Status.Difference)
		Expect(s.lastingFacts(ctx, node)).NotTo(Equal(facts))
	case v1alpha1.ApplyRolledBack, v1alpha1.ApplyRejected:
		Expect(obj.Spec).To(Equal(before.Spec), "%+v", last)
		Expect(s.lastingFacts(ctx, node)).To(Equal(facts), "%+v", last)
	default:
		Fail(fmt.Sprintf("the change has ended as %+v", last))
	}
	Expect(isTrue(v1alpha1.ConditionProgressing)(obj)).To(BeFalse())
}

// killAtAnyMoment kills the agent, and its worker, at random moments of changes.
func (s *suite) killAtAnyMoment(ctx SpecContext, node string, workerToo bool) {
	GinkgoHelper()
	s.desire(ctx, node, noFaultBridge)
	s.desireAfterwards(node, noFaultBridge)
	outcomes := map[string]int{}
	for i := range *kills {
		before := s.available(ctx, node)
		facts := s.lastingFacts(ctx, node)
		wait := time.Duration(rand.IntN(2000)) * time.Millisecond
		if before.Status.Backend == v1alpha1.BackendKernel {
			wait /= 5
		}
		asking, giveUp := context.WithCancel(ctx)
		answered := make(chan error, 1)
		go func() { answered <- s.confirmed(asking, node, faultBridge(i), `{"timeout":"10s"}`) }()
		time.Sleep(wait)
		if workerToo {
			s.killWorker(ctx, node)
		}
		Expect(s.killAgent(ctx, node)).To(Succeed())
		if workerToo {
			s.killWorker(ctx, node)
		}
		Expect(s.startAgent(ctx, node)).To(Succeed())
		obj := s.settled(ctx, node)
		// A server waits for the outcome of a change that the agent has perhaps never got.
		giveUp()
		err := <-answered
		if last := obj.Status.LastApply; before.Status.LastApply != nil && last.ID == before.Status.LastApply.ID {
			// It was killed before the change came.
			Expect(err).To(HaveOccurred())
			Expect(obj.Spec).To(Equal(before.Spec))
			Expect(s.lastingFacts(ctx, node)).To(Equal(facts))
			outcomes["not begun"]++
			continue
		}
		s.holds(ctx, node, obj, before, facts, faultBridge(i))
		outcomes[fmt.Sprintf("%s %s", obj.Status.LastApply.Outcome, obj.Status.LastApply.Reason)]++
		if err == nil {
			Expect(obj.Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyCommitted), "the client was told that it was")
		} else {
			Expect(apierrors.IsConflict(err)).To(BeFalse(), "%v", err)
		}
	}
	AddReportEntry("outcomes", fmt.Sprintf("%v", outcomes))
}

// powerFails cuts a node's power at random moments of changes.
func (s *suite) powerFails(ctx SpecContext, server *standalone, n node) {
	GinkgoHelper()
	number := 1 + slices.IndexFunc(s.nodes(), func(other node) bool { return other.name == n.name })
	s.desire(ctx, n.name, noFaultBridge)
	s.desireAfterwards(n.name, noFaultBridge)
	outcomes := map[string]int{}
	for i := range *powerCuts {
		before := s.desire(ctx, n.name, noFaultBridge)
		wait := time.Duration(rand.IntN(2000)) * time.Millisecond
		if n.backend == v1alpha1.BackendKernel {
			wait /= 5
		}
		asking, giveUp := context.WithCancel(ctx)
		answered := make(chan error, 1)
		go func() { answered <- s.confirmed(asking, n.name, faultBridge(i), `{"timeout":"10s"}`) }()
		time.Sleep(wait)
		Expect(server.powerCut(ctx, number, n)).To(Succeed())
		// Without NetworkManager the agent first applies again what was committed.
		obj := s.waitFor(ctx, n.name, "", 3*time.Minute, func(obj *v1alpha1.NodeNetworkState) bool {
			return isTrue(v1alpha1.ConditionAvailable)(obj) && !isTrue(v1alpha1.ConditionProgressing)(obj) && isTrue(v1alpha1.ConditionInSync)(obj)
		})
		giveUp()
		err := <-answered
		links := s.must(ctx, n.name, "ip -br addr show brf 2>&1 || true")
		switch {
		case v1alpha1.SameState(obj.Spec.DesiredState, v1alpha1.NewState([]byte(faultBridge(i)))):
			Expect(links).To(ContainSubstring("198.18."), "%+v", obj.Status.LastApply)
		default:
			Expect(obj.Spec).To(Equal(before.Spec), "%+v", obj.Status.LastApply)
			Expect(links).To(ContainSubstring("does not exist"), "%+v", obj.Status.LastApply)
			Expect(err).To(HaveOccurred())
		}
		outcomes[fmt.Sprintf("%s %s", obj.Status.LastApply.Outcome, obj.Status.LastApply.Reason)]++
	}
	AddReportEntry("outcomes", fmt.Sprintf("%v", outcomes))
}

// killWorker ends the worker of a node's change as a crash would, if there is one.
func (s *suite) killWorker(ctx context.Context, node string) {
	GinkgoHelper()
	s.must(ctx, node, "pkill -KILL -f '[a]pply-worker' || true")
}

// settled waits until a node can be asked and no change is under way.
func (s *suite) settled(ctx context.Context, node string) *v1alpha1.NodeNetworkState {
	GinkgoHelper()
	return s.waitFor(ctx, node, "", 3*time.Minute, func(obj *v1alpha1.NodeNetworkState) bool {
		return isTrue(v1alpha1.ConditionAvailable)(obj) && !isTrue(v1alpha1.ConditionProgressing)(obj)
	})
}

// onHub runs a command in the network that the nodes are plugged into.
func (s *suite) onHub(ctx context.Context, command string) {
	GinkgoHelper()
	out, err := s.hub(ctx, command)
	Expect(err).NotTo(HaveOccurred(), out)
}
