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

// routes is a state with the given routes, over interfaces that are there.
func routes(config string, running ...string) string {
	state := "{interfaces: [{name: eth1, type: ethernet, state: up, alt-names: [{name: uplink}], ipv4: {enabled: true, address: [" + wantedAddress + "]}}], routes: {config: [" + config + "]"
	for _, entries := range running {
		state += ", running: [" + entries + "]"
	}
	return state + "}}"
}

func wantedRoutes(config string) string { return "{routes: {config: [" + config + "]}}" }

func routeRules(config string) string { return "{route-rules: {config: [" + config + "]}}" }

const readRoute = "{destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, metric: 150, table-id: 254}"

// routeCases are of routes and rules.
var routeCases = []comparisonCase{
	{"route", wantedRoutes("{destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9}"), routes(readRoute), ""},
	{"route with all its fields", wantedRoutes("{destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, metric: '150', table-id: 254, quickack: false}"), routes(readRoute), ""},
	{"route with defaults", wantedRoutes("{destination: 198.51.100.7/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, metric: -1, table-id: 0}"), routes(readRoute), ""},
	{"route over an interface's other name", wantedRoutes("{destination: 198.51.100.0/24, next-hop-interface: uplink}"), routes(readRoute), ""},
	{"route missing", wantedRoutes("{destination: 198.51.100.0/25, next-hop-interface: eth1}"), routes(readRoute), wantedRoutes("{destination: 198.51.100.0/25, next-hop-interface: eth1}")},
	{"route over another hop", wantedRoutes("{destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.8}"), routes(readRoute), wantedRoutes("{destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.8}")},
	{"route with another metric", wantedRoutes("{destination: 198.51.100.0/24, next-hop-interface: eth1, metric: 100}"), routes(readRoute), wantedRoutes("{destination: 198.51.100.0/24, next-hop-interface: eth1, metric: 100}")},
	{"route in another table", wantedRoutes("{destination: 198.51.100.0/24, next-hop-interface: eth1, table-id: 100}"), routes(readRoute), wantedRoutes("{destination: 198.51.100.0/24, next-hop-interface: eth1, table-id: 100}")},
	{"one route of two missing", wantedRoutes("{destination: 198.51.100.0/24, next-hop-interface: eth1}, {destination: 203.0.113.0/24, next-hop-interface: eth1}"), routes(readRoute), wantedRoutes("{destination: 203.0.113.0/24, next-hop-interface: eth1}")},
	{"routes of several hops", wantedRoutes("{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.8, weight: 1}, {destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, weight: 2}"),
		routes("{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, metric: 0, table-id: 254, weight: 2}, {destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.8, metric: 0, table-id: 254, weight: 1}"), ""},
	{"route of several hops with another weight", wantedRoutes("{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.8, weight: 1}"),
		routes("{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.8, metric: 0, table-id: 254, weight: 5}"),
		wantedRoutes("{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.8, weight: 1}")},
	{"route of one next hop with a weight, which is not shown", wantedRoutes("{destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, weight: 1}"), routes(readRoute), ""},
	{"IPv6 default route", wantedRoutes("{destination: '::/0', next-hop-interface: eth1, next-hop-address: '2001:DB8::1'}"), routes("{destination: '::/0', next-hop-interface: eth1, next-hop-address: '2001:db8::1', metric: 1024, table-id: 254}"), ""},
	{"a blackhole", wantedRoutes("{destination: 198.51.100.0/24, route-type: blackhole, next-hop-interface: lo}"), routes("{destination: 198.51.100.0/24, route-type: blackhole, metric: 0, table-id: 254}"), ""},
	{"a blackhole that is another kind", wantedRoutes("{destination: 198.51.100.0/24, route-type: blackhole}"), routes("{destination: 198.51.100.0/24, route-type: prohibit, metric: 0, table-id: 254}"), wantedRoutes("{destination: 198.51.100.0/24, route-type: blackhole}")},
	{"route in a VRF", wantedRoutes("{destination: 198.51.100.0/24, next-hop-interface: eth1, vrf-name: vrf102}"), routes("{destination: 198.51.100.0/24, next-hop-interface: eth1, table-id: 102, vrf-name: vrf102}"), ""},
	{"route that a daemon has made", wantedRoutes("{destination: 198.51.100.0/24, next-hop-interface: eth1}"), routes("", readRoute), wantedRoutes("{destination: 198.51.100.0/24, next-hop-interface: eth1}")},
	{"routes as they were shown, running", "{routes: {running: [{destination: 203.0.113.0/24, next-hop-interface: eth1}], config: []}}", routes(readRoute), ""},

	{"route to be absent that is", wantedRoutes("{state: absent, destination: 203.0.113.0/24}"), routes(readRoute), ""},
	{"route to be absent that is there", wantedRoutes("{state: absent, destination: 198.51.100.0/24}"), routes(readRoute), wantedRoutes("{state: absent, destination: 198.51.100.0/24}")},
	{"route to be absent with another metric", wantedRoutes("{state: absent, destination: 198.51.100.0/24, metric: 1}"), routes(readRoute), wantedRoutes("{state: absent, destination: 198.51.100.0/24, metric: 1}")},
	{"all routes of an interface to be absent, and none there", wantedRoutes("{state: absent, next-hop-interface: eth1}"), routes("", readRoute), ""},
	{"all routes but one to be absent", wantedRoutes("{state: absent, next-hop-interface: eth1}, {destination: 198.51.100.0/24, next-hop-interface: eth1}"), routes(readRoute), ""},
	{"all routes but one to be absent, and there is another", wantedRoutes("{state: absent, next-hop-interface: eth1}, {destination: 198.51.100.0/24, next-hop-interface: eth1}"),
		routes(readRoute + ", {destination: 203.0.113.0/24, next-hop-interface: eth1}"), wantedRoutes("{state: absent, next-hop-interface: eth1}")},
	{"a route over a pod's interface to be absent", wantedRoutes("{state: absent, destination: 203.0.113.0/24}"),
		"{interfaces: [" + pod0 + "], routes: {config: [{state: ignore, destination: 203.0.113.0/24, next-hop-interface: pod0}]}}", ""},
	{"a route that nobody wants, over an interface without an address", one("name: d0", "type: dummy", "mtu: 1500"),
		"{interfaces: [{name: d0, type: dummy, state: up, mtu: 1500, ipv4: {enabled: false}}], routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: d0, table-id: 254}]}}", ""},

	{"rule", routeRules("{ip-from: 192.0.2.7, route-table: 200}"), routeRules("{family: ipv4, ip-from: 192.0.2.7/32, priority: 30000, route-table: 200}"), ""},
	{"rule with all its fields", routeRules("{family: ipv4, ip-from: 192.0.2.0/24, priority: '30000', route-table: 200, fwmark: 32, fwmask: '0xff'}"), routeRules("{family: ipv4, ip-from: 192.0.2.0/24, priority: 30000, route-table: 200, fwmark: '0x20', fwmask: '0xff'}"), ""},
	{"rule with defaults", routeRules("{ip-to: 192.0.2.0/24, priority: -1, fwmark: 0}"), routeRules("{family: ipv4, ip-to: 192.0.2.0/24, priority: 30001, route-table: 254}"), ""},
	{"rule in another table than the default", routeRules("{ip-to: 192.0.2.0/24}"), routeRules("{family: ipv4, ip-to: 192.0.2.0/24, priority: 30001, route-table: 200}"), routeRules("{ip-to: 192.0.2.0/24}")},
	{"rule broader than what is there", routeRules("{ip-from: 192.0.2.0/24, route-table: 200}, {ip-from: 192.0.2.0/24, ip-to: 198.51.100.0/24, route-table: 200}"),
		routeRules("{family: ipv4, ip-from: 192.0.2.0/24, ip-to: 198.51.100.0/24, priority: 30000, route-table: 200}"), routeRules("{ip-from: 192.0.2.0/24, route-table: 200}")},
	{"rule missing", routeRules("{ip-from: 192.0.2.7, route-table: 200}"), routeRules("{family: ipv4, ip-from: 192.0.2.8/32, priority: 30000, route-table: 200}"), routeRules("{ip-from: 192.0.2.7, route-table: 200}")},
	{"rule of another family", routeRules("{family: ipv6, route-table: 200}"), routeRules("{family: ipv4, priority: 30000, route-table: 200}"), routeRules("{family: ipv6, route-table: 200}")},
	{"rule with an action", routeRules("{family: ipv4, ip-from: 192.0.2.0/24, action: blackhole}"), routeRules("{family: ipv4, ip-from: 192.0.2.0/24, action: blackhole, priority: 30000}"), ""},
	{"rule with another action", routeRules("{family: ipv4, ip-from: 192.0.2.0/24, action: blackhole}"), routeRules("{family: ipv4, ip-from: 192.0.2.0/24, action: prohibit, priority: 30000}"), routeRules("{family: ipv4, ip-from: 192.0.2.0/24, action: blackhole}")},
	{"rule to be absent that is", routeRules("{state: absent, ip-from: 192.0.2.7}"), routeRules("{family: ipv4, ip-from: 192.0.2.8/32, priority: 30000, route-table: 200}"), ""},
	{"rule to be absent that is there", routeRules("{state: absent, route-table: 200}"), routeRules("{family: ipv4, ip-from: 192.0.2.8/32, priority: 30000, route-table: 200}"), routeRules("{state: absent, route-table: 200}")},
	{"rules to be absent but one", routeRules("{state: absent, route-table: 200}, {ip-from: 192.0.2.8, route-table: 200}"), routeRules("{family: ipv4, ip-from: 192.0.2.8/32, priority: 30000, route-table: 200}"), ""},
	{"rule without an address to be absent", routeRules("{state: absent, ip-from: '', route-table: 200}"), routeRules("{family: ipv4, ip-from: 192.0.2.8/32, priority: 30000, route-table: 200}"), ""},
}
