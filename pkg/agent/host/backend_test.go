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

package host

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// brokenBus is a system bus that says nothing; what is to be done with those who
// connect is up to the test.
func brokenBus(t *testing.T) net.Listener {
	t.Helper()
	socket := t.TempDir() + "/bus"
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+socket)
	return listener
}

// hangUp ends each connection after it was counted.
func hangUp(listener net.Listener, connected func(n int64)) (count *atomic.Int64) {
	count = &atomic.Int64{}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connected(count.Add(1))
			conn.Close()
		}
	}()
	return count
}

// TestADetectorThatIsClosedConnectsNoMore: a round may still be under way when the agent ends.
func TestADetectorThatIsClosedConnectsNoMore(t *testing.T) {
	connected := make(chan struct{})
	connections := hangUp(brokenBus(t), func(n int64) {
		if n == 1 {
			close(connected)
		}
	})
	d := &detector{choice: BackendAuto}
	detected := make(chan struct{})
	go func() {
		defer close(detected)
		for range 100 {
			d.detect()
		}
	}()
	<-connected
	d.close()
	<-detected
	before := connections.Load()
	if b := d.detect(); b.name != v1alpha1.BackendKernel || connections.Load() != before {
		t.Errorf("after the end the backend is %s, and there are %d connections more", b.name, connections.Load()-before)
	}
}

// TestABusThatIsStuckSaysNothing, and holds nobody up for long.
func TestABusThatIsStuckSaysNothing(t *testing.T) {
	brokenBus(t)
	d := &detector{choice: BackendAuto}
	defer d.close()
	if found := d.detect(); found.name != v1alpha1.BackendNetworkManager {
		t.Errorf("the backend is taken for %q", found.name)
	}
}

// TestNothingIsChangedWhileNetworkManagerIsAway: it would be in none of its profiles.
func TestNothingIsChangedWhileNetworkManagerIsAway(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+t.TempDir()+"/none")
	h, err := New(Config{StateDir: t.TempDir(), Backend: BackendAuto, Confirmer: yes{}})
	if err != nil {
		t.Fatal(err)
	}
	h.detector.seen = time.Now()
	t.Cleanup(func() { clean(t) })
	run(t, h)
	_, applied := h.Apply(t.Context(), desire(t, h, veth(0)))
	_, validated := h.Validate(t.Context(), desire(t, h, veth(0)))
	for _, err := range []error{applied, validated} {
		if err == nil || !strings.Contains(err.Error(), "NetworkManager") {
			t.Errorf("the change ended with %v", err)
		}
	}
	h.detector.mu.Lock()
	h.detector.seen = time.Now().Add(-absence)
	h.detector.mu.Unlock()
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Apply(t.Context(), desire(t, h, veth(0))); err != nil {
		t.Errorf("long after NetworkManager has gone: %v", err)
	}
}

// TestWhatIsReadWhileAChangeEndsIsReadAgain: a barrier is passed with what the
// network is after the change, not with what it was in its midst.
func TestWhatIsReadWhileAChangeEndsIsReadAgain(t *testing.T) {
	listener := brokenBus(t)
	h, err := New(Config{StateDir: t.TempDir(), Backend: BackendAuto, Confirmer: yes{}})
	if err != nil {
		t.Fatal(err)
	}
	reads := hangUp(listener, func(n int64) {
		if n == 1 {
			h.mu.Lock()
			h.stale()
			h.mu.Unlock()
		}
	})
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reads.Load() != 2 || h.feed.Last() == nil {
		t.Errorf("the network was read %d times; published: %v", reads.Load(), h.feed.Last())
	}
}
