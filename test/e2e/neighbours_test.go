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
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"
)

// crd is a CustomResourceDefinition of the group that is ours, too.
func crd(plural, kind, shortName, version string) string {
	return fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.nmstate.io}
spec:
  group: nmstate.io
  scope: Cluster
  names: {plural: %[1]s, singular: %[5]s, kind: %[2]s, listKind: %[2]sList, shortNames: [%[3]s]}
  versions:
  - name: %[4]s
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
`, plural, kind, shortName, version, strings.ToLower(kind))
}

// create creates what a manifest has; it is gone again when the spec is over.
func (c inCluster) create(ctx context.Context, manifest string) {
	GinkgoHelper()
	c.do(ctx, manifest, "create", "-f", "-")
	DeferCleanup(func(ctx SpecContext) { c.do(ctx, manifest, "delete", "--ignore-not-found", "-f", "-") }, NodeTimeout(long))
}

// besideCRDs has what kubernetes-nmstate installs: the same kind in another
// version, and a policy.
func (c inCluster) besideCRDs(ctx SpecContext) {
	c.create(ctx, crd("nodenetworkstates", "NodeNetworkState", "nns", "v1beta1")+crd("nodenetworkconfigurationpolicies", "NodeNetworkConfigurationPolicy", "nncp", "v1"))
	c.do(ctx, "", "wait", "--for=condition=Established", "crd/nodenetworkstates.nmstate.io", "crd/nodenetworkconfigurationpolicies.nmstate.io", "--timeout=60s")
	ask := func(args ...string) string {
		GinkgoHelper()
		return c.do(ctx, "", append([]string{"--cache-dir", GinkgoT().TempDir()}, args...)...) // discovers all anew
	}
	Eventually(func() string { return ask("api-versions") }).WithTimeout(long).Should(And(
		ContainSubstring("nmstate.io/v1\n"), ContainSubstring("nmstate.io/v1alpha1\n"), ContainSubstring("nmstate.io/v1beta1\n")))
	c.do(ctx, `{"apiVersion":"nmstate.io/v1beta1","kind":"NodeNetworkState","metadata":{"name":"node01"},"status":{"currentState":{}}}`, "create", "-f", "-")
	c.do(ctx, `{"apiVersion":"nmstate.io/v1","kind":"NodeNetworkConfigurationPolicy","metadata":{"name":"policy"}}`, "create", "-f", "-")

	Expect(ask("get", "nns")).To(And(ContainSubstring("AVAILABLE"), ContainSubstring("node03")), "ours is preferred")
	Expect(ask("get", "nns", "node01", "-o", "jsonpath={.apiVersion}")).To(Equal("nmstate.io/v1alpha1"))
	Expect(ask("get", "nodenetworkstates.v1beta1.nmstate.io", "-o", "name")).To(Equal("nodenetworkstate.nmstate.io/node01\n"))
	Expect(ask("get", "nncp", "-o", "name")).To(Equal("nodenetworkconfigurationpolicy.nmstate.io/policy\n"))
	Expect(ask("explain", "nns.status.difference")).To(ContainSubstring("nmstate.io"))
	c.do(ctx, "", "annotate", "nns", "node01", "e2e=beside", "--overwrite")
}

// webhooks are served from where the control plane is: one at its address, the
// other one as a Service, whose name nobody resolves here.
func (c inCluster) webhooks(ctx SpecContext) {
	const node, changing, service = "node01", "webhook.nmstate.io/seen", "e2e-webhook"
	listener, err := inHub(c.cluster, func() (net.Listener, error) { return net.Listen("tcp", controlPlane+":0") })
	Expect(err).NotTo(HaveOccurred())
	certificate, key, err := cert.GenerateSelfSignedCertKey(controlPlane, []net.IP{net.ParseIP(controlPlane)}, []string{service + ".default.svc"})
	Expect(err).NotTo(HaveOccurred())
	pair, err := tls.X509KeyPair(certificate, key)
	Expect(err).NotTo(HaveOccurred())
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		response := &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		patchType := admissionv1.PatchTypeJSONPatch
		switch {
		case r.URL.Path == "/mutate":
			response.PatchType = &patchType
			response.Patch = []byte(`[{"op":"add","path":"/metadata/annotations/` + strings.ReplaceAll(changing, "/", "~1") + `","value":"` + string(review.Request.Operation) + `"}]`)
		case strings.Contains(string(review.Request.Object.Raw), `"br-webhook"`):
			response.Allowed, response.Result = false, &metav1.Status{Message: "br-webhook is the webhook's"}
		}
		review.Response = response
		_ = json.NewEncoder(w).Encode(review)
	}))
	server.Listener.Close()
	server.Listener, server.TLS = listener, &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	DeferCleanup(server.Close)

	port := listener.Addr().(*net.TCPAddr).Port
	c.create(ctx, fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: default}
spec: {ports: [{port: 443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s, namespace: default, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{port: %[2]d}]
endpoints: [{addresses: [%[3]s]}]
`, service, port, controlPlane))
	hook := func(kind, client string) string {
		return fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: %sWebhookConfiguration
metadata: {name: e2e}
webhooks:
- name: e2e.nmstate.io
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 5
  clientConfig: {%s, caBundle: %s}
  rules: [{apiGroups: [nmstate.io], apiVersions: [v1alpha1], operations: [UPDATE], resources: [nodenetworkstates]}]
---
`, kind, client, base64.StdEncoding.EncodeToString(certificate))
	}
	DeferCleanup(func(ctx SpecContext) {
		c.admitted(ctx, node, `{"metadata":{"annotations":{"e2e":"none"}}}`)
		c.do(ctx, "", "annotate", "nns", node, changing+"-", "e2e-")
	}, NodeTimeout(long))
	c.create(ctx, hook("Mutating", fmt.Sprintf("url: 'https://%s/mutate'", listener.Addr()))+
		hook("Validating", fmt.Sprintf("service: {namespace: default, name: %s, path: /validate}", service)))
	// They are in force as soon as the server has heard of them.
	const touching = `{"metadata":{"annotations":{"e2e":"webhook"}},"spec":{"desiredState":{"interfaces":[{"name":"br-webhook","type":"linux-bridge","state":"up"}]}}}`
	tried := func(args ...string) func() (string, error) {
		return func() (string, error) {
			out, _ := c.suite.kubectl(ctx, "", append([]string{args[0], "nns", node, "--dry-run=server"}, args[1:]...)...)
			return out, nil
		}
	}
	Eventually(tried("annotate", "e2e=webhook", "--overwrite", "-o", "yaml")).WithTimeout(long).Should(ContainSubstring(changing))
	Eventually(tried("patch", "--type=merge", "-p", touching)).WithTimeout(long).Should(ContainSubstring("br-webhook is the webhook's"))
	Expect(c.get(ctx, node).Annotations).NotTo(HaveKey(changing), "that was a dry run")
	c.do(ctx, "", "annotate", "nns", node, "e2e=webhook", "--overwrite")
	Expect(c.get(ctx, node).Annotations).To(HaveKeyWithValue(changing, "UPDATE"))
	before := c.facts(ctx, node)
	c.refused(ctx, "br-webhook is the webhook's", "", "patch", "nns", node, "--type=merge", "-p", touching)
	Expect(c.facts(ctx, node)).To(Equal(before))

	By("a webhook that is gone")
	server.Close()
	c.refused(ctx, "e2e.nmstate.io", "", "annotate", "nns", node, "e2e=none", "--overwrite")
	c.do(ctx, "", "get", "nns", node)
}

// restIsAsBefore tries what depends on the discovery of all resources.
func (c inCluster) restIsAsBefore(ctx context.Context) {
	GinkgoHelper()
	const name = "e2e-rest"
	c.do(ctx, "", "create", "namespace", name)
	DeferCleanup(func(ctx SpecContext) {
		c.do(ctx, "", "delete", "namespace", name, "--ignore-not-found", "--wait=false")
	}, NodeTimeout(long))
	c.do(ctx, "", "-n", name, "create", "quota", "two", "--hard=count/secrets=2")
	c.do(ctx, "", "-n", name, "create", "configmap", "owner")
	uid := c.do(ctx, "", "-n", name, "get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
	c.do(ctx, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"owned","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":"`+uid+`"}]}}`,
		"-n", name, "create", "-f", "-")

	By("garbage collection")
	c.do(ctx, "", "-n", name, "delete", "configmap", "owner")
	c.do(ctx, "", "-n", name, "wait", "--for=delete", "configmap/owned", "--timeout=60s")

	By("quota")
	for _, secret := range []string{"one", "two"} {
		Eventually(func() (string, error) {
			return c.suite.kubectl(ctx, "", "-n", name, "create", "secret", "generic", secret)
		}).WithTimeout(long).Should(ContainSubstring("created"))
	}
	c.refused(ctx, "exceeded quota", "", "-n", name, "create", "secret", "generic", "three")

	By("all of a namespace, and its end")
	Expect(c.do(ctx, "", "-n", name, "get", "all")).To(ContainSubstring("No resources found"))
	c.do(ctx, "", "delete", "namespace", name, "--timeout=60s")
}
