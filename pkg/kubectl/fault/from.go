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
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// From returns what an error of a request means for the user. node may be empty. It returns nil for nil.
func From(node string, err error) *Error {
	if err == nil {
		return nil
	}
	if already := (*Error)(nil); errors.As(err, &already) {
		return already
	}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return fromStatus(node, status.Status())
	}
	if errors.Is(err, context.Canceled) {
		return &Error{Node: node, Code: Interrupted, Message: "interrupted"}
	}
	return fromConnection(node, err)
}

// FromPorts is From for a request for a node's ports, which changes nothing.
func FromPorts(node string, err error) *Error {
	fault := From(node, err)
	status := apierrors.APIStatus(nil)
	if fault == nil || !errors.As(err, &status) {
		return fault
	}
	s := status.Status()
	switch {
	case s.Code == http.StatusUnprocessableEntity:
		fault.Remedy = ""
	case s.Code == http.StatusGatewayTimeout:
		fault.Code, fault.Remedy = Unreachable, "Try again."
	case isOfNode(s) && s.Code == http.StatusInternalServerError:
		fault.Code, fault.Remedy = Unreachable, ""
	case isOfNode(s) && s.Code == http.StatusServiceUnavailable:
		fault.Remedy = "Is the node up, and does its agent run? The agent's log says what keeps it from connecting."
	case s.Code == http.StatusNotFound && !fault.NoNode:
		fault.Message = "this API server does not tell of ports: " + s.Message
		fault.Remedy = "It may be older than the plugin: update it."
	}
	return fault
}

// fromConnection is about a server that was not reached.
func fromConnection(node string, err error) *Error {
	fault := &Error{Node: node, Code: Unreachable, Message: "the API server cannot be reached: " + err.Error()}
	fault.Remedy = "Is the server up, and is this the right kubeconfig and context? \"kubectl config view --minify\" shows which one is used."
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		server := failed.URL
		if u, err := url.Parse(failed.URL); err == nil {
			server = u.Scheme + "://" + u.Host
		}
		fault.Message = fmt.Sprintf("the API server %s cannot be reached: %v", server, failed.Err)
	}
	unknown, invalid, name := x509.UnknownAuthorityError{}, x509.CertificateInvalidError{}, x509.HostnameError{}
	var deadline net.Error
	switch {
	case errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &name):
		fault.Remedy = "The certificate is not the one that the kubeconfig trusts: it may be of another server, or of one that was installed anew. Fetch the kubeconfig again."
	case utilnet.IsConnectionRefused(err):
		fault.Remedy = "Nothing listens there. " + fault.Remedy
	case errors.As(err, &deadline) && deadline.Timeout():
		fault.Remedy = "It did not answer in time. " + fault.Remedy
	}
	return fault
}

// FromConfig returns what an error of loading the kubeconfig means. file is the one that --kubeconfig names, or empty.
func FromConfig(err error, file string) *Error {
	const remedy = "Name a kubeconfig with --kubeconfig or KUBECONFIG, and one of its contexts with --context; \"kubectl config get-contexts\" lists them."
	if clientcmd.IsEmptyConfig(err) {
		return Wrong("no cluster is configured: "+emptyConfigs(file, os.Getenv(clientcmd.RecommendedConfigPathEnvVar)), remedy)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return Wrong("the kubeconfig, or a file that it names, is not there: "+err.Error(), remedy)
	}
	text := err.Error()
	if where, _, found := strings.Cut(text, ": couldn't get version/kind"); found {
		text = where + ": it is no kubeconfig"
	}
	return Wrong("the kubeconfig cannot be used: "+text, remedy)
}

// emptyConfigs says what is wrong with the file that --kubeconfig names, or else with the files that KUBECONFIG names. Each may be empty.
func emptyConfigs(file, names string) string {
	switch {
	case file != "":
		return fmt.Sprintf("--kubeconfig names %s, which has no current context", file)
	case names == "":
		return "there is no kubeconfig, or it has no current context"
	}
	for _, name := range filepath.SplitList(names) {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("KUBECONFIG names %s, which is not there", name)
		}
	}
	return fmt.Sprintf("KUBECONFIG names %s, which has no current context", names)
}

func fromStatus(node string, status metav1.Status) *Error {
	fault := &Error{Node: node, Code: Refused, Message: trim(node, status.Message)}
	switch {
	case status.Code == http.StatusUnauthorized:
		fault.Message = "the API server does not know who you are: " + status.Message
		fault.Remedy = strangers
	case status.Code == http.StatusForbidden:
		fault.Remedy = forbidden(status)
	case status.Code == http.StatusNotFound:
		notFound(fault, node, status)
	case status.Code == http.StatusBadRequest:
		fault.Remedy = badRequest(status)
	case status.Code == http.StatusConflict:
		fault.Remedy = conflict(status)
	case status.Code == http.StatusUnprocessableEntity:
		fault.Remedy = invalid(status)
	case status.Code == http.StatusTooManyRequests:
		fault.Code = Unreachable
		fault.Remedy = "Nothing was changed. Try again when that change has ended: \"kubectl nmstate wait " + node + " --for=idle\" waits for it."
	case status.Code == http.StatusGatewayTimeout:
		fault.Code = Undecided
		fault.Remedy = Follow(node)
	case isOfNode(status) && status.Code == http.StatusInternalServerError:
		failed(fault, status)
	case status.Code >= http.StatusInternalServerError:
		unavailable(fault, node, status)
	}
	return fault.undone(node)
}

// undone adds to the error where what stands against a change comes from, if "undo" has put it there.
func (e *Error) undone(node string) *Error {
	if strings.Contains(e.Message, `"`+UndoManager+`"`) {
		e.Remedy += "\nWhat " + UndoManager + " owns was put back by \"kubectl nmstate undo\". \"kubectl edit nns " + node + "\" takes it out of the spec; the network keeps it."
	}
	return e
}

// trim takes away what the line says already.
func trim(node, message string) string {
	if node == "" {
		return message
	}
	for _, prefix := range []string{
		fmt.Sprintf("node %q: ", node), fmt.Sprintf("NodeNetworkState.nmstate.io %q is invalid: ", node),
		fmt.Sprintf("nodenetworkstates.nmstate.io %q is forbidden: ", node),
	} {
		message = strings.TrimPrefix(message, prefix)
	}
	return message
}

func forbidden(status metav1.Status) string {
	role := "nodenetworkstates-editor"
	switch {
	case !strings.Contains(status.Message, "cannot"):
		return "A policy of the cluster forbids it."
	case strings.Contains(status.Message, `"system:anonymous"`):
		return strangers
	case strings.Contains(status.Message, "cannot list"), strings.Contains(status.Message, "cannot watch"):
		return "Name the nodes that you have rights on, or, in a cluster, ask an administrator for the ClusterRole nodenetworkstates-viewer."
	case strings.Contains(status.Message, "nodenetworkstates/confirm"), strings.Contains(status.Message, "nodenetworkstates/rollback"):
		role = "nodenetworkstates-confirmer"
	case strings.Contains(status.Message, "cannot get"):
		role = "nodenetworkstates-viewer"
	}
	return "In a cluster, ask an administrator for the ClusterRole " + role + "."
}

// strangers is what to do if the server does not know who asks.
const strangers = "The kubeconfig's credentials are missing, have expired, or are for another server."

func notFound(fault *Error, node string, status metav1.Status) {
	if isOfNode(status) {
		fault.Message = fmt.Sprintf("there is no node %q", status.Details.Name)
		fault.Node, fault.NoNode = "", true
		fault.Remedy = "\"kubectl get nns\" lists the nodes."
		return
	}
	fault.Node, fault.Code = "", Refused
	fault.Message = fmt.Sprintf("this API server does not serve %s: %s", v1alpha1.SchemeGroupVersion, status.Message)
	fault.Remedy = "Is this the right context? Else install the API server of kubernetes-nmstate, see docs/user-guide/installation.md."
}

func badRequest(status metav1.Status) string {
	if strings.Contains(status.Message, "unknown field") || strings.Contains(status.Message, "strict decoding") {
		return "Nothing was changed. If the node has a newer nmstate that knows the field, use --validate=warn."
	}
	return "Nothing was changed."
}

// invalid is what to do about an object that is wrong.
func invalid(status metav1.Status) string {
	const nothing, part = "Nothing was changed.", "spec."
	switch {
	case isOfNode(status) && hasCause(status, ""):
		return nothing
	case strings.Contains(status.Message, "field not declared in schema"):
		return nothing + " \"kubectl explain nns.spec\" shows the fields that there are; what the network is to be is in spec.desiredState."
	}
	section := "desiredState"
	if status.Details != nil && len(status.Details.Causes) > 0 {
		if path, isSpec := strings.CutPrefix(status.Details.Causes[0].Field, part); isSpec {
			section = path[:strings.IndexFunc(path+".", func(r rune) bool { return r == '.' || r == '[' })]
		}
	}
	if section == "desiredState" {
		return nothing + " \"kubectl explain nns.spec.desiredState --recursive\" shows the fields of a state."
	}
	return fmt.Sprintf("%s \"kubectl explain nns.spec.%s --recursive\" shows its fields.", nothing, section)
}

func conflict(status metav1.Status) string {
	isManager := func(cause metav1.StatusCause) bool { return cause.Type == metav1.CauseTypeFieldManagerConflict }
	if status.Details != nil && slices.ContainsFunc(status.Details.Causes, isManager) {
		return "Nothing was changed. \"kubectl nmstate blame\" shows who owns what. Leave these fields out of the file, give it the same --field-manager, or take them over with --force-conflicts."
	}
	if strings.Contains(status.Message, "the object has been modified") {
		return "Nothing was changed. Take metadata.resourceVersion out of the file, or read the object again."
	}
	return "Nothing was changed. \"kubectl nmstate history\" shows how the last changes have ended."
}

// Follow says how to find out how a change ends.
func Follow(node string) string {
	return fmt.Sprintf("Wait for its end with \"kubectl nmstate wait %s --for=idle\"; \"kubectl nmstate history %s\" then shows the outcome. Do not repeat the change before.", node, node)
}

// failed is about a change that was undone.
func failed(fault *Error, status metav1.Status) {
	fault.Code = Failed
	fault.Remedy = remedyOf(cause(status))
}

// remedyOf says what to do about a change that was undone for a reason.
func remedyOf(reason string) string {
	switch reason {
	case v1alpha1.ReasonRollbackIncomplete:
		return "The change was undone, but for what the message names: put that right on the node, or by another change."
	case v1alpha1.ReasonNotConfirmed:
		return "The node is as it was before. With the change something did not answer that has to, or nobody has confirmed it."
	}
	return "The node is as it was before."
}

// Ended returns what it means that a change was not committed.
func Ended(node string, last *v1alpha1.LastApply) *Error {
	message := last.Message
	if message == "" {
		message = fmt.Sprintf("change %s has ended as %s", last.ID, last.Outcome)
	}
	if last.Reason != "" {
		message = last.Reason + ": " + message
	}
	if last.Outcome == v1alpha1.ApplyRejected {
		return (&Error{Node: node, Code: Refused, Message: message, Remedy: "Nothing was changed."}).undone(node)
	}
	return (&Error{Node: node, Code: Failed, Message: message, Remedy: remedyOf(last.Reason)}).undone(node)
}

func unavailable(fault *Error, node string, status metav1.Status) {
	fault.Code = Unreachable
	switch {
	case cause(status) == v1alpha1.ReasonNotReachable:
		fault.Remedy = "Nothing was touched. Find out what keeps new connections of the node from the API server; with --confirm=none the change is made all the same."
	case isOfNode(status) || strings.HasPrefix(status.Message, "node \""):
		fault.Remedy = "Nothing was changed. Is the node up, and does its agent run? Try again when \"kubectl nmstate wait " + node + " --for=available\" succeeds."
	default:
		fault.Node = ""
		fault.Message = "the API does not answer: " + status.Message
		fault.Remedy = "Try again. In a cluster \"kubectl get apiservice v1alpha1.nmstate.io\" says what is wrong. If a change was sent, look first how it ended: \"kubectl nmstate history\"."
	}
}

// isOfNode tells whether a status is about an object of this API.
func isOfNode(status metav1.Status) bool {
	return status.Details != nil && status.Details.Kind == "nodenetworkstates" && status.Details.Name != ""
}

// cause returns the reason that the node gave, "" if there is none.
func cause(status metav1.Status) string {
	if status.Details == nil || len(status.Details.Causes) == 0 {
		return ""
	}
	return string(status.Details.Causes[0].Type)
}

func hasCause(status metav1.Status, field string) bool {
	return status.Details != nil && slices.ContainsFunc(status.Details.Causes, func(c metav1.StatusCause) bool { return c.Field == field })
}
