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

package vm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
)

// scripts run those of hack/vm and hack/nodes on the set of machines that VM_DIR and the like set apart.
type scripts struct {
	root, dir string
	variables []string
}

func newScripts(root string) scripts {
	setting := func(name, otherwise string) string {
		if value := os.Getenv(name); value != "" {
			return value
		}
		return otherwise
	}
	dir := setting("VM_DIR", filepath.Join(root, "_output/vm-run"))
	return scripts{root: root, dir: dir, variables: []string{
		"VM_DIR=" + dir, "DEMO_DIR=" + dir, "NODES_DIR=" + dir + "/nodes",
		"NODES_PREFIX=" + setting("NODES_PREFIX", "nnv-"), "DEMO_PORT=" + setting("DEMO_PORT", "16643"),
	}}
}

func (s scripts) kubeconfig() string { return s.dir + "/kubeconfig" }

// run runs a script, with a path in the repository, and returns what it prints. Its output goes through
// files: what it leaves running would keep a pipe open.
func (s scripts) run(ctx context.Context, name string, args ...string) (string, error) {
	files := make([]*os.File, 2)
	for i := range files {
		file, err := os.CreateTemp("", "vm-")
		if err != nil {
			return "", err
		}
		defer os.Remove(file.Name())
		defer file.Close()
		files[i] = file
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.root, name), args...)
	cmd.Env = append(os.Environ(), s.variables...)
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	begun := time.Now()
	err := cmd.Run()
	out, outErr := os.ReadFile(files[0].Name())
	if err != nil {
		said, _ := os.ReadFile(files[1].Name())
		return string(out), fmt.Errorf("%s %s: %w: %s%s", name, firstLine(args), err, bytes.TrimSpace(out), bytes.TrimSpace(said))
	}
	GinkgoWriter.Printf("%s %s took %v\n", name, firstLine(args), time.Since(begun).Round(time.Millisecond))
	return string(out), outErr
}

// firstLine shortens a command that is a whole script.
func firstLine(args []string) string {
	line, _, _ := strings.Cut(strings.Join(args, " "), "\n")
	return line
}

// hub runs a shell command in the network that the nodes are plugged into.
func (s scripts) hub(ctx context.Context, command string) (string, error) {
	return s.run(ctx, "hack/nodes/hub.sh", "exec", "sh", "-c", command)
}

// inHub starts a shell command there; stop ends it.
func (s scripts) inHub(command string) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, filepath.Join(s.root, "hack/nodes/hub.sh"), "exec", "sh", "-c", "exec "+command)
	cmd.Env = append(os.Environ(), s.variables...)
	cmd.Stdout, cmd.Stderr = GinkgoWriter, GinkgoWriter
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	return func() {
		cancel()
		_ = cmd.Wait() // it was ended
	}, nil
}
