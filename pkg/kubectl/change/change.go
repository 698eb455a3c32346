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

// Package change makes a change of a node, follows it from stage to stage, has the user confirm it, and tells how it ended.
package change

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

const (
	// patience is how long a change is sent again to a node that is busy, or to a server that asks to try again.
	patience = 30 * time.Second
	// longest is how long the end of a change is waited for. It is longer than a node takes for any change.
	longest = 20 * time.Minute
	// StageWaiting is shown while another change is under way.
	StageWaiting = "Waiting"
	// StageSending is shown until the node tells of the change.
	StageSending = "Sending"
)

// Progress is how far a change is.
type Progress struct {
	Node string `json:"node"`
	// Change is the id of the change; empty until the node has told.
	Change string `json:"change,omitempty"`
	// Stage is a stage of status.lastApply, StageSending or StageWaiting.
	Stage string `json:"stage"`
	// Message says what is waited for.
	Message string                 `json:"message,omitempty"`
	Probes  []v1alpha1.ProbeResult `json:"probes,omitempty"`
}

// Result is how a change ended.
type Result struct {
	Node string `json:"node"`
	// The story of the change as the node tells it; absent if the node was not asked, or is not known to have begun.
	*v1alpha1.LastApply `json:",inline"`
	// Unchanged tells that all of it held already, so that no change was made; the story is that of the change before.
	Unchanged bool `json:"unchanged,omitempty"`
	// Rest is the change that took out of the spec what an undo had written into it besides; nil if there was none.
	Rest *v1alpha1.LastApply `json:"rest,omitempty"`
	// NotSent tells that the request did not leave the plugin, or was turned away because the node was busy.
	NotSent bool `json:"-"`
	// Warnings of the server.
	Warnings []string `json:"warnings,omitempty"`
	// Error is why the change is not committed; nil if it is, or was left waiting for a confirmation.
	Error *fault.Error `json:"error,omitempty"`
}

// Waits tells whether the change is in effect and waits for a manual confirmation.
func (r *Result) Waits() bool {
	return r.Error == nil && r.LastApply != nil && r.Outcome == v1alpha1.ApplyInProgress
}

// Decision is what becomes of a change that waits for a confirmation.
type Decision int

const (
	// Leave lets the change wait; the node rolls it back when its time is over.
	Leave Decision = iota
	// Confirm commits the change.
	Confirm
	// RollBack takes it back.
	RollBack
)

// Request is a change of a node.
type Request struct {
	Node string
	// Manager is the field manager that the change is made with.
	Manager string
	// Send makes the request.
	Send func(ctx context.Context) (*v1alpha1.NodeNetworkState, error)
}

// Maker makes changes.
type Maker struct {
	Clients versioned.Interface
	// Report is told of each step.
	Report func(Progress)
	// Decide is asked about a change that waits for a confirmation. ctx ends when the change does.
	Decide func(ctx context.Context, node string, waits *v1alpha1.LastApply) Decision
}

// Make makes a change and returns when it has ended, when it is left waiting, or when ctx ends; the change then goes on.
func (m *Maker) Make(ctx context.Context, request Request) Result {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	f := &following{Maker: m, Request: request, observed: observe(watching, m.Clients, request.Node)}
	f.before = lastID(f.last)
	m.Report(Progress{Node: request.Node, Stage: StageSending})
	obj, err := f.send(ctx)
	if err == nil {
		if last := obj.Status.LastApply; last != nil && last.Outcome == v1alpha1.ApplyInProgress {
			f.take(obj)
			return f.toTheEnd(ctx, last.ID)
		}
		return Result{Node: request.Node, LastApply: obj.Status.LastApply, Unchanged: lastID(obj) == f.before}
	}
	return f.afterError(ctx, err)
}

// following is a change on its way.
type following struct {
	*Maker
	Request
	*observed
	// before is the id of the last change that is not this one.
	before string
	// sent tells that the request may have reached the node.
	sent atomic.Bool
}

func lastID(obj *v1alpha1.NodeNetworkState) string {
	if obj == nil || obj.Status.LastApply == nil {
		return ""
	}
	return obj.Status.LastApply.ID
}

// answer is what a request has returned.
type answer struct {
	obj *v1alpha1.NodeNetworkState
	err error
}

// send makes the request, again while the node is busy, and reports what the node tells meanwhile.
func (f *following) send(ctx context.Context) (*v1alpha1.NodeNetworkState, error) {
	until := time.Now().Add(patience)
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { f.sent.Store(true) }})
	for {
		answers := make(chan answer, 1)
		go func() {
			obj, err := f.Send(traced)
			answers <- answer{obj, err}
		}()
		got, err := f.whileSent(ctx, answers)
		seconds, again := apierrors.SuggestsClientDelay(err)
		if !again || !apierrors.IsTooManyRequests(err) && !apierrors.IsServiceUnavailable(err) || time.Now().After(until) {
			return got, err
		}
		if apierrors.IsTooManyRequests(err) {
			f.Report(Progress{Node: f.Node, Stage: StageWaiting, Message: err.Error()})
			f.sent.Store(false)
		}
		if err := f.pause(ctx, time.Duration(max(seconds, 1))*time.Second); err != nil {
			return nil, err
		}
		f.before = lastID(f.last)
	}
}

// whileSent reports what the node tells until the request is answered.
func (f *following) whileSent(ctx context.Context, answers <-chan answer) (*v1alpha1.NodeNetworkState, error) {
	for {
		select {
		case a := <-answers:
			return a.obj, a.err
		case event := <-f.events:
			f.see(event)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// pause waits for a while, or until nothing is under way on the node any more.
func (f *following) pause(ctx context.Context, while time.Duration) error {
	timer := time.NewTimer(while)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return nil
		case event := <-f.events:
			f.take(event.New)
			if last := f.lastApply(); last != nil && last.Outcome != v1alpha1.ApplyInProgress {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lastApply returns the story of the last change of the node, nil if none was seen.
func (f *following) lastApply() *v1alpha1.LastApply {
	if f.last == nil {
		return nil
	}
	return f.last.Status.LastApply
}

// own returns the story of this change, nil if the node has not told of it.
func (f *following) own() *v1alpha1.LastApply {
	last := f.lastApply()
	if last == nil || last.ID == f.before || last.Manager != f.Manager {
		return nil
	}
	return last
}

// see takes note of an object, and reports the stage of the change.
func (f *following) see(event Event) {
	f.take(event.New)
	if last := f.own(); last != nil && last.Outcome == v1alpha1.ApplyInProgress {
		f.Report(Progress{Node: f.Node, Change: last.ID, Stage: string(last.Stage), Probes: last.Probes})
	}
}

// afterError tells what became of the change when the request has failed.
func (f *following) afterError(ctx context.Context, err error) Result {
	if ctx.Err() != nil {
		return f.interrupted()
	}
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) && !f.sent.Load() {
		return Result{Node: f.Node, NotSent: true, Error: fault.From(f.Node, err)}
	}
	undecided := isUndecided(err)
	if last := f.refreshed(ctx, !undecided); last != nil {
		if undecided && last.Outcome == v1alpha1.ApplyInProgress {
			return f.toTheEnd(ctx, last.ID)
		}
		if undecided {
			return f.ended(last)
		}
		return Result{Node: f.Node, LastApply: last, Error: fault.From(f.Node, err)}
	}
	found := fault.From(f.Node, err)
	if undecided {
		found.Node, found.Code, found.Remedy = f.Node, fault.Undecided, fmt.Sprintf(
			"It is not known whether the change was begun: \"kubectl nmstate history %s\" tells. Look there before you repeat it.", f.Node)
	}
	return Result{Node: f.Node, Error: found}
}

// isUndecided tells whether a change may go on, or have been made, although its request, which was sent, has failed: the answer was not waited
// for, or it is of somebody on the way to the node.
func isUndecided(err error) bool {
	status := apierrors.APIStatus(nil)
	if !errors.As(err, &status) {
		return true
	}
	details := status.Status().Details
	ofNode := details != nil && details.Kind == "nodenetworkstates" && details.Name != ""
	return apierrors.IsTimeout(err) || status.Status().Code >= http.StatusInternalServerError && !ofNode
}

// freshWait is how long a node is asked for the story of a change that has ended.
const freshWait = 3 * time.Second

// refreshed returns the story of this change: as the node tells it now if that is wanted, or if it cannot be asked as the server
// knows it.
func (f *following) refreshed(ctx context.Context, now bool) *v1alpha1.LastApply {
	nodes := f.Clients.NmstateV1alpha1().NodeNetworkStates()
	if now {
		asking, cancel := context.WithTimeout(ctx, freshWait)
		defer cancel()
		if obj, err := nodes.Get(asking, f.Node, metav1.GetOptions{}); err == nil {
			f.take(obj)
			return f.own()
		}
	}
	if obj, err := nodes.Get(ctx, f.Node, metav1.GetOptions{ResourceVersion: "0"}); err == nil {
		f.take(obj)
	}
	return f.own()
}

// errLongest is the end of waiting.
var errLongest = errors.New("the change has not ended in time")

// toTheEnd follows the change of this id, which the node has told of, until it has ended. A change that waits for a confirmation is decided about.
func (f *following) toTheEnd(ctx context.Context, id string) Result {
	waiting, stop := context.WithTimeoutCause(ctx, longest, errLongest)
	defer stop()
	asked := false
	for last := f.lastApply(); ; {
		now := f.lastApply()
		switch {
		case f.last == nil:
			return Result{Node: f.Node, LastApply: last, Error: &fault.Error{Node: f.Node, Code: fault.Undecided, Message: "the node was removed while the change was under way"}}
		case now == nil || now.ID != id:
			return Result{Node: f.Node, Error: &fault.Error{Node: f.Node, Code: fault.Undecided, Message: fmt.Sprintf("change %s has ended, and another one has begun", id),
				Remedy: fmt.Sprintf("\"kubectl nmstate history %s\" shows how it has ended.", f.Node)}}
		case now.Outcome != v1alpha1.ApplyInProgress:
			return f.ended(now)
		case now.ConfirmBefore != nil && !asked:
			asked = true
			if result := f.decide(waiting, now); result != nil {
				return *result
			}
			continue
		}
		last = now
		select {
		case event := <-f.events:
			f.see(event)
		case <-waiting.Done():
			if ctx.Err() != nil {
				return f.interrupted()
			}
			return Result{Node: f.Node, LastApply: last, Error: &fault.Error{Node: f.Node, Code: fault.Undecided,
				Message: fmt.Sprintf("change %s has not ended within %v", id, longest), Remedy: fault.Follow(f.Node)}}
		}
	}
}

// decide asks what becomes of a change that waits, as long as it does. It returns nil if the change is to be followed on.
func (f *following) decide(ctx context.Context, waits *v1alpha1.LastApply) *Result {
	f.Report(Progress{Node: f.Node, Change: waits.ID, Stage: string(v1alpha1.StageAwaitingConfirmation), Probes: waits.Probes})
	asking, over := context.WithCancel(ctx)
	defer over()
	decisions := make(chan Decision, 1)
	go func() { decisions <- f.Decide(asking, f.Node, waits) }()
	decision := Leave
	for decided := false; !decided; {
		select {
		case decision = <-decisions:
			decided = true
		case event := <-f.events:
			f.see(event)
			if last := f.lastApply(); last == nil || last.ID != waits.ID || last.Outcome != v1alpha1.ApplyInProgress {
				over()
				<-decisions
				return nil
			}
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if decision == Leave {
		return &Result{Node: f.Node, LastApply: waits}
	}
	obj, err := Decided(ctx, f.Clients, f.Node, waits.ID, decision)
	if err != nil {
		// Its time may be over: then the object tells.
		if last := f.refreshed(ctx, true); last != nil && last.Outcome != v1alpha1.ApplyInProgress {
			result := f.ended(last)
			return &result
		}
		return &Result{Node: f.Node, LastApply: waits, Error: fault.From(f.Node, err)}
	}
	f.take(obj)
	return nil
}

// Decided confirms a change that waits, or rolls it back. It returns the object that came of it.
func Decided(ctx context.Context, clients versioned.Interface, node, id string, decision Decision) (*v1alpha1.NodeNetworkState, error) {
	nodes := clients.NmstateV1alpha1().NodeNetworkStates()
	reference := &v1alpha1.TransactionReference{ID: id}
	if decision == Confirm {
		return nodes.Confirm(ctx, node, reference, metav1.CreateOptions{})
	}
	return nodes.Rollback(ctx, node, reference, metav1.CreateOptions{})
}

// ended returns the result of a change that has ended.
func (f *following) ended(last *v1alpha1.LastApply) Result {
	result := Result{Node: f.Node, LastApply: last}
	if last.Outcome != v1alpha1.ApplyCommitted {
		result.Error = fault.Ended(f.Node, last)
	}
	return result
}
