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

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/uplink"
	"github.com/nmstate/kubernetes-nmstate/pkg/cluster"
	"github.com/nmstate/kubernetes-nmstate/pkg/pki"
)

const (
	// components has the programs of a cluster, which make cluster-components builds.
	components = "../../_output/cluster/bin/"
	namespace  = "nmstate-system"
	service    = "nmstate-apiserver"
	account    = "nmstate-node-agent"
	// storedGroup is the group of the CRD.
	storedGroup = "bench.nmstate.io"
)

// controlPlane is a real kube-apiserver with its etcd. It has no nodes but those that are made for simulated agents.
type controlPlane struct {
	dir             string
	etcd, apiserver *os.Process
	etcdAddress     string
	kubeconfig      string
	config          *rest.Config
	client          kubernetes.Interface
}

// newCluster starts a control plane; it skips the benchmark if its programs were not built.
func newCluster(b *testing.B) *controlPlane {
	b.Helper()
	if _, err := os.Stat(components + kubeAPIServer); err != nil {
		b.Skip("no kube-apiserver: make cluster-components builds it")
	}
	c := &controlPlane{dir: b.TempDir(), etcdAddress: address(port(b))}
	secure := port(b)
	c.makeKeys(b, address(secure))
	peers := "http://" + address(port(b))
	c.etcd = start(b, components+etcd, "--data-dir", filepath.Join(c.dir, "etcd"), "--log-level", "error", "--unsafe-no-fsync",
		"--listen-client-urls", "http://"+c.etcdAddress, "--advertise-client-urls", "http://"+c.etcdAddress,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers,
		"--quota-backend-bytes", strconv.Itoa(8<<30))
	file := func(name string) string { return filepath.Join(c.dir, name) }
	c.apiserver = start(b, components+kubeAPIServer, "--etcd-servers", "http://"+c.etcdAddress, "--secure-port", strconv.Itoa(secure),
		"--bind-address", "127.0.0.1", "--advertise-address", "192.0.2.1", "--service-cluster-ip-range", "10.96.0.0/16",
		"--authorization-mode", "Node,RBAC", "--client-ca-file", file("ca.crt"),
		"--tls-cert-file", file("server.crt"), "--tls-private-key-file", file("server.key"),
		"--service-account-issuer", "https://kubernetes.default.svc", "--api-audiences", "https://kubernetes.default.svc,"+cluster.AgentAudience,
		"--service-account-key-file", file("ca.key"), "--service-account-signing-key-file", file("ca.key"),
		"--requestheader-client-ca-file", file("front.crt"), "--requestheader-allowed-names", "front-proxy-client",
		"--requestheader-username-headers", "X-Remote-User", "--requestheader-group-headers", "X-Remote-Group",
		"--requestheader-extra-headers-prefix", "X-Remote-Extra-", "--requestheader-uid-headers", "X-Remote-Uid",
		"--proxy-client-cert-file", file("proxy.crt"), "--proxy-client-key-file", file("proxy.key"))
	var err error
	if c.client, err = kubernetes.NewForConfig(c.config); err != nil {
		b.Fatal(err)
	}
	pollLong(b, "kube-apiserver is not ready", func(ctx context.Context) bool {
		return c.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
	})
	return c
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// pollLong waits for what takes longer than poll does.
func pollLong(b *testing.B, otherwise string, done func(context.Context) bool) {
	b.Helper()
	for begin := time.Now(); !done(b.Context()); time.Sleep(200 * time.Millisecond) {
		if time.Since(begin) > settled {
			b.Fatal(otherwise)
		}
	}
}

// makeKeys makes the keys of the control plane, and the administrator's kubeconfig.
func (c *controlPlane) makeKeys(b *testing.B, server string) {
	b.Helper()
	validity := pki.From(time.Now(), 24*time.Hour)
	ca, err1 := pki.NewCA("ca", validity)
	front, err2 := pki.NewCA("front-proxy-ca", validity)
	if err := errors.Join(err1, err2); err != nil {
		b.Fatal(err)
	}
	serverCert, serverKey, err1 := ca.Server([]string{"127.0.0.1", "localhost"}, validity)
	proxyCert, proxyKey, err2 := front.Client("front-proxy-client", "front-proxy", validity)
	cert, key, err3 := ca.Client("admin", "system:masters", validity)
	err := errors.Join(err1, err2, err3)
	for name, text := range map[string][]byte{
		"ca.crt": ca.PEM(), "ca.key": ca.Key(), "front.crt": front.PEM(),
		"server.crt": serverCert, "server.key": serverKey, "proxy.crt": proxyCert, "proxy.key": proxyKey,
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(c.dir, name), text, 0o600))
	}
	config := api.NewConfig()
	config.Clusters["c"] = &api.Cluster{Server: "https://" + server, CertificateAuthorityData: ca.PEM()}
	config.AuthInfos["admin"] = &api.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	config.Contexts["c"] = &api.Context{Cluster: "c", AuthInfo: "admin"}
	config.CurrentContext = "c"
	c.kubeconfig = filepath.Join(c.dir, "kubeconfig")
	err = errors.Join(err, clientcmd.WriteToFile(*config, c.kubeconfig))
	if err == nil {
		c.config, err = clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	}
	if err != nil {
		b.Fatal(err)
	}
	c.config.QPS = -1
}

// written returns how many bytes clients have sent to etcd.
func (c *controlPlane) written(b *testing.B) float64 {
	b.Helper()
	_, body, err := httpGet(b.Context(), "http://"+c.etcdAddress+"/metrics")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(body) {
		if text, ok := strings.CutPrefix(line, "etcd_network_client_grpc_received_bytes_total "); ok {
			if value, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil {
				return value
			}
		}
	}
	b.Fatal("etcd does not say how many bytes were written")
	return 0
}

// create creates an object from JSON, if it is not there.
func (c *controlPlane) create(b *testing.B, path string, object map[string]any) {
	b.Helper()
	text, err := json.Marshal(object)
	if err == nil {
		err = c.client.Discovery().RESTClient().Post().AbsPath(path).SetHeader("Content-Type", asJSON).Body(text).Do(b.Context()).Error()
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		b.Fatalf("creating %v at %s: %v", object["kind"], path, err)
	}
}

// serve starts the server as this cluster's, and returns it with the agents of so many Nodes.
func (c *controlPlane) serve(b *testing.B, nodes int) (*site, *simulated) {
	b.Helper()
	type object = map[string]any
	secure := port(b)
	c.create(b, "/api/v1/namespaces", object{"kind": "Namespace", "apiVersion": "v1", "metadata": object{"name": namespace}})
	c.create(b, "/api/v1/namespaces/"+namespace+"/serviceaccounts", object{"kind": "ServiceAccount", "apiVersion": "v1", "metadata": object{"name": account}})
	c.create(b, "/api/v1/namespaces/"+namespace+"/services", object{"kind": "Service", "apiVersion": "v1", "metadata": object{"name": service},
		"spec": object{"type": "ExternalName", "externalName": "localhost"}})
	c.create(b, "/apis/apiregistration.k8s.io/v1/apiservices", object{"kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1",
		"metadata": object{"name": "v1alpha1.nmstate.io"},
		"spec": object{"group": "nmstate.io", "version": "v1alpha1", "groupPriorityMinimum": 1100, "versionPriority": 200,
			"service": object{"name": service, "namespace": namespace, "port": secure}}})
	s := &site{dir: c.dir, agentsPort: port(b)}
	s.arguments = []string{"--max-node-reads=0", "--kubeconfig", c.kubeconfig, "--authentication-kubeconfig", c.kubeconfig,
		"--authorization-kubeconfig", c.kubeconfig, "--namespace", namespace, "--bind-address", "127.0.0.1", "--secure-port", strconv.Itoa(secure),
		"--agent-bind-address", "127.0.0.1", "--agent-port", strconv.Itoa(s.agentsPort)}
	credentials := c.makeNodes(b, nodes)
	s.server = start(b, bin+"apiserver", s.arguments...)
	s.config = rest.CopyConfig(c.config)
	s.config.Host = "https://" + address(secure)
	s.config.TLSClientConfig.Insecure, s.config.TLSClientConfig.CAData = true, nil
	s.rest = clientsOf(b, s.config).NmstateV1alpha1().RESTClient()
	ca := filepath.Join(c.dir, "agents-ca.crt")
	pollLong(b, "the server is not served by kube-apiserver", func(ctx context.Context) bool {
		published, err := c.client.CoreV1().ConfigMaps(namespace).Get(ctx, "nmstate-apiserver-ca", metav1.GetOptions{})
		if err != nil || os.WriteFile(ca, []byte(published.Data["ca.crt"]), 0o644) != nil {
			return false
		}
		return c.client.Discovery().RESTClient().Get().AbsPath(resourcePath).Param("limit", "1").Do(ctx).Error() == nil
	})
	return s, s.simulateWith(b, ca, service+"."+namespace+".svc", credentials)
}

// makeNodes makes Nodes, with a pod on each, and returns the credentials of an agent in that pod.
func (c *controlPlane) makeNodes(b *testing.B, nodes int) []uplink.Files {
	b.Helper()
	result := make([]uplink.Files, nodes)
	parallel(b, nodes, func(ctx context.Context, i int) error {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName(i)}}
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "agent-" + node.Name, Namespace: namespace},
			Spec:       corev1.PodSpec{NodeName: node.Name, ServiceAccountName: account, Containers: []corev1.Container{{Name: "agent", Image: "none"}}},
		}
		if _, err := c.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return err
		}
		made, err := c.client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		token, err := c.client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{
			Spec: authenticationv1.TokenRequestSpec{
				Audiences:         []string{cluster.AgentAudience},
				ExpirationSeconds: new(int64(24 * 3600)),
				BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: made.Name, UID: made.UID},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("a token for %s: %w", pod.Name, err)
		}
		result[i] = uplink.Files{Token: filepath.Join(c.dir, "token-"+node.Name)}
		return os.WriteFile(result[i].Token, []byte(token.Status.Token), 0o600)
	})
	return result
}
