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
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/tracing"

	"github.com/nmstate/kubernetes-nmstate/pkg/registry/nodenetworkstate"
)

// limit is the longest body in these tests.
const limit = 100

// arrived is what a request had when it came to upstream's handler.
type arrived struct {
	body string
	err  error
}

// write sends a request through the handler; arrived is nil if it was answered there.
func write(t *testing.T, method, path string, body io.Reader) (*httptest.ResponseRecorder, *arrived) {
	t.Helper()
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	var got *arrived
	handler := writes{
		next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			data, err := io.ReadAll(r.Body)
			got = &arrived{string(data), errors.Join(err, r.Body.Close())}
			w.WriteHeader(http.StatusTeapot)
		}),
		codecs: serializer.NewCodecFactory(scheme),
		limit:  limit,
		exists: func(name string) bool { return name == "node1" },
	}
	request := httptest.NewRequest(method, path, body)
	request.Header.Set("Content-Type", "application/json")
	info, err := genericapiserver.NewRequestInfoResolver(&genericapiserver.Config{}).NewRequestInfo(request)
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request.WithContext(apirequest.WithRequestInfo(t.Context(), info)))
	return answer, got
}

const collection, object = "/apis/nmstate.io/v1alpha1/nodenetworkstates", "/apis/nmstate.io/v1alpha1/nodenetworkstates/node1"

func TestWritesAreAnsweredOrPassed(t *testing.T) {
	for name, test := range map[string]struct {
		method, path, body string
		code               int
		allow              string
	}{
		"GET":                     {http.MethodGet, object, ``, http.StatusTeapot, ""},
		"PUT":                     {http.MethodPut, object, `{"spec":{}}`, http.StatusTeapot, ""},
		"PATCH":                   {http.MethodPatch, object, `{"spec":{}}`, http.StatusTeapot, ""},
		"PUT of a policy":         {http.MethodPut, object, `{"kind":"NodeNetworkConfigurationPolicy"}`, http.StatusBadRequest, ""},
		"POST":                    {http.MethodPost, collection, `{"metadata":{"name":"node1"}}`, http.StatusMethodNotAllowed, "GET"},
		"POST to the object":      {http.MethodPost, object, ``, http.StatusMethodNotAllowed, "GET, PUT, PATCH"},
		"POST for no node":        {http.MethodPost, collection, `{"metadata":{"name":"node2"}}`, http.StatusNotFound, ""},
		"DELETE":                  {http.MethodDelete, object, ``, http.StatusMethodNotAllowed, "GET, PUT, PATCH"},
		"DELETE of all":           {http.MethodDelete, collection, ``, http.StatusMethodNotAllowed, "GET"},
		"DELETE of a subresource": {http.MethodDelete, object + "/status", ``, http.StatusTeapot, ""},
		"POST to a subresource":   {http.MethodPost, object + "/confirm", `{"id":"a"}`, http.StatusTeapot, ""},
		"GET of a subresource":    {http.MethodGet, object + "/history", ``, http.StatusTeapot, ""},
		"POST of too much":        {http.MethodPost, object + "/rollback", `{"id":"` + strings.Repeat("a", nodenetworkstate.MaxReference) + `"}`, http.StatusRequestEntityTooLarge, ""},
		"POST of a deep body":     {http.MethodPost, object + "/confirm", strings.Repeat(`[`, 5000), http.StatusBadRequest, ""},
		"POST of no UTF-8":        {http.MethodPost, object + "/confirm", "{\"id\":\"\xff\"}", http.StatusBadRequest, ""},
		"another version":         {http.MethodDelete, strings.Replace(object, "v1alpha1", "v1", 1), ``, http.StatusTeapot, ""},
		"another group":           {http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", `{}`, http.StatusTeapot, ""},
		"no resource":             {http.MethodPost, "/metrics", `{}`, http.StatusTeapot, ""},
	} {
		t.Run(name, func(t *testing.T) {
			answer, got := write(t, test.method, test.path, strings.NewReader(test.body))
			if answer.Code != test.code || (got != nil) != (test.code == http.StatusTeapot) {
				t.Fatalf("%d %s, passed on: %v", answer.Code, answer.Body, got)
			}
			if allow := answer.Header().Get("Allow"); allow != test.allow {
				t.Errorf("Allow is %q, want %q", allow, test.allow)
			}
			if got != nil && (got.body != test.body || got.err != nil) {
				t.Errorf("upstream read %q, %v", got.body, got.err)
			}
		})
	}
}

// TestUpstreamReadsWhatWasSent: up to the limit and beyond, and where the client
// breaks off.
func TestUpstreamReadsWhatWasSent(t *testing.T) {
	broken := errors.New("the client is gone")
	policy := `{"kind":"NodeNetworkConfigurationPolicy"`
	for name, test := range map[string]struct {
		body io.Reader
		want string
		err  error
	}{
		"nothing":           {strings.NewReader(""), "", nil},
		"byte by byte":      {iotest.OneByteReader(strings.NewReader(`{"spec":{}}`)), `{"spec":{}}`, nil},
		"just the limit":    {strings.NewReader(strings.Repeat(" ", limit)), strings.Repeat(" ", limit), nil},
		"beyond the limit":  {strings.NewReader(policy + "}" + strings.Repeat(" ", 5*limit)), policy + "}" + strings.Repeat(" ", 5*limit), nil},
		"broken off":        {io.MultiReader(strings.NewReader(policy), iotest.ErrReader(broken)), policy, broken},
		"broken from start": {iotest.ErrReader(broken), "", broken},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := write(t, http.MethodPut, object, test.body)
			if got == nil || got.body != test.want || !errors.Is(got.err, test.err) {
				t.Errorf("upstream got %+v, want %q, %v", got, test.want, test.err)
			}
		})
	}
}

// TestWritesAreAuthorizedFirst: whoever may not write learns nothing here, not even
// which nodes there are.
func TestWritesAreAuthorizedFirst(t *testing.T) {
	g := testGate(t)
	g.takeOver()
	g.open()
	codecs := g.codecs.(serializer.CodecFactory)
	config := genericapiserver.NewConfig(codecs)
	config.RequestInfoResolver = genericapiserver.NewRequestInfoResolver(config)
	config.FeatureGate = feature.DefaultFeatureGate
	config.TracerProvider = tracing.NewNoopTracerProvider()
	config.Authentication.Authenticator = anonymous.NewAuthenticator(nil)
	for code, authorizer := range map[int]authorizer.Authorizer{
		http.StatusForbidden:        authorizerfactory.NewAlwaysDenyAuthorizer(),
		http.StatusMethodNotAllowed: authorizerfactory.NewAlwaysAllowAuthorizer(),
	} {
		config.Authorization.Authorizer = authorizer
		handler := (&Server{gate: g}).chain(codecs)(http.NotFoundHandler(), config)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodDelete, object, nil))
		if answer.Code != code {
			t.Errorf("%d %s, want %d", answer.Code, answer.Body, code)
		}
	}
}

// TestFieldManager: it is the one that upstream writes into the managed fields.
func TestFieldManager(t *testing.T) {
	for _, test := range []struct{ query, agent, want string }{
		{"?fieldManager=me", "kubectl/v1.37", "me"},
		{"", "kubectl/v1.37 (linux/amd64)", "kubectl"},
		{"?fieldManager=", "curl", "curl"},
		{"", "", ""},
	} {
		request := httptest.NewRequest(http.MethodPut, object+test.query, nil)
		request.Header.Set("User-Agent", test.agent)
		if got := fieldManager(request); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

// TestSubresourcesAreRightsOfTheirOwn: whoever has all rights to objects may not confirm a change of one.
func TestSubresourcesAreRightsOfTheirOwn(t *testing.T) {
	g := testGate(t)
	g.takeOver()
	g.open()
	codecs := g.codecs.(serializer.CodecFactory)
	config := genericapiserver.NewConfig(codecs)
	config.RequestInfoResolver = genericapiserver.NewRequestInfoResolver(config)
	config.FeatureGate = feature.DefaultFeatureGate
	config.TracerProvider = tracing.NewNoopTracerProvider()
	config.Authentication.Authenticator = anonymous.NewAuthenticator(nil)
	var asked []string
	config.Authorization.Authorizer = authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		asked = append(asked, a.GetVerb()+" "+a.GetResource()+"/"+a.GetSubresource()+" "+a.GetName())
		if a.GetSubresource() == "" {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionDeny, "", nil
	})
	handler := (&Server{gate: g}).chain(codecs)(http.NotFoundHandler(), config)
	for _, test := range []struct{ method, path, want string }{
		{http.MethodPost, object + "/confirm", "create nodenetworkstates/confirm node1"},
		{http.MethodPost, object + "/rollback?dryRun=All", "create nodenetworkstates/rollback node1"},
		{http.MethodGet, object + "/history", "get nodenetworkstates/history node1"},
	} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(test.method, test.path, strings.NewReader("{}")))
		if answer.Code != http.StatusForbidden || asked[len(asked)-1] != test.want {
			t.Errorf("%d, asked for %q, want 403 for %q", answer.Code, asked, test.want)
		}
	}
}
