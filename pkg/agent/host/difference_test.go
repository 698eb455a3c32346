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
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// comparisonCase is a desired and a current state, in YAML, and the difference
// between them, "" if there is none.
type comparisonCase struct{ name, desired, current, want string }

// comparisonCases are all that the tests of this package have.
func comparisonCases() []comparisonCase {
	return slices.Concat(stateCases, interfaceCases, addressCases, portCases, routeCases, refusedCases)
}

// stateCases are of sections other than interfaces, routes and rules.
var stateCases = []comparisonCase{
	{"a description of the whole", "{description: what it is for}", "{}", ""},
	{"nothing", "{}", "{interfaces: [{name: lo, type: loopback, state: up}]}", ""},

	{"hostname", "{hostname: {config: a, running: a}}", "{hostname: {config: a, running: a}}", ""},
	{"half a hostname", "{hostname: {config: a}}", "{hostname: {config: a, running: b}}", ""},
	{"another hostname", "{hostname: {config: a, running: a}}", "{hostname: {config: a, running: b}}", "{hostname: {running: a}}"},

	{"DNS", "{dns-resolver: {config: {server: [192.0.2.1, '2001:DB8::1'], search: [b.example, a.example]}}}",
		"{dns-resolver: {running: {}, config: {server: [192.0.2.1, '2001:db8::1'], search: [b.example, a.example], options: [rotate]}}}", ""},
	{"DNS in another order", "{dns-resolver: {config: {server: [192.0.2.1, 192.0.2.2]}}}",
		"{dns-resolver: {config: {server: [192.0.2.2, 192.0.2.1]}}}", "{dns-resolver: {config: {server: [192.0.2.1, 192.0.2.2]}}}"},
	{"DNS options in another order", "{dns-resolver: {config: {options: [rotate, debug]}}}", "{dns-resolver: {config: {server: [192.0.2.2], options: [debug, rotate]}}}", ""},
	{"DNS options missing", "{dns-resolver: {config: {options: [rotate, debug]}}}", "{dns-resolver: {config: {options: [debug]}}}", "{dns-resolver: {config: {options: [rotate, debug]}}}"},
	{"DNS to be empty that is", "{dns-resolver: {config: {}}}", "{dns-resolver: {running: {server: [192.0.2.2]}, config: {}}}", ""},
	{"DNS to be empty that is unset", "{dns-resolver: {config: {server: [], search: []}}}", "{}", ""},
	{"DNS to be empty that is not", "{dns-resolver: {config: {}}}", "{dns-resolver: {config: {search: [a.example]}}}", "{dns-resolver: {config: {}}}"},
	{"DNS servers to be none, search domains as they are", "{dns-resolver: {config: {server: []}}}", "{dns-resolver: {config: {search: [a.example]}}}", ""},
	{"DNS servers to be none, and there are", "{dns-resolver: {config: {server: []}}}", "{dns-resolver: {config: {server: [192.0.2.1]}}}", "{dns-resolver: {config: {server: []}}}"},
	{"DNS as it was shown, running", "{dns-resolver: {running: {server: [192.0.2.9]}, config: {server: [192.0.2.1]}}}", "{dns-resolver: {running: {server: [192.0.2.8]}, config: {server: [192.0.2.1]}}}", ""},

	{"Open vSwitch's settings", "{ovs-db: {external_ids: {a: 1}, other_config: {}}}", "{ovs-db: {external_ids: {a: '1', hostname: x}, other_config: {b: '2'}}}", ""},
	{"Open vSwitch's settings, one to be absent that is", "{ovs-db: {external_ids: {a: null}}}", "{ovs-db: {external_ids: {hostname: x}, other_config: {}}}", ""},
	{"Open vSwitch's settings, one to be absent that is not", "{ovs-db: {external_ids: {a: null}}}", "{ovs-db: {external_ids: {a: '1'}}}", "{ovs-db: {external_ids: {a: null}}}"},
	{"Open vSwitch's settings, another value", "{ovs-db: {other_config: {a: '1', b: '1'}}}", "{ovs-db: {other_config: {a: '2', b: '1'}}}", "{ovs-db: {other_config: {a: '1'}}}"},

	{"OVN's mappings", "{ovn: {bridge-mappings: [{localnet: a, bridge: br0}, {localnet: gone, state: absent}]}}",
		"{ovn: {bridge-mappings: [{localnet: b, bridge: br0}, {localnet: a, bridge: br0}]}}", ""},
	{"OVN's mappings, others", "{ovn: {bridge-mappings: [{localnet: a, bridge: br0}, {localnet: b, state: absent}, {localnet: c, bridge: br0}]}}",
		"{ovn: {bridge-mappings: [{localnet: b, bridge: br0}, {localnet: a, bridge: br1}, {localnet: c, bridge: br0}]}}",
		"{ovn: {bridge-mappings: [{localnet: a, bridge: br0}, {localnet: b, state: absent}]}}"},
}

// TestDifference compares each case twice: beginning with nmstate's own comparison,
// and without it, as where nmstate refuses to compare.
func TestDifference(t *testing.T) {
	everything := func(_ *comparison, wanted []any) []any { return wanted }
	for _, test := range comparisonCases() {
		t.Run(test.name, func(t *testing.T) {
			for how, candidates := range map[string]func(*comparison, []any) []any{
				"nmstate first": (*comparison).candidates,
				"without":       everything,
			} {
				got, err := differenceBy(fromYAML(t, test.desired), fromYAML(t, test.current).Raw, v1alpha1.BackendNetworkManager, candidates)
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case test.want == "" && got == nil:
				case test.want == "" || got == nil:
					t.Errorf("%s: got %s, want %q", how, shown(got), test.want)
				case !v1alpha1.SameState(got, fromYAML(t, test.want)):
					t.Errorf("%s: got %s, want %s", how, got.Raw, fromYAML(t, test.want).Raw)
				}
			}
		})
	}
}

// TestADifferenceIsAState that nmstate can read: people apply it.
func TestADifferenceIsAState(t *testing.T) {
	for _, test := range comparisonCases() {
		got, err := difference(fromYAML(t, test.desired), fromYAML(t, test.current).Raw, v1alpha1.BackendNetworkManager)
		if err != nil {
			t.Fatal(err)
		}
		if got == nil {
			continue
		}
		if _, err := nmstate.FormatNetState(got.Raw); err != nil {
			t.Errorf("%s: %s: %v", test.name, got.Raw, err)
		}
	}
}

// TestDifferenceWithoutNetworkManager: every link is set down that is to be down, and what the kernel can remove is removed.
func TestDifferenceWithoutNetworkManager(t *testing.T) {
	veth := one("name: v0", "type: veth", "state: down", "veth: {peer: v1}")
	for _, test := range []comparisonCase{
		{"down and up without IP", one("name: eth1", "type: ethernet", "state: down"), eth1("ipv4: {enabled: false}"), one("name: eth1", "type: ethernet", "state: down")},
		{"down and down", one("name: eth1", "type: ethernet", "state: down"), one("name: eth1", "type: ethernet", "state: down"), ""},
		{"down and the loopback", one("name: lo", "type: loopback", "state: down"), one("name: lo", "type: loopback", "state: up", "ipv4: {enabled: true, address: ["+wantedAddress+"]}"), ""},
		{"absent and physical", one("name: eth1", "type: ethernet", "state: absent"), one("name: eth1", "type: ethernet", "state: down"), ""},
		{"absent and a veth that is down", one("name: v0", "type: veth", "state: absent"), veth, one("name: v0", "type: ethernet", "state: absent")},
	} {
		got, err := difference(fromYAML(t, test.desired), fromYAML(t, test.current).Raw, v1alpha1.BackendKernel)
		if err != nil {
			t.Fatal(err)
		}
		if test.want == "" && got != nil || test.want != "" && (got == nil || !v1alpha1.SameState(got, fromYAML(t, test.want))) {
			t.Errorf("%s: got %s, want %q", test.name, shown(got), test.want)
		}
	}
}

// TestNothingDiffersOnceItIsThere: what has all that is wanted, beside what was
// there before, does not differ.
func TestNothingDiffersOnceItIsThere(t *testing.T) {
	tests := comparisonCases()
	files, err := filepath.Glob("../../../docs/examples/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("examples are %q, %v", files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range tests {
			if i%20 == 0 { // a few different networks
				tests = append(tests, comparisonCase{name: filepath.Base(name), desired: exampleState(t, text), current: tests[i].current})
			}
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			desired := fromYAML(t, test.desired)
			formatted, err := nmstate.FormatNetState(desired.Raw)
			if err != nil {
				t.Fatal(err)
			}
			wanted, err := tree.Decode(formatted)
			if err != nil {
				t.Fatal(err)
			}
			there, err := tree.Decode(fromYAML(t, test.current).Raw)
			if err != nil {
				t.Fatal(err)
			}
			current, err := tree.Encode(applied(wanted, there))
			if err != nil {
				t.Fatal(err)
			}
			got, err := difference(desired, current, v1alpha1.BackendNetworkManager)
			if err != nil || got != nil {
				t.Errorf("%s is still missing in %s, %v", shown(got), current, err)
			}
		})
	}
}

// TestAPortOfAVRFCanBeValidated against a network in which it is one already, as
// for the dry run of what was committed. One that leaves its VRF says so itself.
func TestAPortOfAVRFCanBeValidated(t *testing.T) {
	address := "{name: eth1, type: ethernet, state: up, ipv4: {enabled: true, address: [" + wantedAddress + "]}}"
	current := fromYAML(t, vrf("port: [eth1], route-table-id: 102", portOfVRF)).Raw
	there, err := tree.Decode(current)
	if err != nil {
		t.Fatal(err)
	}
	for name, desired := range map[string]string{
		"it stays":                 vrf("port: [eth1], route-table-id: 102", address),
		"alone":                    "{interfaces: [" + address + "]}",
		"it leaves":                vrf("port: [], route-table-id: 102", address),
		"its VRF goes":             "{interfaces: [" + address + ", {name: vrf102, type: vrf, state: absent}]}",
		"it goes to another VRF":   vrf("port: []", address, "{name: vrf103, type: vrf, state: up, vrf: {port: [eth1], route-table-id: 103}}"),
		"another VRF has no ports": vrf("port: [eth1]", address, "{name: vrf103, type: vrf, state: up, vrf: {port: [], route-table-id: 103}}"),
	} {
		if err := nmstate.Validate(withVRFs(fromYAML(t, desired).Raw, there), current); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := nmstate.Validate(fromYAML(t, "{interfaces: ["+address+"]}").Raw, current); err == nil {
		t.Error("nmstate takes the port for what it is: withVRFs can go")
	}
	const odd = `{"interfaces":[{"name":{}},1,{"name":"eth1","vrf":[],"bridge":{"port":[[],{}]}}]}`
	if got := withVRFs([]byte(odd), there); !strings.Contains(string(got), `"name":{}`) {
		t.Errorf("what nmstate is to refuse became %s", got)
	}
	into := bridge("port: [{name: eth1}]", address)
	if err := nmstate.Validate(withVRFs(fromYAML(t, into).Raw, there), current); err == nil {
		t.Error("a bridge's port may have an address")
	}
}

// applied returns a network that has all of a desired state, and what is not mentioned there.
func applied(wanted, there map[string]any) map[string]any {
	result := maps.Clone(there)
	var interfaces []any
	for _, item := range tree.List(there, "interfaces") {
		if named("name", tree.Object(item)["name"], tree.List(wanted, "interfaces")) == nil {
			interfaces = append(interfaces, item)
		}
	}
	for _, item := range tree.List(wanted, "interfaces") {
		iface := tree.Object(item)
		switch before := named("name", iface["name"], tree.List(there, "interfaces")); {
		case iface["state"] == "absent":
		case iface["state"] == "up":
			interfaces = append(interfaces, over(iface, before))
		case before != nil:
			before["state"] = iface["state"]
			interfaces = append(interfaces, before)
		}
	}
	result["interfaces"] = interfaces
	for section, value := range wanted {
		if section != "interfaces" && section != "description" {
			result[section] = over(tree.Object(value), tree.Object(there[section]))
		}
	}
	for _, item := range tree.List(tree.Object(result["route-rules"]), "config") {
		if rule := tree.Object(item); rule["action"] == nil && rule["route-table"] == nil {
			rule["route-table"] = "254" // the kernel's main table
		}
	}
	return result
}

// over returns what was there with what is wanted put over it.
func over(wanted, there map[string]any) map[string]any {
	result := map[string]any{}
	maps.Copy(result, there)
	for key, value := range wanted {
		switch value := value.(type) {
		case nil:
			delete(result, key)
		case map[string]any:
			if len(value) == 0 && (key == "config" || key == "vlan") { // means that there is to be nothing
				delete(result, key)
				continue
			}
			result[key] = over(value, tree.Object(there[key]))
		case []any:
			var kept []any
			for _, item := range value {
				if tree.Object(item)["state"] != "absent" {
					kept = append(kept, item)
				}
			}
			if key == "config" || key == "bridge-mappings" || key == "alt-names" {
				for _, item := range tree.Items(there[key]) {
					if !takenAway(tree.Object(item), value) {
						kept = append(kept, item)
					}
				}
			}
			result[key] = kept
		default:
			result[key] = value
		}
	}
	return result
}

// takenAway tells whether one of the entries says that an item is to be absent, or another one.
func takenAway(item map[string]any, entries []any) bool {
	for _, other := range entries {
		entry := maps.Clone(tree.Object(other))
		absent := entry["state"] == "absent"
		delete(entry, "state")
		switch {
		case entry["name"] != nil || entry["localnet"] != nil:
			if item["name"] == entry["name"] && item["localnet"] == entry["localnet"] {
				return true
			}
		case absent && len(item) > 0 && hasAll(entry, item):
			return true
		}
	}
	return false
}

func hasAll(wanted, there map[string]any) bool {
	for key, value := range wanted {
		if key != "metric" && value != "" && !tree.SameValue(value, there[key]) && !tree.SamePrefix(value, there[key]) {
			return false
		}
	}
	return true
}

func fromYAML(t *testing.T, text string) *v1alpha1.State {
	t.Helper()
	raw, err := yaml.ToJSON([]byte("---\n" + text)) // what begins with a brace it takes for JSON
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return v1alpha1.NewState(raw)
}

// exampleState returns the desired state of an example.
func exampleState(t *testing.T, text []byte) string {
	t.Helper()
	var obj v1alpha1.NodeNetworkState
	if err := yaml.Unmarshal(text, &obj); err != nil {
		t.Fatal(err)
	}
	return string(obj.Spec.DesiredState.Raw)
}

func shown(state *v1alpha1.State) string {
	if state == nil {
		return "nothing"
	}
	return string(state.Raw)
}

// one is a state with one interface of the given fields.
func one(fields ...string) string { return "{interfaces: [{" + strings.Join(fields, ", ") + "}]}" }
