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

package nodenetworkstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// step is what a field manager applies, and what comes of it.
type step struct {
	manager, applies string
	force            bool
	// conflicts are the words of the conflict that the apply has to end with. Then nothing changes.
	conflicts []string
	// spec is the desired state that is then there; "" is none.
	spec string
}

// TestWhoOwnsWhat: field managers apply states one after another.
func TestWhoOwnsWhat(t *testing.T) {
	const eth1, br1 = "name: eth1, type: ethernet", "name: br1, type: linux-bridge"
	m := newMerger(t)
	for name, steps := range map[string][]step{
		"each its interfaces": {
			{manager: "one", applies: `{interfaces: [{` + eth1 + `, mtu: 1500}]}`, spec: `{interfaces: [{` + eth1 + `, mtu: 1500}]}`},
			{manager: "two", applies: `{interfaces: [{` + br1 + `}]}`, spec: `{interfaces: [{` + eth1 + `, mtu: 1500}, {` + br1 + `}]}`},
			{manager: "one", applies: `{}`, spec: `{interfaces: [{` + br1 + `}]}`},
			{manager: "two", applies: `{}`, spec: `{}`},
		},
		"the same field": {
			{manager: "one", applies: `{interfaces: [{` + eth1 + `, mtu: 1500}]}`, spec: `{interfaces: [{` + eth1 + `, mtu: 1500}]}`},
			{manager: "two", applies: `{interfaces: [{` + eth1 + `, mtu: 9000}]}`,
				conflicts: []string{`conflict with "one": .spec.desiredState.interfaces[name="eth1",type="ethernet"].mtu`}},
			{manager: "two", applies: `{interfaces: [{` + eth1 + `, mtu: 9000}]}`, force: true, spec: `{interfaces: [{` + eth1 + `, mtu: 9000}]}`},
			{manager: "one", applies: `{interfaces: [{` + eth1 + `}]}`, spec: `{interfaces: [{` + eth1 + `, mtu: 9000}]}`},
			{manager: "two", applies: `{}`, spec: `{interfaces: [{` + eth1 + `}]}`},
		},
		"addresses of one interface": {
			{manager: "one", applies: `{interfaces: [{` + eth1 + `, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}]}`,
				spec: `{interfaces: [{` + eth1 + `, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}]}`},
			{manager: "two", applies: `{interfaces: [{` + eth1 + `, ipv4: {enabled: true, address: [{ip: 192.0.2.2, prefix-length: 24}]}}]}`,
				spec: `{interfaces: [{` + eth1 + `, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}, {ip: 192.0.2.2, prefix-length: 24}]}}]}`},
			{manager: "one", applies: `{}`, spec: `{interfaces: [{` + eth1 + `, ipv4: {enabled: true, address: [{ip: 192.0.2.2, prefix-length: 24}]}}]}`},
		},
		"ports of one bridge": {
			{manager: "one", applies: `{interfaces: [{` + br1 + `, bridge: {port: [{name: eth1, vlan: {trunk-tags: [{id: 5}]}}]}}]}`,
				spec: `{interfaces: [{` + br1 + `, bridge: {port: [{name: eth1, vlan: {trunk-tags: [{id: 5}]}}]}}]}`},
			{manager: "two", applies: `{interfaces: [{` + br1 + `, bridge: {port: [{name: eth1, vlan: {trunk-tags: [{id-range: {min: 7, max: 9}}]}}, {name: eth2}]}}]}`,
				spec: `{interfaces: [{` + br1 + `, bridge: {port: [{name: eth1, vlan: {trunk-tags: [{id: 5}, {id-range: {min: 7, max: 9}}]}}, {name: eth2}]}}]}`},
			{manager: "one", applies: `{interfaces: [{` + br1 + `}]}`,
				spec: `{interfaces: [{` + br1 + `, bridge: {port: [{name: eth1, vlan: {trunk-tags: [{id-range: {min: 7, max: 9}}]}}, {name: eth2}]}}]}`},
		},
		"ports of one bond, by either name of the field": {
			{manager: "one", applies: `{interfaces: [{name: bond1, type: bond, link-aggregation: {mode: balance-rr, ports: [eth1]}}]}`,
				spec: `{interfaces: [{name: bond1, type: bond, link-aggregation: {mode: balance-rr, ports: [eth1]}}]}`},
			{manager: "two", applies: `{interfaces: [{name: bond1, type: bond, link-aggregation: {ports: [eth2]}}]}`,
				spec: `{interfaces: [{name: bond1, type: bond, link-aggregation: {mode: balance-rr, ports: [eth1, eth2]}}]}`},
			{manager: "one", applies: `{}`, spec: `{interfaces: [{name: bond1, type: bond, link-aggregation: {ports: [eth2]}}]}`},
		},
		"a bridge and an interface of Open vSwitch": {
			{manager: "one", applies: `{interfaces: [{name: br1, type: ovs-bridge, bridge: {port: [{name: br1}]}}]}`,
				spec: `{interfaces: [{name: br1, type: ovs-bridge, bridge: {port: [{name: br1}]}}]}`},
			{manager: "two", applies: `{interfaces: [{name: br1, type: ovs-interface, mtu: 1400}]}`,
				spec: `{interfaces: [{name: br1, type: ovs-bridge, bridge: {port: [{name: br1}]}}, {name: br1, type: ovs-interface, mtu: 1400}]}`},
			{manager: "one", applies: `{}`, spec: `{interfaces: [{name: br1, type: ovs-interface, mtu: 1400}]}`},
		},
		"routes and rules": {
			{manager: "one", applies: `{routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: eth1, metric: 5}]}, route-rules: {config: [{ip-from: 192.0.2.1, route-table: 7}]}}`,
				spec: `{routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: eth1, metric: 5}]}, route-rules: {config: [{ip-from: 192.0.2.1, route-table: 7}]}}`},
			{manager: "two", applies: `{routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: eth1, metric: 6}, {destination: 198.51.100.0/24, next-hop-interface: eth1, metric: 5}]}}`,
				spec: `{routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: eth1, metric: 6}, {destination: 198.51.100.0/24, next-hop-interface: eth1, metric: 5}]}, route-rules: {config: [{ip-from: 192.0.2.1, route-table: 7}]}}`},
			{manager: "one", applies: `{}`, spec: `{routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: eth1, metric: 6}, {destination: 198.51.100.0/24, next-hop-interface: eth1, metric: 5}]}}`},
		},
		"DNS by field": {
			{manager: "one", applies: `{dns-resolver: {config: {server: [192.0.2.53]}}}`, spec: `{dns-resolver: {config: {server: [192.0.2.53]}}}`},
			{manager: "two", applies: `{dns-resolver: {config: {server: [192.0.2.54]}}}`, conflicts: []string{`"one": .spec.desiredState.dns-resolver.config.server`}},
			{manager: "two", applies: `{dns-resolver: {config: {search: [example.org]}}}`, spec: `{dns-resolver: {config: {server: [192.0.2.53], search: [example.org]}}}`},
			{manager: "one", applies: `{}`, spec: `{dns-resolver: {config: {search: [example.org]}}}`},
		},
		"an empty list leaves with its manager": {
			{manager: "one", applies: `{interfaces: [{` + br1 + `, bridge: {port: []}}]}`, spec: `{interfaces: [{` + br1 + `, bridge: {port: []}}]}`},
			{manager: "one", applies: `{interfaces: [{` + br1 + `, bridge: {port: []}}]}`, spec: `{interfaces: [{` + br1 + `, bridge: {port: []}}]}`},
			{manager: "two", applies: `{interfaces: [{` + br1 + `, bridge: {port: [{name: eth1}]}}]}`, spec: `{interfaces: [{` + br1 + `, bridge: {port: [{name: eth1}]}}]}`},
			{manager: "two", applies: `{}`, spec: `{interfaces: [{` + br1 + `, bridge: {port: []}}]}`},
			{manager: "one", applies: `{interfaces: [{` + br1 + `}]}`, spec: `{interfaces: [{` + br1 + `}]}`},
		},
		"a list is emptied": {
			{manager: "one", applies: `{interfaces: [{` + br1 + `, bridge: {port: [{name: eth1}]}}]}`, spec: `{interfaces: [{` + br1 + `, bridge: {port: [{name: eth1}]}}]}`},
			{manager: "one", applies: `{interfaces: [{` + br1 + `, bridge: {port: []}}]}`, spec: `{interfaces: [{` + br1 + `, bridge: {port: []}}]}`},
			{manager: "one", applies: `{interfaces: []}`, spec: `{interfaces: []}`},
			{manager: "one", applies: `{}`, spec: `{}`},
			{manager: "one", spec: ``},
		},
		"null over a list": {
			{manager: "one", applies: `{interfaces: [{` + eth1 + `}]}`, spec: `{interfaces: [{` + eth1 + `}]}`},
			{manager: "two", applies: `{interfaces: null}`, conflicts: []string{`"one": .spec.desiredState.interfaces[name="eth1",type="ethernet"].name`}},
		},
		"null over a list in an entry of one's own": {
			{manager: "one", applies: `{interfaces: [{` + eth1 + `, ipv4: {enabled: true}}], routes: {}}`, spec: `{interfaces: [{` + eth1 + `, ipv4: {enabled: true}}], routes: {}}`},
			{manager: "two", applies: `{interfaces: [{` + eth1 + `, ipv4: {address: [{ip: 192.0.2.1, prefix-length: 24}]}}], routes: {config: [{destination: 198.51.100.0/24}]}}`,
				spec: `{interfaces: [{` + eth1 + `, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}], routes: {config: [{destination: 198.51.100.0/24}]}}`},
			{manager: "one", applies: `{interfaces: [{` + eth1 + `, ipv4: {enabled: true, address: null}}], routes: {}}`,
				conflicts: []string{`"two": .spec.desiredState.interfaces[name="eth1",type="ethernet"].ipv4.address[ip="192.0.2.1",prefix-length=24].ip`}},
			{manager: "one", applies: `{interfaces: [{` + eth1 + `, ipv4: {enabled: true}}], routes: {config: null}}`,
				conflicts: []string{`"two": .spec.desiredState.routes.config[destination="198.51.100.0/24"]`}},
		},
		"true over an object": {
			{manager: "one", applies: `{interfaces: [{` + br1 + `, bridge: {options: {stp: {enabled: true, hello-time: 2}}}}]}`, spec: `{interfaces: [{` + br1 + `, bridge: {options: {stp: {enabled: true, hello-time: 2}}}}]}`},
			{manager: "two", applies: `{interfaces: [{` + br1 + `, bridge: {options: {stp: false}}}]}`, conflicts: []string{`"one": `, `bridge.options.stp.hello-time`}},
		},
		"fields that nmstate's format does not have": {
			{manager: "one", applies: `{news: {a: 1, list: [{x: 1}]}, interfaces: [{` + eth1 + `, newest: {b: [1]}}]}`, spec: `{news: {a: 1, list: [{x: 1}]}, interfaces: [{` + eth1 + `, newest: {b: [1]}}]}`},
			{manager: "two", applies: `{news: {list: [{x: 2}]}}`, conflicts: []string{`"one": .spec.desiredState.news.list`}},
			{manager: "one", applies: `{}`, spec: `{}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			live := unmanaged()
			for i, s := range steps {
				var state any
				if s.applies != "" {
					state = s.applies
				}
				now, err := m.tryApply(t, live, s.manager, state, s.force)
				if len(s.conflicts) > 0 {
					if !apierrors.IsConflict(err) {
						t.Fatalf("step %d: %v, want a conflict", i, err)
					}
					for _, word := range s.conflicts {
						if !strings.Contains(err.Error(), word) {
							t.Errorf("step %d: %q does not say %q", i, err, word)
						}
					}
					continue
				}
				if err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
				checkSpec(t, fmt.Sprint("step ", i), now, s.spec)
				live = now
			}
		})
	}
}

// checkSpec compares a desired state by meaning, its lists in any order.
func checkSpec(t *testing.T, what string, object *v1alpha1.NodeNetworkState, want string) {
	t.Helper()
	got := "null"
	if object.Spec.DesiredState != nil {
		got = string(object.Spec.DesiredState.Raw)
	}
	var expected, is any
	if err := errors.Join(yaml.Unmarshal([]byte(want), &expected), json.Unmarshal([]byte(got), &is)); err != nil {
		t.Fatal(err)
	}
	if a, b := inOrder(expected), inOrder(is); a != b {
		t.Errorf("%s: the desired state is\n%s, want\n%s\n%s", what, b, a, managers(object))
	}
}

// inOrder returns a value as text, with the entries of each list in an order of their own.
func inOrder(value any) string {
	switch value := value.(type) {
	case map[string]any:
		fields := map[string]json.RawMessage{}
		for name, field := range value {
			fields[name] = json.RawMessage(inOrder(field))
		}
		text, _ := json.Marshal(fields)
		return string(text)
	case []any:
		entries := []string{}
		for _, entry := range value {
			entries = append(entries, inOrder(entry))
		}
		slices.Sort(entries)
		return "[" + strings.Join(entries, ",") + "]"
	}
	text, _ := json.Marshal(value)
	return string(text)
}

func managers(object *v1alpha1.NodeNetworkState) string {
	var lines []string
	for _, entry := range object.ManagedFields {
		lines = append(lines, fmt.Sprintf("%s (%s): %s", entry.Manager, entry.Operation, entry.FieldsV1.GetRawBytes()))
	}
	return strings.Join(lines, "\n")
}

// before is an object as a server wrote it that knew of no entries: it owns interfaces and routes as a whole.
func before(manager string) *v1alpha1.NodeNetworkState {
	object := unmanaged()
	object.Spec.DesiredState = v1alpha1.NewState([]byte(`{"interfaces":[{"name":"eth1","type":"ethernet","mtu":1500},{"name":"br1","type":"linux-bridge"}],` +
		`"routes":{"config":[{"destination":"198.51.100.0/24","next-hop-interface":"eth1"}]},"dns-resolver":{"config":{"server":["192.0.2.53"]}}}`))
	object.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: manager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: "nmstate.io/v1alpha1", FieldsType: "FieldsV1",
		Time: &metav1.Time{Time: time.Unix(1e9, 0)},
	}}
	object.ManagedFields[0].FieldsV1 = &metav1.FieldsV1{}
	object.ManagedFields[0].FieldsV1.SetRawBytes([]byte(`{"f:spec":{"f:desiredState":{"f:dns-resolver":{".":{},"f:config":{".":{},"f:server":{}}},` +
		`"f:interfaces":{},"f:routes":{".":{},"f:config":{}}}}}`))
	return object
}

// TestObjectsOfBeforeAreTakenOver: whoever owned a list as a whole owns its entries, from the first write on.
func TestObjectsOfBeforeAreTakenOver(t *testing.T) {
	m := newMerger(t)
	// Its manager gives up what it applies no more.
	now := m.apply(t, before("one"), "one", `{interfaces: [{name: br1, type: linux-bridge}]}`)
	checkSpec(t, "the manager itself", now, `{interfaces: [{name: br1, type: linux-bridge}]}`)
	// Another manager has a conflict with it, and none beside it.
	_, err := m.tryApply(t, before("one"), "two", `{interfaces: [{name: eth1, type: ethernet, mtu: 9000}]}`, false)
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "one": .spec.desiredState.interfaces[name="eth1",type="ethernet"].mtu`) {
		t.Errorf("another manager's: %v", err)
	}
	now, err = m.tryApply(t, before("one"), "two", `{interfaces: [{name: br2, type: linux-bridge}]}`, false)
	if err != nil {
		t.Fatal(err)
	}
	now = m.apply(t, now, "one", `{}`)
	checkSpec(t, "beside another manager", now, `{interfaces: [{name: br2, type: linux-bridge}]}`)
	// A client that writes a whole object sends the managed fields that it has read.
	now = m.put(t, before("one"), "edit", func(sent *v1alpha1.NodeNetworkState) {
		sent.Spec.DesiredState = v1alpha1.NewState([]byte(strings.Replace(string(sent.Spec.DesiredState.Raw), "1500", "9000", 1)))
	})
	if strings.Contains(managers(now), `"f:interfaces":{}`) || now.ManagedFields[0].Time.Unix() != 1e9 {
		t.Errorf("a PUT leaves\n%s", managers(now))
	}
	_, err = m.tryApply(t, now, "one", `{interfaces: [{name: eth1, type: ethernet, mtu: 1500}]}`, false)
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "edit"`) || !strings.Contains(err.Error(), ".mtu") {
		t.Errorf("what was edited: %v", err)
	}
	now = m.apply(t, now, "one", `{}`)
	checkSpec(t, "an entry goes with its last owner", now, `{}`)
}

// TestWritersBesideAppliers: a PUT that adds an interface owns it, and one that removes another's takes it from its owner.
func TestWritersBesideAppliers(t *testing.T) {
	m := newMerger(t)
	live := m.apply(t, unmanaged(), "one", `{interfaces: [{name: eth1, type: ethernet, mtu: 1500}, {name: br1, type: linux-bridge}]}`)
	live = m.put(t, live, "edit", func(sent *v1alpha1.NodeNetworkState) {
		sent.Spec.DesiredState = v1alpha1.NewState([]byte(`{"interfaces":[{"name":"eth1","type":"ethernet","mtu":1500},{"name":"br2","type":"linux-bridge","bridge":{"port":[]}}]}`))
	})
	live = m.apply(t, live, "one", `{}`)
	checkSpec(t, "what was put", live, `{interfaces: [{name: br2, type: linux-bridge, bridge: {port: []}}]}`)
	// What is edited in an entry goes with the entry.
	live = m.apply(t, unmanaged(), "one", `{interfaces: [{name: eth1, type: ethernet}]}`)
	live = m.put(t, live, "edit", func(sent *v1alpha1.NodeNetworkState) {
		sent.Spec.DesiredState = v1alpha1.NewState([]byte(`{"interfaces":[{"name":"eth1","type":"ethernet","mtu":1400}]}`))
	})
	live, err := m.tryApply(t, live, "one", `{}`, false)
	if err != nil {
		t.Fatal(err)
	}
	checkSpec(t, "an edited entry that is given up", live, `{}`)
	// An entry that is there twice was written by a PUT. It stays, and others can be applied beside it.
	live = m.put(t, live, "edit", func(sent *v1alpha1.NodeNetworkState) {
		sent.Spec.DesiredState = v1alpha1.NewState([]byte(`{"routes":{"config":[{"destination":"198.51.100.0/24"},{"destination":"198.51.100.0/24"}]}}`))
	})
	live = m.apply(t, live, "one", `{interfaces: [{name: eth1, type: ethernet}]}`)
	checkSpec(t, "beside an entry that is there twice", live, `{interfaces: [{name: eth1, type: ethernet}], routes: {config: [{destination: 198.51.100.0/24}, {destination: 198.51.100.0/24}]}}`)
}

// TestAllThatCannotBeMergedIsTold: entries that are there twice are told with all else that is wrong.
func TestAllThatCannotBeMergedIsTold(t *testing.T) {
	const twice = `{destination: 198.51.100.0/24, next-hop-interface: eth1}`
	_, err := newMerger(t).tryApply(t, unmanaged(), "one", `{interfaces: [{name: eth1, type: ethernet}, {name: eth1, type: ethernet, mtu: small}], routes: {config: [`+twice+`, `+twice+`]}}`, false)
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatal(err)
	}
	var fields []string
	for _, cause := range status.Status().Details.Causes {
		fields = append(fields, cause.Field)
	}
	want := []string{"spec.desiredState.interfaces[name=eth1].mtu", "spec.desiredState.interfaces[name=eth1]", "spec.desiredState.routes.config[1]"}
	if !slices.Equal(fields, want) {
		t.Errorf("errors are of %q, want %q", fields, want)
	}
}
