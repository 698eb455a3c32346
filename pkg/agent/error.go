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

package agent

import "errors"

// ErrorKind says what went wrong. Each boundary translates kinds in one place: the
// host translates nmstate's kinds into these, these travel on the stream as they
// are, and the registry translates them into the API's Status.
type ErrorKind string

const (
	// Invalid: the wanted state is wrong; nothing was changed.
	Invalid ErrorKind = "Invalid"
	// Conflict: the object has changed since the caller read it; read it again.
	Conflict ErrorKind = "Conflict"
	// Busy: another change is being applied on the node, or too many dry runs are.
	Busy ErrorKind = "Busy"
	// Failed: nmstate or the node failed. Node and spec are as before, or the message
	// says what differs.
	Failed ErrorKind = "Failed"
	// Unreachable: the node's agent could not be asked, or is ending; it has not
	// touched anything.
	Unreachable ErrorKind = "Unreachable"
	// Lost: the stream to the agent ended after the request was sent; the outcome is unknown.
	Lost ErrorKind = "Lost"
	// InProgress: the caller stopped waiting; the work goes on.
	InProgress ErrorKind = "InProgress"
)

// Error is the only error of the contract.
type Error struct {
	// Kind is what went wrong.
	Kind ErrorKind
	// Reason is a CamelCase word, nmstate's own error kind where there is one.
	Reason string
	// Message explains the error, in nmstate's words where there are any. It has no secrets.
	Message string
}

// Error returns the message, after the reason where there is one.
func (e *Error) Error() string {
	if e.Reason == "" {
		return e.Message
	}
	return e.Reason + ": " + e.Message
}

// KindOf returns the kind of the *Error that err wraps, and Failed for any other error.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Failed
}
