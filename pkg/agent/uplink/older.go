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

package uplink

import (
	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// This file is about servers of protocol 0. It goes with the support of that protocol.

// olderServer is the name of a server of protocol 0, which does not tell its own.
const olderServer = "an older version"

// askedOlder judges a server that has no Confirm. Such a server is one of protocol 0,
// and that it answered is all that it can testify: the answer came over a new connection, from
// a server that has proved by its certificate that it is the API server. It has not
// looked at the agent's credentials; a Hello would have it do so, but would replace the stream
// over which the change came. Where such a server runs is not known either, so it counts as
// one that runs elsewhere.
func (u *Uplink) askedOlder() (agent.Testimony, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.welcome.GetProtocol() > 0 {
		return agent.Testimony{}, errNoConfirmation
	}
	return agent.Testimony{Server: olderServer}, nil
}

// translate makes a change of a server of protocol 0 one of today: the base that the server
// knows, the fingerprint of the object that was delivered last, becomes the agent's token for
// it, and what such a server drops of the spec stays as it is.
func translate(change *agent.Change, last *v1alpha1.NodeNetworkState) error {
	if last == nil {
		return nil
	}
	legacy, err := agent.LegacyFingerprint(last)
	if err != nil || legacy != change.Base {
		// The agent finds that the base is another one.
		return err
	}
	kept := last.Spec.DeepCopy()
	kept.DesiredState = change.Object.Spec.DesiredState
	change.Object.Spec = *kept
	change.Base, err = agent.Fingerprint(last)
	return err
}
