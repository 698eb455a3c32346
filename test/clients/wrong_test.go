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
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
)

// wrongState is a state that is wrong, and what is to be said of it.
type wrongState struct {
	State json.RawMessage `json:"state"`
	Says  []string        `json:"says"`
}

// TestWrongStates sends states that are wrong by kubectl, client-go and Python, with the strict field validation that kubectl asks for.
// Each is told all that is wrong, in the very words that the checks have. By dry runs: no node is changed if one is taken.
func TestWrongStates(t *testing.T) {
	text, err := os.ReadFile(root + "/pkg/stateschema/testdata/wrong.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var states []wrongState
	if err := yaml.UnmarshalStrict(text, &states); err != nil {
		t.Fatal(err)
	}
	if len(states) < 40 {
		t.Errorf("there are only %d states", len(states))
	}
	manifests := make([]string, len(states))
	for i, state := range states {
		manifests[i] = manifest("node03", string(state.State))
	}
	for client, send := range map[string]func(*testing.T, []string) []string{"kubectl": byKubectl, "client-go": byClientGo, "Python": byPython} {
		t.Run(client, func(t *testing.T) {
			answers := send(t, manifests)
			for i, state := range states {
				for _, says := range state.Says {
					// kubectl may break the lines of many errors, and quotes are escaped in JSON.
					if !strings.Contains(answers[i], says) {
						t.Errorf("%s is answered\n%s\nwithout\n%s", state.State, answers[i], says)
					}
				}
			}
		})
	}
}

// byKubectl returns what kubectl prints of each manifest. One call is told of all; it goes on after an error.
func byKubectl(t *testing.T, manifests []string) []string {
	cmd := exec.CommandContext(t.Context(), root+"/_output/bin/kubectl", "apply", "--server-side", "--dry-run=server", "--field-manager=wrong", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.Join(manifests, "\n---\n"))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strings.Contains(string(out), "serverside-applied") {
		t.Fatalf("kubectl takes a wrong state: %v\n%s", err, out)
	}
	answers := make([]string, len(manifests))
	for i := range answers {
		answers[i] = string(out)
	}
	return answers
}

// byClientGo returns the errors that the typed client returns.
func byClientGo(t *testing.T, manifests []string) []string {
	config, err := clientcmd.BuildConfigFromFlags("", env.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	var answers []string
	for _, text := range manifests {
		_, err := clients.NmstateV1alpha1().NodeNetworkStates().Patch(context.Background(), "node03", types.ApplyPatchType, []byte(text), metav1.PatchOptions{
			FieldManager: "wrong", FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll}})
		answers = append(answers, fmt.Sprint(err))
	}
	return answers
}

// byPython returns the messages of the Statuses that Python's client gets.
func byPython(t *testing.T, manifests []string) []string {
	const program = `
import json, sys, yaml
from kubernetes.client.exceptions import ApiException
from nodenetworkstates import RESOURCE, connect
api, answers = connect(None), []
for manifest in json.load(sys.stdin):
    try:
        api.patch_cluster_custom_object(**RESOURCE, name="node03", body=yaml.safe_load(manifest), field_manager="wrong", dry_run="All",
            field_validation="Strict", _content_type="application/apply-patch+yaml")
        answers.append("it is taken")
    except ApiException as error:
        answers.append(json.loads(error.body)["message"])
print(json.dumps(answers))
`
	input, err := json.Marshal(manifests)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), root+"/_output/python/bin/python", "-c", program)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+examples+"/python")
	cmd.Stdin = strings.NewReader(string(input))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var answers []string
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(manifests) {
		t.Fatalf("%v\n%s", err, out)
	}
	return answers
}
