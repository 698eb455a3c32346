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
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/tracing"
)

// resolved is what a request is taken for, whatever it is.
type resolved struct{ info *apirequest.RequestInfo }

func (r resolved) NewRequestInfo(*http.Request) (*apirequest.RequestInfo, error) { return r.info, nil }

// through sends a request of the verb through the gate and returns the answer; inside is what the handler does.
func through(t *testing.T, g *gate, group, verb string, inside func()) *httptest.ResponseRecorder {
	t.Helper()
	return throughWith(t, g, group, verb, func(context.Context) { inside() })
}

// throughWith is through for a handler that looks at its context.
func throughWith(t *testing.T, g *gate, group, verb string, inside func(context.Context)) *httptest.ResponseRecorder {
	t.Helper()
	info := &apirequest.RequestInfo{IsResourceRequest: true, APIGroup: group, APIVersion: "v1alpha1", Resource: "nodenetworkstates", Verb: verb}
	handler := g.guard(resolved{info}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside(r.Context())
		w.WriteHeader(http.StatusTeapot)
	}))
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request.WithContext(t.Context()))
	return answer
}

func testGate(t *testing.T) *gate {
	t.Helper()
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(serializer.NewCodecFactory(scheme))
	g.learn()
	return g
}

func TestStandbyRefuses(t *testing.T) {
	g := testGate(t)
	refused := func(what string) {
		t.Helper()
		answer := through(t, g, "nmstate.io", "list", func() { t.Error("a request was let through") })
		status := &metav1.Status{}
		if err := json.Unmarshal(answer.Body.Bytes(), status); err != nil || status.Reason != metav1.StatusReasonServiceUnavailable {
			t.Errorf("%s: %v, %s", what, err, answer.Body)
		}
		if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") != "1" || answer.Header().Get("Connection") != "close" {
			t.Errorf("%s: %d, %v", what, answer.Code, answer.Header())
		}
	}
	refused("standby")
	if err := g.check(nil); err != nil {
		t.Errorf("a standby is not ready: %v", err)
	}
	if code := through(t, g, "another.io", "get", func() {}).Code; code != http.StatusTeapot {
		t.Errorf("what is not of the resource gets %d", code)
	}
	g.takeOver()
	if g.check(nil) == nil {
		t.Error("a server that takes over is ready")
	}
	g.open()
	if code := through(t, g, "nmstate.io", "list", func() {}).Code; code != http.StatusTeapot {
		t.Errorf("an active server answers %d", code)
	}
	g.leave(t.Context())
	refused("left")
	g.open()
	refused("opened after it was left")
}

func TestTakeOverHoldsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGate(t)
		g.takeOver()
		answers := make(chan int, 10)
		for range 10 {
			go func() { answers <- through(t, g, "nmstate.io", "watch", func() {}).Code }()
		}
		synctest.Wait()
		if len(answers) != 0 {
			t.Fatal("requests are answered before there is something to see")
		}
		g.open()
		for range 10 {
			if code := <-answers; code != http.StatusTeapot {
				t.Errorf("a request that was held up got %d", code)
			}
		}
	})
}

// TestTakeOverHoldsUpForAWhile: nobody is kept by a take-over that does not end.
func TestTakeOverHoldsUpForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGate(t)
		g.takeOver()
		begin := time.Now()
		code := through(t, g, "nmstate.io", "get", func() {}).Code
		if took := time.Since(begin); code != http.StatusServiceUnavailable || took != heldUp {
			t.Errorf("a request got %d after %s", code, took)
		}
	})
}

// TestLeavingEndsTheTakeOver: a server that has to end before it has begun keeps nobody.
func TestLeavingEndsTheTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGate(t)
		g.takeOver()
		answers := make(chan int, 2)
		for _, verb := range []string{"get", "watch"} {
			go func() { answers <- through(t, g, "nmstate.io", verb, func() {}).Code }()
		}
		synctest.Wait()
		g.leave(t.Context())
		for range 2 {
			if code := <-answers; code != http.StatusServiceUnavailable {
				t.Errorf("a request that was held up got %d", code)
			}
		}
	})
}

func TestHeldUpRequestEndsWithItsContext(t *testing.T) {
	g := testGate(t)
	g.takeOver()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.enter(ctx, true); err == nil {
		t.Error("a request passes before the gate is open")
	}
}

// TestLeavingEndsWatches: what they show would not change any more.
func TestLeavingEndsWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGate(t)
		g.takeOver()
		g.open()
		ended := make(chan struct{})
		go throughWith(t, g, "nmstate.io", "watch", func(ctx context.Context) {
			<-ctx.Done()
			close(ended)
		})
		synctest.Wait()
		g.leave(t.Context())
		<-ended
	})
}

// TestLeavingWaitsForThoseInside: for requests, not for watches, and not for ever.
func TestLeavingWaitsForThoseInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGate(t)
		g.takeOver()
		g.open()
		forever := make(chan struct{})
		defer close(forever)
		go through(t, g, "nmstate.io", "watch", func() { <-forever })
		go through(t, g, "nmstate.io", "update", func() { time.Sleep(time.Second) })
		synctest.Wait()
		begin := time.Now()
		g.leave(t.Context())
		if took := time.Since(begin); took != time.Second {
			t.Errorf("leaving took %s, the request inside a second", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		g := testGate(t)
		g.takeOver()
		g.open()
		forever := make(chan struct{})
		defer close(forever)
		go through(t, g, "nmstate.io", "update", func() { <-forever })
		synctest.Wait()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), farewell)
		defer cancel()
		g.leave(ctx)
		if took := time.Since(begin); took != farewell {
			t.Errorf("leaving took %s", took)
		}
	})
}

// TestReadsGoOnWhileWritesDrain: for as long as a write takes, nobody else can answer.
func TestReadsGoOnWhileWritesDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGate(t)
		g.takeOver()
		g.open()
		go through(t, g, "nmstate.io", "patch", func() { time.Sleep(time.Second) })
		synctest.Wait()
		drained := make(chan time.Duration)
		begin := time.Now()
		go func() {
			g.drain(t.Context())
			drained <- time.Since(begin)
		}()
		synctest.Wait()
		for verb, want := range map[string]int{
			"get": http.StatusTeapot, "list": http.StatusTeapot, "watch": http.StatusTeapot,
			"update": http.StatusServiceUnavailable, "patch": http.StatusServiceUnavailable,
		} {
			if code := through(t, g, "nmstate.io", verb, func() {}).Code; code != want {
				t.Errorf("%s: %d", verb, code)
			}
		}
		if took := <-drained; took != time.Second {
			t.Errorf("draining took %s, the write inside a second", took)
		}
		if code := through(t, g, "nmstate.io", "get", func() {}).Code; code != http.StatusTeapot {
			t.Errorf("a read before it was left: %d", code)
		}
		g.leave(t.Context())
		if code := through(t, g, "nmstate.io", "get", func() {}).Code; code != http.StatusServiceUnavailable {
			t.Errorf("a read after it was left: %d", code)
		}
	})
}

// TestGateIsBeforeAuthentication: a server that has just begun may not know yet
// who may call, and would refuse its administrators, for as long as a connection
// lasts that was made then.
func TestGateIsBeforeAuthentication(t *testing.T) {
	codecs := testGate(t).codecs.(serializer.CodecFactory)
	g := newGate(codecs)
	config := genericapiserver.NewConfig(codecs)
	config.RequestInfoResolver = genericapiserver.NewRequestInfoResolver(config)
	config.FeatureGate = feature.DefaultFeatureGate
	config.TracerProvider = tracing.NewNoopTracerProvider()
	config.Authentication.Authenticator = anonymous.NewAuthenticator(nil)
	config.Authorization.Authorizer = authorizerfactory.NewAlwaysDenyAuthorizer()
	handler := (&Server{gate: g}).chain(codecs)(http.NotFoundHandler(), config)
	answers := func(when, path string, want int) {
		t.Helper()
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		if answer.Code != want {
			t.Errorf("%s: %s is answered with %d, not %d", when, path, answer.Code, want)
		}
	}
	const list, discovery = "/apis/nmstate.io/v1alpha1/nodenetworkstates", "/apis/nmstate.io/v1alpha1"
	answers("at first", list, http.StatusServiceUnavailable)
	answers("at first", discovery, http.StatusServiceUnavailable)
	answers("at first", "/livez", http.StatusForbidden)
	g.learn()
	answers("standby", list, http.StatusServiceUnavailable)
	answers("standby", discovery, http.StatusForbidden)
	g.takeOver()
	g.open()
	answers("active", list, http.StatusForbidden)
}
