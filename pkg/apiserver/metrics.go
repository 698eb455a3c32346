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

package apiserver

import (
	"errors"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/nmstate/kubernetes-nmstate/pkg/registry/nodenetworkstate"
)

// registerMetrics has served what the server measures, and what the nodes' objects say.
func (s *Server) registerMetrics() error {
	return errors.Join(
		s.log.RegisterMetrics(legacyregistry.Register),
		s.fleet.RegisterMetrics(legacyregistry.Register),
		legacyregistry.CustomRegister(newActivity(s.gate)),
		legacyregistry.CustomRegister(nodenetworkstate.NewStateMetrics(s.log)),
	)
}

// activity tells whether this server is the active one.
type activity struct {
	metrics.BaseStableCollector
	gate   *gate
	active *metrics.Desc
}

var _ metrics.StableCollector = &activity{}

func newActivity(gate *gate) *activity {
	return &activity{gate: gate, active: metrics.NewDesc("nmstate_apiserver_active",
		"Whether this server serves NodeNetworkStates: 1 for the active one of several, 0 for a standby, and for one that takes over or leaves.",
		nil, nil, metrics.ALPHA, "")}
}

// DescribeWithStability implements metrics.StableCollector.
func (a *activity) DescribeWithStability(ch chan<- *metrics.Desc) { ch <- a.active }

// CollectWithStability implements metrics.StableCollector.
func (a *activity) CollectWithStability(ch chan<- metrics.Metric) {
	value := 0.
	if a.gate.is(active) {
		value = 1
	}
	ch <- metrics.NewLazyConstMetric(a.active, metrics.GaugeValue, value)
}
