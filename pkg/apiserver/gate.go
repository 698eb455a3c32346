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

// gate stands before all else. Until callers can be told apart it refuses whatever
// is not a health check. From then on it stands before the resource: while another
// server is the active one it refuses requests; while this one takes over it holds
// them up, since what they would see is not there yet; after that it lets them
// through. When this server is about to cease to be the active one it refuses
// writes, and once those inside have ended, the rest.
type gate struct {
	codecs runtime.NegotiatedSerializer
	// writes and reads have the requests, but for watches, that were let through.
	writes, reads waitgroup.SafeWaitGroup
	// knowsCallers tells that callers can be told apart.
	knowsCallers atomic.Bool

	mu    sync.Mutex
	state gateState
	// opened is closed once requests are let through, closed when they are refused again.
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

// learn is called when callers can be told apart.
func (g *gate) learn() { g.knowsCallers.Store(true) }

// takeOver begins to hold requests up instead of refusing them.
func (g *gate) takeOver() { g.to(takingOver) }

// open lets requests through.
func (g *gate) open() {
	if g.to(active) {
		close(g.opened)
	}
}

// drain refuses writes, for good, and returns once those inside have ended, or ctx.
// Until then this server is the active one, and shows what they change.
func (g *gate) drain(ctx context.Context) {
	if g.to(draining) {
		await(ctx, &g.writes)
	}
}

// leave refuses all requests, for good, ends the watches, and returns once the
// requests inside have ended, or ctx.
func (g *gate) leave(ctx context.Context) {
	if g.to(left) {
		close(g.closed)
	}
	await(ctx, &g.reads) // first, since some writes take longer than anybody waits
	await(ctx, &g.writes)
}

// await waits for the requests of the group, no longer than until ctx ends.
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

// to moves on to a later state; false if the gate is beyond it.
func (g *gate) to(next gateState) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if next <= g.state {
		return false
	}
	g.state = next
	return true
}

// is tells in which state the gate is.
func (g *gate) is(state gateState) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state == state
}

// errHeldUp makes /readyz fail while the server takes over.
var errHeldUp = errors.New("taking over")

// inactive is why a server refuses requests that is not the active one.
const inactive = "this API server is not the active one"

// heldUp is how long a request is held up at the most.
const heldUp = 10 * time.Second

// check is a health check: a server is ready that takes no part, or all of it.
func (g *gate) check(*http.Request) error {
	if g.is(takingOver) {
		return errHeldUp
	}
	return nil
}

// enter returns once a request may pass, or why it may not.
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

// refusal has clients try again, by themselves.
func refusal(reason string) error {
	err := apierrors.NewServiceUnavailable(reason + ": try again")
	err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
	return err
}

// guard is the handler of requests that have to pass the gate on their way to next.
func (g *gate) guard(resolver apirequest.RequestInfoResolver, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, err := resolver.NewRequestInfo(r)
		switch {
		case err != nil:
			next.ServeHTTP(w, r) // where it fails, too
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
			// The next connection may lead to the active server; and it is made with what
			// this one knows then of those who may call.
			w.Header().Set("Connection", "close")
			responsewriters.ErrorNegotiated(err, g.codecs, v1alpha1.SchemeGroupVersion, w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// admit lets a request for the resource in. It returns the request as it goes on,
// and what is to be called at its end.
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
			return r, nil, refusal(inactive) // it was left just now
		}
		return r, inside.Done, nil
	}
	// It would show no change any more once the gate is closed.
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

// isHealthCheck tells whether a path is one that kubelets ask, who prove nothing.
func isHealthCheck(path string) bool {
	return slices.Contains([]string{"/healthz", "/livez", "/readyz"}, path)
}
