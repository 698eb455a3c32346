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

package nmstate

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// veth is a veth pair between two names, with an address and a route over it.
const veth = `{"interfaces":[
	{"name":"t1","type":"veth","state":"up","veth":{"peer":"t2"},
	 "ipv4":{"enabled":true,"address":[{"ip":"198.51.100.1","prefix-length":24}]}},
	{"name":"t2","type":"veth","state":"up","veth":{"peer":"t1"}}],
	"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-interface":"t1","next-hop-address":"198.51.100.2"}]}}`

const noVeth = `{"interfaces":[{"name":"t1","type":"veth","state":"absent"},{"name":"t2","type":"veth","state":"absent"}]}`

func apply(t *testing.T, state string) {
	t.Helper()
	if _, err := ApplyNetState(KernelOnly, []byte(state), 0); err != nil {
		t.Fatalf("applying %s: %v", state, err)
	}
}

func retrieve(t *testing.T) []byte {
	t.Helper()
	state, _, err := RetrieveNetState(KernelOnly)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func interfaceNames(t *testing.T, state []byte) string {
	t.Helper()
	var parsed struct{ Interfaces []struct{ Name string } }
	if err := json.Unmarshal(state, &parsed); err != nil {
		t.Fatalf("state is no JSON: %v", err)
	}
	var names []string
	for _, i := range parsed.Interfaces {
		names = append(names, i.Name)
	}
	return strings.Join(names, ",")
}

func wantKind(t *testing.T, err error, kind ErrorKind) *Error {
	t.Helper()
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("error is %v, want an *Error", err)
	}
	if failure.Kind != kind {
		t.Fatalf("kind is %q (%v), want %q", failure.Kind, failure, kind)
	}
	return failure
}

func TestVersion(t *testing.T) {
	if v := Version(); !strings.HasPrefix(v, "2.2.") {
		t.Errorf("version is %q", v)
	}
}

func TestApplyIsSeenByTheKernelAndByRetrieve(t *testing.T) {
	apply(t, veth)
	defer apply(t, noVeth)
	if names := interfaceNames(t, retrieve(t)); names != "lo,t1,t2" {
		t.Errorf("interfaces are %s", names)
	}
	if out := netns.Run(t, "ip", "-o", "addr", "show", "t1"); !strings.Contains(out, "198.51.100.1/24") {
		t.Errorf("no address: %s", out)
	}
	if out := netns.Run(t, "ip", "route"); !strings.Contains(out, "203.0.113.0/24 via 198.51.100.2 dev t1") {
		t.Errorf("no route: %s", out)
	}
}

func TestApplyTakesAway(t *testing.T) {
	apply(t, veth)
	apply(t, noVeth)
	if names := interfaceNames(t, retrieve(t)); names != "lo" {
		t.Errorf("interfaces are %s", names)
	}
}

func TestApplyWritesDNSToTheTestsOwnEtc(t *testing.T) {
	apply(t, `{"dns-resolver":{"config":{"server":["192.0.2.53"],"search":["example.org"]}}}`)
	text, err := os.ReadFile("/etc/resolv.conf")
	if err != nil || !strings.Contains(string(text), "nameserver 192.0.2.53") {
		t.Errorf("resolv.conf is %q, %v", text, err)
	}
}

func TestRefusedStateNamesKindAndKeepsLogOutOfText(t *testing.T) {
	_, err := ApplyNetState(KernelOnly, []byte(`{"interfaces":[{"name":"t9","type":"veth","state":"up"}]}`), 0)
	failure := wantKind(t, err, InvalidArgument)
	if failure.Op != "nmstate_net_state_apply" || failure.Msg == "" {
		t.Errorf("error is %#v", failure)
	}
	if failure.Log == "" || strings.Contains(failure.Error(), failure.Log) {
		t.Errorf("the log must be a field and not part of the text: %q in %q", failure.Log, failure.Error())
	}
}

func TestRetrieveYAML(t *testing.T) {
	state, _, err := RetrieveNetState(KernelOnly | YAMLOutput)
	if err != nil || !strings.Contains(string(state), "- name: lo") {
		t.Errorf("%v: %s", err, state)
	}
}

func TestDifferences(t *testing.T) {
	apply(t, veth)
	defer apply(t, noVeth)
	interfaces, _, _ := strings.Cut(veth, `"routes"`)
	interfaces = strings.TrimRight(interfaces, ",\n\t ") + "}"
	same, err := GenerateDifferences([]byte(interfaces), retrieve(t))
	if err != nil || string(same) != `{"interfaces":[]}` {
		t.Errorf("right after an apply the difference is %s, %v", same, err)
	}
	netns.Run(t, "ip", "addr", "del", "198.51.100.1/24", "dev", "t1")
	drift, err := GenerateDifferences([]byte(veth), retrieve(t))
	if err != nil || !strings.Contains(string(drift), "198.51.100.1") {
		t.Errorf("after the address went the difference is %s, %v", drift, err)
	}
}

// TestRevert undoes a change: applied after it, the revert makes the network what it was.
func TestRevert(t *testing.T) {
	if !CanGenerateRevert() {
		_, err := GenerateRevert([]byte(veth), retrieve(t))
		wantKind(t, err, DependencyError)
		return
	}
	apply(t, veth)
	defer apply(t, noVeth)
	before := netns.Run(t, "ip", "-4", "-o", "addr", "show", "dev", "t1")
	desired := `{"interfaces":[{"name":"t1","type":"veth","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.9","prefix-length":24}]}},
		{"name":"br1","type":"linux-bridge","state":"up","bridge":{"port":[]}}]}`
	revert, err := GenerateRevert([]byte(desired), retrieve(t))
	if err != nil {
		t.Fatal(err)
	}
	apply(t, desired)
	if now := netns.Run(t, "ip", "-4", "-o", "addr", "show", "dev", "t1"); now == before {
		t.Fatalf("nothing has changed: %s", now)
	}
	apply(t, string(revert))
	if now := netns.Run(t, "ip", "-4", "-o", "addr", "show", "dev", "t1"); now != before {
		t.Errorf("t1 has\n%s\nand had\n%s", now, before)
	}
	if names := netns.Run(t, "ip", "link"); strings.Contains(names, "br1") {
		t.Errorf("the bridge is left: %s", names)
	}
}

// TestRevertOfSectionsThatAreNotHere: without Open vSwitch, the text says what the revert does.
func TestRevertOfSectionsThatAreNotHere(t *testing.T) {
	if !CanGenerateRevert() {
		t.Skip("this libnmstate has no such function")
	}
	const current = `{"ovs-db":{"external_ids":{"a":"1"},"other_config":{"b":"2"}},
		"ovn":{"bridge-mappings":[{"localnet":"net1","bridge":"br1"}]},"interfaces":[{"name":"br1","type":"ovs-bridge","state":"up"},
		{"name":"br2","type":"ovs-bridge","state":"up"},{"name":"br9","type":"ovs-bridge","state":"up"}]}`
	revert, err := GenerateRevert([]byte(`{"ovs-db":{"external_ids":{"a":"9","c":"3"}},
		"ovn":{"bridge-mappings":[{"localnet":"net1","bridge":"br9"},{"localnet":"net2","bridge":"br2"}]}}`), []byte(current))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", revert)
	// Applying an empty map would remove all that is there.
	if strings.Contains(string(revert), "other_config") {
		t.Errorf("what is not changed is in %s", revert)
	}
	for _, want := range []string{`"a":"1"`, `"c":null`, `{"localnet":"net1","bridge":"br1"}`, `"localnet":"net2"`} {
		if !strings.Contains(string(revert), want) {
			t.Errorf("%s is not in %s", want, revert)
		}
	}
}

func TestFormat(t *testing.T) {
	out, err := FormatNetState([]byte(`{"interfaces":[{"state":"up","type":"ethernet","name":"eth1"}]}`))
	if err != nil || !strings.HasPrefix(string(out), `{"interfaces":[{"name":"eth1"`) {
		t.Errorf("%s, %v", out, err)
	}
}

func TestValidate(t *testing.T) {
	if err := Validate([]byte(veth), nil); err != nil {
		t.Error(err)
	}
	if err := Validate([]byte(veth), retrieve(t)); err != nil {
		t.Error(err)
	}
	wantKind(t, Validate([]byte(`{"interfaces":[{"name":"b","type":"linux-bridge","mtu":"big"}]}`), nil), InvalidArgument)
}

func TestNetStateFromPolicy(t *testing.T) {
	apply(t, veth)
	defer apply(t, noVeth)
	policy := `{"capture":{"first":"interfaces.name==\"t1\""},
		"desiredState":{"interfaces":[{"name":"br1","type":"linux-bridge","state":"up",
			"bridge":{"port":[{"name":"{{ capture.first.interfaces.0.name }}"}]}}]}}`
	state, _, err := NetStateFromPolicy([]byte(policy), retrieve(t))
	if err != nil || !strings.Contains(string(state), `"port":[{"name":"t1"`) {
		t.Errorf("%s, %v", state, err)
	}
}

func TestGenerateConfigurations(t *testing.T) {
	configs, _, err := GenerateConfigurations([]byte(`{"interfaces":[{"name":"eth1","type":"ethernet","state":"up","mtu":1400}]}`))
	if err != nil || !strings.Contains(string(configs), "NetworkManager") || !strings.Contains(string(configs), "mtu=1400") {
		t.Errorf("%s, %v", configs, err)
	}
}

func TestCheckpointsNeedNetworkManager(t *testing.T) {
	_, err := CommitCheckpoint("")
	wantKind(t, err, Bug)
	_, err = RollbackCheckpoint("/org/freedesktop/NetworkManager/Checkpoint/1")
	wantKind(t, err, Bug)
}

func TestInputThatCWouldMisread(t *testing.T) {
	failure := wantKind(t, Validate(nil, nil), InvalidArgument)
	if !strings.Contains(failure.Msg, "empty") {
		t.Error(failure)
	}
	_, err := FormatNetState([]byte("{}\x00{}"))
	if failure := wantKind(t, err, InvalidArgument); !strings.Contains(failure.Msg, "NUL byte at 2") {
		t.Error(failure)
	}
	_, err = CommitCheckpoint("a\x00b")
	wantKind(t, err, InvalidArgument)
}

// TestLeasesEnd: an address that ends by itself still does after a state that says nothing of addresses.
func TestLeasesEnd(t *testing.T) {
	if !CanKeepAnswers() {
		t.Skip("this is a system's libnmstate, without patches")
	}
	apply(t, veth)
	t.Cleanup(func() { apply(t, noVeth) })
	for _, address := range []string{"198.51.100.7/24", "2001:db8::7/64"} {
		netns.Run(t, "ip", "addr", "add", address, "dev", "t1", "valid_lft", "1000", "preferred_lft", "900")
	}
	apply(t, `{"interfaces":[{"name":"t1","type":"veth","state":"up","veth":{"peer":"t2"}}]}`)
	shown := netns.Run(t, "ip", "addr", "show", "dev", "t1")
	if strings.Count(shown, " dynamic ") != 2 {
		t.Errorf("t1 is %s", shown)
	}
}
