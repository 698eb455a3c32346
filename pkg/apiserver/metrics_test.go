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
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/component-base/metrics"
)

func TestOneServerIsActive(t *testing.T) {
	g := newGate(nil)
	registry := metrics.NewKubeRegistry()
	if err := registry.CustomRegister(newActivity(g)); err != nil {
		t.Fatal(err)
	}
	is := func(when, value string) {
		t.Helper()
		recorder := httptest.NewRecorder()
		metrics.HandlerFor(registry, metrics.HandlerOpts{}).ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
		if scraped := recorder.Body.String(); !strings.Contains(scraped, "\nnmstate_apiserver_active "+value+"\n") {
			t.Errorf("%s the metric is not %s:\n%s", when, value, scraped)
		}
	}
	is("on a standby", "0")
	g.takeOver()
	is("while it takes over", "0")
	g.open()
	is("on the active server", "1")
	g.drain(t.Context())
	is("while it leaves", "0")
}
