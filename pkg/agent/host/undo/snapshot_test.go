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
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/secret"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// TestASwappedOrderIsADifference, which is told if it cannot be put back.
func TestASwappedOrderIsADifference(t *testing.T) {
	pair(t, "1")
	t.Cleanup(func() { clean(t) })
	taken := map[string]*snapshot{}
	for _, order := range [][]string{{"198.18.4.1/24", "198.18.4.2/24"}, {"198.18.4.2/24", "198.18.4.1/24"}} {
		netns.Run(t, "ip", "addr", "flush", "dev", "a1")
		for _, ip := range order {
			netns.Run(t, "ip", "addr", "add", ip, "dev", "a1")
		}
		s, err := takeSnapshot(everything(), nil)
		if err != nil {
			t.Fatal(err)
		}
		taken[order[0]] = s
	}
	if found := taken["198.18.4.1/24"].differences(taken["198.18.4.2/24"]); len(found) != 1 || !strings.Contains(found[0], "order") {
		t.Errorf("differences: %q", found)
	}
}

// TestTheAddressOfABridgeWhosePodsComeAndGoIsNotOwed: it is the lowest of its ports' addresses, as long as nobody sets another.
func TestTheAddressOfABridgeWhosePodsComeAndGoIsNotOwed(t *testing.T) {
	for name, one := range map[string]struct {
		meanwhile [][]string
		want      []string
	}{
		"a pod ends":   {[][]string{{"link", "del", "a2"}}, nil},
		"a pod begins": {[][]string{{"link", "set", "a3", "master", "br1"}}, nil},
		"a port gets another address": {
			[][]string{{"link", "set", "a1", "address", "02:00:00:00:00:00"}}, []string{"link a1 is different", "link br1 is different"},
		},
		"the bridge gets one as a pod ends": {
			[][]string{{"link", "del", "a2"}, {"link", "set", "br1", "address", "02:00:00:00:00:09"}}, []string{"link br1 is different"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { clean(t) })
			netns.Run(t, "ip", "link", "add", "br1", "type", "bridge")
			for i, n := range []string{"3", "2", "1"} {
				pair(t, n)
				netns.Run(t, "ip", "link", "set", "a"+n, "address", fmt.Sprintf("02:00:00:00:00:0%d", i+1))
			}
			netns.Run(t, "ip", "link", "set", "a1", "master", "br1")
			netns.Run(t, "ip", "link", "set", "a2", "master", "br1")
			before, err := takeSnapshot(scope{links: map[string]bool{"br1": true, "a1": true}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, command := range one.meanwhile {
				netns.Run(t, "ip", command...)
			}
			now, err := takeSnapshot(before.scope, nil)
			if err != nil {
				t.Fatal(err)
			}
			if found := before.differences(now); !slices.Equal(found, one.want) {
				t.Errorf("differences: %q, not %q", found, one.want)
			}
			before.restore(t.Context(), nil)
			if now, err = takeSnapshot(before.scope, nil); err != nil {
				t.Fatal(err)
			}
			if found := before.differences(now); len(found) > 0 {
				t.Errorf("left: %q", found)
			}
		})
	}
}

// TestASnapshotWhileLinksComeAndGo: the kernel tells of lists that changed while
// it made them, and is asked again.
func TestASnapshotWhileLinksComeAndGo(t *testing.T) {
	t.Cleanup(func() { clean(t) })
	pair(t, "1")
	for i := range 60 {
		netns.Run(t, "ip", "addr", "add", fmt.Sprintf("198.18.9.%d/32", i+1), "dev", "a1")
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "busy0"}, PeerName: "busy1"}
			if err := netlink.LinkAdd(link); err != nil {
				t.Error(err)
				return
			}
			if err := netlink.LinkDel(link); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 300 {
		if _, err := takeSnapshot(everything(), nil); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	<-stopped
}

// TestLinksWithMaskedSecretsAreNotMadeAgain: the mask would become the secret.
func TestLinksWithMaskedSecretsAreNotMadeAgain(t *testing.T) {
	t.Cleanup(func() { clean(t) })
	s := &snapshot{
		scope: scope{links: map[string]bool{"a7": true, "wg7": true}},
		links: map[string]link{"a7": {}, "b7": {}, "wg7": {}},
		full: []byte(`{"interfaces":[
			{"name":"a7","type":"veth","state":"up","veth":{"peer":"b7"}},
			{"name":"b7","type":"veth","state":"up","veth":{"peer":"a7"}},
			{"name":"wg7","type":"wireguard","state":"up","wireguard":{"private-key":"` + secret.Mask + `"}}]}`),
	}
	if err := s.makeLinks(t.Context(), &snapshot{}, applyKernel); err != nil {
		t.Errorf("making the links again: %v", err)
	}
	if _, err := net.InterfaceByName("a7"); err != nil {
		t.Error(err)
	}
}

// TestTheLoopbacksNetIsPutBack, which NetworkManager takes away.
func TestTheLoopbacksNetIsPutBack(t *testing.T) {
	look := func() string { return netns.Run(t, "ip", "route", "show", "table", "local", "dev", "lo") }
	before := look()
	if !strings.Contains(before, "local 127.0.0.0/8") {
		t.Fatalf("the loopback has no net: %s", before)
	}
	s, err := takeWatchedSnapshot(scope{links: map[string]bool{loopback: true}, managed: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	netns.Run(t, "ip", "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local")
	s.restore(t.Context(), nil)
	if now := look(); now != before {
		t.Errorf("the loopback's routes were %s and are %s", before, now)
	}
}
