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
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// WorkerCommand is the argument that makes this program a worker: a process that
// applies one state and ends. Calls of libnmstate are serialised in a process
// and an apply can take minutes, during which the agent must go on reading.
const WorkerCommand = "apply-worker"

// rollbackAfter is when NetworkManager undoes an apply whose process has died.
// nmstate extends it while it is at work; 0 would mean never.
const rollbackAfter = time.Minute

// workerRequest is what a worker reads, workerReply what it writes.
type workerRequest struct {
	Flags nmstate.Flags   `json:"flags"`
	State json.RawMessage `json:"state"`
}

type workerReply struct {
	Error *nmstate.Error `json:"error,omitempty"`
}

// RunWorker applies the state that in has and writes to out how it went.
func RunWorker(in io.Reader, out io.Writer) error {
	var request workerRequest
	if err := json.NewDecoder(in).Decode(&request); err != nil {
		return fmt.Errorf("reading what to apply: %w", err)
	}
	var reply workerReply
	_, err := nmstate.ApplyNetState(request.Flags, request.State, rollbackAfter)
	if err != nil && !errors.As(err, &reply.Error) {
		return err
	}
	return json.NewEncoder(out).Encode(reply)
}

// applyInWorker applies a state in a process of its own, which ends with this one.
func applyInWorker(ctx context.Context, flags nmstate.Flags, state []byte) error {
	request, err := json.Marshal(workerRequest{Flags: flags, State: state})
	if err != nil {
		return err
	}
	var stdout, stderr bytes.Buffer
	worker := exec.CommandContext(ctx, "/proc/self/exe", WorkerCommand)
	worker.Stdin, worker.Stdout, worker.Stderr = bytes.NewReader(request), &stdout, &stderr
	worker.Env = os.Environ()
	worker.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := worker.Run(); err != nil {
		return fmt.Errorf("the process that applies the state ended: %w: %s", err, lastLine(stderr.Bytes()))
	}
	var reply workerReply
	if err := json.Unmarshal(stdout.Bytes(), &reply); err != nil {
		return fmt.Errorf("reading the outcome of the apply: %w", err)
	}
	if reply.Error != nil {
		return reply.Error
	}
	return nil
}

// lastLine is what a process said last.
func lastLine(text []byte) string {
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}
