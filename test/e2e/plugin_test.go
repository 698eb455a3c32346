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
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

var updateGolden = flag.Bool("update", false, "write the golden files of the kubectl plugin, of the form standalone")

// pluginNode is the node that the plugin changes.
const pluginNode = "node03"

// plugin is the kubectl plugin, as a user calls it.
type plugin struct{ *suite }

// ran is what has come of calling it.
type ran struct {
	out, err string
	code     int
}

// pluginSpecs call each command of the plugin. Those that change something build on one another.
func (s *suite) pluginSpecs() {
	p := plugin{s}
	Describe("each command", Ordered, ContinueOnFailure, func() {
		BeforeAll(func(ctx SpecContext) { s.desire(ctx, pluginNode, "null") }, NodeTimeout(long))
		AfterAll(func(ctx SpecContext) {
			s.desire(ctx, pluginNode, `{"interfaces":[{"name":"plug0","type":"linux-bridge","state":"absent"},{"name":"plug1","type":"linux-bridge","state":"absent"}]}`)
		}, NodeTimeout(long))
		for _, c := range pluginCalls {
			It(c.name, NodeTimeout(long), func(ctx SpecContext) { p.try(ctx, c) })
		}
		It("leaves nodes alone after one that has failed", NodeTimeout(long), p.leavesNodes)
		It("confirms a change by the beginning of its id", NodeTimeout(long), p.confirms)
		It("asks at the terminal what becomes of a change", NodeTimeout(long), p.asks)
		It("takes a bridge back, and makes it anew by force", NodeTimeout(long), p.takesBridgeBack)
		It("asks twice where taking back is to be confirmed by hand", NodeTimeout(long), p.asksTwice)
		It("says what goes on when it is interrupted", NodeTimeout(long), p.interrupted)
		It("watches changes, from outside too", NodeTimeout(long), p.watches)
		It("shows what passes at the terminal, until it is interrupted", NodeTimeout(long), p.tops)
	})
	It("completes command lines for kubectl", NodeTimeout(long), p.completes)
	It("prints JSON for each command", NodeTimeout(long), p.printsJSON)
	Describe("mistakes", p.mistakeSpecs)
}

// pluginCall is a call of the plugin; what it prints is in a golden file of its name.
type pluginCall struct {
	name, args, input string
	code              int
	// lines is how many lines of the output are compared, if not all.
	lines int
}

const (
	plugBridge = "interfaces:\n- name: plug0\n  type: linux-bridge\n  state: up\n  ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.91, prefix-length: 24}]}\n  bridge: {options: {stp: {enabled: false}}, port: []}\n"
	plugMTU    = "interfaces:\n- name: plug0\n  type: linux-bridge\n  state: up\n  mtu: 1400\n  ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.92, prefix-length: 24}]}\n  bridge: {options: {stp: {enabled: false}}, port: []}\n"
	// plugRefused is refused by each node: nmstate makes no veth without a peer.
	plugRefused = "interfaces:\n- {name: plug2, type: veth, state: up}\n"
	plugOther   = "interfaces:\n- {name: plug1, type: linux-bridge, state: up, bridge: {port: []}}\n"
)

// plugSpec has each field of a spec.
const plugSpec = `apiVersion: nmstate.io/v1alpha1
kind: NodeNetworkState
metadata: {name: node03}
spec:
  desiredState: {interfaces: [{name: plug0, type: linux-bridge, state: up, bridge: {port: []}}]}
  probes: [{name: router, ping: {address: 192.0.2.1}}]
  confirmation: {mode: Reachability, timeout: 40s}
  reapply: Always
  removal: Revert
`

var plugObject = strings.Replace(bridgeOnNode03, "kbr0", "plug0", 1) + "      mtu: 1450\n"

var pluginCalls = []pluginCall{
	{name: "diff of a new interface", args: "diff -f - --node node03", input: plugBridge, code: 1},
	{name: "apply of a bare state", args: "apply -f - --node node03 --probe ping=198.51.100.91", input: plugBridge},
	{name: "apply again", args: "apply -f - --node node03 --probe ping=198.51.100.91", input: plugBridge},
	{name: "show", args: "show node03 -i plug0"},
	{name: "show of several nodes", args: "show -i lo"},
	{name: "show -o name", args: "show node03 -o name -i plug0"},
	{name: "top", args: "top node03 -i lo --once --interval=1s"},
	{name: "diff of nothing", args: "diff -f - --node node03 --probe ping=198.51.100.91", input: plugBridge},
	{name: "diff", args: "diff -f - --node node03 --confirm=none", input: plugMTU, code: 1},
	{name: "apply of a NodeNetworkState", args: "apply -f -", input: plugObject},
	{name: "history", args: "history node03", lines: 3},
	{name: "blame", args: "blame node03"},
	{name: "undo", args: "undo node03 --yes"},
	{name: "blame after undo", args: "blame node03"},
	{name: "apply of what was undone", args: "apply -f -", input: plugObject, code: 3},
	{name: "apply after undo", args: "apply -f - --node node03", input: plugBridge},
	{name: "wait", args: "wait node03 --for=available,insync,idle"},
	{name: "apply of each field of a spec", args: "apply -f -", input: plugSpec},
	{name: "blame of each field of a spec", args: "blame node03"},
	{name: "undo of each field of a spec", args: "undo node03 --yes"},
	{name: "blame after undo of each field", args: "blame node03"},
	{name: "apply to nodes of which the first refuses", args: "apply -f - --node node03,node01", input: plugRefused, code: 3},
}

// try calls the plugin and compares what it prints with the golden file.
func (p plugin) try(ctx SpecContext, c pluginCall) {
	got := p.run(ctx, c.input, strings.Fields(c.args)...)
	Expect(got.code).To(Equal(c.code), "%+v", got)
	if all := strings.SplitAfter(got.out, "\n"); c.lines > 0 && len(all) > c.lines {
		got.out = strings.Join(all[:c.lines], "")
	}
	p.golden(c.name, c.args, got)
}

// golden compares what was printed with a file, but for what differs from run to run and from form to form.
func (p plugin) golden(name, args string, got ran) {
	GinkgoHelper()
	text := fmt.Sprintf("$ kubectl nmstate %s\n%s%sexit code %d\n", args, steady(got.out), steady(got.err), got.code)
	path := filepath.Join("testdata", "plugin", strings.ReplaceAll(name, " ", "-")+".txt")
	if *updateGolden {
		Expect(os.WriteFile(path, []byte(text), 0o644)).To(Succeed())
	}
	want, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	Expect(text).To(Equal(string(want)), "go test ./test/e2e -update -ginkgo.focus='the plugin' writes it")
}

// variable is what differs from run to run, and what stands for it.
var variable = []struct {
	is    *regexp.Regexp
	shown string
}{
	// Which stages are seen depends on how fast they are.
	{regexp.MustCompile(`(?m)^.*  (Checking|Preparing|Applying|Confirming|RollingBack)(  probes.*)?\n`), ""},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`(?m)^[0-9a-f]{8} `), "ID       "},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`in \d+(\.\d+)?m?s\b`), "in 1s"},
	{regexp.MustCompile(`(TIME +)\d+s `), "${1}1s "},
	{regexp.MustCompile(`confirmed by \w+`), "confirmed by APIServer"},
	{regexp.MustCompile(` +\n`), "\n"},
	// Columns are as wide as their widest cell, also of lines that are not compared.
	{regexp.MustCompile(`(\S) {2,}`), "$1  "},
	// The kernel takes the carrier of a bridge without ports away after a while.
	{regexp.MustCompile(`  (yes|no)  (\d)`), "  CARRIER  $2"},
}

func steady(text string) string {
	for _, v := range variable {
		text = v.is.ReplaceAllString(text, v.shown)
	}
	return text
}

func (p plugin) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.root+"/_output/bin/kubectl-nmstate", args...)
	cmd.Env = append(cmd.Environ(), "KUBECONFIG="+p.kubeconfig(), "NO_COLOR=1")
	// Nobody sits at the terminal that the tests may have been started from.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// run calls the plugin with something on its standard input.
func (p plugin) run(ctx context.Context, input string, args ...string) ran {
	GinkgoHelper()
	cmd := p.command(ctx, args...)
	cmd.Stdin = strings.NewReader(input)
	return p.finish(cmd)
}

// finish runs a command and returns what has come of it.
func (p plugin) finish(cmd *exec.Cmd) ran {
	GinkgoHelper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	exit := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &exit) {
		Expect(err).NotTo(HaveOccurred())
	}
	return ran{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// leavesNodes: the nodes after one that has failed are named, and not asked for anything. With --at-once more nodes have begun by then.
func (p plugin) leavesNodes(ctx SpecContext) {
	for atOnce, want := range map[string]struct{ tried, left []string }{
		"1": {[]string{"node01"}, []string{pluginNode}},
		"2": {[]string{"node01", pluginNode}, []string{}},
	} {
		before := p.get(ctx, pluginNode).Status.LastApply.ID
		got := p.run(ctx, plugRefused, "apply", "-f", "-", "--node", pluginNode+",node01", "--at-once", atOnce, "-o", "json")
		Expect(got.code).To(Equal(3), "%+v", got)
		var told struct {
			Results []struct {
				Node  string
				Error struct{ Code int }
			}
			NotTried []string
		}
		Expect(json.Unmarshal([]byte(got.out), &told)).To(Succeed())
		Expect(told.NotTried).To(Equal(want.left))
		var tried []string
		for _, result := range told.Results {
			tried = append(tried, result.Node)
			Expect(result.Error.Code).To(Equal(3), "%+v", result)
		}
		Expect(tried).To(Equal(want.tried))
		Expect(p.get(ctx, pluginNode).Status.LastApply.ID == before).To(Equal(len(want.left) > 0), "a node that is not tried tells of no change")
	}
}

// confirms: without a terminal a change that waits is left, and ended by its id.
func (p plugin) confirms(ctx SpecContext) {
	for _, decision := range []struct {
		command string
		outcome v1alpha1.ApplyOutcome
	}{{"rollback", v1alpha1.ApplyRolledBack}, {"confirm", v1alpha1.ApplyCommitted}} {
		left := p.run(ctx, plugOther, "apply", "-f", "-", "--node", pluginNode, "--confirm=manual", "--force-conflicts")
		Expect(left.code).To(Equal(5), "%+v", left)
		id := p.get(ctx, pluginNode).Status.LastApply.ID
		Expect(left.err).To(ContainSubstring("kubectl nmstate %s %s", decision.command, id))
		got := p.run(ctx, "", decision.command, id[:8])
		Expect(got).To(Equal(ran{fmt.Sprintf("%s: %s  change %s\n", pluginNode, decision.outcome, id), "", 0}))
		Expect(p.get(ctx, pluginNode).Status.LastApply.Outcome).To(Equal(decision.outcome))
	}
}

// asks: at a terminal the user decides.
func (p plugin) asks(ctx SpecContext) {
	for answer, code := range map[string]int{"n": 4, "y": 0} {
		p.desire(ctx, pluginNode, `{"interfaces":[{"name":"plug1","type":"linux-bridge","state":"absent"}]}`)
		t := newTerminal()
		cmd := p.command(ctx, "apply", "-f", "/dev/fd/3", "--node", pluginNode, "--confirm=manual", "--force-conflicts")
		cmd.ExtraFiles = []*os.File{fileOf(plugOther)}
		shown := t.start(cmd)
		Eventually(shown).WithContext(ctx).WithTimeout(long).Should(ContainElement(ContainSubstring("Keep it? [y/n]")))
		t.write("what?\n" + answer + "\n")
		err := cmd.Wait()
		Expect(cmd.ProcessState.ExitCode()).To(Equal(code), "%v, %s", err, shown())
		Expect(strings.Count(strings.Join(shown(), ""), "Keep it?")).To(Equal(2), "it asks again after an answer that is none")
	}
}

// interrupted: Ctrl-C at the terminal leaves the change to the node.
func (p plugin) interrupted(ctx SpecContext) {
	p.desire(ctx, pluginNode, `{"interfaces":[{"name":"plug1","type":"linux-bridge","state":"absent"}]}`)
	t := newTerminal()
	cmd := p.command(ctx, "apply", "-f", "/dev/fd/3", "--node", pluginNode, "--confirm=manual", "--force-conflicts")
	cmd.ExtraFiles = []*os.File{fileOf(plugOther)}
	shown := t.start(cmd)
	Eventually(shown).WithContext(ctx).WithTimeout(long).Should(ContainElement(ContainSubstring("Keep it? [y/n]")))
	t.write("\x03")
	_ = cmd.Wait()
	Expect(cmd.ProcessState.ExitCode()).To(Equal(130), "%s", shown())
	id := p.get(ctx, pluginNode).Status.LastApply.ID
	Eventually(shown).WithContext(ctx).WithTimeout(long).Should(ContainElement(ContainSubstring("change %s is in effect and waits for a confirmation until", id)))
	Expect(p.run(ctx, "", "rollback", id, "--node", pluginNode).code).To(BeZero())
}

// watches tells of a change from outside, and of one through the API.
func (p plugin) watches(ctx SpecContext) {
	p.desire(ctx, pluginNode, `{"interfaces":[{"name":"plug1","type":"linux-bridge","state":"absent"}]}`)
	cmd := p.command(ctx, "watch", pluginNode)
	lines := newLines()
	cmd.Stdout, cmd.Stderr = lines, lines
	Expect(cmd.Start()).To(Succeed())
	// What is there when it begins is told of no more: something has to happen until it has begun.
	Eventually(func() []string {
		p.must(ctx, pluginNode, "ip addr add 198.18.107.1/32 dev mgmt0; ip addr del 198.18.107.1/32 dev mgmt0; ip addr add 198.18.107.2/32 dev mgmt0")
		p.must(ctx, pluginNode, "ip addr del 198.18.107.2/32 dev mgmt0")
		return lines.all()
	}).WithContext(ctx).WithTimeout(long).ShouldNot(BeEmpty())
	p.must(ctx, pluginNode, "ip addr add 198.18.107.3/32 dev mgmt0")
	Eventually(lines.all).WithContext(ctx).WithTimeout(long).Should(ContainElement(MatchRegexp(`^\d\d:\d\d:\d\d  node03  address mgmt0  - → 198\.18\.107\.3/32  \(outside\)$`)))
	p.must(ctx, pluginNode, "ip addr del 198.18.107.3/32 dev mgmt0")
	Expect(p.run(ctx, plugOther, "apply", "-f", "-", "--node", pluginNode, "--force-conflicts").code).To(BeZero())
	id, _, _ := strings.Cut(p.get(ctx, pluginNode).Status.LastApply.ID, "-")
	Eventually(lines.all).WithContext(ctx).WithTimeout(long).Should(And(
		ContainElement(MatchRegexp(`  node03  interface plug1  - → linux-bridge, up, mtu \d+  \(by change %s of \S+\)$`, id)),
		ContainElement(MatchRegexp(`  node03  change %s of \S+  .* → Committed$`, id))))
	Expect(cmd.Process.Signal(os.Interrupt)).To(Succeed())
	Expect(cmd.Wait()).To(Succeed())
}

// tops: at a terminal the table is printed over.
func (p plugin) tops(ctx SpecContext) {
	t := newTerminal()
	cmd := p.command(ctx, "top", "-i", "mgmt0", "--interval=1s")
	shown := t.start(cmd)
	// A terminal moves up as many lines as were printed.
	Eventually(shown).WithContext(ctx).WithTimeout(long).Should(ContainElement(Equal(fmt.Sprintf("\x1b[J\x1b[%dA", 1+len(p.nodes())))))
	Eventually(shown).WithContext(ctx).WithTimeout(long).Should(ContainElement(MatchRegexp(`^node03 +mgmt0 +yes +10G +[\d.]+k? +[\d.]+k? +[\d.]+ +[\d.]+ +0 +0\x1b\[K$`)))
	t.write("\x03")
	Expect(cmd.Wait()).To(Succeed())
}

// completes: kubectl finds the plugin, and asks it what fits.
func (p plugin) completes(ctx SpecContext) {
	complete := func(args ...string) []string {
		cmd := p.kubectlCommand(ctx, append([]string{"__complete", "nmstate"}, args...)...)
		// kubectl looks for plugins on the PATH, and leaves its own flags to the shell.
		cmd.Args = slices.DeleteFunc(cmd.Args, func(arg string) bool { return arg == "--kubeconfig" || arg == p.kubeconfig() })
		cmd.Env = append(cmd.Environ(), "KUBECONFIG="+p.kubeconfig(), "PATH="+p.root+"/_output/bin:"+os.Getenv("PATH"))
		out, err := cmd.Output()
		Expect(err).NotTo(HaveOccurred())
		return strings.Split(string(out), "\n")
	}
	Expect(complete("hi")).To(ContainElement(HavePrefix("history\t")))
	Expect(complete("show", "node01", "")).To(And(ContainElements("node02", "node03"), Not(ContainElement("node01"))))
	Expect(complete("show", "node01", "-i", "eth")).To(And(ContainElements("eth1", "eth2", "eth3"), Not(ContainElement("mgmt0"))))
	Expect(complete("apply", "--confirm", "")).To(ContainElements("reachability", "manual", "none"))
	Expect(complete("undo", pluginNode, "")).To(ContainElement(MatchRegexp(`^[0-9a-f-]{36}$`)))
}

// printsJSON: each command prints JSON alone on its standard output.
func (p plugin) printsJSON(ctx SpecContext) {
	const state = "interfaces:\n- {name: eth1, type: ethernet, state: up}\n"
	for _, args := range []string{
		"show", "show node01", "show node01 -i mgmt0", "diff -f - --node node01,node02 --force-conflicts", "apply -f - --node node01 --force-conflicts",
		"history node01", "blame node01", "wait node01", "undo node01 --yes", "top --once --interval=1s",
	} {
		got := p.run(ctx, state, append(strings.Fields(args), "-o", "json")...)
		Expect(json.Valid([]byte(got.out))).To(BeTrue(), "%s prints %+v", args, got)
	}
}
