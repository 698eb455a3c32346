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

package impact

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
)

// node is a current state as libnmstate shows it, without what does not matter here:
// the way out is eth0, a pod's veth and eth1 are ports of the bridge cni0, eth2 is a port of
// Open vSwitch, and eth3 carries the VLAN eth3.10.
const node = `{"interfaces": [
 {"name": "eth0", "type": "ethernet", "state": "up", "mac-address": "02:00:00:00:00:10", "mtu": 1500, "alt-names": [{"name": "enp1s0"}],
  "ipv4": {"enabled": true, "dhcp": false, "address": [{"ip": "192.0.2.2", "prefix-length": 24}]},
  "ipv6": {"enabled": true, "address": [{"ip": "2001:db8::2", "prefix-length": 64}, {"ip": "fe80::2", "prefix-length": 64, "protocol": "kernel_ll"}]}},
 {"name": "eth1", "type": "ethernet", "state": "up", "mac-address": "02:00:00:00:00:11", "mtu": 1500, "ipv4": {"enabled": false}, "ipv6": {"enabled": false}, "controller": "cni0"},
 {"name": "eth2", "type": "ethernet", "state": "up", "mac-address": "02:00:00:00:00:12", "mtu": 1500, "ipv4": {"enabled": false}, "ipv6": {"enabled": false}, "controller": "br-ex"},
 {"name": "eth3", "type": "ethernet", "state": "up", "mac-address": "02:00:00:00:00:13", "mtu": 1500, "ipv4": {"enabled": false}, "ipv6": {"enabled": false}},
 {"name": "eth4", "type": "ethernet", "state": "up", "mac-address": "02:00:00:00:00:14", "mtu": 1500,
  "ipv4": {"enabled": true, "dhcp": true, "address": [{"ip": "203.0.113.9", "prefix-length": 24, "valid-life-time": "dynamic"}]}, "ipv6": {"enabled": false}},
 {"name": "eth3.10", "type": "vlan", "state": "up", "mac-address": "02:00:00:00:00:13", "mtu": 1500, "vlan": {"base-iface": "eth3", "id": 10},
  "ipv4": {"enabled": true, "address": [{"ip": "198.51.100.2", "prefix-length": 24}]}, "ipv6": {"enabled": false}},
 {"name": "cni0", "type": "linux-bridge", "state": "up", "mac-address": "02:00:00:00:00:11", "mtu": 1500,
  "ipv4": {"enabled": true, "address": [{"ip": "10.244.0.1", "prefix-length": 24}]}, "ipv6": {"enabled": false},
  "bridge": {"options": {"stp": {"enabled": false}}, "port": [{"name": "eth1"}, {"name": "veth1"}]}},
 {"name": "veth1", "type": "veth", "state": "ignore", "mac-address": "02:00:00:00:00:21", "mtu": 1500, "ipv4": {"enabled": false}, "ipv6": {"enabled": false}, "controller": "cni0"},
 {"name": "cali1", "type": "veth", "state": "up", "mac-address": "02:00:00:00:00:22", "mtu": 1500, "ipv4": {"enabled": false}, "ipv6": {"enabled": false}},
 {"name": "nested0", "type": "veth", "state": "up", "mac-address": "02:00:00:00:00:23", "mtu": 1500, "ipv4": {"enabled": true, "address": [{"ip": "10.8.0.2", "prefix-length": 24}]}, "ipv6": {"enabled": false}},
 {"name": "pair0", "type": "veth", "state": "up", "mac-address": "02:00:00:00:00:24", "mtu": 1500, "veth": {"peer": "pair1"}, "ipv4": {"enabled": false}, "ipv6": {"enabled": false}},
 {"name": "br-ex", "type": "ovs-bridge", "state": "up", "bridge": {"options": {"stp": {"enabled": false}}, "port": [{"name": "eth2"}, {"name": "ovs0"}]}},
 {"name": "ovs0", "type": "ovs-interface", "state": "up", "mac-address": "02:00:00:00:00:31", "mtu": 1500,
  "ipv4": {"enabled": true, "address": [{"ip": "172.20.0.2", "prefix-length": 24}]}, "ipv6": {"enabled": false}, "controller": "br-ex"},
 {"name": "lo", "type": "loopback", "state": "up", "mtu": 65536, "ipv4": {"enabled": true, "address": [{"ip": "127.0.0.1", "prefix-length": 8}]}}],
 "routes": {
  "running": [{"destination": "10.245.0.7/32", "next-hop-interface": "cali1", "table-id": 254},
              {"destination": "0.0.0.0/0", "next-hop-interface": "eth0", "next-hop-address": "192.0.2.1", "table-id": 254},
              {"destination": "0.0.0.0/0", "next-hop-interface": "eth3.10", "next-hop-address": "198.51.100.1", "table-id": 77}],
  "config": [{"destination": "0.0.0.0/0", "next-hop-interface": "eth0", "next-hop-address": "192.0.2.1", "table-id": 254},
              {"destination": "0.0.0.0/0", "next-hop-interface": "eth3.10", "next-hop-address": "198.51.100.1", "table-id": 77}]},
 "dns-resolver": {"running": {"server": ["192.0.2.53"]}, "config": {"server": ["192.0.2.53"]}}}`

const (
	carries = ": it carries the way to the API server at 192.0.2.100:6444"
	server  = "192.0.2.100:6444"
	// nothingOutside is the warning that a change cannot be confirmed.
	nothingOutside = "the change cannot be confirmed from elsewhere: the API server runs on this node, nothing outside of it answers, and there is no default gateway"
)

func over(iface string) *Way {
	return &Way{Server: server, IP: netip.MustParseAddr("192.0.2.100"), Interface: iface}
}

func TestWarnings(t *testing.T) {
	told := map[string]bool{nothingOutside: true}
	for name, test := range map[string]struct {
		way *Way
		// desired is the desired state, and difference too unless that is given.
		desired, difference string
		want                []string
	}{
		"nothing changes": {desired: `{"interfaces": [{"name": "eth0", "state": "absent"}]}`, difference: "-"},
		"elsewhere": {
			desired: `{"interfaces": [{"name": "dummy0", "type": "dummy", "state": "up", "ipv4": {"enabled": true, "dhcp": false, "address": [{"ip": "10.9.9.9", "prefix-length": 24}]}}]}`,
		},
		"only a part changes": {
			desired:    `{"interfaces": [{"name": "eth0", "state": "up", "mtu": 1500}, {"name": "eth3", "state": "up", "mtu": 9000}]}`,
			difference: `{"interfaces": [{"name": "eth3", "state": "up", "mtu": 9000}]}`,
		},
		"MTU of the way": {
			desired: `{"interfaces": [{"name": "eth0", "type": "ethernet", "state": "up", "mtu": 68}]}`,
			want:    []string{"eth0 changes (mtu)" + carries},
		},
		"by an alternative name": {
			desired: `{"interfaces": [{"name": "enp1s0", "state": "up", "mtu": 68}]}`,
			want:    []string{"eth0 changes (mtu)" + carries},
		},
		"by its MAC address": {
			desired:    `{"interfaces": [{"name": "uplink", "identifier": "mac-address", "mac-address": "02:00:00:00:00:10", "state": "up", "mtu": 68}]}`,
			difference: `{"interfaces": [{"name": "uplink", "state": "up", "mtu": 68}]}`,
			want:       []string{"eth0 changes (mtu)" + carries},
		},
		"set down": {
			desired: `{"interfaces": [{"name": "eth0", "type": "ethernet", "state": "down"}]}`,
			want: []string{
				"eth0 is set down" + carries,
				"the IPv4 default route via 192.0.2.1 over eth0 goes: eth0 is set down",
				"192.0.2.2 goes, which is an InternalIP of this node: eth0 is set down",
				"2001:db8::2 goes, which is an InternalIP of this node: eth0 is set down",
			},
		},
		"the base of the way": {
			way:     over("eth3.10"),
			desired: `{"interfaces": [{"name": "eth3", "state": "up", "mtu": 576}]}`,
			want:    []string{"eth3 changes (mtu): eth3.10, which carries the way to the API server at 192.0.2.100:6444, depends on it"},
		},
		"a port of the way's bridge is taken": {
			way:     over("cni0"),
			desired: `{"interfaces": [{"name": "br9", "type": "linux-bridge", "state": "up", "bridge": {"port": [{"name": "eth1"}]}}]}`,
			want: []string{
				"eth1 becomes a port of br9: cni0, which carries the way to the API server at 192.0.2.100:6444, depends on it",
				"eth1 becomes a port of br9: it is now a port of cni0, which pods use, too",
			},
		},
		"below Open vSwitch's interface": {
			way:     over("ovs0"),
			desired: `{"interfaces": [{"name": "eth2", "state": "up", "controller": ""}]}`,
			want: []string{
				"eth2 is no port of br-ex any more: ovs0, which carries the way to the API server at 192.0.2.100:6444, depends on it",
				"eth2 is no port of br-ex any more: it is now a port of the Open vSwitch bridge br-ex",
			},
		},
		"the server is on the node": {
			way:     &Way{Server: server, IP: netip.MustParseAddr("192.0.2.2")},
			desired: `{"interfaces": [{"name": "eth0", "type": "ethernet", "state": "up", "mtu": 68}]}`,
		},
		"the address moves onto a bridge": {
			desired: `{"interfaces": [{"name": "br1", "type": "linux-bridge", "state": "up", "bridge": {"port": [{"name": "eth0"}]},
			  "ipv4": {"enabled": true, "address": [{"ip": "192.0.2.2", "prefix-length": 24}]},
			  "ipv6": {"enabled": true, "address": [{"ip": "2001:DB8::0:2", "prefix-length": 64}]}}],
			 "routes": {"config": [{"destination": "0.0.0.0/0", "next-hop-interface": "br1", "next-hop-address": "192.0.2.1"}]}}`,
			want: []string{
				"eth0 becomes a port of br1" + carries,
				"the IPv4 default route via 192.0.2.1 over br1 is added",
				"the IPv4 default route via 192.0.2.1 over eth0 goes: eth0 becomes a port of br1",
			},
		},
		"a port of a VRF keeps its addresses": {
			desired: `{"interfaces": [{"name": "vrf1", "type": "vrf", "state": "up", "vrf": {"port": ["eth0"], "route-table-id": 50}}]}`,
			want:    []string{"eth0 becomes a port of vrf1" + carries},
		},
		"a port of a bond": {
			desired: `{"interfaces": [{"name": "bond0", "type": "bond", "state": "up", "link-aggregation": {"mode": "active-backup", "port": ["eth3"]}}]}`,
			way:     over("eth3.10"),
			want:    []string{"eth3 becomes a port of bond0: eth3.10, which carries the way to the API server at 192.0.2.100:6444, depends on it"},
		},
		"an address is replaced": {
			desired:    `{"interfaces": [{"name": "eth0", "state": "up", "ipv4": {"enabled": true, "address": [{"ip": "192.0.2.3", "prefix-length": 24}]}}]}`,
			difference: `{"interfaces": [{"name": "eth0", "state": "up", "ipv4": {"address": [{"ip": "192.0.2.3", "prefix-length": 24}]}}]}`,
			want: []string{
				"eth0 changes (ipv4)" + carries,
				"192.0.2.2 goes, which is an InternalIP of this node: it is not among the addresses that eth0 is to have",
			},
		},
		"an address is added": {
			desired: `{"interfaces": [{"name": "eth0", "state": "up", "ipv4": {"enabled": true, "address": [{"ip": "192.0.2.2", "prefix-length": 24}, {"ip": "192.0.2.3", "prefix-length": 24}]}}]}`,
			want:    []string{"eth0 changes (ipv4)" + carries},
		},
		"IPv4 is disabled": {
			desired: `{"interfaces": [{"name": "eth0", "state": "up", "ipv4": {"enabled": false}}]}`,
			want: []string{
				"eth0 changes (ipv4)" + carries,
				"the IPv4 default route via 192.0.2.1 over eth0 goes: ipv4 of eth0 is disabled",
				"192.0.2.2 goes, which is an InternalIP of this node: ipv4 of eth0 is disabled",
			},
		},
		"IPv6 is disabled": {
			desired: `{"interfaces": [{"name": "eth0", "state": "up", "ipv6": {"enabled": false}}]}`,
			want: []string{
				"eth0 changes (ipv6)" + carries,
				"2001:db8::2 goes, which is an InternalIP of this node: ipv6 of eth0 is disabled",
			},
		},
		"a lease ends": {
			desired: `{"interfaces": [{"name": "eth4", "state": "up", "ipv4": {"enabled": true, "dhcp": false, "address": [{"ip": "203.0.113.8", "prefix-length": 24}]}}]}`,
			want: []string{
				"the default route and the DNS servers can change: dhcp of eth4 in ipv4 becomes false",
				"203.0.113.9 goes, which is an InternalIP of this node: eth4 gets no addresses from others any more",
			},
		},
		"a lease without DHCP": { // nmstate makes it a static address
			desired: `{"interfaces": [{"name": "eth4", "state": "up", "ipv4": {"enabled": true, "dhcp": false}}]}`,
			want:    []string{"the default route and the DNS servers can change: dhcp of eth4 in ipv4 becomes false"},
		},
		"a lease becomes static": {
			desired: `{"interfaces": [{"name": "eth4", "state": "up", "ipv4": {"enabled": true, "dhcp": false, "address": [{"ip": "203.0.113.9", "prefix-length": 24}]}}]}`,
			want:    []string{"the default route and the DNS servers can change: dhcp of eth4 in ipv4 becomes false"},
		},
		"default routes": {
			desired: `{"routes": {"config": [{"destination": "::/0", "next-hop-interface": "eth0", "next-hop-address": "fe80::1"},
			  {"destination": "0.0.0.0/0", "next-hop-interface": "eth0", "next-hop-address": "192.0.2.1", "state": "absent"},
			  {"destination": "0.0.0.0/0", "next-hop-interface": "eth3", "next-hop-address": "198.51.100.1", "table-id": 78}]}}`,
			want: []string{
				"the IPv6 default route via fe80::1 over eth0 is added",
				"the IPv4 default route via 192.0.2.1 over eth0 is removed",
			},
		},
		"all routes of an interface": {
			desired: `{"routes": {"config": [{"next-hop-interface": "eth0", "state": "absent"}]}}`,
			want:    []string{"the IPv4 default route via 192.0.2.1 over eth0 is removed"},
		},
		"a route to the server": {
			desired: `{"routes": {"config": [{"destination": "192.0.2.96/28", "next-hop-interface": "eth3", "next-hop-address": "198.51.100.1"},
			  {"destination": "192.0.2.0/28", "next-hop-interface": "eth3", "next-hop-address": "198.51.100.1"}]}}`,
			want: []string{"the route to 192.0.2.96/28 via 198.51.100.1 over eth3 is added: it leads to the API server at 192.0.2.100:6444"},
		},
		"DNS servers": {
			desired: `{"dns-resolver": {"config": {"server": ["192.0.2.54", "2001:db8::54"]}}}`,
			want:    []string{"the DNS servers change to 192.0.2.54, 2001:db8::54"},
		},
		"no DNS servers":   {desired: `{"dns-resolver": {"config": {}}}`, want: []string{"the DNS servers that are configured now are removed"}},
		"a search domain":  {desired: `{"dns-resolver": {"config": {"search": ["example.org"]}}}`, want: []string{"the DNS configuration changes (search)"}},
		"DHCP's DNS":       {desired: `{"interfaces": [{"name": "eth3", "state": "up", "ipv4": {"enabled": true, "dhcp": true}}]}`, want: []string{"the default route and the DNS servers can change: dhcp of eth3 in ipv4 becomes true"}},
		"a pod's veth":     {desired: `{"interfaces": [{"name": "veth1", "state": "absent"}]}`, want: []string{"veth1 is removed: a pod uses it, its other end is in another network namespace"}},
		"routed pods":      {desired: `{"interfaces": [{"name": "cali1", "state": "down"}, {"name": "nested0", "state": "down"}, {"name": "pair0", "state": "down"}]}`, want: []string{"cali1 is set down: a pod uses it, its other end is in another network namespace"}},
		"Open vSwitch's":   {desired: `{"interfaces": [{"name": "eth2", "state": "up", "controller": "cni0"}]}`, want: []string{"eth2 becomes a port of cni0: it is now a port of the Open vSwitch bridge br-ex"}},
		"an OVS bond":      {desired: `{"interfaces": [{"name": "br9", "type": "ovs-bridge", "state": "up", "bridge": {"port": [{"name": "b", "link-aggregation": {"mode": "active-backup", "port": [{"name": "eth2"}, {"name": "eth3"}]}}]}}]}`, want: []string{"eth2 becomes a port of br9: it is now a port of the Open vSwitch bridge br-ex"}},
		"the pods' bridge": {desired: `{"interfaces": [{"name": "cni0", "state": "absent"}]}`, want: []string{"eth1 is no port of cni0 any more: it is now a port of cni0, which pods use, too", "veth1 is no port of cni0 any more: a pod uses it, its other end is in another network namespace"}},
		"a pod's port of a bridge": {
			desired: `{"interfaces": [{"name": "cni0", "state": "up", "bridge": {"port": [{"name": "eth1"}]}}]}`,
			want:    []string{"veth1 is no port of cni0 any more: a pod uses it, its other end is in another network namespace"},
		},
		"extra ports stay": {
			desired: `{"interfaces": [{"name": "cni0", "state": "up", "bridge": {"allow-extra-ports": true, "port": [{"name": "eth1"}, {"name": "eth3"}]}}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{Desired: []byte(test.desired), Difference: []byte(test.desired), Current: []byte(node), Way: test.way,
				HasGateway: true, Addresses: []string{"192.0.2.2", "2001:db8::2", "203.0.113.9", "192.0.2.250", "no address"}}
			if in.Way == nil {
				in.Way = over("eth0")
			}
			switch test.difference {
			case "":
			case "-":
				in.Difference = nil
			default:
				in.Difference = []byte(test.difference)
			}
			got, err := Warnings(in)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("error %v, got:\n%s\nwant:\n%s", err, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			for _, warning := range got {
				told[warning] = true
			}
		})
	}
	for _, example := range examplesOfTheGuide(t) {
		if !told[example] {
			t.Errorf("the guide has a warning that was not given here: %s", example)
		}
	}
}

// examplesOfTheGuide returns the warnings that the user guide shows.
func examplesOfTheGuide(t *testing.T) []string {
	guide, err := os.ReadFile("../../../../docs/user-guide/probes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(guide), "## What a dry run warns of")
	var examples []string
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) == 4 && strings.Contains(cells[2], "`") {
			examples = append(examples, strings.Trim(cells[2], "` "))
		}
	}
	if len(examples) == 0 {
		t.Error("the guide shows no warnings")
	}
	return examples
}

func TestWarnsThatNothingOutsideCanConfirm(t *testing.T) {
	for name, test := range map[string]struct {
		testimony *agent.Testimony
		gateway   bool
		warns     bool
	}{
		"not asked":              {},
		"a server elsewhere":     {testimony: &agent.Testimony{}},
		"something outside":      {testimony: &agent.Testimony{SameHost: true, Outside: "kube-apiserver"}},
		"a gateway":              {testimony: &agent.Testimony{SameHost: true}, gateway: true},
		"the server on the node": {testimony: &agent.Testimony{SameHost: true}, warns: true},
	} {
		state := []byte(`{"interfaces": [{"name": "eth3", "state": "up", "mtu": 9000}]}`)
		got, err := Warnings(Input{Desired: state, Difference: state, Current: []byte(node), Testimony: test.testimony, HasGateway: test.gateway})
		if err != nil || slices.Contains(got, nothingOutside) != test.warns || len(got) > 1 {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestStatesThatAreNoJSON(t *testing.T) {
	if _, err := Warnings(Input{Desired: []byte("{"), Difference: []byte("{}"), Current: []byte("{}")}); err == nil {
		t.Error("no error")
	}
	for _, odd := range []string{`{"interfaces": [1, null, {"name": 2, "bridge": {"port": [null, {"name": 3}]}}], "routes": {"config": ["x", {}]}, "dns-resolver": {"config": 1}}`, `{"interfaces": {}, "routes": []}`} {
		if _, err := Warnings(Input{Desired: []byte(odd), Difference: []byte(odd), Current: []byte(odd), Way: over("2"), Addresses: []string{"::1"}}); err != nil {
			t.Errorf("%s: %v", odd, err)
		}
	}
}
