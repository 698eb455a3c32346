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
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// node is a node's network and spec in a test. Its states are YAML.
type node struct {
	t *testing.T
	// current is the network; a test changes it as an apply would.
	current string
	desired []byte
	notes   json.RawMessage
	managed bool
}

func asJSON(t *testing.T, state string) []byte {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(state))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// settle returns what the change to a state comes to. It does not commit it.
func (n *node) settle(desired string, revert, forgotten bool) (*Plan, field.ErrorList) {
	n.t.Helper()
	c := Change{
		Previous: n.desired, Current: asJSON(n.t, n.current), Notes: n.notes, Revert: revert, Managed: n.managed, Forgotten: forgotten,
	}
	if desired != "" {
		c.Desired = asJSON(n.t, desired)
	}
	plan, faults, err := Settle(c, field.NewPath("spec", "desiredState"))
	if err != nil {
		n.t.Fatal(err)
	}
	return plan, faults
}

// commit commits the change to a state.
func (n *node) commit(desired string, revert bool) *Plan {
	n.t.Helper()
	plan, faults := n.settle(desired, revert, false)
	if len(faults) > 0 {
		n.t.Fatal(faults.ToAggregate())
	}
	n.desired, n.notes = nil, plan.Notes
	if desired != "" {
		n.desired = asJSON(n.t, desired)
	}
	return plan
}

// asks fails the test unless the change to a state, with what leaves taken away, asks for another one.
func (n *node) asks(desired, want string) {
	n.t.Helper()
	plan, faults := n.settle(desired, true, false)
	if len(faults) > 0 {
		n.t.Fatal(faults.ToAggregate())
	}
	if got := sorted(n.t, plan.State); got != sorted(n.t, asJSON(n.t, want)) {
		n.t.Errorf("to %q asks for\n%s\nand not\n%s", desired, got, sorted(n.t, asJSON(n.t, want)))
	}
}

// refuses fails the test unless the change to a state is refused with these words.
func (n *node) refuses(desired string, words ...string) {
	n.t.Helper()
	_, faults := n.settle(desired, true, false)
	if len(faults) != len(words) {
		n.t.Fatalf("faults are %v", faults)
	}
	for i, fault := range faults {
		if !strings.Contains(fault.Error(), words[i]) {
			n.t.Errorf("%q is not in %s", words[i], fault)
		}
	}
}

// sorted is a state whose interfaces are sorted.
func sorted(t *testing.T, raw []byte) string {
	t.Helper()
	var state map[string]any
	if err := json.Unmarshal(raw, &state); err != nil {
		t.Fatal(err)
	}
	if list, is := state["interfaces"].([]any); is {
		slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	text, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const (
	plain = `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01", ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}, ipv6: {enabled: false}}
- {name: eth2, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:02", ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: br9, type: linux-bridge, state: up, bridge: {options: {mac-ageing-time: 300, stp: {enabled: false}}, port: [{name: veth9}]}, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: veth9, type: veth, state: up, controller: br9, ipv4: {enabled: false}, ipv6: {enabled: false}}
routes: {config: [{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, table-id: 254}]}
route-rules: {config: [{ip-from: 203.0.113.0/24, priority: 100, route-table: 254}]}
dns-resolver: {config: {server: [192.0.2.53]}}
hostname: {running: a, config: a}
`
	bond   = `- {name: bond1, type: bond, state: up, link-aggregation: {mode: active-backup, port: [eth1, eth2]}}`
	vlan   = `- {name: bond1.7, type: vlan, state: up, vlan: {id: 7, base-iface: bond1}}`
	bonded = "interfaces:\n" + bond + "\n" + vlan
)

// made is the network once bond1 and bond1.7 are made.
func made(more string) string {
	text := strings.Replace(plain, "routes: {config", `
- {name: bond1, type: bond, state: up, link-aggregation: {mode: active-backup, port: [eth1, eth2]}, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: bond1.7, type: vlan, state: up, vlan: {id: 7, base-iface: bond1}, ipv4: {enabled: false}, ipv6: {enabled: false}}
`+more+`
routes: {config`, 1)
	text = strings.Replace(text, "ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}", "controller: bond1, ipv4: {enabled: false}", 1)
	return strings.Replace(text, `name: eth2, type: ethernet,`, `name: eth2, type: ethernet, controller: bond1,`, 1)
}
