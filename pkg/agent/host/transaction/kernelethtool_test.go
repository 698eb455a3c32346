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
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/safchain/ethtool"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/undo"
)

// featureNames are the names by which nmstate takes a feature, with the kernel's: those that a veth can switch.
var featureNames = []map[string]string{
	{"rx": "rx-checksum", "tso": "tx-tcp-segmentation", "gso": "tx-generic-segmentation", "gro": "rx-gro", "rxvlan": "rx-vlan-hw-parse", "txvlan": "tx-vlan-hw-insert"},
	{
		"rx-checksumming": "rx-checksum", "tcp-segmentation-offload": "tx-tcp-segmentation", "generic-segmentation-offload": "tx-generic-segmentation",
		"generic-receive-offload": "rx-gro", "rx-vlan-offload": "rx-vlan-hw-parse", "tx-vlan-offload": "tx-vlan-hw-insert",
	},
}

// featuresPicture shows what is wanted of the features of all links that can be switched.
func featuresPicture(t *testing.T) string {
	t.Helper()
	tool, err := ethtool.NewEthtool()
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	links, err := rtnetlink.Links()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range links {
		features, err := tool.FeaturesWithState(l.Name)
		if err != nil {
			t.Fatal(err)
		}
		for name, is := range features {
			if is.Available {
				lines = append(lines, fmt.Sprintf("\n%s %s %v", l.Name, name, is.Requested))
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// TestFeaturesByOtherNames: the names of the command ethtool mean the kernel's features, and the change is undone.
func TestFeaturesByOtherNames(t *testing.T) {
	tool, err := ethtool.NewEthtool()
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	for _, names := range featureNames {
		freshNetwork(t)
		before := kernelPicture(t)
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
		noted, err := undo.Note(t.Context(), undo.Request{Desired: state, Current: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		defer noted.Close()
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
		if leftover := noted.Restore(t.Context(), applyState); leftover != "" {
			t.Errorf("not put back: %s", leftover)
		}
		compare(t, "undone", before, kernelPicture(t))
	}
}
