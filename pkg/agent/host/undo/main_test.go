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

package undo

import (
	"context"
	"os"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

func TestMain(m *testing.M) { netns.Main(m) }

// clean leaves nothing but the loopback, as it is in a new network.
func clean(t *testing.T) {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Attrs().Name != "lo" {
			_ = netlink.LinkDel(l) // a veth's other end may have gone with the first
		}
	}
	netns.Run(t, "ip", "addr", "flush", "dev", "lo", "scope", "global")
	if err := os.WriteFile(ResolvConf, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// pair makes a veth pair, aN and bN, that is up.
func pair(t *testing.T, n string) {
	t.Helper()
	netns.Run(t, "ip", "link", "add", "a"+n, "up", "type", "veth", "peer", "name", "b"+n)
	netns.Run(t, "ip", "link", "set", "b"+n, "up")
}

// applyKernel is an Apply without NetworkManager.
func applyKernel(_ context.Context, state []byte) error {
	_, err := nmstate.ApplyNetState(nmstate.KernelOnly, state, 0)
	return err
}
