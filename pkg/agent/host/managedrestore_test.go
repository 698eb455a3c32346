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
	"context"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// applyCommitted applies a state through NetworkManager and commits it: no checkpoint is left
// that could undo it.
func applyCommitted(_ context.Context, state []byte) error {
	_, err := nmstate.ApplyNetState(0, state, time.Minute)
	return err
}

// handWritten is a profile as a person writes it, with a comment.
const handWritten = `# do not touch
[connection]
id=by hand
uuid=5f4d1c62-37f8-4a55-9d3c-0a1f5e2b7a01
type=ethernet
interface-name=eth2

[ipv4]
method=manual
address1=198.51.101.6/24

[ipv6]
method=disabled
`

// startProfiles makes profiles of several kinds: nmstate's, one by hand, and one in memory.
func startProfiles(t *testing.T) {
	t.Helper()
	const file = "/etc/NetworkManager/system-connections/by hand.nmconnection"
	if err := os.MkdirAll("/etc/NetworkManager/dispatcher.d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(handWritten), 0o600); err != nil {
		t.Fatal(err)
	}
	netns.Run(t, "nmcli", "connection", "load", file)
	netns.Run(t, "nmcli", "connection", "up", "by hand")
	netns.Run(t, "nmcli", "connection", "add", "save", "no", "type", "bridge", "ifname", "mem7", "con-name", "in memory",
		"ipv4.method", "manual", "ipv4.addresses", "198.51.107.1/24", "ipv6.method", "disabled")
	netns.Run(t, "nmcli", "connection", "up", "in memory")
	if err := applyCommitted(t.Context(), []byte(`{"interfaces":[
		{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.6","prefix-length":24}]},"ipv6":{"enabled":false}},
		{"name":"br6","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[{"name":"eth3"}]},"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.102.6","prefix-length":24}]},"ipv6":{"enabled":false}}],
		"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-interface":"eth1","next-hop-address":"198.51.100.66"}]},
		"dns-resolver":{"config":{"server":["198.51.100.66"],"search":["before.example.org"]}},"hostname":{"running":"before","config":"before"}}`)); err != nil {
		t.Fatal(err)
	}
}

// restoredPicture is the node's network, files, profiles and which of them are active on which
// device, without the numbers of links: those that were made again have others. The texts of
// the profiles' files are NetworkManager's if they were not put back as files.
func restoredPicture(t *testing.T, withFiles bool) string {
	t.Helper()
	text := ""
	if withFiles {
		text = profiles(t)
	}
	text += fullPicture(t) + netns.Run(t, "hostname") + netns.Run(t, "sh", "-c", `
		cat /etc/hostname; grep -v '^#' /etc/resolv.conf; ls /etc/NetworkManager/dispatcher.d /etc/NetworkManager/system-connections
		nmcli -t -f NAME,UUID,DEVICE connection show --active | grep -v '^lo:' | sort
		nmcli -t -f NAME,UUID,FILENAME connection show | grep -v '^lo:' | sort
		nmcli -g GENERAL.DEVICE,GENERAL.AUTOCONNECT,GENERAL.NM-MANAGED device show
		ip -d link | grep -E '^[0-9]' | sed -E 's/NO-CARRIER,|,LOWER_UP| state [A-Z]+//g' | sort`)
	lines := strings.Split(regexp.MustCompile(`(?m)^[0-9]+: `).ReplaceAllString(text, ""), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestManagedRestoreWithoutACheckpoint: as after a reboot, or when the agent has died and
// NetworkManager has forgotten its checkpoint.
func TestManagedRestoreWithoutACheckpoint(t *testing.T) {
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	for name, desired := range map[string]string{
		"altered": `{"interfaces":[
			{"name":"eth1","type":"ethernet","state":"up","mtu":1400,"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.7","prefix-length":24}]},"dispatch":{"post-activation":"true"}},
			{"name":"eth2","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.101.7","prefix-length":24}]}},
			{"name":"mem7","type":"linux-bridge","state":"up","bridge":{"port":[]},"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.107.2","prefix-length":24}]}}],
			"dns-resolver":{"config":{"server":["198.51.100.99"],"search":["after.example.org"]}},"hostname":{"running":"after","config":"after"}}`,
		"moved": `{"interfaces":[
			{"name":"br7","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[{"name":"eth1"},{"name":"eth2"}]},
			 "ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.7","prefix-length":24}]},"ipv6":{"enabled":false}},
			{"name":"br6","type":"linux-bridge","state":"up","bridge":{"port":[]}}],"dns-resolver":{"config":{}}}`,
		"absent": `{"interfaces":[{"name":"br6","type":"linux-bridge","state":"absent"},{"name":"eth1","state":"absent"},{"name":"eth2","state":"down"},{"name":"mem7","type":"linux-bridge","state":"absent"}]}`,
	} {
		t.Run(name, func(t *testing.T) { restoreWithoutACheckpoint(t, desired, true) })
		if name == "moved" {
			continue // it is the same without the files, and takes long
		}
		t.Run(name+", and the files are not seen", func(t *testing.T) { restoreWithoutACheckpoint(t, desired, false) })
	}
}

// restoreWithoutACheckpoint makes and commits a change, and restores what was noted before.
// Where the agent is in a container it sees NetworkManager's files only through D-Bus.
func restoreWithoutACheckpoint(t *testing.T, desired string, filesAreSeen bool) {
	forgetProfiles(t)
	t.Cleanup(func() {
		forgetProfiles(t)
		netns.Run(t, "nmcli", "connection", "delete", "in memory")
	})
	startProfiles(t)
	current, _, err := nmstate.RetrieveNetState(nmstate.IncludeSecrets)
	if err != nil {
		t.Fatal(err)
	}
	noted, err := undo.Note(t.Context(), undo.Request{Desired: []byte(desired), Current: current, Managed: true})
	if err != nil {
		t.Fatal(err)
	}
	noted.Close()
	scripts := strings.Count(desired, "post-activation")
	if uncovered := noted.Uncovered(); len(uncovered) != scripts {
		t.Errorf("uncovered are %q, and there are %d scripts", uncovered, scripts)
	}
	text, err := json.Marshal(noted)
	if err != nil {
		t.Fatal(err)
	}
	if !filesAreSeen {
		text = regexp.MustCompile(`("file":"[^"]*"),"content":"[^"]*"`).ReplaceAll(text, []byte("$1"))
	}
	before := &undo.Before{}
	if err := json.Unmarshal(text, before); err != nil {
		t.Fatal(err)
	}
	if left, err := before.Differences(t.Context()); err != nil || len(left) > 0 {
		t.Fatalf("before the change there are the differences %q, %v", left, err)
	}
	was := restoredPicture(t, filesAreSeen)
	if err := applyCommitted(t.Context(), []byte(desired)); err != nil {
		t.Fatal(err)
	}
	if left, err := before.Differences(t.Context()); err != nil || len(left) == 0 {
		t.Fatalf("the change has made the differences %q, %v", left, err)
	}
	if left := before.Restore(t.Context(), applyCommitted); left != "" {
		t.Errorf("left is %s", left)
	}
	if is := restoredPicture(t, filesAreSeen); is != was {
		t.Errorf("this has changed:\n%s", changed(was, is))
	}
	if comments := profiles(t); filesAreSeen && !strings.Contains(comments, "# do not touch") {
		t.Errorf("what somebody wrote into a profile is gone:\n%s", comments)
	}
}
