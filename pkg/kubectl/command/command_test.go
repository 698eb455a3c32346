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

package command

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

var update = flag.Bool("update", false, "write the golden files")

// run runs the plugin without a cluster, and returns what it prints and its exit code.
func run(t *testing.T, input string, args ...string) (out, errs string, code fault.Code) {
	t.Helper()
	streams, in, stdout, stderr := genericiooptions.NewTestIOStreams()
	in.WriteString(input)
	code = Run(t.Context(), streams, "kubectl-nmstate", args)
	return stdout.String(), stderr.String(), code
}

// golden compares a text with a file, which -update writes.
func golden(t *testing.T, file, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("it is not as in %s: run go test ./pkg/kubectl/command -update and look at the difference\n%s", file, text)
	}
}

// TestHelp holds the help of each command to a golden file, which is documentation too. Each has examples.
func TestHelp(t *testing.T) {
	var all bytes.Buffer
	for _, name := range []string{"", "show", "diff", "apply", "watch", "history", "undo", "blame", "wait", "confirm", "rollback", "top"} {
		out, errs, code := run(t, "", append(strings.Fields(name), "--help")...)
		if code != fault.Done || errs != "" {
			t.Errorf("%s --help: %d, %s", name, code, errs)
		}
		if name != "" {
			all.WriteString("\n" + strings.Repeat("-", 80) + "\n\n")
			if !strings.Contains(out, "Examples:") || !strings.Contains(out, "--output") {
				t.Errorf("the help of %s lacks examples or -o", name)
			}
			// The flags of all commands are told once.
			out, _, _ = strings.Cut(out, "\nGlobal Flags:")
		}
		all.WriteString(out)
	}
	golden(t, "../../../docs/help/kubectl-nmstate.txt", all.String())
}

// TestUsage: a wrong command line is told what is right, and nothing is asked.
func TestUsage(t *testing.T) {
	t.Setenv("KUBECONFIG", "/nowhere/kubeconfig")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const bare, object = "interfaces: []\n", "apiVersion: nmstate.io/v1alpha1\nkind: NodeNetworkState\nmetadata: {name: node01}\n"
	for _, c := range []struct{ args, want string }{
		{"aply -f x", `unknown command "aply"`},
		{"aply -f x", "apply"},
		{"show --nonsense", "unknown flag: --nonsense"},
		{"show -o xml", "-o xml is not known: use table, yaml, json, name"},
		{"show node01 -l a=b", "give either"},
		{"show -l a=b=c", "is no label selector"},
		{"history", "one NODE is needed, and 0 are given"},
		{"history a b", "Usage: kubectl nmstate history NODE"},
		{"undo", "a NODE and at most one ID are needed"},
		{"blame a b", "one NODE is needed"},
		{"confirm", "one ID is needed"},
		{"wait --for=ready", "--for=ready is not known: use available, insync or idle"},
		{"wait --timeout=0s", "--timeout must be more than 0"},
		{"apply -f - --confirm=maybe", "--confirm=maybe is not known: use reachability, manual or none"},
		{"apply -f - --timeout=1s", "--timeout=1s must be from 5s to 10m0s"},
		{"apply -f - --probe=icmp", "--probe=icmp is none: write ping,"},
		{"apply -f - --validate=no", "--validate=no is not known"},
		{"apply -f - --at-once=0", "--at-once must be 1 or more"},
		{"apply -f - --field-manager=", "--field-manager is empty"},
		{"diff x", `"x" is not expected here: a file is given with -f`},
		{"apply docs/examples/dns.yaml", `"docs/examples/dns.yaml" is not expected here: a file is given with -f`},
		{"showw", "Did you mean show?"},
		{"version", `"kubectl nmstate --version" prints it.`},
		{"get node01", `"kubectl nmstate show" shows`},
		{"edit node01", `"kubectl edit nns NODE" edits`},
		{"show node01 -w", `"kubectl nmstate watch" prints`},
		{"apply -k .", `kubectl kustomize FOLDER`},
		{"apply -f - --force", "--force-conflicts takes over"},
		{"apply -f - --node EMPTY", "--node is empty"},
		{"apply -f - --node node01,", "--node is empty, or a part of it is"},
		{"apply -f - -l EMPTY", "--selector is empty"},
		{"show -l EMPTY", "--selector is empty"},
		{"show node01 -i EMPTY", "--interface is empty"},
		{"show nns/node01", "Write the name alone: node01."},
		{"history node/node01", "Write the name alone: node01."},
		{"show node01,node02", "node01 node02."},
		{"show -n kube-system", "Nodes are in no namespace"},
		{"blame node01 --namespace=a", "Nodes are in no namespace"},
		{"apply -f - --dry-run=server", `"kubectl nmstate diff" shows`},
		{"apply -f - --server-side", "Each change is a server-side apply"},
		{"wait --timeout=5", "as in 30s or 2m"},
		{"undo node01 EMPTY", "an argument is empty"},
		{"rollback EMPTY", "an argument is empty"},
		{"show", "KUBECONFIG names /nowhere/kubeconfig, which is not there"},
		{"top --interval=10ms", "--interval=10ms must be at least 1s"},
		{"top --sort-by=size", "--sort-by=size is not known: use name, traffic, errors"},
		{"top node01 -l a=b", "give either"},
		{"top -o yaml", "-o yaml is not known: use json"},
		{"show --kubeconfig=" + empty, "--kubeconfig names " + empty + ", which has no current context"},
		{"show --all", "Without the name of a node it is about all nodes."},
		{"undo --all", "It is about one node: name it."},
		{"apply -f - --all", "Name the nodes with --node, or select them with -l."},
		{"confirm --all", "unknown flag: --all\nSee \"kubectl nmstate confirm --help\""},
		{"show --all-namespaces", "Nodes are in no namespace"},
		{"show -A", "Nodes are in no namespace"},
		{"undo node01 --dry-run", "Without --yes undo shows what would change, and asks: answer no."},
		{"confirm abcd --dry-run", "unknown flag: --dry-run\nSee \"kubectl nmstate confirm --help\""},
		{"confirm a,b", `"a,b" is no ID of a change`},
		{"rollback a/b", `"a/b" is no ID of a change`},
		{"undo node01 a,b", `"a,b" is no ID of a change`},
		{"undo a,b", "It is about one node: name one."},
		{"show", "kubeconfig"},
		{"show --kubeconfig=/nowhere", "is not there"},
	} {
		args := strings.Fields(c.args)
		for i := range args {
			args[i] = strings.TrimPrefix(args[i], "EMPTY")
		}
		_, errs, code := run(t, bare+object, args...)
		if code != fault.Usage || !strings.Contains(errs, c.want) || strings.ContainsRune(errs, unicode.ReplacementChar) {
			t.Errorf("%s: %d, %s, want %q", c.args, code, errs, c.want)
		}
	}
}
