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
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// limitsCurrent is the network that the cases of TestImpossible start from.
const limitsCurrent = `{"interfaces":[
	{"name":"eth1","type":"ethernet","state":"up","mtu":1500,"min-mtu":68,"max-mtu":65535,"profile-name":"a profile with a long name",
	 "alt-names":[{"name":"an-alternative-name-that-is-long"}]},
	{"name":"eth2","type":"ethernet","state":"up","mtu":1500,"controller":"bond1"},
	{"name":"bond1","type":"bond","state":"up","mtu":1500},
	{"name":"br1","type":"linux-bridge","state":"up","mtu":1500},
	{"name":"ib1","type":"infiniband","state":"up","mtu":2044},
	{"name":"vx5","type":"vxlan","state":"up","mtu":1550,"vxlan":{"base-iface":"eth1","id":5}},
	{"name":"eth1.5","type":"vlan","state":"up","mtu":1500,"vlan":{"base-iface":"eth1","id":5}}]}`

// TestImpossible: what the kernel is known to refuse is named by its path, with the
// limit; what may work is not refused.
func TestImpossible(t *testing.T) {
	for name, c := range map[string]struct {
		interfaces string
		want       []string // each is in a fault; none means that there is no fault
	}{
		"MTU of a new bridge": {`{"name":"br2","type":"linux-bridge","mtu":9999999}`,
			[]string{"spec.desiredState.interfaces[name=br2].mtu: Invalid value: 9999999: the kernel takes 65535 at most"}},
		"MTU as a text":                              {`{"name":"br2","type":"linux-bridge","mtu":"65536"}`, []string{"[name=br2].mtu"}},
		"MTU at the limit":                           {`{"name":"br2","type":"linux-bridge","mtu":65535}`, nil},
		"MTU that is too small":                      {`{"name":"br2","type":"linux-bridge","mtu":67}`, []string{"68 at least"}},
		"MTU of a new veth":                          {`{"name":"v1","type":"veth","mtu":70000,"veth":{"peer":"v2"}}`, []string{"[name=v1].mtu"}},
		"MTU of a new veth by its other type":        {`{"name":"v1","type":"ethernet","mtu":70000,"veth":{"peer":"v2"}}`, []string{"[name=v1].mtu"}},
		"MTU of a new dummy, which has none":         {`{"name":"d1","type":"dummy","mtu":70000}`, nil},
		"MTU of a new dummy beyond all":              {`{"name":"d1","type":"dummy","mtu":2147483648}`, []string{"2147483647 at most"}},
		"MTU of a VRF":                               {`{"name":"vrf1","type":"vrf","mtu":65575,"vrf":{"route-table-id":7}}`, nil},
		"MTU of what is there is nmstate's to check": {`{"name":"br1","type":"linux-bridge","mtu":9999999}`, nil},
		"what is to be down":                         {`{"name":"br2","type":"linux-bridge","state":"down","mtu":9999999}`, nil},
		"what is to be absent":                       {`{"name":"br2","type":"linux-bridge","state":"absent","mtu":9999999}`, nil},
		"a type that the kernel does not make":       {`{"name":"a-long-bridge-name-of-ovs","type":"ovs-bridge"}`, nil},
		"no type":                                    {`{"name":"a-name-that-is-too-long","mtu":9999999}`, nil},
		"no name":                                    {`{"type":"linux-bridge","mtu":9999999}`, nil},
		"no interface":                               {`7`, nil},

		"VLAN above its base":                       {`{"name":"eth1.7","type":"vlan","mtu":9000,"vlan":{"base-iface":"eth1","id":7}}`, []string{"[name=eth1.7].mtu", "base-iface eth1 is 1500"}},
		"VLAN that is there, above its base":        {`{"name":"eth1.5","type":"vlan","mtu":9000}`, []string{"[name=eth1.5].mtu", "eth1"}},
		"VLAN as high as its base":                  {`{"name":"eth1.7","type":"vlan","mtu":1500,"vlan":{"base-iface":"eth1","id":7}}`, nil},
		"VLAN with its base raised":                 {`{"name":"eth1.7","type":"vlan","mtu":9000,"vlan":{"base-iface":"eth1","id":7}},{"name":"eth1","mtu":9000}`, nil},
		"VLAN with its base raised, not enough":     {`{"name":"eth1.7","type":"vlan","mtu":9000,"vlan":{"base-iface":"eth1","id":7}},{"name":"eth1","mtu":8000}`, []string{"is 8000"}},
		"VLAN with its base mentioned":              {`{"name":"eth1.7","type":"vlan","mtu":9000,"vlan":{"base-iface":"eth1","id":7}},{"name":"eth1","state":"up"}`, []string{"is 1500"}},
		"VLAN on a base that a bond may take":       {`{"name":"eth1.7","type":"vlan","mtu":9000,"vlan":{"base-iface":"eth1","id":7}},{"name":"bond2","type":"bond","mtu":9000}`, nil},
		"VLAN on a bond's port":                     {`{"name":"eth2.7","type":"vlan","mtu":9000,"vlan":{"base-iface":"eth2","id":7}}`, nil},
		"VLAN on a bond":                            {`{"name":"b.7","type":"vlan","mtu":9000,"vlan":{"base-iface":"bond1","id":7}}`, []string{"bond1"}},
		"VLAN on a bond that is changed":            {`{"name":"b.7","type":"vlan","mtu":9000,"vlan":{"base-iface":"bond1","id":7}},{"name":"bond1","type":"bond"}`, nil},
		"VLAN on a bridge, which follows its ports": {`{"name":"br1.7","type":"vlan","mtu":9000,"vlan":{"base-iface":"br1","id":7}}`, nil},
		"VLAN on what is not there":                 {`{"name":"x.7","type":"vlan","mtu":9000,"vlan":{"base-iface":"x","id":7}}`, nil},
		"VXLAN above its base":                      {`{"name":"vx7","type":"vxlan","mtu":1501,"vxlan":{"base-iface":"eth1","id":7}}`, []string{"[name=vx7].mtu"}},
		"VXLAN that stays above its base":           {`{"name":"vx5","type":"vxlan","mtu":1550,"vxlan":{"base-iface":"eth1","id":5}}`, nil},
		"VXLAN that is there, above its base":       {`{"name":"vx5","type":"vxlan","mtu":1551}`, []string{"[name=vx5].mtu"}},
		"VXLAN without a base":                      {`{"name":"vx7","type":"vxlan","mtu":9000,"vxlan":{"id":7}}`, nil},
		"MACVLAN above its base":                    {`{"name":"mv7","type":"mac-vlan","mtu":1501,"mac-vlan":{"base-iface":"eth1","mode":"bridge"}}`, []string{"[name=mv7].mtu"}},
		"bridge with a port of a smaller MTU":       {`{"name":"br2","type":"linux-bridge","mtu":9000,"bridge":{"port":[{"name":"eth1"}]}}`, nil},

		"name of 16":                      {`{"name":"sixteen-letters-","type":"linux-bridge"}`, []string{`interfaces[name=sixteen-letters-].name: Invalid value: "sixteen-letters-": the name of a new interface has 15 bytes`}},
		"name of 15":                      {`{"name":"fifteen-letters","type":"linux-bridge"}`, nil},
		"name with a slash":               {`{"name":"a/b","type":"linux-bridge"}`, []string{"[name=a/b].name"}},
		"name with a blank":               {`{"name":"a b","type":"linux-bridge"}`, []string{"white space"}},
		"name of a peer":                  {`{"name":"v1","type":"veth","veth":{"peer":"sixteen-letters-"}}`, []string{"[name=v1].veth.peer"}},
		"name that is an alternative one": {`{"name":"an-alternative-name-that-is-long","type":"ethernet","veth":{"peer":"eth9"}}`, nil},
		"name of a profile":               {`{"name":"a profile with a long name","type":"veth","veth":{"peer":"eth9"}}`, nil},
		"name of what has a MAC address":  {`{"name":"a profile, whatever its name","type":"veth","identifier":"mac-address","mac-address":"02:00:00:00:00:01"}`, nil},

		"VLAN id":                      {`{"name":"eth1.7","type":"vlan","vlan":{"base-iface":"eth1","id":4095}}`, []string{"[name=eth1.7].vlan.id: Invalid value: 4095: must be 4094 at most"}},
		"VLAN id at the limit":         {`{"name":"eth1.7","type":"vlan","vlan":{"base-iface":"eth1","id":4094}}`, nil},
		"VXLAN id":                     {`{"name":"vx7","type":"vxlan","vxlan":{"id":"16777216"}}`, []string{"[name=vx7].vxlan.id"}},
		"VXLAN id at the limit":        {`{"name":"vx7","type":"vxlan","vxlan":{"id":16777215}}`, nil},
		"InfiniBand without a port":    {`{"name":"ib0","type":"infiniband","infiniband":{"mode":"datagram","pkey":"0xffff"}}`, []string{`interfaces[name=ib0].name: Invalid value: "ib0": this node has no InfiniBand port of this name`}},
		"InfiniBand's port":            {`{"name":"ib1","type":"infiniband","infiniband":{"mode":"datagram","pkey":"0xffff"}}`, nil},
		"partition of what is no port": {`{"name":"eth1.8001","type":"infiniband","infiniband":{"base-iface":"eth1","mode":"datagram","pkey":"0x8001"}}`, []string{`[name=eth1.8001].infiniband.base-iface: Invalid value: "eth1"`}},
		"partition of a port":          {`{"name":"ib1.8001","type":"infiniband","infiniband":{"base-iface":"ib1","mode":"datagram","pkey":"0x8001"}}`, nil},
		"two faults":                   {`{"name":"sixteen-letters-","type":"vlan","vlan":{"id":4095}}`, []string{"].name", "].vlan.id"}},
		"a kind that there is not":     {`{"name":"h1","type":"hsr"}`, []string{"[name=h1].type", "hsr"}},
		"a kind that is not needed":    {`{"name":"h1","type":"hsr","state":"absent"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			faults, err := impossible([]byte(`{"interfaces":[`+c.interfaces+`]}`), []byte(limitsCurrent), func(kind string) bool { return kind != "hsr" })
			if err != nil {
				t.Fatal(err)
			}
			if len(c.want) == 0 && len(faults) > 0 {
				t.Errorf("refused: %v", faults)
			}
			for _, want := range c.want {
				if len(faults) == 0 || !strings.Contains(faults.ToAggregate().Error(), want) {
					t.Errorf("the faults are %v, without %q", faults, want)
				}
			}
		})
	}
}

// TestLinkKindsAreTheKernels: the table refuses nothing that the kernel takes. Kinds
// that the kernel of the tests does not make are left out.
func TestLinkKindsAreTheKernels(t *testing.T) {
	t.Cleanup(func() { clean(t) })
	netns.Run(t, "ip", "link", "add", "base0", "type", "veth", "peer", "name", "base1")
	seen := 0
	for typ, kind := range linkKinds() {
		args := []string{"link", "add", "new0", "link", "base0", "type", kind.name}
		switch typ {
		case "veth", "linux-bridge", "dummy", "bond", "wireguard":
			args = []string{"link", "add", "new0", "type", kind.name}
		case "vlan", "vxlan":
			args = append(args, "id", "7")
		case "vrf":
			args = []string{"link", "add", "new0", "type", "vrf", "table", "7"}
		}
		if typ == "vxlan" {
			args = []string{"link", "add", "new0", "type", "vxlan", "dev", "base0", "id", "7", "dstport", "4789"}
		}
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Logf("left out %s: %s", typ, out)
			continue
		}
		seen++
		if least, most := limitsOf(t, "new0"); kind.minMTU > least || kind.maxMTU != 0 && (most == 0 || kind.maxMTU < most) {
			t.Errorf("%s: the kernel takes %d to %d, the table %d to %d", typ, least, most, kind.minMTU, kind.maxMTU)
		}
		if kind.base != "" {
			if out, err := exec.Command("ip", "link", "set", "new0", "mtu", "1501").CombinedOutput(); err == nil {
				t.Errorf("%s: the kernel takes an MTU above the base's: %s", typ, out)
			}
		}
		netns.Run(t, "ip", "link", "del", "new0")
	}
	if seen == 0 {
		t.Error("no kind was compared")
	}
}

// limitsOf returns the limits that the kernel says a link's MTU has; 0 is none.
func limitsOf(t *testing.T, name string) (least, most int64) {
	t.Helper()
	raw, _, err := nmstate.RetrieveNetState(nmstate.KernelOnly)
	if err != nil {
		t.Fatal(err)
	}
	var state struct {
		Interfaces []struct {
			Name string
			Min  int64 `json:"min-mtu"`
			Max  int64 `json:"max-mtu"`
		}
	}
	if err := json.Unmarshal(raw, &state); err != nil {
		t.Fatal(err)
	}
	for _, iface := range state.Interfaces {
		if iface.Name == name {
			return iface.Min, iface.Max
		}
	}
	t.Fatalf("%s is not there", name)
	return 0, 0
}

// TestKernelMakes: the answer is what creating a link shows, and asking makes none.
func TestKernelMakes(t *testing.T) {
	t.Cleanup(func() { clean(t) })
	before, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	if made := kernelMakes("no-such-kind"); made != loadsModules() {
		t.Errorf("a kind that nobody has: %t, on a kernel that loads modules: %t", made, loadsModules())
	}
	for _, kind := range linkKinds() {
		made := kernelMakes(kind.name)
		out, _ := exec.Command("ip", "link", "add", "new0", "type", kind.name).CombinedOutput()
		if unknown := strings.Contains(string(out), "Unknown device type"); made == unknown && !loadsModules() {
			t.Errorf("%s: made %t, ip says %s", kind.name, made, out)
		}
		_ = exec.Command("ip", "link", "del", "new0").Run()
	}
	after, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before) {
		t.Errorf("before there were %d links, now there are %d", len(before), len(after))
	}
}

// TestWhatTheKernelRefusesIsInvalidAtOnce: for a dry run as for a change, and the
// node is not touched.
func TestWhatTheKernelRefusesIsInvalidAtOnce(t *testing.T) {
	h := newHost(t, t.TempDir())
	refusedAtOnce(t, h)
}

// refusedAtOnce checks that a bridge of an impossible MTU is refused before it is applied.
func refusedAtOnce(t *testing.T, h *Host) {
	t.Helper()
	// A worker that applies would end the change with another error.
	t.Setenv(dieAfterApply, "yes")
	change := desire(t, h, `{"interfaces":[{"name":"br9","type":"linux-bridge","state":"up","mtu":9999999}]}`)
	_, dry := h.Validate(t.Context(), change)
	_, err := h.Apply(t.Context(), change)
	for _, err := range []error{dry, err} {
		if agent.KindOf(err) != agent.Invalid || !strings.Contains(fmt.Sprint(err), "spec.desiredState.interfaces[name=br9].mtu") {
			t.Errorf("refused with %v", err)
		}
	}
	if last := h.feed.Last().Status.LastApply; last.Outcome != v1alpha1.ApplyRejected || !strings.Contains(last.Message, "65535") {
		t.Errorf("lastApply is %+v", last)
	}
}
