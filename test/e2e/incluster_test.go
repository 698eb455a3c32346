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
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// inCluster is what holds of the form with a cluster alone.
type inCluster struct {
	*suite
	*cluster
}

func (c inCluster) specs() {
	It("rights are plain RBAC, by the node's name if wanted", NodeTimeout(2*time.Minute), c.rights)
	It("an admission policy of the cluster is obeyed by PUT, PATCH and apply", NodeTimeout(2*time.Minute), c.policy)
	It("the server may change its pods' labels, nothing else of any pod", NodeTimeout(2*time.Minute), c.labelsOnly)
	It("each apply is told of by Events of its own", NodeTimeout(2*time.Minute), c.events)
	It("a drift is told of when it begins and when it ends, and described", NodeTimeout(2*time.Minute), c.drift)
	It("an owner that was applied may be left out later", NodeTimeout(2*time.Minute), c.owner)
	It("webhooks of the cluster change and refuse", NodeTimeout(2*time.Minute), c.webhooks)
	It("stands beside the CRDs of kubernetes-nmstate", NodeTimeout(2*time.Minute), c.besideCRDs)
	It("is not deployed where somebody else serves the version", NodeTimeout(2*time.Minute), c.preflight)
	It("the node of the active server is changed, and cut off", NodeTimeout(5*time.Minute), c.onTheServersNode)
	It("nodes come and go while a watch runs", NodeTimeout(2*time.Minute), c.nodesComeAndGo)
	It("the agents' door lets in nobody but the agent of the node's own pod", NodeTimeout(3*time.Minute), c.door)
	It("serving certificates are rotated under load", NodeTimeout(5*time.Minute), c.rotateServing)
	It("CAs are rotated under load", NodeTimeout(15*time.Minute), c.rotateCA)
	It("rollouts, kills and cuts under load: no wrong answer, no write lost or made twice",
		NodeTimeout(5*time.Minute+time.Duration(*rounds)*2*time.Minute), c.storm)
	It("without any server the rest of the cluster is as before", NodeTimeout(5*time.Minute), c.absence)
	It("is installed, upgraded, rolled back and uninstalled by Helm, without a trace", NodeTimeout(10*time.Minute), c.chart)
	It("is taken away, but for what is somebody else's, and added again", NodeTimeout(10*time.Minute), c.takenAway)
}

// do runs kubectl, which must succeed; input is its standard input.
func (c inCluster) do(ctx context.Context, input string, args ...string) string {
	GinkgoHelper()
	out, err := c.suite.kubectl(ctx, input, args...)
	Expect(err).NotTo(HaveOccurred(), out)
	return out
}

// refused runs kubectl, which must fail with the given words.
func (c inCluster) refused(ctx context.Context, words, input string, args ...string) {
	GinkgoHelper()
	out, err := c.suite.kubectl(ctx, input, args...)
	Expect(err).To(HaveOccurred(), out)
	Expect(out).To(ContainSubstring(words))
}

func (c inCluster) rights(ctx SpecContext) {
	const grants = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-node01-network}
rules: [{apiGroups: [nmstate.io], resources: [nodenetworkstates], resourceNames: [node01], verbs: [get, update, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-node01-network}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-node01-network}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: anna}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-viewer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: nodenetworkstates-viewer}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: bert}]
`
	c.create(ctx, grants)
	annotate := func(user, node string) []string {
		return []string{"annotate", "nns", node, "e2e=" + user, "--overwrite", "--as=" + user}
	}
	c.do(ctx, "", "auth", "can-i", "patch", "nns/node01", "--as=anna")
	c.do(ctx, "", annotate("anna", "node01")...)
	c.refused(ctx, "cannot get resource", "", annotate("anna", "node02")...)
	c.refused(ctx, "cannot list resource", "", "get", "nns", "--as=anna")
	c.do(ctx, "", "get", "nns", "--as=bert")
	c.refused(ctx, "cannot patch resource", "", annotate("bert", "node01")...)
	c.refused(ctx, "cannot list resource", "", "get", "nns", "--as=carl")
	c.refused(ctx, "no", "", "auth", "can-i", "list", "nns", "--as=carl")
	// Who may write may not therefore confirm.
	for _, decision := range []string{"confirm", "rollback"} {
		c.refused(ctx, "cannot create resource \"nodenetworkstates/"+decision+"\"",
			`{"apiVersion":"nmstate.io/v1alpha1","kind":"TransactionReference","id":"00000000-0000-4000-8000-000000000000"}`,
			"create", "--raw", "/apis/nmstate.io/v1alpha1/nodenetworkstates/node01/"+decision, "-f", "-", "--as=anna")
	}
	// Nor does who may read an object therefore read all that is beside it.
	for _, subresource := range []string{"history", "ports"} {
		path := "/apis/nmstate.io/v1alpha1/nodenetworkstates/node01/" + subresource
		c.do(ctx, "", "get", "--raw", path, "--as=bert")
		c.refused(ctx, "cannot get resource \"nodenetworkstates/"+subresource+"\"", "", "get", "--raw", path, "--as=anna")
	}
}

func (c inCluster) policy(ctx SpecContext) {
	const policy = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: e2e-leave-eth3-alone}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [nmstate.io], apiVersions: [v1alpha1], operations: [UPDATE], resources: [nodenetworkstates]}]
  validations:
  - expression: >-
      !has(object.spec.desiredState) || !has(object.spec.desiredState.interfaces) ||
      object.spec.desiredState.interfaces.all(i, i.name != 'eth3')
    message: eth3 is not to be touched
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: e2e-leave-eth3-alone}
spec: {policyName: e2e-leave-eth3-alone, validationActions: [Deny]}
`
	const node, touching = "node01", `{"spec":{"desiredState":{"interfaces":[{"name":"eth3","type":"ethernet","state":"up"}]}}}`
	DeferCleanup(func(ctx SpecContext) { c.admitted(ctx, node, touching) }, NodeTimeout(long))
	c.create(ctx, policy)
	before := c.facts(ctx, node)
	// The policy is in force as soon as the server has heard of it.
	Eventually(func(ctx context.Context) (string, error) {
		out, _ := c.suite.kubectl(ctx, "", "patch", "nns", node, "--type=merge", "--dry-run=server", "-p", touching)
		return out, nil
	}).WithContext(ctx).WithTimeout(long).Should(ContainSubstring("eth3 is not to be touched"))
	c.refused(ctx, "eth3 is not to be touched", "", "patch", "nns", node, "--type=merge", "-p", touching)
	manifest := `{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState","metadata":{"name":"` + node + `"},` + touching[1:]
	c.refused(ctx, "eth3 is not to be touched", manifest, "replace", "-f", "-")
	c.refused(ctx, "eth3 is not to be touched", manifest, "apply", "--server-side", "--force-conflicts", "-f", "-")
	Expect(c.facts(ctx, node)).To(Equal(before))
}

// admitted waits until a change is admitted: what was taken away that forbade it
// is so a moment later for the server.
func (c inCluster) admitted(ctx context.Context, node, change string) {
	GinkgoHelper()
	Eventually(func() error {
		out, err := c.suite.kubectl(ctx, "", "patch", "nns", node, "--type=merge", "--dry-run=server", "-p", change)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}).WithContext(ctx).WithTimeout(long).Should(Succeed())
}

func (c inCluster) nodesComeAndGo(ctx SpecContext) {
	const node = `{"apiVersion":"v1","kind":"Node","metadata":{"name":"node77","labels":{"zone":"far"}}}`
	all, err := c.nns().List(ctx, metav1.ListOptions{})
	Expect(err).NotTo(HaveOccurred())
	w, err := c.nns().Watch(ctx, metav1.ListOptions{ResourceVersion: all.ResourceVersion, FieldSelector: "metadata.name=node77"})
	Expect(err).NotTo(HaveOccurred())
	defer w.Stop()
	next := func(kind watch.EventType) *v1alpha1.NodeNetworkState {
		GinkgoHelper()
		var event watch.Event
		Eventually(w.ResultChan()).WithTimeout(long).Should(Receive(&event))
		Expect(event.Type).To(Equal(kind))
		return event.Object.(*v1alpha1.NodeNetworkState)
	}
	c.do(ctx, node, "create", "-f", "-")
	added := next(watch.Added)
	Expect(lost(added)).To(BeTrue(), "%+v", added.Status)
	Expect(added.Labels).To(HaveKeyWithValue("zone", "far"))
	Expect(added.OwnerReferences).To(HaveLen(1))
	c.do(ctx, "", "delete", "node", "node77")
	Eventually(func() watch.EventType {
		event := <-w.ResultChan()
		return event.Type
	}).WithTimeout(long).Should(Equal(watch.Deleted))
}

// owner: who applies what was read, and later less of it, changes the owner neither way.
func (c inCluster) owner(ctx SpecContext) {
	read := func() string {
		return c.do(ctx, "", "get", "nns", "node03", "-o", "jsonpath={.metadata.ownerReferences}")
	}
	before := read()
	Expect(before).To(ContainSubstring(`"kind":"Node"`))
	for _, metadata := range []string{`{"name":"node03","ownerReferences":` + before + `}`, `{"name":"node03"}`} {
		c.do(ctx, `{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState","metadata":`+metadata+`}`,
			"apply", "--server-side", "--field-manager=e2e-owner", "-f", "-")
	}
	Expect(read()).To(MatchJSON(before))
}

// labelsOnly: who could change the image of an agent's pod would be root on its node.
func (c inCluster) labelsOnly(ctx SpecContext) {
	config := c.suite.restConfig()
	config.Impersonate.UserName = "system:serviceaccount:" + namespace + ":nmstate-apiserver"
	server, err := kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	patch := func(app, patch string) error {
		GinkgoHelper()
		pod := c.do(ctx, "", "-n", namespace, "get", "pods", "-l", "app.kubernetes.io/name="+app, "-o", "jsonpath={.items[0].metadata.name}")
		_, err := server.CoreV1().Pods(namespace).Patch(ctx, pod, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	}
	const label, unlabel = `{"metadata":{"labels":{"e2e":"label"}}}`, `{"metadata":{"labels":{"e2e":null}}}`
	Expect(patch("nmstate-apiserver", `{"spec":{"activeDeadlineSeconds":100000}}`)).
		To(MatchError(ContainSubstring("may change a pod's labels and annotations, nothing else")))
	Expect(patch("nmstate-node-agent", label)).To(MatchError(ContainSubstring("may change its own pods, no others")))
	Expect(patch("nmstate-apiserver", label)).To(Succeed())
	Expect(patch("nmstate-apiserver", unlabel)).To(Succeed())
}

// events of one reason are not counted as one: each has a user and words of its own.
func (c inCluster) events(ctx SpecContext) {
	const node = "node02"
	for _, user := range []string{"anna", "bert"} {
		c.do(ctx, "", "create", "clusterrolebinding", "e2e-"+user, "--clusterrole=nodenetworkstates-editor", "--user="+user)
		DeferCleanup(func(ctx SpecContext) { c.do(ctx, "", "delete", "clusterrolebinding", "e2e-"+user) }, NodeTimeout(long))
		c.refused(ctx, "no-such-"+user, "", "patch", "nns", node, "--as="+user, "--type=merge",
			"-p", `{"spec":{"desiredState":{"interfaces":[{"name":"no-such-`+user+`","type":"linux-bridge","state":"up","bridge":{"port":[{"name":"no-such-`+user+`-port"}]}}]}}}`)
	}
	for _, about := range []string{"Node", "NodeNetworkState"} {
		Eventually(func() (string, error) {
			return c.suite.kubectl(ctx, "", "get", "events.v1.events.k8s.io", "-A", "-o", `jsonpath={range .items[?(@.regarding.kind=="`+about+`")]}{.regarding.name} {.note}{"\n"}{end}`)
		}).WithTimeout(long).Should(And(ContainSubstring(node+" the change that anna"), ContainSubstring(node+" the change that bert")), about)
	}
}

// drift: Events on the node and on its object tell of it, and kubectl describe shows conditions, last change and Events.
func (c inCluster) drift(ctx SpecContext) {
	const node = "node02"
	apply := func() {
		GinkgoHelper()
		c.do(ctx, `{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState","metadata":{"name":"`+node+`"},"spec":{"desiredState":{
			"interfaces":[{"name":"drift0","type":"linux-bridge","state":"up","bridge":{"port":[]}}]}}}`,
			"apply", "--server-side", "--force-conflicts", "--field-manager=e2e-drift", "-f", "-")
	}
	apply()
	c.desireAfterwards(node, `{"interfaces":[{"name":"drift0","type":"linux-bridge","state":"absent"}]}`)
	told := func(reason, note string) {
		GinkgoHelper()
		for _, about := range []string{"Node", "NodeNetworkState"} {
			Eventually(func() (string, error) {
				return c.suite.kubectl(ctx, "", "get", "events.v1.events.k8s.io", "-n", "default", "-o",
					`jsonpath={range .items[?(@.reason=="`+reason+`")]}{.regarding.kind} {.regarding.name} {.note}{"\n"}{end}`)
			}).WithTimeout(long).Should(ContainSubstring(about+" "+node+" "+note), about)
		}
	}
	c.must(ctx, node, "ip link del drift0")
	told("Drifted", "the node does not match spec.desiredState any more: interface drift0")
	apply()
	told("InSync", "the node matches all of spec.desiredState again")
	described := c.do(ctx, "", "describe", "nns", node)
	Expect(described).To(MatchRegexp(`(?s)Conditions:.*Reason: +StateRead.*Type: +Available.*Last Apply:.*Outcome: +Committed.*Events:.*Drifted.*drift0`))
	Expect(c.do(ctx, "", "describe", "node", node)).To(MatchRegexp(`(?s)Events:.*Drifted.*drift0`))
}

func (c inCluster) absence(ctx SpecContext) {
	scale := func(ctx context.Context, replicas string) {
		GinkgoHelper()
		c.do(ctx, "", "-n", namespace, "scale", "deployment/nmstate-apiserver", "--replicas="+replicas)
		c.awaitRollout(ctx)
	}
	DeferCleanup(func(ctx SpecContext) {
		scale(ctx, "2")
		c.allAvailable(ctx)
	}, NodeTimeout(3*time.Minute))
	scale(ctx, "0")
	Eventually(func() string {
		out, _ := c.suite.kubectl(ctx, "", "get", "nns", "--request-timeout=5s")
		return out
	}).WithTimeout(long).Should(ContainSubstring("unable to handle the request"))
	c.do(ctx, "", "get", "pods", "-A")
	c.do(ctx, "", "-n", namespace, "get", "pods,deployments,secrets")

	By("the end of a namespace waits, for the server or for the remedy")
	c.do(ctx, "", "create", "namespace", "e2e-waits")
	c.do(ctx, "", "delete", "namespace", "e2e-waits", "--wait=false")
	c.do(ctx, "", "wait", "--for=condition=NamespaceDeletionDiscoveryFailure", "namespace/e2e-waits", "--timeout=60s")
	apiService := `{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":{"name":"v1alpha1.nmstate.io"},"spec":` +
		c.do(ctx, "", "get", "apiservice", "v1alpha1.nmstate.io", "-o", "jsonpath={.spec}") + `}`
	DeferCleanup(func(ctx SpecContext) {
		if out, err := c.suite.kubectl(ctx, apiService, "create", "-f", "-"); err != nil {
			Expect(out).To(ContainSubstring("already exists"))
		}
	}, NodeTimeout(long))
	c.do(ctx, "", "delete", "apiservice", "v1alpha1.nmstate.io")
	c.do(ctx, "", "wait", "--for=delete", "namespace/e2e-waits", "--timeout=60s")
	c.restIsAsBefore(ctx)
	c.do(ctx, apiService, "create", "-f", "-")

	By("with it again")
	scale(ctx, "2")
	c.do(ctx, "", "wait", "--for=condition=Available", "apiservice/v1alpha1.nmstate.io", "--timeout=60s")
	c.allAvailable(ctx)
	c.restIsAsBefore(ctx)
}
