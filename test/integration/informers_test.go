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
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/generated/informers/externalversions"
)

const (
	agents   = 20
	changes  = 10_000
	restarts = 3
)

// TestInformersStayEqualToTheTruth: over 10,000 random changes, reconnects of
// agents and kills of the server, an informer of client-go and a cache of
// controller-runtime end up with what a fresh list has and the nodes are, and
// see each object's revisions in order. Run with the client's feature
// WatchListClient on and off (make test-integration does).
func TestInformersStayEqualToTheTruth(t *testing.T) {
	s := newServer(t)
	var joined []*agent
	for i := range agents {
		joined = append(joined, s.join(fmt.Sprintf("node%02d", i)))
	}
	s.await("all nodes to join", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == agents })
	informer, order := startInformer(t, s)
	controllers := startCache(t, s)

	truth := make([]int, agents)
	for i := range changes {
		node := rand.IntN(agents)
		truth[node] = i
		if err := joined[node].SetState(stateWith(i)); err != nil {
			t.Fatal(err)
		}
		switch {
		case i%500 == 250:
			joined[node].disconnect()
			joined[node].connect()
		case i%(changes/restarts) == changes/restarts/2:
			s.kill()
			s.start()
		}
	}

	s.await("all nodes to be back", func(list []v1alpha1.NodeNetworkState) bool { return available(list) == agents })
	list, err := s.nns().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, item := range list.Items {
		if want := fmt.Sprintf("\"c%d\"", truth[i]); !strings.Contains(string(item.Status.CurrentState.Raw), want) {
			t.Errorf("%s is %s, want %s", item.Name, item.Status.CurrentState.Raw, want)
		}
	}
	want := byName(list.Items)
	eventually(t, "the informer", want, func() map[string]string {
		var got []v1alpha1.NodeNetworkState
		for _, obj := range informer.GetStore().List() {
			got = append(got, *obj.(*v1alpha1.NodeNetworkState))
		}
		return byName(got)
	})
	eventually(t, "controller-runtime's cache", want, func() map[string]string {
		var got v1alpha1.NodeNetworkStateList
		if err := controllers.List(t.Context(), &got); err != nil {
			t.Fatal(err)
		}
		return byName(got.Items)
	})
	order.check(t)
}

// stateWith is a network that shows which change it is of.
func stateWith(change int) string {
	return fmt.Sprintf(`{"hostname":"h","interfaces":[{"name":"lo","type":"loopback","state":"up"},{"name":"c%d","type":"dummy","state":"up"}]}`, change)
}

func (s *server) await(what string, wanted func([]v1alpha1.NodeNetworkState) bool) {
	s.t.Helper()
	err := wait.PollUntilContextTimeout(s.t.Context(), 50*time.Millisecond, long, true, func(ctx context.Context) (bool, error) {
		list, err := s.nns().List(ctx, metav1.ListOptions{})
		return err == nil && wanted(list.Items), nil
	})
	if err != nil {
		s.t.Fatalf("waiting for %s: %v", what, err)
	}
}

func available(list []v1alpha1.NodeNetworkState) int {
	count := 0
	for _, item := range list {
		if item.Status.CurrentState != nil {
			count++
		}
	}
	return count
}

// byName is what is compared: revisions identify contents. An informer that
// has not caught up may still have an object without a state.
func byName(list []v1alpha1.NodeNetworkState) map[string]string {
	result := map[string]string{}
	for _, item := range list {
		state := "no state"
		if item.Status.CurrentState != nil {
			state = string(item.Status.CurrentState.Raw)
		}
		result[item.Name] = item.ResourceVersion + " " + state
	}
	return result
}

func eventually(t *testing.T, who string, want map[string]string, got func() map[string]string) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, long, true, func(context.Context) (bool, error) {
		return maps.Equal(got(), want), nil
	})
	if err != nil {
		t.Errorf("%s has %v, want %v", who, got(), want)
	}
}

// revisions notes the order in which an informer sees each object's revisions.
type revisions struct {
	mu   sync.Mutex
	last map[string]uint64
	errs []string
}

func (r *revisions) note(obj *v1alpha1.NodeNetworkState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	revision, err := strconv.ParseUint(obj.ResourceVersion, 10, 64)
	if err != nil || revision < r.last[obj.Name] {
		r.errs = append(r.errs, fmt.Sprintf("%s: %s after %d", obj.Name, obj.ResourceVersion, r.last[obj.Name]))
	}
	r.last[obj.Name] = revision
}

func (r *revisions) check(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.errs) > 0 {
		t.Errorf("revisions out of order: %v", r.errs)
	}
}

func startInformer(t *testing.T, s *server) (toolscache.SharedIndexInformer, *revisions) {
	t.Helper()
	order := &revisions{last: map[string]uint64{}}
	factory := externalversions.NewSharedInformerFactory(s.clients(), 0)
	informer := factory.Nmstate().V1alpha1().NodeNetworkStates().Informer()
	_, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { order.note(obj.(*v1alpha1.NodeNetworkState)) },
		UpdateFunc: func(_, obj any) { order.note(obj.(*v1alpha1.NodeNetworkState)) },
		DeleteFunc: func(obj any) { t.Errorf("nobody was deleted, but %v was told so", reflect.TypeOf(obj)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	t.Cleanup(factory.Shutdown)
	for kind, synced := range factory.WaitForCacheSync(t.Context().Done()) {
		if !synced {
			t.Fatalf("the informer of %v did not sync", kind)
		}
	}
	if items, err := factory.Nmstate().V1alpha1().NodeNetworkStates().Lister().List(labels.Everything()); err != nil || len(items) != agents {
		t.Fatalf("the lister has %d items, %v", len(items), err)
	}
	return informer, order
}

func startCache(t *testing.T, s *server) cache.Cache {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := cache.New(s.config(), cache.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetInformer(t.Context(), &v1alpha1.NodeNetworkState{}); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.Start(t.Context()) }()
	if !c.WaitForCacheSync(t.Context()) {
		t.Fatal("controller-runtime's cache did not sync")
	}
	return c
}
