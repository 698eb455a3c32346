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

// Package skew runs the agent and the API server of the protocol before against those
// of now: versions may differ by one.
package skew

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
	typed "github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/typed/nmstate/v1alpha1"
)

const (
	root = "../.."
	// node is the one of the demo's nodes that the tests make: the kernel alone carries out changes.
	node, number, backend = "node03", "3", "kernel"
	// long is how long anything may take on a slow machine.
	long = time.Minute
)

// pair is a server and an agent of different versions, on a node of their own.
type pair struct {
	t           *testing.T
	dir         string
	environment []string
	states      typed.NodeNetworkStateInterface
}

// older returns the folder of the programs that hack/skew/build.sh has built.
func older(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs(root + "/_output/skew/before")
	if err != nil {
		t.Fatal(err)
	}
	if why, err := os.ReadFile(folder + "/no-history"); err == nil {
		t.Skip(string(why))
	}
	if _, err := os.Stat(folder + "/commit"); err != nil {
		t.Fatalf("the programs of the protocol before are not there, run make test-skew: %v", err)
	}
	return folder
}

// newPair starts a server and an agent, which both begin with nothing, and takes them away
// after the test.
func newPair(t *testing.T, server, agent string) *pair {
	t.Helper()
	dir, err := filepath.Abs(root + "/_output/skew/demo")
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{t: t, dir: dir, environment: []string{
		"DEMO_DIR=" + dir, "DEMO_PORT=19443", "NODES_DIR=" + dir + "/nodes", "NODES_PREFIX=skew-",
		"APISERVER=" + server, "NODE_AGENT=" + agent,
	}}
	t.Cleanup(func() {
		if t.Failed() {
			for _, log := range []string{"server.log", "agent-" + node + ".log"} {
				text, _ := os.ReadFile(dir + "/" + log)
				t.Logf("%s:\n%s", log, text[max(0, len(text)-8<<10):])
			}
		}
		p.run("hack/demo/down.sh")
	})
	p.run("hack/demo/down.sh")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p.run("hack/nodes/hub.sh", "up", "19444")
	p.run("hack/demo/server.sh", "start")
	p.run("hack/nodes/node.sh", "up", node, number, backend)
	p.run("hack/demo/agent.sh", "start", node)
	config, err := clientcmd.BuildConfigFromFlags("", dir+"/kubeconfig")
	if err != nil {
		t.Fatal(err)
	}
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	p.states = clients.NmstateV1alpha1().NodeNetworkStates()
	return p
}

// run runs a script of the repository and returns what it prints.
func (p *pair) run(name string, args ...string) string {
	p.t.Helper()
	out, err := os.CreateTemp(p.t.TempDir(), "out-")
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(filepath.Join(root, name), args...)
	cmd.Env = append(os.Environ(), p.environment...)
	// What a script leaves running would keep a pipe open.
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	text, _ := os.ReadFile(out.Name())
	if err != nil {
		p.t.Fatalf("%s %q: %v\n%s", name, args, err, text)
	}
	return string(text)
}

// on runs a command in the node.
func (p *pair) on(args ...string) string {
	p.t.Helper()
	return p.run("hack/nodes/node.sh", append([]string{"exec", node}, args...)...)
}

// until reads the node's object until it is as wanted.
func (p *pair) until(what string, wanted func(*v1alpha1.NodeNetworkState) bool) *v1alpha1.NodeNetworkState {
	p.t.Helper()
	var last *v1alpha1.NodeNetworkState
	err := wait.PollUntilContextTimeout(p.t.Context(), 50*time.Millisecond, long, true, func(ctx context.Context) (bool, error) {
		obj, err := p.states.Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return false, nil
		}
		last = obj
		return wanted(obj), nil
	})
	if err != nil {
		p.t.Fatalf("waited in vain for %s to be %s: it is %+v", node, what, last)
	}
	return last
}

func available(obj *v1alpha1.NodeNetworkState) bool {
	return apimeta.IsStatusConditionTrue(obj.Status.Conditions, v1alpha1.ConditionAvailable)
}

// desired returns the state of a bridge with that address.
func desired(name, address string) *v1alpha1.State {
	return v1alpha1.NewState(fmt.Appendf(nil, `{"interfaces":[{"name":%q,"type":"linux-bridge","state":"up","bridge":{"port":[]},
		"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":%q,"prefix-length":24}]}}]}`, name, address))
}

// specs are what every pair can do.
func (p *pair) specs() {
	p.t.Helper()
	ctx := p.t.Context()
	obj := p.until("available", available)

	watch, err := p.states.Watch(ctx, metav1.ListOptions{ResourceVersion: obj.ResourceVersion, FieldSelector: "metadata.name=" + node})
	if err != nil {
		p.t.Fatalf("watching: %v", err)
	}
	defer watch.Stop()
	p.on("ip", "link", "add", "seen0", "type", "bridge")
	p.seen(watch.ResultChan(), "seen0")
	p.until("read again", func(obj *v1alpha1.NodeNetworkState) bool { return shows(obj, "seen0") })

	for _, address := range []string{"198.51.100.1", "198.51.100.2"} {
		p.write(address)
	}
	stale := obj.DeepCopy()
	stale.Spec.DesiredState = desired("skew0", "198.51.100.3")
	if _, err := p.states.Update(ctx, stale, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		p.t.Errorf("a write of a stale object got %v, not a conflict", err)
	}

	obj = p.until("available", available)
	obj.Spec.DesiredState = desired("planned0", "203.0.113.1")
	planned, err := p.states.Update(ctx, obj, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil || planned.Status.Difference == nil || !strings.Contains(string(planned.Status.Difference.Raw), "planned0") {
		p.t.Errorf("a dry run got %+v, %v", planned, err)
	}
	if links := p.on("ip", "-o", "link"); strings.Contains(links, "planned0") {
		p.t.Errorf("after a dry run the node has\n%s", links)
	}

	obj.Spec.DesiredState = v1alpha1.NewState([]byte(`{"interfaces":[{"name":"bad0","type":"no-such-type"}]}`))
	if _, err := p.states.Update(ctx, obj, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
		p.t.Errorf("a write of a state that is wrong got %v", err)
	}
}

// write makes the node have the bridge skew0 with that address.
func (p *pair) write(address string) {
	p.t.Helper()
	obj := p.until("available", available)
	obj.Spec.DesiredState = desired("skew0", address)
	written, err := p.states.Update(p.t.Context(), obj, metav1.UpdateOptions{FieldManager: "skew"})
	if err != nil {
		p.t.Fatalf("a write: %v", err)
	}
	if last := written.Status.LastApply; last == nil || last.Outcome != v1alpha1.ApplyCommitted || written.Generation <= obj.Generation {
		p.t.Errorf("the write was answered with generation %d, %+v", written.Generation, last)
	}
	if link := p.on("ip", "addr", "show", "skew0"); !strings.Contains(link, address+"/24") {
		p.t.Errorf("the node has\n%s", link)
	}
}

// refused writes a part of the spec that one of the two does not know.
func (p *pair) refused(words string) {
	p.t.Helper()
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		_, err := p.states.Patch(p.t.Context(), node, types.MergePatchType, []byte(`{"spec":{"reapply":"Never"}}`),
			metav1.PatchOptions{FieldValidation: metav1.FieldValidationStrict, DryRun: dryRun})
		if err == nil || !strings.Contains(err.Error(), words) {
			p.t.Errorf("with dryRun=%q the write got %v, not an error with %q", dryRun, err, words)
		}
	}
	if obj := p.until("available", available); obj.Spec.Reapply != "" {
		p.t.Errorf("the spec is %+v", obj.Spec)
	}
}
