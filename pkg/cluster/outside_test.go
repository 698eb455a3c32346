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

package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
)

// kube is a kube-apiserver at several addresses of the loopback, on one port.
type kube struct {
	config *rest.Config
	port   string
	// connections counts those that were made, asked the questions whether it is there.
	connections, asked atomic.Int32
	endpoints          []string
}

// newKube starts one at 127.0.0.1, and at the other addresses.
func newKube(t *testing.T, others ...string) *kube {
	t.Helper()
	k := &kube{}
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		k.asked.Add(1)
		w.WriteHeader(http.StatusForbidden) // as good an answer as any
	})
	mux.HandleFunc("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", func(w http.ResponseWriter, r *http.Request) {
		port, name := int32(0), "https"
		_, _ = fmt.Sscan(k.port, &port)
		slice := discoveryv1.EndpointSlice{Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: k.endpoints}}}
		reply(w, &discoveryv1.EndpointSliceList{TypeMeta: metav1.TypeMeta{Kind: "EndpointSliceList", APIVersion: "discovery.k8s.io/v1"},
			Items: []discoveryv1.EndpointSlice{slice}})
	})
	mux.HandleFunc("/apis/authentication.k8s.io/v1/tokenreviews", func(w http.ResponseWriter, r *http.Request) {
		reply(w, &authenticationv1.TokenReview{TypeMeta: metav1.TypeMeta{Kind: "TokenReview", APIVersion: "authentication.k8s.io/v1"},
			Status: authenticationv1.TokenReviewStatus{Authenticated: true}})
	})
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			k.connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, k.port, _ = net.SplitHostPort(server.Listener.Addr().String())
	for _, address := range others {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, k.port))
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = server.Config.Serve(tls.NewListener(listener, server.TLS)) }()
		t.Cleanup(func() { listener.Close() })
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	k.config = &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: ca}}
	return k
}

func reply(w http.ResponseWriter, obj any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(obj)
}

// TestOutside: only a kube-apiserver whose address is none of the node's counts, and it is asked itself.
func TestOutside(t *testing.T) {
	k := newKube(t, "127.0.0.2", "127.0.0.3")
	for _, test := range []struct {
		own, endpoints []string
		found, words   string
	}{
		{own: []string{"127.0.0.2"}, endpoints: []string{"127.0.0.2", "127.0.0.3"}, found: "127.0.0.3"},
		{own: []string{"10.0.0.1", "127.0.0.2"}, endpoints: []string{"127.0.0.2"}, words: "none of the 1 kube-apiservers"},
		{own: []string{"::ffff:127.0.0.2"}, endpoints: []string{"127.0.0.2"}, words: "none of the 1 kube-apiservers"},
		{own: []string{"127.0.0.2"}, words: "none of the 0 kube-apiservers"},
		{endpoints: []string{"127.0.0.3"}, words: "no address of node node01"},
		// Nobody listens there.
		{own: []string{"127.0.0.2"}, endpoints: []string{"127.0.0.2", "127.0.0.4"}, words: "127.0.0.4"},
		{own: []string{"127.0.0.2"}, endpoints: []string{"127.0.0.4", "127.0.0.3"}, found: "127.0.0.3"},
	} {
		k.endpoints = test.endpoints
		before := k.asked.Load()
		o := &Outside{config: k.config, addresses: func(string) []string { return test.own }}
		got, err := o.Find(t.Context(), fleet.Node{Name: "node01"})
		if test.found != "" && (err != nil || got != net.JoinHostPort(test.found, k.port) || k.asked.Load() == before) {
			t.Errorf("%+v: got %q, %v", test, got, err)
		}
		if test.words != "" && (err == nil || !strings.Contains(err.Error(), test.words)) {
			t.Errorf("%+v: got %q, %v", test, got, err)
		}
	}
}

// TestOutsideThatIsSomebodyElse: what answers must prove that it is a kube-apiserver.
func TestOutsideThatIsSomebodyElse(t *testing.T) {
	k := newKube(t)
	k.endpoints = []string{"127.0.0.2"}
	other := httptest.NewUnstartedServer(http.NotFoundHandler())
	listener, err := net.Listen("tcp", "127.0.0.2:"+k.port)
	if err != nil {
		t.Fatal(err)
	}
	other.Listener.Close()
	other.Listener = listener
	other.Start()
	t.Cleanup(other.Close)
	o := &Outside{config: k.config, addresses: func(string) []string { return []string{"127.0.0.9"} }}
	if got, err := o.Find(t.Context(), fleet.Node{Name: "node01"}); err == nil {
		t.Errorf("%q was taken for a kube-apiserver", got)
	}
}

// TestAnewSharesNoConnection: each review, and each look outside, makes connections of its own.
func TestAnewSharesNoConnection(t *testing.T) {
	k := newKube(t)
	reviews := NewReviewsAnew(k.config)
	for range 3 {
		review, err := reviews.Create(context.Background(), &authenticationv1.TokenReview{}, metav1.CreateOptions{})
		if err != nil || !review.Status.Authenticated {
			t.Fatalf("got %+v, %v", review, err)
		}
	}
	if got := k.connections.Load(); got != 3 {
		t.Errorf("3 reviews made %d connections", got)
	}
	k.endpoints = []string{"127.0.0.1"}
	o := &Outside{config: k.config, addresses: func(string) []string { return []string{"127.0.0.9"} }}
	if _, err := o.Find(t.Context(), fleet.Node{Name: "node01"}); err != nil {
		t.Fatal(err)
	}
	if got := k.connections.Load(); got != 5 {
		t.Errorf("with a look outside %d connections were made", got)
	}
}
