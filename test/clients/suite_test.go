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

// Package clients runs each program of docs/examples/clients against a running
// API: a demo of its own, or with -cluster the cluster of hack/cluster that
// CLUSTER_DIR and NODES_PREFIX tell.
package clients

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	root     = "../.."
	examples = root + "/docs/examples/clients"
	// long is how long a line of a program may take.
	long = 3 * time.Minute
)

// flags of the test itself.
var onCluster = flag.Bool("cluster", false, "run against a cluster that runs already (make cluster-up cluster-sync)")

// world is what the programs run against.
type world struct {
	kubeconfig string
	// programs holds the built Go programs.
	programs string
	// environment is the demo's, or tells where the nodes of another API are.
	environment []string
	// own tells that the API is the test's own.
	own bool
}

// env is set by TestMain, before any test runs.
var env world

func TestMain(m *testing.M) {
	flag.Parse()
	code := 1
	w, err := begin()
	if err == nil {
		err = os.Setenv("KUBECONFIG", w.kubeconfig)
	}
	if err == nil {
		env = w
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	if err := w.end(code != 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// begin builds the programs and makes sure that there is an API.
func begin() (world, error) {
	dir, err := filepath.Abs(root + "/_output/clients")
	if err != nil {
		return world{}, err
	}
	w := world{
		programs: dir + "-bin", kubeconfig: dir + "/kubeconfig", own: true,
		environment: []string{"DEMO_DIR=" + dir, "DEMO_PORT=18443", "NODES_DIR=" + dir + "/nodes", "NODES_PREFIX=ce-"},
	}
	if *onCluster {
		cluster, err := filepath.Abs(cmp.Or(os.Getenv("CLUSTER_DIR"), root+"/_output/cluster"))
		if err != nil {
			return world{}, err
		}
		w.own, w.kubeconfig = false, cluster+"/kubeconfig"
		w.environment = []string{"NODES_DIR=" + cluster + "/run/nodes", "NODES_PREFIX=" + cmp.Or(os.Getenv("NODES_PREFIX"), "nnc-")}
	}
	if err := os.MkdirAll(w.programs, 0o755); err != nil {
		return w, err
	}
	build := exec.Command("go", "build", "-o", w.programs, "./docs/examples/clients/...")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return w, fmt.Errorf("building the Go programs: %w\n%s", err, out)
	}
	if err := w.script("hack/python/setup.sh"); err != nil {
		return w, err
	}
	if w.own {
		return w, w.script("hack/demo/up.sh")
	}
	return w, w.disown()
}

// disown takes the nodes' desired states from whoever owns them: the programs
// would be in conflict with those who used the cluster before.
func (w world) disown() error {
	for _, node := range nodes {
		err := w.script("_output/bin/kubectl", "--kubeconfig", w.kubeconfig, "patch", "nns", node, "--type=merge", "-p", `{"spec":{"desiredState":null}}`)
		if err != nil {
			return err
		}
	}
	return nil
}

// end takes away what begin has made.
func (w world) end(failed bool) error {
	if !w.own {
		return nil
	}
	if failed {
		logs, _ := filepath.Glob(filepath.Dir(w.kubeconfig) + "/*.log")
		for _, log := range logs {
			out, _ := exec.Command("tail", "-n", "30", log).Output()
			fmt.Fprintf(os.Stderr, "== %s\n%s\n", log, out)
		}
	}
	return w.script("hack/demo/down.sh")
}

// script runs one of the repository's scripts on what the programs run against.
func (w world) script(name string, args ...string) error {
	cmd := exec.Command(filepath.Join(root, name), args...)
	cmd.Env = append(os.Environ(), w.environment...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %q: %w\n%s", name, args, err, out)
	}
	return nil
}

func mustScript(t *testing.T, name string, args ...string) {
	t.Helper()
	if err := env.script(name, args...); err != nil {
		t.Fatal(err)
	}
}

// onNode runs a command in a node.
func onNode(t *testing.T, node string, args ...string) {
	t.Helper()
	mustScript(t, "hack/nodes/node.sh", append([]string{"exec", node}, args...)...)
}

// command returns the example of that name, ready to run: a folder's Go program,
// or a Python file. It finds the API by KUBECONFIG, unless it is told otherwise.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	program := filepath.Join(env.programs, name)
	if strings.HasSuffix(name, ".py") {
		program, args = root+"/_output/python/bin/python", append([]string{examples + "/python/" + name}, args...)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	return cmd
}

// run runs an example to its end and returns what it prints, errors included.
func run(t *testing.T, input, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	cmd := command(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// mustRun is run of what must exit with 0 and print each of the wanted texts.
func mustRun(t *testing.T, wanted []string, input, name string, args ...string) string {
	t.Helper()
	out, err := run(t, input, name, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	for _, want := range wanted {
		if !strings.Contains(out, want) {
			t.Errorf("%s %q does not print %q:\n%s", name, args, want, out)
		}
	}
	return out
}

// mustFail is run of what must not exit with 0, and say each of the wanted texts.
func mustFail(t *testing.T, wanted []string, input, name string, args ...string) {
	t.Helper()
	out, err := run(t, input, name, args...)
	if _, exited := errors.AsType[*exec.ExitError](err); !exited {
		t.Errorf("%s %q: %v\n%s", name, args, err, out)
	}
	for _, want := range wanted {
		if !strings.Contains(out, want) {
			t.Errorf("%s %q does not say %q:\n%s", name, args, want, out)
		}
	}
}

// running is an example that runs.
type running struct {
	*exec.Cmd
	lines <-chan string
}

// start starts an example, which ends with the test if it still runs then.
func start(t *testing.T, name string, args ...string) *running {
	t.Helper()
	cmd := command(t.Context(), name, args...)
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 10_000) // more than any of them prints
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() { // the test's context has ended it
		_ = cmd.Wait()
		in.Close()
	})
	return &running{cmd, lines}
}

// expect reads on until a line has all of the wanted texts.
func (r *running) expect(t *testing.T, wanted ...string) {
	t.Helper()
	timeout := time.After(long)
	var seen []string
	for {
		select {
		case line, more := <-r.lines:
			seen = append(seen, line)
			if hasAll(line, wanted) {
				return
			}
			if !more {
				t.Fatalf("it ended without a line with %q:\n%s", wanted, strings.Join(seen, "\n"))
			}
		case <-timeout:
			t.Fatalf("no line with %q within %v:\n%s", wanted, long, strings.Join(seen, "\n"))
		}
	}
}

func hasAll(line string, wanted []string) bool {
	for _, want := range wanted {
		if !strings.Contains(line, want) {
			return false
		}
	}
	return true
}

// finish asks it to end, which it must do with exit code 0.
func (r *running) finish(t *testing.T) {
	t.Helper()
	if err := r.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(); err != nil {
		t.Error(err)
	}
}
