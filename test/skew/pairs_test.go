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

package skew

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// now returns a program of today.
func now(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(root + "/_output/bin/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// shows tells whether an object shows an interface.
func shows(obj *v1alpha1.NodeNetworkState, name string) bool {
	return obj.Status.CurrentState != nil && strings.Contains(string(obj.Status.CurrentState.Raw), `"`+name+`"`)
}

// seen waits for an event that shows an interface.
func (p *pair) seen(events <-chan watch.Event, name string) {
	p.t.Helper()
	deadline := time.After(long)
	for {
		select {
		case event, ok := <-events:
			if !ok {
				p.t.Fatal("the watch ended")
			}
			if obj, isState := event.Object.(*v1alpha1.NodeNetworkState); isState && shows(obj, name) {
				return
			}
		case <-deadline:
			p.t.Fatalf("no event showed %s", name)
		}
	}
}

// TestOlderAgent: what it does not know is refused by the server.
func TestOlderAgent(t *testing.T) {
	p := newPair(t, now(t, "apiserver"), older(t)+"/node-agent")
	p.specs()
	p.refused("does not support spec.reapply: update it")
	if _, err := p.states.GetPorts(t.Context(), node, metav1.GetOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "does not support the subresource ports: update it") {
		t.Errorf("the ports of an older agent: %v", err)
	}
}

// TestOlderServer: what it does not know is an unknown field for it.
func TestOlderServer(t *testing.T) {
	p := newPair(t, older(t)+"/apiserver", now(t, "node-agent"))
	p.specs()
	p.refused(`unknown field "spec.reapply"`)
}
