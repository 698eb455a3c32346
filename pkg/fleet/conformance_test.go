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

package fleet

import (
	"context"
	"errors"
	"testing"

	"k8s.io/component-base/metrics/testutil"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/conformance"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/agentpb"
)

// TestConformance runs the suite on an agent at the other end of a stream: TLS,
// the uplink, and the fleet with its sink.
func TestConformance(t *testing.T) {
	conformance.Run(t, newHarness)
}

func TestTransactions(t *testing.T) {
	conformance.RunTransactions(t, newHarness)
}

func newHarness(t *testing.T) conformance.Harness {
	s := startServer(t, nil, "node01")
	node := s.join("node01")
	return &harness{fake.NewHarness(node), &remote{fleet: s.Fleet, feed: s.sink.feed("node01")}}
}

// harness is the fake node's, seen through the stream.
type harness struct {
	*fake.Harness
	remote *remote
}

func (h *harness) Agent() agent.Agent { return h.remote }

// remote is the agent of a node as the fleet offers it.
type remote struct {
	fleet *Fleet
	feed  *agent.Feed
}

func (r *remote) Watch(ctx context.Context, deliver func(*v1alpha1.NodeNetworkState)) error {
	return r.feed.Watch(ctx, deliver)
}

func (r *remote) Barrier(ctx context.Context) (read bool, err error) {
	before, _ := testutil.GetCounterMetricValue(r.fleet.metrics.reads)
	if err := r.fleet.BarrierNode(ctx, "node01"); err != nil {
		return false, err
	}
	after, err := testutil.GetCounterMetricValue(r.fleet.metrics.reads)
	return after > before, errors.Join(err, r.feed.Settled(ctx))
}

func (r *remote) Validate(ctx context.Context, change agent.Change) (*agent.Plan, error) {
	return r.fleet.Validate(ctx, "node01", change)
}

func (r *remote) Decide(ctx context.Context, decision agent.Decision) (*v1alpha1.NodeNetworkState, error) {
	obj, err := r.fleet.Decide(ctx, "node01", decision)
	if settled := r.feed.Settled(ctx); err == nil {
		err = settled
	}
	return obj, err
}

func (r *remote) History(ctx context.Context) (*v1alpha1.NodeNetworkStateHistory, error) {
	return r.fleet.History(ctx, "node01")
}

func (r *remote) Ports(ctx context.Context) (*v1alpha1.NodeNetworkPorts, error) {
	return r.fleet.Ports(ctx, "node01")
}

func (r *remote) Recall(ctx context.Context, id string) (*v1alpha1.LastApply, error) {
	s, err := r.fleet.reach(ctx, "node01")
	if err != nil {
		return nil, err
	}
	history, err := s.history(ctx, &agentpb.HistoryRequest{Change: id})
	if err != nil || len(history.Entries) == 0 {
		return nil, err
	}
	return &history.Entries[0].LastApply, nil
}

func (r *remote) Apply(ctx context.Context, change agent.Change) (*v1alpha1.NodeNetworkState, error) {
	obj, err := r.fleet.Apply(ctx, "node01", change)
	if settled := r.feed.Settled(ctx); err == nil {
		err = settled
	}
	return obj, err
}
