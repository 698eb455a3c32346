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
	"fmt"
	"strings"
)

// removalCase is something that comes into the spec, and leaves it.
type removalCase struct {
	name string
	// there is a state that others have made, without the agent, and commands do what it cannot say.
	there    string
	commands []string
	// stays is in the spec all the time, comes comes and leaves. Both are lists of sections.
	stays, comes string
	// dry must be in the difference that a dry run of the removal shows.
	dry string
	// kernelOnly leaves NetworkManager out. keepsProfile tells that NetworkManager keeps a profile that it had not before.
	kernelOnly, keepsProfile bool
}

func ethernet(name, rest string) string {
	return fmt.Sprintf(`{"name":"%s","type":"ethernet","state":"up"%s}`, name, rest)
}

func ipv4(address string) string {
	ip, length, _ := strings.Cut(address, "/")
	return fmt.Sprintf(`,"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"%s","prefix-length":%s}]}`, ip, length)
}

const noIPv6 = `,"ipv6":{"enabled":false}`

func bridgeWith(name, rest string, ports ...string) string {
	for i, port := range ports {
		ports[i] = `{"name":"` + port + `"}`
	}
	return fmt.Sprintf(`{"name":"%s","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[%s]}%s}`, name, strings.Join(ports, ","), rest)
}

func removalCases() []removalCase {
	eth1 := `"interfaces":[` + ethernet("eth1", ipv4("198.51.100.6/24")+noIPv6) + `]`
	bridgeOfOthers := `"interfaces":[` + bridgeWith("br9", ipv4("198.51.109.1/24")+noIPv6, "eth2", "eth3") + `]`
	return []removalCase{
		{name: "interface", comes: `"interfaces":[` + bridgeWith("br1", ipv4("198.51.101.1/24")) + `]`, dry: `{"name":"br1","state":"absent","type":"linux-bridge"}`},
		{name: "pair", comes: `"interfaces":[{"name":"v1","type":"veth","state":"up","veth":{"peer":"v2"}},{"name":"v2","type":"veth","state":"up","veth":{"peer":"v1"}}]`},
		{
			name:  "bridge with ports given back",
			there: eth1 + `,"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-interface":"eth1","next-hop-address":"198.51.100.66"}]}`,
			comes: `"interfaces":[` + bridgeWith("br1", ipv4("198.51.101.1/24"), "eth1", "eth3") + `]`,
		},
		{name: "port of another bridge given back", there: bridgeOfOthers, comes: `"interfaces":[` + bridgeWith("br9", "", "eth3") + "," + bridgeWith("br1", "", "eth2") + `]`},
		{name: "port of a bridge of others", there: bridgeOfOthers, comes: `"interfaces":[` + bridgeWith("br9", "", "eth1", "eth3") + `]`},
		{
			name: "vxlan over an interface of another owner", stays: eth1,
			comes: `"interfaces":[{"name":"vx1","type":"vxlan","state":"up","vxlan":{"id":7,"remote":"198.51.100.9","base-iface":"eth1"}}]`,
		},
		{name: "macvlan over a link of others", there: eth1, comes: `"interfaces":[{"name":"mv1","type":"mac-vlan","state":"up","mac-vlan":{"base-iface":"eth1","mode":"bridge"}` + ipv4("198.51.101.7/24") + `}]`},
		{
			name: "address beside one that was there", there: eth1, dry: `"address":[{"ip":"198.51.100.6","prefix-length":24}]`,
			comes: `"interfaces":[` + ethernet("eth1", `,"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.6","prefix-length":24},{"ip":"198.51.100.7","prefix-length":24}]}`) + `]`,
		},
		{
			name: "address beside one that was set by hand", commands: []string{"ip addr add 198.51.100.6/24 dev eth1"}, keepsProfile: true,
			comes: `"interfaces":[` + ethernet("eth1", `,"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.6","prefix-length":24},{"ip":"198.51.100.7","prefix-length":24}]}`) + `]`,
		},
		{name: "address", comes: `"interfaces":[` + ethernet("eth1", ipv4("198.51.100.7/24")) + `]`},
		{
			name: "address of IPv6", there: eth1,
			comes: `"interfaces":[` + ethernet("eth1", `,"ipv6":{"enabled":true,"dhcp":false,"autoconf":false,"address":[{"ip":"2001:db8:1::1","prefix-length":64}]}`) + `]`,
		},
		{name: "mtu", there: eth1, comes: `"interfaces":[` + ethernet("eth1", `,"mtu":1400`) + `]`, dry: `"mtu":1500`},
		{
			name: "one field of an entry", comes: `"interfaces":[` + ethernet("eth1", `,"mtu":1400`) + `]`, stays: eth1, dry: `"mtu":1500`,
		},
		{name: "mac", there: eth1, comes: `"interfaces":[` + ethernet("eth1", `,"mac-address":"02:00:00:00:77:01"`) + `]`},
		{
			name: "option of a bridge of others", there: bridgeOfOthers,
			comes: `"interfaces":[{"name":"br9","type":"linux-bridge","state":"up","bridge":{"options":{"mac-ageing-time":100}}}]`,
		},
		{name: "route", there: eth1, comes: `"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-interface":"eth1","next-hop-address":"198.51.100.66"}]}`},
		{
			name: "route beside its like", kernelOnly: true, // with NetworkManager nmstate takes the two for one
			there: eth1 + `,"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-interface":"eth1","next-hop-address":"198.51.100.66","metric":50}]}`,
			comes: `"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-interface":"eth1","next-hop-address":"198.51.100.66","metric":51}]}`,
		},
		{
			name: "absent route", there: eth1 + `,"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-interface":"eth1","next-hop-address":"198.51.100.66"}]}`,
			comes: `"routes":{"config":[{"state":"absent","destination":"203.0.113.0/24","next-hop-interface":"eth1"}]}`,
		},
		{
			name: "routes and rules that were there", there: eth1 + `,"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-interface":"eth1","next-hop-address":"198.51.100.66"}]}`,
			comes: `"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-interface":"eth1","next-hop-address":"198.51.100.66"}]},"hostname":{"running":"named"}`,
		},
		{
			name: "rule", there: eth1, commands: []string{"ip rule add from 198.51.107.0/24 lookup 77 priority 701"},
			comes: `"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-interface":"eth1","next-hop-address":"198.51.100.66","table-id":77}]},
				"route-rules":{"config":[{"ip-from":"198.51.108.0/24","route-table":77,"priority":700}]}`,
		},
		{name: "DNS", there: eth1 + `,"dns-resolver":{"config":{"server":["198.51.100.53"],"search":["before.example.org"]}}`, comes: `"dns-resolver":{"config":{"server":["198.51.100.54"]}}`},
		{name: "DNS where there was none", there: eth1, comes: `"dns-resolver":{"config":{"server":["198.51.100.54"],"search":["example.org"]}}`},
		{name: "hostname", there: `"hostname":{"running":"before","config":"before"}`, comes: `"hostname":{"running":"named","config":"named"}`},
		{name: "absent interface", there: bridgeOfOthers, comes: `"interfaces":[{"name":"br9","type":"linux-bridge","state":"absent"}]`},
		{name: "interface that is down", there: eth1, comes: `"interfaces":[{"name":"eth1","type":"ethernet","state":"down"}]`},
		{
			name: "all at once", there: eth1,
			comes: `"interfaces":[` + ethernet("eth1", `,"mtu":1400`) + "," + bridgeWith("br1", ipv4("198.51.101.1/24"), "eth2") + `],
				"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-interface":"br1","next-hop-address":"198.51.101.66"}]},
				"dns-resolver":{"config":{"server":["198.51.101.53"]}},"hostname":{"running":"named","config":"named"}`,
		},
	}
}
