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
	"os"
	"os/exec"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// deploy runs what make deploy and make undeploy do, with an image's registry, repository and rest.
func (c inCluster) deploy(ctx context.Context, command string, image []string) (string, error) {
	cmd := exec.CommandContext(ctx, c.suite.root+"/hack/artifacts/deploy.sh", command)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.suite.kubeconfig(),
		"IMAGE_REGISTRY="+image[0], "IMAGE_REPO="+image[1], "IMAGE_TAG="+strings.TrimPrefix(image[2], "nmstate-apiserver:"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// preflight is what make deploy begins with.
func (c inCluster) preflight(ctx SpecContext) {
	refuses := func(words string) {
		GinkgoHelper()
		out, err := c.deploy(ctx, "up", []string{"nowhere", "none", "none"})
		Expect(err).To(HaveOccurred())
		Expect(out).To(ContainSubstring(words))
	}
	By("a CRD that has the version")
	c.create(ctx, crd("nodenetworkstates", "NodeNetworkState", "nns", "v1alpha1"))
	refuses("v1alpha1 of nmstate.io is already served by the CRDs nodenetworkstates.nmstate.io: take that version out of them first")
	c.do(ctx, "", "delete", "crd", "nodenetworkstates.nmstate.io")

	By("an APIService of somebody else")
	service := func(ctx context.Context, name string) {
		GinkgoHelper()
		c.do(ctx, "", "patch", "apiservice", "v1alpha1.nmstate.io", "--type=merge", "-p", `{"spec":{"service":{"name":"`+name+`"}}}`)
	}
	DeferCleanup(func(ctx SpecContext) {
		service(ctx, "nmstate-apiserver")
		c.do(ctx, "", "wait", "--for=condition=Available", "apiservice/v1alpha1.nmstate.io", "--timeout=60s")
		c.get(ctx, "node01")
	}, NodeTimeout(2*time.Minute))
	service(ctx, "somebody")
	refuses("v1alpha1.nmstate.io is already served by Service nmstate-system/somebody: take that away first")
}

// takenAway is what make undeploy and make deploy do.
func (c inCluster) takenAway(ctx SpecContext) {
	image := c.image(ctx)
	deploy := func(ctx context.Context, command string) string {
		GinkgoHelper()
		out, err := c.deploy(ctx, command, image)
		Expect(err).NotTo(HaveOccurred(), out)
		return out
	}
	const apiService = "apiservice/v1alpha1.nmstate.io"
	DeferCleanup(func(ctx SpecContext) {
		c.do(ctx, "", "delete", apiService, "--ignore-not-found")
		deploy(ctx, "up")
		c.allAvailable(ctx)
	}, NodeTimeout(5*time.Minute))

	By("all but an APIService that is not ours")
	c.do(ctx, "", "delete", apiService)
	somebodys := crd("nodenetworkstates", "NodeNetworkState", "nns", "v1alpha1")
	c.create(ctx, somebodys)
	Eventually(func() error {
		_, err := c.suite.kubectl(ctx, "", "wait", apiService, "--for=condition=Available", "--timeout=10s")
		return err
	}).WithContext(ctx).WithTimeout(long).Should(Succeed())
	Expect(deploy(ctx, "down")).To(ContainSubstring("v1alpha1.nmstate.io stays, since it is not ours"))
	Expect(c.do(ctx, "", "get", apiService, "-o", "name")).NotTo(BeEmpty())
	left := func() string {
		GinkgoHelper()
		return c.do(ctx, "", "get", "namespaces,clusterroles,clusterrolebindings,roles,rolebindings,flowschemas,validatingadmissionpolicies,apiservices",
			"-A", "-l", "app.kubernetes.io/part-of=kubernetes-nmstate", "-o", "name")
	}
	Expect(left()).To(BeEmpty())

	By("all of it")
	c.do(ctx, somebodys, "delete", "-f", "-")
	c.do(ctx, "", "wait", apiService, "--for=delete", "--timeout=60s")
	deploy(ctx, "up")
	c.get(ctx, "node01")
	Expect(deploy(ctx, "down")).To(BeEmpty())
	Expect(left()).To(BeEmpty())
	c.do(ctx, "", "get", "all")
}
