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
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// WorkerCommand is the argument that makes this program a worker: a process that
// validates and applies for the agent. Calls of libnmstate are serialised in a
// process, an apply can take minutes, and the agent's reads must go on meanwhile. What
// nmstate_validate leaks (see nmstate.Validate) ends with the worker.
const WorkerCommand = "apply-worker"

// pipeDelay is how long the end of a worker's standard error is awaited once it has ended.
const pipeDelay = time.Second

// operation is what a worker is asked to do.
type operation string

const (
	opRetrieve operation = "retrieve"
	opValidate operation = "validate"
	opApply    operation = "apply"
	// opRevert makes the state that undoes another one.
	opRevert operation = "revert"
	// opGuard makes the worker undo the change in the journal if the agent dies.
	opGuard operation = "guard"
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
	// Dir is the folder of the journal, and Limits how long undoing may take, for opGuard.
	Dir    string `json:"dir,omitempty"`
	Limits Limits `json:"limits,omitzero"`
}

type workerReply struct {
	// State is what was retrieved or made, Checkpoint the checkpoint that an apply has made, also one that has failed.
	State      json.RawMessage `json:"state,omitempty"`
	Checkpoint string          `json:"checkpoint,omitempty"`
	Error      *nmstate.Error  `json:"error,omitempty"`
}

// RunWorker carries out the requests that it reads from in and writes a reply to out
// for each, until in ends. If the agent has died by then, in the midst of a change, RunWorker
// undoes the change. It ignores SIGINT and SIGTERM: they may be sent to all
// processes of the agent, and the agent waits for the request that is under way.
func RunWorker(in io.Reader, out io.Writer) error {
	// The pipes to an agent that has died are broken; that must not end the worker.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE)
	replies := json.NewEncoder(out)
	var watch guard
	var guarded atomic.Bool
	var done atomic.Int64
	requests := readRequests(in, &guarded, &done)
	for {
		next := <-requests
		if err := next.err; errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return watch.agentEnded()
		} else if err != nil {
			return fmt.Errorf("reading what to do: %w", err)
		}
		reply, err := next.request.do(&watch)
		guarded.Store(watch.on())
		done.Add(1)
		if err != nil && !errors.As(err, &reply.Error) {
			return err
		}
		if err := replies.Encode(reply); err != nil && !watch.on() {
			return fmt.Errorf("writing how it went: %w", err)
		}
	}
}

// incoming is a request that was read, or why none was.
type incoming struct {
	request workerRequest
	err     error
}

// readRequests reads requests. If the agent has died and no change is guarded, it ends the process: nobody waits for the request
// that is under way, NetworkManager may never answer it, and the next agent waits for the lock that the process has.
//
// done counts the requests that were carried out.
func readRequests(in io.Reader, guarded *atomic.Bool, done *atomic.Int64) <-chan incoming {
	requests := make(chan incoming)
	go func() {
		decoder := json.NewDecoder(in)
		for read := int64(0); ; read++ {
			var next incoming
			if next.err = decoder.Decode(&next.request); next.err != nil && read > done.Load() && !guarded.Load() {
				os.Exit(0)
			}
			requests <- next
			if next.err != nil {
				return
			}
		}
	}()
	return requests
}

func (r workerRequest) do(watch *guard) (reply workerReply, err error) {
	var log string
	switch r.Op {
	case opRetrieve:
		reply.State, _, err = nmstate.RetrieveNetState(r.Flags)
	case opValidate:
		err = nmstate.Validate(r.State, r.Current)
	case opRevert:
		reply.State, err = nmstate.GenerateRevert(r.State, r.Current)
	case opApply:
		if r.Flags&nmstate.KernelOnly != 0 {
			return reply, r.applyByKernel()
		}
		log, err = nmstate.ApplyNetState(r.Flags, r.State, r.RollbackAfter)
		var refused *nmstate.Error
		if errors.As(err, &refused) {
			log = refused.Log
		}
		if r.Flags&nmstate.NoCommit != 0 {
			reply.Checkpoint = checkpointName.FindString(log)
		}
	case opGuard:
		*watch = guard{dir: r.Dir, limits: r.Limits}
	default:
		err = fmt.Errorf("%q is nothing that a worker does", r.Op)
	}
	return reply, err
}

// worker is a process that the agent has started.
type worker struct {
	process *exec.Cmd
	in      io.WriteCloser
	replies *json.Decoder
	said    bytes.Buffer
	// late tells that within has killed the worker.
	late atomic.Bool
}

// startWorker starts a worker that ends with the agent. It is killed when ctx ends.
func startWorker(ctx context.Context) (*worker, error) {
	return start(exec.CommandContext(ctx, "/proc/self/exe", WorkerCommand), &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL})
}

// startLastingWorker starts a worker that outlives the agent, in a session of its own, and
// holds the lock as long as it lives.
func startLastingWorker(held *lock) (*worker, error) {
	process := exec.Command("/proc/self/exe", WorkerCommand)
	process.ExtraFiles = []*os.File{held.file}
	return start(process, &syscall.SysProcAttr{Setsid: true})
}

func start(process *exec.Cmd, how *syscall.SysProcAttr) (*worker, error) {
	w := &worker{process: process}
	process.Env = os.Environ()
	process.Stderr = &w.said
	process.SysProcAttr = how
	// A process that libnmstate has started may hold the pipe for standard error after the worker has ended.
	process.WaitDelay = pipeDelay
	in, err := process.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	w.in, w.replies = in, json.NewDecoder(out)
	return w, nil
}

// do sends the worker a request and returns its reply. An error that is no
// *nmstate.Error means that the worker has died, and that nobody knows how far it got.
func (w *worker) do(request workerRequest) (workerReply, error) {
	var reply workerReply
	line, err := json.Marshal(request)
	if err != nil {
		return reply, fmt.Errorf("asking a worker to %s: %w", request.Op, err)
	}
	// If the worker is gone, Decode fails too, and its error is the one returned.
	_, _ = w.in.Write(append(line, '\n'))
	if err := w.replies.Decode(&reply); err != nil {
		why := errDied
		if w.late.Load() {
			why = errLate
		}
		return reply, fmt.Errorf("%w that was to %s: %w", why, request.Op, w.howEnded(err))
	}
	if reply.Error != nil {
		return reply, reply.Error
	}
	return reply, nil
}

// howEnded ends the worker, and returns how it ended and what it said last, in one line.
func (w *worker) howEnded(err error) error {
	if ended := w.close(); ended != nil {
		err = ended
	}
	if said := lastLine(w.said.Bytes()); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

var (
	// errDied tells that a worker has ended before it replied, errLate that it was killed because it took too long.
	errDied = errors.New("the process has died")
	errLate = errors.New("the process took too long")
)

// within kills the worker after the timeout, unless done is called before.
func (w *worker) within(timeout time.Duration) (done func()) {
	timer := time.AfterFunc(timeout, w.kill)
	return func() { timer.Stop() }
}

// kill ends the worker because it takes too long.
func (w *worker) kill() {
	w.late.Store(true)
	_ = w.process.Process.Kill()
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
