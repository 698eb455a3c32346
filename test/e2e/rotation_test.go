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
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// secret returns a part of what the servers keep, or an annotation of it.
func (c inCluster) secret(ctx context.Context, path string) string {
	GinkgoHelper()
	return c.do(ctx, "", "-n", namespace, "get", "secret", "nmstate-apiserver-certificates", "-o", "jsonpath="+path)
}

// rotate asks for a rotation and waits until it is over.
func (c inCluster) rotate(ctx context.Context, what, path string) {
	GinkgoHelper()
	seen := c.secret(ctx, path)
	c.do(ctx, "", "-n", namespace, "annotate", "secret", "nmstate-apiserver-certificates", "nmstate.io/rotate="+what, "--overwrite")
	Eventually(func(g Gomega) {
		now := c.secret(ctx, path+` {.metadata.annotations.nmstate\.io/phase}`)
		g.Expect(now).NotTo(HavePrefix(seen))
		g.Expect(now).To(HaveSuffix(" Stable"))
	}).WithContext(ctx).WithTimeout(2 * time.Minute).Should(Succeed())
}

func (c inCluster) rotateServing(ctx SpecContext) {
	c.underLoad(ctx, func() {
		for range 10 {
			c.rotate(ctx, "serving", `{.data.tls\.crt}`)
		}
	})
}

// rotateCA has the overlaps that suit this cluster's kubelets, which are quick to
// show pods what has changed.
func (c inCluster) rotateCA(ctx SpecContext) {
	rollOut := func(ctx context.Context, args ...string) {
		GinkgoHelper()
		c.handOver(ctx, func(string) { c.do(ctx, "", append([]string{"-n", namespace}, args...)...) })
		c.allAvailable(ctx)
	}
	DeferCleanup(func(ctx SpecContext) { rollOut(ctx, "rollout", "undo", "deployment/nmstate-apiserver") }, NodeTimeout(5*time.Minute))
	rollOut(ctx, "patch", "deployment", "nmstate-apiserver", "--type=json", "-p",
		`[{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--ca-publish-overlap=15s"},
		  {"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--ca-retire-overlap=5s"}]`)
	c.underLoad(ctx, func() {
		for range 10 {
			c.rotate(ctx, "ca", `{.data.ca\.crt}`)
		}
	})
}

// underLoad does something while nodes are read and written and while an agent
// that comes back would shake hands: none of that may fail.
func (c inCluster) underLoad(ctx SpecContext, do func()) {
	GinkgoHelper()
	_, ip, _ := c.activeServer(ctx)
	file := c.trusted(ctx, "node02")
	l := c.startLedger(ctx)
	before := c.measure(ctx)
	comebacks, end := context.WithCancel(ctx)
	defer end()
	var errs []error
	count := 0
	var done sync.WaitGroup
	done.Go(func() {
		for ; comebacks.Err() == nil; count++ {
			if err := c.shakeHands(ip+":6444", file); err != nil {
				errs = append(errs, err)
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-comebacks.Done():
			}
		}
	})
	do()
	end()
	done.Wait()
	l.stop(ctx, c.suite)
	AddReportEntry("load", fmt.Sprintf("%s, %d handshakes", l.counts(), count))
	Expect(errs).To(BeEmpty(), "handshakes of agents")
	Expect(count).To(BeNumerically(">", 10))
	for _, event := range []string{"lost", "replaced"} {
		Expect(c.measure(ctx)["nmstate_agent_events_total "+event]).To(Equal(before["nmstate_agent_events_total "+event]), "agents %s", event)
	}
	delete(l.errors, errUnreachable.Error()) // an agent that is slow for once has nothing to do with certificates
	Expect(l.errorTable()).To(BeEmpty())
}

// trusted returns the path of the CA that the agent of a node sees, as this process sees it.
func (c inCluster) trusted(ctx context.Context, node string) string {
	GinkgoHelper()
	text, err := os.ReadFile(c.dir + "/run/nodes/" + node + "/pid")
	Expect(err).NotTo(HaveOccurred())
	outside := strings.Fields(string(text))[0]
	inside, err := os.ReadFile("/proc/" + outside + "/task/" + outside + "/children")
	Expect(err).NotTo(HaveOccurred())
	_, uid := c.agentPod(ctx, node)
	return fmt.Sprintf("/proc/%s/root/var/lib/kubelet/pods/%s/volumes/kubernetes.io~configmap/ca/ca.crt", strings.TrimSpace(string(inside)), uid)
}

// shakeHands is what an agent begins a connection with.
func (c inCluster) shakeHands(address, caFile string) error {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return fmt.Errorf("%s has no certificate", caFile)
	}
	conn, err := c.dial(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(long))
	return tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: serverName, NextProtos: []string{"h2"}}).Handshake()
}
