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

package livestore

import (
	"k8s.io/component-base/metrics"
)

// logMetrics are what a Log measures. They count nothing until they are registered.
type logMetrics struct {
	bytes   *metrics.Gauge
	dropped *metrics.Counter
}

func newLogMetrics() logMetrics {
	return logMetrics{
		bytes: metrics.NewGauge(&metrics.GaugeOpts{
			Name:           "nmstate_history_bytes",
			Help:           "Size of the past states that the server holds for watches.",
			StabilityLevel: metrics.ALPHA,
		}),
		dropped: metrics.NewCounter(&metrics.CounterOpts{
			Name:           "nmstate_history_dropped_total",
			Help:           "How often the past states reached their limit and were dropped, so that all watches ended and clients listed again.",
			StabilityLevel: metrics.ALPHA,
		}),
	}
}

// RegisterMetrics has what the Log measures served. Call it before Begin.
func (l *Log) RegisterMetrics(register func(metrics.Registerable) error) error {
	for _, m := range []metrics.Registerable{l.metrics.bytes, l.metrics.dropped} {
		if err := register(m); err != nil {
			return err
		}
	}
	return nil
}

// measure tells how much history there is. The Log and the watch cache hold the
// same objects: the newest ones, one of them more than the other. The caller
// holds the lock.
func (l *Log) measure() { l.metrics.bytes.Set(float64(max(l.bytes, l.cached))) }
