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

package vm

import (
	"context"
	"encoding/json"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/vm/table"
)

// titleOwners names the spec of owners among the cases.
const titleOwners = "ovs: a bridge and its internal interface, of two owners"

// ovsOwners are the entries of two managers: an Open vSwitch bridge and an internal interface of one name, and an address of that interface.
var ovsOwners = struct{ bridge, address, other table.State }{
	bridge: table.State{"interfaces": []any{
		map[string]any{"name": "own0", "type": "ovs-bridge", "state": "up", "bridge": map[string]any{"port": []any{map[string]any{"name": "own0"}}}},
		map[string]any{"name": "own0", "type": "ovs-interface", "state": "up"},
	}},
	address: ownAddress(map[string]any{"enabled": true, "dhcp": false, "address": []any{map[string]any{"ip": "198.18.99.1", "prefix-length": 24}}}),
	other:   ownAddress(map[string]any{"enabled": false}),
}

func ownAddress(ipv4 map[string]any) table.State {
	return table.State{"interfaces": []any{map[string]any{"name": "own0", "type": "ovs-interface", "ipv4": ipv4}}}
}

// owners: each manager has its own entries, of which the other's apply takes none away, and a third one's conflict names the owner.
func (m *machine) owners(ctx context.Context) {
	before, err := m.facts(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(m.applyAs(ctx, "net", ovsOwners.bridge)).To(Succeed())
	Expect(m.applyAs(ctx, "addresses", ovsOwners.address)).To(Succeed())
	Expect(m.applyAs(ctx, "net", ovsOwners.bridge)).To(Succeed())
	for _, look := range []table.Look{
		{Run: "ovs-vsctl list-ports own0; ovs-vsctl list-ifaces own0; ovs-vsctl list-br", Has: []string{"own0"}},
		{Run: "ip addr show own0", Has: []string{`inet 198\.18\.99\.1/24`}},
	} {
		Expect(m.look(ctx, look)).To(Succeed())
	}
	err = m.applyAs(ctx, "somebody", ovsOwners.other)
	Expect(apierrors.IsConflict(err)).To(BeTrue(), "%v", err)
	Expect(err).To(MatchError(And(ContainSubstring(`conflict with "addresses"`),
		ContainSubstring(`interfaces[name="own0",type="ovs-interface"].ipv4.enabled`))))
	Expect(m.applyAs(ctx, "addresses", nil)).To(Succeed())
	Expect(m.applyAs(ctx, "net", nil)).To(Succeed())
	gone := table.State{"interfaces": []any{
		map[string]any{"name": "own0", "type": "ovs-interface", "state": "absent"}, map[string]any{"name": "own0", "type": "ovs-bridge", "state": "absent"},
	}}
	Expect(m.apply(ctx, table.Merge(table.Idle(), gone))).To(Succeed())
	Expect(m.unchanged(ctx, before, true, "profiles", table.Activation)).To(Succeed())
}

// applyAs applies a state by a field manager, which forces nothing. Without a state the manager gives up what it had.
func (m *machine) applyAs(ctx context.Context, manager string, state table.State) error {
	spec := map[string]any{}
	if state != nil {
		spec["desiredState"] = state
	}
	manifest, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.SchemeGroupVersion.String(), "kind": "NodeNetworkState", "metadata": map[string]any{"name": m.name}, "spec": spec,
	})
	if err != nil {
		return err
	}
	before, err := m.get(ctx)
	if err != nil {
		return err
	}
	_, err = m.nns.Patch(ctx, m.name, types.ApplyPatchType, manifest, metav1.PatchOptions{FieldManager: manager})
	if apierrors.IsTimeout(err) {
		err = m.outcome(ctx, before)
	}
	if err != nil {
		return fmt.Errorf("%s applies: %w", manager, err)
	}
	return nil
}

// ownersSpec is tried where there is Open vSwitch, and where -cases leaves it.
func ownersSpec(m *machine, prepare func() error) {
	It(titleOwners, Label("ovs"), NodeTimeout(patience), func(ctx SpecContext) {
		Expect(prepare()).To(Succeed())
		m.owners(ctx)
	})
}
