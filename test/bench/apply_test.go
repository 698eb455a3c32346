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
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
	typed "github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/typed/nmstate/v1alpha1"
)

const (
	nmstatectl = "../../_output/nmstatectl/bin/nmstatectl"
	// most is what a transaction may cost above nmstate's own apply.
	most = 150 * time.Millisecond
	// applies is how many times each apply is measured.
	applies = 40
)

// bridgeOf is a bridge whose address changes with n.
func bridgeOf(n int) []byte {
	return fmt.Appendf(nil, `{"interfaces":[{"name":"brb","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[]},`+
		`"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.18.%d.%d","prefix-length":24}]}}]}`, n/250, n%250+1)
}

// compareApplies compares a PATCH of a node with nmstatectl apply of a like state. What it takes to get to where nmstatectl runs, which
// enter does, is not counted.
func compareApplies(b *testing.B, what string, nns typed.NodeNetworkStateInterface, node string,
	command func(ctx context.Context, state []byte) error, enter func(ctx context.Context) error) {
	b.Helper()
	n := 0
	next := func() []byte { n++; return bridgeOf(n) }
	patch := func() error {
		_, err := nns.Patch(b.Context(), node, types.JSONPatchType,
			fmt.Appendf(nil, `[{"op":"add","path":"/spec","value":{"desiredState":%s}}]`, next()), metav1.PatchOptions{})
		return err
	}
	byHand := func() error { return command(b.Context(), next()) }
	if err := errors.Join(patch(), byHand()); err != nil {
		b.Fatal(err)
	}
	times := interleave(b, applies, patch, byHand, func() error { return enter(b.Context()) })
	nmstate := times[1].at(.5) - times[2].at(.5)
	above := times[0].at(.5) - nmstate
	fmt.Printf("apply of a bridge, %s, %d samples: p50 %v, p99 %v; nmstatectl apply p50 %v, ratio %.2f\n",
		what, applies, times[0].at(.5), times[0].at(.99), nmstate, float64(times[0].at(.5))/float64(nmstate))
	target(above < most, "a transaction, %s, takes p50 %v above nmstatectl apply (under %v)", what, above, most)
}

// BenchmarkApply compares a write with nmstatectl, on a node that has the kernel alone.
func BenchmarkApply(b *testing.B) {
	s := newSite(b)
	s.agent(b)
	compareApplies(b, "kernel only", s.nns, "node", func(ctx context.Context, state []byte) error {
		return nmstatectlApply(exec.CommandContext(ctx, nmstatectl, "apply", "--kernel", "-"), state)
	}, func(context.Context) error { return nil })
}

// BenchmarkManagedApply is BenchmarkApply on a node with NetworkManager, in a demo of its own.
func BenchmarkManagedApply(b *testing.B) {
	root, err := filepath.Abs("../..")
	if err != nil {
		b.Fatal(err)
	}
	dir := filepath.Join(root, "_output/bench-demo")
	script := func(ctx context.Context, name string, args ...string) *exec.Cmd {
		// Nodes are made from the machine's files and namespaces, not from those of the benchmarks.
		outside := []string{"-t", fmt.Sprint(os.Getppid()), "-m", "-n", "-u", filepath.Join(root, name)}
		cmd := exec.CommandContext(ctx, "nsenter", append(outside, args...)...)
		cmd.Env = append(os.Environ(), "DEMO_DIR="+dir, "DEMO_PORT=17643", "NODES_DIR="+dir+"/nodes", "NODES_PREFIX=bench-")
		return cmd
	}
	// Its output goes through a file: what it leaves running would keep a pipe open.
	must := func(ctx context.Context, name string) {
		out, err := os.CreateTemp(b.TempDir(), "script-")
		if err != nil {
			b.Fatal(err)
		}
		defer out.Close()
		cmd := script(ctx, name)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			text, _ := os.ReadFile(out.Name())
			b.Fatalf("%s: %v\n%s", name, err, text)
		}
	}
	b.Cleanup(func() { must(context.Background(), "hack/demo/down.sh") })
	must(b.Context(), "hack/demo/up.sh")
	config, err := clientcmd.BuildConfigFromFlags("", dir+"/kubeconfig")
	if err != nil {
		b.Fatal(err)
	}
	config.Dial = dialOutside(os.Getppid())
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	compareApplies(b, "NetworkManager", clients.NmstateV1alpha1().NodeNetworkStates(), "node01", func(ctx context.Context, state []byte) error {
		return nmstatectlApply(script(ctx, "hack/nodes/node.sh", "exec", "node01", filepath.Join(root, "_output/nmstatectl/bin/nmstatectl"), "apply", "-"), state)
	}, func(ctx context.Context) error {
		return script(ctx, "hack/nodes/node.sh", "exec", "node01", "true").Run()
	})
}

// nmstatectlApply runs nmstatectl with a state on its standard input.
func nmstatectlApply(cmd *exec.Cmd, state []byte) error {
	cmd.Stdin = bytes.NewReader(state)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return nil
}

// dialOutside returns what makes connections in the network of another process:
// what a socket is made in stays its network.
func dialOutside(pid int) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (connection net.Conn, err error) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			// The thread ends with the goroutine, which never unlocks it.
			runtime.LockOSThread()
			var outside *os.File
			if outside, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil {
				return
			}
			defer outside.Close()
			if err = unix.Setns(int(outside.Fd()), unix.CLONE_NEWNET); err == nil {
				connection, err = (&net.Dialer{}).DialContext(ctx, network, address)
			}
		}()
		<-done
		return connection, err
	}
}
