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

package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestStates: each is applied through nmstate, seen with ip, and taken away again.
func TestStates(t *testing.T) {
	for _, test := range []struct {
		name, nodes, state string
		show               string
		want               string
		away               string
	}{
		{"bridge with ports and an address", "node01 node03", `{"interfaces":[{"name":"br7","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[{"name":"eth1"},{"name":"eth2"}]},"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.7","prefix-length":24}]}}]}`,
			"ip -d link show eth2; ip addr show br7", "master br7;198.51.100.7/24;bridge_slave", `{"interfaces":[{"name":"br7","type":"linux-bridge","state":"absent"}]}`},
		{"veth pair", "node01 node03", `{"interfaces":[{"name":"ve7","type":"veth","state":"up","veth":{"peer":"ve7p"}},{"name":"ve7p","type":"veth","state":"up","veth":{"peer":"ve7"}}]}`,
			"ip -d link show ve7", "ve7@ve7p;veth;UP", `{"interfaces":[{"name":"ve7","type":"veth","state":"absent"},{"name":"ve7p","type":"veth","state":"absent"}]}`},
		{"route", "node01 node03", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.8","prefix-length":24}]}}],"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-address":"198.51.100.9","next-hop-interface":"eth3"}]}}`,
			"ip route", "203.0.113.0/24 via 198.51.100.9 dev eth3", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up","ipv4":{"enabled":false}}],"routes":{"config":[{"state":"absent","next-hop-interface":"eth3"}]}}`},
		{"DNS", "node01 node03", `{"dns-resolver":{"config":{"server":["192.0.2.57"],"search":["example.net"]}}}`,
			"cat /etc/resolv.conf", "nameserver 192.0.2.57;example.net", `{"dns-resolver":{"config":{}}}`},
		{"rule", "node01", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.8","prefix-length":24}]}}],"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-address":"198.51.100.9","next-hop-interface":"eth3","table-id":207}]},"route-rules":{"config":[{"ip-from":"198.51.100.0/24","route-table":207,"priority":1007}]}}`,
			"ip rule; ip route show table 207", "1007:;lookup 207;203.0.113.0/24", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up","ipv4":{"enabled":false}}],"routes":{"config":[{"state":"absent","next-hop-interface":"eth3"}]},"route-rules":{"config":[{"state":"absent","priority":1007}]}}`},
		{"MTU", "node01", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up","mtu":1407}]}`,
			"ip link show eth3", "mtu 1407", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up","mtu":1500}]}`},
		{"VXLAN", "node01", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up"},{"name":"vx7","type":"vxlan","state":"up","vxlan":{"id":7,"remote":"198.51.100.77","base-iface":"eth3"}}]}`,
			"ip -d link show vx7", "vxlan id 7;198.51.100.77", `{"interfaces":[{"name":"vx7","type":"vxlan","state":"absent"}]}`},
		{"MACVLAN", "node01", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up"},{"name":"mv7","type":"mac-vlan","state":"up","mac-vlan":{"base-iface":"eth3","mode":"bridge","promiscuous":true}}]}`,
			"ip -d link show mv7", "macvlan mode bridge", `{"interfaces":[{"name":"mv7","type":"mac-vlan","state":"absent"}]}`},
	} {
		for node := range strings.FieldsSeq(test.nodes) {
			t.Run(test.name+"/"+node, func(t *testing.T) {
				obj := mustDesire(t, node, test.state)
				if obj.Status.Difference != nil || obj.Status.LastApply.Outcome != v1alpha1.ApplyCommitted {
					t.Errorf("difference %v, lastApply %+v", obj.Status.Difference, obj.Status.LastApply)
				}
				seen := onNode(t, node, "sh", "-c", test.show)
				for want := range strings.SplitSeq(test.want, ";") {
					if !strings.Contains(seen, want) {
						t.Errorf("%q is not in\n%s", want, seen)
					}
				}
				obj = mustDesire(t, node, test.away)
				if obj.Status.Difference != nil {
					t.Errorf("after taking it away there is a difference: %s", obj.Status.Difference.Raw)
				}
				first, _, _ := strings.Cut(test.want, ";")
				if seen := onNode(t, node, "sh", "-c", test.show+"; true"); strings.Contains(seen, first) {
					t.Errorf("it is still there:\n%s", seen)
				}
			})
		}
	}
}

// facts are what must be the same again after a failed apply.
func facts(t *testing.T, node string) string {
	t.Helper()
	return onNode(t, node, "sh", "-c", "ip -br link | awk '{print $1, $2}'; ip -br addr; ip route show table all | grep -v 'table local' | grep -v fe80 | sort; ip rule; cat /etc/resolv.conf")
}

// TestRefused: 422 with nmstate's words, and the node as it was.
func TestRefused(t *testing.T) {
	for _, node := range []string{"node01", "node03"} {
		before := facts(t, node)
		_, err := desire(t, node, `{"interfaces":[{"name":"ve9","type":"veth","state":"up"}]}`)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "ve9") {
			t.Errorf("%s: %v", node, err)
		}
		if after := facts(t, node); after != before {
			t.Errorf("%s was\n%s\nand is\n%s", node, before, after)
		}
		if last := get(t, node).Status.LastApply; last.Outcome != v1alpha1.ApplyRejected || last.User != "admin" || last.Reason != "InvalidArgument" {
			t.Errorf("lastApply is %+v", last)
		}
	}
}

// TestFailedHalfWay: 500, and the node as it was, to the last address and route.
func TestFailedHalfWay(t *testing.T) {
	for node, state := range map[string]string{
		// libnmstate makes no VXLAN without NetworkManager, and a veth has no ring; the bridge is made before.
		"node03": `{"interfaces":[{"name":"half0","type":"linux-bridge","state":"up","bridge":{"port":[{"name":"eth2"}]},"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"203.0.113.1","prefix-length":24}]}},
			{"name":"half1","type":"vxlan","state":"up","vxlan":{"id":9,"remote":"192.0.2.9","base-iface":"eth1"}}],"dns-resolver":{"config":{"server":["192.0.2.58"]}}}`,
		"node01": `{"interfaces":[{"name":"half0","type":"linux-bridge","state":"up","bridge":{"port":[{"name":"eth2"}]},"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"203.0.113.1","prefix-length":24}]}},
			{"name":"eth3","type":"ethernet","state":"up","ethtool":{"ring":{"rx":512}}}]}`,
	} {
		t.Run(node, func(t *testing.T) {
			mustDesire(t, node, `{"interfaces":[{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.21","prefix-length":24}]}}],
				"routes":{"config":[{"destination":"198.18.50.0/24","next-hop-interface":"eth1","next-hop-address":"198.51.100.22"}]}}`)
			before, spec := facts(t, node), get(t, node).Spec
			_, err := desire(t, node, state)
			if err == nil {
				t.Fatal("it was committed")
			}
			waitFor(t, node, 3*time.Minute, func(obj *v1alpha1.NodeNetworkState) bool {
				return obj.Status.LastApply.Outcome == v1alpha1.ApplyRolledBack
			})
			if after := facts(t, node); after != before {
				t.Errorf("it was\n%s\nand is\n%s", before, after)
			}
			if now := get(t, node); !v1alpha1.SameState(now.Spec.DesiredState, spec.DesiredState) {
				t.Errorf("the spec is %s", now.Spec.DesiredState.Raw)
			}
			mustDesire(t, node, `{"interfaces":[{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":false}}],"routes":{"config":[{"state":"absent","next-hop-interface":"eth1"}]}}`)
		})
	}
}

// TestAnApplyThatTakesLong: 504, it goes on, and lastApply tells how it ended. A
// bond on a kernel that has none keeps nmstate busy for two minutes.
func TestAnApplyThatTakesLong(t *testing.T) {
	const node = "node02"
	_, err := desire(t, node, `{"interfaces":[{"name":"bond7","type":"bond","state":"up","link-aggregation":{"mode":"active-backup","port":["eth2"]}}]}`)
	if !apierrors.IsTimeout(err) || !strings.Contains(err.Error(), "lastApply") {
		t.Fatalf("the request ended with %v", err)
	}
	during := get(t, node)
	if !isTrue(v1alpha1.ConditionProgressing)(during) || !isTrue(v1alpha1.ConditionAvailable)(during) {
		t.Errorf("while it goes on: %+v", during.Status.Conditions)
	}
	if _, err := desire(t, node, `{"interfaces":[]}`); !apierrors.IsConflict(err) {
		t.Errorf("a second change meanwhile: %v", err)
	}
	ended := waitFor(t, node, 4*time.Minute, func(obj *v1alpha1.NodeNetworkState) bool { return !isTrue(v1alpha1.ConditionProgressing)(obj) })
	if last := ended.Status.LastApply; last.Outcome != v1alpha1.ApplyRolledBack || last.Message == "" {
		t.Errorf("lastApply is %+v", last)
	}
}

// TestTwoWriters with one resourceVersion: one wins, the other gets 409.
func TestTwoWriters(t *testing.T) {
	const node = "node03"
	start := get(t, node)
	var results [2]error
	var writers sync.WaitGroup
	for i := range results {
		writers.Go(func() {
			mine := start.DeepCopy()
			mine.Annotations = map[string]string{"writer": string(rune('a' + i))}
			_, results[i] = client(t).Update(t.Context(), mine, metav1.UpdateOptions{})
		})
	}
	writers.Wait()
	if (results[0] == nil) == (results[1] == nil) {
		t.Fatalf("the writers got %v and %v", results[0], results[1])
	}
	for _, err := range results {
		if err != nil && !apierrors.IsConflict(err) {
			t.Errorf("the loser got %v", err)
		}
	}
}
