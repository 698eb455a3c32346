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

package integration

import (
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestPortsAreReadAtEachRequest by the typed client, and an agent that is away tells nothing old.
func TestPortsAreReadAtEachRequest(t *testing.T) {
	s := newServer(t)
	node := s.join("node1")
	s.awaitNodes(1)
	nns := s.nns()
	first, err := nns.GetPorts(t.Context(), "node1", metav1.GetOptions{ResourceVersion: "0"})
	if err != nil || first.Name != "node1" || len(first.Ports) != 1 || first.Ports[0].Name != "lo" || !first.Ports[0].Carrier {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := nns.GetPorts(t.Context(), "node1", metav1.GetOptions{})
	if err != nil || second.Ports[0].Counters.RxBytes <= first.Ports[0].Counters.RxBytes || !second.ReadTime.After(first.ReadTime.Time) {
		t.Errorf("%+v, %v, after %+v", second, err, first)
	}
	negotiated := true
	want := v1alpha1.NetworkPort{Name: "eth1", Index: 2, Type: "ethernet", MACAddress: "02:00:00:00:00:01", Carrier: true, CarrierChanges: 3,
		OperState: v1alpha1.OperUp, Speed: 25000, Duplex: v1alpha1.DuplexFull, AutoNegotiation: &negotiated, Connector: v1alpha1.ConnectorFibre,
		Driver: "mlx5_core", FirmwareVersion: "16.35", BusInfo: "0000:3b:00.0", Counters: v1alpha1.PortCounters{RxBytes: 1 << 62},
		LLDP: &v1alpha1.PortLLDP{Neighbors: []v1alpha1.LLDPNeighbor{{ChassisID: "leaf1", SystemName: "leaf1", PortID: "swp7", TTLSeconds: 120}}}}
	node.SetPorts([]v1alpha1.NetworkPort{want, {Name: "bad\x1b[2J", LLDP: &v1alpha1.PortLLDP{Neighbors: []v1alpha1.LLDPNeighbor{{SystemName: "\xff\x1b"}}}}})
	got, err := nns.GetPorts(t.Context(), "node1", metav1.GetOptions{})
	if err != nil || len(got.Ports) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if p := got.Ports[0]; p.Speed != 25000 || p.Counters != want.Counters || p.AutoNegotiation == nil || p.LLDP == nil || p.LLDP.Neighbors[0].SystemName != "leaf1" {
		t.Errorf("%+v", p)
	}
	if p := got.Ports[1]; strings.Contains(p.Name, "\x1b") || strings.Contains(p.LLDP.Neighbors[0].SystemName, "\x1b") {
		t.Errorf("%+v commands a terminal", p)
	}
	for name, test := range map[string]struct {
		method, path string
		code         int
		says         string
	}{
		"no such node": {"GET", "nodenetworkstates/nod1/ports", http.StatusNotFound, "nod1"},
		"a write":      {"PUT", "nodenetworkstates/node1/ports", http.StatusMethodNotAllowed, ""},
		"a POST":       {"POST", "nodenetworkstates/node1/ports", http.StatusMethodNotAllowed, ""},
		"of all":       {"GET", "nodenetworkstates/ports", http.StatusNotFound, ""},
		"raw":          {"GET", "nodenetworkstates/node1/ports", http.StatusOK, `"kind":"NodeNetworkPorts","apiVersion":"nmstate.io/v1alpha1"`},
		"pretty":       {"GET", "nodenetworkstates/node1/ports?pretty=true", http.StatusOK, `"kind": "NodeNetworkPorts"`},
	} {
		if code, _, body := s.request(test.method, test.path, "application/json", "{}"); code != test.code || !strings.Contains(body, test.says) {
			t.Errorf("%s: %d %.500s", name, code, body)
		}
	}
	node.disconnect()
	s.await("the node to be lost", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 0 })
	if _, err := nns.GetPorts(t.Context(), "node1", metav1.GetOptions{}); !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), "node1") {
		t.Errorf("the ports of a node that is away: %v", err)
	}
}
