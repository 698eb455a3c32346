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

package nmstate

import "fmt"

// ErrorKind is libnmstate's kind of an error (rust/src/lib/error.rs).
type ErrorKind string

// The kinds of libnmstate 2.2.
const (
	InvalidArgument           ErrorKind = "InvalidArgument"
	PluginFailure             ErrorKind = "PluginFailure"
	Bug                       ErrorKind = "Bug"
	VerificationError         ErrorKind = "VerificationError"
	NotImplementedError       ErrorKind = "NotImplementedError"
	NotSupportedError         ErrorKind = "NotSupportedError"
	KernelIntegerRoundedError ErrorKind = "KernelIntegerRoundedError"
	DependencyError           ErrorKind = "DependencyError"
	PolicyError               ErrorKind = "PolicyError"
	PermissionError           ErrorKind = "PermissionError"
	SrIovVfNotFound           ErrorKind = "SrIovVfNotFound"
)

// Error is a failed call of libnmstate.
type Error struct {
	// Op is the C function that failed.
	Op string
	// Kind is libnmstate's kind.
	Kind ErrorKind
	// Msg is libnmstate's message. It may quote values of the given state: remove the
	// secrets before passing it on.
	Msg string
	// Log is libnmstate's log of the call, a JSON array of entries. It is empty for
	// functions that have no log. It may quote the state, so it is not part of the
	// error's text.
	Log string
}

// Error returns function, kind and message, never the log.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %s", e.Op, e.Kind, e.Msg) }
