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
	gomega "github.com/onsi/gomega/types"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// specsOnTheServersNode cut a node off that the active server runs on: what must answer is kube-apiserver.
func (t *cutTable) specsOnTheServersNode(c inCluster) {
	scale := func(ctx context.Context, replicas string) {
		GinkgoHelper()
		c.do(ctx, "", "-n", namespace, "scale", "deployment/nmstate-apiserver", "--replicas="+replicas)
		c.awaitRollout(ctx)
	}
	BeforeAll(func(ctx SpecContext) { scale(ctx, "3") }, NodeTimeout(long)) // one on each node
	AfterAll(func(ctx SpecContext) { scale(ctx, "2") }, NodeTimeout(long))
	for _, n := range t.oneOfEach() {
		for _, cut := range cuts {
			if t.tried(n, cut, companions[0]) {
				It(cut.name+", with "+string(n.backend), Label(string(n.backend), "cuts"), NodeTimeout(5*time.Minute), func(ctx SpecContext) {
					c.haveServer(ctx, Equal(n.name))
					t.beginAsBefore(ctx, n.name)
					t.cutOff(ctx, n.name, cut, companions[0])
				})
			}
		}
	}
}

// haveServer has a server be the active one whose node is as wanted.
func (c inCluster) haveServer(ctx context.Context, wanted gomega.GomegaMatcher) {
	GinkgoHelper()
	for {
		_, _, node := c.activeServer(ctx)
		found, err := wanted.Match(node)
		Expect(err).NotTo(HaveOccurred())
		if found {
			c.allAvailable(ctx)
			return
		}
		c.deleteActive(ctx)
	}
}

// onTheServersNode changes the node on which the active server runs: that the server answers proves nothing.
func (c inCluster) onTheServersNode(ctx SpecContext) {
	node, err := c.active(ctx, "{.items[0].spec.nodeName}")
	Expect(err).NotTo(HaveOccurred())
	obj := c.desire(ctx, node, faultBridge(1))
	Expect(obj.Status.LastApply.ConfirmedBy).To(Equal(v1alpha1.WitnessKubeAPIServer))
	c.desire(ctx, node, noFaultBridge)
	c.cutOff(ctx, node, cuts[0], companions[0])
}
