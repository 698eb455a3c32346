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

package netstate

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// state returns a state that is written as YAML.
func state(t *testing.T, text string) map[string]any {
	t.Helper()
	raw, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := tree.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// same compares two values by their JSON.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	texts := [2]string{}
	for i, value := range []any{got, want} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	if texts[0] != texts[1] {
		t.Errorf("%s is\n%s, want\n%s", what, texts[0], texts[1])
	}
}

const node = `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, controller: bond0}
- {name: eth2, type: ethernet, state: up, mtu: 1500, controller: bond0}
- name: bond0
  type: bond
  state: up
  mtu: 1500
  link-aggregation: {mode: active-backup, port: [eth1, eth2]}
- name: bond0.7
  type: vlan
  state: up
  mtu: 1500
  vlan: {base-iface: bond0, id: 7}
  ipv4: {enabled: true, address: [{ip: 192.0.2.5, prefix-length: 24, valid-life-time: dynamic}]}
  ipv6: {enabled: true, address: [{ip: fe80::1, prefix-length: 64}, {ip: 2001:db8::5, prefix-length: 64}]}
- {name: br0, type: ovs-interface, state: up}
- name: br0
  type: ovs-bridge
  state: up
  bridge: {port: [{name: br0}, {name: bond1, link-aggregation: {port: [{name: eth3}, {name: eth4}]}}]}
- {name: veth0, type: veth, state: down, veth: {peer: veth1}}
routes:
  config:
  - {destination: 203.0.113.0/24, next-hop-interface: bond0.7, next-hop-address: 192.0.2.1, metric: 100, table-id: 254}
  running:
  - {destination: 203.0.113.0/24, next-hop-interface: bond0.7, next-hop-address: 192.0.2.1, metric: 100, table-id: 254}
  - {destination: 0.0.0.0/0, next-hop-interface: bond0.7, next-hop-address: 192.0.2.1, metric: 400, table-id: 254}
  - {destination: 198.18.0.0/15, route-type: blackhole, table-id: 200}
route-rules:
  config: [{priority: 1000, ip-from: 198.51.100.32/27, route-table: 200}]
dns-resolver:
  config: {}
  running: {server: [192.0.2.53, "2001:db8::53"], search: [example.org]}
`

func TestInterfaces(t *testing.T) {
	var lines []string
	for _, i := range Interfaces(state(t, node)) {
		lines = append(lines, strings.Join([]string{i.Name, i.Type, i.State, i.MTU, strings.Join(i.Addresses, ","), i.Topology}, "|"))
	}
	want := []string{
		"bond0|bond|up|1500||ports eth1,eth2",
		"bond0.7|vlan|up|1500|192.0.2.5/24 (dynamic),2001:db8::5/64|vlan 7 on bond0",
		"br0|ovs-bridge|up|||ports br0,eth3,eth4",
		"br0|ovs-interface|up|||",
		"eth1|ethernet|up|1500||port of bond0",
		"eth2|ethernet|up|1500||port of bond0",
		"veth0|veth|down|||peer veth1",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("the interfaces are\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if got := InterfaceNames(state(t, node)); !slices.Equal(got, []string{"bond0", "bond0.7", "br0", "eth1", "eth2", "veth0"}) {
		t.Errorf("the names are %v", got)
	}
	if got := Interfaces(state(t, node), "eth2"); len(got) != 1 || got[0].Name != "eth2" {
		t.Errorf("eth2 alone is %v", got)
	}
}

func TestRoutesRulesAndDNS(t *testing.T) {
	want := []Route{
		{"203.0.113.0/24", "192.0.2.1", "bond0.7", "100", "254", "static"},
		{"0.0.0.0/0", "192.0.2.1", "bond0.7", "400", "254", ""},
		{"198.18.0.0/15", "", "", "", "200", "blackhole"},
	}
	if got := Routes(state(t, node)); !reflect.DeepEqual(got, want) {
		t.Errorf("the routes are %v, want %v", got, want)
	}
	if got := Routes(state(t, node), "eth1"); got != nil {
		t.Errorf("the routes over eth1 are %v", got)
	}
	if got := Rules(state(t, node)); !slices.Equal(got, []string{"priority 1000 from 198.51.100.32/27 lookup 200"}) {
		t.Errorf("the rules are %q", got)
	}
	servers, search := DNS(state(t, node))
	if !slices.Equal(servers, []string{"192.0.2.53", "2001:db8::53"}) || !slices.Equal(search, []string{"example.org"}) {
		t.Errorf("DNS is %v, %v", servers, search)
	}
}

func TestNarrow(t *testing.T) {
	got := Narrow(state(t, node), []string{"veth0", "bond0.7"})
	if names := InterfaceNames(got); !slices.Equal(names, []string{"bond0.7", "veth0"}) {
		t.Errorf("the interfaces are %v", names)
	}
	if routes := Routes(got); len(routes) != 2 {
		t.Errorf("the routes are %v", routes)
	}
	same(t, "a state without the interface", Narrow(state(t, "{}"), []string{"x"}), map[string]any{
		"interfaces": []any{}, "routes": map[string]any{"config": []any{}, "running": []any{}}})
}

// TestOddStates: a hostile or future node makes the plugin show less, and nothing worse.
func TestOddStates(t *testing.T) {
	for _, text := range []string{
		"{}", "interfaces: 7", "interfaces: [7, null, {}]", "interfaces: [{name: 7, ipv4: 3, bridge: {port: [1, {}]}, vlan: []}]",
		"routes: []", "routes: {running: [3, {destination: 7}]}", "route-rules: {config: {}}", "dns-resolver: {running: {server: 3}}", "hostname: 3",
	} {
		one := state(t, text)
		Interfaces(one)
		Routes(one)
		Rules(one)
		DNS(one)
		Narrow(one, []string{"x"})
		Plan(one, one)
		Merge(one, one)
		if changes := Changes(one, one); len(changes) > 0 {
			t.Errorf("%s: from itself it differs by %v", text, changes)
		}
		Changes(state(t, "{}"), one)
	}
}
