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

package table

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// cases are those of the suite.
func cases(t *testing.T) []*Case {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	all, err := Load(root, "test/vm/cases")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// named returns a case by its type and name.
func named(t *testing.T, all []*Case, title string) *Case {
	t.Helper()
	i := slices.IndexFunc(all, func(c *Case) bool { return c.Title() == title })
	if i < 0 {
		t.Fatalf("there is no case %q", title)
	}
	return all[i]
}

// TestCasesAreNmstates: nmstate knows all that the cases say, so that none of them is a typing mistake.
func TestCasesAreNmstates(t *testing.T) {
	replace := strings.NewReplacer("${MAC:eth1}", "02:00:00:00:00:01", "${MAC:eth2}", "02:00:00:00:00:02", "${MAC:eth3}", "02:00:00:00:00:03", "${HOSTNAME}", "vm01")
	for _, c := range cases(t) {
		for _, state := range append(c.states(), Batch{c}.Away(), c.Bad) {
			if len(state) == 0 {
				continue
			}
			text, err := yaml.Marshal(state)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := nmstate.FormatNetState([]byte(replace.Replace(string(text)))); err != nil {
				t.Errorf("%s: %v\n%s", c.Title(), err, text)
			}
		}
	}
}

// TestBatches: cases of a batch have nothing in common, and those that are to be alone are.
func TestBatches(t *testing.T) {
	all := cases(t)
	for _, backend := range Backends {
		var seen []*Case
		for _, batch := range Batches(all, backend, 12) {
			seen = append(seen, batch...)
			for i, c := range batch {
				if (c.Alone || c.RefusedBy(backend) != "") && len(batch) > 1 {
					t.Errorf("%s is in a batch of %d", c.Title(), len(batch))
				}
				for _, other := range batch[:i] {
					if c.use().collides(other.use()) {
						t.Errorf("%s and %s are in a batch", c.Title(), other.Title())
					}
				}
			}
			state, looks := batch.State(batch.Changes())
			if len(looks) != len(batch) || len(state) == 0 {
				t.Errorf("a batch of %d cases has looks for %d", len(batch), len(looks))
			}
		}
		if len(seen) != len(all) {
			t.Errorf("%d of %d cases are in batches of %s", len(seen), len(all), backend)
		}
	}
}

// TestAway: what a case made is removed, the last one first, and what was there before is idle.
func TestAway(t *testing.T) {
	c := named(t, cases(t), "linux-bridge: over a bond over VLANs")
	want := append(slices.Clone(Ports), "lbr8", "bbond8", "vl8b", "vl8a")
	if got := (Batch{c}).Away().Names(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	routes := named(t, cases(t), "routes: default route of a port")
	if got := (Batch{routes}).Away()["routes"]; got == nil {
		t.Error("the route over a port stays")
	}
}

func TestCollides(t *testing.T) {
	vlan := func(name string) *Case {
		return &Case{State: State{"interfaces": []any{map[string]any{"name": name, "vlan": map[string]any{"base-iface": "eth3"}}}}}
	}
	bond := &Case{State: State{"interfaces": []any{map[string]any{"name": "b", "link-aggregation": map[string]any{"port": []any{"eth2", "eth3"}}}}}}
	dns := &Case{State: State{"dns-resolver": map[string]any{}}}
	for _, test := range []struct {
		a, b     *Case
		collides bool
	}{
		{vlan("a"), vlan("b"), false}, {vlan("a"), vlan("a"), true}, {vlan("a"), bond, true}, {bond, vlan("a"), true},
		{dns, bond, false}, {dns, dns, true}, {&Case{Takes: []string{"eth3"}}, vlan("a"), true},
	} {
		if got := test.a.use().collides(test.b.use()); got != test.collides {
			t.Errorf("%v and %v: %v", test.a.State, test.b.State, got)
		}
	}
}
