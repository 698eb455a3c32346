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
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
	typed "github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/typed/nmstate/v1alpha1"
)

// restConfig is for clients without a limit of their own.
func (s *suite) restConfig() *rest.Config {
	GinkgoHelper()
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig())
	Expect(err).NotTo(HaveOccurred())
	config.QPS = -1
	return config
}

// clients returns the typed clients; warnings of the server go to the handler, if
// there is one.
func (s *suite) clients(warnings rest.WarningHandler) versioned.Interface {
	GinkgoHelper()
	config := s.restConfig()
	config.WarningHandler = warnings
	if warnings == nil {
		config.WarningHandler = rest.NoWarnings{}
	}
	clients, err := versioned.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	return clients
}

func (s *suite) nns() typed.NodeNetworkStateInterface {
	GinkgoHelper()
	return s.clients(nil).NmstateV1alpha1().NodeNetworkStates()
}

// warnings are those that the server gave.
type warnings struct {
	mu  sync.Mutex
	all []string
}

func (w *warnings) HandleWarningHeader(_ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, text)
}

// take returns the warnings since the last call.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.all
	w.all = nil
	return all
}

// get returns a node's object as it is now.
func (s *suite) get(ctx context.Context, node string) *v1alpha1.NodeNetworkState {
	GinkgoHelper()
	obj, err := s.nns().Get(ctx, node, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	return obj
}

// tryDesire makes state the node's desired state, in place of the one before. On
// a machine that is busy an agent may miss a barrier's deadline; nothing was sent
// to it then, and it is tried again.
func (s *suite) tryDesire(ctx context.Context, node, state string) (obj *v1alpha1.NodeNetworkState, err error) {
	GinkgoHelper()
	patch := fmt.Appendf(nil, `[{"op":"add","path":"/spec","value":{"desiredState":%s}}]`, state)
	nns := s.nns()
	for range 5 {
		obj, err = nns.Patch(ctx, node, types.JSONPatchType, patch, metav1.PatchOptions{})
		if !apierrors.IsServiceUnavailable(err) {
			break
		}
		GinkgoWriter.Printf("%s was not reached: %v\n", node, err)
		s.available(ctx, node)
	}
	return obj, err
}

func (s *suite) desire(ctx context.Context, node, state string) *v1alpha1.NodeNetworkState {
	GinkgoHelper()
	obj, err := s.tryDesire(ctx, node, state)
	Expect(err).NotTo(HaveOccurred(), "applying %s on %s", state, node)
	return obj
}

// desireAfterwards makes state the desired one when the spec is over.
func (s *suite) desireAfterwards(node, state string) {
	GinkgoHelper()
	DeferCleanup(func(ctx SpecContext) { s.desire(ctx, node, state) }, NodeTimeout(long))
}

// waitFor watches a node until the object is as wanted, and returns it. A watch
// that starts at a revision asks no agent.
func (s *suite) waitFor(ctx context.Context, node, revision string, timeout time.Duration, wanted func(*v1alpha1.NodeNetworkState) bool) *v1alpha1.NodeNetworkState {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last *v1alpha1.NodeNetworkState
	for ctx.Err() == nil {
		w, err := s.nns().Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + node, ResourceVersion: revision})
		if err != nil {
			continue // the server may be starting
		}
		for event := range w.ResultChan() {
			if apierrors.IsResourceExpired(apierrors.FromObject(event.Object)) {
				revision = "" // older than what a server that has just taken over remembers
			}
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
	Fail(fmt.Sprintf("%s did not become as wanted within %v; it is %s", node, timeout, text))
	return nil
}

// available waits until a node is.
func (s *suite) available(ctx context.Context, node string) *v1alpha1.NodeNetworkState {
	GinkgoHelper()
	return s.waitFor(ctx, node, "", long, isTrue(v1alpha1.ConditionAvailable))
}

// allAvailable waits until all nodes are.
func (s *suite) allAvailable(ctx context.Context) {
	GinkgoHelper()
	for _, n := range s.nodes() {
		s.available(ctx, n.name)
	}
}

func isTrue(conditionType string) func(*v1alpha1.NodeNetworkState) bool {
	return func(obj *v1alpha1.NodeNetworkState) bool {
		return apimeta.IsStatusConditionTrue(obj.Status.Conditions, conditionType)
	}
}

// shows tells whether the current state has a text in quotes.
func shows(obj *v1alpha1.NodeNetworkState, text string) bool {
	return obj.Status.CurrentState != nil && bytes.Contains(obj.Status.CurrentState.Raw, []byte(`"`+text+`"`))
}

// find returns a node's object of a list, nil if it has none.
func find(list *v1alpha1.NodeNetworkStateList, node string) *v1alpha1.NodeNetworkState {
	i := slices.IndexFunc(list.Items, func(obj v1alpha1.NodeNetworkState) bool { return obj.Name == node })
	if i < 0 {
		return nil
	}
	return &list.Items[i]
}

// kubectl runs kubectl with something on its standard input, and returns what it
// prints, errors included.
func (s *suite) kubectl(ctx context.Context, input string, args ...string) (string, error) {
	cmd := s.kubectlCommand(ctx, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *suite) kubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.root+"/_output/bin/kubectl", append([]string{"--kubeconfig", s.kubeconfig()}, args...)...)
	cmd.Env = append(cmd.Environ(), "KUBE_EDITOR=sed -i s/purpose:/intention:/")
	return cmd
}

// must runs a shell command in a node.
func (s *suite) must(ctx context.Context, node, command string) string {
	GinkgoHelper()
	out, err := s.on(ctx, node, "sh", "-c", command)
	Expect(err).NotTo(HaveOccurred())
	return out
}

// facts are what must be the same again after a failed apply.
func (s *suite) facts(ctx context.Context, node string) string {
	GinkgoHelper()
	return s.must(ctx, node, `ip -o link | sed 's/^[0-9]*: //; s/ qlen .*//' | sort; ip -br addr | sort
		ip route show table all | grep -v 'table local' | grep -v fe80 | sort; ip rule; grep -v '^#' /etc/resolv.conf || true`)
}

// shell runs commands in a node without the time that it takes to get in.
type shell struct {
	input  io.Writer
	output *bufio.Reader
}

func newShell(cmd *exec.Cmd) (*shell, error) {
	input, err1 := cmd.StdinPipe()
	output, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = cmd.Wait() }()
	return &shell{input, bufio.NewReader(output)}, nil
}

// must runs one command that prints nothing, and returns once it is done.
func (s *shell) must(command string) {
	GinkgoHelper()
	_, err := fmt.Fprintf(s.input, "%s 2>&1; echo done $?\n", command)
	Expect(err).NotTo(HaveOccurred())
	line, err := s.output.ReadString('\n')
	Expect(err).NotTo(HaveOccurred())
	Expect(line).To(Equal("done 0\n"), command)
}

// shellOn returns a shell in a node that ends with the spec.
func (s *suite) shellOn(node string) *shell {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.Background())
	DeferCleanup(cancel)
	sh, err := s.shell(ctx, node)
	Expect(err).NotTo(HaveOccurred())
	return sh
}
