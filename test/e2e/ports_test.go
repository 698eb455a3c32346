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
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// portSpecs ask for what the kernel and the hardware tell of ports.
func (s *suite) portSpecs() {
	for _, n := range s.oneOfEach() {
		backend := Label(string(n.backend))
		It("are told as the kernel has them now, with "+string(n.backend), backend, NodeTimeout(2*long), func(ctx SpecContext) { s.portsNow(ctx, n.name) })
		It("tell what neighbours say of themselves, with "+string(n.backend), backend, NodeTimeout(2*long), func(ctx SpecContext) {
			server, ok := s.environment.(*standalone)
			if !ok {
				Skip("the agents of this form do not listen")
			}
			s.neighborsHeard(ctx, n.name, filepath.Join("/run/netns", server.prefix+"hub"))
		})
	}
	It("are not told while the agent is away", NodeTimeout(2*long), func(ctx SpecContext) {
		const node = "node03"
		Expect(s.killAgent(ctx, node)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			Expect(s.startAgent(ctx, node)).To(Succeed())
			s.available(ctx, node)
		}, NodeTimeout(2*long))
		Eventually(func(ctx context.Context) (string, error) {
			out, _ := s.kubectl(ctx, "", "get", "--raw", portsPath(node))
			return out, nil
		}).WithContext(ctx).WithTimeout(long).Should(And(ContainSubstring("ServiceUnavailable"), ContainSubstring(`node "`+node+`"`)))
	})
}

func portsPath(node string) string {
	return "/apis/nmstate.io/v1alpha1/nodenetworkstates/" + node + "/ports"
}

// port returns a port as kubectl gets it.
func (s *suite) port(ctx context.Context, node, name string) v1alpha1.NetworkPort {
	GinkgoHelper()
	out, err := s.kubectl(ctx, "", "get", "--raw", portsPath(node))
	Expect(err).NotTo(HaveOccurred(), out)
	var told v1alpha1.NodeNetworkPorts
	Expect(json.Unmarshal([]byte(out), &told)).To(Succeed())
	i := slices.IndexFunc(told.Ports, func(p v1alpha1.NetworkPort) bool { return p.Name == name })
	Expect(i).To(BeNumerically(">=", 0), "%s in %s", name, out)
	return told.Ports[i]
}

// portsNow sends something over a port, and takes its carrier away.
func (s *suite) portsNow(ctx SpecContext, node string) {
	const name = "eth3"
	typed, err := s.nns().GetPorts(ctx, node, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, p := range typed.Ports {
		names = append(names, p.Name)
	}
	Expect(names).To(ContainElements("lo", "mgmt0", "eth1", "eth2", "eth3"))
	before := s.port(ctx, node, name)
	Expect(before.Carrier).To(BeTrue())
	Expect(before.MACAddress).To(Equal(strings.TrimSpace(s.must(ctx, node, "ip -o link show "+name+" | sed 's/.*ether \\([^ ]*\\) .*/\\1/'"))))

	// What is asked comes over the management link, so its counters grow; between two reads they are the kernel's own.
	first := s.port(ctx, node, "mgmt0").Counters
	var links []struct {
		Stats64 struct {
			Rx struct{ Bytes, Packets int64 }
		}
	}
	Expect(json.Unmarshal([]byte(s.must(ctx, node, "ip -s -j link show mgmt0")), &links)).To(Succeed())
	second := s.port(ctx, node, "mgmt0").Counters
	for what, counts := range map[string][3]int64{
		"bytes":   {first.RxBytes, links[0].Stats64.Rx.Bytes, second.RxBytes},
		"packets": {first.RxPackets, links[0].Stats64.Rx.Packets, second.RxPackets},
	} {
		Expect(counts[0] <= counts[1] && counts[1] < counts[2]).To(BeTrue(), "%s: %v", what, counts)
	}

	DeferCleanup(func(ctx SpecContext) { s.onHub(ctx, "ip link set "+node+"-3 up") }, NodeTimeout(long))
	s.onHub(ctx, "ip link set "+node+"-3 down")
	down := s.port(ctx, node, name)
	Expect(down.Carrier).To(BeFalse())
	Expect(down.CarrierChanges).To(BeNumerically(">", before.CarrierChanges))
	// The kernel works that out a moment later. It is Down with newer kernels, which do not see the other end from here.
	Eventually(func() v1alpha1.OperState { return s.port(ctx, node, name).OperState }).WithContext(ctx).WithTimeout(long).
		Should(BeElementOf(v1alpha1.OperLowerLayerDown, v1alpha1.OperDown))
}

// neighborsHeard sends LLDP's frames from the hub.
func (s *suite) neighborsHeard(ctx SpecContext, node, hub string) {
	systems := func() ([]string, error) {
		told := s.port(ctx, node, "eth1").LLDP
		if told == nil {
			return []string{"not listened on"}, nil
		}
		names := []string{told.Message}
		for _, n := range told.Neighbors {
			names = append(names, n.SystemName)
		}
		return names, nil
	}
	say := func(seconds byte) func() ([]string, error) {
		return func() ([]string, error) {
			if err := netns.SendFrame(hub, node+"-1", netns.LLDPFrame("leaf1", seconds)); err != nil {
				return nil, err
			}
			return systems()
		}
	}
	Eventually(systems).WithTimeout(long).Should(Equal([]string{""}))
	Eventually(say(120)).WithTimeout(long).Should(Equal([]string{"", "leaf1"}))
	Expect(s.port(ctx, node, "eth2").LLDP.Neighbors).To(BeEmpty())
	Expect(s.port(ctx, node, "lo").LLDP).To(BeNil())
	Eventually(say(0)).WithTimeout(long).Should(Equal([]string{""}))
}
