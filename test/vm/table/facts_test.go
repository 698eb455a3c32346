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
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

const printed = `=== link
[{"ifindex":1,"ifname":"lo","mtu":65536},{"ifindex":2,"ifname":"eth1","mtu":1500,"linkinfo":{"info_slave_kind":"bridge","info_slave_data":{"state":"forwarding","hold_timer":0.2,"cost":100}}}]

=== address
[{},{"ifindex":2,"ifname":"eth1","mtu":1500,"addr_info":[{"family":"inet","local":"198.51.100.1","valid_life_time":4294967295}]}]

=== route
[{"dst":"198.51.100.0/24","dev":"eth1","metric":100}]

=== route
[{"dst":"fe80::/64","dev":"eth1","expires":77}]
=== rule
[{"priority":0,"src":"all","table":"local"}]
=== rule

=== sysctl
/proc/sys/net/ipv4/conf/eth1/forwarding:0
/proc/sys/net/ipv6/neigh/eth1/app_solicit:0
=== connections
eth1:0c1e:802-3-ethernet:eth1
`

func parse(t *testing.T, output string) Facts {
	t.Helper()
	facts, err := ParseFacts(output)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func TestParseFacts(t *testing.T) {
	facts := parse(t, printed)
	for section, want := range map[string][]string{
		"address":     {`{"addr_info":[{"family":"inet","local":"198.51.100.1"}],"ifname":"eth1"}`},
		"route":       {`{"dev":"eth1","dst":"198.51.100.0/24","metric":100}`, `{"dev":"eth1","dst":"fe80::/64"}`},
		"sysctl":      {`"eth1" ipv4/conf forwarding = 0`, `"eth1" ipv6/neigh app_solicit = 0`},
		"connections": {"eth1:0c1e:802-3-ethernet:eth1"},
	} {
		if !slices.Equal(facts[section], want) {
			t.Errorf("%s: %q, want %q", section, facts[section], want)
		}
	}
	if text := strings.Join(facts["link"], "\n"); strings.Contains(text, "forwarding") || strings.Contains(text, "timer") || !strings.Contains(text, `"cost":100`) {
		t.Error(text)
	}
}

func TestParseFactsMissesNothing(t *testing.T) {
	for _, output := range []string{"", strings.Replace(printed, "=== sysctl", "=== other", 1), strings.Replace(printed, `[{"dst"`, `[{"dst`, 1)} {
		if _, err := ParseFacts(output); err == nil {
			t.Errorf("no error of %q", output)
		}
	}
}

func TestDifference(t *testing.T) {
	before := parse(t, printed)
	for _, test := range []struct {
		name, old, new string
		remade         bool
		want           int
	}{
		{"nothing", "", "", false, 0},
		{"metric", `"metric":100`, `"metric":101`, true, 2},
		{"timer", `"hold_timer":0.2`, `"hold_timer":0.4`, false, 0},
		{"made anew", `{"ifindex":2,"ifname":"eth1","mtu":1500,"link`, `{"ifindex":7,"ifname":"eth1","mtu":1500,"link`, false, 2},
		{"made anew, and that is the same", `{"ifindex":2,"ifname":"eth1","mtu":1500,"link`, `{"ifindex":7,"ifname":"eth1","mtu":1500,"link`, true, 0},
		{"a link more", `[{"ifindex":1`, `[{"ifname":"br0"},{"ifindex":1`, true, 1},
		{"a tunnel that the kernel makes by itself", `[{"ifindex":1`, `[{"ifname":"tunl0"},{"ifindex":1`, true, 0},
		{"a route twice", `[{"dst":"198`, `[{"dst":"fe80::/64","dev":"eth1"},{"dst":"198`, true, 1},
		{"sysctl", "forwarding:0", "forwarding:1", true, 2},
		{"profile, left out", "0c1e", "0c1f", true, 0},
	} {
		now := parse(t, strings.Replace(printed, test.old, test.new, 1))
		if got := now.Difference(before, test.remade, "connections"); len(got) != test.want {
			t.Errorf("%s: %q", test.name, got)
		}
	}
	if got := (Facts{"devices": {"tunl0:iptunnel:unmanaged:", "eth1:ethernet:connected:eth1"}}).Difference(Facts{}, true); len(got) != 1 {
		t.Errorf("devices more: %q", got)
	}
	if got := (Facts{"dns": {"nameserver 192.0.2.53"}}).Difference(Facts{}, true); len(got) != 1 || got[0] != "+ dns: nameserver 192.0.2.53" {
		t.Errorf("a section more: %q", got)
	}
}

// TestRoutesOfEarlyRouters: what the kernel has heard before NetworkManager took the interface over may go at any time.
func TestRoutesOfEarlyRouters(t *testing.T) {
	const (
		router = `{"dst":"default","gateway":"fe80::1","dev":"eth1","protocol":"ra","metric":1024}`
		subnet = `{"dst":"2001:db8:202::/64","dev":"eth1","protocol":"kernel","metric":256}`
		own    = `{"dst":"default","gateway":"fe80::1","dev":"eth1","protocol":"ra","metric":101}`
	)
	with := func(routes string) string {
		return strings.Replace(printed, `[{"dst":"198`, `[`+routes+`,{"dst":"198`, 1)
	}
	alone := func(output string) string { output, _, _ = strings.Cut(output, "=== connections"); return output }
	for _, test := range []struct {
		name, before, now string
		want              int
	}{
		{"both", printed, with(router + "," + subnet), 0},
		{"a subnet without a router", printed, with(subnet), 1},
		{"NetworkManager's", printed, with(own), 1},
		{"no NetworkManager", alone(printed), alone(with(router + "," + subnet)), 2},
	} {
		if got := parse(t, test.now).Difference(parse(t, test.before), true); len(got) != test.want {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}

// TestLeft: a link that goes with its case is not looked for any more. It must not stay, nor go with another backend.
func TestLeft(t *testing.T) {
	before := parse(t, printed)
	batch := Batch{{Gone: map[v1alpha1.Backend]string{v1alpha1.BackendKernel: "eth1"}}}
	now := parse(t, `=== link
[{"ifindex":1,"ifname":"lo","mtu":65536}]
=== address
[{"ifname":"lo"}]
=== route
[{"dst":"fe80::/64","dev":"lo"}]
=== rule
[{"priority":0,"src":"all","table":"local"}]
=== sysctl
/proc/sys/net/ipv4/conf/lo/forwarding:0
`)
	if got := now.Difference(batch.Left(before, v1alpha1.BackendKernel), true, "address", "route", "sysctl", "connections"); len(got) > 0 {
		t.Errorf("the link is looked for: %q", got)
	}
	if got := before.Difference(batch.Left(before, v1alpha1.BackendKernel), true); len(got) == 0 {
		t.Error("the link may stay")
	}
	if got := now.Difference(batch.Left(before, v1alpha1.BackendNetworkManager), true); len(got) == 0 {
		t.Error("the link may go with another backend")
	}
}

func TestOwner(t *testing.T) {
	a := &Case{Name: "a", State: State{"interfaces": []any{map[string]any{"name": "vl1"}}}}
	b := &Case{Name: "b", State: State{"interfaces": []any{map[string]any{"name": "vl11"}}}}
	batch := Batch{a, b}
	for text, want := range map[string]*Case{
		`- link: {"ifname":"vl1"}`: a, `+ sysctl: "vl11" ipv4/conf`: b, `"vl1" and "vl11"`: nil, `"eth1"`: nil,
	} {
		if got := batch.Owner(text); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestBlame(t *testing.T) {
	a := &Case{Name: "a", State: State{"interfaces": []any{map[string]any{"name": "vl1"}}}}
	b := &Case{Name: "b", State: State{"interfaces": []any{map[string]any{"name": "vl2"}}}}
	batch := Batch{a, b, &Case{Name: "c"}}
	blame := batch.Blame("the node is not as before:\n- sysctl: \"vl1\" x = 0\n+ sysctl: \"vl2\" x = 0\n+ sysctl: \"vl1\" x = 1\n")
	if len(blame) != 2 || blame[a] != "- sysctl: \"vl1\" x = 0\n+ sysctl: \"vl1\" x = 1\n" || blame[b] == "" {
		t.Errorf("%v", blame)
	}
	for _, text := range []string{"- sysctl: \"vl1\"\n- sysctl: \"eth1\"\n", "it took too long"} {
		if blame := batch.Blame(text); len(blame) != 0 {
			t.Errorf("%s: %v", text, blame)
		}
	}
}

// TestActivation: NetworkManager chooses the metrics of the kernel's routes again, and bonds, bridges and Open vSwitch begin anew; all else is compared.
func TestActivation(t *testing.T) {
	link := func(name, active, eth1, eth2, mtu string, number int) []string {
		slave := `{"ifname":"%s","linkinfo":{"info_slave_data":{"prio":0,"state":"%s"},"info_slave_kind":"bond"}}`
		return []string{
			fmt.Sprintf(`{"ifname":"%s","linkinfo":{"info_data":{"active_slave":"%s","mode":"active-backup"},"info_kind":"bond"},"mtu":%s}`, name, active, mtu),
			fmt.Sprintf(slave, "eth1", eth1), fmt.Sprintf(slave, "eth2", eth2),
			fmt.Sprintf(`{"ifname":"eth3","linkinfo":{"info_slave_data":{"cost":2,"designated_port":3276%[1]d,"id":"0x800%[1]d","no":"0x%[1]d","priority":32},"info_slave_kind":"bridge"}}`, number),
			fmt.Sprintf(`{"ifindex":%d,"ifname":"ovs0","linkinfo":{"info_kind":"openvswitch"}}`, number),
		}
	}
	before := Facts{
		"route": {`{"dst":"a","metric":304,"prefsrc":"b","protocol":"kernel"}`, `{"dst":"c","metric":5,"protocol":"static"}`},
		"link":  link("bond0", "eth2", "BACKUP", "ACTIVE", "1500", 2),
	}
	now := Facts{
		"route": {`{"dst":"a","metric":312,"prefsrc":"b","protocol":"kernel"}`, `{"dst":"c","metric":6,"protocol":"static"}`},
		"link":  link("bond0", "eth1", "ACTIVE", "BACKUP", "1500", 1),
	}
	before["ovs"], now["ovs"] = []string{"other_config: {}"}, []string{`other_config: {hwaddr="4E:AE:38:1D:D1:40"}`}
	if got := now.Difference(before, false); len(got) != 16 {
		t.Errorf("%q", got)
	}
	want := []string{`- route: {"dst":"c","metric":5,"protocol":"static"}`, `+ route: {"dst":"c","metric":6,"protocol":"static"}`}
	if got := now.Difference(before, false, Activation); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	now["link"] = link("bond0", "eth1", "ACTIVE", "BACKUP", "1400", 1)
	if got := now.Difference(before, false, Activation); len(got) != 4 {
		t.Errorf("%q", got)
	}
}
