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
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/preparation"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// applyByKernel applies a state without NetworkManager: what libnmstate cannot make or set is prepared, then libnmstate
// applies the rest and verifies it; the routes are verified here.
func (r workerRequest) applyByKernel() error {
	plan, err := r.prepare()
	if err != nil {
		return err
	}
	rest, err := r.rest(plan)
	if err != nil {
		return err
	}
	if _, err = nmstate.ApplyNetState(r.Flags, rest, r.RollbackAfter); err != nil {
		return err
	}
	if err := plan.Tidy(); err != nil {
		return unprepared(nmstate.PluginFailure, err)
	}
	if unheld, err := r.unheldRoutes(plan); err != nil || len(unheld) == 0 {
		return err
	}
	// libnmstate has set a link down and up, and the kernel has forgotten the routes over it.
	if plan, err = r.prepare(); err != nil {
		return err
	}
	unheld, err := r.unheldRoutes(plan)
	if err == nil && len(unheld) > 0 {
		err = unprepared(nmstate.VerificationError, errors.New("these routes are not as desired: "+strings.Join(unheld, "; ")))
	}
	return err
}

// prepare makes and sets what libnmstate cannot.
func (r workerRequest) prepare() (*preparation.Plan, error) {
	current, links, err := r.network()
	if err != nil {
		return nil, err
	}
	rtnetlink.FindFollowers(links)
	plan, err := preparation.New(r.State, current, links)
	if err != nil {
		return nil, unprepared(nmstate.InvalidArgument, err)
	}
	if err := plan.Do(context.Background()); err != nil {
		return nil, unprepared(nmstate.PluginFailure, err)
	}
	return plan, nil
}

// rest returns what libnmstate is to apply once a plan is carried out.
func (r workerRequest) rest(plan *preparation.Plan) ([]byte, error) {
	current, links, err := r.network()
	if err != nil {
		return nil, err
	}
	rest, err := plan.Rest(current, links, nmstate.FormatNetState)
	if err != nil {
		return nil, unprepared(nmstate.PluginFailure, err)
	}
	return rest, nil
}

// network reads the network as nmstate shows it, and its links.
func (r workerRequest) network() (state []byte, links []rtnetlink.Link, err error) {
	if state, _, err = nmstate.RetrieveNetState(r.Flags | nmstate.IncludeSecrets); err != nil {
		return nil, nil, err
	}
	if links, err = rtnetlink.Links(); err != nil {
		return nil, nil, unprepared(nmstate.PluginFailure, err)
	}
	return state, links, nil
}

func (r workerRequest) unheldRoutes(plan *preparation.Plan) ([]string, error) {
	current, _, err := nmstate.RetrieveNetState(r.Flags | nmstate.IncludeSecrets)
	if err != nil {
		return nil, err
	}
	unheld, err := plan.UnheldRoutes(current)
	if err != nil {
		return nil, unprepared(nmstate.PluginFailure, err)
	}
	return unheld, nil
}

// unprepared is an error of the preparation, as libnmstate's are.
func unprepared(kind nmstate.ErrorKind, err error) error {
	return &nmstate.Error{Op: "preparation", Kind: kind, Msg: err.Error()}
}
