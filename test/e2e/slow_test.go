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
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// slowReadSpecs make a real read take long: NetworkManager has much to tell, and runs for
// some milliseconds every 4 s, of which a read takes three at least. One that does not answer at all is not waited for.
func (s *suite) slowReadSpecs() {
	It("a read takes long: a GET waits for it, a LIST shows the node as Reading after a while", Label(string(v1alpha1.BackendNetworkManager)),
		NodeTimeout(3*time.Minute), func(ctx SpecContext) {
			const node = "node02"
			s.allAvailable(ctx)
			before := s.measure(ctx)
			DeferCleanup(func(ctx SpecContext) {
				s.must(ctx, node, "for i in $(seq 60); do ip link delete much$i; done")
			}, NodeTimeout(long))
			s.must(ctx, node, "for i in $(seq 60); do ip link add much$i type veth peer name much$i-; done")
			s.waitFor(ctx, node, "", long, func(obj *v1alpha1.NodeNetworkState) bool {
				return isTrue(v1alpha1.ConditionAvailable)(obj) && shows(obj, "much60")
			})
			thaw := func(ctx context.Context) { s.must(ctx, node, "rm -f /run/crawl; pkill -CONT -x NetworkManager") }
			DeferCleanup(func(ctx SpecContext) { thaw(ctx); s.available(ctx, node) }, NodeTimeout(long))
			s.must(ctx, node, `touch /run/crawl; pid=$(pgrep -x NetworkManager); setsid sh -c "while [ -e /run/crawl ]; do `+
				`kill -STOP $pid; sleep 4; kill -CONT $pid; sleep 0.002; done" </dev/null >/dev/null 2>&1 &`)
			// What is proved to be as it was is not read.
			DeferCleanup(func(ctx SpecContext) { s.must(ctx, node, "ip address delete 198.18.250.1/32 dev lo") }, NodeTimeout(long))
			s.must(ctx, node, "ip address add 198.18.250.1/32 dev lo")
			type answer struct {
				obj *v1alpha1.NodeNetworkState
				err error
			}
			answers, nns := make(chan answer, 1), s.nns()
			go func() {
				obj, err := nns.Get(ctx, node, metav1.GetOptions{})
				answers <- answer{obj, err}
			}()

			By("a LIST that waits")
			var warned warnings
			list := s.clients(&warned).NmstateV1alpha1().NodeNetworkStates().List
			all, err := list(ctx, metav1.ListOptions{})
			Expect(err).NotTo(HaveOccurred())
			Expect(all.Items).To(HaveLen(len(s.nodes())))
			Expect(isReading(find(all, node))).To(BeTrue(), "%+v", find(all, node).Status)
			Expect(warned.take()).To(ConsistOf(And(ContainSubstring(node), ContainSubstring("still reading"))))

			By("a LIST that knows")
			begin := time.Now()
			all, err = list(ctx, metav1.ListOptions{})
			Expect(err).NotTo(HaveOccurred())
			Expect(time.Since(begin)).To(BeNumerically("<", prompt))
			Expect(isReading(find(all, node))).To(BeTrue(), "%+v", find(all, node).Status)

			By("the GET that has waited meanwhile")
			thaw(ctx)
			got := <-answers
			Expect(got.err).NotTo(HaveOccurred())
			Expect(apimeta.IsStatusConditionTrue(got.obj.Status.Conditions, v1alpha1.ConditionAvailable)).To(BeTrue(), "%+v", got.obj.Status)
			Expect(got.obj.Status.CurrentState).NotTo(BeNil())
			after := s.measure(ctx)
			for _, event := range []string{"lost", "unreachable"} {
				Expect(after["nmstate_agent_events_total "+event]).To(Equal(before["nmstate_agent_events_total "+event]), event)
			}
			Expect(after["nmstate_agent_events_total reading"]).To(BeNumerically(">", before["nmstate_agent_events_total reading"]))
		})
}

// isReading tells whether an object shows that its agent is reading still.
func isReading(obj *v1alpha1.NodeNetworkState) bool {
	condition := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionAvailable)
	return condition != nil && condition.Status == metav1.ConditionUnknown && condition.Reason == v1alpha1.ReasonReading &&
		obj.Status.CurrentState == nil
}
