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
	"encoding/json"
	"testing"

	"github.com/safchain/ethtool"
)

// featureNames are the names by which nmstate takes a feature, with the kernel's: those that a veth can switch.
var featureNames = []map[string]string{
	{"rx": "rx-checksum", "tso": "tx-tcp-segmentation", "gso": "tx-generic-segmentation", "gro": "rx-gro", "rxvlan": "rx-vlan-hw-parse", "txvlan": "tx-vlan-hw-insert"},
	{
		"rx-checksumming": "rx-checksum", "tcp-segmentation-offload": "tx-tcp-segmentation", "generic-segmentation-offload": "tx-generic-segmentation",
		"generic-receive-offload": "rx-gro", "rx-vlan-offload": "rx-vlan-hw-parse", "tx-vlan-offload": "tx-vlan-hw-insert",
	},
}

// TestFeaturesByOtherNames: the names of the command ethtool mean the kernel's features.
func TestFeaturesByOtherNames(t *testing.T) {
	tool, err := ethtool.NewEthtool()
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	for _, names := range featureNames {
		freshNetwork(t)
		was, err := tool.Features("eth1")
		if err != nil {
			t.Fatal(err)
		}
		wanted := map[string]bool{}
		for name, feature := range names {
			wanted[name] = !was[feature]
		}
		state, err := json.Marshal(map[string]any{"interfaces": []any{
			map[string]any{"name": "eth1", "type": "ethernet", "state": "up", "ethtool": map[string]any{"feature": wanted}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := applyState(t.Context(), state); err != nil {
			t.Error(err)
			continue
		}
		is, err := tool.Features("eth1")
		if err != nil {
			t.Fatal(err)
		}
		for name, feature := range names {
			if is[feature] == was[feature] {
				t.Errorf("%s: %s is still %v", name, feature, was[feature])
			}
		}
	}
}
