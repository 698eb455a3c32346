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

package cluster

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
)

const timeout = time.Minute

func clusterNode(name string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-of-" + name), Labels: map[string]string{"zone": "a"}, Annotations: map[string]string{"large": "one"}},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}, {Type: corev1.NodeDiskPressure}},
			Images:     []corev1.ContainerImage{{Names: []string{"large"}}},
		},
	}
}

// next returns what is delivered next.
func next(t *testing.T, delivered <-chan []fleet.Node) []fleet.Node {
	t.Helper()
	select {
	case nodes := <-delivered:
		return nodes
	case <-time.After(timeout):
		t.Fatal("nothing was delivered")
		return nil
	}
}

func TestDirectoryFollowsTheNodes(t *testing.T) {
	client := fake.NewClientset(clusterNode("node02"), clusterNode("node01"))
	directory, err := NewDirectory(client, metadataOf(t, client))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go directory.Run(ctx)
	delivered := make(chan []fleet.Node)
	go func() { _ = directory.Watch(ctx, func(nodes []fleet.Node) { delivered <- nodes }) }()

	first := next(t, delivered)
	if len(first) != 2 || first[0].Name != "node01" || first[0].Labels["zone"] != "a" || first[0].NotReady != "" ||
		first[0].Owner.Kind != "Node" || first[0].Owner.UID != first[0].UID {
		t.Fatalf("the nodes are %+v", first)
	}
	nodes := client.CoreV1().Nodes()
	edit := func(edit func(*corev1.Node)) {
		t.Helper()
		node := clusterNode("node01")
		edit(node)
		if _, err := nodes.Update(ctx, node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	until := func(what string, wanted func([]fleet.Node) bool) {
		t.Helper()
		for got := next(t, delivered); !wanted(got); got = next(t, delivered) {
			t.Logf("not %s yet: %+v", what, got)
		}
	}
	edit(func(n *corev1.Node) { n.Labels["zone"] = "b" })
	until("labelled", func(n []fleet.Node) bool { return n[0].Labels["zone"] == "b" })
	edit(func(n *corev1.Node) {
		n.Status.Conditions[0] = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Reason: "NodeStatusUnknown", Message: "Kubelet stopped"}
	})
	until("not ready", func(n []fleet.Node) bool { return strings.Contains(n[0].NotReady, "Kubelet stopped") })
	edit(func(n *corev1.Node) {
		n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "node01"}, {Type: corev1.NodeExternalIP, Address: "203.0.113.1"},
			{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}, {Type: corev1.NodeInternalIP, Address: "2001:db8::1"}, {Type: corev1.NodeInternalIP, Address: "bad"}}
	})
	until("with its InternalIPs", func(n []fleet.Node) bool { return slices.Equal(n[0].Addresses, []string{"192.0.2.1", "2001:db8::1"}) })
	if got, none := directory.Addresses("node01"), directory.Addresses("node99"); !slices.Equal(got, []string{"203.0.113.1", "192.0.2.1", "2001:db8::1"}) || none != nil {
		t.Errorf("all addresses are %q, those of a node that is not there %q", got, none)
	}
	if err := nodes.Delete(ctx, "node02", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until("one less", func(n []fleet.Node) bool { return len(n) == 1 })
}

// metadataOf is a client of the metadata of the nodes that the other one has.
func metadataOf(t *testing.T, client *fake.Clientset) *metadatafake.FakeMetadataClient {
	t.Helper()
	result := metadatafake.NewSimpleMetadataClient(metadatafake.NewTestScheme())
	result.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return true, nil, err
		}
		// This is what the fake makes a PartialObjectMetadataList from.
		list := &metav1.List{}
		for _, node := range nodes.Items {
			list.Items = append(list.Items, runtime.RawExtension{Object: &metav1.PartialObjectMetadata{ObjectMeta: node.ObjectMeta}})
		}
		return true, list, nil
	})
	return result
}

// behind returns what a directory delivers that has listed node01 and, before it
// was watched, has missed that there is a node02; its watch has only the events
// that the test gives it.
func behind(t *testing.T) (client *fake.Clientset, late *corev1.Node, events chan<- watch.Event, delivered <-chan []fleet.Node) {
	t.Helper()
	client = fake.NewClientset(clusterNode("node01"))
	watched := make(chan watch.Event)
	client.PrependWatchReactor("nodes", func(clienttesting.Action) (bool, watch.Interface, error) {
		return true, watch.NewProxyWatcher(watched), nil
	})
	directory, err := NewDirectory(client, metadataOf(t, client))
	if err != nil {
		t.Fatal(err)
	}
	go directory.Run(t.Context())
	if !cache.WaitForCacheSync(t.Context().Done(), directory.informer.HasSynced) {
		t.Fatal("the nodes were not listed")
	}
	late = clusterNode("node02")
	if _, err := client.CoreV1().Nodes().Create(t.Context(), late, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	deliveries := make(chan []fleet.Node)
	go func() {
		_ = directory.Watch(t.Context(), func(nodes []fleet.Node) {
			select {
			case deliveries <- nodes:
			case <-t.Context().Done():
			}
		})
	}()
	return client, late, watched, deliveries
}

// TestDirectoryBeginsWithTheNodesOfTheMoment, however far its watch is behind.
func TestDirectoryBeginsWithTheNodesOfTheMoment(t *testing.T) {
	_, late, events, delivered := behind(t)
	if first := next(t, delivered); len(first) != 2 || first[1].Name != "node02" || first[1].UID != late.UID || first[1].Labels["zone"] != "a" {
		t.Errorf("the nodes are %+v", first)
	}
	for sent := false; !sent; {
		select {
		case nodes := <-delivered:
			if len(nodes) != 2 {
				t.Errorf("before the watch has come up: %+v", nodes)
			}
		case events <- watch.Event{Type: watch.Added, Object: late}:
			sent = true
		}
	}
	if second := next(t, delivered); len(second) != 2 {
		t.Errorf("the nodes are %+v", second)
	}
}

// TestDirectoryIsNotDeafToOthers while it waits for a node that is gone again.
func TestDirectoryIsNotDeafToOthers(t *testing.T) {
	client, late, events, delivered := behind(t)
	next(t, delivered)
	if err := client.CoreV1().Nodes().Delete(t.Context(), late.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	changed := clusterNode("node01")
	changed.Labels["zone"] = "b"
	begin := time.Now()
	events <- watch.Event{Type: watch.Modified, Object: changed}
	for nodes := next(t, delivered); len(nodes) != 1 || nodes[0].Labels["zone"] != "b"; nodes = next(t, delivered) {
		t.Logf("not yet: %+v", nodes)
	}
	if took := time.Since(begin); took > lag/2 {
		t.Errorf("the change was delivered after %s", took)
	}
}

// TestWhatNodesDoAllDayIsPassedOver: heartbeats and images are no news.
func TestWhatNodesDoAllDayIsPassedOver(t *testing.T) {
	before, now := clusterNode("node01"), clusterNode("node01")
	now.Status.Images = nil
	now.Status.Conditions[0].LastHeartbeatTime = metav1.Now()
	if !same(before, now) {
		t.Error("a heartbeat is news")
	}
	kept, err := essence(now)
	if err != nil || kept.(*corev1.Node).Annotations != nil || len(kept.(*corev1.Node).Status.Conditions) != 1 {
		t.Errorf("kept is %+v, %v", kept, err)
	}
}
