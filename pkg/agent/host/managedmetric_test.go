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
	"fmt"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// metricPorts are three ports with addresses, whose metrics NetworkManager chooses.
func metricPorts() string {
	var ports []string
	for n := 1; n <= 3; n++ {
		ports = append(ports, fmt.Sprintf(`{"name":"eth%[1]d","type":"ethernet","state":"up",
			"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.10%[1]d.6","prefix-length":24}]},
			"ipv6":{"enabled":true,"dhcp":false,"autoconf":false,"address":[{"ip":"2001:db8:%[1]d::6","prefix-length":64}]}}`, n))
	}
	return `{"interfaces":[` + strings.Join(ports, ",") + `]}`
}

// TestManagedRollbackKeepsSysctlsOfPorts that a change takes from a bridge, and does not name.
func TestManagedRollbackKeepsSysctlsOfPorts(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	const bridge = `{"name":"br8","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[{"name":"%s"}]}}`
	if _, err := h.Apply(t.Context(), desire(t, h, `{"interfaces":[`+fmt.Sprintf(bridge, "eth2")+`]}`)); err != nil {
		t.Fatal(err)
	}
	sysctls := func() string {
		return netns.Run(t, "sh", "-c", "sysctl -a 2>/dev/null | grep -E '^net.ipv[46].conf.(eth|br)' | grep -v stable_secret")
	}
	for _, value := range []string{"0", "1"} {
		netns.Run(t, "sysctl", "-qw", "net.ipv6.conf.eth2.disable_ipv6="+value)
		before := sysctls()
		_, err := h.Apply(t.Context(), desire(t, h, managedFailing(fmt.Sprintf(bridge, "eth1"))))
		if agent.KindOf(err) != agent.Failed || strings.Contains(err.Error(), "could not be put back") {
			t.Errorf("the apply ended with %v", err)
		}
		if now := sysctls(); now != before {
			t.Errorf("this has changed:\n%s", changed(before, now))
		}
	}
}

// TestManagedRollbackKeepsMetrics: NetworkManager gives the routes of each device the next metric when the device is activated.
// A rollback activates devices again, in another order.
func TestManagedRollbackKeepsMetrics(t *testing.T) {
	h := newManagedHost(t, t.TempDir())
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	if _, err := h.Apply(t.Context(), desire(t, h, metricPorts())); err != nil {
		t.Fatal(err)
	}
	before, profilesBefore := fullPicture(t), profiles(t)
	if !strings.Contains(before, "metric 10") {
		t.Fatalf("the routes have no metrics:\n%s", before)
	}
	const bridge = `{"name":"br9","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[%s]}}`
	for _, desired := range []string{
		managedFailing(fmt.Sprintf(bridge, `{"name":"eth1"},{"name":"eth2"}`)),
		managedFailing(fmt.Sprintf(bridge, `{"name":"eth1"}`)),
		// The other devices have higher metrics, and are none of this change's.
		`{"interfaces":[{"name":"eth1","type":"ethernet","state":"up","mtu":1400,"ethtool":{"ring":{"rx":17}}}]}`,
	} {
		_, err := h.Apply(t.Context(), desire(t, h, desired))
		if agent.KindOf(err) != agent.Failed || strings.Contains(err.Error(), "could not be put back") {
			t.Errorf("the apply ended with %v", err)
		}
		if now := fullPicture(t); now != before {
			t.Errorf("this has changed:\n%s", changed(before, now))
		}
		if now := profiles(t); now != profilesBefore {
			t.Errorf("the profiles have changed:\n%s", changed(profilesBefore, now))
		}
	}
	// NetworkManager looks at the devices again.
	netns.Run(t, "ip", "link", "set", "eth2", "mtu", "1400")
	netns.Run(t, "ip", "link", "set", "eth2", "mtu", "1500")
	netns.Run(t, "nmcli", "general", "reload")
	if _, err := h.Apply(t.Context(), desire(t, h, managedState(3))); err != nil {
		t.Fatal(err)
	}
	if now := fullPicture(t); !strings.Contains(now, "198.51.101.0/24") || strings.Contains(changed(before, now), "198.51.102.0/24") {
		t.Errorf("this has changed later:\n%s", changed(before, now))
	}
}
