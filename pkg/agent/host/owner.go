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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// underWay is the change that has begun and not ended.
type underWay struct {
	// stage is what is being done for the change, and since when. It is empty as long as nobody is to be told of the change.
	stage v1alpha1.ApplyStage
	since metav1.Time
	// story is how the change went so far. It has no stage; see told.
	story v1alpha1.LastApply
	// after is the record that the change leads to.
	after record
	// asked is what is asked of the network, to be compared with it; nil until that is known.
	asked *v1alpha1.State
	// awaits is called when the change waits for a user.
	awaits func()
	// read tells that the network was read since the change has begun to be applied; appliedAt is when it was applied.
	read      bool
	appliedAt time.Time
}

// enter notes that another stage of the change begins.
func (c *underWay) enter(stage v1alpha1.ApplyStage) { c.stage, c.since = stage, now() }

// turns tells whether the network is made another one for the change: it is being applied, is in effect and not decided, or
// is being undone.
func (c *underWay) turns() bool {
	switch c.stage {
	case v1alpha1.StageApplying, v1alpha1.StageConfirming, v1alpha1.StageRollingBack:
		return true
	}
	return false
}

// told is the story with the stage that the change is in, as the object shows it.
func (c *underWay) told() *v1alpha1.LastApply {
	story := c.story
	if c.stage != "" {
		story.Stage, story.StageStartTime = c.stage, &c.since
	}
	return &story
}

// busy is the error of a change that comes meanwhile.
func (c *underWay) busy() error {
	if c.stage == v1alpha1.StageRecovering && c.story.StartTime.IsZero() {
		return &agent.Error{Kind: agent.Busy, Message: fmt.Sprintf(
			"an earlier agent of this node has not ended yet, or its worker still undoes a change; this agent waits since %s: try again", c.since.UTC().Format(time.RFC3339))}
	}
	return agent.BusyWith(c.told())
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

// Entered implements transaction.Owner. A stage that cannot be shown is no reason to give the change up.
func (o owner) Entered(stage v1alpha1.ApplyStage) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.view.change != nil {
		o.view.change.enter(stage)
		_ = o.publish()
	}
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
	o.view.change.story = story
	o.view.change.enter(v1alpha1.StageApplying)
	return o.publish()
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
	change.story = story
	change.enter(v1alpha1.StageAwaitingConfirmation)
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
	if change != nil && change.story.ID != id && change.stage != v1alpha1.StageRecovering {
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
	put(h.leftovers)
}
