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
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// mistake is what a user does wrong with the plugin, and what he hears. In args and want, names of kubeconfigs and servers stand for
// what the specs make.
type mistake struct {
	name, args, input string
	code              int
	want              []string
}

const (
	eth1Up     = "interfaces:\n- {name: eth1, type: ethernet, state: up}\n"
	objectOf01 = "apiVersion: nmstate.io/v1alpha1\nkind: NodeNetworkState\nmetadata: {name: node01}\nspec: {desiredState: {interfaces: []}}\n"
	toNode01   = "apply -f - --node node01 --force-conflicts"
	policy     = "apiVersion: nmstate.io/v1\nkind: NodeNetworkConfigurationPolicy\nmetadata: {name: a}\n"
)

// of01 is a NodeNetworkState of node01 with these fields, too.
func of01(fields string) string {
	return "apiVersion: nmstate.io/v1alpha1\nkind: NodeNetworkState\nmetadata: {name: node01}\n" + fields + "\n"
}

// eth1With is the state of eth1 with these fields.
func eth1With(fields string) string {
	return "interfaces:\n- {name: eth1, type: ethernet, " + fields + "}\n"
}

// commandLines are mistakes on the command line.
var commandLines = []mistake{
	{"a command that there is not", "aply -f x", "", 2, []string{`unknown command "aply"`, "apply"}},
	{"a flag that there is not", "show --all", "", 2, []string{"unknown flag: --all", `See "kubectl nmstate show --help"`}},
	{"no node", "history", "", 2, []string{"one NODE is needed, and 0 are given", "Usage: kubectl nmstate history NODE"}},
	{"nodes and a selector", "show node01 -l a=b", "", 2, []string{"nodes are named, and -l selects some: give either"}},
	{"a selector that is none", "show -l a=b=c", "", 2, []string{`-l "a=b=c" is no label selector`, "topology.kubernetes.io/zone=a"}},
	{"a selector that matches nothing", "show -l zone=nowhere", "", 2, []string{`no node has labels that match "zone=nowhere"`, "--show-labels"}},
	{"an interval that is too short", "top --interval=1ms", "", 2, []string{"--interval=1ms must be at least 1s"}},
	{"an output that there is not", "show -o wide", "", 2, []string{"-o wide is not known: use table, yaml, json, name"}},
	{"a condition that there is not", "wait node01 --for=ready", "", 2, []string{"--for=ready is not known: use available, insync or idle"}},
	{"an unknown confirmation", toNode01 + " --confirm=maybe", eth1Up, 2, []string{"use reachability, manual or none"}},
	{"a timeout that is too short", toNode01 + " --timeout=1s", eth1Up, 2, []string{"--timeout=1s must be from 5s to 10m"}},
	{"a command of kubectl", "get node01", "", 2, []string{`unknown command "get"`, `"kubectl nmstate show" shows the network of nodes`}},
	{"a variable that is not set", "apply -f - --selector=", objectOf01, 2, []string{"--selector is empty"}},
	{"a comma too many", "apply -f - --node node01,", eth1Up, 2, []string{"--node is empty, or a part of it is"}},
	{"a blank instead of a comma", "apply -f - --node node01 node02", eth1Up, 2, []string{`"node02" is not expected here`}},
	{"a number without its unit", toNode01 + " --timeout=30", eth1Up, 2, []string{"Write the unit, too, as in 30s"}},
	{"a folder of kustomize", "apply -k overlays", "", 2, []string{"kubectl kustomize FOLDER"}},
	{"a probe that is none", toNode01 + " --probe=icmp", eth1Up, 2, []string{"--probe=icmp is none: write ping,"}},
}

// kubeconfigMistakes are mistakes about the server and who may do what.
var kubeconfigMistakes = []mistake{
	{"no kubeconfig", "show --kubeconfig=EMPTY", "", 2, []string{"no cluster is configured", "--kubeconfig or KUBECONFIG"}},
	{"a kubeconfig that is not there", "show --kubeconfig=/nowhere/config", "", 2, []string{"/nowhere/config", "is not there"}},
	{"a context that there is not", "show --context=production", "", 2, []string{`context "production" does not exist`, "kubectl config get-contexts"}},
	{"a server that is not there", "show --server=NOBODY", "", 6, []string{"the API server NOBODY cannot be reached", "Nothing listens there", "right kubeconfig"}},
	{"another server's certificate", "show --server=STRANGER", "", 6, []string{"STRANGER cannot be reached", "certificate", "Fetch the kubeconfig again"}},
	{"another server's certificate, and a change", toNode01 + " --server=STRANGER", eth1Up, 6, []string{"node01  not changed", "Fetch the kubeconfig again"}},
	{"a token that has expired", "show --kubeconfig=EXPIRED", "", 3, []string{"have expired"}},
	{"a change with a token that has expired", toNode01 + " --kubeconfig=EXPIRED", eth1Up, 3, []string{"node01  not changed", "have expired"}},
	{"a server without this API", "show --kubeconfig=OTHER", "", 3, []string{"this API server does not serve nmstate.io/v1alpha1", "right context"}},
	{"no credentials", "show --kubeconfig=ANONYMOUS", "", 3, []string{"credentials are missing"}},
	{"no right to read", "show --as=nobody", "", 3, []string{`User "nobody" cannot list`, "nodenetworkstates-viewer"}},
	{"no right to read one node", "show node01 --as=nobody", "", 3, []string{"node01: ", "cannot get", "nodenetworkstates-viewer"}},
	{"no right to change", toNode01 + " --as=nobody", eth1Up, 3, []string{"node01: ", "cannot patch", "nodenetworkstates-editor"}},
	{"no right to read ports", "top node01 --as=nobody", "", 3, []string{"node01: ", "nodenetworkstates/ports", "nodenetworkstates-viewer"}},
	{"no right to read the history", "history node01 --as=nobody", "", 3, []string{"node01: ", "nodenetworkstates/history", "nodenetworkstates-viewer"}},
}

// fileMistakes are mistakes in files.
var fileMistakes = []mistake{
	{"no file", "apply", "", 2, []string{"no file is given: name one with -f"}},
	{"a file that is not there", "apply -f nowhere.yaml", "", 2, []string{"there is no file nowhere.yaml"}},
	{"an empty file", toNode01, "# later\n", 2, []string{"standard input is empty"}},
	{"a tab", toNode01, "interfaces:\n\t- name: eth1\n", 2, []string{"standard input: line 2: found character"}},
	{"a key twice", toNode01, "interfaces:\n- name: eth1\n  mtu: 1\n  mtu: 2\n", 2, []string{`line 4: key "mtu" already set in map`}},
	{"two documents where one is expected", toNode01, eth1Up + "---\n" + eth1Up, 2, []string{"document 1 (line 1) is a bare state", "document 2 (line 4): one state is expected"}},
	{"a state for no node", "apply -f -", eth1Up, 2, []string{"it is a bare state, which is for no node", "--node"}},
	{"one node twice", "apply -f -", objectOf01 + "---\n" + objectOf01, 2, []string{`node "node01" is in standard input, document 1 (line 1) and in standard input, document 2 (line 6)`}},
	{"a node that no file is for", "apply -f - --node node01,node02", objectOf01, 2, []string{"--node node02: no file is for this node"}},
	{"a policy", "apply -f -", policy, 2, []string{"NodeNetworkConfigurationPolicy, which this API does not serve", "--node or -l"}},
	{"a policy for some nodes", "apply -f -", policy + "spec: {nodeSelector: {zone: a}, capture: {gw: a}}\n", 2, []string{"apply it with -l zone=a; instead of captures"}},
	{"a policy of nmstatectl", toNode01, "capture: {gw: a}\ndesiredState: {}\n", 2, []string{`"nmstatectl policy FILE"`}},
	{"a Secret", "apply -f -", "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n", 2, []string{"it is a Secret of v1"}},
	{"a status alone", "apply -f -", of01("status: {currentState: {interfaces: []}}"), 2, []string{"it has a status and no spec"}},
	{"a number as the name", "apply -f -", "apiVersion: nmstate.io/v1alpha1\nkind: NodeNetworkState\nmetadata: {name: 1}\n", 2, []string{"write the name of the node in quotes"}},
	{"two states without a line between", toNode01, `{"interfaces":[]}{"routes":{}}`, 2, []string{"document 2 (line 1): one state is expected"}},
	{"something after the end", toNode01, eth1Up + "...\n" + eth1Up, 2, []string{"there is more after its end"}},
	{"what show prints of several nodes", toNode01, "nodes:\n- {node: node01, state: {}}\n", 2, []string{"print one node, and apply that"}},
	{"a desired state beside the spec", "diff -f -", of01("desiredState: {interfaces: []}"), 3, []string{"node01: ", ".desiredState: field not declared", "spec.desiredState"}},
	{"interfaces in the spec itself", "diff -f -", of01("spec: {interfaces: []}"), 3, []string{".spec.interfaces: field not declared", `"kubectl explain nns.spec"`}},
	{"a state as a text", "diff -f -", of01("spec:\n  desiredState: |\n    interfaces: []"), 3, []string{"spec.desiredState", "must be an object in nmstate's format"}},
	{"another kind", "diff -f -", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", 2, []string{"it is a ConfigMap of v1"}},
	{"kubernetes-nmstate's version", "apply -f -", strings.Replace(objectOf01, "v1alpha1", "v1beta1", 1), 2, []string{`apiVersion is "nmstate.io/v1beta1"`, `write "nmstate.io/v1alpha1"`}},
	{"a typo in a field", toNode01, "interfaces:\n- {name: eth1, type: ethernet, state: up, mtuu: 1500}\n", 3, []string{"node01: ", `unknown field "spec.desiredState.interfaces[name=eth1].mtuu", did you mean "mtu"?`, "--validate=warn"}},
	{"a typo in a type", toNode01, "interfaces:\n- {name: eth1.5, type: vlam, state: up}\n", 3, []string{"interfaces[name=eth1.5].type", `did you mean "vlan"?`}},
	{"a word that YAML reads as true", toNode01, eth1With("state: on"), 3, []string{"interfaces[name=eth1].state", "in quotes", `did you mean "up"?`}},
	{"an address with its prefix", toNode01, eth1With("state: up, ipv4: {enabled: true, address: [{ip: 192.0.2.3/24}]}"), 3, []string{"address[0].ip", "write it without its prefix"}},
	{"an interface that the node lacks", toNode01, "interfaces:\n- {name: eth9, type: ethernet, state: up}\n", 3, []string{"node01: ", "eth9", "Nothing was changed"}},
	{"a value of another type", toNode01, "interfaces:\n- {name: eth1, type: ethernet, state: up, mtu: big}\n", 3, []string{"spec.desiredState.interfaces[name=eth1].mtu", "must be a number of bytes", "Nothing was changed"}},
	{"a state that nmstate refuses", toNode01, "interfaces:\n- {name: ve9, type: veth, state: up}\n", 3, []string{"node01: ", "ve9", "Nothing was changed"}},
	{"a URL without a scheme", toNode01 + " --probe=http=example.org", eth1Up, 3, []string{"spec.probes[0].http.url", `"kubectl explain nns.spec.probes --recursive"`}},
	{"a probe that cannot be", toNode01 + " --probe=tcp=192.0.2.1", eth1Up, 3, []string{"spec.probes[0].tcp.address", "must be host and port"}},
}

// nodeMistakes are mistakes about nodes and their changes.
var nodeMistakes = []mistake{
	{"a node that there is not", "show nodeO1", "", 3, []string{`there is no node "nodeO1"`, "The nodes are node01, node02, node03"}},
	{"one among others", "show node01 nowhere", "", 3, []string{"mgmt0", `there is no node "nowhere"`}},
	{"a change of a node that there is not", "apply -f - --node nowhere", eth1Up, 3, []string{`there is no node "nowhere"`, "The nodes are"}},
	{"an interface that there is not", "show node01 -i eht1", "", 2, []string{`there is no interface "eht1"`, "eth1, eth2"}},
	{"interfaces instead of a node", "show interfaces", "", 3, []string{`there is no node "interfaces"`}},
	{"a node that there is not, and is waited for", "wait nowhere --timeout=5s", "", 3, []string{`there is no node "nowhere"`}},
	{"a node instead of a change", "confirm node01", "", 2, []string{`"node01" is a node: give the ID of its change`}},
	{"a change without its node", "undo 12345678", "", 3, []string{`"kubectl nmstate undo NODE 12345678"`}},
	{"a rollback of a change that has ended", "rollback 12345678", "", 3, []string{`taken back by "kubectl nmstate undo NODE ID"`}},
	{"a change that waits for nobody", "confirm 12345678", "", 3, []string{`no change whose id begins with "12345678" waits for a confirmation`, "history"}},
	{"a change that there was not", "undo node01 zzzz --yes", "", 2, []string{`node01: its last`, `no id that begins with "zzzz"`, "kubectl nmstate history node01"}},
}

func (p plugin) mistakeSpecs() {
	stands := map[string]string{}
	BeforeEach(func() { p.makeMistakable(stands) })
	for _, all := range [][]mistake{commandLines, kubeconfigMistakes, fileMistakes, nodeMistakes} {
		for _, m := range all {
			It(m.name, NodeTimeout(long), func(ctx SpecContext) { p.hears(ctx, m, stands) })
		}
	}
	It("Ctrl-C while the terminal is read", NodeTimeout(long), func(ctx SpecContext) {
		t := newTerminal()
		cmd := p.command(ctx, "apply", "-f", "-", "--node", "node01")
		shown := t.start(cmd)
		Eventually(shown).WithContext(ctx).WithTimeout(long).Should(ContainElement(ContainSubstring("Reading standard input")))
		t.write("interfaces:\n\x03")
		_ = cmd.Wait()
		Expect(cmd.ProcessState.ExitCode()).To(Equal(130), "%s", shown())
		Eventually(shown).WithContext(ctx).WithTimeout(long).Should(ContainElement(ContainSubstring("nothing was changed")))
	})
	It("a terminal without colours", NodeTimeout(long), func(ctx SpecContext) {
		t := newTerminal()
		cmd := p.command(ctx, "diff", "-f", "/dev/fd/3", "--node", "node02", "--force-conflicts")
		cmd.ExtraFiles, cmd.Env = []*os.File{fileOf(plugOther)}, append(slices.DeleteFunc(cmd.Env, func(v string) bool { return v == "NO_COLOR=1" }), "TERM=dumb")
		shown := t.start(cmd)
		_ = cmd.Wait()
		Expect(cmd.ProcessState.ExitCode()).To(Equal(1), "%s", shown())
		Eventually(shown).WithContext(ctx).WithTimeout(long).Should(ContainElement(ContainSubstring("plug1")))
		Expect(strings.Join(shown(), "\n")).NotTo(ContainSubstring("\x1b"))
	})
	It("what others own", NodeTimeout(long), func(ctx SpecContext) {
		p.desireAfterwards("node01", "null")
		p.hears(ctx, mistake{"", toNode01 + " --field-manager=first", eth1Up, 0, []string{"node01  "}}, stands)
		p.hears(ctx, mistake{"", "apply -f - --node node01 --field-manager=second", strings.Replace(eth1Up, "up", "down", 1), 3,
			[]string{`with "first"`, "interfaces", "kubectl nmstate blame", "--force-conflicts"}}, stands)
	})
	It("a node whose agent is gone", NodeTimeout(2*long), func(ctx SpecContext) {
		DeferCleanup(func(ctx SpecContext) {
			Expect(p.startAgent(ctx, "node03")).To(Succeed())
			p.available(ctx, "node03")
		}, NodeTimeout(long))
		Expect(p.killAgent(ctx, "node03")).To(Succeed())
		p.waitFor(ctx, "node03", "", long, lost)
		p.hears(ctx, mistake{"", "show node03", "", 6, []string{"node03: it is not available (AgentUnreachable)", "does its agent run?"}}, stands)
		p.hears(ctx, mistake{"", "show -o json", "", 6, []string{`"available": false`, `"available": true`}}, stands)
		p.hears(ctx, mistake{"", "diff -f - --node node03", eth1Up, 6, []string{"node03: it is not available"}}, stands)
		p.hears(ctx, mistake{"", "apply -f - --node node03 --force-conflicts", eth1Up, 6,
			[]string{"node03: ", "Nothing was changed", "--for=available"}}, stands)
		p.hears(ctx, mistake{"", "top node03 node01 --once --interval=1s -i mgmt0", "", 6, []string{"node01   mgmt0", "node03: ", "does its agent run?"}}, stands)
		p.hears(ctx, mistake{"", "history node03", "", 6, []string{"node03: ", "--for=available"}}, stands)
		p.hears(ctx, mistake{"", "wait node03 --timeout=1s", "", 5, []string{"node03: not available within 1s: Available is Unknown (AgentUnreachable)"}}, stands)
	})
}

// hears makes the mistake.
func (p plugin) hears(ctx SpecContext, m mistake, stands map[string]string) {
	GinkgoHelper()
	fill := func(text string) string {
		for name, value := range stands {
			text = strings.ReplaceAll(text, name, value)
		}
		return text
	}
	got := p.run(ctx, m.input, strings.Fields(fill(m.args))...)
	Expect(got.code).To(Equal(m.code), "%+v", got)
	for _, want := range m.want {
		Expect(got.out + got.err).To(ContainSubstring("%s", fill(want)))
	}
}

// makeMistakable makes servers that are none of ours, and kubeconfigs that lead nowhere.
func (p plugin) makeMistakable(stands map[string]string) {
	GinkgoHelper()
	folder := GinkgoT().TempDir()
	stranger := httptest.NewTLSServer(http.NotFoundHandler())
	DeferCleanup(stranger.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	nobody := "https://" + listener.Addr().String()
	Expect(listener.Close()).To(Succeed())
	stands["STRANGER"], stands["NOBODY"] = stranger.URL, nobody
	for name, server := range map[string]string{"EMPTY": "", "OTHER": stranger.URL, "ANONYMOUS": p.restConfig().Host, "EXPIRED": p.restConfig().Host} {
		text := "apiVersion: v1\nkind: Config\n"
		if server != "" {
			text += fmt.Sprintf("clusters: [{name: a, cluster: {server: %q, insecure-skip-tls-verify: true}}]\ncontexts: [{name: a, context: {cluster: a}}]\ncurrent-context: a\n", server)
		}
		if name == "EXPIRED" {
			text = strings.Replace(text, "{cluster: a}", "{cluster: a, user: a}", 1) + "users: [{name: a, user: {token: a.b.c}}]\n"
		}
		stands[name] = filepath.Join(folder, strings.ToLower(name))
		Expect(os.WriteFile(stands[name], []byte(text), 0o600)).To(Succeed())
	}
}
