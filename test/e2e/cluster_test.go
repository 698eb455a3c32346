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
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Names of artifacts/.
const (
	namespace    = "nmstate-system"
	activeServer = "nmstate.io/active=true"
	// serverName is what agents take a server for.
	serverName = "nmstate-apiserver." + namespace + ".svc"
)

// cluster is one that runs already, of hack/cluster. Its nodes have NetworkManager, but for
// those that $CLUSTER_KERNEL_NODES names, as when it was made.
type cluster struct {
	scripts
	dir, config string
}

// prefix begins the names of the cluster's network namespaces.
func (*cluster) prefix() string { return cmp.Or(os.Getenv("NODES_PREFIX"), "nnc-") }

func newCluster(root, kubeconfig string) *cluster {
	dir := cmp.Or(os.Getenv("CLUSTER_DIR"), filepath.Join(root, "_output/cluster"))
	return &cluster{dir: dir, config: cmp.Or(kubeconfig, dir+"/kubeconfig"), scripts: scripts{root: root, variables: []string{
		"CLUSTER_DIR=" + dir, "NODES_DIR=" + dir + "/run/nodes", "NODES_PREFIX=" + (*cluster)(nil).prefix(),
	}}}
}

func (c *cluster) nodes() []node {
	var all []node
	kernelOnly := strings.Fields(os.Getenv("CLUSTER_KERNEL_NODES"))
	for _, name := range []string{"node01", "node02", "node03"} {
		n := node{name, v1alpha1.BackendNetworkManager}
		if slices.Contains(kernelOnly, name) {
			n.backend = v1alpha1.BackendKernel
		}
		all = append(all, n)
	}
	return all
}

func (c *cluster) kubeconfig() string { return c.config }

// start only waits: who has made the cluster takes it away, too.
func (c *cluster) start(ctx context.Context) error {
	_, err := c.kubectl(ctx, "wait", "--for=condition=Available", "nns", "--all", "--timeout=60s")
	return err
}

func (c *cluster) stop(context.Context) error { return nil }

// killAgent stops the kubelet, too: it would have the agent back at once.
func (c *cluster) killAgent(ctx context.Context, node string) error {
	_, err := c.on(ctx, node, "sh", "-c", "pkill -STOP -x kubelet && pkill -KILL -x node-agent")
	return err
}

func (c *cluster) startAgent(ctx context.Context, node string) error {
	_, err := c.on(ctx, node, "pkill", "-CONT", "-x", "kubelet")
	return err
}

// killServer knows the active one by its label, and its process by its pod's name.
func (c *cluster) killServer(ctx context.Context) error {
	active, err := c.active(ctx, "{.items[0].spec.nodeName} {.items[0].metadata.name}")
	if err != nil {
		return err
	}
	node, pod, _ := strings.Cut(active, " ")
	_, err = c.on(ctx, node, "pkill", "-KILL", "-f", "--", "--pod-name="+pod)
	return err
}

// startServer has nothing to do: the standby takes over.
func (c *cluster) startServer(context.Context) error { return nil }

func (c *cluster) outage() time.Duration { return 15 * time.Second }

// metrics asks the server itself, from a node, as the administrator, whom it
// knows by the cluster's CA.
func (c *cluster) metrics(ctx context.Context) (string, error) {
	ip, err := c.active(ctx, "{.items[0].status.podIP}")
	if err != nil {
		return "", err
	}
	pki := c.dir + "/run/pki/"
	return c.on(ctx, "node01", "curl", "-fsSk", "--cert", pki+"admin.crt", "--key", pki+"admin.key", fmt.Sprintf("https://%s:6443/metrics", ip))
}

func (c *cluster) logs(ctx context.Context, since time.Time) string {
	pods, _ := c.kubectl(ctx, "-n", namespace, "get", "pods", "-o", "wide")
	logs, _ := c.kubectl(ctx, "-n", namespace, "logs", "-l", "app.kubernetes.io/name in (nmstate-apiserver, nmstate-node-agent)", "--max-log-requests=20", "--prefix", "--tail=-1", "--since-time="+since.Format(time.RFC3339))
	return pods + logs
}

// agentLog reads the kubelet's files: kubectl logs has no more than the last of them.
func (c *cluster) agentLog(ctx context.Context, node string) (string, *time.Location, error) {
	text, err := c.on(ctx, node, "sh", "-c", "cat /var/log/pods/"+namespace+"_nmstate-node-agent-*/node-agent/*.log")
	return text, time.UTC, err
}

// witness is the active server's pod. One on the node itself proves nothing, and asks kube-apiserver, which is in the hub.
func (c *cluster) witness(ctx context.Context, node string) (witness, error) {
	active, err := c.active(ctx, "{.items[0].spec.nodeName} {.items[0].status.podIP}")
	if err != nil {
		return witness{}, err
	}
	on, address, _ := strings.Cut(active, " ")
	if on == node {
		return hubWitness, nil
	}
	return witness{address: address, beside: address[:strings.LastIndexByte(address, '.')] + ".100", node: on, link: "mgmt0"}, nil
}

func (c *cluster) renew(ctx context.Context, node string) error {
	return errors.Join(
		c.succeed(ctx, "hack/cluster/node.sh", "down", node),
		c.succeed(ctx, "hack/cluster/node.sh", "up", node),
		c.succeed(ctx, "hack/cluster/load-image.sh", "--node", node, c.root+"/_output/images/nmstate-apiserver.tar", c.root+"/_output/images/nmstate-node-agent.tar"))
}

// active returns a part of the list of active servers, which is of one.
func (c *cluster) active(ctx context.Context, path string) (string, error) {
	return c.kubectl(ctx, "-n", namespace, "get", "pods", "-l", activeServer, "-o", "jsonpath="+path)
}

func (c *cluster) kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.root+"/_output/bin/kubectl", append([]string{"--kubeconfig", c.config}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("kubectl %q: %w\n%s", args, err, out)
	}
	return string(out), err
}
