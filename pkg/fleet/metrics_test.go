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
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"
)

func TestMetrics(t *testing.T) {
	s := startServer(t, nil, "node01", "node02")
	r := s.admitted("node01")
	text := objectText(t, "{}")
	r.object(text)
	s.sink.until(t, "node01", "available", available)
	s.measures("nmstate_agents_connected 1", fmt.Sprintf("nmstate_agent_state_bytes %d", len(text)))
	text = objectText(t, `{"interfaces":[]}`)
	r.object(text)
	s.sink.until(t, "node01", "as sent", shows(`{"interfaces":[]}`))
	s.measures("nmstate_agents_connected 1", fmt.Sprintf("nmstate_agent_state_bytes %d", len(text)))
	r.close()
	s.sink.until(t, "node01", "unknown", unknown)
	s.measures("nmstate_agents_connected 0", "nmstate_agent_state_bytes 0",
		`nmstate_agent_events_total{event="connected"} 1`, `nmstate_agent_events_total{event="object"} 2`,
		`nmstate_agent_events_total{event="unreachable"} 1`)
	s.join("node02")
	s.pass()
	if _, err := s.Apply(t.Context(), "node02", s.desire("node02", dummy)); err != nil {
		t.Fatal(err)
	}
	scraped := s.measures("nmstate_agent_barrier_duration_seconds_count 1",
		`nmstate_agent_apply_duration_seconds_count{outcome="Committed"} 1`)
	problems, err := testutil.NewPromLinter(strings.NewReader(scraped)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("the metrics do not follow the conventions: %v, %v", problems, err)
	}
}

// measures checks that the metrics have the lines, and returns all of them.
func (s *server) measures(lines ...string) string {
	s.t.Helper()
	recorder := httptest.NewRecorder()
	metrics.HandlerFor(s.registry, metrics.HandlerOpts{}).ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	scraped := recorder.Body.String()
	for _, line := range lines {
		if !strings.Contains(scraped, line+"\n") {
			s.t.Errorf("the metrics have no line %q:\n%s", line, scraped)
		}
	}
	return scraped
}
