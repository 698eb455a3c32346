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

package host

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
)

// TestAWorkerThatDiesIsAnError, and what it did is undone.
func TestAWorkerThatDiesIsAnError(t *testing.T) {
	h := newHost(t, t.TempDir())
	t.Setenv(dieAfterApply, "yes")
	_, err := h.Apply(t.Context(), desire(t, h, veth(0)))
	if agent.KindOf(err) != agent.Failed || !strings.Contains(err.Error(), "this worker was to die") {
		t.Errorf("the apply ended with %v", err)
	}
	if _, err := net.InterfaceByName("v0a"); err == nil {
		t.Error("what was applied is left")
	}
}

// runTestWorker is RunWorker, held up and killed as the tests want it.
func runTestWorker(in *bufio.Reader) error {
	requests, feed := io.Pipe()
	out := &mortal{Writer: os.Stdout}
	ended := make(chan error, 1)
	go func() { ended <- transaction.RunWorker(requests, out) }()
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			feed.Close()
			return <-ended
		}
		if socket := os.Getenv(holdValidateSocket); socket != "" && bytes.Contains(line, []byte(`"op":"validate"`)) {
			hold(socket)
		}
		if isApply := bytes.Contains(line, []byte(`"op":"apply"`)); isApply {
			if socket := os.Getenv(holdSocket); socket != "" {
				hold(socket)
			}
			out.dies.Store(os.Getenv(dieAfterApply) != "")
		}
		if _, err := feed.Write(line); err != nil {
			return errors.Join(err, <-ended)
		}
	}
}

// mortal is a writer whose process dies at the next reply, if it is to.
type mortal struct {
	io.Writer
	dies atomic.Bool
}

func (m *mortal) Write(reply []byte) (int, error) {
	if m.dies.Load() {
		fmt.Fprintln(os.Stderr, "this worker was to die")
		os.Exit(1)
	}
	return m.Writer.Write(reply)
}
