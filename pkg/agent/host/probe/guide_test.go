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

package probe

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// The user guide's example works as it is written, and has each kind of probe.
func TestExampleOfTheGuide(t *testing.T) {
	guide, err := os.ReadFile("../../../../docs/user-guide/probes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(guide), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	var tree any
	if err := yaml.Unmarshal([]byte(example), &tree); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var obj v1alpha1.NodeNetworkState
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&obj); err != nil {
		t.Fatal(err)
	}
	h := newNeighbourHost(t)
	netns.Run(t, "ip", "route", "add", "default", "via", "192.0.2.1")
	h.listen("192.0.2.1:3260")
	h.serve("192.0.2.1:443", true, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	h.serveDNS("192.0.2.1:53")
	attempts := Run(t.Context(), obj.Spec.Probes, map[string][]string{"node02": {"192.0.2.1"}})
	if len(attempts) != 6 {
		t.Errorf("the example has %d probes", len(attempts))
	}
	for _, attempt := range attempts {
		if !attempt.Passed {
			t.Errorf("%s: %s", attempt.Name, attempt.Message)
		}
	}
	if got := connect(within(t, patience), "192.0.2.1:3261"); got == nil || !strings.Contains(string(guide), "`"+strings.Replace(got.Error(), "3261", "3260", 1)+"`") {
		t.Errorf("the guide's message is not %v", got)
	}
}
