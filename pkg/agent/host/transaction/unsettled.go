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
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// unsettledName is the file of a change that must be undone again as soon as its backend answers. It was the change's journal.
const unsettledName = "transaction.unsettled"

// loadUnsettled reads what an earlier agent has left of a change whose backend did not answer.
func (r *Runner) loadUnsettled() {
	j := &journal{path: filepath.Join(r.config.Dir, unsettledName)}
	err := j.read()
	if err == nil && j.at.Plan != nil {
		r.unsettled = j
	}
	if err == nil {
		return
	}
	aside := j.path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000000")
	klog.Background().Error(errors.Join(err, os.Rename(j.path, aside)), "A change that NetworkManager was to undo cannot be read, and is not undone", "file", aside)
}

// Unsettled is what is left of a change whose backend does not answer, "" if there is no such change.
func (r *Runner) Unsettled() string {
	if r.unsettled == nil {
		return ""
	}
	return r.unsettled.at.Leftover
}

// postpone keeps the journal until the backend answers. A renamed file needs no room on the disk.
func (r *Runner) postpone() error {
	later := *r.journal
	later.path = filepath.Join(r.config.Dir, unsettledName)
	if err := os.Rename(r.journal.path, later.path); err != nil {
		return err
	}
	r.unsettled = &later
	r.journal.end, r.journal.at = 0, progress{}
	return syncFolder(r.config.Dir)
}

// forgetUnsettled forgets a change that is not to be undone any more.
func (r *Runner) forgetUnsettled() error {
	if r.unsettled == nil {
		return nil
	}
	if err := os.Remove(r.unsettled.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.unsettled = nil
	return syncFolder(r.config.Dir)
}

// Settle undoes a change whose backend did not answer when it was to be undone. It returns an error if it is to be tried again.
func (r *Runner) Settle(ctx context.Context) error {
	r.one.Lock()
	defer r.one.Unlock()
	return r.settle(ctx)
}

// settle is Settle. The caller holds the lock of changes.
func (r *Runner) settle(ctx context.Context) error {
	if r.unsettled == nil {
		return nil
	}
	left := r.unsettled.at
	used := r.backends[left.Plan.Backend]
	const again = "NetworkManager does not answer, and an earlier change (%s) is not undone yet: nothing was changed; try again when NetworkManager works"
	if err := used.answers(ctx); err != nil {
		return failure(v1alpha1.ReasonTimedOut, again, left.Plan.Story.ID)
	}
	how := r.undo(ctx, func(ctx context.Context) undone {
		if left.Plan.Kernel != r.config.Kernel {
			return used.rebooted(ctx, left.Plan)
		}
		return used.undo(ctx, left.Plan, left.Checkpoint)
	})
	if how.unsettled {
		return failure(v1alpha1.ReasonTimedOut, again, left.Plan.Story.ID)
	}
	// As long as the file is there, the next agent undoes the change again, and perhaps a newer one with it.
	if err := r.forgetUnsettled(); err != nil {
		return notWritable(err)
	}
	leftover := left.Plan.scrub(how.leftover)
	klog.FromContext(ctx).Info("An earlier change was undone as soon as its backend answered", "change", left.Plan.Story.ID, "leftover", leftover)
	r.config.Owner.Settled(leftover)
	return nil
}
