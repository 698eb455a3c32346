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
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// scripts run those of the repository, on a set of nodes that variables of the
// environment set apart.
type scripts struct {
	root      string
	variables []string
}

// run runs a script, with a path in the repository, and returns what it prints.
// Its output goes through a file: what it leaves running would keep a pipe open.
func (s scripts) run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := os.CreateTemp("", "e2e-")
	if err != nil {
		return "", err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := s.command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	text, readErr := os.ReadFile(out.Name())
	if err == nil {
		err = readErr
	}
	if err != nil {
		err = fmt.Errorf("%s %q: %w\n%s", name, args, err, text)
	}
	return string(text), err
}

func (s scripts) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.root, name), args...)
	cmd.Env = append(os.Environ(), s.variables...)
	return cmd
}

// on implements environment for nodes of hack/nodes.
func (s scripts) on(ctx context.Context, node string, args ...string) (string, error) {
	return s.run(ctx, "hack/nodes/node.sh", append([]string{"exec", node}, args...)...)
}

// hub implements environment for nodes of hack/nodes.
func (s scripts) hub(ctx context.Context, command string) (string, error) {
	return s.run(ctx, "hack/nodes/hub.sh", "exec", "sh", "-c", command)
}

// shell implements environment for nodes of hack/nodes.
func (s scripts) shell(ctx context.Context, node string) (*shell, error) {
	return newShell(s.command(ctx, "hack/nodes/node.sh", "exec", node, "sh"))
}

// standalone is a demo of the suite's own: node03 has the kernel alone.
type standalone struct {
	scripts
	dir, prefix, port string
}

func newStandalone(root string) *standalone {
	return newDemo(root, filepath.Join(root, "_output", strings.TrimSuffix(*prefix, "-")), strconv.Itoa(*port), *prefix)
}

// newDemo returns a demo that is set apart from others.
func newDemo(root, dir, port, prefix string) *standalone {
	return &standalone{dir: dir, port: port, prefix: prefix, scripts: scripts{root: root, variables: []string{
		"DEMO_DIR=" + dir, "DEMO_PORT=" + port, "NODES_DIR=" + dir + "/nodes", "NODES_PREFIX=" + prefix, "AGENT_FLAGS=--lldp",
	}}}
}

func (s *standalone) nodes() []node {
	return []node{
		{"node01", v1alpha1.BackendNetworkManager}, {"node02", v1alpha1.BackendNetworkManager}, {"node03", v1alpha1.BackendKernel},
	}
}

func (s *standalone) kubeconfig() string { return s.dir + "/kubeconfig" }

func (s *standalone) start(ctx context.Context) error { return s.succeed(ctx, "hack/demo/up.sh") }
func (s *standalone) stop(ctx context.Context) error  { return s.succeed(ctx, "hack/demo/down.sh") }

func (s *standalone) killAgent(ctx context.Context, node string) error {
	return s.succeed(ctx, "hack/demo/agent.sh", "kill", node)
}

func (s *standalone) startAgent(ctx context.Context, node string) error {
	return s.succeed(ctx, "hack/demo/agent.sh", "start", node)
}

// powerCut ends a node as a power cut would, and starts it and its agent again.
func (s *standalone) powerCut(ctx context.Context, number int, n node) error {
	backend := strings.ToLower(string(n.backend))
	return errors.Join(
		s.succeed(ctx, "hack/nodes/node.sh", "power-cut", n.name),
		s.succeed(ctx, "hack/demo/agent.sh", "kill", n.name),
		s.succeed(ctx, "hack/nodes/node.sh", "up", n.name, strconv.Itoa(number), backend),
		s.startAgent(ctx, n.name))
}

func (s *standalone) killServer(ctx context.Context) error {
	return s.succeed(ctx, "hack/demo/server.sh", "kill")
}

func (s *standalone) startServer(ctx context.Context) error {
	return s.succeed(ctx, "hack/demo/server.sh", "start")
}

func (s *standalone) outage() time.Duration { return 10 * time.Second }

func (s *standalone) metrics(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, s.root+"/_output/bin/kubectl", "--kubeconfig", s.kubeconfig(), "get", "--raw", "/metrics").Output()
	return string(out), err
}

// logs tells what is new by the time that klog begins a line with.
func (s *standalone) logs(_ context.Context, since time.Time) string {
	var all strings.Builder
	from := since.Format("0102 15:04:05")
	files, _ := filepath.Glob(s.dir + "/*.log")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		fmt.Fprintf(&all, "== %s\n", filepath.Base(file))
		for line := range strings.Lines(string(text)) {
			if len(line) > len(from) && line[1:] >= from {
				all.WriteString(line)
			}
		}
	}
	return all.String()
}

func (s *standalone) agentLog(_ context.Context, node string) (string, *time.Location, error) {
	text, err := os.ReadFile(s.dir + "/agent-" + node + ".log")
	return string(text), time.Local, err
}

// hubWitness is a witness in the network that the nodes are plugged into.
var hubWitness = witness{address: "192.0.2.1", beside: "192.0.2.100", link: "mgmt"}

func (s *standalone) witness(context.Context, string) (witness, error) { return hubWitness, nil }

func (s *standalone) renew(ctx context.Context, _ string) error {
	return errors.Join(s.stop(ctx), s.start(ctx))
}

// succeed runs a script of which only the success matters.
func (s scripts) succeed(ctx context.Context, name string, args ...string) error {
	_, err := s.run(ctx, name, args...)
	return err
}
