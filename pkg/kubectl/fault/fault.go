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

// Package fault says what went wrong in a user's words: on which node, what to do, and with which exit code the plugin ends.
package fault

import (
	"errors"
	"strings"
)

// Code is the exit code that the plugin ends with.
type Code int

// The exit codes. They are documented in docs/user-guide/kubectl-plugin.md.
const (
	// Done: all went well; for diff, nothing would change.
	Done Code = 0
	// Differs: of diff alone: something would change.
	Differs Code = 1
	// Usage: an argument, a flag, a file or the kubeconfig is wrong; nothing was changed.
	Usage Code = 2
	// Refused: the API has refused the request; nothing was changed.
	Refused Code = 3
	// Failed: the change failed on the node, which is as it was before.
	Failed Code = 4
	// Undecided: the change goes on, waits for a confirmation, or what was waited for has not come.
	Undecided Code = 5
	// Unreachable: the API server or a node cannot be reached, or the node is busy; nothing was changed.
	Unreachable Code = 6
	// Interrupted: the user has interrupted the command.
	Interrupted Code = 130
)

// UndoManager is the field manager of changes that take others back. Who applies again what was taken back gets a conflict with it.
const UndoManager = "kubectl-nmstate-undo"

// Error is what went wrong.
type Error struct {
	// Node is the node that it is about; empty if it is about none, or about all.
	Node string `json:"node,omitempty"`
	Code Code   `json:"code"`
	// Message says what went wrong.
	Message string `json:"message"`
	// Remedy says what to do; empty if the message says so.
	Remedy string `json:"remedy,omitempty"`
	// NoNode tells that there is no node of the name.
	NoNode bool `json:"-"`
}

// Error implements error.
func (e *Error) Error() string {
	text := e.Message
	if e.Node != "" {
		text = e.Node + ": " + text
	}
	if e.Remedy != "" {
		text += "\n" + e.Remedy
	}
	return text
}

// Wrong returns an error of the command line or of a file.
func Wrong(message string, remedy ...string) *Error {
	return &Error{Code: Usage, Message: message, Remedy: strings.Join(remedy, "\n")}
}

// Stopped returns the error of an interrupt before anything was sent to a node, "" if it was not about one yet.
func Stopped(node string) *Error {
	return &Error{Node: node, Code: Interrupted, Message: "interrupted: nothing was changed"}
}

// Errors are the errors of several nodes.
type Errors []*Error

// Error implements error.
func (all Errors) Error() string {
	texts := make([]string, len(all))
	for i, err := range all {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "\n")
}

// Join returns the errors as one, nil if there is none.
func Join(all []*Error) error {
	var some Errors
	for _, err := range all {
		if err != nil {
			some = append(some, err)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some
}

// CodeOf returns the exit code for an error: of several the highest. An error of another kind is one of the command line, which
// cobra finds.
func CodeOf(err error) Code {
	if err == nil {
		return Done
	}
	if status := Status(0); errors.As(err, &status) {
		return Code(status)
	}
	if all := (Errors)(nil); errors.As(err, &all) {
		code := Done
		for _, one := range all {
			code = max(code, one.Code)
		}
		return code
	}
	if one := (*Error)(nil); errors.As(err, &one) {
		return one.Code
	}
	return Usage
}

// Status is an error that only sets the exit code: all has been said.
type Status Code

// Error implements error.
func (Status) Error() string { return "" }
