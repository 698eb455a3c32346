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
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// inCluster is what holds of the form with a cluster alone.
type inCluster struct {
	*suite
	*cluster
}

func (c inCluster) specs() {
	It("rights are plain RBAC, by the node's name if wanted", NodeTimeout(2*time.Minute), c.rights)
	It("an admission policy of the cluster is obeyed by PUT, PATCH and apply", NodeTimeout(2*time.Minute), c.policy)
	It("nodes come and go while a watch runs", NodeTimeout(2*time.Minute), c.nodesComeAndGo)
	It("the agents' door lets in nobody but the agent of the node's own pod", NodeTimeout(3*time.Minute), c.door)
	It("serving certificates are rotated under load", NodeTimeout(5*time.Minute), c.rotation)
	It("the active server is replaced, killed, and rolled out anew under load", NodeTimeout(10*time.Minute), c.handovers)
	It("without any server the rest of the cluster is as before", NodeTimeout(5*time.Minute), c.absence)
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
	c.do(ctx, grants, "apply", "-f", "-")
	DeferCleanup(func(ctx SpecContext) { c.do(ctx, grants, "delete", "-f", "-") }, NodeTimeout(long))
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
	c.do(ctx, policy, "apply", "-f", "-")
	DeferCleanup(func(ctx SpecContext) { c.do(ctx, policy, "delete", "-f", "-") }, NodeTimeout(long))
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

// dial connects to an address of the cluster from the control plane's network:
// what a socket is made in stays its network.
func (c inCluster) dial(address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		// The thread ends with the goroutine, which never unlocks it.
		runtime.LockOSThread()
		hub, err := os.Open("/run/netns/" + c.prefix() + "hub")
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer hub.Close()
		if err := unix.Setns(int(hub.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{nil, err}
			return
		}
		conn, err := net.DialTimeout("tcp", address, long)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// knock says who it is at the agents' door and returns what it is told.
func (c inCluster) knock(ctx context.Context, address, token, node string, creds credentials.TransportCredentials) error {
	GinkgoHelper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds), grpc.WithNoProxy(),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return c.dial(address) }))
	Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	stream, err := agentpb.NewFleetClient(conn).Connect(ctx)
	if err != nil {
		return err
	}
	_ = stream.Send(&agentpb.AgentMessage{Message: &agentpb.AgentMessage_Hello{Hello: &agentpb.Hello{Node: node}}})
	_, err = stream.Recv()
	return err
}

// agentPod returns the name and uid of a node's agent's pod.
func (c inCluster) agentPod(ctx context.Context, node string) (name, uid string) {
	GinkgoHelper()
	out := c.do(ctx, "", "-n", namespace, "get", "pods", "-l", "app.kubernetes.io/name=nmstate-node-agent",
		"--field-selector", "spec.nodeName="+node, "-o", "jsonpath={.items[0].metadata.name} {.items[0].metadata.uid}")
	name, uid, _ = strings.Cut(out, " ")
	return name, uid
}

func (c inCluster) door(ctx SpecContext) {
	ip, err := c.active(ctx, "{.items[0].status.podIP}")
	Expect(err).NotTo(HaveOccurred())
	address := ip + ":6444"
	ca := c.do(ctx, "", "-n", namespace, "get", "configmap", "nmstate-apiserver-ca", "-o", `jsonpath={.data.ca\.crt}`)
	file := GinkgoT().TempDir() + "/ca.crt"
	Expect(os.WriteFile(file, []byte(ca), 0o600)).To(Succeed())
	tls, err := credentials.NewClientTLSFromFile(file, "nmstate-apiserver."+namespace+".svc")
	Expect(err).NotTo(HaveOccurred())
	token := func(account string, args ...string) string {
		GinkgoHelper()
		return strings.TrimSpace(c.do(ctx, "", append([]string{"-n", namespace, "create", "token", account}, args...)...))
	}
	pod2, uid2 := c.agentPod(ctx, "node02")
	bound := func(pod, uid string) []string {
		return []string{"--audience=agents.nmstate.io", "--bound-object-kind=Pod", "--bound-object-name=" + pod, "--bound-object-uid=" + uid}
	}
	pod3, uid3 := c.agentPod(ctx, "node03")
	deleted := token("nmstate-node-agent", bound(pod3, uid3)...)
	c.do(ctx, "", "-n", namespace, "delete", "pod", pod3, "--wait=true")

	refused := c.refusals(ctx)
	knocks := 0
	for what, knock := range map[string]struct {
		token, node string
		code        codes.Code
	}{
		"no token":                  {"", "node01", codes.Unauthenticated},
		"no token at all but words": {"let-me-in", "node01", codes.Unauthenticated},
		"another audience":          {token("nmstate-node-agent", "--audience=other"), "node01", codes.Unauthenticated},
		"bound to no pod":           {token("nmstate-node-agent", "--audience=agents.nmstate.io"), "node01", codes.Unauthenticated},
		"another service account":   {token("nmstate-apiserver", "--audience=agents.nmstate.io"), "node01", codes.Unauthenticated},
		"the pod of another node":   {token("nmstate-node-agent", bound(pod2, uid2)...), "node01", codes.PermissionDenied},
		"a pod that was deleted":    {deleted, "node03", codes.Unauthenticated},
	} {
		err := c.knock(ctx, address, knock.token, knock.node, tls)
		Expect(status.Code(err)).To(Equal(knock.code), "%s: %v", what, err)
		if knock.token != "" {
			Expect(err.Error()).NotTo(ContainSubstring(knock.token))
		}
		knocks++
	}
	Expect(c.refusals(ctx)-refused).To(BeNumerically("==", knocks), "each is counted")
	Expect(status.Code(c.knock(ctx, address, "", "node01", insecure.NewCredentials()))).To(Equal(codes.Unavailable), "without TLS")

	By("10,000 connections that say nothing, and garbage")
	var idle []net.Conn
	defer func() {
		for _, conn := range idle {
			conn.Close()
		}
	}()
	for range 10_000 {
		conn, err := c.dial(address)
		if err != nil {
			break // this process may not have as many
		}
		idle = append(idle, conn)
	}
	AddReportEntry("idle connections", len(idle))
	Expect(len(idle)).To(BeNumerically(">", 1000))
	for i, conn := range idle[:100] {
		_, _ = fmt.Fprintf(conn, "%d\x00\xffgarbage", i)
	}
	for range 10 {
		Expect(c.knock(ctx, address, "let-me-in", "node01", tls)).To(HaveOccurred())
		all, err := c.nns().List(ctx, metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(all.Items).To(HaveLen(3))
	}
	for _, n := range c.suite.nodes() {
		c.available(ctx, n.name)
	}
}

func (c inCluster) refusals(ctx context.Context) float64 {
	GinkgoHelper()
	text, err := c.metrics(ctx)
	Expect(err).NotTo(HaveOccurred())
	var value float64
	for line := range strings.Lines(text) {
		if n, _ := fmt.Sscanf(line, `nmstate_agent_events_total{event="refused"} %g`, &value); n == 1 {
			return value
		}
	}
	return 0
}

// load reads all nodes again and again, as fast as it can, until it is stopped.
type load struct {
	mu       sync.Mutex
	requests int
	since    time.Time
	worst    time.Duration
	errors   map[string]int
}

// startLoad starts a load; the function stops it and returns what it saw.
func (c inCluster) startLoad(ctx context.Context) func() *load {
	GinkgoHelper()
	l := &load{errors: map[string]int{}}
	nns := c.nns()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			request, cancel := context.WithTimeout(ctx, 5*time.Second)
			all, err := nns.List(request, metav1.ListOptions{})
			cancel()
			if err == nil && len(all.Items) != 3 {
				err = fmt.Errorf("a list has %d nodes", len(all.Items))
			}
			if ctx.Err() == nil {
				l.note(err)
			}
		}
	}()
	return func() *load {
		cancel()
		<-done
		return l
	}
}

// note records how long requests have failed without a success between them.
func (l *load) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	if err == nil {
		if !l.since.IsZero() {
			l.worst = max(l.worst, time.Since(l.since))
		}
		l.since = time.Time{}
		return
	}
	if l.since.IsZero() {
		l.since = time.Now()
	}
	l.errors[err.Error()]++
}

func (c inCluster) rotation(ctx SpecContext) {
	stop := c.startLoad(ctx)
	seen := c.serial(ctx)
	for range 10 {
		c.do(ctx, "", "-n", namespace, "annotate", "secret", "nmstate-apiserver-certificates", "nmstate.io/rotate=serving", "--overwrite")
		Eventually(func() string { return c.serial(ctx) }).WithTimeout(long).ShouldNot(Equal(seen))
		seen = c.serial(ctx)
	}
	l := stop()
	AddReportEntry("requests", l.requests)
	Expect(l.errors).To(BeEmpty())
	for _, n := range c.suite.nodes() {
		c.available(ctx, n.name)
	}
}

// serial returns the serving certificate as it is kept.
func (c inCluster) serial(ctx context.Context) string {
	GinkgoHelper()
	return c.do(ctx, "", "-n", namespace, "get", "secret", "nmstate-apiserver-certificates", "-o", `jsonpath={.data.tls\.crt}`)
}

func (c inCluster) handovers(ctx SpecContext) {
	const node = "node01"
	before := c.get(ctx, node)
	seen := c.startInformer(node)
	var table strings.Builder
	for _, fault := range []struct {
		name  string
		do    func() error
		bound time.Duration
		// moves tells that another pod is the active one afterwards; a container
		// that is started again takes up the Lease that its pod holds.
		moves bool
	}{
		{"the active pod is deleted", func() error {
			pod, err := c.active(ctx, "{.items[0].metadata.name}")
			if err != nil {
				return err
			}
			c.do(ctx, "", "-n", namespace, "delete", "pod", pod, "--wait=true")
			return nil
		}, 5 * time.Second, true},
		{"the active server is killed", func() error { return c.killServer(ctx) }, 15 * time.Second, false},
		{"rolled out anew", func() error {
			c.do(ctx, "", "-n", namespace, "rollout", "restart", "deployment/nmstate-apiserver")
			return nil
		}, 5 * time.Second, true},
	} {
		By(fault.name)
		active, err := c.active(ctx, "{.items[0].metadata.name}")
		Expect(err).NotTo(HaveOccurred())
		stop := c.startLoad(ctx)
		Expect(fault.do()).To(Succeed())
		if fault.moves {
			Eventually(func() (string, error) { return c.active(ctx, "{.items[*].metadata.name}") }).WithTimeout(2 * time.Minute).ShouldNot(
				SatisfyAny(BeEmpty(), ContainSubstring(active)))
		} else {
			Eventually(func() int { return c.restarts(ctx, active) }).WithTimeout(2 * time.Minute).ShouldNot(BeZero())
		}
		c.do(ctx, "", "-n", namespace, "rollout", "status", "deployment/nmstate-apiserver", "--timeout=120s")
		for _, n := range c.suite.nodes() {
			c.available(ctx, n.name)
		}
		l := stop()
		fmt.Fprintf(&table, "%-30s %6.1f s of %d requests, %d kinds of errors\n", fault.name, l.worst.Seconds(), l.requests, len(l.errors))
		for text, times := range l.errors {
			fmt.Fprintf(&table, "    %d times %s\n", times, text)
			Expect(text).NotTo(ContainSubstring("a list has"), "a list that lacks nodes is a wrong answer")
		}
		Expect(l.worst).To(BeNumerically("<", fault.bound), table.String())
	}
	AddReportEntry("how long faults were felt", table.String())
	fmt.Println("\nhow long faults were felt:\n" + table.String())
	after := c.get(ctx, node)
	Expect(after.UID).To(Equal(before.UID))
	Expect(v1alpha1.SameState(after.Spec.DesiredState, before.Spec.DesiredState)).To(BeTrue())

	By("the watch from before")
	_, err := c.nns().Patch(ctx, node, types.MergePatchType, []byte(`{"metadata":{"annotations":{"e2e":"after"}}}`), metav1.PatchOptions{})
	Expect(err).NotTo(HaveOccurred())
	Eventually(func() bool { return seen.annotated("e2e", "after") }).WithTimeout(long).Should(BeTrue())
	Expect(seen.deleted()).To(BeEmpty())
}

// restarts returns how often a pod's container was started again.
func (c inCluster) restarts(ctx context.Context, pod string) int {
	GinkgoHelper()
	var count int
	_, err := fmt.Sscan(c.do(ctx, "", "-n", namespace, "get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].restartCount}"), &count)
	Expect(err).NotTo(HaveOccurred())
	return count
}

func (i *informed) annotated(key, value string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.last != nil && i.last.Annotations[key] == value
}

func (c inCluster) absence(ctx SpecContext) {
	scale := func(ctx context.Context, replicas string) {
		GinkgoHelper()
		c.do(ctx, "", "-n", namespace, "scale", "deployment/nmstate-apiserver", "--replicas="+replicas)
		c.do(ctx, "", "-n", namespace, "rollout", "status", "deployment/nmstate-apiserver", "--timeout=120s")
	}
	DeferCleanup(func(ctx SpecContext) {
		scale(ctx, "2")
		for _, n := range c.suite.nodes() {
			c.available(ctx, n.name)
		}
	}, NodeTimeout(3*time.Minute))
	scale(ctx, "0")
	Eventually(func() string {
		out, _ := c.suite.kubectl(ctx, "", "get", "nns", "--request-timeout=5s")
		return out
	}).WithTimeout(long).Should(ContainSubstring("unable to handle the request"))
	c.do(ctx, "", "get", "pods", "-A")
	c.do(ctx, "", "get", "all", "-n", namespace)

	By("with it again")
	scale(ctx, "2")
	for _, n := range c.suite.nodes() {
		c.available(ctx, n.name)
	}
	c.do(ctx, "", "create", "namespace", "e2e-goes-away")
	c.do(ctx, "", "delete", "namespace", "e2e-goes-away", "--timeout=60s")
}
