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

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// manualSpecs make changes that a user is to confirm.
func (s *suite) manualSpecs() {
	for _, n := range s.oneOfEach() {
		backend := Label(string(n.backend))
		It("stays when it is confirmed by its id, with "+string(n.backend), backend, NodeTimeout(2*long), func(ctx SpecContext) {
			m := s.manual(ctx, n.name, "1m")
			Expect(m.decide(ctx, "confirm", "00000000-0000-4000-8000-000000000000")).To(ContainSubstring("Conflict"), "a wrong id")
			m.stillAwaits(ctx)
			Expect(m.decide(ctx, "confirm", m.id, "?dryRun=All")).NotTo(ContainSubstring("Error"))
			m.stillAwaits(ctx)
			_, err := s.kubectl(ctx, `{"spec":{"desiredState":{"interfaces":[]}}}`, "patch", "nns", n.name, "--type=merge", "--patch-file=/dev/stdin", "--dry-run=server")
			Expect(err).NotTo(HaveOccurred(), "a dry run meanwhile")
			m.stillAwaits(ctx)
			Expect(apierrors.IsTooManyRequests(s.confirmed(ctx, n.name, noFaultBridge, "{}"))).To(BeTrue(), "a write meanwhile")
			m.stillAwaits(ctx)

			Expect(m.decide(ctx, "confirm", m.id)).NotTo(ContainSubstring("Error"))
			obj := s.settled(ctx, n.name)
			Expect(obj.Status.LastApply.ID).To(Equal(m.id))
			Expect(obj.Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyCommitted))
			Expect(obj.Status.LastApply.ConfirmedBy).To(Equal(v1alpha1.WitnessUser))
			s.holds(ctx, n.name, obj, m.before, m.facts, m.state)
			Expect(m.decide(ctx, "confirm", m.id)).To(ContainSubstring("Conflict"), "a second time")
			Expect(m.decide(ctx, "rollback", m.id)).To(ContainSubstring("Conflict"), "after it was confirmed")
			s.holds(ctx, n.name, s.get(ctx, n.name), m.before, m.facts, m.state)
		})
		It("goes when it is rolled back by its id, with "+string(n.backend), backend, NodeTimeout(2*long), func(ctx SpecContext) {
			m := s.manual(ctx, n.name, "1m")
			Expect(m.decide(ctx, "rollback", m.id)).NotTo(ContainSubstring("Error"))
			obj := s.settled(ctx, n.name)
			Expect(obj.Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyRolledBack))
			s.holds(ctx, n.name, obj, m.before, m.facts, m.state)
		})
		It("goes when nobody confirms it, with "+string(n.backend), backend, NodeTimeout(2*long), func(ctx SpecContext) {
			m := s.manual(ctx, n.name, "5s")
			out, err := s.kubectl(ctx, "", "wait", "nns", n.name, "--for=condition=Progressing=false", "--timeout=30s")
			Expect(err).NotTo(HaveOccurred(), out)
			obj := s.settled(ctx, n.name)
			Expect(obj.Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyRolledBack))
			Expect(obj.Status.LastApply.Reason).To(Equal("NotConfirmed"))
			s.holds(ctx, n.name, obj, m.before, m.facts, m.state)
		})
		It("can be confirmed when another server has taken over, with "+string(n.backend), backend, NodeTimeout(3*long), func(ctx SpecContext) {
			m := s.manual(ctx, n.name, "2m")
			Expect(s.killServer(ctx)).To(Succeed())
			Expect(s.startServer(ctx)).To(Succeed())
			s.available(ctx, n.name)
			m.stillAwaits(ctx)
			Expect(m.decide(ctx, "confirm", m.id)).NotTo(ContainSubstring("Error"))
			obj := s.settled(ctx, n.name)
			Expect(obj.Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyCommitted))
			s.holds(ctx, n.name, obj, m.before, m.facts, m.state)
		})
	}
}

// manualChange is a change that waits for a confirmation.
type manualChange struct {
	*suite
	node, id, state, facts string
	before                 *v1alpha1.NodeNetworkState
}

// manual makes a change that is to be confirmed by hand, and returns once it waits.
func (s *suite) manual(ctx SpecContext, node, timeout string) *manualChange {
	GinkgoHelper()
	s.desire(ctx, node, noFaultBridge)
	s.desireAfterwards(node, noFaultBridge)
	m := &manualChange{suite: s, node: node, state: faultBridge(7), facts: s.lastingFacts(ctx, node), before: s.get(ctx, node)}
	Expect(s.confirmed(ctx, node, m.state, fmt.Sprintf(`{"mode":"Manual","timeout":%q}`, timeout))).To(Succeed())
	m.id = s.get(ctx, node).Status.LastApply.ID
	Expect(m.id).NotTo(BeEmpty())
	m.stillAwaits(ctx)
	return m
}

// stillAwaits fails the spec unless the change waits, and the object shows it.
func (m *manualChange) stillAwaits(ctx context.Context) {
	GinkgoHelper()
	obj := m.get(ctx, m.node)
	progressing := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionProgressing)
	Expect(progressing.Reason).To(Equal(v1alpha1.ReasonAwaitingConfirmation))
	Expect(isTrue(v1alpha1.ConditionProgressing)(obj)).To(BeTrue())
	Expect(v1alpha1.SameState(obj.Spec.DesiredState, v1alpha1.NewState([]byte(m.state)))).To(BeTrue(), "the spec is %s", obj.Spec.DesiredState.Raw)
	Expect(obj.Status.LastApply.ID).To(Equal(m.id))
	Expect(obj.Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyInProgress))
	Expect(obj.Status.LastApply.ConfirmBefore).NotTo(BeNil())
	Expect(m.must(ctx, m.node, "ip -br addr show brf")).To(ContainSubstring("198.18."))
}

// decide confirms a change or rolls it back, as the user guide says, and returns what kubectl prints.
func (m *manualChange) decide(ctx context.Context, what, id string, options ...string) string {
	GinkgoHelper()
	query := ""
	if len(options) > 0 {
		query = options[0]
	}
	out, _ := m.kubectl(ctx, fmt.Sprintf(`{"apiVersion":"nmstate.io/v1alpha1","kind":"TransactionReference","id":%q}`, id),
		"create", "--raw", "/apis/nmstate.io/v1alpha1/nodenetworkstates/"+m.node+"/"+what+query, "-f", "-")
	return out
}
