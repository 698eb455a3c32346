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

package integration

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	contract "github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned"
)

// TestABusyNodeIsAskedAgain: while a change runs, another one is 429 with
// Retry-After. client-go sends it again by itself, and it is then merged into what
// is there by then. A PUT of what was read before is a conflict.
func TestABusyNodeIsAskedAgain(t *testing.T) {
	s := newServer(t)
	node := s.join("node1")
	s.await("the node to join", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == 1 })
	nns := s.nns()
	read, err := nns.Get(t.Context(), "node1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	running, ended := make(chan struct{}), make(chan struct{})
	node.SetHooks(fake.Hooks{Apply: func(contract.Change) error {
		close(running)
		<-ended
		return nil
	}})
	first := make(chan error, 1)
	go func() {
		_, err := nns.Patch(t.Context(), "node1", types.MergePatchType, []byte(`{"spec":{"desiredState":{"hostname":{"config":"first"}}}}`), metav1.PatchOptions{})
		first <- err
	}()
	<-running
	node.SetHooks(fake.Hooks{})
	const media, second = "application/apply-patch+yaml", `{"apiVersion":"nmstate.io/v1alpha1","kind":"NodeNetworkState","metadata":{"name":"node1"},"spec":{"desiredState":{"dns-resolver":{"config":{}}}}}`
	code, header, answer := s.request("PATCH", "nodenetworkstates/node1?fieldManager=a", media, second)
	var status metav1.Status
	if err := json.Unmarshal([]byte(answer), &status); err != nil {
		t.Fatal(err)
	}
	if code != http.StatusTooManyRequests || status.Reason != metav1.StatusReasonTooManyRequests || header.Get("Retry-After") == "" ||
		status.Details.RetryAfterSeconds == 0 || !strings.Contains(status.Message, `node "node1"`) || !strings.Contains(status.Message, `another change by "admin"`) {
		t.Errorf("%d, Retry-After %q, %s", code, header.Get("Retry-After"), answer)
	}
	read.Spec.DesiredState = v1alpha1.NewState([]byte(`{"hostname":{"config":"stale"}}`))
	if _, err := nns.Update(t.Context(), read, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("a PUT of what was read before: %v", err)
	}
	config := s.config()
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &patience{RoundTripper: next, refused: func() { close(ended) }}
	})
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = clients.NmstateV1alpha1().NodeNetworkStates().Patch(t.Context(), "node1", types.ApplyPatchType, []byte(second), metav1.PatchOptions{FieldManager: "a"})
	if err != nil {
		t.Errorf("the second change: %v", err)
	}
	if err := <-first; err != nil {
		t.Errorf("the first change: %v", err)
	}
	live, err := nns.Get(t.Context(), "node1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := text(live.Spec.DesiredState); !sameJSON(got, `{"hostname":{"config":"first"},"dns-resolver":{"config":{}}}`) {
		t.Errorf("the spec is %s", got)
	}
}

// patience tells when a client is first asked for it.
type patience struct {
	http.RoundTripper
	once    sync.Once
	refused func()
}

// RoundTrip implements http.RoundTripper.
func (p *patience) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := p.RoundTripper.RoundTrip(r)
	if err == nil && response.StatusCode == http.StatusTooManyRequests {
		p.once.Do(p.refused)
	}
	return response, err
}
