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
	"fmt"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	applyv1alpha1 "github.com/nmstate/kubernetes-nmstate/pkg/generated/applyconfiguration/nmstate/v1alpha1"
)

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

// TestOddManagedFields: a client, or a node that was taken over, may have written any.
func TestOddManagedFields(t *testing.T) {
	m := newMerger(t)
	for _, fields := range []string{
		`{"f:interfaces":{".":{},"i:0":{"f:name":{}},"v:5":{},"f:x":{}}}`, `{"f:interfaces":{"k:{\"name\":7}":{"f:bridge":{"f:port":{}}}}}`,
		`{"k:{\"name\":\"eth1\"}":{"f:address":{}},"v:null":{"f:port":{}},"f:interfaces":{}}`, `{"f:routes":{"f:config":{"f:address":{}}},"f:hostname":{"k:{\"a\":1}":{"f:port":{}}}}`,
		`{"f:dns-resolver":{"f:config":{"f:server":{"k:{\"a\":1}":{"f:port":{}}},"f:search":{"v:[1]":{"f:port":{".":{}}}}}}}`, `{"f:nothing":{"f:there":{"f:port":{}}}}`,
		`{"f:interfaces":{"k:{}":{"f:port":{}},"k:{\"name\":\"eth1\",\"type\":{\"a\":[1]}}":{"f:ipv4":{"f:address":{}}}}}`,
	} {
		for _, state := range []string{
			`{"interfaces":[{"name":"eth1","ipv4":{"address":[]},"bridge":{"port":[]}}],"dns-resolver":{"config":{"server":["192.0.2.53"],"search":[]}},"routes":{"config":[]},"hostname":[{"a":1}]}`,
			`{"interfaces":{"name":"eth1"},"dns-resolver":[],"routes":{"config":{"a":1}}}`, `{}`,
		} {
			live := before("one")
			live.Spec.DesiredState = v1alpha1.NewState([]byte(state))
			live.ManagedFields[0].FieldsV1.SetRawBytes([]byte(`{"f:spec":{"f:desiredState":` + fields + `}}`))
			for _, manager := range []string{"one", "two"} {
				now := m.apply(t, live, manager, `{interfaces: [{name: eth1, ipv4: {address: []}}, {name: br1, bridge: {port: []}}]}`)
				if strings.Contains(string(now.Spec.DesiredState.Raw), "null") || strings.Contains(string(now.Spec.DesiredState.Raw), "nothing") {
					t.Errorf("%s of %s became %s", fields, state, now.Spec.DesiredState.Raw)
				}
				m.put(t, now, "edit", func(sent *v1alpha1.NodeNetworkState) { sent.Spec.DesiredState = live.Spec.DesiredState })
			}
		}
	}
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
