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

// Package traffic makes rates of the counters of ports.
package traffic

import (
	"time"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Rates are how much has passed a second.
type Rates struct {
	RxBytes     float64 `json:"rxBytes"`
	RxPackets   float64 `json:"rxPackets"`
	RxErrors    float64 `json:"rxErrors"`
	RxDropped   float64 `json:"rxDropped"`
	RxMulticast float64 `json:"rxMulticast"`
	TxBytes     float64 `json:"txBytes"`
	TxPackets   float64 `json:"txPackets"`
	TxErrors    float64 `json:"txErrors"`
	TxDropped   float64 `json:"txDropped"`
}

// Bytes, Errors and Drops are of both directions.
func (r Rates) Bytes() float64  { return r.RxBytes + r.TxBytes }
func (r Rates) Errors() float64 { return r.RxErrors + r.TxErrors }
func (r Rates) Drops() float64  { return r.RxDropped + r.TxDropped }

// Port is a port, and its rates.
type Port struct {
	v1alpha1.NetworkPort `json:",inline"`
	// Rates are those since the read before; nil if the interface was not there then, or was another one.
	Rates *Rates `json:"rates,omitempty"`
}

// Between returns the ports of the later of two reads of a node, with their rates since the earlier one, and how much time
// is between them. Without an earlier read, nil, there are no rates.
func Between(earlier, later *v1alpha1.NodeNetworkPorts) ([]Port, time.Duration) {
	known := map[string]*v1alpha1.NetworkPort{}
	var passed time.Duration
	if earlier != nil {
		passed = later.ReadTime.Sub(earlier.ReadTime.Time)
		for i := range earlier.Ports {
			known[earlier.Ports[i].Name] = &earlier.Ports[i]
		}
	}
	ports := make([]Port, 0, len(later.Ports))
	for _, port := range later.Ports {
		told := Port{NetworkPort: port}
		if before := known[port.Name]; before != nil && before.Index == port.Index && passed > 0 {
			told.Rates = rates(before.Counters, port.Counters, passed)
		}
		ports = append(ports, told)
	}
	return ports, max(passed, 0)
}

// rates returns the rates between two readings of counters; nil if a counter has gone back: it began anew.
func rates(before, after v1alpha1.PortCounters, passed time.Duration) *Rates {
	r := &Rates{}
	for _, counter := range []struct {
		before, after int64
		rate          *float64
	}{
		{before.RxBytes, after.RxBytes, &r.RxBytes}, {before.RxPackets, after.RxPackets, &r.RxPackets}, {before.RxErrors, after.RxErrors, &r.RxErrors},
		{before.RxDropped, after.RxDropped, &r.RxDropped}, {before.RxMulticast, after.RxMulticast, &r.RxMulticast},
		{before.TxBytes, after.TxBytes, &r.TxBytes}, {before.TxPackets, after.TxPackets, &r.TxPackets}, {before.TxErrors, after.TxErrors, &r.TxErrors},
		{before.TxDropped, after.TxDropped, &r.TxDropped},
	} {
		if counter.after < counter.before {
			return nil
		}
		*counter.rate = float64(counter.after-counter.before) / passed.Seconds()
	}
	return r
}
