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
	"bufio"
	"context"
	"reflect"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

const bridgeOnNode03 = `
apiVersion: nmstate.io/v1alpha1
kind: NodeNetworkState
metadata:
  name: node03
spec:
  desiredState:
    interfaces:
    - name: kbr0
      type: linux-bridge
      state: up
      bridge: {port: []}
`

// command is what kubectl is called with and prints; each does what it does for
// a built-in resource. They build on one another.
// onNowhere is for a node that there is not.
var onNowhere = strings.Replace(bridgeOnNode03, "node03", "nowhere", 1)

// routesOnNode03 is for the routes of a node, which are to follow.
const routesOnNode03 = `
apiVersion: nmstate.io/v1alpha1
kind: NodeNetworkState
metadata:
  name: node03
spec:
  desiredState:
    routes: `

type command struct {
	name  string
	input string
	args  string
	fails bool
	want  []string
}

var reading = []command{
	{name: "get", args: "get nodenetworkstates", want: []string{"NAME", "AVAILABLE", "IN SYNC", "INTERFACES", "DEFAULT ROUTE", "LAST APPLY", "AGE", "node01", "node02", "node03"}},
	{name: "get -o wide", args: "get nns -o wide", want: []string{"PROBLEM", "JOINED", "ADDRESSES", "BACKEND", "192.0.2.11/24", "NetworkManager"}},
	{name: "get -o yaml", args: "get nns node01 -o yaml", want: []string{"currentState:", "name: mgmt0", "backend: NetworkManager"}},
	{name: "get by category", args: "get nmstate", want: []string{"node01"}},
	{name: "get -l", args: "get nns -l kubernetes.io/hostname=node01 -o name", want: []string{"=nodenetworkstate.nmstate.io/node01\n"}},
	{name: "get -l, two", args: "get nns -l kubernetes.io/hostname!=node01 -o name", want: []string{"=nodenetworkstate.nmstate.io/node02\nnodenetworkstate.nmstate.io/node03\n"}},
	{name: "get --field-selector of the name", args: "get nns --field-selector metadata.name=node02 -o name", want: []string{"=nodenetworkstate.nmstate.io/node02\n"}},
	{name: "get --field-selector of a condition", args: "get nns --field-selector status.conditions.Available=True -o name", want: []string{"node01", "node02", "node03"}},
	{name: "get --field-selector of a condition, none", args: "get nns --field-selector status.conditions.Available=False -o name", want: []string{"="}},
	{name: "get --field-selector of something else", args: "get nns --field-selector spec.x=1", fails: true, want: []string{"spec.x", "status.conditions."}},
	{name: "get --chunk-size", args: "get nns --chunk-size=1 -v=6", want: []string{"limit=1", "continue=", "node01", "node02", "node03"}},
	{name: "explain", args: "explain nns.spec.desiredState", want: []string{"nmstate state that was last committed", "nmstate.io/devel/yaml_api.html"}},
	{name: "explain a state", args: "explain nns.spec.desiredState.interfaces.bridge.options.stp", want: []string{"hello-time", "in seconds. From 1 to 10."}},
	{name: "explain a state by OpenAPI v2", args: "explain nns.status.currentState.interfaces --output=plaintext-openapiv2", want: []string{"link-aggregation", "min-mtu"}},
	{name: "explain --recursive", args: "explain nns.status --recursive", want: []string{"currentState", "lastApply", "outcome"}},
	{name: "api-resources", args: "api-resources --api-group=nmstate.io --no-headers -o wide", want: []string{"nodenetworkstates", "nns", "nmstate.io/v1alpha1", "false", "NodeNetworkState", "get,list,patch,update,watch", "nmstate"}},
	{name: "wait", args: "wait --for=condition=Available nns --all --timeout=30s", want: []string{"node01 condition met", "node02 condition met", "node03 condition met"}},
	{name: "wait, in vain", args: "wait --for=condition=Failing=Unknown nns node01 --timeout=1s", fails: true, want: []string{"timed out"}},
	{name: "get of no node", args: "get nns nowhere", fails: true, want: []string{"NotFound"}},
}

var writing = []command{
	{name: "create", input: bridgeOnNode03, args: "create -f -", fails: true, want: []string{"MethodNotAllowed", "is there already"}},
	{name: "create of no node", input: onNowhere, args: "create -f -", fails: true, want: []string{"NotFound", `there is no node "nowhere"`}},
	{name: "apply to no node", input: onNowhere, args: "apply -f -", fails: true, want: []string{"NotFound", `there is no node "nowhere"`}},
	{name: "apply of a policy", input: strings.Replace(bridgeOnNode03, "spec:", "spec:\n  nodeSelector: {a: b}", 1), args: "apply --server-side -f -", fails: true, want: []string{"spec.nodeSelector", "each selected node"}},
	{name: "delete", args: "delete nns node01", fails: true, want: []string{"MethodNotAllowed", "until the node is removed"}},
	{name: "delete --all", args: "delete nns --all", fails: true, want: []string{"MethodNotAllowed"}},
	{name: "label", args: "label nns node01 a=b", fails: true, want: []string{"metadata.labels", "label the node"}},
	{name: "patch of the status", args: `patch nns node01 --type=merge -p {"status":{"backend":"Kernel"}}`, fails: true, want: []string{"status", "read-only"}},
	{name: "patch, strategic", args: `patch nns node01 --type=strategic -p {"metadata":{}}`, fails: true, want: []string{"not supported"}},
	{name: "diff", input: bridgeOnNode03, args: "diff -f -", fails: true, want: []string{"+", "kbr0"}},
	{name: "apply --dry-run=server", input: bridgeOnNode03, args: "apply --server-side --dry-run=server -f - -o jsonpath={.status.difference}", want: []string{"kbr0"}},
	{name: "nothing was touched", args: "get nns node03 -o jsonpath={.spec}", want: []string{"={}"}},
	{name: "apply --server-side", input: bridgeOnNode03, args: "apply --server-side -f -", want: []string{"serverside-applied"}},
	{name: "apply --server-side, again", input: bridgeOnNode03, args: "apply --server-side -f -", want: []string{"serverside-applied"}},
	{name: "diff of none", input: bridgeOnNode03, args: "diff --server-side -f -", want: []string{"="}},
	{name: "apply --server-side of another manager", input: strings.ReplaceAll(bridgeOnNode03, "state: up", "state: down"), args: "apply --server-side --field-manager=another -f -", fails: true, want: []string{`conflict with "kubectl": .spec.desiredState.interfaces[name="kbr0",type="linux-bridge"].state`}},
	{name: "apply --server-side to no node", input: onNowhere, args: "apply --server-side -f -", fails: true, want: []string{"NotFound"}},
	{name: "apply", input: bridgeOnNode03, args: "apply -f -", want: []string{"configured"}},
	{name: "apply, again", input: bridgeOnNode03, args: "apply -f -", want: []string{"unchanged"}},
	{name: "annotate", args: "annotate nns node03 purpose=test", want: []string{"annotated"}},
	{name: "edit", args: "edit nns node03", want: []string{"edited"}},
	{name: "what edit has done", args: "get nns node03 -o jsonpath={.metadata.annotations.intention}", want: []string{"=test"}},
	{name: "replace", input: bridgeOnNode03 + "      ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.43, prefix-length: 24}]}\n", args: "replace -f -", want: []string{"replaced"}},
	{name: "what replace has done", args: "get nns node03 -o jsonpath={.spec.desiredState.interfaces[0].ipv4.address[0].ip},{.metadata.labels.kubernetes\\.io/hostname},{.metadata.annotations}", want: []string{"=198.51.100.43,node03,"}},
	{name: "patch, JSON", args: `patch nns node03 --type=json -p [{"op":"replace","path":"/spec/desiredState/interfaces/0/state","value":"absent"}]`, want: []string{"patched"}},
	{name: "patch, JSON, whose test fails", args: `patch nns node03 --type=json -p [{"op":"test","path":"/metadata/name","value":"x"}]`, fails: true, want: []string{"patch[0]", "test /metadata/name"}},
	{name: "patch, merge", args: `patch nns node03 --type=merge -p {"spec":{"desiredState":{"interfaces":[]}}}`, want: []string{"patched"}},
	{name: "an unknown field", args: `patch nns node03 --type=merge -p {"spec":{"desired":{}}}`, want: []string{"unknown field \"spec.desired\""}},
	{name: "an unknown key of nmstate", args: `patch nns node03 --type=merge -p {"spec":{"desiredState":{"interfacez":[]}}}`, fails: true, want: []string{"unknown field `interfacez`"}},
	{name: "apply of routes", input: routesOnNode03 + "{config: []}\n", args: "apply --server-side --force-conflicts -f -", want: []string{"serverside-applied"}},
	{name: "apply of an empty map", input: routesOnNode03 + "{}\n", args: "apply --server-side --force-conflicts -f -", want: []string{"serverside-applied"}},
	{name: "an empty map stays one", args: "get nns node03 -o jsonpath={.spec.desiredState.routes}", want: []string{"={}"}},
	{name: "unset", args: `patch nns node03 --type=merge -p {"spec":{"desiredState":null}}`, want: []string{"patched"}},
}

func (s *suite) kubectlSpecs() {
	Describe("reading", func() { s.commandSpecs(reading) })
	It("explain knows each field", NodeTimeout(2*time.Minute), s.explain)
	It("get -w prints a line for a change", NodeTimeout(long), s.getWatch)
	Describe("writing", Ordered, ContinueOnFailure, func() {
		BeforeAll(func(ctx SpecContext) { s.desire(ctx, "node03", "null") }, NodeTimeout(long)) // nobody owns anything yet
		s.commandSpecs(writing)
		AfterAll(func(ctx SpecContext) {
			s.desire(ctx, "node03", `{"interfaces":[{"name":"kbr0","type":"linux-bridge","state":"absent"}]}`)
		}, NodeTimeout(long))
	})
}

// commandSpecs run each command; a want that begins with = is all that is printed.
func (s *suite) commandSpecs(commands []command) {
	for _, c := range commands {
		It(c.name, NodeTimeout(long), func(ctx SpecContext) {
			out, err := s.kubectl(ctx, c.input, strings.Fields(c.args)...)
			Expect(err != nil).To(Equal(c.fails), "kubectl %s: %v\n%s", c.args, err, out)
			for _, want := range c.want {
				if all, is := strings.CutPrefix(want, "="); is {
					Expect(out).To(HavePrefix(all), "kubectl %s", c.args)
					Expect(all != "" || out == "").To(BeTrue(), "kubectl %s prints %s", c.args, out)
				} else {
					Expect(out).To(ContainSubstring(want), "kubectl %s", c.args)
				}
			}
		})
	}
}

// explain asks for each field of the type, two levels deep.
func (s *suite) explain(ctx SpecContext) {
	fields := fieldsOf(reflect.TypeFor[v1alpha1.NodeNetworkState](), "")
	Expect(fields).To(ContainElements("spec", "spec.desiredState", "status", "status.currentState"))
	for _, field := range fields {
		out, err := s.kubectl(ctx, "", "explain", "nns."+field)
		Expect(err).NotTo(HaveOccurred(), out)
		Expect(out).To(MatchRegexp(`DESCRIPTION:\n +\w`), "%s is not explained", field)
		Expect(out).NotTo(ContainSubstring("<empty>"), "%s is not explained", field)
	}
}

func fieldsOf(t reflect.Type, prefix string) []string {
	var fields []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "metadata" {
			continue
		}
		fields = append(fields, prefix+name)
		if prefix == "" && t.Field(i).Type.Kind() == reflect.Struct {
			fields = append(fields, fieldsOf(t.Field(i).Type, name+".")...)
		}
	}
	slices.Sort(fields)
	return fields
}

// getWatch: a watch prints the table's lines, too.
func (s *suite) getWatch(ctx SpecContext) {
	const node, ip = "node03", "198.18.101.1"
	watching, stop := context.WithCancel(ctx)
	defer stop()
	cmd := s.kubectlCommand(watching, "get", "nns", node, "-w", "-o", "wide")
	out, err := cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(cmd.Start()).To(Succeed())
	lines := make(chan string, 100)
	go func() {
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			lines <- scanner.Text()
		}
		close(lines)
		_ = cmd.Wait()
	}()
	Eventually(lines).WithContext(ctx).WithTimeout(long).Should(Receive(HavePrefix("NAME")))
	Eventually(lines).WithContext(ctx).WithTimeout(long).Should(Receive(And(HavePrefix(node), Not(ContainSubstring(ip)))))
	s.must(ctx, node, "ip addr add "+ip+"/32 dev mgmt0")
	Eventually(lines).WithContext(ctx).WithTimeout(long).Should(Receive(And(HavePrefix(node), ContainSubstring(ip+"/32"))))
	s.must(ctx, node, "ip addr del "+ip+"/32 dev mgmt0")
	Eventually(lines).WithContext(ctx).WithTimeout(long).Should(Receive(And(HavePrefix(node), Not(ContainSubstring(ip)))))
}
