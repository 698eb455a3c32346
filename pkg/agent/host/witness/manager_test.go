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

package witness

import (
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
)

// TestSignals: what libnmstate shows nothing of does not make an agent read.
func TestSignals(t *testing.T) {
	for _, test := range []struct {
		name, of   string
		properties []string
		counts     bool
	}{
		{"PropertiesChanged", ".Device", nil, true},
		{"PropertiesChanged", ".Device", []string{"State"}, true},
		{"PropertiesChanged", ".Device", []string{"InterfaceFlags"}, false},
		{"PropertiesChanged", ".Device", []string{"InterfaceFlags", "Ip4Connectivity", "StateReason"}, true},
		{"PropertiesChanged", ".Device.Wired", []string{"Carrier"}, false},
		{"PropertiesChanged", ".Settings.Connection", nil, true},
		{"PropertiesChanged", "", nil, true},
		{"PropertiesChanged", ".Device.Statistics", nil, false},
		{"PropertiesChanged", ".DHCP4Config", nil, false},
		{"PropertiesChanged", ".IP6Config", nil, false},
		{"Updated", "", nil, true},
		{"StateChanged", "", nil, true},
	} {
		s := &Signals{}
		changed := map[string]dbus.Variant{}
		for _, property := range test.properties {
			changed[property] = dbus.MakeVariant(uint32(1))
		}
		s.DeliverSignal("", test.name, &dbus.Signal{Body: []any{undo.NetworkManagerName + test.of, changed}})
		if got := s.count.Load() == 1; got != test.counts {
			t.Errorf("%s of %q counts: %t", test.name, test.of, got)
		}
	}
}

// TestVersionsOfARead: facts without versions prove nothing until the read that began with them has told the versions, and only as long
// as NetworkManager has reported nothing since.
func TestVersionsOfARead(t *testing.T) {
	told := map[string]uint64{"/d/2": 7, "/d/1": 3}
	for _, test := range []struct {
		name, facts, reported string
		told                  map[string]uint64
		want                  string
		known                 bool
	}{
		{"told", "owner 1 unread 9", "owner 1", told, "owner 1 /d/1 3 /d/2 7", true},
		{"NetworkManager has reported something since", "owner 1 unread 9", "owner 2", told, "owner 1 /d/1 3 /d/2 7", false},
		{"not told", "owner 1 unread 9", "owner 1", nil, "owner 1 unread 9", false},
		{"known before", "owner 1 /d/1 2", "owner 1", told, "owner 1 /d/1 2", false},
		{"without NetworkManager", "", "", told, "", false},
	} {
		m := &manager{readTells: true, reported: test.reported}
		if got := string(m.complete([]byte(test.facts), test.told)); got != test.want {
			t.Errorf("%s: the facts are %q, want %q", test.name, got, test.want)
		}
		if known := m.applied != nil; known != test.known {
			t.Errorf("%s: the next look knows the versions: %t", test.name, known)
		}
	}
}
