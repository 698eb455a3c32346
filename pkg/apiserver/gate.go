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
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/waitgroup"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// gate is the first handler of every request. Until the server can authenticate
// callers, the gate refuses all requests but health checks. Then it decides about
// requests for the resource alone:
//   - while another server is the active one, it refuses them;
//   - while this server takes over, it holds them until the nodes' states are there;
//   - while this server is the active one, it lets them through;
//   - when this server is about to stop being the active one, it refuses writes, and
//     reads too once the writes inside have ended.
type gate struct {
	codecs runtime.NegotiatedSerializer
	// writes and reads count the requests inside. Watches are not counted.
	writes, reads waitgroup.SafeWaitGroup
	// knowsCallers is true once the server can authenticate callers.
	knowsCallers atomic.Bool

	mu    sync.Mutex
	state gateState
	// opened is closed when requests are let through, closed when they are refused
	// again.
	opened, closed chan struct{}
}

type gateState int

const (
	standby gateState = iota
	takingOver
	active
	draining
	left
)

func newGate(codecs runtime.NegotiatedSerializer) *gate {
	return &gate{codecs: codecs, opened: make(chan struct{}), closed: make(chan struct{})}
}

// learn is called when the server can authenticate callers.
func (g *gate) learn() { g.knowsCallers.Store(true) }

// takeOver makes the gate hold requests instead of refusing them.
func (g *gate) takeOver() { g.to(takingOver) }

// open lets requests through.
func (g *gate) open() {
	if g.to(active) {
		close(g.opened)
	}
}

// drain refuses writes from now on. It returns when the writes inside have ended,
// or ctx. Reads still pass: this server is still the active one and shows what
// those writes change.
func (g *gate) drain(ctx context.Context) {
	if g.to(draining) {
		await(ctx, &g.writes)
	}
}

// leave refuses all requests from now on and ends the watches. It returns when the
// requests inside have ended, or ctx.
func (g *gate) leave(ctx context.Context) {
	if g.to(left) {
		close(g.closed)
	}
	await(ctx, &g.reads) // first: a write may take longer than ctx lasts
	await(ctx, &g.writes)
}

// await returns when the requests of the group have ended, or ctx.
func await(ctx context.Context, requests *waitgroup.SafeWaitGroup) {
	done := make(chan struct{})
	go func() {
		requests.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// to moves the gate on to a later state. It returns false if the gate has reached
// that state already.
func (g *gate) to(next gateState) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if next <= g.state {
		return false
	}
	g.state = next
	return true
}

// is returns whether the gate is in the given state.
func (g *gate) is(state gateState) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state == state
}

// errHeldUp makes /readyz fail while the server takes over.
var errHeldUp = errors.New("taking over")

// inactive is why a standby refuses requests.
const inactive = "this API server is not the active one"

// heldUp is the longest time for which a request is held.
const heldUp = 10 * time.Second

// check is a health check. A standby is ready, and so is the active server; one
// that takes over is not.
func (g *gate) check(*http.Request) error {
	if g.is(takingOver) {
		return errHeldUp
	}
	return nil
}

// enter waits until a request may pass. It returns an error if it may not.
func (g *gate) enter(ctx context.Context, reads bool) error {
	if g.is(takingOver) {
		ctx, cancel := context.WithTimeout(ctx, heldUp)
		defer cancel()
		select {
		case <-g.opened:
		case <-g.closed:
		case <-ctx.Done():
		}
	}
	if g.is(active) || reads && g.is(draining) {
		return nil
	}
	return refusal(inactive)
}

// refusal returns an error that clients answer by trying again.
func refusal(reason string) error {
	err := apierrors.NewServiceUnavailable(reason + ": try again")
	err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
	return err
}

// guard returns a handler that lets requests pass the gate to next.
func (g *gate) guard(resolver apirequest.RequestInfoResolver, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, err := resolver.NewRequestInfo(r)
		switch {
		case err != nil:
			next.ServeHTTP(w, r) // it fails there, too, and is answered
			return
		case !g.knowsCallers.Load() && !isHealthCheck(r.URL.Path):
			err = refusal("this API server does not know yet who may call")
		case info.IsResourceRequest && info.APIGroup == nmstate.GroupName:
			var leave func()
			if r, leave, err = g.admit(r, info.Verb); err == nil {
				defer leave()
			}
		}
		if err != nil {
			// A new connection may lead to the active server. And a connection keeps the
			// client CAs that the server knew when it was made.
			w.Header().Set("Connection", "close")
			responsewriters.ErrorNegotiated(err, g.codecs, v1alpha1.SchemeGroupVersion, w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// admit lets a request for the resource in. It returns the request to pass on, and
// a function to call when the request has ended.
func (g *gate) admit(r *http.Request, verb string) (*http.Request, func(), error) {
	reads := verb == "get" || verb == "list" || verb == "watch"
	if err := g.enter(r.Context(), reads); err != nil {
		return r, nil, err
	}
	if verb != "watch" {
		inside := &g.writes
		if reads {
			inside = &g.reads
		}
		if inside.Add(1) != nil {
			return r, nil, refusal(inactive) // leave was called meanwhile
		}
		return r, inside.Done, nil
	}
	// A watch must end when the gate closes: it would show no more changes.
	ctx, cancel := context.WithCancel(r.Context())
	go func() {
		select {
		case <-g.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return r.WithContext(ctx), cancel, nil
}

// isHealthCheck returns whether a path is that of a health check. kubelets ask
// these without credentials.
func isHealthCheck(path string) bool {
	return slices.Contains([]string{"/healthz", "/livez", "/readyz"}, path)
}
