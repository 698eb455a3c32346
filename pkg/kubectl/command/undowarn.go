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

package command

import (
	"fmt"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/netstate"
)

// tellUnknown warns of what is not taken back, because the history does not tell what it was. after is the spec that the change led to, nil if
// that is not known.
func (u *undo) tellUnknown(node string, entry *v1alpha1.HistoryEntry, after *v1alpha1.NodeNetworkStateSpec) {
	switch {
	case entry.PreviousSpec == nil || after == nil:
		fmt.Fprintf(u.streams.ErrOut, "Warning: %s: the history does not tell what change %s altered in the spec (an agent or an API server of an older version has dealt with it, or the spec "+
			"has more than 64 KiB): only the network is taken back. Probes, confirmation, reapply and removal stay as they are, and what the change took out of the desired state does not "+
			"come back.\n", node, shortID(entry.ID))
	case entry.Revert == nil && changedNetwork(entry, after):
		fmt.Fprintf(u.streams.ErrOut, "Warning: %s: the history does not tell what change %s altered in the network (it is more than 64 KiB, or nmstate cannot tell): only the spec is taken back. "+
			"What it did not speak of before stays in the network as it is, such as an interface that the change made.\n", node, shortID(entry.ID))
	}
}

// changedNetwork tells whether a change, which led to the spec after, has asked something of the network.
func changedNetwork(entry *v1alpha1.HistoryEntry, after *v1alpha1.NodeNetworkStateSpec) bool {
	asks := !v1alpha1.SameState(after.DesiredState, nil) && !v1alpha1.SameState(after.DesiredState, entry.PreviousSpec.DesiredState)
	return asks || entry.Difference != nil
}

// tellSecrets warns of the secrets that are not taken back: the history has none, and a mask in the spec keeps the one that the node has.
func (u *undo) tellSecrets(node string, spec undoneSpec) {
	for _, name := range netstate.Masked(tree.Object(spec.now["desiredState"]), tree.Object(spec.then["desiredState"]), spec.revert) {
		fmt.Fprintf(u.streams.ErrOut, "Warning: %s: %s keeps the secret that it has now: the history has no secrets. If the change has replaced it, apply the file that has the secret of before.\n",
			node, safe(name))
	}
}

// withoutSecret adds to an error what to do if the spec of before has a secret that the node does not have any more.
func withoutSecret(err *fault.Error) *fault.Error {
	if err != nil && strings.Contains(err.Message, secret.NothingToKeep) {
		err.Remedy = "Nothing was changed. The history has no secrets, so that undo cannot put this one back: apply the file that has the secret."
	}
	return err
}
