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
	"errors"
	"fmt"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// Translate turns an error into the contract's, without the secrets of the given states.
func Translate(err error, states ...[]byte) error {
	var failure *nmstate.Error
	if errors.As(err, &failure) {
		kind := agent.Failed
		switch failure.Kind {
		case nmstate.InvalidArgument, nmstate.NotImplementedError, nmstate.NotSupportedError,
			nmstate.KernelIntegerRoundedError, nmstate.PolicyError:
			kind = agent.Invalid
		}
		return &agent.Error{Kind: kind, Reason: string(failure.Kind), Message: secret.Scrub(failure.Msg, states...) + remedy(failure.Msg)}
	}
	var known *agent.Error
	if errors.As(err, &known) {
		return known
	}
	reason := ""
	if errors.Is(err, errDied) {
		reason = v1alpha1.ReasonWorkerDied
	}
	if errors.Is(err, errLate) || errors.Is(err, context.DeadlineExceeded) {
		reason = v1alpha1.ReasonTimedOut
	}
	return &agent.Error{Kind: agent.Failed, Reason: reason, Message: secret.Scrub(err.Error(), states...)}
}

// strictlyUnmanaged is what NetworkManager says of a device that its configuration keeps from it.
const strictlyUnmanaged = "strictly unmanaged"

// remedy says of a message what it leaves out, "" for most.
func remedy(message string) string {
	switch {
	case strings.Contains(message, "Could not find source connection"):
		return ": NetworkManager starts IPsec over the connection that has the default route, and this node has none; add a default route first"
	case strings.Contains(message, strictlyUnmanaged):
		return ": NetworkManager's configuration on this node keeps it from the device (unmanaged-devices, or NM_UNMANAGED of udev); change the configuration first"
	}
	return ""
}

// named returns the error with the change's id, by which events and logs can be found.
func named(err error, id string) error {
	var known *agent.Error
	if err == nil || id == "" || !errors.As(err, &known) {
		return err
	}
	return &agent.Error{Kind: known.Kind, Reason: known.Reason, Message: fmt.Sprintf("%s (change %s)", known.Message, id)}
}

func failure(reason, format string, args ...any) *agent.Error {
	return &agent.Error{Kind: agent.Failed, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func notWritable(err error) error {
	return &agent.Error{Kind: agent.Failed, Reason: v1alpha1.ReasonRecordNotWritable, Message: err.Error()}
}
