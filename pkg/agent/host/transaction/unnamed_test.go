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
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/nmstate"
)

// TestUnnamedLinksAreTold: those alone that are there, that NetworkManager does not manage, that the state uses, and that it does not name.
func TestUnnamedLinksAreTold(t *testing.T) {
	const current = `{"interfaces":[{"name":"low0","type":"veth","state":"ignore"},{"name":"low1","type":"dummy","state":"ignore"},{"name":"eth1","type":"ethernet","state":"up"}]}`
	const vlan = `{"name":"low0.7","type":"vlan","state":"up","vlan":{"base-iface":"low0","id":7}}`
	for name, test := range map[string]struct{ interfaces, want string }{
		"a base":               {vlan, "does not name them: low0;"},
		"a base, named":        {vlan + `,{"name":"low0","type":"veth","state":"up"}`, ""},
		"a base, managed":      {strings.ReplaceAll(vlan, "low0", "eth1"), ""},
		"a base, not there":    {strings.ReplaceAll(vlan, "low0", "none0"), ""},
		"a bridge's ports":     {`{"name":"br7","type":"linux-bridge","state":"up","bridge":{"ports":[{"name":"low1"},{"name":"eth1"},{"name":"low0"}]}}`, "them: low0, low1;"},
		"a bond's ports":       {`{"name":"bond7","type":"bond","state":"up","link-aggregation":{"mode":"active-backup","port":["low1"]}}`, "them: low1;"},
		"no other interface":   {`{"name":"low0","type":"veth","state":"up"}`, ""},
		"nothing in the state": {``, ""},
		"taken away":           {strings.ReplaceAll(vlan, `"up"`, `"absent"`), ""},
	} {
		failed := &nmstate.Error{Kind: nmstate.Bug, Msg: "No suitable device found."}
		got := withUnnamed(failed, []byte(`{"interfaces":[`+test.interfaces+`]}`), []byte(current)).Msg
		told := strings.TrimPrefix(got, "No suitable device found")
		if told == got || (told == ".") != (test.want == "") || !strings.Contains(told, test.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestOtherErrorsAreLeftAsTheyAre: what has nothing to do with unnamed links, and what has an advice of its own.
func TestOtherErrorsAreLeftAsTheyAre(t *testing.T) {
	const state = `{"interfaces":[{"name":"low0.7","type":"vlan","state":"up","vlan":{"base-iface":"low0","id":7}}]}`
	const current = `{"interfaces":[{"name":"low0","type":"veth","state":"ignore"}]}`
	for _, message := range []string{
		"Verification failure: eth1.interface.mtu desire '9000', current '1500'",
		"No suitable device found for this connection (device low0 not available because device is strictly unmanaged).",
	} {
		if got := withUnnamed(&nmstate.Error{Msg: message}, []byte(state), []byte(current)).Msg; got != message {
			t.Errorf("of %s came %s", message, got)
		}
	}
}
