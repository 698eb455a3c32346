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

package host

import (
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/removal"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/transaction"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// takesAway tells whether a change to this record can ask something of the network although it desires nothing.
func (r record) takesAway(before record) bool {
	return r.Removal == v1alpha1.RemovalRevert && !before.desiresNothing()
}

// raw is the desired state with its secrets, nil if there is none.
func (r record) raw() []byte {
	if r.Desired == nil {
		return nil
	}
	return r.Desired.Raw
}

// settled is what a change from one record to another comes to.
type settled struct {
	// after is the record that the change leads to.
	after record
	// asked is what is asked of the network, to be compared with it.
	asked *v1alpha1.State
	// Settled is the transaction's. It has no difference yet.
	transaction.Settled
}

// settle returns what a change from one record to another comes to on the network that is current.
func settle(before, after record, backend v1alpha1.Backend, kernel string, current []byte) (s settled, err error) {
	change := removal.Change{
		Previous: before.raw(), Desired: after.raw(), Current: current, Notes: before.Before,
		Revert:    after.Removal == v1alpha1.RemovalRevert,
		Managed:   backend == v1alpha1.BackendNetworkManager,
		Forgotten: before.Kernel != "" && kernel != "" && before.Kernel != kernel,
	}
	if !change.Managed {
		if change.Up, err = adminUp(); err != nil {
			return s, err
		}
	}
	plan, faults, err := removal.Settle(change, statePath())
	if err != nil {
		return s, err
	}
	if len(faults) > 0 {
		return s, invalid(faults.ToAggregate())
	}
	s.after, s.asked = after, v1alpha1.NewState(plan.Shown)
	s.after.Before = plan.Notes
	s.State, s.Left = plan.State, plan.Left
	s.Record, err = tree.Encode(s.after)
	return s, err
}

// adminUp returns a function that tells which links are up as their administrator wants it.
func adminUp() (func(name string) bool, error) {
	links, err := rtnetlink.Links()
	if err != nil {
		return nil, err
	}
	up := map[string]bool{}
	for _, l := range links {
		up[l.Name] = l.Is(unix.IFF_UP)
	}
	return func(name string) bool { return up[name] }, nil
}
