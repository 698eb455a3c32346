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
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// rest waits until nothing changes any more, as links do by themselves when they come up.
func rest(t *testing.T, h *Host) {
	t.Helper()
	socket, err := rtnetlink.Subscribe(rtnetlink.Groups()...)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for range 100 {
		read, err := h.Barrier(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(socket.GetFd()), Events: unix.POLLIN}}, 50)
		if err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		if !read && n == 0 {
			return
		}
		if n == 0 {
			continue
		}
		if _, _, err := socket.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("there is no end of changes")
}

// TestBarrierDoesNotReadInVain: what is proved unchanged is not read again.
func TestBarrierDoesNotReadInVain(t *testing.T) {
	h := newHost(t, t.TempDir())
	rest(t, h)
	// A read notes the interfaces again.
	h.mu.Lock()
	h.reader.known = nil
	h.mu.Unlock()
	for _, step := range []struct {
		do   func()
		read bool
	}{
		{do: func() {}, read: false},
		{do: func() { netns.Run(t, "ip", "addr", "add", "198.18.0.9/32", "dev", "lo") }, read: true},
	} {
		step.do()
		told, err := h.Barrier(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h.mu.Lock()
		if read := h.reader.known != nil; read != step.read || told != step.read {
			t.Errorf("read: %t, told: %t, want %t", read, told, step.read)
		}
		h.mu.Unlock()
	}
}

// TestWhatWasNotReadIsNotProved: a change that has ended without a read leaves nothing to prove.
func TestWhatWasNotReadIsNotProved(t *testing.T) {
	h := newHost(t, t.TempDir())
	rest(t, h)
	h.mu.Lock()
	h.view.state, h.view.readError = nil, "reading the network takes too long"
	h.mu.Unlock()
	if read, err := h.Barrier(t.Context()); err != nil || !read || h.feed.Last().Status.CurrentState == nil {
		t.Errorf("read: %t, %v, %+v", read, err, h.feed.Last().Status.Conditions)
	}
}
