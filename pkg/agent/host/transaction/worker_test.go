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

package transaction

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// TestMain gives the tests a network of their own, and is the worker when one is started.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == WorkerCommand {
		if err := RunWorker(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	netns.Main(m)
}

// TestAWorkerEndsWithItsAgent, rather than by a signal to both.
func TestAWorkerEndsWithItsAgent(t *testing.T) {
	w, err := startWorker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for range 2 {
		if _, err := w.do(workerRequest{Op: opRetrieve, Flags: nmstate.KernelOnly}); err != nil {
			t.Fatal(err)
		}
		if err := w.process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAProcessThatOutlivesAWorker and holds the worker's standard error, as one that libnmstate has started may, is not waited for.
func TestAProcessThatOutlivesAWorker(t *testing.T) {
	w, err := start(exec.Command("sh", "-c", "sleep 300 & echo $!"), &syscall.SysProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	var other int
	if err := w.replies.Decode(&other); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(other, syscall.SIGKILL) })
	if err := w.close(); !errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("the worker ended with %v", err)
	}
}

// TestAStuckWorkerWhoseAgentHasDied gives up the lock if it has no change to undo.
func TestAStuckWorkerWhoseAgentHasDied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	bus, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Close() })
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+path)
	w, err := start(exec.Command("/proc/self/exe", WorkerCommand), &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(w.in).Encode(workerRequest{Op: opRetrieve}); err != nil {
		t.Fatal(err)
	}
	silent, err := bus.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	if err := w.close(); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
}

// TestAWorkerThatIsStuckIsKilled where it has touched nothing.
func TestAWorkerThatIsStuckIsKilled(t *testing.T) {
	w, err := startWorker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.within(0)()
	for !w.late.Load() {
		time.Sleep(time.Millisecond)
	}
	if _, err := w.do(workerRequest{Op: opRetrieve}); err == nil || !strings.Contains(err.Error(), "took too long") || strings.Contains(err.Error(), "\n") {
		t.Errorf("the worker ended with %v", err)
	}
}
