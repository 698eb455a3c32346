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

package clients

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
)

var nodes = []string{"node01", "node02", "node03"}

// manifest is a NodeNetworkState whose desired state is given as JSON.
func manifest(node, state string) string {
	return fmt.Sprintf("{apiVersion: nmstate.io/v1alpha1, kind: NodeNetworkState, metadata: {name: %s}, spec: {desiredState: %s}}", node, state)
}

func bridge(node, name, state string) string {
	return manifest(node, fmt.Sprintf(`{"interfaces":[{"name":%q,"type":"linux-bridge","state":%q}]}`, name, state))
}

// nothing is what gives up all that a field manager owns.
func nothing(node string) string {
	return fmt.Sprintf("{apiVersion: nmstate.io/v1alpha1, kind: NodeNetworkState, metadata: {name: %s}}", node)
}

// takeAway leaves nothing of a bridge, neither on the node nor in its object.
func takeAway(t *testing.T, node, name string) {
	t.Helper()
	mustRun(t, nil, bridge(node, name, "absent"), "apply_state.py", "-")
	mustRun(t, nil, nothing(node), "apply_state.py", "-")
}

// TestTheWayIn: --kubeconfig goes before KUBECONFIG, and each reads what it should and exits.
func TestTheWayIn(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want []string
	}{
		{"informer", []string{"--events", "0", "--for", "10m"}, nodes},
		{"controller-runtime", []string{"--for", "5s"}, nil},
		{"list_nodes.py", nil, nodes},
		{"watch_nodes.py", []string{"--events", "1000", "--for", "2"}, append([]string{"LISTED", "time is over"}, nodes...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			mustFail(t, []string{"nowhere"}, "", test.name, append(test.args, "--kubeconfig", "/nowhere")...)
			t.Setenv("KUBECONFIG", "/nowhere")
			mustRun(t, test.want, "", test.name, append(test.args, "--kubeconfig", env.kubeconfig)...)
		})
	}
}

func TestTyped(t *testing.T) {
	out := mustRun(t, append([]string{"br-typed up: Committed, by ", "br-typed absent: Committed, by "}, nodes...),
		"", "typed", "--node", "node01")
	if strings.Count(out, "br-typed (up)") != 1 {
		t.Errorf("the bridge should be there once:\n%s", out)
	}
	// What it owned is given up: another field manager has no conflict.
	mustRun(t, nil, bridge("node01", "br-typed", "absent"), "apply_state.py", "-", "--field-manager", "another")
	mustFail(t, []string{"somebody else owns it, or has changed it", `"another"`}, "", "typed", "--node", "node01")
	mustRun(t, nil, nothing("node01"), "apply_state.py", "-", "--field-manager", "another")
	mustFail(t, []string{"not found"}, "", "typed", "--node", "nowhere")
}

// TestDynamic: two at once on one node, and neither loses what the other has written.
func TestDynamic(t *testing.T) {
	var both sync.WaitGroup
	for _, name := range []string{"br-dyn1", "br-dyn2"} {
		both.Go(func() {
			out, err := run(t, "", "dynamic", "--node", "node02", "--bridge", name)
			if err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
				return
			}
			for _, want := range []string{name + ` "up", tries:`, name + " (up)", name + ` "absent", tries:`, name + " (absent)", name + ` "", tries:`} {
				if !strings.Contains(out, want) {
					t.Errorf("%s does not print %q:\n%s", name, want, out)
				}
			}
		})
	}
	both.Wait()
	if out := mustRun(t, nil, "", "list_nodes.py"); strings.Contains(out, "br-dyn") {
		t.Errorf("a bridge is left:\n%s", out)
	}
}

func TestInformer(t *testing.T) {
	informer := start(t, "informer", "--events", "1000", "--for", "10m")
	informer.expect(t, "now", "node03", "available True")
	onNode(t, "node03", "ip", "addr", "add", "198.51.100.77/32", "dev", "eth2")
	informer.expect(t, "modified", "node03", "~eth2")
	onNode(t, "node03", "ip", "link", "add", "dev", "informer0", "type", "bridge")
	informer.expect(t, "modified", "node03", "+informer0")
	onNode(t, "node03", "ip", "link", "del", "informer0")
	onNode(t, "node03", "ip", "addr", "del", "198.51.100.77/32", "dev", "eth2")
	informer.expect(t, "modified", "node03", "-informer0")
	informer.finish(t)
}

func TestControllerRuntime(t *testing.T) {
	controller := start(t, "controller-runtime")
	controller.expect(t, "In sync", "node03")
	mustRun(t, []string{"node03: Committed"}, bridge("node03", "br-drift", "up"), "apply_state.py", "-")
	onNode(t, "node03", "ip", "link", "del", "br-drift")
	controller.expect(t, "Out of sync", "node03", "br-drift")
	takeAway(t, "node03", "br-drift")
	controller.expect(t, "In sync", "node03")
	controller.finish(t)
}

func TestPythonList(t *testing.T) {
	mustRun(t, append([]string{"  lo (loopback) is up", "available True, in sync True"}, nodes...), "", "list_nodes.py", "--chunk-size", "1")
	for _, args := range [][]string{{"--field-selector", "status.conditions.Available=False"}, {"-l", "kubernetes.io/hostname=nobody"}} {
		if out := mustRun(t, nil, "", "list_nodes.py", args...); out != "" {
			t.Errorf("%q selects\n%s", args, out)
		}
	}
	mustFail(t, []string{"400", "status.phase"}, "", "list_nodes.py", "--field-selector", "status.phase=Up")
}

func TestPythonWatch(t *testing.T) {
	watch := start(t, "watch_nodes.py", "--events", "1000", "--for", "600")
	watch.expect(t, "LISTED", "node03")
	onNode(t, "node03", "ip", "link", "add", "dev", "watch0", "type", "bridge")
	watch.expect(t, "MODIFIED", "node03")
	onNode(t, "node03", "ip", "link", "del", "watch0")
	watch.expect(t, "MODIFIED", "node03")
	if !env.own {
		return
	}
	// A new server issues revisions of its own, so it cannot resume.
	mustScript(t, "hack/demo/server.sh", "kill")
	watch.expect(t, "the connection was lost")
	mustScript(t, "hack/demo/server.sh", "start")
	watch.expect(t, "410: the revision is gone, listing again")
	watch.expect(t, "LISTED", "node03")
}

// TestPythonWatchOfAnotherTerm: a revision of the past or the future is 410, whereupon all is listed.
func TestPythonWatchOfAnotherTerm(t *testing.T) {
	for _, version := range []string{"1", "9000000000000000000"} {
		watch := start(t, "watch_nodes.py", "--resource-version", version, "--events", "1000", "--for", "600")
		watch.expect(t, "410: the revision is gone, listing again")
		watch.expect(t, "LISTED", "node03")
	}
}

func TestPythonApply(t *testing.T) {
	up := bridge("node03", "br-python", "up")
	mustRun(t, []string{"node03: this would change: ", "br-python"}, up, "apply_state.py", "-", "--dry-run")
	if out := mustRun(t, nil, "", "list_nodes.py"); strings.Contains(out, "br-python") {
		t.Errorf("the dry run has made the bridge:\n%s", out)
	}
	out := mustRun(t, []string{"node03: Committed, generation "}, up, "apply_state.py", "-")
	if !regexp.MustCompile(`generation \d+, by \S+\n$`).MatchString(out) {
		t.Errorf("it prints %q", out)
	}
	mustRun(t, []string{"  br-python (linux-bridge) is up"}, "", "list_nodes.py")

	for _, test := range []struct {
		name, manifest string
		args, want     []string
	}{
		{"422 of nmstate", manifest("node03", `{"interfaces":[{"name":"ve9","type":"veth","state":"up"}]}`),
			nil, []string{"422: the state is wrong", "ve9"}},
		{"422 of the API", strings.Replace(up, "metadata: {", "metadata: {finalizers: [a.b/c], ", 1),
			nil, []string{"422: the state is wrong", "metadata.finalizers"}},
		{"422 before server-side apply", manifest("node03", `[]`), nil, []string{"422: the state is wrong", "must be an object"}},
		{"409 of fields", bridge("node03", "br-python", "down"),
			[]string{"--field-manager", "another"}, []string{"409: somebody else owns it", `"example-python"`}},
		{"409 of revisions", strings.Replace(up, "metadata: {", `metadata: {resourceVersion: "1", `, 1),
			nil, []string{"409: somebody else owns it", "node03"}},
		{"404", bridge("nowhere", "br-python", "up"), nil, []string{"404: ", "nowhere"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			mustFail(t, test.want, test.manifest, "apply_state.py", append([]string{"-"}, test.args...)...)
		})
	}

	mustRun(t, []string{"node03: Committed"}, bridge("node03", "br-python", "absent"),
		"apply_state.py", "-", "--field-manager", "another", "--force-conflicts")
	if out := mustRun(t, nil, "", "list_nodes.py"); strings.Contains(out, "br-python") {
		t.Errorf("the bridge is left:\n%s", out)
	}
	for _, manager := range []string{"another", "example-python"} {
		mustRun(t, nil, nothing("node03"), "apply_state.py", "-", "--field-manager", manager)
	}
}

// TestPythonAgentGone: 503 while the agent is away.
func TestPythonAgentGone(t *testing.T) {
	if !env.own {
		t.Log("an agent of somebody else's is left alone")
		return
	}
	mustScript(t, "hack/demo/agent.sh", "kill", "node03")
	mustFail(t, []string{"503: the node or the server cannot be reached", "node03"}, bridge("node03", "br-python", "up"), "apply_state.py", "-")
	mustRun(t, []string{"node03: available Unknown, in sync Unknown", "node01: available True"}, "", "list_nodes.py")
	mustScript(t, "hack/demo/agent.sh", "start", "node03")
	watch := start(t, "watch_nodes.py", "--events", "1000", "--for", "600")
	watch.expect(t, "node03: available True")
}

// TestPythonTakesLong: 504, and it goes on. The kernel takes no second VXLAN of the
// same id, which keeps NetworkManager busy for two minutes. It is the last: the node
// is busy until then.
func TestPythonTakesLong(t *testing.T) {
	twins := manifest("node02", `{"interfaces":[{"name":"twin1","type":"vxlan","state":"up","vxlan":{"id":77,"remote":"192.0.2.77","destination-port":4789}},`+
		`{"name":"twin2","type":"vxlan","state":"up","vxlan":{"id":77,"remote":"192.0.2.78","destination-port":4789}}]}`)
	mustFail(t, []string{"504: it goes on", "status.lastApply"}, twins, "apply_state.py", "-")
	mustFail(t, []string{"429: ", "is changing it"}, twins, "apply_state.py", "-")
	busy := []string{"--field-selector", "status.conditions.Progressing=True"}
	mustRun(t, []string{"node02: available True"}, "", "list_nodes.py", busy...)
	if !env.own {
		watch := start(t, "watch_nodes.py", append(busy, "--events", "1000", "--for", "600")...)
		watch.expect(t, "DELETED", "node02") // it is no longer selected
	}
}
