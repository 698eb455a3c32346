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
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// stateCase is a state that is applied through nmstate, seen with ip, and taken
// away again. show prints what wanted, parts separated by ;, is in; its first
// part is gone afterwards.
type stateCase struct {
	name               string
	state              string
	show, wanted, away string
}

var stateCases = []stateCase{
	{"bridge with ports and an address", `{"interfaces":[{"name":"br7","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[{"name":"eth1"},{"name":"eth2"}]},"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.7","prefix-length":24}]}}]}`,
		"ip -d link show eth2; ip addr show br7", "master br7;198.51.100.7/24;bridge_slave", `{"interfaces":[{"name":"br7","type":"linux-bridge","state":"absent"}]}`},
	{"veth pair", `{"interfaces":[{"name":"ve7","type":"veth","state":"up","veth":{"peer":"ve7p"}},{"name":"ve7p","type":"veth","state":"up","veth":{"peer":"ve7"}}]}`,
		"ip -d link show ve7", "ve7@ve7p;veth;UP", `{"interfaces":[{"name":"ve7","type":"veth","state":"absent"},{"name":"ve7p","type":"veth","state":"absent"}]}`},
	{"route", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.8","prefix-length":24}]}}],"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-address":"198.51.100.9","next-hop-interface":"eth3"}]}}`,
		"ip route", "203.0.113.0/24 via 198.51.100.9 dev eth3", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up","ipv4":{"enabled":false}}],"routes":{"config":[{"state":"absent","next-hop-interface":"eth3"}]}}`},
	{"DNS", `{"dns-resolver":{"config":{"server":["192.0.2.57"],"search":["example.net"]}}}`,
		"cat /etc/resolv.conf", "nameserver 192.0.2.57;example.net", `{"dns-resolver":{"config":{}}}`},
	{"rule", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.8","prefix-length":24}]}}],"routes":{"config":[{"destination":"203.0.113.0/24","next-hop-address":"198.51.100.9","next-hop-interface":"eth3","table-id":207}]},"route-rules":{"config":[{"ip-from":"198.51.100.0/24","route-table":207,"priority":1007}]}}`,
		"ip rule; ip route show table 207", "1007:;lookup 207;203.0.113.0/24", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up","ipv4":{"enabled":false}}],"routes":{"config":[{"state":"absent","next-hop-interface":"eth3"}]},"route-rules":{"config":[{"state":"absent","priority":1007}]}}`},
	{"MTU", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up","mtu":1407}]}`,
		"ip link show eth3", "mtu 1407", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up","mtu":1500}]}`},
	{"VXLAN", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up"},{"name":"vx7","type":"vxlan","state":"up","vxlan":{"id":7,"remote":"198.51.100.77","base-iface":"eth3"}}]}`,
		"ip -d link show vx7", "vxlan id 7;198.51.100.77", `{"interfaces":[{"name":"vx7","type":"vxlan","state":"absent"}]}`},
	{"MACVLAN", `{"interfaces":[{"name":"eth3","type":"ethernet","state":"up"},{"name":"mv7","type":"mac-vlan","state":"up","mac-vlan":{"base-iface":"eth3","mode":"bridge","promiscuous":true}}]}`,
		"ip -d link show mv7", "macvlan mode bridge", `{"interfaces":[{"name":"mv7","type":"mac-vlan","state":"absent"}]}`},
}

func (s *suite) stateSpecs() {
	for _, c := range stateCases {
		for _, n := range s.oneOfEach() {
			It(c.name+" with "+string(n.backend), Label(string(n.backend)), NodeTimeout(long), func(ctx SpecContext) {
				s.tryState(ctx, n.name, c)
			})
		}
	}
}

func (s *suite) tryState(ctx SpecContext, node string, c stateCase) {
	GinkgoHelper()
	obj := s.desire(ctx, node, c.state)
	Expect(obj.Status.Difference).To(BeNil())
	Expect(obj.Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyCommitted))
	seen := s.must(ctx, node, c.show)
	for part := range strings.SplitSeq(c.wanted, ";") {
		Expect(seen).To(ContainSubstring(part))
	}
	obj = s.desire(ctx, node, c.away)
	Expect(obj.Status.Difference).To(BeNil(), "after taking it away")
	first, _, _ := strings.Cut(c.wanted, ";")
	Expect(s.must(ctx, node, c.show+" || true")).NotTo(ContainSubstring(first))
}

// exampleSpecs apply each example of the documentation.
func (s *suite) exampleSpecs() {
	files, err := filepath.Glob(s.root + "/docs/examples/*.yaml")
	Expect(err).NotTo(HaveOccurred())
	Expect(files).NotTo(BeEmpty())
	for _, file := range files {
		It(filepath.Base(file), NodeTimeout(long), func(ctx SpecContext) {
			text, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			out, err := s.kubectl(ctx, string(text), "apply", "--server-side", "--force-conflicts", "-f", "-")
			Expect(err).NotTo(HaveOccurred(), out)
			_, applied, _ := strings.Cut(out, "nodenetworkstate.nmstate.io/") // after warnings
			node, _, _ := strings.Cut(applied, " ")
			obj := s.get(ctx, node)
			Expect(obj.Status.Difference).To(BeNil())
			if obj.Status.LastApply.ConfirmBefore != nil { // as the guide says
				out, err = s.kubectl(ctx, `{"id":"`+obj.Status.LastApply.ID+`"}`, "create", "--raw",
					"/apis/nmstate.io/v1alpha1/nodenetworkstates/"+node+"/confirm", "-f", "-")
				Expect(err).NotTo(HaveOccurred(), out)
				Expect(s.get(ctx, node).Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyCommitted))
			}
		})
	}
	It("can be taken away", NodeTimeout(2*time.Minute), func(ctx SpecContext) {
		for node, away := range map[string]string{
			"node01": `{"interfaces":[{"name":"br1","type":"linux-bridge","state":"absent"},{"name":"eth3","type":"ethernet","state":"up","ipv4":{"enabled":false}}],
				"routes":{"config":[{"state":"absent","next-hop-interface":"eth3"}]},"route-rules":{"config":[{"state":"absent","priority":1000}]}}`,
			"node02": `{"interfaces":[{"name":"vxlan100","type":"vxlan","state":"absent"},{"name":"macvlan0","type":"mac-vlan","state":"absent"},{"name":"eth3","type":"ethernet","state":"up","mtu":1500}],"dns-resolver":{"config":{}}}`,
			"node03": `{"interfaces":[{"name":"veth1","type":"veth","state":"absent"}]}`,
		} {
			Expect(s.desire(ctx, node, away).Status.Difference).To(BeNil(), node)
		}
	})
}
