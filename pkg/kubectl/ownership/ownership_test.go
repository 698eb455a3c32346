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

package ownership

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

const desired = `{
	"interfaces": [{"name":"br1","type":"linux-bridge","state":"up","mtu":1500},{"name":"eth1","type":"ethernet","state":"up"}],
	"routes": {"config": [{"destination":"198.18.0.0/15","next-hop-interface":"eth1","metric":7},{"state":"absent","next-hop-interface":"eth2"}]},
	"route-rules": {"config": [{"ip-from":"192.0.2.0/24","route-table":200}]},
	"dns-resolver": {"config":{"server":["192.0.2.53"]}}}`

// object has the desired state, a probe, and a manager for each of the texts.
func object(fields ...string) *v1alpha1.NodeNetworkState {
	obj := &v1alpha1.NodeNetworkState{Spec: v1alpha1.NodeNetworkStateSpec{
		DesiredState: v1alpha1.NewState([]byte(desired)),
		Probes:       []v1alpha1.Probe{{Name: "gw", Ping: &v1alpha1.PingProbe{}}},
		Confirmation: &v1alpha1.Confirmation{Mode: v1alpha1.ConfirmManually},
	}}
	for i, text := range fields {
		when := metav1.NewTime(time.Unix(int64(i), 0))
		obj.ManagedFields = append(obj.ManagedFields, metav1.ManagedFieldsEntry{
			Manager: string(rune('a' + i)), Operation: metav1.ManagedFieldsOperationApply, Time: &when, FieldsV1: metav1.NewFieldsV1(text)})
	}
	return obj
}

func lines(t *testing.T, obj *v1alpha1.NodeNetworkState) string {
	t.Helper()
	items, err := Of(obj)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, item := range items {
		fmt.Fprintf(&text, "%s %s:", item.Kind, item.Name)
		for _, owner := range item.Owners {
			fmt.Fprintf(&text, " %s%v", owner.Manager, owner.Fields)
		}
		text.WriteString("\n")
	}
	return text.String()
}

// TestSections: where each section has one owner.
func TestSections(t *testing.T) {
	got := lines(t, object(
		`{"f:spec":{"f:desiredState":{".":{},"f:interfaces":{}},"f:probes":{".":{},"k:{\"name\":\"gw\"}":{".":{},"f:name":{},"f:ping":{}}}}}`,
		`{"f:spec":{"f:desiredState":{"f:routes":{".":{},"f:config":{}},"f:dns-resolver":{"f:config":{"f:server":{}}}},"f:confirmation":{"f:mode":{}}}}`,
	))
	want := `interface br1: a[]
interface eth1: a[]
route 198.18.0.0/15 dev eth1 metric 7: b[]
route absent dev eth2: b[]
rule from 192.0.2.0/24 lookup 200:
dns-resolver : b[]
probe gw: a[]
confirmation : b[]
`
	if got != want {
		t.Errorf("it is\n%swant\n%s", got, want)
	}
}

// TestEntries: where each interface, and each of its fields, and each route has owners.
func TestEntries(t *testing.T) {
	got := lines(t, object(
		`{"f:spec":{"f:desiredState":{"f:interfaces":{".":{},"k:{\"name\":\"br1\",\"type\":\"linux-bridge\"}":{".":{},"f:name":{},"f:type":{},"f:state":{}}},
			"f:routes":{"f:config":{"v:{\"destination\":\"198.18.0.0/15\",\"metric\":7,\"next-hop-interface\":\"eth1\"}":{}}}}}}`,
		`{"f:spec":{"f:desiredState":{"f:interfaces":{"k:{\"name\":\"br1\",\"type\":\"linux-bridge\"}":{"f:mtu":{},"f:ipv4":{"f:enabled":{},"f:address":{"k:{\"ip\":\"192.0.2.1\",\"prefix-length\":24}":{".":{},"f:ip":{},"f:prefix-length":{}}}}},"k:{\"name\":\"eth1\",\"type\":\"ethernet\"}":{".":{},"f:name":{},"f:type":{},"f:state":{}}},
			"f:route-rules":{"f:config":{"v:{\"ip-from\":\"192.0.2.0/24\",\"route-table\":200}":{}}}}}}`,
	))
	want := `interface br1: a[state] b[ipv4.address[ip="192.0.2.1",prefix-length=24] ipv4.enabled mtu]
interface eth1: b[]
route 198.18.0.0/15 dev eth1 metric 7: a[]
route absent dev eth2:
rule from 192.0.2.0/24 lookup 200: b[]
dns-resolver :
probe gw:
confirmation :
`
	if got != want {
		t.Errorf("it is\n%swant\n%s", got, want)
	}
}

// TestOptions: each field of the spec beside the desired state is told of, also one that is added to the API after this test was written.
func TestOptions(t *testing.T) {
	obj := &v1alpha1.NodeNetworkState{}
	text := `{"f:spec":{`
	var want []string
	spec := reflect.ValueOf(&obj.Spec).Elem()
	for i := range spec.NumField() {
		name, _, _ := strings.Cut(spec.Type().Field(i).Tag.Get("json"), ",")
		if name == "desiredState" {
			continue
		}
		switch field := spec.Field(i); field.Kind() {
		case reflect.String:
			field.SetString("Always")
		case reflect.Pointer:
			field.Set(reflect.New(field.Type().Elem()))
		case reflect.Slice:
			field.Set(reflect.MakeSlice(field.Type(), 1, 1))
		default:
			t.Fatalf("give spec.%s a value in this test, too", name)
		}
		if name == "probes" {
			text += `"f:probes":{"k:{\"name\":\"\"}":{".":{},"f:name":{}}},`
			want = append(want, "probe : a[]")
			continue
		}
		text += fmt.Sprintf("%q:{},", "f:"+name)
		want = append(want, name+" : a[]")
	}
	at := metav1.NewTime(time.Unix(0, 0))
	obj.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "a", Operation: "Apply", Time: &at, FieldsV1: metav1.NewFieldsV1(strings.TrimSuffix(text, ",") + "}}")}}
	slices.Sort(want)
	got := strings.Split(strings.TrimSpace(lines(t, obj)), "\n")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("it is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestEmptyLists: a list without entries is a section, whose owner is told.
func TestEmptyLists(t *testing.T) {
	obj := object(`{"f:spec":{"f:desiredState":{"f:interfaces":{},"f:routes":{"f:config":{}}},"f:removal":{},"f:confirmation":{"f:timeout":{}}}}`, `{"f:spec":{"f:confirmation":{"f:mode":{}}}}`)
	obj.Spec = v1alpha1.NodeNetworkStateSpec{DesiredState: v1alpha1.NewState([]byte(`{"interfaces":[],"routes":{"config":[]}}`)),
		Removal: v1alpha1.RemovalRevert, Confirmation: &v1alpha1.Confirmation{Mode: v1alpha1.ConfirmNone, Timeout: &metav1.Duration{Duration: time.Minute}}}
	want := `interfaces : a[]
routes : a[]
confirmation : a[timeout] b[mode]
removal : a[]
`
	if got := lines(t, obj); got != want {
		t.Errorf("it is\n%swant\n%s", got, want)
	}
}

func TestNothing(t *testing.T) {
	if items, err := Of(&v1alpha1.NodeNetworkState{}); err != nil || len(items) > 0 {
		t.Errorf("%v, %v", items, err)
	}
	if _, err := Of(object("no JSON")); err == nil || !strings.Contains(err.Error(), "managed fields of a") {
		t.Errorf("what is no JSON: %v", err)
	}
}
