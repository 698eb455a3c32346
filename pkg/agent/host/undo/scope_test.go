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

package undo

import (
	"encoding/json"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestScopeHasAllThatAStateMeans, by whatever name.
func TestScopeHasAllThatAStateMeans(t *testing.T) {
	const full = `{"interfaces":[
		{"name":"eth1","type":"ethernet","mac-address":"02:00:00:00:00:01","alt-names":[{"name":"blue"}]},
		{"name":"eth2","type":"ethernet","mac-address":"02:00:00:00:00:02","permanent-mac-address":"02:00:00:00:00:EE","profile-name":"uplink"},
		{"name":"eth3","type":"ethernet","pci-address":"0000:00:1f.6"},
		{"name":"br9","type":"linux-bridge","bridge":{"port":[{"name":"eth9"}]}},
		{"name":"eth9","type":"ethernet","controller":"br9"},
		{"name":"pod","type":"veth","veth":{"peer":"gone"}}]}`
	for name, c := range map[string]struct{ desired, want string }{
		"alias":        {`{"interfaces":[{"name":"blue"}]}`, "blue,eth1"},
		"aliasPort":    {`{"interfaces":[{"name":"b","bridge":{"port":[{"name":"blue"}]}}]}`, "b,blue,eth1"},
		"hsr":          {`{"interfaces":[{"name":"hsr0","type":"hsr","hsr":{"port1":"eth1","port2":"eth2"}}]}`, "blue,eth1,eth2,hsr0"},
		"mac":          {`{"interfaces":[{"name":"x","identifier":"mac-address","mac-address":"02:00:00:00:00:01"}]}`, "blue,eth1,x"},
		"permanentMAC": {`{"interfaces":[{"name":"x","identifier":"mac-address","mac-address":"02:00:00:00:00:ee"}]}`, "eth2,x"},
		"profile":      {`{"interfaces":[{"name":"uplink"}]}`, "eth2,uplink"},
		"pci":          {`{"interfaces":[{"name":"x","identifier":"pci-address","pci-address":"0000:00:1f.6"}]}`, "eth3,x"},
		"byName":       {`{"interfaces":[{"name":"x","mac-address":"02:00:00:00:00:01"}]}`, "x"},
		"port":         {`{"interfaces":[{"name":"eth9"}]}`, "br9,eth9"},
		"vrf":          {`{"routes":{"config":[{"destination":"192.0.2.0/24","next-hop-interface":"eth3","vrf-name":"red"}]}}`, "eth3,red"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := scopeOf([]byte(c.desired), []byte(full), false)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(slices.Sorted(maps.Keys(s.links)), ","); got != c.want || s.all {
				t.Errorf("links are %s, all %v, want %s", got, s.all, c.want)
			}
		})
	}
}

func entryOf(t *testing.T, raw string) map[string]any {
	t.Helper()
	var entry map[string]any
	if err := json.Unmarshal([]byte(raw), &entry); err != nil {
		t.Fatal(err)
	}
	return entry
}

func network(t *testing.T, cidr string) *net.IPNet {
	t.Helper()
	_, n, err := net.ParseCIDR(cidr)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMatchesRoute(t *testing.T) {
	r := netlink.Route{Dst: network(t, "198.18.50.0/24"), Gw: net.ParseIP("192.0.2.1"), Table: 254, Family: unix.AF_INET}
	blackhole := netlink.Route{Dst: network(t, "0.0.0.0/0"), Table: 77, Family: unix.AF_INET, Type: unix.RTN_BLACKHOLE}
	for entry, want := range map[string][2]bool{
		`{}`:                                {true, true},
		`{"destination":""}`:                {true, true},
		`{"destination":"198.18.50.7/24"}`:  {true, false},
		`{"destination":"198.18.50.0/25"}`:  {false, false},
		`{"destination":"0.0.0.0/0"}`:       {false, true},
		`{"destination":"::/0"}`:            {false, false},
		`{"next-hop-address":"192.0.2.1"}`:  {true, false},
		`{"next-hop-address":"192.0.2.2"}`:  {false, false},
		`{"next-hop-address":""}`:           {false, true},
		`{"table-id":0}`:                    {true, true},
		`{"table-id":"254"}`:                {true, false},
		`{"table-id":77,"metric":5}`:        {false, true},
		`{"destination":"what is that?"}`:   {true, true},
		`{"destination":"198.18.50.0/24x"}`: {true, true},
	} {
		if got := [2]bool{matchesRoute(entryOf(t, entry), r), matchesRoute(entryOf(t, entry), blackhole)}; got != want {
			t.Errorf("%s: %v, want %v", entry, got, want)
		}
	}
}

// TestMatchesNowhere: an entry for a link means no route that is over none.
func TestMatchesNowhere(t *testing.T) {
	r := netlink.Route{Dst: network(t, "198.18.50.0/24"), Table: 254, Priority: 5, Family: unix.AF_INET, Type: unix.RTN_BLACKHOLE}
	for entry, want := range map[string]bool{
		`{"state":"absent","next-hop-interface":"eth1"}`:                             false,
		`{"state":"absent","destination":"198.18.50.0/24"}`:                          true,
		`{"destination":"198.18.50.0/24","route-type":"blackhole"}`:                  true,
		`{"destination":"198.18.50.0/24","route-type":"blackhole","metric":6}`:       false,
		`{"destination":"198.18.50.0/24","route-type":"prohibit","metric":5}`:        false,
		`{"destination":"198.18.51.0/24","route-type":"blackhole","table-id":"254"}`: false,
	} {
		if got := matchesNowhere(entryOf(t, entry), r); got != want {
			t.Errorf("%s: %v, want %v", entry, got, want)
		}
	}
}

func TestMatchesRule(t *testing.T) {
	mask := uint32(0xff)
	r := netlink.Rule{Family: unix.AF_INET, Priority: 700, Table: 77, Src: network(t, "198.18.3.0/24"), IifName: "eth1",
		Mark: 0x10, Mask: &mask, SuppressPrefixlen: -1, Type: unix.FR_ACT_TO_TBL}
	for entry, want := range map[string]bool{
		`{"family":"ipv4"}`:                                true,
		`{"family":"ipv6"}`:                                false,
		`{"ip-from":"198.18.3.0/24","priority":700}`:       true,
		`{"ip-from":"198.18.3.0/24","priority":-1}`:        true,
		`{"ip-from":"198.18.3.0/24","priority":701}`:       false,
		`{"ip-from":"198.18.3.1"}`:                         false,
		`{"ip-from":""}`:                                   false,
		`{"ip-to":"","ip-from":"198.18.3.0/24"}`:           true,
		`{"ip-to":"192.0.2.0/24"}`:                         false,
		`{"route-table":"77","iif":"eth1"}`:                true,
		`{"route-table":0,"iif":"eth2"}`:                   false,
		`{"fwmark":"0x10","fwmask":"0xff"}`:                true,
		`{"fwmark":16,"fwmask":1}`:                         false,
		`{"suppress-prefix-length":0,"family":"ipv4"}`:     false,
		`{"action":"blackhole","ip-from":"198.18.3.0/24"}`: false,
	} {
		if got := matchesRule(entryOf(t, entry), r); got != want {
			t.Errorf("%s: %v, want %v", entry, got, want)
		}
	}
}

// TestAnAbsentLinksFileIsInTheScope: nmstate takes it away with the link.
func TestAnAbsentLinksFileIsInTheScope(t *testing.T) {
	for desired, want := range map[string]bool{
		`{"interfaces":[{"name":"eth1","state":"absent"}]}`:                        true,
		`{"interfaces":[{"name":"eth1","state":"up","alt-names":[{"name":"a"}]}]}`: true,
		`{"interfaces":[{"name":"eth1","state":"up"}]}`:                            false,
	} {
		s, err := scopeOf([]byte(desired), []byte(`{"interfaces":[{"name":"eth1","type":"ethernet","state":"up"}]}`), false)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(s.files, "/etc/systemd/network/98-nmstate-eth1.link"); got != want {
			t.Errorf("%s: the files are %q", desired, s.files)
		}
	}
}

// TestPuttingBackLogsNoSecret: libnmstate quotes what it could not make again.
func TestPuttingBackLogsNoSecret(t *testing.T) {
	s := &snapshot{full: []byte(`{"interfaces":[{"name":"eth1","802.1x":{"private-key-password":"hush-hush"}}]}`)}
	if got := s.withoutSecrets(errors.New(`desire "hush-hush", current ""`)).Error(); strings.Contains(got, "hush-hush") {
		t.Errorf("the error is %q", got)
	}
}
