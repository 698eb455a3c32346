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
	"context"
	"time"

	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/impact"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/probe"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// findWayWait is how long it may take to resolve the API server's name.
const findWayWait = 2 * time.Second

// warnings returns what a user should know about a change whose difference is planned, and which asks that of the network.
// testimony is what a rehearsal of the confirmation has found out; nil if nobody was asked.
// A dry run does not fail because of them.
func (h *Host) warnings(ctx context.Context, change agent.Change, planned view, asked *v1alpha1.State, testimony *agent.Testimony) []string {
	if planned.difference == nil {
		return nil
	}
	desired, err := nmstate.FormatNetState(asked.Raw)
	if err != nil {
		klog.FromContext(ctx).Info("A dry run has no warnings: nmstate does not read the desired state")
		return nil
	}
	in := impact.Input{Desired: desired, Current: planned.state.full, Difference: planned.difference.Raw, Testimony: testimony}
	var unknown []string
	if h.config.Server != "" {
		finding, cancel := context.WithTimeout(ctx, findWayWait)
		defer cancel()
		if in.Way, err = impact.FindWay(finding, h.config.Server); err != nil {
			unknown = append(unknown, "it is not known which interface carries the way to the API server: "+err.Error())
		}
	}
	if in.HasGateway, err = probe.HasGateway(); err != nil {
		in.HasGateway = true // what is not known is no reason for a warning
	}
	// Addresses of other nodes, which probes name, are not this node's: they do not matter.
	for _, addresses := range change.Addresses {
		in.Addresses = append(in.Addresses, addresses...)
	}
	warnings, err := impact.Warnings(in)
	if err != nil {
		klog.FromContext(ctx).Error(err, "A dry run has no warnings")
	}
	return append(unknown, warnings...)
}
