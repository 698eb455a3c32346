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
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// FactsScript prints what is compared of a node, for ParseFacts.
//
//go:embed facts.sh
var FactsScript string

// Facts are what is compared of a node: a line for each link, address, route, rule, sysctl, profile
// and so on, by section.
type Facts map[string][]string

// What changes while nothing changes: of links, bridge timers and what ports tell one another, and of
// addresses and routes the seconds that are left.
var noise = []string{
	"hello_timer", "tcn_timer", "topology_change_timer", "gc_timer", "message_age_timer", "forward_delay_timer", "hold_timer",
	"topology_change", "topology_change_detected", "topology_change_ack", "config_pending", "link_failure_count", "ad_info",
	"ad_actor_oper_port_state", "ad_actor_oper_port_state_str", "ad_partner_oper_port_state", "ad_partner_oper_port_state_str",
	"ad_aggregator_id", "mii_status", "seq_nr", "valid_life_time", "preferred_life_time", "expires", "mcast_ifindex",
	"mcast_querier_state_ipv4", "mcast_querier_state_ipv6",
}

// identity is what tells a link from one of the same name that was made anew.
var identity = []string{"ifindex", "link_index", "link_netnsid", "peer_ifindex"}

// fallback are the devices that the kernel makes by itself when a module of tunnels or the like is loaded.
var fallback = regexp.MustCompile(`("|^)(tunl0|sit0|gre0|gretap0|erspan0|ip6tnl0|ip6gre0|ip_vti0|ip6_vti0|ovs-system)[":]`)

// Activation can be left out of a comparison, as sections can: what comes about anew each time that NetworkManager activates a
// profile. It chooses the metrics of the routes that nobody has written down; a bond begins with the port that comes first, a bridge numbers its
// ports as they come, an internal port of Open vSwitch is another link, and its MAC address is noted in the database.
const Activation = "activation"

var (
	ownMetric  = regexp.MustCompile(`"metric":\d+,(.*"protocol":"(?:kernel|dhcp|ra)")`)
	activePort = regexp.MustCompile(`"active_slave":"[^"]*",?|,?"state":"(ACTIVE|BACKUP)"`)
	hardware   = regexp.MustCompile(`hwaddr="[^"]*"(, )?`)
	linkIndex  = regexp.MustCompile(`"ifindex":\d+,`)
	portNumber = regexp.MustCompile(`"designated_port":\d+,|"id":"0x[0-9a-f]+",|"no":"0x[0-9a-f]+",`)
)

// vrfRule is the rule that the kernel makes with the first VRF. It stays, and must: the kernel does not make it a second time.
const vrfRule = `"l3mdev":null`

// ParseFacts reads what FactsScript has printed.
func ParseFacts(output string) (Facts, error) {
	facts := Facts{}
	section := ""
	var body []string
	var parseErr error
	flush := func() {
		lines, err := factLines(section, body)
		if err != nil && parseErr == nil {
			parseErr = fmt.Errorf("reading the facts %q: %w", section, err)
		}
		if section != "" {
			facts[section] = append(facts[section], lines...)
		}
		body = nil
	}
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\n")
		if name, ok := strings.CutPrefix(line, "=== "); ok {
			flush()
			section = name
			continue
		}
		if line != "" {
			body = append(body, line)
		}
	}
	flush()
	for _, name := range []string{"link", "address", "route", "rule", "sysctl"} {
		if parseErr == nil && len(facts[name]) == 0 {
			parseErr = fmt.Errorf("there are no facts %q in %d bytes", name, len(output))
		}
	}
	if facts["connections"] != nil {
		facts["route"] = withoutEarlyRoutes(facts["route"])
	}
	return facts, parseErr
}

// Until NetworkManager takes an interface over, the kernel listens to routers by itself, here as a node boots. What it has made of an
// advertisement stays beside NetworkManager's routes until a profile is applied again: a default route and one for the subnet, with the
// kernel's own metrics (IP6_RT_PRIO_USER and IP6_RT_PRIO_ADDRCONF of include/net/ip6_route.h).
var (
	earlyDefault = regexp.MustCompile(`"dev":"([^"]*)","dst":"default",.*"metric":1024,.*"protocol":"ra"`)
	earlySubnet  = regexp.MustCompile(`"dev":"([^"]*)","dst":"[23][^"]*::/64",.*"metric":256,.*"protocol":"kernel"`)
)

func withoutEarlyRoutes(routes []string) []string {
	early := map[string]bool{}
	for _, line := range routes {
		if found := earlyDefault.FindStringSubmatch(line); found != nil {
			early[found[1]] = true
		}
	}
	return slices.DeleteFunc(routes, func(line string) bool {
		subnet := earlySubnet.FindStringSubmatch(line)
		return earlyDefault.MatchString(line) || subnet != nil && early[subnet[1]]
	})
}

var sysctlLine = regexp.MustCompile(`^/proc/sys/net/(ipv[46]/(?:conf|neigh))/([^/]+)/([^:]+):(.*)$`)

func factLines(section string, body []string) ([]string, error) {
	var lines []string
	switch section {
	case "link", "address", "route", "rule":
		var objects []map[string]any
		if err := json.Unmarshal([]byte(strings.Join(body, "\n")), &objects); err != nil && len(body) > 0 {
			return nil, err
		}
		for _, object := range objects {
			if len(object) == 0 {
				continue // iproute2 prints {} for what it filters
			}
			if section == "address" {
				object = map[string]any{"ifname": object["ifname"], "addr_info": object["addr_info"]}
			}
			quiet(object, noise)
			text, err := json.Marshal(object)
			if err != nil {
				return nil, err
			}
			lines = append(lines, string(text))
		}
		slices.Sort(lines)
	case "sysctl":
		for _, line := range body {
			if m := sysctlLine.FindStringSubmatch(line); m != nil {
				line = fmt.Sprintf("%q %s %s = %s", m[2], m[1], m[3], m[4])
			}
			lines = append(lines, line)
		}
		slices.Sort(lines)
	default:
		lines = body
	}
	return lines, nil
}

// quiet takes fields out of an object and of what it has within, and the state of ports of bridges, which
// takes its time.
func quiet(value any, fields []string) {
	switch value := value.(type) {
	case map[string]any:
		for _, name := range fields {
			delete(value, name)
		}
		// libnmstate sets each address again, and the kernel forgets that it has made it itself.
		if value["protocol"] == "kernel_ll" || value["protocol"] == "kernel_lo" {
			delete(value, "protocol")
		}
		if value["local"] != nil {
			delete(value, "tentative") // the kernel still looks whether another node has the address (RFC 4862)
		}
		if data, ok := value["info_slave_data"].(map[string]any); ok {
			if value["info_slave_kind"] == "bridge" {
				delete(data, "state")
			}
			if value["info_kind"] == "dummy" { // which has none: a bond notes the one that it finds
				delete(data, "perm_hwaddr")
			}
		}
		// While a spanning tree changes, the kernel forgets addresses sooner (__br_set_topology_change()).
		if data, ok := value["info_data"].(map[string]any); ok && data["stp_state"] == 1.0 {
			delete(data, "ageing_time")
		}
		for _, inner := range value {
			quiet(inner, fields)
		}
	case []any:
		for _, inner := range value {
			quiet(inner, fields)
		}
	}
}

// Difference says how the facts differ from those before: lines that are gone begin with -, new ones
// with +. Of links that were made anew it can be said that they are the same; sections can be left out.
func (f Facts) Difference(before Facts, remade bool, without ...string) []string {
	var names []string
	for name := range before {
		names = append(names, name)
	}
	for name := range f {
		if before[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var result []string
	for _, name := range names {
		if slices.Contains(without, name) {
			continue
		}
		was, is := before.lines(name, remade), f.lines(name, remade)
		if slices.Contains(without, Activation) {
			was, is = withoutActivation(name, was), withoutActivation(name, is)
		}
		for _, line := range missing(was, is) {
			result = append(result, "- "+name+": "+line)
		}
		for _, line := range missing(is, was) {
			result = append(result, "+ "+name+": "+line)
		}
	}
	return result
}

// withoutLink returns the facts but those of a link.
func (f Facts) withoutLink(name string) Facts {
	left := Facts{}
	for section, lines := range f {
		left[section] = slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.Contains(line, `"`+name+`"`) })
	}
	return left
}

func withoutActivation(section string, all []string) []string {
	var lines []string
	for _, line := range all {
		switch section {
		case "route":
			line = ownMetric.ReplaceAllString(line, "$1")
		case "link":
			line = portNumber.ReplaceAllString(activePort.ReplaceAllString(line, ""), "")
			if strings.Contains(line, `"info_kind":"openvswitch"`) {
				line = linkIndex.ReplaceAllString(line, "")
			}
		case "ovs":
			line = hardware.ReplaceAllString(line, "")
		}
		lines = append(lines, line)
	}
	return lines
}

func (f Facts) lines(section string, remade bool) []string {
	var lines []string
	for _, line := range f[section] {
		if fallback.MatchString(line) && slices.Contains([]string{"link", "address", "sysctl", "devices"}, section) {
			continue
		}
		if section == "rule" && strings.Contains(line, vrfRule) {
			continue
		}
		if remade && strings.HasPrefix(line, "{") {
			var object map[string]any
			if json.Unmarshal([]byte(line), &object) == nil {
				quiet(object, identity)
				if text, err := json.Marshal(object); err == nil {
					line = string(text)
				}
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// missing returns the lines that other lacks, as often as it lacks them.
func missing(lines, other []string) []string {
	counts := map[string]int{}
	for _, line := range other {
		counts[line]++
	}
	var result []string
	for _, line := range lines {
		if counts[line]--; counts[line] < 0 {
			result = append(result, line)
		}
	}
	return result
}
