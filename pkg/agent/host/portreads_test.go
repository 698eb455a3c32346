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
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// port returns what the agent tells of a port.
func port(t *testing.T, h *Host, name string) v1alpha1.NetworkPort {
	t.Helper()
	told, err := h.Ports(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(told.Ports, func(p v1alpha1.NetworkPort) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("there is no port %s in %+v", name, told.Ports)
	}
	return told.Ports[i]
}

// portUntil returns what the agent tells of a port once it is as wanted: the kernel works a change of a carrier out a moment later.
func portUntil(t *testing.T, h *Host, name string, wanted func(v1alpha1.NetworkPort) bool) (told v1alpha1.NetworkPort) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		told = port(t, h, name)
		return wanted(told), nil
	})
	if err != nil {
		t.Fatalf("%v: %+v", err, told)
	}
	return told
}

// TestPortsTellWhatTheKernelCounts, and what it knows of carrier and speed, without a barrier.
func TestPortsTellWhatTheKernelCounts(t *testing.T) {
	h := newHost(t, t.TempDir())
	netns.Run(t, "ip", "link", "add", "k0", "up", "type", "veth", "peer", "name", "k1")
	netns.Run(t, "ip", "link", "set", "k1", "up")
	isUp := func(p v1alpha1.NetworkPort) bool { return p.OperState == v1alpha1.OperUp }
	before, other := portUntil(t, h, "k0", isUp), portUntil(t, h, "k1", isUp)
	if before.Type != "veth" || before.MACAddress == "" || !before.Carrier || before.OperState != v1alpha1.OperUp || before.Speed != 10000 ||
		before.Duplex != v1alpha1.DuplexFull || before.Driver != "veth" || before.AutoNegotiation != nil || before.Connector != "" || before.BusInfo != "" || before.LLDP != nil {
		t.Errorf("%+v", before)
	}
	const frames, length = 50, 1000
	frame := append([]byte{1, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 7, 0x88, 0xcd}, make([]byte, length-14)...)
	for range frames {
		if err := netns.SendFrame("", "k0", frame); err != nil {
			t.Fatal(err)
		}
	}
	after := port(t, h, "k0")
	if sent := after.Counters.TxPackets - before.Counters.TxPackets; sent < frames || sent > 2*frames {
		t.Errorf("%d packets were sent, not %d", sent, frames)
	}
	if sent := after.Counters.TxBytes - before.Counters.TxBytes; sent < frames*length || sent > 2*frames*length {
		t.Errorf("%d bytes were sent, not %d", sent, frames*length)
	}
	if got := port(t, h, "k1").Counters; got.RxPackets-other.Counters.RxPackets < frames || got.RxBytes-other.Counters.RxBytes < frames*length {
		t.Errorf("what was received is %+v, and was %+v", got, other.Counters)
	}
	netns.Run(t, "ip", "link", "set", "k1", "down")
	down := portUntil(t, h, "k0", func(p v1alpha1.NetworkPort) bool { return p.OperState == v1alpha1.OperLowerLayerDown })
	if down.Carrier || down.CarrierChanges != after.CarrierChanges+1 {
		t.Errorf("without a carrier it is %+v, and was %+v", down, after)
	}
	if lo := port(t, h, "lo"); lo.Type != "loopback" || lo.OperState != v1alpha1.OperUnknown || !lo.Carrier {
		t.Errorf("%+v", lo)
	}
}

// TestPortsTellTypesAsNmstateDoes: for each kind of link that this kernel makes.
func TestPortsTellTypesAsNmstateDoes(t *testing.T) {
	h := newHost(t, t.TempDir())
	netns.Run(t, "ip", "link", "add", "of-veth", "type", "veth", "peer", "name", "of-veth1")
	want := map[string]string{"lo": "loopback", "of-veth": "veth", "of-veth1": "veth"}
	for kind, name := range map[string]string{"bridge": "linux-bridge", "dummy": "dummy", "bond": "bond", "vrf": "vrf", "vxlan": "vxlan"} {
		link := rtnetlink.Change{Name: "of-" + kind, Kind: kind}
		if link.Do() != nil {
			continue // another kernel makes more
		}
		want["of-"+kind] = name
	}
	if want["of-bridge"] == "" {
		t.Fatalf("this kernel makes %v", want)
	}
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	var shown struct {
		Interfaces []struct{ Name, Type string } `json:"interfaces"`
	}
	if err := json.Unmarshal(h.feed.Last().Status.CurrentState.Raw, &shown); err != nil {
		t.Fatal(err)
	}
	for _, i := range shown.Interfaces {
		if got := port(t, h, i.Name).Type; got != i.Type || got != want[i.Name] {
			t.Errorf("%s is told as %s, nmstate's type is %s, and it should be %s", i.Name, got, i.Type, want[i.Name])
		}
		delete(want, i.Name)
	}
	if len(want) > 0 {
		t.Errorf("nmstate does not show %v", want)
	}
}

// TestPodsVethsAreNoPorts: those that NetworkManager leaves alone, and those that nothing is known of yet.
func TestPodsVethsAreNoPorts(t *testing.T) {
	raw := `{"interfaces":[{"name":"eth0","type":"veth","state":"up"},{"name":"pod1","type":"veth","state":"ignore"},
		{"name":"br0","type":"linux-bridge","state":"ignore"}]}`
	links := []rtnetlink.Port{{Name: "eth0", Kind: "veth"}, {Name: "pod1", Kind: "veth"}, {Name: "new", Kind: "veth"}, {Name: "br0", Kind: "bridge"}}
	for name, test := range map[string]struct {
		backend v1alpha1.Backend
		keep    bool
		want    string
	}{
		"with NetworkManager":      {v1alpha1.BackendNetworkManager, false, "eth0 br0"},
		"with NetworkManager, all": {v1alpha1.BackendNetworkManager, true, "eth0 pod1 new br0"},
		"with the kernel alone":    {v1alpha1.BackendKernel, false, "eth0 pod1 new br0"},
	} {
		read, err := parseState(raw, test.keep)
		if err != nil {
			t.Fatal(err)
		}
		h := &Host{config: Config{KeepUnmanagedVeths: test.keep}}
		h.view.state, h.view.backend.name = read, test.backend
		var shown []string
		for _, link := range links {
			if h.shows(link) {
				shown = append(shown, link.Name)
			}
		}
		if got := strings.Join(shown, " "); got != test.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestPortsAreNotReadUnlessAskedFor: not for a change of a link either.
func TestPortsAreNotReadUnlessAskedFor(t *testing.T) {
	h := newHost(t, t.TempDir())
	netns.Run(t, "ip", "link", "add", "k0", "up", "type", "veth", "peer", "name", "k1")
	if _, err := h.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if told := h.portReads.last.Load(); told != nil {
		t.Errorf("%+v was read", told)
	}
	port(t, h, "k0")
	if told := h.portReads.last.Load(); told == nil {
		t.Error("nothing was read")
	}
}

// TestNeighborsAreHeardWithTheFlagAlone: LLDP from the other end of a veth, which is this node's hardware.
func TestNeighborsAreHeardWithTheFlagAlone(t *testing.T) {
	h, err := New(Config{StateDir: t.TempDir(), Backend: BackendKernel, Confirmer: yes{}, LLDP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clean(t) })
	run(t, h)
	netns.Run(t, "ip", "link", "add", "k0", "up", "type", "veth", "peer", "name", "k1")
	netns.Run(t, "ip", "link", "set", "k1", "up")
	heard := portUntil(t, h, "k0", func(p v1alpha1.NetworkPort) bool {
		if err := netns.SendFrame("", "k1", netns.LLDPFrame("leaf1", 120)); err != nil {
			t.Fatal(err)
		}
		return p.LLDP != nil && len(p.LLDP.Neighbors) == 1
	})
	n := heard.LLDP.Neighbors[0]
	if n.ChassisID != "leaf1" || n.PortID != "swp7" || n.SystemName != "leaf1" || n.SourceMACAddress != "02:00:00:00:00:07" || n.TTLSeconds != 120 {
		t.Errorf("%+v", n)
	}
	if lo := port(t, h, "lo"); lo.LLDP != nil {
		t.Errorf("the agent listens on %+v", lo)
	}
}
