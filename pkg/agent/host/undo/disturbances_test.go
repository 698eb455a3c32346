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

	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// TestDisturbances: what a link has lost for a moment counts, what it never had does not.
func TestDisturbances(t *testing.T) {
	for name, c := range map[string]struct {
		commands  string
		disturbed bool
	}{
		"addressTakenAndPutBack": {"addr del 198.18.1.1/24 dev a1; addr add 198.18.1.1/24 dev a1", true},
		"downAndUp":              {"link set a1 down; link set a1 up", true},
		"inAndOutOfABridge":      {"link set a1 master br9; link set a1 nomaster", true},
		"madeAgain":              {"link del a1; link add a1 type veth peer name b1", true},
		"anotherLink":            {"addr del 198.18.2.1/24 dev a2", false},
		"anotherAddress":         {"addr add 198.18.1.2/24 dev a1", false},
		"routeWithdrawn":         {"route del 198.18.60.0/24", false},
		"otherLength":            {"link set a1 txqueuelen 7", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { clean(t) })
			pair(t, "1")
			pair(t, "2")
			for _, args := range []string{
				"link add br9 type bridge", "addr add 198.18.1.1/24 dev a1", "addr add 198.18.2.1/24 dev a2",
				"route add 198.18.60.0/24 via 198.18.1.9 proto bird",
			} {
				netns.Run(t, "ip", strings.Fields(args)...)
			}
			s, err := takeWatchedSnapshot(everything(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			for command := range strings.SplitSeq(c.commands, ";") {
				netns.Run(t, "ip", strings.Fields(command)...)
			}
			now, err := s.lookAgain()
			if err != nil {
				t.Fatal(err)
			}
			if is := s.disturbances.has("a1"); is != c.disturbed {
				t.Errorf("disturbed: %v", is)
			}
			gone := !strings.Contains(netns.Run(t, "ip", "route"), "198.18.60.0/24")
			if missing := owed(s, now, s.routes, now.routes); (len(missing) > 0) != (gone && c.disturbed) {
				t.Errorf("the route is gone: %v, to be put back: %v", gone, missing)
			}
		})
	}
}

// TestDisturbancesOverflow: when reports are lost, any link may have been disturbed.
func TestDisturbancesOverflow(t *testing.T) {
	t.Cleanup(func() { clean(t) })
	pair(t, "1")
	s, err := takeWatchedSnapshot(everything(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := unix.SetsockoptInt(s.disturbances.socket.GetFd(), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		netns.Run(t, "ip", "addr", "add", "198.18.9.1/24", "dev", "lo")
		netns.Run(t, "ip", "addr", "del", "198.18.9.1/24", "dev", "lo")
	}
	if err := s.disturbances.look(); err != nil {
		t.Fatal(err)
	}
	if !s.disturbances.has("a1") {
		t.Error("a1 is taken for undisturbed")
	}
}
