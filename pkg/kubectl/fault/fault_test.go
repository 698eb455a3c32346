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

package fault

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// status is an answer about node01, with a cause.
func status(code int32, reason metav1.StatusReason, message, cause string) error {
	s := metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message,
		Details: &metav1.StatusDetails{Kind: "nodenetworkstates", Name: "node01"}}
	if cause != "" {
		s.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseType(cause)}}
	}
	return &apierrors.StatusError{ErrStatus: s}
}

func connection(err error) error {
	return &url.Error{Op: "Get", URL: "https://192.0.2.1:6443/apis", Err: err}
}

// TestFrom: each error has its exit code, and says what to do.
func TestFrom(t *testing.T) {
	generic := func(code int32, message string) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Code: code, Message: message, Reason: metav1.StatusReasonUnknown}}
	}
	for _, c := range []struct {
		name            string
		err             error
		code            Code
		message, remedy string
	}{
		{"who", generic(401, "Unauthorized"), Refused, "does not know who you are", "credentials"},
		{"may not read", status(403, metav1.StatusReasonForbidden, `nodenetworkstates.nmstate.io "node01" is forbidden: User "anna" cannot get resource`, ""), Refused, `User "anna" cannot get`, "nodenetworkstates-viewer"},
		{"may not change", generic(403, `User "anna" cannot patch resource`), Refused, "cannot patch", "nodenetworkstates-editor"},
		{"stranger", generic(403, `User "system:anonymous" cannot list resource`), Refused, "anonymous", "credentials"},
		{"may not list", generic(403, `User "anna" cannot list resource`), Refused, "cannot list", "Name the nodes"},
		{"may not confirm", generic(403, `cannot create resource "nodenetworkstates/confirm"`), Refused, "confirm", "nodenetworkstates-confirmer"},
		{"policy", generic(403, "eth0 is not to be touched"), Refused, "eth0", "policy"},
		{"no node", status(404, metav1.StatusReasonNotFound, "not found", ""), Refused, `there is no node "node01"`, "kubectl get nns"},
		{"not served", generic(404, "the server could not find the requested resource"), Refused, "does not serve nmstate.io/v1alpha1", "right context"},
		{"unknown field", generic(400, `strict decoding error: unknown field "spec.x"`), Refused, "spec.x", "--validate=warn"},
		{"manager", status(409, metav1.StatusReasonConflict, "conflict with a", string(metav1.CauseTypeFieldManagerConflict)), Refused, "conflict with a", "--force-conflicts"},
		{"undone", status(409, metav1.StatusReasonConflict, `conflict with "kubectl-nmstate-undo"`, string(metav1.CauseTypeFieldManagerConflict)), Refused, "kubectl-nmstate-undo", "kubectl edit nns node01"},
		{"modified", status(409, metav1.StatusReasonConflict, "the object has been modified", ""), Refused, "modified", "metadata.resourceVersion"},
		{"nothing waits", status(409, metav1.StatusReasonConflict, "no change waits", ""), Refused, "no change waits", "history"},
		{"invalid", status(422, metav1.StatusReasonInvalid, `NodeNetworkState.nmstate.io "node01" is invalid: spec.probes[0]: x`, ""), Refused, "spec.probes[0]", "Nothing was changed"},
		{"no such field", status(422, metav1.StatusReasonInvalid, `.spec.interfaces: field not declared in schema`, ""), Refused, ".spec.interfaces", `"kubectl explain nns.spec"`},
		{"a probe", &apierrors.StatusError{ErrStatus: metav1.Status{Code: 422, Message: "a", Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Field: "spec.probes[0].tcp"}}}}},
			Refused, "a", `"kubectl explain nns.spec.probes --recursive"`},
		{"a state", &apierrors.StatusError{ErrStatus: metav1.Status{Code: 422, Message: "a", Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Field: "spec.desiredState"}}}}},
			Refused, "a", `"kubectl explain nns.spec.desiredState --recursive"`},
		{"busy", status(429, metav1.StatusReasonTooManyRequests, `node "node01": another change`, ""), Unreachable, "another change", "wait node01 --for=idle"},
		{"failed", status(500, metav1.StatusReasonInternalError, `node "node01": it failed`, "VerificationError"), Failed, "it failed", "as it was before"},
		{"not confirmed", status(500, metav1.StatusReasonInternalError, "x", v1alpha1.ReasonNotConfirmed), Failed, "x", "did not answer"},
		{"incomplete", status(500, metav1.StatusReasonInternalError, "x", v1alpha1.ReasonRollbackIncomplete), Failed, "x", "put that right"},
		{"server", generic(500, "etcd"), Unreachable, "does not answer", "apiservice"},
		{"agent gone", status(503, metav1.StatusReasonServiceUnavailable, `node "node01": the agent cannot be reached`, ""), Unreachable, "the agent cannot", "--for=available"},
		{"not reachable", status(503, metav1.StatusReasonServiceUnavailable, "x", v1alpha1.ReasonNotReachable), Unreachable, "x", "--confirm=none"},
		{"no server", generic(503, "no active server"), Unreachable, "does not answer", "apiservice"},
		{"still", status(504, metav1.StatusReasonTimeout, "still being applied", ""), Undecided, "still", "Do not repeat"},
		{"refused", connection(&net.OpError{Op: "dial", Err: &os.SyscallError{Err: syscall.ECONNREFUSED}}), Unreachable, "https://192.0.2.1:6443 cannot", "Nothing listens"},
		{"authority", connection(x509.UnknownAuthorityError{}), Unreachable, "unknown authority", "Fetch the kubeconfig again"},
		{"late", connection(context.DeadlineExceeded), Unreachable, "deadline", "in time"},
		{"interrupted", connection(context.Canceled), Interrupted, "interrupted", ""},
		{"own", fmt.Errorf("wrapped: %w", Wrong("a", "b")), Usage, "a", "b"},
	} {
		got := From("node01", c.err)
		if got.Code != c.code || !strings.Contains(got.Message, c.message) || !strings.Contains(got.Remedy, c.remedy) {
			t.Errorf("%s: %+v, want %d, %q, %q", c.name, got, c.code, c.message, c.remedy)
		}
		if strings.HasPrefix(got.Message, "node \"node01\": ") {
			t.Errorf("%s: the node is named twice: %v", c.name, got)
		}
	}
	if From("node01", nil) != nil {
		t.Error("no error is one")
	}
}

func TestFromConfig(t *testing.T) {
	for err, want := range map[error]string{
		clientcmd.ErrEmptyConfig:                                   "no cluster is configured",
		&os.PathError{Op: "stat", Path: "/x", Err: os.ErrNotExist}: "is not there: stat /x",
		errors.New("context \"x\" does not exist"):                 "cannot be used: context",
	} {
		if got := FromConfig(err, ""); got.Code != Usage || !strings.Contains(got.Message, want) || !strings.Contains(got.Remedy, "--kubeconfig") {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestEnded(t *testing.T) {
	for outcome, code := range map[v1alpha1.ApplyOutcome]Code{v1alpha1.ApplyRejected: Refused, v1alpha1.ApplyRolledBack: Failed, v1alpha1.ApplyInterrupted: Failed} {
		got := Ended("node01", &v1alpha1.LastApply{ID: "x", Outcome: outcome, Reason: "Why"})
		if got.Code != code || got.Message != "Why: change x has ended as "+string(outcome) {
			t.Errorf("%s: %+v", outcome, got)
		}
	}
}

// TestEndedAfterUndo: what "undo" has put back can stand against a change.
func TestEndedAfterUndo(t *testing.T) {
	got := Ended("node01", &v1alpha1.LastApply{Outcome: v1alpha1.ApplyRolledBack, Message: `entries meet: interfaces[name=eth1] is of "kubectl-nmstate-undo"`})
	if !strings.HasPrefix(got.Remedy, "The node is as it was before.\n") || !strings.Contains(got.Remedy, "kubectl edit nns node01") {
		t.Errorf("the remedy is %q", got.Remedy)
	}
}

func TestCodeOf(t *testing.T) {
	both := Join([]*Error{nil, {Code: Refused, Node: "a", Message: "b", Remedy: "c"}, {Code: Unreachable, Message: "d"}})
	for _, c := range []struct {
		err  error
		code Code
	}{{nil, Done}, {Status(Differs), Differs}, {both, Unreachable}, {Wrong("x"), Usage}, {errors.New("unknown flag"), Usage}, {Join([]*Error{nil}), Done}} {
		if got := CodeOf(c.err); got != c.code {
			t.Errorf("%v: %d, want %d", c.err, got, c.code)
		}
	}
	if got, want := both.Error(), "a: b\nc\nd"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := error(&Error{Code: Refused}); CodeOf(fmt.Errorf("w: %w", err)) != Refused {
		t.Error("a wrapped error")
	}
}

// TestFromPorts: nothing is said of a change.
func TestFromPorts(t *testing.T) {
	for _, c := range []struct {
		name            string
		err             error
		code            Code
		message, remedy string
	}{
		{"older agent", status(422, metav1.StatusReasonInvalid, `NodeNetworkState.nmstate.io "node01" is invalid: NotSupported: the agent is older: update it`, "NotSupported"), Refused, "NotSupported: the agent is older: update it", ""},
		{"agent gone", status(503, metav1.StatusReasonServiceUnavailable, `node "node01": the agent cannot be reached`, ""), Unreachable, "the agent cannot", "does its agent run?"},
		{"agent lost", status(504, metav1.StatusReasonTimeout, `node "node01": the agent was lost`, ""), Unreachable, "was lost", "Try again."},
		{"not read", status(500, metav1.StatusReasonInternalError, `node "node01": ReadFailed: listing links`, "ReadFailed"), Unreachable, "listing links", ""},
		{"may not", status(403, metav1.StatusReasonForbidden, `nodenetworkstates.nmstate.io "node01" is forbidden: User "anna" cannot get resource "nodenetworkstates/ports"`, ""), Refused, "cannot get resource", "nodenetworkstates-viewer"},
		{"older server", &apierrors.StatusError{ErrStatus: metav1.Status{Code: 404, Reason: metav1.StatusReasonNotFound, Message: "the server could not find the requested resource"}}, Refused, "does not tell of ports", "older than the plugin"},
		{"no node", status(404, metav1.StatusReasonNotFound, "not found", ""), Refused, `there is no node "node01"`, "kubectl get nns"},
		{"refused", connection(&net.OpError{Op: "dial", Err: &os.SyscallError{Err: syscall.ECONNREFUSED}}), Unreachable, "cannot", "Nothing listens"},
	} {
		got := FromPorts("node01", c.err)
		if got.Code != c.code || !strings.Contains(got.Message, c.message) || !strings.Contains(got.Remedy, c.remedy) || c.remedy == "" && got.Remedy != "" ||
			strings.Contains(got.Remedy, "changed") {
			t.Errorf("%s: %+v, want %d, %q, %q", c.name, got, c.code, c.message, c.remedy)
		}
	}
	if FromPorts("node01", nil) != nil {
		t.Error("no error is one")
	}
}
