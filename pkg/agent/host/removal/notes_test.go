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

package removal

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

const routeOfSpec = "{destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.8"

func TestRoutesAndRulesLeave(t *testing.T) {
	n := &node{t: t, current: plain}
	n.commit(`
routes: {config: [`+routeOfSpec+`}, {destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9}]}
route-rules: {config: [{ip-from: 198.51.100.0/24, route-table: 254}, {ip-from: 203.0.113.0/24, route-table: 254}]}`, true)
	n.current = strings.NewReplacer("table-id: 254}]}", "table-id: 254}, "+routeOfSpec+", metric: 50, table-id: 254}, "+routeOfSpec+", metric: 60, table-id: 9}]}",
		"priority: 100, route-table: 254}]}", "priority: 100, route-table: 254}, {ip-from: 198.51.100.0/24, priority: 30000, route-table: 254}]}").Replace(plain)
	n.asks("", `
routes: {config: [`+routeOfSpec+`, metric: 50, table-id: 254, state: absent}]}
route-rules: {config: [{ip-from: 198.51.100.0/24, priority: 30000, route-table: 254, state: absent}]}`)
	// What another entry wants stays.
	n.asks("routes: {config: ["+routeOfSpec+", metric: 50}]}", `
routes: {config: [`+routeOfSpec+`, metric: 50}]}
route-rules: {config: [{ip-from: 198.51.100.0/24, priority: 30000, route-table: 254, state: absent}]}`)
}

// TestRouteBesideItsLike: nmstate takes a route away whatever its metric is.
func TestRouteBesideItsLike(t *testing.T) {
	with := func(more string) string {
		return strings.Replace(plain, "table-id: 254}]}", "table-id: 254}, "+routeOfSpec+", metric: 60, table-id: 254}"+more+"]}", 1)
	}
	n := &node{t: t, current: with("")}
	n.commit("routes: {config: ["+routeOfSpec+", metric: 50}]}", true)
	n.current = with(", " + routeOfSpec + ", metric: 50, table-id: 254}")
	n.asks("", "routes: {config: ["+routeOfSpec+", metric: 50, table-id: 254, state: absent}, "+routeOfSpec+", metric: 60, table-id: 254}]}")
}

func TestAbsentRoutesAndRulesComeBack(t *testing.T) {
	n := &node{t: t, current: plain}
	n.commit(`
routes: {config: [{state: absent, next-hop-interface: eth1}]}
route-rules: {config: [{state: absent, ip-from: 203.0.113.0/24}]}`, true)
	n.current = strings.NewReplacer("config: [{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, table-id: 254}]", "config: []",
		"config: [{ip-from: 203.0.113.0/24, priority: 100, route-table: 254}]", "config: []").Replace(plain)
	n.asks("", `
routes: {config: [{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, table-id: 254}]}
route-rules: {config: [{ip-from: 203.0.113.0/24, priority: 100, route-table: 254}]}`)
	n.asks("routes: {config: [{state: absent, destination: 203.0.113.0/24}]}", `
routes: {config: [{state: absent, destination: 203.0.113.0/24}]}
route-rules: {config: [{ip-from: 203.0.113.0/24, priority: 100, route-table: 254}]}`)
}

func TestSettingsLeave(t *testing.T) {
	n := &node{t: t, current: plain + `
ovs-db: {external_ids: {old: a, hostname: node}, other_config: {x: "1"}}
ovn: {bridge-mappings: [{localnet: net1, bridge: br1}]}`}
	n.commit(`
dns-resolver: {config: {server: [192.0.2.54], search: [example.org]}}
hostname: {running: b, config: b}
ovs-db: {external_ids: {old: b, new: c}}
ovn: {bridge-mappings: [{localnet: net1, bridge: br2}, {localnet: net2, bridge: br2}]}`, true)
	n.current = strings.Replace(plain, "192.0.2.53", "192.0.2.54", 1)
	n.asks("", `
dns-resolver: {config: {server: [192.0.2.53], search: []}}
hostname: {running: a, config: a}
ovs-db: {external_ids: {old: a, new: null}}
ovn: {bridge-mappings: [{localnet: net1, bridge: br1}, {localnet: net2, state: absent}]}`)
	n.asks(`
dns-resolver: {config: {search: [example.net]}}
hostname: {config: c}
ovs-db: {external_ids: {new: d}}
ovn: {bridge-mappings: [{localnet: net2, bridge: br3}]}`, `
dns-resolver: {config: {search: [example.net], server: [192.0.2.53]}}
hostname: {config: c, running: a}
ovs-db: {external_ids: {new: d, old: a}}
ovn: {bridge-mappings: [{localnet: net2, bridge: br3}, {localnet: net1, bridge: br1}]}`)
	n.asks(`
dns-resolver: {config: {}}
hostname: {running: b, config: b}
ovs-db: {external_ids: {old: b, new: c}}
ovn: {bridge-mappings: [{localnet: net1, bridge: br2}, {localnet: net2, bridge: br2}]}`, `
dns-resolver: {config: {}}
hostname: {running: b, config: b}
ovs-db: {external_ids: {old: b, new: c}}
ovn: {bridge-mappings: [{localnet: net1, bridge: br2}, {localnet: net2, bridge: br2}]}`)
}

// TestWhatIsNotNotedIsRefused: it came under an agent that noted nothing, and nobody knows what was there before.
func TestWhatIsNotNotedIsRefused(t *testing.T) {
	const old = `
interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1400}]
routes: {config: [{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9}]}
route-rules: {config: [{ip-from: 203.0.113.0/24, route-table: 254}]}
hostname: {running: a}`
	n := &node{t: t, current: plain, desired: asJSON(t, old)}
	refused := []string{
		"spec.desiredState.hostname.running: Forbidden: it leaves the spec, and spec.removal is Revert, but the node's agent has not noted",
		"spec.desiredState.interfaces[name=eth1]: Forbidden: it leaves", "spec.desiredState.route-rules.config: Forbidden: rule ip-from=203.0.113.0/24 leaves",
		"spec.desiredState.routes.config: Forbidden: route to 203.0.113.0/24 leaves",
	}
	n.refuses("", refused...)
	n.commit(old+"\ndns-resolver: {config: {server: [192.0.2.54]}}", true)
	n.refuses("dns-resolver: {config: {server: [192.0.2.54]}}", refused...)
	n.refuses(strings.Replace(old, "mtu: 1400", "ipv6: {enabled: false}", 1), "spec.desiredState.interfaces[name=eth1]: Forbidden: mtu leaves")
	// What came since is known.
	n.asks(old, strings.Replace(old, "hostname", "dns-resolver: {config: {server: [192.0.2.53]}}\nhostname", 1))
	n.commit("", false)
	n.commit("interfaces: [{name: eth1, mtu: 1400}]", true)
	n.asks("", "interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1500}]")
}

// TestAfterABootWithoutNetworkManager: what there was before is what the boot has brought. What the spec makes is the spec's.
func TestAfterABootWithoutNetworkManager(t *testing.T) {
	const desired = "interfaces:\n- {name: eth1, mtu: 1400}\n- {name: br1, type: linux-bridge, state: up}\n- {name: br9, bridge: {options: {mac-ageing-time: 100}}}\n" +
		"dns-resolver: {config: {server: [192.0.2.54]}}\nroutes: {config: [{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9}]}"
	n := &node{t: t, current: plain}
	n.commit(desired, true)
	n.current = strings.NewReplacer("mtu: 1500", "mtu: 1450", "192.0.2.53", "192.0.2.54", "203.0.113.0/24, next", "198.18.0.0/24, next", "name: br9", "name: br8").Replace(plain) // nobody has made br9; the files are as they were left
	plan, faults := n.settle(desired, true, true)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	n.notes = plan.Notes
	n.current = strings.NewReplacer("routes: {config", "- {name: br1, type: linux-bridge, state: up}\nroutes: {config", "controller: br9, ", "").Replace(plain)
	n.asks("", `
interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1450}, {name: br1, type: linux-bridge, state: absent}, {name: br9, type: linux-bridge, state: absent}]
dns-resolver: {config: {server: [192.0.2.53]}}
routes: {config: [{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, table-id: 254, state: absent}]}`)
}

// TestSecretsBefore: they are in the notes, and a mask is not put back in the place of a secret.
func TestSecretsBefore(t *testing.T) {
	const with = "interfaces: [{name: eth1, type: ethernet, state: up, 802.1x: {identity: me, eap-methods: [ttls], password: new}}]"
	for before, back := range map[string]string{
		"s3cret":                     "interfaces: [{name: eth1, type: ethernet, state: up, 802.1x: {identity: me, password: s3cret}}]",
		"<_password_hid_by_nmstate>": "interfaces: [{name: eth1, type: ethernet, state: up}]",
	} {
		n := &node{t: t, current: strings.Replace(plain, "name: eth1,", "name: eth1, 802.1x: {identity: me, password: "+before+"},", 1)}
		n.commit(with, true)
		n.asks("", back)
		if has := strings.Contains(string(n.notes), "s3cret"); has != (before == "s3cret") {
			t.Errorf("noted is %s", n.notes)
		}
	}
}

// TestNotesAreBounded: what is new comes without notes, which is told when it leaves.
func TestNotesAreBounded(t *testing.T) {
	n := &node{t: t, current: plain}
	n.commit("hostname: {running: b}", true)
	var list []string
	for i := range 100 {
		list = append(list, fmt.Sprintf("{name: d%d, type: dummy, state: up, description: %q}", i, strings.Repeat("x", MaxNotes/50)))
	}
	n.current = "interfaces: [" + strings.Join(list, ", ") + "]"
	for i := range list {
		list[i] = fmt.Sprintf("{name: d%d, state: absent}", i)
	}
	plan := n.commit("hostname: {running: b}\ninterfaces: ["+strings.Join(list, ", ")+"]", true)
	if len(plan.Notes) > MaxNotes {
		t.Errorf("the notes have %d bytes", len(plan.Notes))
	}
	n.current = plain
	n.asks("interfaces: ["+strings.Join(list, ", ")+"]", "hostname: {running: a}\ninterfaces: ["+strings.Join(list, ", ")+"]")
	if _, faults := n.settle("", true, false); len(faults) != len(list) {
		t.Errorf("faults are %v", faults)
	}
}

// TestAnotherLibnmstate has committed the state before.
func TestAnotherLibnmstate(t *testing.T) {
	n := &node{t: t, current: plain, desired: []byte(`{"future":{}}`)}
	n.refuses("", "spec.desiredState: Forbidden: spec.removal is Revert, and the node's nmstate does not read")
	n.commit("hostname: {running: b}", false)
	n.refuses("", "spec.desiredState.hostname.running: Forbidden")
	if _, _, err := Settle(Change{Desired: []byte(`{"future":{}}`), Current: []byte("{}")}, field.NewPath("x")); err == nil {
		t.Error("a state that nmstate does not read is settled")
	}
}
