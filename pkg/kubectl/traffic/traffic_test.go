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

package traffic

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

func read(at time.Duration, ports ...v1alpha1.NetworkPort) *v1alpha1.NodeNetworkPorts {
	return &v1alpha1.NodeNetworkPorts{ReadTime: metav1.NewMicroTime(time.Unix(1000, 0).Add(at)), Ports: ports}
}

func port(name string, index int32, counters v1alpha1.PortCounters) v1alpha1.NetworkPort {
	return v1alpha1.NetworkPort{Name: name, Index: index, Counters: counters}
}

func TestBetween(t *testing.T) {
	earlier := read(0, port("eth0", 2, v1alpha1.PortCounters{RxBytes: 1000, RxPackets: 10, TxBytes: 50, TxErrors: 1, RxDropped: 3}),
		port("again0", 3, v1alpha1.PortCounters{RxBytes: 10}), port("reset0", 4, v1alpha1.PortCounters{TxPackets: 10}), port("gone0", 5, v1alpha1.PortCounters{}))
	later := read(2500*time.Millisecond, port("eth0", 2, v1alpha1.PortCounters{RxBytes: 6000, RxPackets: 20, TxBytes: 50, TxErrors: 6, RxDropped: 8, TxDropped: 5}),
		port("again0", 9, v1alpha1.PortCounters{RxBytes: 20}), port("reset0", 4, v1alpha1.PortCounters{TxPackets: 9}), port("new0", 10, v1alpha1.PortCounters{}))
	ports, passed := Between(earlier, later)
	if passed != 2500*time.Millisecond || len(ports) != 4 {
		t.Fatalf("%v, %+v", passed, ports)
	}
	r := ports[0].Rates
	if r == nil || r.RxBytes != 2000 || r.RxPackets != 4 || r.TxBytes != 0 || r.TxErrors != 2 || r.Bytes() != 2000 || r.Errors() != 2 || r.Drops() != 4 {
		t.Errorf("%+v", r)
	}
	for _, other := range ports[1:] {
		if other.Rates != nil {
			t.Errorf("%s has rates: %+v", other.Name, other.Rates)
		}
	}
	// There is no rate without an earlier read, or when the clock of the node was set back.
	for _, earlier := range []*v1alpha1.NodeNetworkPorts{nil, later, read(time.Hour, later.Ports...)} {
		if ports, passed := Between(earlier, later); len(ports) != 4 || passed != 0 || ports[0].Rates != nil {
			t.Errorf("%v, %+v", passed, ports)
		}
	}
	text, err := json.Marshal(ports[0])
	if err != nil || !strings.Contains(string(text), `"name":"eth0"`) || !strings.Contains(string(text), `"rates":{"rxBytes":2000,`) {
		t.Errorf("%s, %v", text, err)
	}
}
