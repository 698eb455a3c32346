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
	"context"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// phase is how far the change that is under way has come, as far as the object shows it.
type phase int

const (
	// checking: the change may be refused yet, and the object does not tell of it.
	checking phase = iota
	applying
	// awaiting: the change is in effect, its spec is shown, and a user must confirm it.
	awaiting
	// recovering: an earlier agent has left the change, and it is being ended.
	recovering
)

// underWay is the change that has begun and not ended.
type underWay struct {
	phase phase
	story v1alpha1.LastApply
	// after is the record that the change leads to.
	after record
	// awaits is called when the change waits for a user.
	awaits func()
	// read tells that the network was read since the change has begun to be applied; appliedAt is when it was applied.
	read      bool
	appliedAt time.Time
}

// busy is the error of a change that comes meanwhile.
func (c *underWay) busy() error {
	if c.phase == recovering && c.story.StartTime.IsZero() {
		return &agent.Error{Kind: agent.Busy, Message: "an earlier agent of this node has not ended yet, or its worker still undoes a change: try again"}
	}
	return agent.BusyWith(&c.story)
}

// owner is what the transaction knows of the Host.
type owner struct{ *Host }

var _ transaction.Owner = owner{}

// Reload implements transaction.Owner.
func (o owner) Reload() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.store.sweep()
	o.view.record, o.view.damage = o.store.load()
}

// Started implements transaction.Owner.
func (o owner) Started(story v1alpha1.LastApply) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.store.kept; err != nil {
		return notWritable(err)
	}
	if o.view.change == nil {
		return fmt.Errorf("change %s was not begun", story.ID)
	}
	o.view.change.phase, o.view.change.story = applying, story
	if err := o.publish(); err != nil {
		o.view.change.phase = checking
		return err
	}
	return nil
}

// Applied implements transaction.Owner. The network is read while it is being decided whether the change stays.
func (o owner) Applied() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stale()
	if o.turned = o.view.change; o.turned != nil {
		o.turned.appliedAt = time.Now()
	}
}

// Awaiting implements transaction.Owner.
func (o owner) Awaiting(_ json.RawMessage, story v1alpha1.LastApply) {
	o.mu.Lock()
	change := o.view.change
	change.phase, change.story = awaiting, story
	o.decided(change)
	o.mu.Unlock()
	if err := o.show(context.Background()); err != nil {
		klog.Background().Error(err, "Showing a change that waits for a user", "change", story.ID)
	}
	if change.awaits != nil {
		change.awaits()
	}
}

// Stage implements transaction.Owner.
func (o owner) Stage(content json.RawMessage, story v1alpha1.LastApply) error {
	r, err := parseContent(content)
	if err != nil {
		return err
	}
	r.LastApply = &story
	o.mu.Lock()
	defer o.mu.Unlock()
	err = o.store.stage(r)
	o.noteWritable(err)
	return err
}

// Unstage implements transaction.Owner.
func (o owner) Unstage() { o.store.unstage() }

// outcome is what a change leads to, until the change has ended.
type outcome struct {
	record record
	// leftover is what could not be put back.
	leftover string
}

// Adopt implements transaction.Owner.
func (o owner) Adopt(content json.RawMessage, story v1alpha1.LastApply) error {
	r, err := parseContent(content)
	if err != nil {
		return err
	}
	r.LastApply = &story
	o.mu.Lock()
	defer o.mu.Unlock()
	err = o.store.adopt(r)
	o.noteWritable(err)
	o.outcome = &outcome{record: r}
	return err
}

// Tell implements transaction.Owner.
func (o owner) Tell(story v1alpha1.LastApply, leftover string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.view.record
	r.LastApply = &story
	o.outcome = &outcome{record: r}
	if leftover != "" {
		o.outcome.leftover = transaction.Leftover(leftover)
	}
	return o.save(r)
}

// Save implements transaction.Owner.
func (o owner) Save() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.store.adopt(o.view.record)
	o.noteWritable(err)
	return err
}

// Ended implements transaction.Owner. It may be about an earlier change, whose end could not be written down
// before: the change that is under way goes on then.
func (o owner) Ended(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	committed := false
	if how := o.outcome; how != nil {
		o.outcome = nil
		committed = how.record.LastApply.Outcome == v1alpha1.ApplyCommitted
		o.view.record = how.record
		o.view.leftover = how.leftover
		if committed {
			o.view.damage = ""
		}
		o.hasLeftover()
	}
	change := o.view.change
	if change != nil && change.story.ID != id && change.phase != recovering {
		return
	}
	o.view.change = nil
	if committed {
		o.decided(change)
	} else {
		o.stale()
	}
}

// Settled implements transaction.Owner.
func (o owner) Settled(leftover string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.view.leftover = ""
	if leftover != "" {
		o.view.leftover = transaction.Leftover(leftover)
	}
	o.stale()
}

// noteUnsettled shows that an earlier agent has left a change that is to be undone again.
func (h *Host) noteUnsettled() {
	leftover := h.runner.Unsettled()
	if leftover == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.view.leftover = transaction.Leftover(leftover)
	h.hasLeftover()
}

// hasLeftover has settles begin, if something could not be put back. The caller holds the lock.
func (h *Host) hasLeftover() {
	if h.view.leftover == "" {
		return
	}
	select {
	case h.leftovers <- struct{}{}:
	default:
	}
}
