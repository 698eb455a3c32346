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

package certificates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/nmstate/kubernetes-nmstate/pkg/pki"
)

// front is a server as others see it: the generic server's port and the agents'.
type front struct {
	*server
	api, agents string
}

func (c *cluster) startFront() *front {
	c.t.Helper()
	f := &front{server: c.startActive()}
	if err := f.Wait(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })

	api, agents := c.listen(), c.listen()
	f.api, f.agents = api.Addr().String(), agents.Addr().String()
	stop := make(chan struct{})
	info := genericapiserver.SecureServingInfo{Listener: api, Cert: f.Provider(), MinTLSVersion: tls.VersionTLS13}
	stopped, _, err := info.Serve(ok, time.Second, stop)
	if err != nil {
		c.t.Fatal(err)
	}
	plain := &http.Server{Handler: ok}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := plain.Serve(tls.NewListener(agents, pki.ServerTLS(f.Provider().CurrentCertKeyContent))); !errors.Is(err, http.ErrServerClosed) {
			c.t.Error(err)
		}
	}()
	keeper := f.stop
	f.stop = sync.OnceFunc(func() {
		keeper()
		close(stop)
		<-stopped
		_ = plain.Close()
		<-ended
	})
	c.t.Cleanup(f.stop)
	return f
}

func (c *cluster) listen() net.Listener {
	c.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	return listener
}

// clients make requests without end, over a connection for each, to whichever
// server is in front, and trust what was published some time ago.
type clients struct {
	*cluster
	// mu is held for writing while time steps or servers change, neither of
	// which a client survives in the midst of its request.
	mu    sync.RWMutex
	front *front
}

// trusted returns the roots that a client has which is behind by the delay.
func (c *clients) trusted(resource string, delay time.Duration) *x509.CertPool {
	c.cluster.mu.Lock()
	defer c.cluster.mu.Unlock()
	// At the very first the client waits for a bundle, as a pod for its volume.
	bundle := c.published[resource][0].bundle
	for _, p := range c.published[resource] {
		if !p.at.After(c.clock.Now().Add(-delay)) {
			bundle = p.bundle
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	return roots
}

func (c *clients) request(resource string, delay time.Duration, address func(*front) string) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    c.trusted(resource, delay),
		ServerName: service + "." + namespace + ".svc",
		Time:       c.clock.Now,
	}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Get("https://" + address(c.front))
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// run makes requests until ctx ends and counts them.
func (c *clients) run(ctx context.Context, resource string, delay time.Duration, address func(*front) string, count *atomic.Int64) {
	for ctx.Err() == nil {
		if err := c.request(resource, delay, address); err != nil {
			c.t.Errorf("at %s, phase %s, with the %s of %s ago: %v", c.clock.Now(), c.phase(), resource, delay, err)
		}
		count.Add(1)
		c.Enqueue()
	}
}

// TestNobodyIsCutOff rotates CA and serving certificate ten times, with servers
// that come and go in each phase, while clients that are up to the whole overlap
// behind make requests.
func TestNobodyIsCutOff(t *testing.T) {
	c := &clients{cluster: newCluster(t)}
	c.front = c.startFront()
	c.awaitPublished()
	ctx, cancel := context.WithCancel(t.Context())
	api, agents := func(f *front) string { return f.api }, func(f *front) string { return f.agents }
	counts := make([]atomic.Int64, 4)
	var running sync.WaitGroup
	running.Go(func() { c.run(ctx, "apiservices", 0, api, &counts[0]) })
	running.Go(func() { c.run(ctx, "apiservices", times().PublishOverlap-time.Second, api, &counts[1]) })
	running.Go(func() { c.run(ctx, "configmaps", 0, agents, &counts[2]) })
	running.Go(func() { c.run(ctx, "configmaps", times().PublishOverlap-time.Second, agents, &counts[3]) })
	defer running.Wait()
	defer cancel()

	// served awaits requests of each client that began after now.
	served := func() {
		for i := range counts {
			want := counts[i].Load() + 2
			c.await("requests", func() bool { return counts[i].Load() >= want })
		}
	}
	step := func(d time.Duration) {
		c.mu.Lock()
		c.clock.Step(d)
		c.mu.Unlock()
		served()
	}
	replace := func() {
		next := c.startFront()
		c.mu.Lock()
		old := c.front
		c.front = next
		c.mu.Unlock()
		old.stop()
		served()
	}
	cas, certs := sets.New[string](), sets.New[string]()
	for i := range 10 {
		at := func(point int) {
			certs.Insert(shown(c.front.server))
			if i%5 == point {
				replace()
			}
		}
		cas.Insert(string(c.state().ca.PEM()))
		c.ask(rotateCA)
		c.awaitPhase(publishing)
		at(1)
		step(times().PublishOverlap / 2)
		at(2)
		step(times().PublishOverlap/2 - 2*time.Second)
		step(2 * time.Second)
		c.awaitPhase(retiring)
		served()
		at(3)
		before := shown(c.front.server)
		c.ask(rotateServing)
		c.await("another serving certificate", func() bool { return shown(c.front.server) != before })
		served()
		step(times().RetireOverlap)
		c.awaitPhase(stable)
		c.awaitPublished()
		at(4)
		before = shown(c.front.server)
		step(times().ServingValidity * 2 / 3)
		c.await("a renewed serving certificate", func() bool { return shown(c.front.server) != before })
		if t.Failed() {
			t.Fatalf("in rotation %d", i)
		}
	}
	if cas.Len() != 10 || certs.Len() < 30 {
		t.Errorf("%d CAs, %d serving certificates", cas.Len(), certs.Len())
	}
	t.Logf("%d, %d, %d, %d requests", counts[0].Load(), counts[1].Load(), counts[2].Load(), counts[3].Load())
}
