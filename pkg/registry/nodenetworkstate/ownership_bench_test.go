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
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	generated "github.com/nmstate/kubernetes-nmstate/pkg/generated/openapi"
	"github.com/nmstate/kubernetes-nmstate/pkg/stateschema"
)

// vlans returns a desired state of about 250 bytes for each VLAN, on a device.
func vlans(device string, count int) string {
	var interfaces []string
	for i := range count {
		interfaces = append(interfaces, fmt.Sprintf(`{"name":"%s.%d","type":"vlan","state":"up","mtu":1500,"description":"storage of rack %d",`+
			`"vlan":{"base-iface":"%s","id":%d},"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"192.0.2.%d","prefix-length":24}]},"ipv6":{"enabled":false}}`,
			device, i, i, device, i+1, i))
	}
	return `{"interfaces":[` + strings.Join(interfaces, ",") + `]}`
}

// applies are server-side applies of a desired state of 20 kB by the manager "one". What managers have applied before, in this order, is
// in the object already.
var applies = []struct {
	name   string
	before [][2]string
}{
	{"first", nil},
	{"the same again", [][2]string{{"one", vlans("eth1", 80)}}},
	{"one interface changed", [][2]string{{"one", withMTU(vlans("eth1", 80))}}},
	{"one interface leaves", [][2]string{{"one", vlans("eth1", 81)}}},
	{"beside another manager's", [][2]string{{"two", vlans("eth2", 80)}, {"one", withMTU(vlans("eth1", 80))}}},
}

// withMTU returns a state of vlans whose first interface has another MTU.
func withMTU(state string) string { return strings.Replace(state, "1500", "1400", 1) }

// BenchmarkApply merges a desired state into an object by server-side apply, and judges the result: all that the server
// does for it beside the request itself and the node. The status is of a node with some hundred interfaces.
func BenchmarkApply(b *testing.B) {
	m, s := newMerger(b), newStrategy(nil, testFormat(b))
	shown := v1alpha1.NewState([]byte(strings.ReplaceAll(vlans("eth3", 1000), `"up"`, `"up","min-mtu":0,"max-mtu":65535`)))
	data := bodyOf(b, vlans("eth1", 80))
	for _, bench := range applies {
		b.Run(bench.name, func(b *testing.B) {
			live := unmanaged()
			live.Status.CurrentState = shown
			for _, before := range bench.before {
				live = m.apply(b, live, before[0], before[1])
			}
			measure(b, func() {
				now, err := m.applyBody(b.Context(), live, "one", data, false)
				if err != nil {
					b.Fatal(err)
				}
				ctx := WithBody(b.Context(), NewBody(string(types.ApplyPatchType), data))
				s.PrepareForUpdate(ctx, now, live)
				if errs := s.ValidateUpdate(ctx, now, live); len(errs) > 0 {
					b.Fatal(errs)
				}
				s.WarningsOnUpdate(ctx, now, live)
			})
		})
	}
}

// BenchmarkApplyOfACRD is what upstream does alone for the same applies: its field manager, as it merges objects of a
// CustomResourceDefinition that has the structure of a state. The body is decoded as its handler of patches does it, twice: once for its
// content, and once to find fields that are there twice.
func BenchmarkApplyOfACRD(b *testing.B) {
	converter, _ := newUpstreamConverter(b)
	gvk := v1alpha1.SchemeGroupVersion.WithKind(kind)
	manager, err := managedfields.NewDefaultCRDFieldManager(converter, unconverted{}, unconverted{}, unconverted{}, gvk, gvk.GroupVersion(), "", nil)
	if err != nil {
		b.Fatal(err)
	}
	apply := func(live apiruntime.Object, by string, data []byte) apiruntime.Object {
		var sent map[string]any
		if err := errors.Join(yamlutil.Unmarshal(data, &sent), yamlutil.UnmarshalStrict(data, &map[string]any{})); err != nil {
			b.Fatal(err)
		}
		now, err := manager.Apply(live, &unstructured.Unstructured{Object: sent}, by, false)
		if err != nil {
			b.Fatal(err)
		}
		return now
	}
	data := bodyOf(b, vlans("eth1", 80))
	b.Run("the body alone", func(b *testing.B) {
		measure(b, func() {
			if err := errors.Join(yamlutil.Unmarshal(data, &map[string]any{}), yamlutil.UnmarshalStrict(data, &map[string]any{})); err != nil {
				b.Fatal(err)
			}
		})
	})
	for _, bench := range applies {
		b.Run(bench.name, func(b *testing.B) {
			live := apiruntime.Object(&unstructured.Unstructured{Object: applied(b, nil)})
			for _, before := range bench.before {
				live = apply(live, before[0], bodyOf(b, before[1]))
			}
			measure(b, func() { apply(live, "one", data) })
		})
	}
}

// unconverted is what upstream's field manager is given of objects that have one version and no defaults.
type unconverted struct{ apiruntime.ObjectConvertor }

func (unconverted) ConvertToVersion(in apiruntime.Object, _ apiruntime.GroupVersioner) (apiruntime.Object, error) {
	return in, nil
}

func (unconverted) Default(apiruntime.Object) {}

func (unconverted) New(kind schema.GroupVersionKind) (apiruntime.Object, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	return object, nil
}

// bodyOf returns the body of a server-side apply of a state.
func bodyOf(b *testing.B, state string) []byte {
	data, err := json.Marshal(applied(b, state))
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// measure repeats what is measured, and reports the processor time besides.
func measure(b *testing.B, once func()) {
	b.ReportAllocs()
	begun := processorTime(b)
	for b.Loop() {
		once()
	}
	b.ReportMetric(float64((processorTime(b)-begun).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// processorTime returns what the process has used, with the collection of garbage. On a busy machine it tells more than the
// time that has passed.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// TestTheStructureIsSmall: the server holds it, in upstream's field manager and in ours, for as long as it runs.
func TestTheStructureIsSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	definitions, err := stateschema.WithStructure(generated.GetOpenAPIDefinitions, "State", "Status", "Current")
	if err != nil {
		t.Fatal(err)
	}
	held := newMerger(t)
	held.apply(t, unmanaged(), "one", vlans("eth1", 1)) // what is made at the first use
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 10<<20 {
		t.Errorf("the structure takes %d bytes", grown)
	} else {
		t.Logf("the structure takes %d bytes", grown)
	}
	runtime.KeepAlive(held)
	runtime.KeepAlive(definitions)
}
