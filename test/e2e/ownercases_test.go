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

package e2e

// What cases use again and again.
const (
	bridgeA  = "name: @a, type: linux-bridge, state: up"
	bridgeB  = "name: @b, type: linux-bridge, state: up"
	vethC    = "{name: @c, type: veth, state: up, veth: {peer: @d}}, {name: @d, type: veth, state: up, veth: {peer: @c}}"
	addressA = "ipv4: {enabled: true, dhcp: false, address: [{ip: 198.18.15.1, prefix-length: 24}]}"
	routeA   = "destination: 198.18.151.0/24, next-hop-interface: @a, next-hop-address: 198.18.15.9"
	routeB   = "destination: 198.18.152.0/24, next-hop-interface: @a, next-hop-address: 198.18.15.9"
	links    = "ip -d -br link; ip -br addr"
	anything = "{}"
)

// ownerCases are the conformance of ownership. The first three are also tried with NetworkManager. This kernel has no Open vSwitch, so
// its names are tried up to what the node answers to dry runs.
var ownerCases = []ownerCase{
	{"two managers, each with its interface", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}", spec: "{interfaces: [{" + bridgeA + "}]}"},
		{manager: "two", body: "{interfaces: [{" + bridgeB + "}]}", spec: "{interfaces: [{" + bridgeA + "}, {" + bridgeB + "}]}", on: links, shows: `(?s)@a.*@b`},
	}},
	{"addresses of two managers on one interface", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", " + addressA + "}]}"},
		{manager: "two", body: "{interfaces: [{" + bridgeA + ", ipv4: {enabled: true, dhcp: false, address: [{ip: 198.18.15.2, prefix-length: 24}]}}]}",
			on: links, shows: `@a.*198\.18\.15\.1/24.*198\.18\.15\.2/24`},
		{manager: "one", body: anything, spec: "{interfaces: [{" + bridgeA + ", ipv4: {enabled: true, dhcp: false, address: [{ip: 198.18.15.2, prefix-length: 24}]}}]}"},
	}},
	{"an interface that its manager gives up stays on the node", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", mtu: 1400}, {" + bridgeB + "}]}"},
		{manager: "one", body: "{interfaces: [{" + bridgeB + "}]}", spec: "{interfaces: [{" + bridgeB + "}]}", on: links, shows: "@a"},
		{manager: "one", body: anything, spec: anything, on: "ip link show @a", shows: "mtu 1400"},
	}},
	{"three managers, and the one in the middle gives up", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}"},
		{manager: "two", body: "{interfaces: [{" + bridgeB + "}]}"},
		{manager: "three", body: "{interfaces: [" + vethC + "]}", spec: "{interfaces: [{" + bridgeA + "}, {" + bridgeB + "}, " + vethC + "]}", on: links, shows: "(?s)@a.*@b.*@[cd].@[cd]"},
		{manager: "two", body: anything, spec: "{interfaces: [{" + bridgeA + "}, " + vethC + "]}"},
	}},
	{"the same field is a conflict that names it and its owner", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", mtu: 1400}]}"},
		{manager: "two", body: "{interfaces: [{" + bridgeA + ", mtu: 1300}]}", conflict: true,
			says: []string{`conflict with "one": .spec.desiredState.interfaces[name="@a",type="linux-bridge"].mtu`}, on: "ip link show @a", shows: "mtu 1400"},
	}},
	{"force takes a field, and its owner has a conflict then", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", mtu: 1400}]}"},
		{manager: "two", how: forcing, body: "{interfaces: [{name: @a, type: linux-bridge, mtu: 1300}]}", on: "ip link show @a", shows: "mtu 1300"},
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", mtu: 1400}]}", conflict: true, says: []string{`conflict with "two"`, ".mtu"}},
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}", spec: "{interfaces: [{" + bridgeA + ", mtu: 1300}]}"},
	}},
	{"the same value has two owners, and leaves with the last one", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", mtu: 1400}]}"},
		{manager: "two", body: "{interfaces: [{" + bridgeA + ", mtu: 1400}]}"},
		{manager: "one", body: anything, spec: "{interfaces: [{" + bridgeA + ", mtu: 1400}]}"},
		{manager: "two", body: "{interfaces: [{" + bridgeA + "}]}", spec: "{interfaces: [{" + bridgeA + "}]}", on: "ip link show @a", shows: "mtu 1400"},
	}},
	{"a dry run changes nothing, and has the conflicts of the change", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", mtu: 1400}]}"},
		{manager: "two", how: trying, body: "{interfaces: [{" + bridgeB + "}]}", spec: "{interfaces: [{" + bridgeA + ", mtu: 1400}, {" + bridgeB + "}]}", on: links, hides: "@b"},
		{manager: "two", how: trying, body: "{interfaces: [{" + bridgeA + ", mtu: 1300}]}", conflict: true, says: []string{".mtu"}},
		{manager: "one", body: anything, spec: anything},
	}},
	{"a JSON patch adds an interface beside those that are applied", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}"},
		{manager: "patch", how: jsonPatching, body: "[{op: add, path: /spec/desiredState/interfaces/-, value: {" + bridgeB + "}}]", spec: "{interfaces: [{" + bridgeA + "}, {" + bridgeB + "}]}"},
		{manager: "one", body: anything, spec: "{interfaces: [{" + bridgeB + "}]}"},
	}},
	{"a JSON patch takes a field of what is applied", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", mtu: 1400}]}"},
		{manager: "patch", how: jsonPatching, body: "[{op: replace, path: /spec/desiredState/interfaces/0/mtu, value: 1300}]", on: "ip link show @a", shows: "mtu 1300"},
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", mtu: 1400}]}", conflict: true, says: []string{`conflict with "patch"`, ".mtu"}},
	}},
	{"a merge patch replaces a list, also what others apply", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}"},
		{manager: "two", body: "{interfaces: [{" + bridgeB + "}]}"},
		{manager: "patch", how: mergePatching, body: "{interfaces: [{" + bridgeB + ", mtu: 1400}]}", spec: "{interfaces: [{" + bridgeB + ", mtu: 1400}]}"},
		{manager: "two", body: anything, spec: anything},
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}", spec: "{interfaces: [{" + bridgeA + "}]}"},
	}},
	{"a merge patch of a map leaves what others apply beside it", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}"},
		{manager: "patch", how: mergePatching, body: "{dns-resolver: {config: {search: [example.org]}}}", spec: "{interfaces: [{" + bridgeA + "}], dns-resolver: {config: {search: [example.org]}}}"},
		{manager: "one", body: anything, spec: "{dns-resolver: {config: {search: [example.org]}}}"},
	}},
	{"a PUT owns what it changes", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", mtu: 1400}]}"},
		{manager: "edit", how: putting, body: "{interfaces: [{" + bridgeA + ", mtu: 1400}, {" + bridgeB + ", bridge: {port: []}}]}"},
		{manager: "one", body: anything, spec: "{interfaces: [{" + bridgeB + ", bridge: {port: []}}]}"},
		{manager: "edit", how: putting, body: "{}", spec: "{}"},
	}},
	{"kubectl apply, then kubectl apply --server-side", []ownerStep{
		{manager: "kubectl", how: kubectlApplying, body: "{interfaces: [{" + bridgeA + ", mtu: 1400}]}", spec: "{interfaces: [{" + bridgeA + ", mtu: 1400}]}"},
		{manager: "kubectl", how: kubectlApplying, body: "{interfaces: [{" + bridgeA + ", mtu: 1300}]}", spec: "{interfaces: [{" + bridgeA + ", mtu: 1300}]}"},
		{manager: "kubectl", body: "{interfaces: [{" + bridgeA + ", mtu: 1400}]}", spec: "{interfaces: [{" + bridgeA + ", mtu: 1400}]}", on: "ip link show @a", shows: "mtu 1400"},
	}},
	{"kubectl apply replaces lists, as it does without server-side apply", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}"},
		{manager: "kubectl", how: kubectlApplying, body: "{interfaces: [{" + bridgeB + "}]}", spec: "{interfaces: [{" + bridgeB + "}]}"},
	}},
	{"a bridge and an interface of Open vSwitch of one name", []ownerStep{
		{manager: "one", how: trying, body: "{interfaces: [{name: @a, type: ovs-bridge, state: up, bridge: {port: [{name: @a}]}}, {name: @a, type: ovs-interface, state: up}]}",
			says: []string{"Open vSwitch"}},
		{manager: "one", how: trying, body: "{interfaces: [{name: @a, type: ovs-bridge, state: absent}, {name: @a, type: ovs-interface, state: absent}]}",
			spec: "{interfaces: [{name: @a, type: ovs-bridge, state: absent}, {name: @a, type: ovs-interface, state: absent}]}"},
	}},
	{"an interface that is found by its MAC address", []ownerStep{
		{manager: "one", body: "{interfaces: [" + vethC + "]}"},
		{manager: "one", body: "{interfaces: [{name: @c, type: veth, state: up, veth: {peer: @d}, mac-address: '02:15:00:00:00:01'}, {name: @d, type: veth, state: up, veth: {peer: @c}}]}"},
		{manager: "two", body: "{interfaces: [{name: @uplink, type: ethernet, identifier: mac-address, mac-address: '02:15:00:00:00:01', mtu: 1400}]}", on: "ip link show @c", shows: "mtu 1400"},
		{manager: "three", body: "{interfaces: [{name: @uplink, type: ethernet, ipv4: {enabled: true, dhcp: false, address: [{ip: 198.18.15.3, prefix-length: 24}]}}]}",
			on: links, shows: `@c.@d.*198\.18\.15\.3`},
		{manager: "three", body: "{interfaces: [{name: @uplink, type: ethernet, mac-address: '02:15:00:00:00:02'}]}", conflict: true, says: []string{`"two"`, ".mac-address"}},
	}},
	{"an interface that is found by its MAC address, under a new name", []ownerStep{
		{manager: "one", body: "{interfaces: [{name: @c, type: veth, state: up, veth: {peer: @d}, mac-address: '02:15:00:00:00:03'}, {name: @d, type: veth, state: up, veth: {peer: @c}}]}"},
		{manager: "two", body: "{interfaces: [{name: @old, type: ethernet, identifier: mac-address, mac-address: '02:15:00:00:00:03', mtu: 1400}]}"},
		{manager: "two", body: "{interfaces: [{name: @new, type: ethernet, identifier: mac-address, mac-address: '02:15:00:00:00:03', mtu: 1300}]}", on: "ip link show @c", shows: "mtu 1300",
			spec: "{interfaces: [{name: @c, type: veth, state: up, veth: {peer: @d}, mac-address: '02:15:00:00:00:03'}, {name: @d, type: veth, state: up, veth: {peer: @c}}, " +
				"{name: @new, type: ethernet, identifier: mac-address, mac-address: '02:15:00:00:00:03', mtu: 1300}]}"},
	}},
	{"other names of an interface", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", alt-names: [{name: @uplink}]}]}"},
		{manager: "two", body: "{interfaces: [{" + bridgeA + ", alt-names: [{name: @storage}]}]}", spec: "{interfaces: [{" + bridgeA + ", alt-names: [{name: @uplink}, {name: @storage}]}]}",
			on: "ip link show @a", shows: "(?s)altname @(uplink|storage).*altname @(uplink|storage)"},
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}", spec: "{interfaces: [{" + bridgeA + ", alt-names: [{name: @storage}]}]}"},
	}},
	{"an interface that another manager wants to be absent", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}"},
		{manager: "two", body: "{interfaces: [{name: @a, type: linux-bridge, state: absent}]}", conflict: true, says: []string{`conflict with "one"`, ".state"}, on: links, shows: "@a"},
		{manager: "two", how: forcing, body: "{interfaces: [{name: @a, type: linux-bridge, state: absent}]}", on: links, hides: "@a"},
	}},
	{"an interface that is absent stays in the spec until its manager gives it up", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}"},
		{manager: "one", body: "{interfaces: [{name: @a, type: linux-bridge, state: absent}]}", spec: "{interfaces: [{name: @a, type: linux-bridge, state: absent}]}", on: links, hides: "@a"},
		{manager: "two", body: "{interfaces: [{" + bridgeB + "}]}", spec: "{interfaces: [{name: @a, type: linux-bridge, state: absent}, {" + bridgeB + "}]}"},
		{manager: "one", body: anything, spec: "{interfaces: [{" + bridgeB + "}]}"},
	}},
	{"routes of two managers", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", " + addressA + "}], routes: {config: [{" + routeA + "}]}}"},
		{manager: "two", body: "{routes: {config: [{" + routeB + "}]}}", on: "ip route", shows: `(?s)198\.18\.151\.0/24 via.*198\.18\.152\.0/24 via`},
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}", spec: "{interfaces: [{" + bridgeA + "}], routes: {config: [{" + routeB + "}]}}"},
	}},
	{"one route of two managers", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", " + addressA + "}], routes: {config: [{" + routeA + "}]}}"},
		{manager: "two", body: "{routes: {config: [{next-hop-address: 198.18.15.9, next-hop-interface: @a, destination: 198.18.151.0/24}]}}"},
		{manager: "one", body: anything, spec: "{routes: {config: [{" + routeA + "}]}}"},
	}},
	{"rules of two managers", []ownerStep{
		{manager: "one", body: "{route-rules: {config: [{ip-from: 198.18.151.0/24, route-table: 215, priority: 15001}]}}"},
		{manager: "two", body: "{route-rules: {config: [{ip-from: 198.18.152.0/24, route-table: 215, priority: 15002}]}}", on: "ip rule", shows: "(?s)15001:.*15002:"},
		{manager: "one", body: anything, spec: "{route-rules: {config: [{ip-from: 198.18.152.0/24, route-table: 215, priority: 15002}]}}"},
	}},
	{"DNS by field, and its servers as a whole", []ownerStep{
		{manager: "one", body: "{dns-resolver: {config: {server: [198.18.15.53]}}}"},
		{manager: "two", body: "{dns-resolver: {config: {search: [example.org]}}}", spec: "{dns-resolver: {config: {server: [198.18.15.53], search: [example.org]}}}", on: "cat /etc/resolv.conf", shows: `(?s)example\.org.*198\.18\.15\.53`},
		{manager: "two", body: "{dns-resolver: {config: {server: [198.18.15.54], search: [example.org]}}}", conflict: true, says: []string{`conflict with "one": .spec.desiredState.dns-resolver.config.server`}},
	}},
	{"ports of two managers in one bridge", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", bridge: {port: [{name: @c}]}}, " + vethC + "]}"},
		{manager: "two", body: "{interfaces: [{" + bridgeA + ", bridge: {port: [{name: eth1}]}}]}", on: "ip -br link show master @a", shows: "(?s)eth1.*@c.@d"},
		{manager: "two", body: anything, spec: "{interfaces: [{" + bridgeA + ", bridge: {port: [{name: @c}]}}, " + vethC + "]}", on: "ip link show master @a", hides: "eth1"},
	}},
	{"a port of two bridges is told with who wants it", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", bridge: {port: [{name: @c}]}}, " + vethC + "]}"},
		{manager: "two", body: "{interfaces: [{" + bridgeB + ", bridge: {port: [{name: @c}]}}]}", says: []string{"overbooked",
			`spec.desiredState.interfaces[name=@a,type=linux-bridge].bridge.port[name=@c] is of "one"`,
			`spec.desiredState.interfaces[name=@b,type=linux-bridge].bridge.port[name=@c] is of "two"`}, on: links, hides: "@b"},
		{manager: "two", body: "{interfaces: [{" + bridgeB + "}]}", spec: "{interfaces: [{" + bridgeA + ", bridge: {port: [{name: @c}]}}, " + vethC + ", {" + bridgeB + "}]}"},
	}},
	{"an interface without a type is the one that is there", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}"},
		{manager: "one", body: anything},
		{manager: "one", body: "{interfaces: [{name: @a, state: up}]}"},
		{manager: "two", body: "{interfaces: [{name: @a, mtu: 1400}]}", spec: "{interfaces: [{name: @a, state: up, mtu: 1400}]}", on: "ip link show @a", shows: "mtu 1400"},
	}},
	{"an interface once with and once without a type is told with who wrote which", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}"},
		{manager: "two", body: "{interfaces: [{name: @a, mtu: 1400}]}", says: []string{"once with a type and once without one",
			`interfaces[name=@a,type=linux-bridge] is of "one"`, `interfaces[name=@a] is of "two"`}},
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", mtu: 1300}, {name: @a, state: up}]}", says: []string{"once with a type and once without one"}},
	}},
	{"an empty list has an owner, and leaves with it", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", " + addressA + "}], routes: {config: []}}", spec: "{interfaces: [{" + bridgeA + ", " + addressA + "}], routes: {config: []}}"},
		{manager: "two", body: "{routes: {config: [{" + routeA + "}]}}", spec: "{interfaces: [{" + bridgeA + ", " + addressA + "}], routes: {config: [{" + routeA + "}]}}"},
		{manager: "two", body: anything, spec: "{interfaces: [{" + bridgeA + ", " + addressA + "}], routes: {config: []}}"},
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", " + addressA + "}]}", spec: "{interfaces: [{" + bridgeA + ", " + addressA + "}]}"},
	}},
	{"null over a list is a conflict with those who have entries in it", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + "}]}"},
		{manager: "two", body: "{interfaces: null}", conflict: true, says: []string{`"one": .spec.desiredState.interfaces[name="@a",type="linux-bridge"].name`}},
	}},
	{"an entry that is there twice is told", []ownerStep{
		{manager: "one", body: "{interfaces: [{" + bridgeA + ", ipv4: {enabled: true, address: [{ip: 198.18.15.1, prefix-length: 24}, {ip: 198.18.15.1, prefix-length: 24}]}}]}",
			says: []string{"spec.desiredState.interfaces[name=@a].ipv4.address[1]: Duplicate value", "leave one out"}},
	}},
}
