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

// ErrorKind says what went wrong in the words of the contract. Each boundary
// translates it at one switch: nmstate's kinds become ours on the host, ours
// travel on the stream as they are and become an API Status in the registry.
type ErrorKind string

const (
	// Invalid: the wanted state is wrong; nothing was changed.
	Invalid ErrorKind = "Invalid"
	// Conflict: the object was changed since the caller read it; read again.
	Conflict ErrorKind = "Conflict"
	// Busy: another change is being applied on the node.
	Busy ErrorKind = "Busy"
	// Failed: nmstate or the node failed at it; node and spec are as before, or
	// the message says what is not.
	Failed ErrorKind = "Failed"
	// Unreachable: the node's agent could not be asked; nothing was sent to it.
	Unreachable ErrorKind = "Unreachable"
	// Lost: the node's agent was lost after it had been asked; the outcome is unknown.
	Lost ErrorKind = "Lost"
	// InProgress: the caller did not wait for the end; the work goes on.
	InProgress ErrorKind = "InProgress"
)

// Error is the only error of the contract.
type Error struct {
	// Kind is what went wrong.
	Kind ErrorKind
	// Reason is a CamelCase word, nmstate's own error kind where there is one.
	Reason string
	// Message says it in words, nmstate's own where there are any. No secrets.
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
