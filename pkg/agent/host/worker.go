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
	"os/signal"
	"regexp"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// WorkerCommand is the argument that makes this program a worker: a process that
// does for the agent what must not hold up its reads. Calls of libnmstate are
// serialised in a process; an apply can take minutes, a rollback one, and
// nmstate_validate leaks (see nmstate.Validate), which ends with the worker.
const WorkerCommand = "apply-worker"

// rollbackAfter is when NetworkManager undoes by itself what was not committed,
// because worker or agent have died. nmstate extends it while it is at work; 0
// would mean never.
const rollbackAfter = time.Minute

// operation is what a worker is asked to do.
type operation string

const (
	opRetrieve operation = "retrieve"
	opValidate operation = "validate"
	opApply    operation = "apply"
	opCommit   operation = "commit"
	opRollback operation = "rollback"
)

// workerRequest is one line that a worker reads, workerReply one that it writes.
// Both may have secrets: they pass through pipes and nothing else.
type workerRequest struct {
	Op    operation     `json:"op"`
	Flags nmstate.Flags `json:"flags,omitempty"`
	// State is what to validate or apply, Current what to validate it against.
	State   json.RawMessage `json:"state,omitempty"`
	Current json.RawMessage `json:"current,omitempty"`
	// RollbackAfter is for an apply that is not committed.
	RollbackAfter time.Duration `json:"rollbackAfter,omitempty"`
	// Checkpoint is what to commit or roll back, "" the last one.
	Checkpoint string `json:"checkpoint,omitempty"`
}

type workerReply struct {
	// State is what was retrieved, Checkpoint what an apply left open.
	State      json.RawMessage `json:"state,omitempty"`
	Checkpoint string          `json:"checkpoint,omitempty"`
	Error      *nmstate.Error  `json:"error,omitempty"`
}

// RunWorker does what it reads from in, and writes to out how it went, until in
// ends. Signals that ask to end do not end it: they may come to all processes of
// the agent, which waits for what the worker is in the midst of.
func RunWorker(in io.Reader, out io.Writer) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
	requests, replies := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var request workerRequest
		if err := requests.Decode(&request); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading what to do: %w", err)
		}
		reply, err := request.do()
		if err != nil && !errors.As(err, &reply.Error) {
			return err
		}
		if err := replies.Encode(reply); err != nil {
			return fmt.Errorf("writing how it went: %w", err)
		}
	}
}

func (r workerRequest) do() (reply workerReply, err error) {
	var log string
	switch r.Op {
	case opRetrieve:
		reply.State, _, err = nmstate.RetrieveNetState(r.Flags)
	case opValidate:
		err = nmstate.Validate(r.State, r.Current)
	case opApply:
		if log, err = nmstate.ApplyNetState(r.Flags, r.State, r.RollbackAfter); err == nil && r.Flags&nmstate.NoCommit != 0 {
			reply.Checkpoint = checkpointName.FindString(log)
		}
	case opCommit:
		_, err = nmstate.CommitCheckpoint(r.Checkpoint)
	case opRollback:
		_, err = nmstate.RollbackCheckpoint(r.Checkpoint)
	default:
		err = fmt.Errorf("%q is nothing that a worker does", r.Op)
	}
	return reply, err
}

// checkpointName finds the checkpoint in nmstate's log, the only place where
// nmstate tells it. A log without it is no harm: NetworkManager keeps one at a
// time unless somebody forces a second, so the last one is it.
var checkpointName = regexp.MustCompile(`/org/freedesktop/NetworkManager/Checkpoint/[0-9]+`)

// worker is a process of the agent's own that ends with it.
type worker struct {
	process *exec.Cmd
	in      io.WriteCloser
	replies *json.Decoder
	said    bytes.Buffer
	// late tells that it was killed because it took too long.
	late atomic.Bool
}

// startWorker starts one, which ctx ends.
func startWorker(ctx context.Context) (*worker, error) {
	w := &worker{process: exec.CommandContext(ctx, "/proc/self/exe", WorkerCommand)}
	w.process.Env = os.Environ()
	w.process.Stderr = &w.said
	w.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := w.process.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	out, err := w.process.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	if err := w.process.Start(); err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	w.in, w.replies = in, json.NewDecoder(out)
	return w, nil
}

// do asks the worker for something. An error that is no *nmstate.Error means
// that the worker has died over it, and nobody knows how far it came.
func (w *worker) do(request workerRequest) (workerReply, error) {
	var reply workerReply
	line, err := json.Marshal(request)
	if err != nil {
		return reply, fmt.Errorf("asking a worker to %s: %w", request.Op, err)
	}
	// A worker that is gone takes nothing and says nothing: the second tells.
	_, _ = w.in.Write(append(line, '\n'))
	if err := w.replies.Decode(&reply); err != nil {
		if w.late.Load() {
			err = errors.Join(err, errors.New("it took too long"))
		}
		return reply, fmt.Errorf("the process that was to %s ended: %w: %s", request.Op, errors.Join(err, w.close()), lastLine(w.said.Bytes()))
	}
	if reply.Error != nil {
		return reply, reply.Error
	}
	return reply, nil
}

// within kills the worker unless what it returns is called before the timeout.
func (w *worker) within(timeout time.Duration) (done func()) {
	timer := time.AfterFunc(timeout, func() {
		w.late.Store(true)
		_ = w.process.Process.Kill()
	})
	return func() { timer.Stop() }
}

// close ends the worker and returns how it ended.
func (w *worker) close() error {
	w.in.Close()
	return w.process.Wait()
}

// applyInWorker applies a state and commits it, in a worker for that alone.
func applyInWorker(ctx context.Context, flags nmstate.Flags, state []byte) error {
	w, err := startWorker(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	_, err = w.do(workerRequest{Op: opApply, Flags: flags, State: state, RollbackAfter: rollbackAfter})
	return err
}

// lastLine is what a process said last.
func lastLine(text []byte) string {
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}
