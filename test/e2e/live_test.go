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
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestEveryChangeIsInTheNextRead: 1,000 changes in a row, with ip, none stale.
func TestEveryChangeIsInTheNextRead(t *testing.T) {
	for node, changes := range map[string]int{"node03": 1000, "node01": 50} {
		t.Run(node, func(t *testing.T) {
			nns := client(t)
			// One process makes all changes, each when it is told to.
			for i := range changes {
				ip := fmt.Sprintf("198.18.%d.%d", i/250, i%250+1)
				onNode(t, node, "ip", "addr", "add", ip+"/32", "dev", "lo")
				one, err := nns.Get(t.Context(), node, metav1.GetOptions{})
				if err != nil || !contains(one, `"`+ip+`"`) {
					t.Fatalf("change %d is not in the next GET: %v", i, err)
				}
				onNode(t, node, "ip", "addr", "del", ip+"/32", "dev", "lo")
				all, err := nns.List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + node})
				if err != nil || len(all.Items) != 1 || contains(&all.Items[0], `"`+ip+`"`) {
					t.Fatalf("change %d is not in the next LIST: %v", i, err)
				}
			}
		})
	}
}

// TestAWatchShowsEachSettledChangeOnce: in order, and without anybody reading.
func TestAWatchShowsEachSettledChangeOnce(t *testing.T) {
	const node = "node03"
	start := get(t, node)
	w, err := client(t).Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + node, ResourceVersion: start.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	seen := ""
	for i := 1; i <= 10; i++ {
		ip := fmt.Sprintf("198.18.100.%d", i)
		onNode(t, node, "ip", "addr", "add", ip+"/32", "dev", "lo")
		event := next(t, w)
		if event.Type != watch.Modified || !contains(event.Object.(*v1alpha1.NodeNetworkState), `"`+ip+`"`) {
			t.Fatalf("after change %d came %v", i, event)
		}
		if version := event.Object.(*v1alpha1.NodeNetworkState).ResourceVersion; version <= seen {
			t.Errorf("revision %s came after %s", version, seen)
		} else {
			seen = version
		}
	}
	for i := 1; i <= 10; i++ {
		onNode(t, node, "ip", "addr", "del", fmt.Sprintf("198.18.100.%d/32", i), "dev", "lo")
	}
}

func next(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	select {
	case event, ok := <-w.ResultChan():
		if !ok {
			t.Fatal("the watch has ended")
		}
		return event
	case <-time.After(long):
		t.Fatal("no event came")
	}
	return watch.Event{}
}

// TestServerKilled: the API server comes back, and nothing is lost.
func TestServerKilled(t *testing.T) {
	const state = `{"interfaces":[{"name":"keep0","type":"linux-bridge","state":"up","bridge":{"port":[]}}]}`
	mustDesire(t, "node03", state)
	if out, err := kubectl(t, "annotate", "nns", "node03", "keep=this", "--overwrite"); err != nil {
		t.Fatal(err, out)
	}
	before := get(t, "node03")
	old, err := client(t).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mustScript(t, "hack/demo/server.sh", "kill")
	for range old.ResultChan() { // it ends with the server
	}
	mustScript(t, "hack/demo/server.sh", "start")
	after := waitFor(t, "node03", long, isTrue(v1alpha1.ConditionAvailable))
	if after.Annotations["keep"] != "this" || after.Generation != before.Generation || after.UID != before.UID ||
		!v1alpha1.SameState(after.Spec.DesiredState, before.Spec.DesiredState) || len(after.ManagedFields) != len(before.ManagedFields) {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	_, err = client(t).List(t.Context(), metav1.ListOptions{ResourceVersion: before.ResourceVersion})
	if err == nil || !strings.Contains(err.Error(), "list again") {
		t.Errorf("a list at the last term's revision: %v", err)
	}
	mustDesire(t, "node03", `{"interfaces":[{"name":"keep0","type":"linux-bridge","state":"absent"}]}`)
}

// TestAgentKilled: its object says so within 15 s and stays; reads go on.
func TestAgentKilled(t *testing.T) {
	const node = "node02"
	mustScript(t, "hack/demo/agent.sh", "kill", node)
	lost := waitFor(t, node, 15*time.Second, func(obj *v1alpha1.NodeNetworkState) bool { return !isTrue(v1alpha1.ConditionAvailable)(obj) })
	if lost.Status.CurrentState != nil || lost.Status.Conditions[0].Reason != v1alpha1.ReasonAgentUnreachable {
		t.Errorf("it shows %+v", lost.Status)
	}
	begin := time.Now()
	all, err := client(t).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(all.Items) != 3 || time.Since(begin) > 3*time.Second {
		t.Errorf("LIST has %d items, %v, after %v", len(all.Items), err, time.Since(begin))
	}
	if _, err := desire(t, node, `{"interfaces":[]}`); err == nil || !strings.Contains(err.Error(), node) {
		t.Errorf("a write to a lost agent: %v", err)
	}
	mustScript(t, "hack/demo/agent.sh", "start", node)
	waitFor(t, node, long, isTrue(v1alpha1.ConditionAvailable))
}
