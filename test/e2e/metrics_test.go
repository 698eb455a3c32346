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

package e2e

import (
	"context"
	"maps"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/common/model"
	"k8s.io/component-base/metrics/testutil"
)

func (s *suite) metricsSpecs() {
	It("tell what agents do", NodeTimeout(2*time.Minute), func(ctx SpecContext) {
		const node = "node03"
		nodes := float64(len(s.nodes()))
		s.allAvailable(ctx)
		before := s.measure(ctx)
		Expect(before["nmstate_agents_connected"]).To(Equal(nodes))
		Expect(before["nmstate_agent_state_bytes"]).To(BeNumerically(">", 1000*nodes))
		Expect(slices.Collect(maps.Keys(before))).To(ContainElement("nmstate_agent_events_total connected"))

		s.desire(ctx, node, `{"interfaces":[{"name":"count0","type":"linux-bridge","state":"up","bridge":{"port":[]}}]}`)
		s.desireAfterwards(node, `{"interfaces":[{"name":"count0","type":"linux-bridge","state":"absent"}]}`)
		_, err := s.tryDesire(ctx, node, `{"interfaces":[{"name":"ve9","type":"veth","state":"up"}]}`)
		Expect(err).To(HaveOccurred())
		for range 3 {
			s.get(ctx, node)
		}
		after := s.measure(ctx)
		Expect(after["nmstate_agent_apply_duration_seconds_count Committed"]).To(Equal(before["nmstate_agent_apply_duration_seconds_count Committed"] + 1))
		Expect(after["nmstate_agent_apply_duration_seconds_count Invalid"]).To(Equal(before["nmstate_agent_apply_duration_seconds_count Invalid"] + 1))
		Expect(after["nmstate_agent_barrier_duration_seconds_count"]).To(BeNumerically(">=", before["nmstate_agent_barrier_duration_seconds_count"]+3))
		Expect(after["nmstate_agent_events_total object"]).To(BeNumerically(">", before["nmstate_agent_events_total object"]))

		Expect(s.killAgent(ctx, node)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { s.available(ctx, node) }, NodeTimeout(long))
		DeferCleanup(func(ctx SpecContext) { Expect(s.startAgent(ctx, node)).To(Succeed()) }, NodeTimeout(long))
		s.waitFor(ctx, node, "", noticed, lost)
		without := s.measure(ctx)
		Expect(without["nmstate_agents_connected"]).To(Equal(nodes - 1))
		Expect(without["nmstate_agent_state_bytes"]).To(BeNumerically("<", after["nmstate_agent_state_bytes"]))
		Expect(without["nmstate_agent_events_total lost"]).To(Equal(after["nmstate_agent_events_total lost"] + 1))
	})
}

// measure returns the server's metrics by name and the label that says of what.
func (s *suite) measure(ctx context.Context) map[string]float64 {
	GinkgoHelper()
	text, err := s.metrics(ctx)
	Expect(err).NotTo(HaveOccurred())
	all := testutil.NewMetrics()
	Expect(testutil.ParseMetrics(text, &all)).To(Succeed())
	result := map[string]float64{}
	for name, samples := range all {
		for _, sample := range samples {
			key := name
			for _, label := range []model.LabelName{"event", "outcome"} {
				if value := string(sample.Metric[label]); value != "" {
					key += " " + value
				}
			}
			if _, bucket := sample.Metric["le"]; !bucket {
				result[key] = float64(sample.Value)
			}
		}
	}
	return result
}
