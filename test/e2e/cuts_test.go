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
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// cut is a change of a node's management link, or of its way to the witness, that cuts the node off. ADDRESS
// is the link's address, NUMBER its last byte; WITNESS, BESIDE and LINK are the witness's.
type cut struct {
	name string
	// managedOnly tells that it needs NetworkManager, or with the kernel only is no cut any more when the change has to be confirmed.
	managedOnly bool
	// sample tells that the cut is tried in each run, not only in whole ones.
	sample            bool
	interfaces, other string
	// far is what is done to the hub before, and farAfter takes it away; atWitness and atWitnessAfter are the same where the witness is.
	far, farAfter, atWitness, atWitnessAfter string
	// standaloneOnly are the backends with which an agent in a pod cannot do it.
	standaloneOnly []v1alpha1.Backend
}

const managementLink = `"name":"mgmt0","type":"ethernet","state":"up"`

// cuts leave nobody on the management network who would answer.
var cuts = []cut{
	{name: "no address", sample: true, interfaces: `{` + managementLink + `,"ipv4":{"enabled":false}}`},
	{name: "an address of another network", interfaces: `{` + managementLink + `,"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"203.0.113.77","prefix-length":24}]}}`},
	{name: "a prefix of 32", interfaces: `{` + managementLink + `,"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"ADDRESS","prefix-length":32}]}}`},
	{name: "the link down", sample: true, interfaces: `{"name":"mgmt0","type":"ethernet","state":"down"}`},
	{name: "a bridge over the link, without its address", sample: true, interfaces: `{` + managementLink + `,"ipv4":{"enabled":false}},` +
		`{"name":"brm","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[{"name":"mgmt0"}]}}`},
	{name: "a bridge over the link, with another address", interfaces: `{` + managementLink + `,"ipv4":{"enabled":false}},` +
		`{"name":"brm","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[{"name":"mgmt0"}]},"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"203.0.113.78","prefix-length":24}]}}`},
	{name: "a bridge over the link that waits for spanning tree", managedOnly: true, interfaces: `{` + managementLink + `,"ipv4":{"enabled":false}},` +
		`{"name":"brm","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":true,"forward-delay":30}},"port":[{"name":"mgmt0"}]},"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"ADDRESS","prefix-length":24}]}}`},
	{name: "the address on another port", interfaces: `{` + managementLink + `,"ipv4":{"enabled":false}},` +
		`{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"ADDRESS","prefix-length":24}]}}`,
		far: "sysctl -qw net.ipv4.conf.data1.arp_ignore=1", farAfter: "sysctl -qw net.ipv4.conf.data1.arp_ignore=0"},
	{name: "the server's network over another port", sample: true, interfaces: `{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"192.0.2.2NUMBER","prefix-length":24},{"ip":"BESIDE","prefix-length":25}]}}`,
		far: "sysctl -qw net.ipv4.conf.data1.arp_ignore=1", farAfter: "sysctl -qw net.ipv4.conf.data1.arp_ignore=0"},
	{name: "the server's own address", interfaces: `{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"WITNESS","prefix-length":32}]}}`},
	{name: "a wrong next hop", interfaces: `{` + managementLink + `}`,
		other: `,"routes":{"config":[{"destination":"WITNESS/32","next-hop-interface":"mgmt0","next-hop-address":"192.0.2.250"}]}`},
	{name: "a route over another port", interfaces: `{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.71","prefix-length":24}]}}`,
		other: `,"routes":{"config":[{"destination":"WITNESS/32","next-hop-interface":"eth1","next-hop-address":"198.51.100.72"}]}`},
	{name: "a route into a black hole", interfaces: `{` + managementLink + `}`,
		other: `,"routes":{"config":[{"destination":"WITNESS/32","route-type":"blackhole"}]}`},
	{name: "a rule to another table", interfaces: `{"name":"eth1","type":"ethernet","state":"up","ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.51.100.71","prefix-length":24}]}}`,
		other: `,"routes":{"config":[{"destination":"0.0.0.0/0","next-hop-interface":"eth1","next-hop-address":"198.51.100.72","table-id":207}]},` +
			`"route-rules":{"config":[{"ip-to":"WITNESS/32","route-table":207,"priority":1007}]}`},
	// The server would send larger packets than this link takes. With IPv6 the kernel takes no MTU below 1280.
	{name: "an MTU of 68", interfaces: `{` + managementLink + `,"mtu":68,"ipv6":{"enabled":false}}`},
	{name: "DHCP, and nobody answers", managedOnly: true, interfaces: `{` + managementLink + `,"ipv4":{"enabled":true,"dhcp":true}}`},
	{name: "an address that somebody else has", interfaces: `{` + managementLink + `,"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"192.0.2.201","prefix-length":24}]}}`,
		atWitness: "ip neigh replace 192.0.2.201 lladdr 02:00:00:00:02:01 nud permanent dev LINK", atWitnessAfter: "ip neigh del 192.0.2.201 dev LINK"},
}

// companions are changes that are made together with a cut.
var companions = []cut{
	{name: "alone"},
	{name: "with a bridge", interfaces: `,{"name":"brc","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[{"name":"eth2"}]},` +
		`"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"198.18.7.1","prefix-length":24}]}}`},
	// Without NetworkManager DNS is in a file, and a pod sees one of its own.
	{name: "with DNS", standaloneOnly: []v1alpha1.Backend{v1alpha1.BackendKernel}, other: `,"dns-resolver":{"config":{"server":["198.18.7.53"],"search":["cut.example"]}}`},
	{name: "with a pair of veths", interfaces: `,{"name":"cut0","type":"veth","state":"up","veth":{"peer":"cut1"}},{"name":"cut1","type":"veth","state":"up","veth":{"peer":"cut0"}}`},
	// A pod may not set the node's hostname.
	{name: "with a bridge and a hostname", standaloneOnly: []v1alpha1.Backend{v1alpha1.BackendNetworkManager, v1alpha1.BackendKernel}, interfaces: `,{"name":"brc","type":"linux-bridge","state":"up","bridge":{"options":{"stp":{"enabled":false}},"port":[{"name":"eth2"},{"name":"eth3"}]}}`,
		other: `,"hostname":{"running":"cut","config":"cut"}`},
}

// cutTimeout is the confirmation's in these specs, the least that there may be.
const cutTimeout = 5 * time.Second

func (s *suite) cutSpecs() {
	t := &cutTable{s, map[string]string{}}
	for _, n := range s.oneOfEach() {
		for _, c := range cuts {
			for i, with := range companions {
				if s.tried(n, c, with) && (*whole || c.sample && i == 0) {
					It(c.name+", "+with.name+", with "+string(n.backend), Label(string(n.backend), "cuts"), NodeTimeout(3*time.Minute), func(ctx SpecContext) {
						t.try(ctx, n.name, c, with)
					})
				}
			}
		}
	}
	if c, ok := s.environment.(*cluster); ok && *whole {
		Describe("on the node of the active server", Ordered, ContinueOnFailure, func() { t.specsOnTheServersNode(inCluster{s, c}) })
	}
}

// tried tells whether a node of the form can be cut off so.
func (s *suite) tried(n node, c, with cut) bool {
	_, inCluster := s.environment.(*cluster)
	return !(inCluster && slices.Contains(slices.Concat(c.standaloneOnly, with.standaloneOnly), n.backend)) &&
		!((c.managedOnly || with.managedOnly) && n.backend != v1alpha1.BackendNetworkManager)
}

// cutTable has what the nodes had before the first cut: each cut begins with the same.
type cutTable struct {
	*suite
	before map[string]string
}

// try cuts a node off that is as it was before the first cut, with the active server elsewhere.
func (t *cutTable) try(ctx SpecContext, node string, c, with cut) {
	GinkgoHelper()
	if cluster, ok := t.environment.(*cluster); ok {
		inCluster{t.suite, cluster}.haveServer(ctx, Not(Equal(node)))
	}
	t.beginAsBefore(ctx, node)
	t.cutOff(ctx, node, c, with)
}

// beginAsBefore fails the spec unless a node is as it was before the first cut. If the spec fails, the node
// is made anew, so that nothing is left to the next one.
func (t *cutTable) beginAsBefore(ctx SpecContext, node string) {
	GinkgoHelper()
	DeferCleanup(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			clear(t.before)
			Expect(t.renew(ctx, node)).To(Succeed())
			t.allAvailable(ctx)
		}
	}, NodeTimeout(3*time.Minute))
	spec, err := json.Marshal(t.available(ctx, node).Spec)
	Expect(err).NotTo(HaveOccurred())
	now := linksOfPods.ReplaceAllString(t.factsAndProfiles(ctx, node), "") + string(spec)
	if before, known := t.before[node]; known {
		Expect(now).To(Equal(before), "what there was before the first cut")
	}
	t.before[node] = now
}

// linksOfPods finds the links to pods, and what leads over them: they come and go with pods.
var linksOfPods = regexp.MustCompile(`(?m)^.*\bveth[0-9a-f]{8}\b.*\n`)

// cutOff makes a change that cuts the node off, and sees that it is undone.
func (s *suite) cutOff(ctx SpecContext, node string, c, with cut) {
	GinkgoHelper()
	witness, err := s.witness(ctx, node)
	Expect(err).NotTo(HaveOccurred())
	address := strings.TrimSpace(s.must(ctx, node, "ip -o -4 addr show mgmt0 | sed 's/.*inet //; s/\\/.*//' | head -n 1"))
	fill := strings.NewReplacer("ADDRESS", address, "NUMBER", address[strings.LastIndexByte(address, '.')+1:],
		"WITNESS", witness.address, "BESIDE", witness.beside, "LINK", witness.link)
	s.during(ctx, "", fill.Replace(c.far), fill.Replace(c.farAfter))
	s.during(ctx, witness.node, fill.Replace(c.atWitness), fill.Replace(c.atWitnessAfter))
	state := fill.Replace(`{"interfaces":[` + c.interfaces + with.interfaces + `]` + c.other + with.other + `}`)
	before, facts := s.available(ctx, node), s.factsAndProfiles(ctx, node)
	err = s.confirmed(ctx, node, state, fmt.Sprintf(`{"timeout":%q}`, cutTimeout))
	Expect(err).To(HaveOccurred())
	obj := s.ended(ctx, node, before)
	last, shown := obj.Status.LastApply, time.Now()
	Expect(last.Outcome).To(Equal(v1alpha1.ApplyRolledBack), "%+v", last)
	Expect(last.Reason).To(Equal("NotConfirmed"), "%+v", last)
	AddReportEntry(cutEntry, s.undone(ctx, node, last.ID, shown), ReportEntryVisibilityNever)
	if _, inCluster := s.environment.(*cluster); !inCluster || witness != hubWitness {
		Expect(err).To(MatchError(ContainSubstring(last.ID)))
	} // else the server, which was to say so, was cut off, too
	Expect(obj.Generation).To(Equal(before.Generation))
	Expect(obj.Spec).To(Equal(before.Spec))
	Expect(isTrue(v1alpha1.ConditionInSync)(obj)).To(Equal(isTrue(v1alpha1.ConditionInSync)(before)))
	// Nothing comes later, either.
	Consistently(s.factsAndProfiles).WithContext(ctx).WithArguments(node).WithTimeout(time.Second).WithPolling(200 * time.Millisecond).Should(Equal(facts))
}

// during runs a command in a node, or in the hub, and another one when the spec is over.
func (s *suite) during(ctx context.Context, node, now, afterwards string) {
	GinkgoHelper()
	if now == "" {
		return
	}
	run := s.onHub
	if node != "" {
		run = func(ctx context.Context, command string) { s.must(ctx, node, command) }
	}
	run(ctx, now)
	DeferCleanup(func(ctx SpecContext) { run(ctx, afterwards) }, NodeTimeout(long))
}

// factsAndProfiles are lastingFacts, and NetworkManager's files.
func (s *suite) factsAndProfiles(ctx context.Context, node string) string {
	GinkgoHelper()
	return s.lastingFacts(ctx, node) + s.must(ctx, node, "grep -rv '^timestamp=' /etc/NetworkManager/system-connections 2>/dev/null | sort")
}

// cutEntry is the name of the reports' entries that have how long a node was cut off.
const cutEntry = "cut off"

// undoing is how long a node that was cut off took to undo the change after the time for the confirmation was over, and how
// long until its object said so.
type undoing struct {
	cut           string
	undone, shown time.Duration
}

// undone reads in the agent's log when a change was applied, and when it was undone.
func (s *suite) undone(ctx context.Context, node, id string, shown time.Time) undoing {
	GinkgoHelper()
	log, zone, err := s.agentLog(ctx, node)
	Expect(err).NotTo(HaveOccurred())
	applied, ended := time.Time{}, time.Time{}
	for line := range strings.Lines(log) {
		match := klogTime.FindString(line)
		if match == "" || !strings.Contains(line, fmt.Sprintf("change=%q", id)) {
			continue
		}
		at, err := time.ParseInLocation("2006 0102 15:04:05.000000", fmt.Sprintf("%d %s", shown.Year(), match[1:]), zone)
		Expect(err).NotTo(HaveOccurred(), line)
		switch {
		case strings.Contains(line, `"The change is applied, and is to be confirmed"`):
			applied = at
		case strings.Contains(line, `"The change has ended"`):
			ended = at
		}
	}
	Expect(applied).NotTo(BeZero(), "the agent's log does not say when change %s was applied", id)
	Expect(ended).NotTo(BeZero(), "the agent's log does not say when change %s was undone", id)
	return undoing{CurrentSpecReport().LeafNodeText, ended.Sub(applied) - cutTimeout, shown.Sub(applied) - cutTimeout}
}

// klogTime finds the level and time of a line of a log.
var klogTime = regexp.MustCompile(`[IWE]\d{4} \d\d:\d\d:\d\d\.\d{6}`)

// undoings is a table of how long the nodes that were cut off took, the longest first.
func undoings(report Report) string {
	var all []undoing
	for _, spec := range report.SpecReports {
		for _, entry := range spec.ReportEntries {
			if one, is := entry.GetRawValue().(undoing); is && entry.Name == cutEntry {
				all = append(all, one)
			}
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.SortFunc(all, func(one, other undoing) int { return int(other.undone - one.undone) })
	lines := []string{"\nnodes that were cut off; seconds after the end of the time for the confirmation until all was undone, and until the object said so:"}
	for _, one := range all {
		lines = append(lines, fmt.Sprintf("  %5.1f %5.1f  %s", one.undone.Seconds(), one.shown.Seconds(), one.cut))
	}
	return strings.Join(lines, "\n")
}

// lastingFacts are facts without the link-local addresses, which the kernel makes again when
// a link comes up, and NetworkManager takes away or not as its profile says.
func (s *suite) lastingFacts(ctx context.Context, node string) string {
	GinkgoHelper()
	return linkLocal.ReplaceAllString(s.facts(ctx, node), "")
}

var linkLocal = regexp.MustCompile(`fe80:\S+ *`)

// confirmed makes state the node's desired one, with a confirmation, and sends it once.
func (s *suite) confirmed(ctx context.Context, node, state, confirmation string) error {
	GinkgoHelper()
	patch := fmt.Appendf(nil, `[{"op":"add","path":"/spec","value":{"desiredState":%s,"confirmation":%s}}]`, state, confirmation)
	return s.clients(nil).NmstateV1alpha1().RESTClient().Patch(types.JSONPatchType).Resource("nodenetworkstates").Name(node).
		MaxRetries(0).Body(patch).Do(ctx).Error()
}

// ended waits until a change after before has ended, and the node can be asked.
func (s *suite) ended(ctx context.Context, node string, before *v1alpha1.NodeNetworkState) *v1alpha1.NodeNetworkState {
	GinkgoHelper()
	return s.waitFor(ctx, node, "", 3*time.Minute, func(obj *v1alpha1.NodeNetworkState) bool {
		last := obj.Status.LastApply
		return isTrue(v1alpha1.ConditionAvailable)(obj) && last != nil && last.FinishTime != nil &&
			(before.Status.LastApply == nil || last.ID != before.Status.LastApply.ID)
	})
}
