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
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

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

// BenchmarkApply merges a desired state of 20 kB into an object that has as much of another manager's, by server-side
// apply, and judges the result: all that the server does for it beside the request itself and the node. The status is of a
// node with some hundred interfaces.
func BenchmarkApply(b *testing.B) {
	m, s := newMerger(b), newStrategy(nil, testFormat(b))
	shown := v1alpha1.NewState([]byte(strings.ReplaceAll(vlans("eth3", 1000), `"up"`, `"up","min-mtu":0,"max-mtu":65535`)))
	for _, bench := range []struct {
		name   string
		before func(live *v1alpha1.NodeNetworkState) *v1alpha1.NodeNetworkState
		state  string
	}{
		{"first", func(live *v1alpha1.NodeNetworkState) *v1alpha1.NodeNetworkState { return live }, vlans("eth1", 80)},
		{"changed", func(live *v1alpha1.NodeNetworkState) *v1alpha1.NodeNetworkState {
			return m.apply(b, live, "one", strings.Replace(vlans("eth1", 80), "1500", "1400", 1))
		}, vlans("eth1", 80)},
		{"beside another manager's", func(live *v1alpha1.NodeNetworkState) *v1alpha1.NodeNetworkState {
			return m.apply(b, m.apply(b, live, "two", vlans("eth2", 80)), "one", strings.Replace(vlans("eth1", 80), "1500", "1400", 1))
		}, vlans("eth1", 80)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			live := unmanaged()
			live.Status.CurrentState = shown
			live = bench.before(live)
			data, err := json.Marshal(applied(b, bench.state))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			begun := processorTime(b)
			for b.Loop() {
				now, err := m.applyBody(b.Context(), live, "one", data, false)
				if err != nil {
					b.Fatal(err)
				}
				ctx := WithBody(b.Context(), Body{})
				s.PrepareForUpdate(ctx, now, live)
				if errs := s.ValidateUpdate(ctx, now, live); len(errs) > 0 {
					b.Fatal(errs)
				}
				s.WarningsOnUpdate(ctx, now, live)
			}
			b.ReportMetric(float64((processorTime(b)-begun).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
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
