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
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// controlPlane is the address of kube-apiserver.
const controlPlane = "192.0.2.1"

// fault is something that goes wrong, or is done by an administrator. It is over
// when do returns, but may be felt for longer.
type fault struct {
	name string
	do   func(ctx context.Context)
	// bound is how long reads may be without an answer, at most: a machine that has
	// all of the cluster on it is slow at times.
	bound time.Duration
}

// seamless is how long a rolling update may be felt by reads, as a rule.
const seamless = 3 * time.Second

// feeling is how long a kind of fault was felt, each time.
type feeling struct{ reads, writes []time.Duration }

// storm rolls the servers out anew again and again, with another fault between
// each two.
func (c inCluster) storm(ctx SpecContext) {
	rollout := fault{"rolled out anew", c.rollOut, 10 * time.Second}
	others := c.faults()
	felt := map[string]*feeling{}
	l := c.startLedger(ctx)
	strike := func(f fault) {
		GinkgoHelper()
		By(f.name)
		l.take()
		f.do(ctx)
		l.settle(ctx)
		reads, writes := l.take()
		if felt[f.name] == nil {
			felt[f.name] = &feeling{}
		}
		GinkgoWriter.Printf("felt for %v by reads, %v by writes\n", reads, writes)
		felt[f.name].reads = append(felt[f.name].reads, reads)
		felt[f.name].writes = append(felt[f.name].writes, writes)
		Expect(reads).To(BeNumerically("<", f.bound), "%s: %s", f.name, l.errorTable())
	}
	for round := range *rounds {
		strike(rollout)
		strike(others[round%len(others)])
	}
	l.stop(ctx, c.suite)
	table := feelings(append([]fault{rollout}, others...), felt) + l.counts() + "; what failed:\n" + l.errorTable()
	AddReportEntry("storm", table)
	fmt.Println("\nhow long each fault was felt, in seconds (median, worst):\n" + table)
	Expect(median(felt[rollout.name].reads)).To(BeNumerically("<", seamless), table)
}

func feelings(faults []fault, felt map[string]*feeling) string {
	var table strings.Builder
	fmt.Fprintf(&table, "  %-52s %5s %14s %14s\n", "", "times", "reads", "writes")
	for _, f := range faults {
		if seen := felt[f.name]; seen != nil {
			fmt.Fprintf(&table, "  %-52s %5d %14s %14s\n", f.name, len(seen.reads), medianAndWorst(seen.reads), medianAndWorst(seen.writes))
		}
	}
	return table.String()
}

func medianAndWorst(all []time.Duration) string {
	return fmt.Sprintf("%6.1f %6.1f", median(all).Seconds(), slices.Max(all).Seconds())
}

func median(all []time.Duration) time.Duration { return slices.Sorted(slices.Values(all))[len(all)/2] }

func (c inCluster) faults() []fault {
	return []fault{
		{"the active pod is deleted", c.deleteActive, 10 * time.Second},
		{"the active server is killed", c.killActive, 15 * time.Second},
		{"the active server's node is cut off", c.cutOffNode, 30 * time.Second},
		{"the active server and kube-apiserver are cut off", c.cutOffServer, 30 * time.Second},
		{"an agent is killed", c.killAgents("node02"), 10 * time.Second},
		{"all agents are killed", c.killAgents("node01", "node02", "node03"), 10 * time.Second},
		{"an agent and the active server are cut off", c.cutOffAgent, 10 * time.Second},
		{"kube-apiserver is killed, and started 5 s later", c.killComponent("kube-apiserver"), 90 * time.Second},
		{"etcd is killed, and started 5 s later", c.killComponent("etcd"), 90 * time.Second},
	}
}

// activeServer returns the pod of the active server, its address, and its node.
// While one takes over, two may have the label.
func (c inCluster) activeServer(ctx context.Context) (pod, ip, node string) {
	GinkgoHelper()
	var words []string
	Eventually(func() ([]string, error) {
		out, err := c.active(ctx, "{.items[*].metadata.name} {.items[*].status.podIP} {.items[*].spec.nodeName}")
		words = strings.Fields(out)
		return words, err
	}).WithContext(ctx).WithTimeout(long).Should(HaveLen(3))
	return words[0], words[1], words[2]
}

// awaitAnother waits until another pod than this is the active one.
func (c inCluster) awaitAnother(ctx context.Context, pod string) {
	GinkgoHelper()
	Eventually(func() (string, error) { return c.active(ctx, "{.items[*].metadata.name}") }).
		WithContext(ctx).WithTimeout(2 * time.Minute).ShouldNot(SatisfyAny(BeEmpty(), ContainSubstring(pod)))
}

func (c inCluster) awaitRollout(ctx context.Context) {
	GinkgoHelper()
	c.do(ctx, "", "-n", namespace, "rollout", "status", "deployment/nmstate-apiserver", "--timeout=120s")
}

// handOver does what has another pod become the active one, and waits until all
// are as they should be again.
func (c inCluster) handOver(ctx context.Context, do func(active string)) {
	GinkgoHelper()
	pod, _, _ := c.activeServer(ctx)
	do(pod)
	c.awaitAnother(ctx, pod)
	c.awaitRollout(ctx)
}

func (c inCluster) rollOut(ctx context.Context) {
	c.handOver(ctx, func(string) {
		c.do(ctx, "", "-n", namespace, "rollout", "restart", "deployment/nmstate-apiserver")
	})
}

func (c inCluster) deleteActive(ctx context.Context) {
	c.handOver(ctx, func(active string) { c.do(ctx, "", "-n", namespace, "delete", "pod", active, "--wait=true") })
}

// killActive has the container started again, which takes up the Lease that its pod holds.
func (c inCluster) killActive(ctx context.Context) {
	pod, _, _ := c.activeServer(ctx)
	before := c.restarts(ctx, pod)
	Expect(c.killServer(ctx)).To(Succeed())
	Eventually(func() int { return c.restarts(ctx, pod) }).WithContext(ctx).WithTimeout(long).Should(BeNumerically(">", before))
	c.awaitRollout(ctx)
}

// restarts returns how often a pod's container was started again.
func (c inCluster) restarts(ctx context.Context, pod string) int {
	GinkgoHelper()
	var count int
	_, err := fmt.Sscan(c.do(ctx, "", "-n", namespace, "get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].restartCount}"), &count)
	Expect(err).NotTo(HaveOccurred())
	return count
}

// killAgents has their containers started again.
func (c inCluster) killAgents(nodes ...string) func(context.Context) {
	return func(ctx context.Context) {
		GinkgoHelper()
		for _, node := range nodes {
			c.must(ctx, node, "pkill -KILL -x node-agent")
		}
		for _, node := range nodes {
			Eventually(func() error {
				_, err := c.suite.on(ctx, node, "pgrep", "-x", "node-agent")
				return err
			}).WithContext(ctx).WithTimeout(long).Should(Succeed())
		}
	}
}

func (c inCluster) killComponent(name string) func(context.Context) {
	return func(ctx context.Context) {
		GinkgoHelper()
		DeferCleanup(func(ctx SpecContext) {
			Expect(c.succeed(ctx, "hack/cluster/component.sh", "start", name)).To(Succeed())
		}, NodeTimeout(2*time.Minute))
		Expect(c.succeed(ctx, "hack/cluster/component.sh", "kill", name)).To(Succeed())
		select { // nothing happens that could be awaited
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
		}
		Expect(c.succeed(ctx, "hack/cluster/component.sh", "start", name)).To(Succeed())
	}
}

// cut drops on a node what matches, until the function that it returns is called.
func (c inCluster) cut(ctx context.Context, node string, matches ...string) (heal func()) {
	GinkgoHelper()
	var chains strings.Builder
	for _, hook := range []string{"input", "output", "forward"} {
		fmt.Fprintf(&chains, "chain %s { type filter hook %s priority 0; %s drop; }\n", hook, hook, strings.Join(matches, " drop; "))
	}
	c.must(ctx, node, "nft add table ip e2e-cut '{ "+chains.String()+" }'")
	heal = sync.OnceFunc(func() {
		_, err := c.suite.on(context.WithoutCancel(ctx), node, "nft", "delete", "table", "ip", "e2e-cut")
		Expect(err).NotTo(HaveOccurred())
	})
	DeferCleanup(heal)
	return heal
}

func (c inCluster) cutOffServer(ctx context.Context) {
	pod, ip, node := c.activeServer(ctx)
	heal := c.cut(ctx, node, fmt.Sprintf("ip saddr %s ip daddr %s", ip, controlPlane), fmt.Sprintf("ip saddr %s ip daddr %s", controlPlane, ip))
	c.awaitAnother(ctx, pod)
	heal()
	c.awaitRollout(ctx)
}

// cutOffNode is what a cable that was pulled out does.
func (c inCluster) cutOffNode(ctx context.Context) {
	pod, _, node := c.activeServer(ctx)
	heal := c.cut(ctx, node, "iifname mgmt0", "oifname mgmt0")
	c.awaitAnother(ctx, pod)
	heal()
	c.awaitRollout(ctx)
}

// cutOffAgent cuts off an agent on another node than the server's.
func (c inCluster) cutOffAgent(ctx context.Context) {
	_, ip, serving := c.activeServer(ctx)
	i := slices.IndexFunc(c.suite.nodes(), func(n node) bool { return n.name != serving })
	agent := c.suite.nodes()[i].name
	heal := c.cut(ctx, agent, "ip saddr "+ip, "ip daddr "+ip)
	Eventually(func() (bool, error) {
		obj, err := c.nns().Get(ctx, agent, metav1.GetOptions{})
		return err == nil && lost(obj), err
	}).WithContext(ctx).WithTimeout(long).Should(BeTrue())
	heal()
}
