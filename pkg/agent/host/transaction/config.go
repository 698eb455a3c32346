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
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/probe"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Config says how changes are carried out.
type Config struct {
	// Dir is the folder of the journal, the lock and the history.
	Dir string
	// Kernel identifies the running kernel and its network namespace: with another
	// one, the node has been booted since.
	Kernel string
	// Owner keeps the node's record and shows its object.
	Owner Owner
	// Confirmer is asked whether the node can be reached. If it is nil, only changes of mode None can be made.
	Confirmer agent.Confirmer
	// Restored, if it is not nil, is called in a goroutine of its own when the network was put back after a change.
	Restored func(context.Context)
	// Probe tries probes in parallel, and returns how that went in the same order.
	Probe func(ctx context.Context, probes []v1alpha1.Probe, addresses map[string][]string) []probe.Attempt
	// HasGateway tells whether the node has a default gateway, Gateway whether it answers.
	HasGateway func() bool
	Gateway    func(ctx context.Context) bool
	// ToValidate returns a desired state as nmstate is to validate it.
	ToValidate func(desired, current []byte) ([]byte, error)
	// Impossible returns what of a desired state this node's kernel is known to refuse.
	Impossible func(desired, current []byte) (field.ErrorList, error)
	// Holds tells whether all of a desired state holds in the current one.
	Holds func(desired, current []byte) (bool, error)
	// Limits are how long things may take.
	Limits Limits
	// At, if it is not nil, is called at each moment of a change. It is for tests, which inject faults.
	At func(Moment)
}

// Owner is who owns the node's record and shows its object.
type Owner interface {
	// Reload is called when no other agent of the node is at work any more. The record may be another one
	// since it was read.
	Reload()
	// Entered is called when another stage of the change begins, but for those that Started and Awaiting tell of.
	Entered(stage v1alpha1.ApplyStage)
	// Started is called when the journal has the change, before the network is touched.
	// An error, such as an object that cannot be shown, refuses the change.
	Started(story v1alpha1.LastApply) error
	// Applied is called when the network has what the change leads to, before it is decided whether the change stays.
	Applied()
	// Awaiting is called when the change is in effect and waits for a user. The record is the one that the change leads to.
	Awaiting(record json.RawMessage, story v1alpha1.LastApply)
	// Stage puts the record that the change leads to on the disk, beside the one that counts.
	Stage(record json.RawMessage, story v1alpha1.LastApply) error
	// Adopt makes the staged record the one that counts. If there is none, because it
	// counts already or was lost, Adopt writes it.
	Adopt(record json.RawMessage, story v1alpha1.LastApply) error
	// Unstage removes the staged record.
	Unstage()
	// Tell records how a change has ended that is not in effect, and what could not be put back.
	Tell(story v1alpha1.LastApply, leftover string) error
	// Ended is called when the change of that id has ended, after Adopt or Tell, whether they could write it or not.
	Ended(id string)
	// Save writes the record as it is now. It is called in place of Adopt or Tell if what they wanted to write could not be
	// written: the record may be a newer one since.
	Save() error
	// Settled is called when a change was undone whose backend did not answer before, with what is still left of it.
	Settled(leftover string)
}

// Limits are how long things may take. When a limit is over, the change ends with reason TimedOut.
type Limits struct {
	// Check is for reading and validating, Rehearsal for asking whether the node can be reached before the change.
	Check, Rehearsal time.Duration
	// Apply is for libnmstate's apply and its verification, which libnmstate repeats for some time. It must hold on a slow node:
	// an apply that fails at verification takes 20 s on a usual one, and minutes on an emulated one.
	Apply time.Duration
	// Silence is how long NetworkManager may leave the agent without an answer during an apply. So an apply that is stuck
	// ends sooner than one that makes progress.
	Silence time.Duration
	// Commit is for the backend's commit, Call for each call of NetworkManager.
	Commit, Call time.Duration
	// Undo is for all of the undoing.
	Undo time.Duration
	// Stop is for an apply that is under way when the agent ends.
	Stop time.Duration
	// Lock is for the worker of an agent that has died, and Backend for NetworkManager to be there when the agent starts, or
	// to be back when it has ended in the midst of a change.
	Lock, Backend time.Duration
}

// DefaultLimits are the limits of a node. They hold on a node that is thirty times as slow as a usual one: an emulated one, or
// one whose processors have too much to do. A limit ends what is stuck, and not what is slow.
func DefaultLimits() Limits {
	return Limits{
		Check: 2 * time.Minute, Rehearsal: 10 * time.Second, Apply: 10 * time.Minute, Silence: 2 * time.Minute, Commit: time.Minute,
		Call: time.Minute, Undo: 5 * time.Minute, Stop: 30 * time.Second, Lock: 2 * time.Minute, Backend: time.Minute,
	}
}

// Change is a change that is to be carried out.
type Change struct {
	// Story is who asked for it, and when; its ID identifies the change.
	Story v1alpha1.LastApply
	// Backend is what carries it out.
	Backend v1alpha1.Backend
	// Desired is the desired state, Previous the one before, nil if there is none; both have their secrets.
	Desired, Previous json.RawMessage
	// PreviousSpec is the spec before, for the history; its secrets are masked.
	PreviousSpec *v1alpha1.NodeNetworkStateSpec
	// Settle returns what is to be applied and the record that the change leads to. It is called once, when the network is read. An
	// error, which has no secrets, refuses the change.
	Settle func(current []byte) (Settled, error)
	// Mode is who confirms the change, and Timeout until when.
	Mode    v1alpha1.ConfirmationMode
	Timeout time.Duration
	// Probes must be answered after the change; Addresses are those of the nodes that they name.
	Probes    []v1alpha1.Probe
	Addresses map[string][]string
	// Unrehearsed makes the change although the node could not be reached before; it is confirmed like any other.
	Unrehearsed bool
	// Committed, if it is not nil, is called when the change is committed and that is written down. What is left to do then,
	// such as emptying the journal, need not be waited for.
	Committed func()
}

// Settled is what a change comes to on the network that was read.
type Settled struct {
	// State is what is to be applied: the desired state, and what takes away what has left it. It has its secrets.
	State json.RawMessage
	// Record is the record that the change leads to, but for the story in it.
	Record json.RawMessage
	// Difference is what the change is to make different, for the history; its secrets are masked.
	Difference *v1alpha1.State
	// Left names what is taken away because it has left the desired state.
	Left []string
}

// plan is what the journal has of a change from its beginning: all that is needed to undo it, or
// to carry it to its end.
type plan struct {
	// Kernel is the kernel and network namespace in which the change was begun.
	Kernel string `json:"kernel"`
	// Current is the network before the change, with its secrets. Before has it, too, for the journal.
	Current []byte             `json:"-"`
	Backend v1alpha1.Backend   `json:"backend"`
	Story   v1alpha1.LastApply `json:"story"`
	Record  json.RawMessage    `json:"record"`
	// Desired is what is applied, Left names what of it takes away what has left the desired state.
	Desired json.RawMessage `json:"desired"`
	Left    []string        `json:"left,omitempty"`
	// Previous is the desired state before; errors may quote its secrets.
	Previous json.RawMessage `json:"previous,omitempty"`
	Before   *undo.Before    `json:"before"`
	// Worker is the process that undoes the change if the agent dies.
	Worker  int                       `json:"worker"`
	Mode    v1alpha1.ConfirmationMode `json:"mode"`
	Timeout time.Duration             `json:"timeout"`
	// Difference, Reverse and PreviousSpec are for the history; their secrets are masked.
	Difference   *v1alpha1.State                `json:"difference,omitempty"`
	Reverse      *v1alpha1.State                `json:"reverse,omitempty"`
	PreviousSpec *v1alpha1.NodeNetworkStateSpec `json:"previousSpec,omitempty"`
}

// states are the states whose secrets an error may quote. The one before the change is one of
// them: nmstate compares it, with its secrets, when it verifies.
func (p *plan) states() [][]byte { return [][]byte{p.Current, p.Desired, p.Previous} }

func (p *plan) scrub(text string) string { return secret.Scrub(text, p.states()...) }

// uncovered adds to a story what cannot be put back in any case.
func (p *plan) uncovered(story v1alpha1.LastApply) v1alpha1.LastApply {
	if names := p.Before.Uncovered(); len(names) > 0 {
		story.Message = clip(story.Message + "; where the change has altered it, this cannot be put back: " + p.scrub(strings.Join(names, "; ")))
	}
	return story
}

// translate turns an error of libnmstate into the contract's, without secrets.
func (p *plan) translate(err error) error {
	if err == nil {
		return nil
	}
	return Translate(err, p.states()...)
}

// mostLeft is how many names of what is taken away a message has.
const mostLeft = 5

// explain adds to an error that the change also takes away what the user has not written, if it does.
func (p *plan) explain(err error) error {
	var known *agent.Error
	if len(p.Left) == 0 || !errors.As(err, &known) {
		return err
	}
	names := p.Left
	if len(names) > mostLeft {
		names = append(slices.Clone(names[:mostLeft]), "…")
	}
	return &agent.Error{Kind: known.Kind, Reason: known.Reason, Message: fmt.Sprintf("%s; the change also takes away what has left the spec (%s): "+
		"with spec.removal set to Orphan it stays", known.Message, strings.Join(names, ", "))}
}
