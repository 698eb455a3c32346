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
	"strings"
	"testing"
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

// TestKubectl: each command does what it does for a built-in resource.
func TestKubectl(t *testing.T) {
	state := strings.NewReplacer("kbr0", "kbr1")
	mustDesire(t, "node03", "null") // nobody owns anything yet
	for _, test := range []struct {
		name  string
		input string
		args  string
		fails bool
		want  []string
	}{
		{name: "get", args: "get nodenetworkstates", want: []string{"NAME", "AVAILABLE", "IN SYNC", "INTERFACES", "DEFAULT ROUTE", "LAST APPLY", "AGE", "node01", "node02", "node03"}},
		{name: "short name, wide", args: "get nns -o wide", want: []string{"ADDRESSES", "BACKEND", "192.0.2.11/24", "NetworkManager", "Kernel"}},
		{name: "yaml", args: "get nns node01 -o yaml", want: []string{"currentState:", "name: mgmt0", "backend: NetworkManager"}},
		{name: "category", args: "get nmstate", want: []string{"node01"}},
		{name: "label selector", args: "get nns -l topology.kubernetes.io/zone=a -o name", want: []string{"nodenetworkstate.nmstate.io/node01\n"}},
		{name: "field selector, name", args: "get nns --field-selector metadata.name=node02 -o name", want: []string{"nodenetworkstate.nmstate.io/node02\n"}},
		{name: "field selector, condition", args: "get nns --field-selector status.conditions.Available=True -o name", want: []string{"node01", "node02", "node03"}},
		{name: "field selector, unknown", args: "get nns --field-selector spec.x=1", fails: true, want: []string{"spec.x", "status.conditions."}},
		{name: "chunks", args: "get nns --chunk-size=1 -o name", want: []string{"node01", "node02", "node03"}},
		{name: "explain", args: "explain nns.spec.desiredState", want: []string{"nmstate state that was last committed", "nmstate.io/devel/yaml_api.html"}},
		{name: "explain, recursive", args: "explain nns.status --recursive", want: []string{"currentState", "lastApply", "outcome"}},
		{name: "api-resources", args: "api-resources --api-group=nmstate.io", want: []string{"nodenetworkstates", "nns", "NodeNetworkState"}},
		{name: "wait", args: "wait --for=condition=Available nns --all --timeout=30s", want: []string{"node01 condition met", "node03 condition met"}},
		{name: "unknown node", args: "get nns nowhere", fails: true, want: []string{"not found"}},
		{name: "create", input: bridgeOnNode03, args: "create -f -", fails: true, want: []string{"MethodNotAllowed"}},
		{name: "delete", args: "delete nns node01", fails: true, want: []string{"MethodNotAllowed"}},
		{name: "delete all", args: "delete nns --all", fails: true, want: []string{"MethodNotAllowed"}},
		{name: "label", args: "label nns node01 a=b", fails: true, want: []string{"metadata.labels", "label the node"}},
		{name: "write status", args: `patch nns node01 --type=merge -p {"status":{"backend":"Kernel"}}`, fails: true, want: []string{"status", "read-only"}},
		{name: "strategic merge patch", args: `patch nns node01 --type=strategic -p {"metadata":{}}`, fails: true, want: []string{"not supported"}},
		{name: "diff", input: bridgeOnNode03, args: "diff -f -", fails: true, want: []string{"+", "kbr0"}},
		{name: "dry run", input: bridgeOnNode03, args: "apply --server-side --dry-run=server -f - -o jsonpath={.status.difference}", want: []string{"kbr0"}},
		{name: "dry run touched nothing", args: "get nns node03 -o jsonpath={.spec}", want: []string{"{}"}},
		{name: "server-side apply", input: bridgeOnNode03, args: "apply --server-side -f -", want: []string{"serverside-applied"}},
		{name: "server-side apply again", input: bridgeOnNode03, args: "apply --server-side -f -", want: []string{"serverside-applied"}},
		{name: "field managers conflict", input: state.Replace(bridgeOnNode03), args: "apply --server-side --field-manager=another -f -", fails: true, want: []string{"conflict", ".spec.desiredState.interfaces"}},
		{name: "no node to apply to", input: strings.Replace(bridgeOnNode03, "node03", "nowhere", 1), args: "apply --server-side -f -", fails: true, want: []string{"NotFound"}},
		{name: "client-side apply", input: bridgeOnNode03, args: "apply -f -", want: []string{"configured"}},
		{name: "client-side apply again", input: bridgeOnNode03, args: "apply -f -", want: []string{"unchanged"}},
		{name: "annotate", args: "annotate nns node03 purpose=test", want: []string{"annotated"}},
		{name: "patch, JSON", args: `patch nns node03 --type=json -p [{"op":"replace","path":"/spec/desiredState/interfaces/0/state","value":"absent"}]`, want: []string{"patched"}},
		{name: "edit", args: "edit nns node03", want: []string{"edited"}},
		{name: "unknown field", args: `patch nns node03 --type=merge -p {"spec":{"desired":{}}}`, want: []string{"unknown field \"spec.desired\""}},
		{name: "unknown key of nmstate", args: `patch nns node03 --type=merge -p {"spec":{"desiredState":{"interfacez":[]}}}`, fails: true, want: []string{"unknown field `interfacez`"}},
		{name: "unset", args: `patch nns node03 --type=merge -p {"spec":{"desiredState":null}}`, want: []string{"patched"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("KUBE_EDITOR", "sed -i s/purpose:/intention:/")
			out, err := kubectlWith(t, test.input, strings.Fields(test.args)...)
			if (err != nil) != test.fails {
				t.Errorf("kubectl %s: %v\n%s", test.args, err, out)
			}
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("kubectl %s lacks %q:\n%s", test.args, want, out)
				}
			}
		})
	}
	if get(t, "node03").Annotations["intention"] != "test" {
		t.Error("kubectl edit has changed nothing")
	}
}

// TestExamples applies each example of the documentation.
func TestExamples(t *testing.T) {
	entries, err := os.ReadDir(root + "/docs/examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Run(entry.Name(), func(t *testing.T) {
			out, err := kubectl(t, "apply", "--server-side", "--force-conflicts", "-f", root+"/docs/examples/"+entry.Name())
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			_, applied, _ := strings.Cut(out, "nodenetworkstate.nmstate.io/") // after warnings
			node, _, _ := strings.Cut(applied, " ")
			if obj := get(t, node); obj.Status.Difference != nil {
				t.Errorf("right after it there is a difference: %s", obj.Status.Difference.Raw)
			}
		})
	}
	mustDesire(t, "node01", `{"interfaces":[{"name":"br1","type":"linux-bridge","state":"absent"},{"name":"eth3","type":"ethernet","state":"up","ipv4":{"enabled":false}}],
		"routes":{"config":[{"state":"absent","next-hop-interface":"eth3"}]},"route-rules":{"config":[{"state":"absent","priority":1000}]}}`)
	mustDesire(t, "node02", `{"interfaces":[{"name":"vxlan100","type":"vxlan","state":"absent"},{"name":"macvlan0","type":"mac-vlan","state":"absent"},{"name":"eth3","type":"ethernet","state":"up","mtu":1500}],
		"dns-resolver":{"config":{}}}`)
}
