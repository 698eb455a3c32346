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
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// release is an installation by Helm, in a namespace that is not that of artifacts/.
type release struct {
	inCluster
	// chart is the packaged chart, whose images are those of the cluster.
	chart string
}

const releaseNamespace = "e2e-network"

// helm runs the real Helm as people do.
func (r release) helm(ctx context.Context, args ...string) string {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, filepath.Join(r.root, "_output/bin/helm"), append(args, "-n", releaseNamespace, "--timeout=2m")...)
	home := GinkgoT().TempDir()
	cmd.Env = append(os.Environ(), "KUBECONFIG="+r.suite.kubeconfig(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	return string(out)
}

// has checks what the servers of a release are like, and that all nodes can be read and changed.
func (r release) has(ctx context.Context, replicas, verbosity string, budgets int) {
	GinkgoHelper()
	deployment := r.do(ctx, "", "-n", releaseNamespace, "get", "deployment", "nmstate-apiserver", "-o", "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].args}")
	Expect(deployment).To(HavePrefix(replicas + " "))
	Expect(strings.Contains(deployment, "--v=")).To(Equal(verbosity != ""), deployment)
	Expect(deployment).To(ContainSubstring(verbosity))
	Expect(strings.Fields(r.do(ctx, "", "-n", releaseNamespace, "get", "poddisruptionbudgets", "-o", "name"))).To(HaveLen(budgets))
	r.do(ctx, "", "wait", "--for=condition=Available", "apiservice/v1alpha1.nmstate.io", "--timeout=60s")
	r.do(ctx, "", "wait", "--for=condition=Available", "nns", "--all", "--timeout=60s")
	for _, n := range r.nodes() {
		r.do(ctx, "", "annotate", "nns", n.name, "--overwrite", "e2e-chart="+replicas)
	}
}

// left returns what there is in the cluster of the release, and what of all kinds that we know is in its namespace.
func (r release) left(ctx context.Context) []string {
	GinkgoHelper()
	const inNamespace = "all,configmaps,secrets,serviceaccounts,leases,roles,rolebindings,networkpolicies,poddisruptionbudgets,resourcequotas,endpointslices"
	const everywhere = "namespaces,clusterroles,clusterrolebindings,flowschemas,validatingadmissionpolicies,validatingadmissionpolicybindings,apiservices"
	left := r.do(ctx, "", "-n", releaseNamespace, "get", inNamespace, "-o", "name") +
		r.do(ctx, "", "get", inNamespace+","+everywhere, "-A", "-l", "app.kubernetes.io/part-of=kubernetes-nmstate", "-o", "name")
	// What every namespace has.
	return slices.DeleteFunc(strings.Fields(left), func(name string) bool {
		return name == "configmap/kube-root-ca.crt" || name == "serviceaccount/default"
	})
}

// chart is installed, upgraded, rolled back and uninstalled, and leaves no trace.
func (c inCluster) chart(ctx SpecContext) {
	image := c.image(ctx)
	r := release{inCluster: c, chart: c.packageChart(ctx, image)}
	DeferCleanup(func(ctx SpecContext) {
		// If the spec has failed.
		c.do(ctx, "", "delete", "apiservice", "v1alpha1.nmstate.io", "--ignore-not-found")
		c.do(ctx, "", "delete", "clusterroles,clusterrolebindings,flowschemas,validatingadmissionpolicies,validatingadmissionpolicybindings",
			"-l", "app.kubernetes.io/part-of=kubernetes-nmstate")
		c.do(ctx, "", "delete", "roles,rolebindings", "-A", "-l", "app.kubernetes.io/part-of=kubernetes-nmstate")
		c.do(ctx, "", "delete", "namespace", releaseNamespace, "--ignore-not-found", "--timeout=60s")
		out, err := c.deploy(ctx, "up", image)
		Expect(err).NotTo(HaveOccurred(), out)
		c.allAvailable(ctx)
		for _, n := range c.nodes() {
			c.do(ctx, "", "annotate", "nns", n.name, "e2e-chart-")
		}
	}, NodeTimeout(5*time.Minute))
	out, err := c.deploy(ctx, "down", image)
	Expect(err).NotTo(HaveOccurred(), out)

	By("install")
	notes := r.helm(ctx, "install", "nmstate", r.chart, "--create-namespace", "--wait")
	Expect(notes).To(ContainSubstring("kubectl -n e2e-network rollout status deployment/nmstate-apiserver"))
	r.has(ctx, "2", "", 1)

	By("upgrade with other values")
	r.helm(ctx, "upgrade", "nmstate", r.chart, "--wait", "--set", "replicas=1,logLevel=2,podDisruptionBudget.enabled=false,agent.resources.requests.cpu=11m")
	r.has(ctx, "1", "--v=2", 0)

	By("rollback")
	r.helm(ctx, "rollback", "nmstate", "1", "--wait")
	r.has(ctx, "2", "", 1)

	By("uninstall")
	r.helm(ctx, "uninstall", "nmstate", "--wait")
	Expect(r.left(ctx)).To(BeEmpty())
	c.do(ctx, "", "delete", "namespace", releaseNamespace, "--timeout=60s")
	c.do(ctx, "", "get", "all")
}

// image returns registry, repository and the rest of the server's image.
func (c inCluster) image(ctx context.Context) []string {
	GinkgoHelper()
	image := strings.Split(c.do(ctx, "", "-n", namespace, "get", "deployment", "nmstate-apiserver", "-o", "jsonpath={.spec.template.spec.containers[0].image}"), "/")
	Expect(image).To(HaveLen(3))
	return image
}

// packageChart packages the chart as a release does, and returns its path.
func (c inCluster) packageChart(ctx context.Context, image []string) string {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, "make", "--no-print-directory", "-s", "-C", c.root, "chart")
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "IMAGE_REGISTRY="+image[0], "IMAGE_REPO="+image[1], "IMAGE_TAG="+strings.TrimPrefix(image[2], "nmstate-apiserver:"))
	out, err := cmd.Output()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	return strings.TrimSpace(string(out))
}
