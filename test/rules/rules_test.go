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

// Package rules states the rules of the repository as tests.
package rules

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/nmstate/kubernetes-nmstate/"

// forbidden imports, direct or not, with the reason.
var forbidden = []struct{ from, to, reason string }{
	{"cmd/apiserver", "pkg/nmstate", "the API server is built without cgo: libnmstate is the agents'"},
	{"cmd/apiserver", "pkg/agent/host", "the API server knows agents by their contract alone"},
	{"cmd/apiserver", "pkg/agent/fake", "fakes are for tests"},
	{"cmd/node-agent", "pkg/agent/fake", "fakes are for tests"},
	{"cmd/node-agent", "pkg/fleet", "an agent knows nothing of other nodes"},
	{"cmd/node-agent", "pkg/livestore", "an agent serves no API"},
	{"cmd/kubectl-nmstate", "pkg/nmstate", "the plugin is built without cgo, for systems that have no libnmstate"},
	{"cmd/kubectl-nmstate", "pkg/fleet", "the plugin knows the API alone"},
	{"cmd/kubectl-nmstate", "pkg/livestore", "the plugin knows the API alone"},
	{"cmd/kubectl-nmstate", "pkg/registry", "the plugin knows the API alone"},
	{"cmd/kubectl-nmstate", "pkg/stateschema", "the server checks states: a plugin may be older"},
	{"cmd/kubectl-nmstate", "k8s.io/apiserver", "the plugin is a client"},
	{"cmd/kubectl-nmstate", "k8s.io/client-go/kubernetes/typed", "a standalone server has nodes and no Nodes"},
	{"pkg/kubectl/netstate", "k8s.io", "it knows states alone"},
	{"pkg/kubectl/fault", "pkg/kubectl", "each other package has errors of this one"},
	{"pkg/kubectl/manifest", "k8s.io/client-go/rest", "files are read without a server"},
	{"pkg/kubectl/change", "pkg/kubectl/command", "imports run one way"},
	{"pkg/livestore", "pkg/apis", "the log knows objects and keys, not what they stand for"},
	{"pkg/livestore", "pkg/agent", "the log knows objects and keys, not what they stand for"},
	{"pkg/fleet", "pkg/livestore", "the fleet feeds a sink; data flows one way"},
	{"pkg/fleet", "pkg/registry", "imports run one way"},
	{"pkg/agent", "pkg/fleet", "imports run one way"},
	{"pkg/fleet", "pkg/agent/uplink", "what both ends share is in pkg/agent"},
	{"pkg/cluster", "pkg/agent/uplink", "what both ends share is in pkg/agent"},
	{"pkg/standalone", "pkg/agent/uplink", "what both ends share is in pkg/agent"},
	{"pkg/registry/nodenetworkstate", "pkg/apiserver", "imports run one way"},
	{"pkg/cluster", "pkg/apiserver", "imports run one way"},
	{"pkg/cluster", "pkg/livestore", "it says who is a node and who an agent, not what is served"},
	{"pkg/cluster/certificates", "pkg/fleet", "certificates know nothing of nodes"},
	{"pkg/cluster/election", "pkg/fleet", "the election knows nothing of nodes"},
	{"pkg/standalone", "pkg/cluster", "the two forms know nothing of each other"},
	{"pkg/agent/host/tree", "pkg", "a state is JSON: it knows nothing else of the project"},
	{"pkg/agent/host/rtnetlink", "pkg", "it knows the kernel alone"},
	{"pkg/agent/host/secret", "pkg/agent/host/undo", "masks know states alone"},
	{"pkg/agent/host/secret", "pkg/nmstate", "masks know states alone"},
	{"pkg/agent/host/undo", "pkg/agent/host/transaction", "imports run one way: what undoing needs an apply for is given to it"},
	{"pkg/agent/host/undo", "pkg/apis", "it undoes a change of the network, whoever asked for it"},
	{"pkg/agent/host/undo", "pkg/nmstate", "a worker calls libnmstate, not the agent's process"},
	{"pkg/agent/host/probe", "pkg/agent/host/undo", "a probe asks others, it changes nothing"},
	{"pkg/agent/host/probe", "pkg/nmstate", "a probe asks others, it changes nothing"},
	{"pkg/agent/host/impact", "pkg/nmstate", "it decides by states alone"},
	{"pkg/agent/host/ports", "pkg/nmstate", "it tells what nmstate does not"},
	{"pkg/agent/host/lldp", "pkg/nmstate", "it listens, and has no part in what is configured"},
	{"cmd/node-agent", "k8s.io/client-go/kubernetes", "an agent asks nothing of the cluster"},
	{"pkg/nmstate", "pkg/agent", "the binding is a binding"},
	{"pkg/nmstate", "k8s.io", "the binding is a binding"},
}

func TestForbiddenImports(t *testing.T) {
	for _, rule := range forbidden {
		for _, dependency := range list(t, "{{range .Deps}}{{println .}}{{end}}", module+rule.from) {
			if path, _ := strings.CutPrefix(dependency, module); path == rule.to || strings.HasPrefix(path, rule.to+"/") {
				t.Errorf("%s imports %s: %s", rule.from, path, rule.reason)
			}
		}
	}
}

// TestCgoIsFenced: one package alone speaks C.
func TestCgoIsFenced(t *testing.T) {
	want := []string{module + "pkg/nmstate"}
	if got := list(t, "{{if .CgoFiles}}{{.ImportPath}}{{end}}", module+"..."); !slices.Equal(got, want) {
		t.Errorf("cgo is in %v, want %v", got, want)
	}
}

// TestPackagesAreDocumented: each says what it is, but for generated ones.
func TestPackagesAreDocumented(t *testing.T) {
	for _, line := range list(t, "{{.ImportPath}} {{.Doc}}", module+"...") {
		path, doc, _ := strings.Cut(line, " ")
		if doc == "" && !strings.Contains(path, "/pkg/generated/") && !strings.Contains(path, "/test/") {
			t.Errorf("package %s has no documentation", path)
		}
	}
}

// list returns the lines that go list prints, without empty ones.
func list(t *testing.T, format, packages string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", format, packages).Output()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(string(out), "\n"), func(s string) bool { return s == "" })
}
