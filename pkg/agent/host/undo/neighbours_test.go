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

// neighboursPicture is what ip and bridge show of neighbours that somebody has set, without links' own addresses.
func neighboursPicture(t *testing.T) string {
	t.Helper()
	return netns.Run(t, "sh", "-c", `ip neigh show nud permanent | sort; ip neigh show proxy | sort
		for of in "dev vx1" "dev vx6" "br br1"; do bridge fdb show $of | grep -E "^(00:00|02:00):00" | sort; done`)
}

// neighbours makes a VXLAN, a bridge and a veth with all kinds of neighbours.
func neighbours(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { clean(t) })
	for _, n := range []string{"1", "2", "3"} {
		pair(t, n)
	}
	for _, args := range []string{
		"ip link add vx1 up type vxlan id 9 remote 192.0.2.9 dev a3 dstport 4789", "ip link add vx6 up type vxlan dstport 4790 external",
		"ip link add br1 up type bridge", "ip link set a1 master br1", "ip link set vx1 master br1",
		"bridge fdb append 00:00:00:00:00:00 dev vx1 dst 192.0.2.10", "bridge fdb append 00:00:00:00:00:00 dev vx1 dst 192.0.2.11 port 4799 vni 77 via a3",
		"bridge fdb append 00:00:00:00:00:00 dev vx1 dst 192.0.2.9 port 4791",
		"bridge fdb add 02:00:00:00:00:77 dev vx1 dst 192.0.2.12", "bridge fdb add 02:00:00:00:00:78 dev vx6 dst 192.0.2.13 vni 5 src_vni 6",
		"bridge fdb add 02:00:00:00:00:79 dev a1 master static", "bridge fdb add 02:00:00:00:00:7a dev a1 master permanent",
		"bridge fdb add 02:00:00:00:00:7b dev br1 self local",
		"ip addr add 198.18.2.1/24 dev a2", "ip neigh add 198.18.2.9 lladdr 02:00:00:00:00:99 dev a2 nud permanent",
		"ip neigh add 2001:db8::9 lladdr 02:00:00:00:00:9a dev a2 nud permanent", "ip neigh add proxy 198.18.2.77 dev a2", "ip neigh add proxy 2001:db8::77 dev a2",
	} {
		fields := strings.Fields(args)
		netns.Run(t, fields[0], fields[1:]...)
	}
}

func noteLinks(t *testing.T, names ...string) *Before {
	t.Helper()
	desired := `{"interfaces":[{"name":"` + strings.Join(names, `"},{"name":"`) + `"}]}`
	before, err := Note(t.Context(), Request{Desired: []byte(desired), Current: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(before.Close)
	return before
}

// TestNeighboursArePutBack: on links that were made again, were down for a moment or have left their bridge.
func TestNeighboursArePutBack(t *testing.T) {
	neighbours(t)
	was := neighboursPicture(t)
	before := noteLinks(t, "vx1", "vx6", "br1", "a1", "a2", "a3")
	if noted := throughJSON(t, before).was.neighbours; len(noted) != 12 {
		t.Errorf("%d are noted: %v", len(noted), noted)
	}
	if left, err := before.Differences(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("before the change the differences are %q, %v", left, err)
	}
	netns.Run(t, "sh", "-c", "ip link del vx1; ip link del vx6; ip link set a1 nomaster; ip link del br1; ip link set a2 down; ip link set a2 up")
	if left, err := before.Differences(t.Context()); err != nil || !strings.Contains(strings.Join(left, "\n"), "neighbour 198.18.2.9 lladdr 02:00:00:00:00:99 dev a2") {
		t.Errorf("the differences are %q, %v", left, err)
	}
	if left := before.Restore(t.Context(), applyKernel); left != "" {
		t.Errorf("left is %s", left)
	}
	if is := neighboursPicture(t); is != was {
		t.Errorf("the neighbours were\n%s\nand are\n%s", was, is)
	}
}

// TestNeighboursOfOthersAreLeftAlone: what a network plugin adds or takes away meanwhile.
func TestNeighboursOfOthersAreLeftAlone(t *testing.T) {
	neighbours(t)
	before := noteLinks(t, "vx1", "a2")
	netns.Run(t, "sh", "-c", `bridge fdb del 02:00:00:00:00:77 dev vx1 dst 192.0.2.12; ip neigh del 198.18.2.9 dev a2
		bridge fdb add 02:00:00:00:00:66 dev vx1 dst 192.0.2.66; ip neigh add 198.18.2.66 lladdr 02:00:00:00:00:66 dev a2 nud permanent`)
	now := neighboursPicture(t)
	if left := before.Restore(t.Context(), applyKernel); left != "" {
		t.Errorf("left is %s", left)
	}
	if is := neighboursPicture(t); is != now {
		t.Errorf("the neighbours were\n%s\nand are\n%s", now, is)
	}
}

// TestAChangeKeepsNeighbours: where they still have a meaning.
func TestAChangeKeepsNeighbours(t *testing.T) {
	neighbours(t)
	was := neighboursPicture(t)
	before := noteLinks(t, "vx1", "br1", "a1", "a2")
	keeper, _, err := NewKeeper(before, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	netns.Run(t, "sh", "-c", `ip link del vx1; ip link add vx1 up type vxlan id 99 remote 192.0.2.99 dev a3 dstport 4789; ip link set vx1 master br1
		ip link set a1 nomaster; ip link set a2 down; ip link set a2 up`)
	if err := keeper.Keep(); err != nil {
		t.Error(err)
	}
	var wanted []string
	for _, line := range strings.Split(strings.ReplaceAll(was, "192.0.2.9 via", "192.0.2.99 via"), "\n") {
		// The bridge has no more to do with a1.
		if !strings.Contains(line, "dev a1 ") {
			wanted = append(wanted, line)
		}
	}
	if is := neighboursPicture(t); is != strings.Join(wanted, "\n") {
		t.Errorf("the neighbours were\n%s\nand are\n%s", was, is)
	}
}
