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
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// joining has a further node join the suite's standalone server.
type joining struct {
	*suite
	server *standalone
}

func (j joining) specs() {
	It("a token for one node lets this node join, and nobody else", NodeTimeout(3*time.Minute), j.tokenForOneNode)
}

func (j joining) tokenForOneNode(ctx SpecContext) {
	const node, other = "own", "other"
	dir := GinkgoT().TempDir()
	DeferCleanup(func(ctx SpecContext) { j.forget(ctx, node) }, NodeTimeout(long))
	own := applicant{j, node, filepath.Join(dir, "token"), filepath.Join(dir, node)}
	thief := func(node, token string) applicant { return applicant{j, node, token, filepath.Join(dir, "thief")} }
	random, shared := filepath.Join(dir, "random"), filepath.Join(j.server.dir, "state/join-token")
	Expect(os.WriteFile(random, []byte("let-me-in\n"), 0o600)).To(Succeed())
	Expect(os.WriteFile(own.token, []byte(j.joinToken(ctx, "create", "--node", node, "--ttl", "1h")), 0o600)).To(Succeed())

	By("before the node joins")
	thief(other, own.token).refused(ctx, "the join token is for another node")
	thief(node, random).refused(ctx, "not one of this server's")
	thief(node, shared).refused(ctx, "there is a join token for this node alone")

	By("the node joins")
	end := own.admitted(ctx)
	joined := j.available(ctx, node)
	Expect(j.kubectl(ctx, "", "get", "nns", node, "-o", "wide")).To(And(ContainSubstring("JOINED"),
		ContainSubstring(joined.CreationTimestamp.UTC().Format(time.RFC3339))))
	thief(node, own.token).refused(ctx, "another key")
	end()

	By("its agent comes back after the token was deleted")
	listed := strings.Fields(j.joinToken(ctx, "list"))
	Expect(listed).To(HaveExactElements("ID", "NODE", "EXPIRES", "CREATED", Not(BeEmpty()), node, Not(BeEmpty()), Not(BeEmpty())))
	j.joinToken(ctx, "delete", listed[4])
	thief(other, own.token).refused(ctx, "not one of this server's")
	end = own.admitted(ctx)
	Expect(j.available(ctx, node).UID).To(Equal(joined.UID))
	end()
}

// joinToken runs the server's command on its state folder and returns what it prints.
func (j joining) joinToken(ctx context.Context, args ...string) string {
	GinkgoHelper()
	var out, warnings bytes.Buffer
	cmd := exec.CommandContext(ctx, j.root+"/_output/bin/apiserver", append([]string{"join-token", "--state-dir", j.server.dir + "/state"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &warnings
	Expect(cmd.Run()).To(Succeed(), "%q: %s", args, &warnings)
	Expect(warnings.String()).To(BeEmpty())
	return out.String()
}

// forget removes a node's file, and waits until the node is gone.
func (j joining) forget(ctx context.Context, node string) {
	GinkgoHelper()
	Expect(os.Remove(filepath.Join(j.server.dir, "state/nodes", node+".json"))).To(Succeed())
	Eventually(func() bool {
		_, err := j.nns().Get(ctx, node, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}).WithContext(ctx).WithTimeout(long).Should(BeTrue())
}

// applicant is an agent that wants to be that of a node. Its key is in its state folder.
type applicant struct {
	joining
	node, token, state string
}

// start starts the agent, in the network of a node of the demo, and returns its log and what ends it.
func (a applicant) start(ctx context.Context) (log *gbytes.Buffer, end func()) {
	GinkgoHelper()
	port, err := strconv.Atoi(a.server.port)
	Expect(err).NotTo(HaveOccurred())
	log = gbytes.NewBuffer()
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", a.server.prefix+"node03", a.root+"/_output/bin/node-agent",
		"--node-name", a.node, "--server", fmt.Sprintf("192.0.2.1:%d", port+1), "--ca-file", a.server.dir+"/state/ca.crt",
		"--join-token-file", a.token, "--state-dir", a.state, "--backend", "kernel")
	cmd.Stdout, cmd.Stderr = log, log
	Expect(cmd.Start()).To(Succeed())
	end = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	DeferCleanup(end)
	return log, end
}

// admitted starts the agent and waits until the server has admitted it.
func (a applicant) admitted(ctx context.Context) (end func()) {
	GinkgoHelper()
	log, end := a.start(ctx)
	Eventually(log).WithContext(ctx).WithTimeout(long).Should(gbytes.Say("Connected to the API server"))
	return end
}

// refused runs the agent until the server has refused it, and says why.
func (a applicant) refused(ctx context.Context, why string) {
	GinkgoHelper()
	log, end := a.start(ctx)
	defer end()
	Eventually(log).WithContext(ctx).WithTimeout(long).Should(gbytes.Say("The API server refuses this agent"))
	Eventually(log).WithContext(ctx).WithTimeout(long).Should(gbytes.Say(why))
	secret, err := os.ReadFile(a.token)
	Expect(err).NotTo(HaveOccurred())
	Expect(string(log.Contents())).NotTo(ContainSubstring(strings.TrimSpace(string(secret))))
}
