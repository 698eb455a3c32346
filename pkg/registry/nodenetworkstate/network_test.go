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

package nodenetworkstate

import (
	"runtime"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestHostileStatesCostTheTableLittle measures what is allocated for one row.
func TestHostileStatesCostTheTableLittle(t *testing.T) {
	const size = 15 << 20
	for name, state := range map[string]struct{ before, item, after string }{
		"interfaces":        {`{"interfaces":[`, `{},`, `{}]}`},
		"interfaces, again": {`{`, `"interfaces":[{}],`, `"a":0}`},
		"addresses":         {`{"interfaces":[{"state":"up","ipv4":{"address":[`, `{},`, `{}]}}]}`},
		"addresses, again":  {`{"interfaces":[{"state":"up","ipv4":{`, `"address":[{}],`, `"a":0}}]}`},
		"one of each":       {`{"interfaces":[`, `{"state":"up","ipv4":{"address":[{}]}},`, `{}]}`},
		"routes":            {`{"routes":{"running":[`, `{},`, `{}]}}`},
		"lists":             {`{"interfaces":[`, `[],`, `[]]}`},
		"no interfaces":     {`{"interfaces":[`, `null,`, `null]}`},
		"a long name":       {`{"interfaces":[{"state":"up","name":"`, `x`, `"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			text := state.before + strings.Repeat(state.item, size/len(state.item)) + state.after
			hostile := v1alpha1.NewState([]byte(text))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			net := parseNetwork(hostile)
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 6*agent.MaxMessageSize {
				t.Errorf("a row of %d bytes allocated %d", len(text), allocated)
			}
			if len(net.addresses) > maxAddresses {
				t.Errorf("%d addresses are shown", len(net.addresses))
			}
		})
	}
}

// TestWhatCannotBeReadTakesNothingElseAway: a state that is half wrong shows what is right.
func TestWhatCannotBeReadTakesNothingElseAway(t *testing.T) {
	for text, want := range map[string]network{
		`{"interfaces":7,"routes":{"running":[{"destination":"::/0","next-hop-interface":"eth0"}]}}`: {defaultRoute: "eth0"},
		`{"interfaces":["x",{"state":"up","name":7,"ipv4":{"address":["x",{"ip":"192.0.2.1","prefix-length":24}]}}],"routes":7}`: {
			addresses: []string{"192.0.2.1/24"}},
		`{"routes":{"running":[{"destination":"::/0","next-hop-address":"2001:db8::1","next-hop-interface":"eth0"},
			{"destination":"0.0.0.0/0","next-hop-address":"192.0.2.1","next-hop-interface":"eth1"}]}}`: {defaultRoute: "192.0.2.1%eth1"},
		`{"interfaces":[{"state":"up","ipv4":{"address":[{"ip":"\u001b[2J","prefix-length":24},{"ip":"2001:db8::1%\n","prefix-length":64}]}}],
			"routes":{"running":[{"destination":"::/0","next-hop-address":"\u001b[2J","next-hop-interface":"eth0"}]}}`: {defaultRoute: "eth0"},
		`{"interfaces":[{"state":"up","ipv4":{"address":[{"ip":"` + strings.Repeat("1", 1000) + `"}]}}],
			"routes":{"running":[{"destination":"::/0","next-hop-interface":"` + strings.Repeat("x", 1000) + `"}]}}`: {},
		`7`: {},
	} {
		got := parseNetwork(v1alpha1.NewState([]byte(text)))
		if got.defaultRoute != want.defaultRoute || strings.Join(got.addresses, ",") != strings.Join(want.addresses, ",") {
			t.Errorf("%s shows %+v, not %+v", text, got, want)
		}
	}
}
