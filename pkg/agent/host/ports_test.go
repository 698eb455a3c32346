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
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// TestAPortThatHoldsStaysUp: a change that names a port as it is does not set it down, not for a moment.
func TestAPortThatHoldsStaysUp(t *testing.T) {
	h := newHost(t, t.TempDir())
	pairs(t)
	state := `{"interfaces":[{"name":"p1","type":"ethernet","state":"up","ipv4":{"enabled":false}},
		{"name":"br7","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[{"name":"p1"}]}}]}`
	if _, err := h.Apply(t.Context(), desire(t, h, state)); err != nil {
		t.Fatal(err)
	}
	port, err := netlink.LinkByName("p1")
	if err != nil {
		t.Fatal(err)
	}
	updates, done := make(chan netlink.LinkUpdate, 1000), make(chan struct{})
	if err := netlink.LinkSubscribe(updates, done); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Apply(t.Context(), desire(t, h, strings.Replace(state, `"stp":`, `"mac-ageing-time":200,"stp":`, 1))); err != nil {
		t.Fatal(err)
	}
	netns.Run(t, "ip", "link", "add", "last", "type", "veth", "peer", "name", "last0")
	t.Cleanup(func() { netns.Run(t, "ip", "link", "del", "last") })
	for update := range updates {
		if update.Link.Attrs().Name == "last" {
			break
		}
		if int(update.Index) == port.Attrs().Index && update.IfInfomsg.Flags&unix.IFF_UP == 0 {
			t.Error("the port was set down")
		}
	}
	close(done)
}
