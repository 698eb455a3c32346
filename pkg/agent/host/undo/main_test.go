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
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// restoreFrom is, in the environment, a file with the Before that a process of the tests is
// to restore.
const restoreFrom = "NMSTATE_TEST_RESTORE_FROM"

func TestMain(m *testing.M) {
	if path := os.Getenv(restoreFrom); path != "" {
		os.Exit(restoreInThisProcess(path))
	}
	netns.Main(m)
}

// restoreInThisProcess restores what another process has noted, and prints what is left.
func restoreInThisProcess(path string) (code int) {
	raw, err := os.ReadFile(path)
	before := &Before{}
	if err == nil {
		err = json.Unmarshal(raw, before)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Print(before.Restore(context.Background(), applyKernel))
	return 0
}

// clean leaves nothing but the loopback, as it is in a new network.
func clean(t testing.TB) {
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
func pair(t testing.TB, n string) {
	t.Helper()
	netns.Run(t, "ip", "link", "add", "a"+n, "up", "type", "veth", "peer", "name", "b"+n)
	netns.Run(t, "ip", "link", "set", "b"+n, "up")
}

// applyKernel is an Apply without NetworkManager.
func applyKernel(_ context.Context, state []byte) error {
	_, err := nmstate.ApplyNetState(nmstate.KernelOnly, state, 0)
	return err
}

// nothing is an Apply that applies nothing.
func nothing(context.Context, []byte) error { return errors.New("nothing is applied here") }

func withTimeout(t *testing.T, timeout time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), timeout)
}

func parseIPs(texts ...string) (ips []net.IP) {
	for _, text := range texts {
		ips = append(ips, net.ParseIP(text))
	}
	return ips
}
