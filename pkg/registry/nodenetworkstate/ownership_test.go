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
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	applyv1alpha1 "github.com/nmstate/kubernetes-nmstate/pkg/generated/applyconfiguration/nmstate/v1alpha1"
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

// TestTheSameAgainChangesNothing: an apply that asks for what is there leaves all as it is, also the time of the entry.
func TestTheSameAgainChangesNothing(t *testing.T) {
	m := newMerger(t)
	const state = `{interfaces: [{name: br1, type: linux-bridge, bridge: {port: []}, ipv4: {enabled: true, address: []}}], routes: {config: []}}`
	live := m.apply(t, m.apply(t, unmanaged(), "two", `{routes: {config: []}}`), "one", state)
	for i := range live.ManagedFields {
		live.ManagedFields[i].Time = &metav1.Time{Time: time.Unix(1e9, 0)}
	}
	now := m.apply(t, live, "one", state)
	if managers(now) != managers(live) || now.ManagedFields[0].Time.Unix() != 1e9 || now.ManagedFields[1].Time.Unix() != 1e9 {
		t.Errorf("managed fields were\n%s\nand are\n%s", managers(live), managers(now))
	}
	checkSpec(t, "the same again", now, state)
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

// TestWhatCannotBeMergedIsTold: in our own words, with the field, and without the value.
func TestWhatCannotBeMergedIsTold(t *testing.T) {
	m := newMerger(t)
	for state, says := range map[string]string{
		`{interfaces: [null]}`:                                         `spec.desiredState.interfaces[0]: Invalid value: must be an object with name or type`,
		`{interfaces: [eth1]}`:                                         `spec.desiredState.interfaces[0]: Invalid value: must be an object with fields such as`,
		`{interfaces: [{mtu: 5}]}`:                                     `spec.desiredState.interfaces[0].name: Required value: The name of the interface`,
		`{interfaces: [{name: a, type: b}, {name: a, type: b}]}`:       `spec.desiredState.interfaces[name=a]: Duplicate value: "a": is there twice`,
		`{interfaces: [{name: a, bridge: {port: [{name: b}, null]}}]}`: `spec.desiredState.interfaces[name=a].bridge.port[1]: Invalid value: must be an object with name`,
		`{interfaces: [{name: a, vrf: {port: [null, b]}}]}`:            `spec.desiredState.interfaces[name=a].vrf.port[0]: Invalid value: must be a text`,
		`{routes: {config: [{destination: a}, {destination: a}]}}`:     `spec.desiredState.routes.config[1]: Duplicate value`,
	} {
		_, err := m.tryApply(t, unmanaged(), "one", state, false)
		answer(t, err, http.StatusUnprocessableEntity, says)
		if strings.Contains(fmt.Sprint(err), "s3cret") {
			t.Errorf("%q holds a secret", err)
		}
	}
	// What a node has already: a server of before, or a node that was taken over, may have sent anything.
	live := unmanaged()
	live.Spec.DesiredState = v1alpha1.NewState([]byte(`{"interfaces":[{"k":"s3cret"}]}`))
	_, err := m.tryApply(t, live, "one", `{interfaces: [{name: eth1}]}`, false)
	answer(t, err, http.StatusUnprocessableEntity, "spec.desiredState.interfaces[0]: Invalid value: the node has this already", "kubectl replace")
	now := m.put(t, live, "edit", func(sent *v1alpha1.NodeNetworkState) {
		sent.Spec.DesiredState = v1alpha1.NewState([]byte(`{"interfaces":[{"name":"eth1"}]}`))
	})
	checkSpec(t, "it can be replaced", now, `{interfaces: [{name: eth1}]}`)
}

// TestAStateThatIsTooLargeCanBeReplaced: a node that was taken over may have sent one that would take minutes to merge.
func TestAStateThatIsTooLargeCanBeReplaced(t *testing.T) {
	m, live := newMerger(t), before("one")
	live.Spec.DesiredState = v1alpha1.NewState([]byte(`{"interfaces":[` + strings.Repeat(`{"name":"eth1"},`, 500_000) + `{}]}`))
	_, err := m.tryApply(t, live, "one", `{}`, true)
	answer(t, err, http.StatusUnprocessableEntity, "of the node has a list of 500001 entries", "kubectl replace")
	now := m.put(t, live, "edit", func(sent *v1alpha1.NodeNetworkState) {
		sent.Spec.DesiredState = v1alpha1.NewState([]byte(`{"interfaces":[{"name":"eth1"}]}`))
	})
	checkSpec(t, "replaced", now, `{interfaces: [{name: eth1}]}`)
}

// TestWhoseEntriesMeet: what a node refuses of what several managers want is told with who wants it.
func TestWhoseEntriesMeet(t *testing.T) {
	m := newMerger(t)
	live := m.apply(t, unmanaged(), "one", `{interfaces: [{name: br1, type: linux-bridge, bridge: {port: [{name: eth1}]}}]}`)
	live = m.apply(t, live, "two", `{interfaces: [{name: br2, type: linux-bridge, bridge: {port: [{name: eth1}]}}, {name: eth1.5, type: vlan}]}`)
	const said = "Port eth1 is overbooked by two controller: br1, br2."
	refused := newStatus("node1", http.StatusUnprocessableEntity, metav1.StatusReasonInvalid,
		&agent.Error{Kind: agent.Invalid, Message: said}, "spec.desiredState: "+said)
	err := withOwners(live, refused)
	answer(t, err, http.StatusUnprocessableEntity, "overbooked", "; entries of several field managers meet: "+
		`spec.desiredState.interfaces[name=br1,type=linux-bridge] is of "one", spec.desiredState.interfaces[name=br1,type=linux-bridge].bridge.port[name=eth1] is of "one", `+
		`spec.desiredState.interfaces[name=br2,type=linux-bridge] is of "two", spec.desiredState.interfaces[name=br2,type=linux-bridge].bridge.port[name=eth1] is of "two"`)
	if strings.Contains(err.Error(), "eth1.5") {
		t.Errorf("%v names what is not concerned", err)
	}
	if causes := err.(*apierrors.StatusError).ErrStatus.Details.Causes; len(causes) != 2 || causes[1].Type != causeOwners {
		t.Errorf("causes are %v", causes)
	}
	alone := m.apply(t, live, "one", nil)
	if err := withOwners(alone, refused); err != error(refused) {
		t.Errorf("where all is one manager's: %v", err)
	}
	// The same interface once with and once without a type: each manager has written it once.
	s := newStrategy(nil, testFormat(t))
	live = m.apply(t, m.apply(t, unmanaged(), "one", `{interfaces: [{name: eth1, type: ethernet}]}`), "two", `{interfaces: [{name: eth1, mtu: 1400}]}`)
	errs := s.ValidateUpdate(WithBody(t.Context(), Body{}), live, unmanaged())
	const says = `spec.desiredState.interfaces[name=eth1]: Duplicate value: "eth1": is there once with a type and once without one, which means the interface ` +
		`that is there: write the type in both, or in none; entries of several field managers meet: spec.desiredState.interfaces[name=eth1,type=ethernet] is of "one", ` +
		`spec.desiredState.interfaces[name=eth1] is of "two"`
	if len(errs) != 1 || !strings.Contains(strings.ReplaceAll(errs[0].Error(), "\n", ""), "is there once with a type") {
		t.Fatalf("%v, want %s", errs, says)
	}
	for _, manager := range []string{`[name=eth1,type=ethernet] is of "one"`, `[name=eth1] is of "two"`} {
		if !strings.Contains(errs[0].Error(), manager) {
			t.Errorf("%v does not say %s", errs[0], manager)
		}
	}
}

// TestTheStatusIsNotMerged: upstream is not given it, unless a patch is about it.
func TestTheStatusIsNotMerged(t *testing.T) {
	for _, test := range []struct {
		media  types.PatchType
		body   string
		leaves bool
	}{
		{types.ApplyYAMLPatchType, `{"spec":{}}`, true},
		{types.ApplyYAMLPatchType, "spec: {}\nstatus: {}\n", false},
		{types.MergePatchType, `{"spec":{}}`, true},
		{types.MergePatchType, `{"\u0073tatus":null}`, false},
		{types.JSONPatchType, `[{"op":"add","path":"/spec","value":{}}]`, true},
		{types.JSONPatchType, `[{"op":"test","path":"/st\u0061tus/backend","value":"Kernel"}]`, false},
		{types.JSONPatchType, `[{"op":"copy","from":"/status/difference","path":"/spec/desiredState"}]`, false},
		{types.JSONPatchType, `[{"op":"test","path":"","value":{}}]`, false},
		{types.PatchType(runtime.ContentTypeJSON), `{"spec":{}}`, false},
	} {
		if got := NewBody(string(test.media), []byte(test.body)).leavesStatus(); got != test.leaves {
			t.Errorf("%s %s leaves the status: %t", test.media, test.body, got)
		}
	}
	m, live := newMerger(t), unmanaged()
	live.Status.CurrentState = v1alpha1.NewState([]byte(`{"interfaces":[null,{"a":1}]}`))
	now := m.apply(t, live, "one", `{interfaces: [{name: eth1}]}`)
	if now.Status.CurrentState == nil || string(now.Status.CurrentState.Raw) != `{"interfaces":[null,{"a":1}]}` || strings.Contains(managers(now), "f:status") {
		t.Errorf("the status is %v\n%s", now.Status, managers(now))
	}
	// A status that a client applies is merged with the one that is there, so that validation can compare them.
	seen := false
	look := func(_ context.Context, _, existing runtime.Object) (runtime.Object, error) {
		seen = existing.(*v1alpha1.NodeNetworkState).Status.CurrentState != nil
		return existing, nil
	}
	ctx := WithBody(t.Context(), NewBody(string(types.MergePatchType), []byte(`{"status":{"backend":"Kernel"}}`)))
	if _, err := (asSent{rest.DefaultUpdatedObjectInfo(nil, look), m.owners, m.format}).UpdatedObject(ctx, live); err != nil || !seen {
		t.Errorf("a patch of the status sees it: %t, %v", seen, err)
	}
}

// TestExtract: a client gets back what it has applied, and nothing of others.
func TestExtract(t *testing.T) {
	m := newMerger(t)
	live := m.apply(t, unmanaged(), "one", `{interfaces: [{name: eth1, type: ethernet, mtu: "1500"}, {name: bond1, type: bond, link-aggregation: {port: [eth2]}}], routes: {config: [{destination: 198.51.100.0/24, metric: 5}]}}`)
	live = m.apply(t, live, "two", `{interfaces: [{name: eth1, type: ethernet, ipv4: {enabled: true}}, {name: bond1, type: bond, link-aggregation: {port: [eth3]}}], routes: {config: [{destination: 198.51.100.0/24, metric: 6}]}}`)
	for manager, want := range map[string]string{
		"one": `{interfaces: [{name: eth1, type: ethernet, mtu: "1500"}, {name: bond1, type: bond, link-aggregation: {port: [eth2]}}], routes: {config: [{destination: 198.51.100.0/24, metric: 5}]}}`,
		"two": `{interfaces: [{name: eth1, type: ethernet, ipv4: {enabled: true}}, {name: bond1, type: bond, link-aggregation: {port: [eth3]}}], routes: {config: [{destination: 198.51.100.0/24, metric: 6}]}}`,
	} {
		own, err := applyv1alpha1.ExtractNodeNetworkState(live, manager)
		if err != nil {
			t.Fatal(err)
		}
		extracted := unmanaged()
		extracted.Spec.DesiredState = own.Spec.DesiredState
		checkSpec(t, manager, extracted, want)
	}
}

// TestNothingIsLeftOver: managers apply states at random. What a manager applies is there, null is nowhere, what nobody applies is
// gone, and nobody has a conflict by giving up.
func TestNothingIsLeftOver(t *testing.T) {
	m := newMerger(t)
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 15))
		live := unmanaged()
		var story []string
		for range 8 {
			manager, state := fmt.Sprintf("m%d", random.IntN(3)), randomState(random)
			text, _ := json.Marshal(state)
			live = m.apply(t, live, manager, state)
			story = append(story, fmt.Sprintf("%s applied %s: %s", manager, text, live.Spec.DesiredState.Raw))
			got, err := decode(live.Spec.DesiredState)
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]bool{}
			note(got, "", found)
			if len(found) > 0 || !contains(got, plainJSON(t, state)) {
				t.Fatalf("seed %d: something is null or lacks\n%s\n%s", seed, strings.Join(story, "\n"), managers(live))
			}
		}
		for _, i := range random.Perm(3) {
			now, err := m.tryApply(t, live, fmt.Sprintf("m%d", i), nil, false)
			if err != nil {
				t.Fatalf("seed %d: giving up: %v\n%s\n%s", seed, err, strings.Join(story, "\n"), managers(live))
			}
			live = now
		}
		if live.Spec.DesiredState != nil || len(live.ManagedFields) > 0 {
			t.Fatalf("seed %d: %s is left\n%s\n%s", seed, live.Spec.DesiredState.Raw, strings.Join(story, "\n"), managers(live))
		}
	}
}

// plainJSON returns a value as it is decoded.
func plainJSON(t *testing.T, value any) any {
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := decode(v1alpha1.NewState(text))
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// contains tells whether a state has all that was applied: of a list each entry.
func contains(state, applied any) bool {
	switch want := applied.(type) {
	case map[string]any:
		is, ok := state.(map[string]any)
		for name, field := range want {
			ok = ok && contains(is[name], field)
		}
		return ok
	case []any:
		is, ok := state.([]any)
		for _, entry := range want {
			ok = ok && slices.ContainsFunc(is, func(other any) bool { return contains(other, entry) })
		}
		return ok
	}
	return fmt.Sprint(state) == fmt.Sprint(applied)
}

// randomState returns a state of few interfaces, ports, addresses and routes, so that managers meet.
func randomState(random *rand.Rand) any {
	maybe := func(fields map[string]any, name string, make func() any) {
		if random.IntN(2) == 0 {
			fields[name] = make()
		}
	}
	some := func(most int, make func(i int) any) []any {
		entries := []any{}
		for _, i := range random.Perm(most)[:random.IntN(most+1)] {
			entries = append(entries, make(i))
		}
		return entries
	}
	state := map[string]any{}
	maybe(state, "interfaces", func() any {
		return some(3, func(i int) any {
			one := map[string]any{"name": fmt.Sprint("eth", i), "type": "ethernet"}
			maybe(one, "mtu", func() any { return 1400 })
			maybe(one, "ipv4", func() any {
				ipv4 := map[string]any{}
				maybe(ipv4, "enabled", func() any { return true })
				maybe(ipv4, "address", func() any {
					return some(3, func(i int) any { return map[string]any{"ip": fmt.Sprint("192.0.2.", i), "prefix-length": 24} })
				})
				return ipv4
			})
			maybe(one, "bridge", func() any {
				return map[string]any{"port": some(3, func(i int) any { return map[string]any{"name": fmt.Sprint("p", i)} })}
			})
			maybe(one, "vrf", func() any { return map[string]any{"port": some(2, func(i int) any { return fmt.Sprint("p", i) })} })
			return one
		})
	})
	maybe(state, "routes", func() any {
		routes := map[string]any{}
		maybe(routes, "config", func() any {
			return some(3, func(i int) any { return map[string]any{"destination": "198.51.100.0/24", "metric": i} })
		})
		return routes
	})
	maybe(state, "dns-resolver", func() any {
		dns := map[string]any{}
		maybe(dns, "config", func() any { return map[string]any{} })
		return dns
	})
	return state
}
