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
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

func (s *suite) readSpecs() {
	for _, n := range s.oneOfEach() {
		changes := 60
		if n.backend == v1alpha1.BackendKernel {
			changes = 200
		}
		if *whole {
			changes *= 5
		}
		It(fmt.Sprintf("%d changes in a row are each in the next GET and LIST, with %s", changes, n.backend), Label(string(n.backend)), NodeTimeout(10*time.Minute), func(ctx SpecContext) {
			s.changeAndRead(ctx, n.name, changes)
		})
		It("a watch shows each settled change once and in order, with "+string(n.backend), Label(string(n.backend)), NodeTimeout(2*time.Minute), func(ctx SpecContext) {
			s.changeAndWatch(ctx, n.name)
		})
	}
}

// changeAndRead adds and removes addresses with ip. What is read next is a GET or
// a LIST, which has a barrier on all nodes, each after half of what is added and
// half of what is removed.
func (s *suite) changeAndRead(ctx context.Context, node string, changes int) {
	GinkgoHelper()
	nns, sh := s.nns(), s.shellOn(node)
	unknown := 0
	DeferCleanup(func() { sh.must("ip addr flush dev lo to 198.18.0.0/16") })
	var ip, verb string
	check := func(i int, read string, obj *v1alpha1.NodeNetworkState) {
		GinkgoHelper()
		// On a machine that is busy an agent may miss the deadline. It is not passed off as current then.
		if obj != nil && (lost(obj) || isReading(obj)) {
			unknown++
			s.available(ctx, node)
			return
		}
		if obj == nil || obj.Status.CurrentState == nil || shows(obj, ip) != (verb == "add") {
			Fail(fmt.Sprintf("change %d, %s %s, is not in the %s after it: %+v", i, verb, ip, read, obj))
		}
	}
	get := func(i int) {
		GinkgoHelper()
		obj, err := nns.Get(ctx, node, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		check(i, "GET", obj)
	}
	list := func(i int) {
		GinkgoHelper()
		all, err := nns.List(ctx, metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(all.Items).To(HaveLen(len(s.nodes())))
		check(i, "LIST", find(all, node))
	}
	for i := range changes {
		ip, verb = fmt.Sprintf("198.18.%d.%d", i/500, i%500/2+1), "add"
		if i%2 == 1 {
			verb = "del"
		}
		sh.must("ip addr " + verb + " " + ip + "/32 dev lo")
		if i%4 == 0 || i%4 == 3 {
			get(i)
		} else {
			list(i)
		}
	}
	Expect(unknown).To(BeNumerically("<=", changes/20), "reads that the agent was too slow for")
}

// changeAndWatch makes each change when the watch has shown the one before.
func (s *suite) changeAndWatch(ctx context.Context, node string) {
	GinkgoHelper()
	sh := s.shellOn(node)
	start := s.get(ctx, node)
	w, err := s.nns().Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + node, ResourceVersion: start.ResourceVersion})
	Expect(err).NotTo(HaveOccurred())
	defer w.Stop()
	DeferCleanup(func() { sh.must("ip addr flush dev lo to 198.18.100.0/24") })
	seen, err := strconv.ParseUint(start.ResourceVersion, 10, 64)
	Expect(err).NotTo(HaveOccurred())
	for i := 1; i <= 10; i++ {
		ip := fmt.Sprintf("198.18.100.%d", i)
		sh.must("ip addr add " + ip + "/32 dev lo")
		var event watch.Event
		Eventually(w.ResultChan()).WithContext(ctx).WithTimeout(long).Should(Receive(&event))
		Expect(event.Type).To(Equal(watch.Modified))
		obj, ok := event.Object.(*v1alpha1.NodeNetworkState)
		Expect(ok).To(BeTrue())
		Expect(shows(obj, ip)).To(BeTrue(), "after change %d the watch shows %s", i, obj.Status.CurrentState)
		revision, err := strconv.ParseUint(obj.ResourceVersion, 10, 64)
		Expect(err).NotTo(HaveOccurred())
		Expect(revision).To(BeNumerically(">", seen))
		seen = revision
	}
	Consistently(w.ResultChan()).WithContext(ctx).WithTimeout(2 * time.Second).ShouldNot(Receive())
}
