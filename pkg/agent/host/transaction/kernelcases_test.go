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

package transaction

import (
	"context"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
	"sigs.k8s.io/yaml"
)

// kernelCase is a state that is applied without NetworkManager.
type kernelCase struct {
	name string
	// kinds are those that the kernel must have; else the case is skipped. "filtering" is a bridge's filter of VLANs.
	kinds []string
	// before are commands that make the network on which the state is applied, beside eth1 to eth3.
	before []string
	// state is applied, and applied again.
	state string
	// seen are commands, each with what it must print, between ^ and $.
	seen map[string][]string
	// gone is a state that takes it all away again; the network is then as before.
	gone string
}

// has tells whether the kernel makes links of a kind.
func has(kind string) bool {
	if kind == "filtering" {
		_ = exec.Command("ip", "link", "add", "probe0", "type", "bridge", "vlan_filtering", "1").Run()
		out, _ := exec.Command("ip", "-d", "link", "show", "probe0").Output()
		_ = exec.Command("ip", "link", "del", "probe0").Run()
		return strings.Contains(string(out), "vlan_filtering 1")
	}
	args := []string{"link", "add", "name", "probe0"}
	switch kind {
	case "vlan", "macvlan", "macvtap", "ipvlan", "macsec":
		args = append(args, "link", "eth1")
	}
	args = append(args, "type", kind)
	switch kind {
	case "vlan":
		args = append(args, "id", "99")
	case "vrf":
		args = append(args, "table", "99")
	case "vxlan":
		args = append(args, "id", "99", "dstport", "4789")
	}
	err := exec.Command("ip", args...).Run()
	_ = exec.Command("ip", "link", "del", "probe0").Run()
	return err == nil
}

// freshNetwork leaves eth1 to eth3, which are veths, and what is on their other ends.
func freshNetwork(t *testing.T) {
	t.Helper()
	links, err := rtnetlink.Links()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Name != "lo" {
			_ = rtnetlink.Remove(l.Index) // hardware and ends of veths are gone or stay
		}
	}
	_ = exec.Command("sh", "-c", "ip rule flush; ip rule add priority 32766 table main; ip rule add priority 32767 table default; ip route flush table all").Run()
	for i, name := range []string{"eth1", "eth2", "eth3"} {
		netns.Run(t, "ip", "link", "add", name, "address", "02:00:00:00:01:0"+string(rune('1'+i)), "type", "veth", "peer", "name", "p"+name)
		netns.Run(t, "ip", "link", "set", name, "up")
		netns.Run(t, "ip", "link", "set", "p"+name, "up")
	}
}

// volatile are the parts of what ip shows that change by themselves.
var volatile = regexp.MustCompile(`NO-CARRIER,|,LOWER_UP| state [A-Z]+| (hello|tcn|topology_change|gc|hold|message_age|forward_delay)_timer +[0-9.]+| topology_change(_detected)? [0-9]|` +
	` tentative| (valid|preferred)_lft \S+| active_slave \S+| ad_(aggregator|num_ports|actor_key|partner_key) \d+| ad_partner_mac \S+| mcast_querier_\S+ \S+|` +
	` root_port \d+| designated_\S+ \S+| port_\S+_state \S+| state (forwarding|disabled|listening|learning|blocking)| qdisc \S+| linkdown| fdb_n_learned \d+|` +
	` mii_status \w+| link_failure_count \d+| ad_(actor|partner)_oper_port_state(_str <\S*>| \d+)| ad_aggregator_id \d+| promiscuity \d+| allmulti \d+`)

// kernelPicture is the network as ip and bridge show it, without IPv6's link-local addresses: they come and go with the carrier.
func kernelPicture(t *testing.T) string {
	t.Helper()
	shown := netns.Run(t, "sh", "-c", `ip -d -o link | sort -t: -k2; ip -o addr | grep -v ' fe80' | sed 's/^[0-9]*: //; s/ nodad\| tentative//' | sort; ip route show table all | grep -v 'fe80\|^multicast\|table local' | sort
		ip -6 route show table all | grep -v 'fe80\|^multicast\|table local' | sort; ip rule; ip -6 rule; bridge vlan | tr -s ' ' 2>/dev/null
		grep . /proc/sys/net/ipv?/conf/*/disable_ipv6 /proc/sys/net/ipv?/conf/*/forwarding; hostname; cat /etc/hostname`)
	return volatile.ReplaceAllString(shown, "") + featuresPicture(t)
}

// indexes are the indexes of links in what ip shows.
var indexes = regexp.MustCompile(`(?m)^\d+: |if\d+`)

func asJSON(t *testing.T, state string) []byte {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(state))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func applyState(ctx context.Context, state []byte) error {
	return applyInWorker(ctx, nmstate.KernelOnly, state)
}

// TestWithoutNetworkManager applies states that libnmstate cannot make without NetworkManager; each is seen in the kernel,
// applied again without a change, undone, and taken away.
func TestWithoutNetworkManager(t *testing.T) {
	for _, one := range slices.Concat(kernelCases, otherCases, changeCases, routeCases) {
		t.Run(one.name, func(t *testing.T) {
			freshNetwork(t)
			for _, kind := range one.kinds {
				if !has(kind) {
					t.Skipf("this kernel has no %s", kind)
				}
			}
			for _, command := range one.before {
				netns.Run(t, "sh", "-c", command)
			}
			one.run(t)
		})
	}
}

func (one kernelCase) run(t *testing.T) {
	before := kernelPicture(t)
	state := asJSON(t, one.state)
	current, _, err := nmstate.RetrieveNetState(nmstate.KernelOnly | nmstate.IncludeSecrets)
	if err != nil {
		t.Fatal(err)
	}
	noted, err := undo.Note(t.Context(), undo.Request{Desired: state, Current: current})
	if err != nil {
		t.Fatal(err)
	}
	defer noted.Close()
	if err := applyState(t.Context(), state); err != nil {
		t.Fatalf("applying: %v", err)
	}
	one.look(t)
	applied := kernelPicture(t)
	if err := applyState(t.Context(), state); err != nil {
		t.Fatalf("applying again: %v", err)
	}
	if again := kernelPicture(t); again != applied {
		t.Errorf("applied again, it was\n%s\nand is\n%s", applied, again)
	}
	if leftover := noted.Restore(t.Context(), applyState); leftover != "" {
		t.Errorf("not put back: %s", leftover)
	}
	compare(t, "undone", before, kernelPicture(t))
	if one.gone == "" {
		return
	}
	if err := applyState(t.Context(), state); err != nil {
		t.Fatalf("applying after it was undone: %v", err)
	}
	if err := applyState(t.Context(), asJSON(t, one.gone)); err != nil {
		t.Fatalf("taking away: %v", err)
	}
	compare(t, "taken away", indexes.ReplaceAllString(before, ""), indexes.ReplaceAllString(kernelPicture(t), ""))
}

func (one kernelCase) look(t *testing.T) {
	for command, wanted := range one.seen {
		shown := strings.Join(strings.Fields(netns.Run(t, "sh", "-c", command)), " ")
		for _, text := range wanted {
			if !strings.Contains("^"+shown+"$", text) {
				t.Errorf("%s lacks %q: %s", command, text, shown)
			}
		}
	}
}

// compare names the lines that differ.
func compare(t *testing.T, what, before, after string) {
	t.Helper()
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range was {
		if !contains(is, line) {
			t.Errorf("%s: missing %s", what, line)
		}
	}
	for _, line := range is {
		if !contains(was, line) {
			t.Errorf("%s: left %s", what, line)
		}
	}
}

func contains(lines []string, line string) bool {
	if strings.Contains(line, "l3mdev-table") { // the kernel's own: it stays after the first VRF
		return true
	}
	for _, other := range lines {
		if other == line {
			return true
		}
	}
	return false
}
