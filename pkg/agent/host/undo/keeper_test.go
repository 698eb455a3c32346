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
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// TestIPv6IsSwitchedOffAsItComes: the link had no address yet when nmstate read it, and has one when it is noted.
func TestIPv6IsSwitchedOffAsItComes(t *testing.T) {
	t.Cleanup(func() { clean(t) })
	pair(t, "1")
	netns.Run(t, "ip", "addr", "add", "fe80::77/64", "dev", "a1", "nodad")
	state := []byte(`{"interfaces":[{"name":"a1","type":"veth","state":"up","ipv6":{"enabled":false}}]}`)
	before, err := Note(t.Context(), Request{Desired: state, Current: state})
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	keeper, _, err := NewKeeper(before, state)
	if err != nil {
		t.Fatal(err)
	}
	netns.Run(t, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/a1/disable_ipv6")
	if err := keeper.Keep(); err != nil {
		t.Error(err)
	}
	if shown := netns.Run(t, "ip", "addr", "show", "dev", "a1"); strings.Contains(shown, "inet6") {
		t.Errorf("a1 is %s", shown)
	}
}

// TestNothingIsKeptOfALinkThatGoes, as a pod's does, between the look at the network and what follows from the look.
func TestNothingIsKeptOfALinkThatGoes(t *testing.T) {
	t.Cleanup(func() { clean(t) })
	pair(t, "1")
	netns.Run(t, "ip", "addr", "add", "198.18.9.1/24", "dev", "a1")
	before, err := takeSnapshot(everything(), []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	keeper, _, err := NewKeeper(&Before{was: before}, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	netns.Run(t, "ip", "addr", "flush", "dev", "a1")
	now, err := before.lookAgain()
	if err != nil {
		t.Fatal(err)
	}
	netns.Run(t, "ip", "link", "del", "a1")
	const title = "IPv4 of a1"
	if len(before.addresses[title].list) == 0 || !now.links["a1"].Up {
		t.Fatalf("a1 had %v and was %+v", before.addresses[title].list, now.links["a1"])
	}
	if err := keeper.keepAddresses(title, now); err != nil {
		t.Error(err)
	}
}
