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
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// nmstatectlPath is, in the environment, where the nmstatectl is that hack/libnmstate/nmstatectl.sh builds.
const nmstatectlPath = "NMSTATE_TEST_NMSTATECTL"

// corpus are commands that make of a node one kind after the other of what NetworkManager tells.
var corpus = []string{
	"true",
	"nmcli connection add type ethernet ifname eth1 con-name we1 ipv4.method manual ipv4.addresses 198.51.100.1/24 ipv4.dns 192.0.2.53 " +
		"ipv4.dns-search example.org ipv4.dns-priority 7 ipv6.method disabled connection.lldp enable",
	"nmcli connection up we1",
	"nmcli connection add type ethernet ifname eth1 con-name we2 autoconnect no connection.autoconnect-priority 5 ipv4.method disabled ipv6.method disabled",
	"nmcli connection modify we1 connection.id we3",
	"nmcli connection modify --temporary we3 ipv4.dns-search n.example.org",
	"nmcli device modify eth1 +ipv4.addresses 198.18.1.1/32",
	"nmcli connection add type ethernet con-name we4 ifname '*' mac $(cat /sys/class/net/eth2/address) ipv4.method manual ipv4.addresses 198.51.101.1/24 ipv6.method auto",
	"nmcli connection up we4",
	"nmcli connection add type ethernet ifname eth3 con-name we5 autoconnect no ipv4.method auto ipv4.may-fail no ipv6.method link-local " +
		"802-1x.eap md5 802-1x.identity someone 802-1x.password something",
	"nmcli connection add type bridge ifname br7 con-name we6 bridge.stp no ipv4.method disabled ipv6.method disabled",
	"nmcli connection add type ethernet ifname eth3 con-name we7 master br7",
	"nmcli connection up we7",
	"printf '[connection]\\nid=we8\\nuuid=00000000-0000-4000-8000-000000000008\\ntype=vpn\\nautoconnect=false\\n[vpn]\\n" +
		"service-type=org.freedesktop.NetworkManager.libreswan\\nright=192.0.2.9\\n' >/etc/NetworkManager/system-connections/we8.nmconnection; " +
		"chmod 600 /etc/NetworkManager/system-connections/we8.nmconnection; nmcli connection reload",
	"ip link add pod7 type veth peer name wv7; ip link set wv7 up; ip addr add 203.0.113.7/32 dev wv7",
	"nmcli device set eth2 managed no",
	"nmcli device disconnect eth1",
	"printf '[global-dns]\\nsearches=a.example.org\\n[global-dns-domain-*]\\nservers=192.0.2.7\\n' >/etc/NetworkManager/conf.d/dns.conf; nmcli general reload conf",
	"mkdir -p /etc/NetworkManager/dispatcher.d; echo true >/etc/NetworkManager/dispatcher.d/nmstate-eth1-up",
}

// TestManagedReadIsWhatItIsWithoutPatches is the last on the node, which it leaves otherwise than it found it: the patches of hack/libnmstate make reads cheaper, and nothing else of them.
func TestManagedReadIsWhatItIsWithoutPatches(t *testing.T) {
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	if !nmstate.CanKeepAnswers() {
		t.Skip("this is a system's libnmstate, without patches")
	}
	forgetProfiles(t)
	t.Cleanup(func() {
		netns.Run(t, "sh", "-c", "rm -f /etc/NetworkManager/dispatcher.d/nmstate-eth1-up /etc/NetworkManager/conf.d/dns.conf; nmcli general reload conf; "+
			"nmcli connection delete we2 we3 we4 we5 we6 we7 we8; ip link del pod7; nmcli device set eth2 managed yes || true")
		forgetProfiles(t)
	})
	for _, command := range corpus {
		netns.Run(t, "sh", "-c", command)
		unpatched := readAtRest(t, command)
		var answers nmstate.Answers
		for _, ask := range []nmstate.Asking{nmstate.AskLast, nmstate.AskMeanwhile, nmstate.Hold} {
			raw, _, err := answers.RetrieveNetState(0, ask)
			if err != nil {
				t.Fatal(err)
			}
			if patched := stateOf(t, []byte(raw)); !bytes.Equal(patched, unpatched) {
				t.Errorf("after %s, asking %d: %s", command, ask, inLines(unpatched, patched))
			}
		}
		answers.Close()
	}
}

// readAtRest reads the network without patches, until it is read twice as the same.
func readAtRest(t *testing.T, after string) []byte {
	t.Helper()
	var last []byte
	for range 50 {
		raw, err := exec.Command(os.Getenv(nmstatectlPath), "show", "--json", "-q").Output()
		if err != nil {
			t.Fatal("reading the network with nmstatectl, which hack/libnmstate/nmstatectl.sh builds: ", err)
		}
		now := stateOf(t, raw)
		if bytes.Equal(now, last) {
			return now
		}
		last = now
	}
	t.Fatal("there is no end of changes after ", after)
	return nil
}

// stateOf is what is left of what was read without noise, and without an empty section that nmstatectl adds.
func stateOf(t *testing.T, raw []byte) []byte {
	t.Helper()
	root, err := tree.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	dropNoise(root)
	if ovn, _ := root["ovn"].(map[string]any); len(ovn) == 0 {
		delete(root, "ovn")
	}
	state, err := tree.Encode(root)
	if err != nil {
		t.Fatal(err)
	}
	return state
}
