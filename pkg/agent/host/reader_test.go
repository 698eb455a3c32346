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
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// TestReaderKeepsNothingStale: a reader that knows the state before makes of a state what one makes that knows nothing, and that is the
// whole state, decoded and encoded, without noise.
func TestReaderKeepsNothingStale(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, keepVeths := range []bool{false, true} {
		r := &reader{keepVeths: keepVeths}
		for range 500 {
			raw := randomRead(random)
			got, err := r.read(raw)
			if err != nil {
				t.Fatal(err)
			}
			if same, err := r.read(strings.ReplaceAll(raw, `"gc-timer":0`, `"gc-timer":1`)); err != nil || same != got {
				t.Fatalf("of the same %s, but for noise, came another state: %v", raw, err)
			}
			fresh, err := parseState(raw, keepVeths)
			if err != nil {
				t.Fatal(err)
			}
			root, err := decodeQuiet(raw)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := tree.Encode(root)
			if err != nil {
				t.Fatal(err)
			}
			if string(got.full) != string(whole) || string(got.shown.Raw) != string(fresh.shown.Raw) || got.count != fresh.count ||
				fmt.Sprint(got.veths) != fmt.Sprint(fresh.veths) {
				t.Fatalf("of %s came %s, shown %s, %+v, veths %v; not %s, shown %s, %+v, veths %v",
					raw, got.full, got.shown.Raw, got.count, got.veths, whole, fresh.shown.Raw, fresh.count, fresh.veths)
			}
		}
		if most := 6; len(r.known) > most {
			t.Errorf("the reader keeps %d interfaces, and the last state had at most %d", len(r.known), most)
		}
	}
}

// randomRead is a state of a few interfaces, some of which were in one before; fields are out of order, as libnmstate has them.
func randomRead(random *rand.Rand) string {
	var interfaces, routes []string
	for i := range random.IntN(7) {
		kind := []string{"veth", "linux-bridge", "ethernet"}[random.IntN(3)]
		state := []string{"up", "down", "ignore"}[random.IntN(3)]
		interfaces = append(interfaces, fmt.Sprintf(`{"type":%q,"name":"eth%d","state":%q,"mtu":%d,"bridge":{"options":{"gc-timer":%d,"hello-time":2}},`+
			`"description":"<a \"b\" ]}>","ipv4":{"address":[{"prefix-length":24,"ip":"192.0.2.%d","valid-life-time":"%dsec"}]}}`,
			kind, i, state, 1500+random.IntN(2), random.IntN(3), i, random.IntN(9)))
		routes = append(routes, fmt.Sprintf(`{"next-hop-interface":"eth%d","destination":"198.18.%d.0/24","metric":%d}`, i, i, random.IntN(3)))
	}
	return fmt.Sprintf(`{"routes":{"running":[%s],"config":[]},"hostname":{"running":"n%d"},"interfaces":[%s],"dns-resolver":{}}`,
		strings.Join(routes, ","), random.IntN(2), strings.Join(interfaces, ","))
}

// TestReaderWithoutInterfaces: a state may have no list of interfaces, and one that is no JSON object is refused.
func TestReaderWithoutInterfaces(t *testing.T) {
	for raw, want := range map[string]string{
		`{"interfaces":[],"dns-resolver":{}}`: `{"dns-resolver":{},"interfaces":[]}`,
		`{"hostname":{"running":"a"}}`:        `{"hostname":{"running":"a"}}`,
		`{"interfaces":null}`:                 `{"interfaces":null}`,
		`{"interfaces":[{"name":"a"}`:         "",
		`{"interfaces":[7]}`:                  "",
		`[]`:                                  "",
		``:                                    "",
	} {
		s, err := parseState(raw, false)
		if got := ""; err == nil {
			got = string(s.full)
			if got != want {
				t.Errorf("of %q came %q, not %q", raw, got, want)
			}
		} else if want != "" {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// BenchmarkReadOneChange is a state of 500 interfaces of which one has changed.
func BenchmarkReadOneChange(b *testing.B) {
	read := func(mtu int) string {
		interfaces := make([]string, 500)
		for i := range interfaces {
			interfaces[i] = fmt.Sprintf(`{"name":"eth%d","type":"veth","state":"up","mac-address":"02:00:00:00:00:01","mtu":1500,`+
				`"ipv4":{"enabled":false},"ipv6":{"enabled":false},"ethtool":{"feature":{"rx-gro":true,"tx-checksum-ip-generic":true,`+
				`"highdma":true,"rx-vlan-hw-parse":true,"tx-tcp-segmentation":true,"tx-udp-segmentation":true}},"veth":{"peer":"a%d"}}`, i, i)
		}
		return fmt.Sprintf(`{"interfaces":[{"name":"lo","mtu":%d},%s]}`, mtu, strings.Join(interfaces, ","))
	}
	states := []string{read(1), read(2)}
	for name, r := range map[string]*reader{"known": {}, "unknown": nil} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				with := r
				if with == nil {
					with = &reader{}
				}
				if _, err := with.read(states[i%2]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
