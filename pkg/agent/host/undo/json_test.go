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
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// richNetwork makes all kinds of things that a snapshot notes.
func richNetwork(t testing.TB) {
	t.Helper()
	t.Cleanup(func() { cleanRich(t) })
	for _, n := range []string{"1", "2", "3"} {
		pair(t, n)
	}
	for _, args := range []string{
		"link property add dev a1 altname blue", "link property add dev a1 altname azure",
		"link add br9 up type bridge", "link set b3 master br9", "link set a2 mtu 1400",
		"addr add 198.18.1.1/24 dev a1 label a1:one", "addr add 198.18.1.2/24 dev a1", "addr add 198.18.1.3 peer 198.18.1.9/32 dev a1",
		"addr add 198.18.1.50/24 broadcast 198.18.1.255 dev a1 valid_lft 600 preferred_lft 300",
		"addr add 2001:db8:1::1/64 dev a1 nodad", "addr add 2001:db8:1::50/64 dev a1 nodad valid_lft 600 preferred_lft 600",
		"addr add 198.18.2.1/24 dev a2", "addr add 198.18.9.9/32 dev lo",
		"route add default via 198.18.1.254 proto dhcp metric 100",
		"route add 198.18.50.0/24 via 198.18.1.8 dev a1 src 198.18.1.2 mtu lock 1300 initcwnd 20 quickack 1 congctl reno realm 7",
		"route add 198.18.51.0/24 nexthop via 198.18.1.8 dev a1 weight 3 nexthop via 198.18.2.8 dev a2",
		"route add 198.18.52.0/24 via inet6 2001:db8:1::9 dev a1 table 77", "route add 198.18.53.0/24 via 198.18.1.8 tos 0x10 proto bird",
		"route add blackhole 198.18.54.0/24 metric 5", "route add 2001:db8:5::/48 via 2001:db8:1::9 metric 5 mtu 1290",
		"-6 route add 2001:db8:6::/48 nexthop via 2001:db8:1::9 dev a1 nexthop via 2001:db8:1::8 dev a1 weight 2",
		"-6 route add default via 2001:db8:1::ff", "-6 route add unreachable 2001:db8:7::/48",
		"rule add from 198.18.3.0/24 to 192.0.2.0/24 iif a1 fwmark 0x10/0xff lookup 77 priority 700 suppress_prefixlength 0",
		"-6 rule add from 2001:db8:9::/48 lookup 77 priority 701 uidrange 1-100", "rule add ipproto tcp dport 80-90 prohibit priority 702",
	} {
		netns.Run(t, "ip", strings.Fields(args)...)
	}
	a1, err := netlink.LinkByName("a1")
	if err != nil {
		t.Fatal(err)
	}
	marked, err := netlink.ParseAddr("198.18.1.2/24")
	if err != nil {
		t.Fatal(err)
	}
	if err := rtnetlink.SetMark(a1, *marked, 0x42); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ResolvConf, []byte("nameserver 192.0.2.53\n\xff"), 0o640); err != nil {
		t.Fatal(err)
	}
}

// cleanRich takes away what richNetwork has made and clean leaves.
func cleanRich(t testing.TB) {
	t.Helper()
	clean(t)
	netns.Run(t, "sh", "-c", `for family in -4 -6; do
		for priority in 700 701 702; do while ip $family rule del priority $priority 2>/dev/null; do :; done; done
		ip $family route flush type blackhole; ip $family route flush type unreachable
	done`)
}

// throughJSON returns what a Before is after it was written and read.
func throughJSON(t *testing.T, before *Before) *Before {
	t.Helper()
	text, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	back := &Before{}
	if err := json.Unmarshal(text, back); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(back)
	if err != nil || string(again) != string(text) {
		t.Errorf("%s\nis written again as\n%s, %v", text, again, err)
	}
	return back
}

// comparable returns a snapshot without what JSON does not keep: the watch, and the reading of the
// monotonic clock.
func comparable(s *snapshot) snapshot {
	same := *s
	same.disturbances = nil
	same.addresses = map[string]addresses{}
	for title, one := range s.addresses {
		one.noted = one.noted.UTC().Round(0)
		same.addresses[title] = one
	}
	return same
}

// TestBeforeIsReadBackAsItWas: all that a rich network has, whatever the scope.
func TestBeforeIsReadBackAsItWas(t *testing.T) {
	richNetwork(t)
	current, _, err := nmstate.RetrieveNetState(nmstate.KernelOnly | nmstate.IncludeSecrets)
	if err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string]Request{
		"all": {All: true, Current: current},
		"some": {Current: current, Desired: []byte(`{"interfaces":[{"name":"blue","alt-names":[{"name":"x"}]},{"name":"a2","state":"absent"}],
			"routes":{"config":[{"state":"absent","metric":18446744073709551615}]},"route-rules":{"config":[{"priority":700}]},
			"dns-resolver":{"config":{}},"hostname":{"config":"x"}}`)},
		"nothing": {Current: []byte(`{}`), Desired: []byte(`{}`)},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := Note(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			defer before.Close()
			if name == "all" && (len(before.was.routes) < 10 || len(before.was.rules) < 6 || len(before.was.links) < 8) {
				t.Fatalf("too little is noted: %d routes, %d rules, %d links", len(before.was.routes), len(before.was.rules), len(before.was.links))
			}
			back := throughJSON(t, before)
			if was, is := comparable(before.was), comparable(back.was); !reflect.DeepEqual(was, is) {
				t.Errorf("the network before was\n%+v\nand is read as\n%+v", was, is)
			}
			left, err := back.Differences(t.Context())
			if err != nil || len(left) > 0 {
				t.Errorf("differences: %q, %v", left, err)
			}
		})
	}
}

// fillIn sets all that is zero in a struct of the netlink library, but for interfaces and IPs.
func fillIn(value reflect.Value) {
	for i := range value.NumField() {
		switch field := value.Field(i); {
		case !field.IsZero():
		case field.CanInt():
			field.SetInt(int64(i + 1))
		case field.CanUint():
			field.SetUint(uint64(i + 1))
		case field.Kind() == reflect.Bool:
			field.SetBool(true)
		case field.Kind() == reflect.String:
			field.SetString("text")
		case field.Kind() == reflect.Pointer:
			field.Set(reflect.New(field.Type().Elem()))
			if elem := field.Elem(); elem.Kind() == reflect.Struct {
				fillIn(elem)
			} else {
				elem.Set(reflect.ValueOf(7).Convert(elem.Type()))
			}
		}
	}
}

// TestEveryFieldOfTheLibraryIsKept, also one that a later version has.
func TestEveryFieldOfTheLibraryIsKept(t *testing.T) {
	encaps := []netlink.Encap{
		&netlink.MPLSEncap{Labels: []int{100, 200}},
		&netlink.SEG6Encap{Mode: 1, Segments: parseIPs("2001:db8::1", "2001:db8::2")},
		&netlink.SEG6LocalEncap{Action: 2, Table: 7, In6Addr: parseIPs("2001:db8::3")[0], Flags: [nl.SEG6_LOCAL_MAX]bool{true}},
	}
	s := newSnapshot(scope{all: true}, nil)
	for i, encap := range encaps {
		via := &netlink.Via{AddrFamily: unix.AF_INET6, Addr: parseIPs("2001:db8::9")[0]}
		hop := &netlink.NexthopInfo{Gw: parseIPs("198.18.1.8")[0].To4(), NewDst: &netlink.MPLSDestination{Labels: []int{5}}, Encap: encap, Via: via}
		fillIn(reflect.ValueOf(hop).Elem())
		one := route{link: "a1", hops: []string{"a2"}, owner: daemons, Route: netlink.Route{
			Dst: network(t, "198.18.50.0/24"), Src: parseIPs("198.18.1.1")[0].To4(), Gw: parseIPs("2001:db8::1")[0],
			NewDst: hop.NewDst, Encap: encap, Via: &netlink.Via{AddrFamily: unix.AF_INET, Addr: parseIPs("198.18.1.8")[0].To4()},
			MultiPath: []*netlink.NexthopInfo{hop},
		}}
		fillIn(reflect.ValueOf(&one.Route).Elem())
		s.routes[strings.Repeat("r", i+1)] = one
	}
	rule := notedRule{netlink.Rule{Src: network(t, "198.18.3.0/24"), Dst: network(t, "2001:db8::/32")}}
	fillIn(reflect.ValueOf(&rule.Rule).Elem())
	s.rules["rule"] = rule
	address := netlink.Addr{IPNet: network(t, "198.18.1.0/24"), Peer: network(t, "198.18.9.9/32"), Broadcast: parseIPs("198.18.1.255")[0].To4()}
	fillIn(reflect.ValueOf(&address).Elem())
	s.addresses["IPv4 of a1"] = addresses{link: "a1", family: unix.AF_INET, list: []netlink.Addr{address}, marks: map[string]byte{"x": 255}}
	back := throughJSON(t, &Before{was: s})
	for _, pair := range [][2]any{{s.routes, back.was.routes}, {s.rules, back.was.rules}, {s.addresses, back.was.addresses}} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%+v\nis read as\n%+v", pair[0], pair[1])
		}
	}
}

// TestManagerIsReadBackAsItWas: the global DNS as NetworkManager gives it.
func TestManagerIsReadBackAsItWas(t *testing.T) {
	domain := map[string]dbus.Variant{"servers": dbus.MakeVariant([]string{"192.0.2.53", `odd "\ é`}), "options": dbus.MakeVariant([]string{})}
	for name, manager := range map[string]Manager{
		"empty": {GlobalDNS: map[string]dbus.Variant{}},
		"full": {
			GlobalDNS: map[string]dbus.Variant{
				"searches": dbus.MakeVariant([]string{"example.org"}), "options": dbus.MakeVariant([]string{}),
				"domains": dbus.MakeVariant(map[string]dbus.Variant{"*": dbus.MakeVariant(domain)}),
			},
			Checkpoints: []dbus.ObjectPath{"/org/freedesktop/NetworkManager/Checkpoint/7"},
		},
	} {
		back := throughJSON(t, &Before{was: newSnapshot(scope{managed: true}, nil), Manager: manager})
		if !reflect.DeepEqual(back.Manager, manager) {
			t.Errorf("%s: %v is read as %v", name, manager, back.Manager)
		}
	}
}

// TestWhatNmstateDoesNotWriteIsNotTouched, whatever a file says.
func TestWhatNmstateDoesNotWriteIsNotTouched(t *testing.T) {
	for name, want := range map[string]bool{
		ResolvConf: true, HostnameFile: true, linkFiles + "/98-nmstate-eth1.link": true, scriptFiles + "/nmstate-eth1-up.sh": true,
		"/etc/passwd": false, linkFiles + "/99-default.link": false, linkFiles + "/98-nmstate-/../../passwd": false,
		scriptFiles + "/../98-nmstate-x": false, "": false, "etc/hostname": false,
	} {
		text, err := json.Marshal(&Before{was: newSnapshot(scope{files: []string{name}}, nil)})
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &Before{}); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestWhatIsNoBeforeIsAnError: of another version, torn, or nothing at all.
func TestWhatIsNoBeforeIsAnError(t *testing.T) {
	for _, text := range []string{
		`null`, `{}`, `{"version":2,"scope":{}}`, `{"version":1,"scope":{"managed":true}}`, `{"version":1,"scope":{},"manager":{}}`,
		`{"version":1,"scope":{},"routes":{"r":{"MultiPath":[{}]}}}`, `{"version":1,"scope":{},"addresses":{"a":{"family":2,"list":[{}]}}}`,
		`{"version":1,"scope":{},"addresses":{"a":{}}}`, `{"version":1`,
	} {
		if err := json.Unmarshal([]byte(text), &Before{}); err == nil {
			t.Errorf("%s is taken for the network before", text)
		}
	}
	if _, err := json.Marshal(&Before{}); err == nil {
		t.Error("nothing was noted, and it is written down")
	}
}

// TestRestoreInAnotherProcess: what one process has noted, another makes of the network.
func TestRestoreInAnotherProcess(t *testing.T) {
	richNetwork(t)
	const desired = `{"interfaces":[{"name":"a1","type":"veth","state":"up","ipv4":{"enabled":false},"ipv6":{"enabled":false}},{"name":"a2","state":"absent"},
		{"name":"br8","type":"linux-bridge","state":"up","bridge":{"port":[{"name":"a3"}]},"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.18.8.1","prefix-length":24}]}}],
		"dns-resolver":{"config":{"server":["192.0.2.99"]}}}`
	current, _, err := nmstate.RetrieveNetState(nmstate.KernelOnly | nmstate.IncludeSecrets)
	if err != nil {
		t.Fatal(err)
	}
	before, err := Note(t.Context(), Request{Desired: []byte(desired), Current: current})
	if err != nil {
		t.Fatal(err)
	}
	before.Close()
	text, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "before.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := nmstate.ApplyNetState(nmstate.KernelOnly|nmstate.NoVerify, []byte(desired), 0); err != nil {
		t.Fatal(err)
	}
	if left, err := before.Differences(t.Context()); err != nil || len(left) < 10 {
		t.Fatalf("the change has made the differences %q, %v", left, err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	restore := exec.Command(self)
	restore.Env = append(os.Environ(), restoreFrom+"="+path)
	restore.Stderr = os.Stderr
	if out, err := restore.Output(); err != nil || len(out) > 0 {
		t.Errorf("left is %q, %v", out, err)
	}
	if left, err := before.Differences(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("differences: %q, %v", left, err)
	}
}

// TestADaemonsRouteIsPutBackIfNobodyWatched: it may have been the change that made the kernel flush it.
func TestADaemonsRouteIsPutBackIfNobodyWatched(t *testing.T) {
	for _, watched := range []bool{false, true} {
		richNetwork(t)
		noted, err := Note(t.Context(), Request{All: true})
		if err != nil {
			t.Fatal(err)
		}
		noted.Close()
		before := throughJSON(t, noted)
		if watched {
			if err := before.Watch(); err != nil {
				t.Fatal(err)
			}
			defer before.Close()
		}
		netns.Run(t, "ip", "route", "del", "198.18.53.0/24", "tos", "0x10")
		if left := before.Restore(t.Context(), applyKernel); left != "" {
			t.Errorf("left is %s", left)
		}
		if routes := netns.Run(t, "ip", "route"); strings.Contains(routes, "198.18.53.0/24") == watched {
			t.Errorf("watched %v, and the routes are\n%s", watched, routes)
		}
		cleanRich(t)
	}
}

// FuzzBefore: any bytes are an error, or the network before that Restore can be called on.
func FuzzBefore(f *testing.F) {
	f.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
	// A worker gets its inputs from the process that has started it. If one dies, the network is in whatever state
	// it was, and the next one must start all the same, or nobody would know which input it was.
	if !slices.Contains(os.Args, "-test.fuzzworker") {
		addBefores(f)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := &Before{}
		if err := json.Unmarshal(raw, before); err != nil {
			return
		}
		throughJSON(t, before)
		ctx, cancel := withTimeout(t, 20*time.Millisecond)
		defer cancel()
		before.Restore(ctx, nothing)
		_ = before.Uncovered()
		k, _, err := NewKeeper(before, []byte(`{"interfaces":[{"name":"lo","ipv4":{"enabled":true,"address":[]}}]}`))
		if err == nil {
			_ = k.Set()
			_ = k.Keep()
		}
	})
}

// addBefores adds what an agent writes, and what it might.
func addBefores(f *testing.F) {
	f.Helper()
	richNetwork(f)
	for _, request := range []Request{{All: true}, {Desired: []byte(`{}`), Current: []byte(`{}`)}} {
		noted, err := Note(f.Context(), request)
		if err != nil {
			f.Fatal(err)
		}
		noted.Close()
		text, err := json.Marshal(noted)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	cleanRich(f)
	for _, text := range []string{
		`{"version":1,"scope":{"managed":true,"dns":true,"hostname":true},"manager":{"globalDNS":"{\"searches\": <[\"a\"]>}"}}`,
		`{"version":1,"scope":{"managed":true},"manager":{},"outside":{"links":{"lo":true},"before":{"version":1,"scope":{"managed":true,"links":{"lo":true}},"manager":{"known":["b"]}}}}`,
		`{"version":1,"scope":{"links":{"lo":true},"routes":[{"state":"absent","destination":"::/0","table-id":"7"}],"rules":[{"fwmark":"0x7"}]}}`,
		`{"version":1,"scope":{"all":true},"links":{"lo":{"name":"lo","master":"x","mtu":9,"mac":"02:00:00:00:00:01","aliases":"a b"}}}`,
		`{"version":1,"scope":{"all":true},"routes":{"r":{"Dst":"198.18.0.0/24","Encap":{"SEG6":{"Segments":["::1"]}},"Link":"lo","Table":9}}}`,
		`{"version":1,"scope":{"all":true},"routes":{"r":{"Dst":"::/0","Encap":{"SEG6Local":{"Flags":[true,true]}},"Via":{"Address":"::1"},"Hops":["lo"],"MultiPath":[{}]}}}`,
		`{"version":1,"scope":{"all":true},"routes":{"r":{"MPLSDst":7,"NewDst":{"Labels":[7]},"Encap":{"MPLS":{"Labels":[]}}}}}`,
		`{"version":1,"scope":{"all":true},"rules":{"r":{"Src":"198.18.0.0/24","Dst":"::/3","Mask":1,"Family":2,"Dport":{"Start":9}}}}`,
		`{"version":1,"scope":{"all":true},"addresses":{"IPv4 of lo":{"link":"lo","family":2,"list":[{"address":"198.18.0.1/24","peer":"::1/7","valid":9}]}}}`,
		`{"version":1,"scope":{"all":true,"files":["/etc/resolv.conf"]},"files":{"/etc/resolv.conf":{"content":"eA==","mode":420}},"hostname":"x"}`,
	} {
		f.Add([]byte(text))
	}
}
