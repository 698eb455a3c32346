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

// Package e2e runs the real binaries on nodes of its own, two with NetworkManager
// and one with the kernel alone, and uses them as people do: with kubectl and
// client-go. It stands beside a demo that may be running.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
	typed "github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/typed/nmstate/v1alpha1"
)

const (
	root       = "../.."
	kubeconfig = root + "/_output/e2e/kubeconfig"
	// long is how long anything may take that does not wait for nmstate.
	long = 60 * time.Second
)

// environment sets the suite's demo apart from another one.
var environment = []string{"DEMO_DIR=" + root + "/_output/e2e", "DEMO_PORT=17443", "NODES_PREFIX=e2e-"}

func TestMain(m *testing.M) {
	code := 1
	if err := script("hack/demo/up.sh"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	if code != 0 {
		showLogs()
	}
	if err := script("hack/demo/down.sh"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// script runs one of the demo's scripts on the suite's own demo.
func script(name string, args ...string) error {
	cmd := exec.Command(filepath.Join(root, name), args...)
	cmd.Env = append(os.Environ(), environment...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %q: %w\n%s", name, args, err, out)
	}
	return nil
}

func mustScript(t *testing.T, name string, args ...string) {
	t.Helper()
	if err := script(name, args...); err != nil {
		t.Fatal(err)
	}
}

// showLogs prints the ends of the logs, for whoever has nothing else of the run.
func showLogs() {
	logs, _ := filepath.Glob(root + "/_output/e2e/*.log")
	for _, log := range logs {
		out, _ := exec.Command("tail", "-n", "40", log).Output()
		fmt.Fprintf(os.Stderr, "== %s\n%s\n", log, out)
	}
}

// kubectl runs kubectl and returns what it prints, errors included.
func kubectl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return kubectlWith(t, "", args...)
}

// kubectlWith is kubectl with something on its standard input.
func kubectlWith(t *testing.T, input string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), root+"/_output/bin/kubectl", append([]string{"--kubeconfig", kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// onNode runs a command in a node and returns what it prints.
func onNode(t *testing.T, node string, args ...string) string {
	t.Helper()
	cmd := exec.Command(root+"/hack/nodes/node.sh", append([]string{"exec", node}, args...)...)
	cmd.Env = append(os.Environ(), "NODES_DIR="+root+"/_output/e2e/nodes", "NODES_PREFIX=e2e-")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s on %s: %v\n%s", args, node, err, out)
	}
	return string(out)
}

// client returns the typed client.
func client(t *testing.T) typed.NodeNetworkStateInterface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return clients.NmstateV1alpha1().NodeNetworkStates()
}

// get returns a node's object as it is now.
func get(t *testing.T, node string) *v1alpha1.NodeNetworkState {
	t.Helper()
	obj, err := client(t).Get(t.Context(), node, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

// desire makes state the node's desired state, by a merge patch that replaces
// each section.
func desire(t *testing.T, node, state string) (*v1alpha1.NodeNetworkState, error) {
	t.Helper()
	patch := fmt.Appendf(nil, `[{"op":"add","path":"/spec","value":{"desiredState":%s}}]`, state)
	return client(t).Patch(t.Context(), node, types.JSONPatchType, patch, metav1.PatchOptions{})
}

func mustDesire(t *testing.T, node, state string) *v1alpha1.NodeNetworkState {
	t.Helper()
	obj, err := desire(t, node, state)
	if err != nil {
		t.Fatalf("applying %s on %s: %v", state, node, err)
	}
	return obj
}

// waitFor watches a node until the object is as wanted, and returns it.
func waitFor(t *testing.T, node string, timeout time.Duration, wanted func(*v1alpha1.NodeNetworkState) bool) *v1alpha1.NodeNetworkState {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	var last *v1alpha1.NodeNetworkState
	for ctx.Err() == nil {
		w, err := client(t).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + node})
		if err != nil {
			continue // the server may be starting
		}
		for event := range w.ResultChan() {
			obj, ok := event.Object.(*v1alpha1.NodeNetworkState)
			if !ok || event.Type == watch.Deleted {
				break
			}
			if last = obj; wanted(obj) {
				w.Stop()
				return obj
			}
		}
		w.Stop()
	}
	text, _ := json.Marshal(last)
	t.Fatalf("%s did not become as wanted within %v; it is %s", node, timeout, text)
	return nil
}

func isTrue(conditionType string) func(*v1alpha1.NodeNetworkState) bool {
	return func(obj *v1alpha1.NodeNetworkState) bool {
		return apimeta.IsStatusConditionTrue(obj.Status.Conditions, conditionType)
	}
}

func contains(obj *v1alpha1.NodeNetworkState, text string) bool {
	return obj.Status.CurrentState != nil && strings.Contains(string(obj.Status.CurrentState.Raw), text)
}
