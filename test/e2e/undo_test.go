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
	"encoding/json"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// takesBridgeBack: the spec has nothing of the bridge's port afterwards, which would stand against the bridge when it is to come again. The
// change that takes the port out of the spec is told of.
func (p plugin) takesBridgeBack(ctx SpecContext) {
	const bridge = "interfaces:\n- {name: plug3, type: linux-bridge, state: up, bridge: {options: {stp: {enabled: false}}, port: [{name: eth2}]}}\n"
	p.desire(ctx, pluginNode, "null")
	facts := p.facts(ctx, pluginNode)
	for _, force := range []string{"--force-conflicts=false", "--force-conflicts"} {
		made := p.run(ctx, bridge, "apply", "-f", "-", "--node", pluginNode, force)
		Expect(made.code).To(BeZero(), "%+v", made)
		undone := p.run(ctx, "", "undo", pluginNode, "--yes", "-o", "json")
		Expect(undone.code).To(BeZero(), "%+v", undone)
		Expect(undone.err).NotTo(ContainSubstring("still has"))
		var told struct {
			Results []struct {
				ID   string
				Rest struct{ ID string }
			}
		}
		Expect(json.Unmarshal([]byte(undone.out), &told)).To(Succeed(), undone.out)
		Expect(told.Results).To(HaveLen(1))
		last := p.get(ctx, pluginNode).Status.LastApply
		Expect(last.ID).To(And(Equal(told.Results[0].Rest.ID), Not(Equal(told.Results[0].ID))), undone.out)
		Expect(p.get(ctx, pluginNode).Spec.DesiredState.Raw).To(MatchJSON(`{"interfaces":[{"name":"plug3","type":"linux-bridge","state":"absent"}]}`))
		Expect(p.facts(ctx, pluginNode)).To(Equal(facts))
		Expect(p.run(ctx, bridge, "apply", "-f", "-", "--node", pluginNode).code).To(Equal(3), "it is not made anew without knowing")
	}
}

// asksTwice: whether a change is to be taken back, and, where the spec of before has changes confirmed by hand, whether it stays so.
func (p plugin) asksTwice(ctx SpecContext) {
	p.desire(ctx, pluginNode, `{"interfaces":[{"name":"plug1","type":"linux-bridge","state":"absent"}]}`)
	const absent = "interfaces:\n- {name: plug1, type: linux-bridge, state: absent}\n"
	Expect(p.run(ctx, absent, "apply", "-f", "-", "--node", pluginNode, "--confirm=manual").code).To(BeZero(), "the network is not asked for anything")
	Expect(p.run(ctx, plugOther, "apply", "-f", "-", "--node", pluginNode, "--force-conflicts").code).To(BeZero())
	t := newTerminal()
	cmd := p.command(ctx, "undo", pluginNode)
	shown := t.start(cmd)
	Eventually(shown).WithContext(ctx).WithTimeout(long).Should(ContainElement(ContainSubstring("take it back? [y/N]")))
	t.write("y\n")
	Eventually(shown).WithContext(ctx).WithTimeout(long).Should(ContainElement(ContainSubstring("Keep it? [y/n]")))
	refused := p.run(ctx, "", "undo", pluginNode, "--yes")
	Expect(refused.code).To(Equal(6))
	Expect(refused.err).To(ContainSubstring("End it first: \"kubectl nmstate rollback"))
	t.write("y\n")
	Expect(cmd.Wait()).To(Succeed(), "%s", shown())
	obj := p.get(ctx, pluginNode)
	Expect(obj.Status.LastApply.Outcome).To(Equal(v1alpha1.ApplyCommitted))
	Expect(obj.Spec.Confirmation.Mode).To(Equal(v1alpha1.ConfirmManually))
}
