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
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/informers/externalversions"
)

// The promises: how soon a lost agent is seen, and how long a read may take that
// has to find out.
const (
	noticed = 15 * time.Second
	prompt  = 3 * time.Second
)

func (s *suite) outageSpecs() {
	It("the server is killed: it comes back, and nothing is lost", NodeTimeout(3*time.Minute), s.killTheServer)

	It("an agent is killed: its object says so, and reads go on", NodeTimeout(3*time.Minute), func(ctx SpecContext) {
		const node = "node02"
		start := s.get(ctx, node)
		DeferCleanup(func(ctx SpecContext) { s.available(ctx, node) }, NodeTimeout(long))
		DeferCleanup(func(ctx SpecContext) { Expect(s.startAgent(ctx, node)).To(Succeed()) }, NodeTimeout(long))
		Expect(s.killAgent(ctx, node)).To(Succeed())
		s.waitFor(ctx, node, start.ResourceVersion, noticed, lost)
		s.lookAtLost(ctx, node, start)
	})

	It("an agent stops to answer: its object says so, and reads go on", NodeTimeout(5*time.Minute), func(ctx SpecContext) {
		const node = "node02"
		freeze := func() *v1alpha1.NodeNetworkState {
			GinkgoHelper()
			obj := s.available(ctx, node)
			// Until the thread that the kernel has chosen for the signal runs, all others go on.
			s.must(ctx, node, "pkill -STOP -x node-agent; cd /proc/$(pgrep -x node-agent)/task; until ! grep -L '^State:.T' */status | grep -q .; do sleep 0.01; done")
			return obj
		}
		thaw := func(ctx context.Context) { s.must(ctx, node, "pkill -CONT -x node-agent") }
		DeferCleanup(func(ctx SpecContext) { thaw(ctx); s.available(ctx, node) }, NodeTimeout(long))

		By("a GET that has to find out")
		freeze()
		begin := time.Now()
		obj, err := s.nns().Get(ctx, node, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(time.Since(begin)).To(BeNumerically("<", prompt))
		Expect(lost(obj)).To(BeTrue(), "%+v", obj.Status)
		thaw(ctx)

		By("a LIST that has to find out")
		freeze()
		begin = time.Now()
		all, err := s.nns().List(ctx, metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(time.Since(begin)).To(BeNumerically("<", prompt))
		Expect(all.Items).To(HaveLen(len(s.nodes())))
		Expect(lost(find(all, node))).To(BeTrue())
		thaw(ctx)

		By("nobody reads")
		start := freeze()
		s.waitFor(ctx, node, start.ResourceVersion, noticed, lost)
		s.lookAtLost(ctx, node, start)
	})
}

// lost tells whether an object shows that its agent cannot be asked.
func lost(obj *v1alpha1.NodeNetworkState) bool {
	condition := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionAvailable)
	return condition != nil && condition.Status == metav1.ConditionUnknown && condition.Reason == v1alpha1.ReasonAgentUnreachable &&
		obj.Status.CurrentState == nil
}

// lookAtLost looks at a node whose agent is known to be lost.
func (s *suite) lookAtLost(ctx context.Context, node string, before *v1alpha1.NodeNetworkState) {
	GinkgoHelper()
	var warned warnings
	nns := s.clients(&warned).NmstateV1alpha1().NodeNetworkStates()
	begin := time.Now()
	one, err := nns.Get(ctx, node, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	Expect(time.Since(begin)).To(BeNumerically("<", prompt))
	Expect(lost(one)).To(BeTrue(), "%+v", one.Status)
	Expect(one.UID).To(Equal(before.UID))
	Expect(apiequality.Semantic.DeepEqual(one.Spec, before.Spec)).To(BeTrue())
	Expect(warned.take()).To(ConsistOf(ContainSubstring(node)))

	begin = time.Now()
	all, err := nns.List(ctx, metav1.ListOptions{})
	Expect(err).NotTo(HaveOccurred())
	Expect(time.Since(begin)).To(BeNumerically("<", prompt))
	Expect(all.Items).To(HaveLen(len(s.nodes())))
	Expect(lost(find(all, node))).To(BeTrue())
	Expect(warned.take()).To(ConsistOf(ContainSubstring(node)))

	change := one.DeepCopy()
	change.Spec.DesiredState = v1alpha1.NewState([]byte(`{"interfaces":[]}`))
	_, err = nns.Update(ctx, change, metav1.UpdateOptions{})
	Expect(apierrors.IsServiceUnavailable(err)).To(BeTrue(), "a PUT got %v", err)
	Expect(err).To(MatchError(ContainSubstring(node)))

	out, err := s.kubectl(ctx, "", "get", "nns", node)
	Expect(err).NotTo(HaveOccurred(), out)
	Expect(out).To(MatchRegexp(`(?s)Warning: .*` + node + `.*Unknown`))
}

// killTheServer has a reader that never rests, and a watch from before.
func (s *suite) killTheServer(ctx SpecContext) {
	const node = "node03"
	s.desire(ctx, node, `{"interfaces":[{"name":"keep0","type":"linux-bridge","state":"up","bridge":{"port":[]}}]}`)
	s.desireAfterwards(node, `{"interfaces":[{"name":"keep0","type":"linux-bridge","state":"absent"}]}`)
	out, err := s.kubectl(ctx, "", "annotate", "nns", node, "keep=this", "--overwrite")
	Expect(err).NotTo(HaveOccurred(), out)
	before, agents := s.get(ctx, node), s.agentProcesses(ctx)
	seen := s.startInformer(node)

	Expect(s.killServer(ctx)).To(Succeed())
	reading, stop := context.WithCancel(ctx)
	reader := s.readAllTheTime(reading, before)
	defer stop()
	begin := time.Now()
	Expect(s.startServer(ctx)).To(Succeed())
	Eventually(func(ctx context.Context) (string, error) { return s.kubectl(ctx, "", "get", "nns", node) }).WithContext(ctx).
		WithTimeout(s.outage()).WithPolling(100 * time.Millisecond).Should(MatchRegexp(node + ` +True`))
	Expect(time.Since(begin)).To(BeNumerically("<", s.outage()))

	s.allAvailable(ctx)
	after := s.get(ctx, node)
	Expect(after.Annotations).To(Equal(before.Annotations))
	Expect(after.UID).To(Equal(before.UID))
	Expect(after.Generation).To(Equal(before.Generation))
	Expect(after.CreationTimestamp).To(Equal(before.CreationTimestamp))
	Expect(after.ManagedFields).To(Equal(before.ManagedFields))
	Expect(v1alpha1.SameState(after.Spec.DesiredState, before.Spec.DesiredState)).To(BeTrue())
	Expect(after.Status.LastApply).To(Equal(before.Status.LastApply))
	Expect(s.agentProcesses(ctx)).To(Equal(agents), "agents were started anew")
	_, err = s.nns().List(ctx, metav1.ListOptions{ResourceVersion: before.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
	Expect(apierrors.IsResourceExpired(err)).To(BeTrue(), "a list at the last term's revision: %v", err)

	By("the watch from before")
	s.must(ctx, node, "ip addr add 198.18.102.1/32 dev mgmt0")
	DeferCleanup(func(ctx SpecContext) { s.must(ctx, node, "ip addr del 198.18.102.1/32 dev mgmt0") }, NodeTimeout(long))
	Eventually(func() bool { return seen.shows("198.18.102.1") }).WithContext(ctx).WithTimeout(long).Should(BeTrue())
	Expect(seen.deleted()).To(BeEmpty())
	stop()
	Expect(<-reader).To(BeEmpty(), "what was read while the server started")
}

// agentProcesses returns the number and start time of each node's agent.
func (s *suite) agentProcesses(ctx context.Context) map[string]string {
	GinkgoHelper()
	result := map[string]string{}
	for _, n := range s.nodes() {
		result[n.name] = s.must(ctx, n.name, `for pid in $(pgrep -x node-agent); do echo "$pid $(cut -d' ' -f22 /proc/$pid/stat)"; done`)
		Expect(result[n.name]).To(MatchRegexp(`^\d+ \d+\n$`), "%s has one agent", n.name)
	}
	return result
}

// readAllTheTime reads as fast as it can until ctx ends, and sends then what was
// wrong: an answer that lacks a node, or what was there before.
func (s *suite) readAllTheTime(ctx context.Context, before *v1alpha1.NodeNetworkState) <-chan []string {
	GinkgoHelper()
	nns, nodes := s.nns(), len(s.nodes())
	result := make(chan []string, 1)
	begin := time.Now()
	var wrong []string
	look := func(read string, obj *v1alpha1.NodeNetworkState) {
		complaint := ""
		switch {
		case obj == nil:
			complaint = "lacks the node"
		case !v1alpha1.SameState(obj.Spec.DesiredState, before.Spec.DesiredState):
			complaint = "has another spec"
		case obj.Annotations["keep"] != "this":
			complaint = "lacks the annotation"
		default:
			return
		}
		if len(wrong) < 10 {
			wrong = append(wrong, fmt.Sprintf("after %v a %s %s", time.Since(begin), read, complaint))
		}
	}
	go func() {
		for ctx.Err() == nil {
			one, err := nns.Get(ctx, before.Name, metav1.GetOptions{})
			if err == nil {
				look("GET", one)
			} else if apierrors.IsNotFound(err) {
				look("GET", nil)
			}
			all, err := nns.List(ctx, metav1.ListOptions{})
			if err != nil {
				continue
			}
			if len(all.Items) != nodes {
				look("LIST", nil)
			}
			look("LIST", find(all, before.Name))
		}
		result <- wrong
	}()
	return result
}

// informed is what an informer was told of a node.
type informed struct {
	mu   sync.Mutex
	last *v1alpha1.NodeNetworkState
	gone []string
}

func (i *informed) shows(text string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.last != nil && shows(i.last, text)
}

func (i *informed) deleted() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.gone
}

func (s *suite) startInformer(node string) *informed {
	GinkgoHelper()
	seen := &informed{}
	note := func(obj any) {
		if state, ok := obj.(*v1alpha1.NodeNetworkState); ok && state.Name == node {
			seen.mu.Lock()
			defer seen.mu.Unlock()
			seen.last = state
		}
	}
	factory := externalversions.NewSharedInformerFactory(s.clients(nil), 0)
	informer := factory.Nmstate().V1alpha1().NodeNetworkStates().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    note,
		UpdateFunc: func(_, obj any) { note(obj) },
		DeleteFunc: func(obj any) {
			seen.mu.Lock()
			defer seen.mu.Unlock()
			seen.gone = append(seen.gone, fmt.Sprintf("%T", obj))
		},
	})
	Expect(err).NotTo(HaveOccurred())
	stop := make(chan struct{})
	factory.Start(stop)
	DeferCleanup(func() { close(stop); factory.Shutdown() })
	for kind, synced := range factory.WaitForCacheSync(stop) {
		Expect(synced).To(BeTrue(), "the informer of %v", kind)
	}
	return seen
}
