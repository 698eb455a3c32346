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
	"slices"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// Route is what a table shows of a route.
type Route struct {
	Destination string
	NextHop     string
	Interface   string
	Metric      string
	Table       string
	// Kind is "static" for a route that nmstate or NetworkManager has configured, or the type of a route without a next hop, such as
	// "blackhole".
	Kind string
}

// Routes returns the routes that the kernel uses. If names of interfaces are given, only those over them are returned.
func Routes(state map[string]any, interfaces ...string) []Route {
	routes := tree.Object(state["routes"])
	configured := map[string]bool{}
	for _, item := range tree.List(routes, "config") {
		configured[routeText(tree.Object(item))] = true
	}
	var all []Route
	for _, item := range tree.List(routes, "running") {
		fields := tree.Object(item)
		over := tree.StringAt(fields, "next-hop-interface")
		if len(interfaces) > 0 && !slices.Contains(interfaces, over) {
			continue
		}
		route := Route{
			Destination: tree.StringAt(fields, "destination"), NextHop: tree.StringAt(fields, "next-hop-address"), Interface: over,
			Metric: textAt(fields, "metric"), Table: textAt(fields, "table-id"), Kind: tree.StringAt(fields, "route-type"),
		}
		if route.Kind == "" && configured[routeText(fields)] {
			route.Kind = "static"
		}
		all = append(all, route)
	}
	return all
}

// routeText identifies a route, in ip(8)'s words.
func routeText(route map[string]any) string {
	var words []string
	if kind := tree.StringAt(route, "route-type"); kind != "" {
		words = append(words, kind)
	}
	words = append(words, tree.StringAt(route, "destination"))
	for _, part := range []struct{ word, key string }{
		{"via", "next-hop-address"}, {"dev", "next-hop-interface"}, {"metric", "metric"}, {"table", "table-id"}, {"src", "source"},
		{"vrf", "vrf-name"}, {"weight", "weight"},
	} {
		value := textAt(route, part.key)
		if value == "" || part.key == "table-id" && (value == mainTable || value == "0") {
			continue
		}
		words = append(words, part.word, value)
	}
	return strings.Join(words, " ")
}

// mainTable is the number of the routing table of ordinary routes.
const mainTable = "254"

// ruleText identifies a route rule, in ip(8)'s words.
func ruleText(rule map[string]any) string {
	var words []string
	for _, part := range []struct{ word, key string }{
		{"priority", "priority"}, {"from", "ip-from"}, {"to", "ip-to"}, {"iif", "iif"}, {"fwmark", "fwmark"}, {"fwmask", "fwmask"},
		{"lookup", "route-table"}, {"action", "action"}, {"family", "family"}, {"suppress_prefixlength", "suppress-prefix-length"},
	} {
		if value := textAt(rule, part.key); value != "" {
			words = append(words, part.word, value)
		}
	}
	return strings.Join(words, " ")
}

// RouteText names a route as the plugin shows it; "absent" precedes one that is to be removed.
func RouteText(route map[string]any) string { return withState(route, routeText(route)) }

// RuleText names a route rule as the plugin shows it; "absent" precedes one that is to be removed.
func RuleText(rule map[string]any) string { return withState(rule, ruleText(rule)) }

func withState(entry map[string]any, text string) string {
	return strings.TrimSpace(tree.StringAt(entry, "state") + " " + strings.TrimSpace(text))
}

// Rules returns the state's route rules, in ip(8)'s words.
func Rules(state map[string]any) []string {
	var all []string
	for _, item := range tree.List(tree.Object(state["route-rules"]), "config") {
		all = append(all, ruleText(tree.Object(item)))
	}
	return all
}

// DNS returns the servers and search domains that the node's resolver uses.
func DNS(state map[string]any) (servers, search []string) {
	running := tree.Object(tree.Object(state["dns-resolver"])["running"])
	return texts(tree.List(running, "server")), texts(tree.List(running, "search"))
}

func texts(list []any) []string {
	var all []string
	for _, item := range list {
		all = append(all, tree.Text(item))
	}
	return all
}
