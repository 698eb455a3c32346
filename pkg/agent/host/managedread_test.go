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
	"os"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// TestManagedAnswersHold: NetworkManager is not asked again when only the kernel has changed, and is when it has changed itself. It is asked
// last where both have changed, and while a change is being applied.
func TestManagedAnswersHold(t *testing.T) {
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	forgetProfiles(t)
	netns.Run(t, "nmcli", "connection", "add", "type", "ethernet", "ifname", "eth1", "con-name", "we1",
		"ipv4.method", "manual", "ipv4.addresses", "198.51.100.1/24", "ipv6.method", "disabled")
	netns.Run(t, "nmcli", "connection", "up", "we1")
	t.Cleanup(func() {
		netns.Run(t, "ip", "addr", "flush", "dev", "eth1", "to", "203.0.113.0/24")
		forgetProfiles(t)
	})
	// It does not run: nothing but the test makes it read.
	h, err := New(Config{StateDir: t.TempDir(), Backend: BackendNetworkManager, Confirmer: yes{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.runner.Close()
		h.detector.close()
		h.witness.Close()
		h.answers.Close()
	})
	for _, step := range []struct {
		command   string
		unchanged bool
		ask       nmstate.Asking
		change    *underWay
	}{
		{"true", true, nmstate.Hold, nil},
		{"ip addr add 203.0.113.1/32 dev eth1", false, nmstate.Hold, nil},
		{"nmcli connection modify we1 ipv4.dns-priority 3", false, nmstate.AskMeanwhile, nil},
		{"nmcli connection modify we1 ipv4.dns-priority 4; ip addr add 203.0.113.2/32 dev eth1", false, nmstate.AskLast, nil},
		{"nmcli connection modify we1 ipv4.dns-priority 5", false, nmstate.AskLast, &underWay{stage: v1alpha1.StageApplying}},
		{"true", true, nmstate.Hold, &underWay{stage: v1alpha1.StageApplying}},
		{"ip route add 203.0.114.0/24 dev eth1", false, nmstate.Hold, nil},
		{"nmcli device modify eth1 connection.lldp enable", false, nmstate.AskLast, nil}, // it sets the addresses again
	} {
		for reads := true; reads; {
			if reads, err = h.read(); err != nil {
				t.Fatal(err)
			}
		}
		applied, err := h.answers.Applied()
		if active := strings.Fields(netns.Run(t, "nmcli", "-g", "DEVICE", "connection", "show", "--active")); err != nil || nmstate.CanKeepAnswers() && len(applied) != len(active) {
			t.Errorf("the read tells the versions of the profiles of %v, %v; the devices are %v", applied, err, active)
		}
		netns.Run(t, "sh", "-c", step.command)
		h.view.change = step.change
		unchanged, ask := h.proved(h.detector.detect())
		h.witness.Forget() // nothing was read
		h.view.change = nil
		if step.change != nil && step.change.read == unchanged {
			t.Errorf("after %s a read is noted, or is not, though the network is proved unchanged: %t", step.command, unchanged)
		}
		if unchanged != step.unchanged || ask != step.ask {
			t.Errorf("after %s the network is proved unchanged: %t, asking %d; want %t, %d", step.command, unchanged, ask, step.unchanged, step.ask)
		}
	}
}
