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
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Recover waits until no other agent, and no worker of one, is at work. Then it ends the change
// that they have left, and tells the owner. It returns ctx's error, or one that makes changes impossible.
func (r *Runner) Recover(ctx context.Context) error {
	r.one.Lock()
	defer r.one.Unlock()
	for {
		taken, err := r.lock.await(ctx, r.config.Limits.Lock)
		if err != nil || ctx.Err() != nil {
			return cmp.Or(ctx.Err(), err)
		}
		if taken {
			break
		}
		r.killWorker(ctx)
	}
	r.config.Owner.Reload()
	r.loadUnsettled()
	var err error
	if r.journal, err = readJournal(r.config.Dir); err != nil {
		return r.setAside(err)
	}
	r.resume(ctx)
	return ctx.Err()
}

// Left returns the story of the change that an earlier agent has left; nil if there is none.
func (r *Runner) Left() *v1alpha1.LastApply {
	j, err := readJournal(r.config.Dir)
	if err != nil {
		return nil
	}
	return j.at.story()
}

// setAside renames a journal that cannot be understood.
func (r *Runner) setAside(wrong error) error {
	aside := r.journal.path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000000")
	if err := os.Rename(r.journal.path, aside); err != nil {
		return fmt.Errorf("%w; and it cannot be set aside: %w", wrong, err)
	}
	r.journal.end, r.journal.at = 0, progress{}
	return fmt.Errorf("the journal of changes was damaged (%w) and is now %s: a change may have been left half done", wrong, aside)
}

// killWorker ends the worker that the journal names if its agent is gone: it took too long.
func (r *Runner) killWorker(ctx context.Context) {
	j, err := readJournal(r.config.Dir)
	if err != nil || j.at.Plan == nil {
		return
	}
	pid := j.at.Plan.Worker
	// The file descriptor keeps the id from being another process's.
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(process)
	if !r.lock.heldBy(pid) || r.lock.heldBy(parentOf(pid)) {
		return
	}
	klog.FromContext(ctx).Info("Killing the worker of an earlier agent, which takes too long", "pid", pid, "change", j.at.Plan.Story.ID)
	_ = unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0)
}

// parentOf returns the parent of a process, 0 if that is not known.
func parentOf(pid int) int {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// The name, in brackets, may have blanks.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// resume ends the change in the journal. What has become of it is decided by what the node has.
func (r *Runner) resume(ctx context.Context) {
	left := r.journal.at
	if left.State == None {
		return
	}
	logger := klog.FromContext(ctx).WithValues("change", left.Plan.Story.ID, "state", left.State)
	logger.Info("An earlier agent has left a change")
	rebooted := left.Plan.Kernel != r.config.Kernel
	used := r.backends[left.Plan.Backend]
	if left.State.Open() {
		waiting, cancel := context.WithTimeout(ctx, r.config.Limits.Backend)
		used.await(waiting)
		cancel()
	}
	switch left.State {
	case Committed:
		r.conclude(ctx, ending{committed: true, story: *left.story()})
	case RolledBack:
		r.restored(ctx) // by the worker
		r.conclude(ctx, ending{story: *left.story(), undone: undone{left.Leftover, left.Unsettled}})
	case Prepared, Applied:
		if rebooted {
			r.giveUp(ctx, v1alpha1.ReasonRebooted, "the node was booted before the change was confirmed", used.rebooted)
			return
		}
		r.giveUp(ctx, v1alpha1.ReasonAgentRestarted, "the agent and its worker ended before the change was confirmed", func(ctx context.Context, p *plan) undone {
			return used.undo(ctx, p, left.Checkpoint)
		})
	case Confirmed:
		limited, cancel := context.WithTimeout(ctx, r.config.Limits.Commit)
		defer cancel()
		has, err := true, error(nil)
		if !rebooted {
			has, err = used.resume(limited, left.Plan, left.Checkpoint)
		}
		if err != nil {
			logger.Error(err, "Finding out whether a change was committed")
		}
		if err != nil && ctx.Err() != nil {
			return // this agent, too, is told to end: the next one finds it out
		}
		if has && err == nil {
			r.conclude(ctx, ending{committed: true, story: *left.story()})
			return
		}
		message := "the change was confirmed, and the agent ended before it was committed"
		if different, unknown := left.Plan.Before.Differences(ctx); err == nil && unknown == nil && len(different) > 0 {
			message += "; the node had neither what the change asks for nor what it had before"
		}
		r.giveUp(ctx, v1alpha1.ReasonCommitLost, message, func(ctx context.Context, p *plan) undone {
			return used.undo(ctx, p, left.Checkpoint)
		})
	}
}

// giveUp undoes the change in the journal, and tells why.
func (r *Runner) giveUp(ctx context.Context, reason, message string, undo func(context.Context, *plan) undone) {
	left := r.journal.at
	r.at(BeforeUndo)
	how := r.undo(ctx, func(ctx context.Context) undone { return undo(ctx, left.Plan) })
	how.leftover = left.Plan.scrub(how.leftover)
	story := failed(*left.story(), failure(reason, "%s", message))
	r.conclude(ctx, ending{story: withLeftover(left.Plan.uncovered(story), how.leftover), undone: how})
}
