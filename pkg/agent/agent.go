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

// Package agent is the contract between the API server and the agents on the
// nodes: what the one may ask and the other answers. The fake, the gRPC stream
// and the real host all keep it, and one conformance suite proves it of each.
package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Agent is the network of one node, as the node's own agent shows and sets it.
//
// The objects that pass through it carry what the agent owns: of the metadata
// annotations, managedFields and generation, the spec, and the status. Name,
// uid, labels, owner and resourceVersion are the API server's to stamp. Secrets
// in them are masked. Whoever receives an object must not change it.
//
// Every error is an *Error, but for a context's own.
type Agent interface {
	// Watch delivers the object as it is now, then again whenever it changed,
	// until ctx ends; it returns ctx's error. deliver is called by one goroutine
	// at a time, in the order of the changes; while it runs, changes coalesce.
	Watch(ctx context.Context, deliver func(*v1alpha1.NodeNetworkState)) error

	// Barrier returns once every change that had happened on the node before the
	// call has been delivered to every Watch that was there before the call.
	// Barriers that come while one is under way share the next one. read tells
	// whether the network was read for it: it need not be if nothing can have
	// changed since it was read last.
	Barrier(ctx context.Context) (read bool, err error)

	// Validate answers with the object as it would be if the change were
	// committed, status.difference filled with what would change on the node, and
	// with what the user should know about the change.
	// Nothing is touched. An agent may make dry runs wait for each other; one that
	// has waited too long fails with kind Busy.
	Validate(ctx context.Context, change Change) (*Plan, error)

	// Apply makes the node what the change says, as one transaction, and answers
	// with the object that came of it, which every Watch was given before. On
	// any error node, spec, annotations and managedFields are as they were, and
	// status.lastApply tells of it if the spec was to change; not so if another
	// change was there first (Conflict, Busy): the story told is then that one's.
	//
	// A desired state that is absent or empty asks nothing of the network: a change
	// to it is committed, and the network is not touched. With v1alpha1.RemovalRevert,
	// what leaves the desired state is taken away in the same transaction.
	//
	// If ctx ends first the apply goes on; the error is then of kind InProgress.
	//
	// A change is committed only when it is confirmed, see v1alpha1.Confirmation. One
	// that is to be confirmed manually answers as soon as the node could be reached: the
	// object has the new spec, and waits for Decide.
	Apply(ctx context.Context, change Change) (*v1alpha1.NodeNetworkState, error)

	// Decide commits the change that waits for a manual confirmation, or rolls it
	// back, and answers with the object that came of it. If no change waits, or another
	// one than the decision names, the error is of kind Conflict.
	Decide(ctx context.Context, decision Decision) (*v1alpha1.NodeNetworkState, error)

	// History answers with the last changes, the newest first.
	History(ctx context.Context) (*v1alpha1.NodeNetworkStateHistory, error)

	// Recall answers with the story of a change that was asked for not long ago, nil if the agent
	// does not know the change: it was not begun. A change of annotations alone, which no history
	// has, is known too.
	Recall(ctx context.Context, id string) (*v1alpha1.LastApply, error)

	// Ports answers with what the kernel and the hardware tell of the node's ports: read after the
	// call, and nothing is read unless it is called. Ports without a counterpart in currentState,
	// such as pods' veths, are left out.
	Ports(ctx context.Context) (*v1alpha1.NodeNetworkPorts, error)
}

// Plan is what a change would do.
type Plan struct {
	// Object is the object as it would be.
	Object *v1alpha1.NodeNetworkState
	// Warnings are sentences for the user, such as that the way to the API server is touched.
	Warnings []string
}

// Decision ends a change that waits for a manual confirmation.
type Decision struct {
	// Transaction is the id of the change.
	Transaction string
	// Commit tells whether the change stays; else it is rolled back.
	Commit bool
	// User is the name of the user who decided.
	User string
}

// Confirmer is whom an agent asks whether its node can be reached from elsewhere.
type Confirmer interface {
	// Confirm asks over a new connection, with nothing reused of an older one. An error
	// means that nobody answered, or that whoever answered refuses the agent.
	Confirm(ctx context.Context, question Question) (Testimony, error)
}

// Question is what a Confirmer is asked.
type Question struct {
	// Transaction is the id of the change, StateHash the SHA-256 of its desired state
	// with secrets masked.
	Transaction string
	StateHash   []byte
	// Rehearsal tells that the change has not begun yet.
	Rehearsal bool
}

// Testimony is what a Confirmer has found out.
type Testimony struct {
	// Server is the name of the API server that answered.
	Server string
	// SameHost tells that the server runs on the agent's own node: that it
	// answered proves nothing about the node's network.
	SameHost bool
	// Outside is what answered the server from outside of the node; empty if nothing
	// did, or if SameHost is false.
	Outside string
}

// ApplyFailed tells whether the last apply, nil if there was none, has ended and failed.
func ApplyFailed(last *v1alpha1.LastApply) bool {
	return last != nil && last.Outcome != v1alpha1.ApplyCommitted && last.Outcome != v1alpha1.ApplyInProgress
}

// BusyWith returns the error of a change that comes while another one is being
// applied. It says which one and since when, and of one that waits for a user how to end it.
func BusyWith(running *v1alpha1.LastApply) *Error {
	if running.ConfirmBefore != nil {
		return &Error{Kind: Busy, Message: fmt.Sprintf("change %s by %q, to generation %d, is in effect and waits for a user's confirmation until %s: "+
			"confirm it or roll it back by its id (subresource confirm or rollback), or try again when it has ended; "+
			"unless it is confirmed by then, it is rolled back", running.ID, running.User, running.Generation, running.ConfirmBefore.UTC().Format(time.RFC3339))}
	}
	by := ""
	if running.User != "" {
		by = fmt.Sprintf(" by %q", running.User)
	}
	stage := ""
	if running.Stage != "" && running.StageStartTime != nil {
		stage = fmt.Sprintf(", in stage %s since %s", running.Stage, running.StageStartTime.UTC().Format(time.RFC3339))
	}
	return &Error{Kind: Busy, Message: fmt.Sprintf("another change%s, to generation %d, has been under way on this node since %s%s: "+
		"try again when it has ended, see status.lastApply", by, running.Generation, running.StartTime.UTC().Format(time.RFC3339), stage)}
}

// NothingAwaits returns the error of a decision about a change that does not wait for
// one. awaiting is the id of the change that does, empty if none does.
func NothingAwaits(awaiting string) *Error {
	if awaiting != "" {
		return &Error{Kind: Conflict, Message: fmt.Sprintf("another change waits for a confirmation, %s: see status.lastApply", awaiting)}
	}
	return &Error{Kind: Conflict, Message: "no change waits for a confirmation: it has ended, see status.lastApply"}
}

// Change is a write to a node's object.
type Change struct {
	// Object has the annotations, managedFields and spec that are wanted. Whether
	// the spec differs from the one before is judged by meaning. A change of
	// nothing at all applies the spec again if the node has drifted from it, or if
	// the last change failed.
	Object *v1alpha1.NodeNetworkState
	// Base identifies the object that the change was made from. If the agent's own is
	// another one, the change fails with kind Conflict. Between API server and agent it is
	// a token of the agent's; within either of them it is a Fingerprint.
	Base string
	// User is the name of the user who asked, for status.lastApply, and Manager the
	// change's field manager.
	User, Manager string
	// ID is to be the id of the change, as in status.lastApply; a UUID. If it is empty, the
	// agent chooses one.
	ID string
	// Addresses are the InternalIPs of the node itself, and of those that the spec's
	// probes name, by name of the node. Standalone there are none but those that the
	// agents' connections come from.
	Addresses map[string][]string
}

// Protocol is the version of the protocol between API server and agent that this
// program speaks. Version 0 had no versions. Versions may differ by one.
const Protocol = 1

// What an agent may be able to do, as its Hello says.
const (
	// CapabilityConfirmation: changes are confirmed; the agent knows all of v1alpha1.NodeNetworkStateSpec but for removal.
	CapabilityConfirmation = "confirmation"
	// CapabilityHistory: the agent keeps a history.
	CapabilityHistory = "history"
	// CapabilityRecall: the agent knows of each of the last changes what became of it.
	CapabilityRecall = "recall"
	// CapabilityRemoval: the agent knows spec.removal.
	CapabilityRemoval = "removal"
	// CapabilityPorts: the agent tells what the kernel and the hardware know of the ports.
	CapabilityPorts = "ports"
)

// ReasonNotSupported is the reason of an error about something that an agent lacks the capability for.
const ReasonNotSupported = "NotSupported"

// Capabilities are what an agent of this version can do.
func Capabilities() []string {
	return []string{CapabilityConfirmation, CapabilityHistory, CapabilityRecall, CapabilityRemoval, CapabilityPorts}
}
