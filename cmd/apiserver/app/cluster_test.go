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

package app

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// TestAwaitAPI: a server that ended because there is no API yet would be started
// again later and later.
func TestAwaitAPI(t *testing.T) {
	for _, answer := range []int{http.StatusOK, http.StatusForbidden} {
		var asked atomic.Int64
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) == 1 {
				http.Error(w, "etcd is not there", http.StatusInternalServerError)
				return
			}
			w.WriteHeader(answer)
		}))
		defer api.Close()
		client, err := kubernetes.NewForConfig(&rest.Config{Host: api.URL})
		if err != nil {
			t.Fatal(err)
		}
		if err := awaitAPI(t.Context(), client.Discovery().RESTClient()); err != nil || asked.Load() != 2 {
			t.Errorf("asked %d times, the last time answered with %d: %v", asked.Load(), answer, err)
		}
	}
	nobody := httptest.NewServer(nil)
	nobody.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: nobody.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := awaitAPI(ctx, client.Discovery().RESTClient()); err == nil {
		t.Error("an API that nobody serves is ready")
	}
}
