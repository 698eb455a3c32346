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

package witness

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// TestDownLinks: whatever happens to links, those that are asked for by themselves are those that a list of all has, and the answers are the same.
func TestDownLinks(t *testing.T) {
	const many = mostAsked/2 + 1
	batch := func(line string) []string {
		return []string{"sh", "-c", fmt.Sprintf("for i in $(seq %d); do echo %s; done | ip -batch -", many, line)}
	}
	other := fmt.Sprint("witness-test-", os.Getpid())
	netns.Run(t, "ip", "netns", "add", other)
	t.Cleanup(func() {
		netns.Run(t, "sh", "-c", "ip netns del "+other+"; ip link del dbr; ip link del d0 2>/dev/null; true")
	})
	k, err := newKernel()
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	sameDownLinks(t, k, "the beginning")
	for _, change := range [][]string{
		{"ip", "link", "add", "d0", "type", "veth", "peer", "name", "e0"},
		{"ip", "link", "set", "d0", "up"},
		{"ip", "link", "add", "dbr", "type", "bridge"},
		{"ip", "link", "set", "e0", "master", "dbr"},
		{"ip", "link", "set", "dbr", "type", "bridge", "forward_delay", "500"},
		{"ip", "link", "set", "e0", "nomaster"}, // the bridge tells that its port has gone, and the link is there
		{"ip", "link", "set", "dbr", "up"},
		{"ip", "link", "set", "dbr", "down"},
		{"ip", "addr", "add", "198.18.3.1/32", "dev", "d0"},
		{"ip", "link", "set", "e0", "netns", other},
		{"ip", "-n", other, "link", "set", "e0", "netns", fmt.Sprint(os.Getpid())},
		{"ip", "link", "del", "d0"},
		batch("link add m$i type veth peer n$i"),
		{"ip", "link", "set", "m1", "up"},
		batch("link set n$i up"),
		batch("link del m$i"),
	} {
		netns.Run(t, change[0], change[1:]...)
		k.drain()
		if k.down == nil && change[0] == "ip" { // there is room for the reports of one change
			t.Errorf("after %v the links were forgotten", change)
		}
		sameDownLinks(t, k, fmt.Sprint(change))
	}
}

// sameDownLinks compares what a witness that follows the links tells with what one tells that has just begun.
func sameDownLinks(t *testing.T, k *kernel, after string) {
	t.Helper()
	var anew downLinks
	var facts, want bytes.Buffer
	if err := k.down.write(k.questions[unix.NETLINK_ROUTE], &facts); err != nil {
		t.Fatal(err)
	}
	if err := anew.write(k.questions[unix.NETLINK_ROUTE], &want); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(k.down, anew) || !bytes.Equal(facts.Bytes(), want.Bytes()) {
		t.Errorf("after %s: down are %v, not %v, in %d bytes, not %d", after, slices.Sorted(maps.Keys(k.down)), slices.Sorted(maps.Keys(anew)), facts.Len(), want.Len())
	}
}

// TestDownLinksAreForgotten where the kernel's reports do not tell all.
func TestDownLinksAreForgotten(t *testing.T) {
	report := func(kind uint16, size int) []byte {
		text := make([]byte, size)
		text[0], text[4] = byte(size), byte(kind)
		return text
	}
	link := report(unix.RTM_NEWLINK, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg)
	for name, test := range map[string]struct {
		report []byte
		want   downLinks
	}{
		"of one link":   {link, downLinks{0: true, 7: true}},
		"of an address": {report(unix.RTM_NEWADDR, 20), downLinks{7: true}},
		"of nothing":    {nil, downLinks{7: true}},
		"of two":        {append(slices.Clone(link), link...), nil},
		"cut short":     {report(unix.RTM_DELLINK, 20), nil},
	} {
		down := downLinks{7: true}
		if down.note(test.report); !maps.Equal(down, test.want) || (down == nil) != (test.want == nil) {
			t.Errorf("a report %s: %v, not %v", name, down, test.want)
		}
	}
	k, err := newKernel()
	if err != nil {
		t.Fatal(err)
	}
	k.down = downLinks{7: true}
	k.close()
	if k.drain() || k.down != nil {
		t.Errorf("without reports: %v", k.down)
	}
}
