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
	"errors"
	"time"

	"k8s.io/component-base/metrics"
)

// Events that are counted.
const (
	eventConnected   = "connected"
	eventReplaced    = "replaced"
	eventLost        = "lost"
	eventRefused     = "refused"
	eventNoGreeting  = "no-greeting"
	eventUnreachable = "unreachable"
	eventReading     = "reading"
	eventObject      = "object"
	eventUnchanged   = "unchanged"
	eventConfirmed   = "confirmed"
)

// fleetMetrics are what a Fleet measures. They count nothing until they are registered.
type fleetMetrics struct {
	connected  *metrics.Gauge
	stateBytes *metrics.Gauge
	barrier    *metrics.Histogram
	apply      *metrics.HistogramVec
	events     *metrics.CounterVec
	// reads counts the reads that readers have caused, readsDelayed those of them
	// that had to wait.
	reads, readsDelayed *metrics.Counter
}

func newMetrics() *fleetMetrics {
	return &fleetMetrics{
		connected: metrics.NewGauge(&metrics.GaugeOpts{
			Name:           "nmstate_agents_connected",
			Help:           "Nodes whose agent has a stream to this server.",
			StabilityLevel: metrics.ALPHA,
		}),
		stateBytes: metrics.NewGauge(&metrics.GaugeOpts{
			Name:           "nmstate_agent_state_bytes",
			Help:           "Size of the last objects of all connected agents together.",
			StabilityLevel: metrics.ALPHA,
		}),
		barrier: metrics.NewHistogram(&metrics.HistogramOpts{
			Name:           "nmstate_agent_barrier_duration_seconds",
			Help:           "How long agents took to prove that all that had changed on their node was sent.",
			Buckets:        []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 15},
			StabilityLevel: metrics.ALPHA,
		}),
		apply: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Name:           "nmstate_agent_apply_duration_seconds",
			Help:           "How long agents took to apply a change, by its outcome: Committed, or the kind of the error.",
			Buckets:        []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 150},
			StabilityLevel: metrics.ALPHA,
		}, []string{"outcome"}),
		events: metrics.NewCounterVec(&metrics.CounterOpts{
			Name:           "nmstate_agent_events_total",
			Help:           "What happened to agents' streams, by kind: connected, replaced, lost, refused, unreachable, reading, object, unchanged, confirmed; and no-greeting, a connection that ended without becoming one.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"event"}),
		reads: metrics.NewCounter(&metrics.CounterOpts{
			Name:           "nmstate_agent_reads_total",
			Help:           "How often agents have read their node's network for readers of this server. Readers share reads, and what is proved unchanged is not read.",
			StabilityLevel: metrics.ALPHA,
		}),
		readsDelayed: metrics.NewCounter(&metrics.CounterOpts{
			Name:           "nmstate_agent_reads_delayed_total",
			Help:           "How often readers of a node had to wait, and then shared a read, because the node had been read as often as --max-node-reads allows.",
			StabilityLevel: metrics.ALPHA,
		}),
	}
}

// RegisterMetrics registers the metrics, with legacyregistry.Register as a rule.
func (f *Fleet) RegisterMetrics(register func(metrics.Registerable) error) error {
	m := f.metrics
	return errors.Join(register(m.connected), register(m.stateBytes), register(m.barrier), register(m.apply), register(m.events),
		register(m.reads), register(m.readsDelayed))
}

func (m *fleetMetrics) event(kind string) { m.events.WithLabelValues(kind).Inc() }

func (m *fleetMetrics) observeApply(outcome string, begin time.Time) {
	m.apply.WithLabelValues(outcome).Observe(time.Since(begin).Seconds())
}
