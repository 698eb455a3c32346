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

package nodenetworkstate

import (
	"context"
	"fmt"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/clock"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/install"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
	"github.com/nmstate/kubernetes-nmstate/pkg/livestore"
)

// manyNodes is a Fleet of nodes whose networks change all the time: each barrier finds another one.
type manyNodes struct {
	fleetOfOne
	sink  Sink
	names []string
	// states counts the changes of each node.
	states map[string]int
	// asked are the nodes that were asked since the last look.
	asked []string
	// passed, if set, is called once after the next barrier.
	passed func()
}

func (f *manyNodes) labels(name string) map[string]string {
	return map[string]string{"odd": fmt.Sprint(name[len(name)-1]%2 == 1)}
}

func (f *manyNodes) BarrierPage(_ context.Context, selected func(fleet.Node) bool, most int) (last string, err error) {
	var found []string
	for _, name := range f.names {
		if selected(fleet.Node{Name: name, Labels: f.labels(name)}) {
			found = append(found, name)
		}
	}
	if len(found) > most {
		found, last = found[:most], found[most-1]
	}
	for _, name := range found {
		f.show(name)
		f.asked = append(f.asked, name)
	}
	if f.passed != nil {
		f.passed()
		f.passed = nil
	}
	return last, nil
}

func (f *manyNodes) Barrier(ctx context.Context, selected func(fleet.Node) bool) error {
	_, err := f.BarrierPage(ctx, selected, len(f.names))
	return err
}

// show records what the network of a node is now.
func (f *manyNodes) show(name string) {
	f.states[name]++
	n := &v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: f.labels(name)}}
	n.Status.CurrentState = v1alpha1.NewState(fmt.Appendf(nil, `{"n":%d}`, f.states[name]))
	f.sink.Set(n)
}

func (f *manyNodes) remove(name string) {
	f.names = slices.DeleteFunc(f.names, func(n string) bool { return n == name })
	f.sink.Delete(name)
}

// wantPage lists a page and checks that it has these nodes, as they are now, and that no other node was asked.
func (f *manyNodes) wantPage(t *testing.T, r *REST, options internalversion.ListOptions, names ...string) *v1alpha1.NodeNetworkStateList {
	t.Helper()
	f.asked = nil
	got, err := r.List(genericapirequest.WithNamespace(t.Context(), metav1.NamespaceNone), &options)
	if err != nil {
		t.Fatal(err)
	}
	list := got.(*v1alpha1.NodeNetworkStateList)
	var listed []string
	for _, n := range list.Items {
		listed = append(listed, n.Name)
		if want := fmt.Sprintf(`{"n":%d}`, f.states[n.Name]); string(n.Status.CurrentState.Raw) != want {
			t.Errorf("%s is shown as %s, and is %s", n.Name, n.Status.CurrentState.Raw, want)
		}
	}
	if !slices.Equal(listed, names) {
		t.Errorf("the page has %v, not %v", listed, names)
	}
	if !slices.Equal(f.asked, names) {
		t.Errorf("%v were asked, for %v", f.asked, names)
	}
	return list
}

func newManyNodes(t *testing.T) (*manyNodes, *REST) {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	livestore.AnnounceWatchProgress()
	log := livestore.NewLog(clock.RealClock{})
	log.Begin(1000)
	nodes := &manyNodes{sink: NewSink(log, NewEncodings()), states: map[string]int{}, names: []string{"n1", "n2", "n3", "n4", "n5", "n6", "n7"}}
	for _, name := range nodes.names {
		nodes.show(name)
	}
	log.Complete()
	return nodes, newResource(t, scheme, NewWriter(nodes, log), log)
}

// TestPages: each page asks its own nodes alone and shows them as they are then; all have the revision of the first.
func TestPages(t *testing.T) {
	nodes, r := newManyNodes(t)
	options := internalversion.ListOptions{Limit: 3}
	first := nodes.wantPage(t, r, options, "n1", "n2", "n3")
	nodes.show("n4") // It changes, unasked, between the pages.
	options.Continue = first.Continue
	second := nodes.wantPage(t, r, options, "n4", "n5", "n6")
	options.Continue = second.Continue
	third := nodes.wantPage(t, r, options, "n7")
	options.Limit = 0
	nodes.wantPage(t, r, options, "n7")
	if third.Continue != "" || first.RemainingItemCount == nil || *first.RemainingItemCount != 4 {
		t.Errorf("the last page continues at %q; after the first one %v remain", third.Continue, first.RemainingItemCount)
	}
	if first.ResourceVersion == "" || second.ResourceVersion != first.ResourceVersion || third.ResourceVersion != first.ResourceVersion {
		t.Errorf("the pages are of %s, %s and %s", first.ResourceVersion, second.ResourceVersion, third.ResourceVersion)
	}
	if _, revision, err := storage.DecodeContinue(second.Continue, ResourcePrefix+"/"); fmt.Sprint(revision) != first.ResourceVersion || err != nil {
		t.Errorf("the second page's token is of %d, %v", revision, err)
	}
}

// TestPagesOfASelection: a label selector counts before the page is cut.
func TestPagesOfASelection(t *testing.T) {
	nodes, r := newManyNodes(t)
	options := internalversion.ListOptions{Limit: 2, LabelSelector: labels.SelectorFromSet(labels.Set{"odd": "true"})}
	first := nodes.wantPage(t, r, options, "n1", "n3")
	options.Continue = first.Continue
	nodes.wantPage(t, r, options, "n5", "n7")
}

// TestPageOfChangingNodes: a node that takes the place of one that has gone is asked before it is shown.
func TestPageOfChangingNodes(t *testing.T) {
	nodes, r := newManyNodes(t)
	nodes.passed = func() { nodes.remove("n2") }
	nodes.asked = nil
	got, err := r.List(genericapirequest.WithNamespace(t.Context(), metav1.NamespaceNone), &internalversion.ListOptions{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	if n3 := got.(*v1alpha1.NodeNetworkStateList).Items[1]; n3.Name != "n3" || !slices.Contains(nodes.asked, "n3") {
		t.Errorf("%s is shown, %v were asked", n3.Name, nodes.asked)
	}
}

// TestPagesByOtherFields: a selector of what the barrier finds out needs all nodes.
func TestPagesByOtherFields(t *testing.T) {
	nodes, r := newManyNodes(t)
	selector := fields.OneTermEqualSelector("status.conditions.Available", "Unknown")
	nodes.asked = nil
	if _, err := r.List(genericapirequest.WithNamespace(t.Context(), metav1.NamespaceNone), &internalversion.ListOptions{Limit: 2, FieldSelector: selector}); err != nil || len(nodes.asked) != 7 {
		t.Errorf("%v were asked, %v", nodes.asked, err)
	}
}

// TestPagesOfNoList: a token that is none is refused as upstream does, and one of another term is gone.
func TestPagesOfNoList(t *testing.T) {
	_, r := newManyNodes(t)
	other, err := storage.EncodeContinue(Key("n3"), ResourcePrefix+"/", 7)
	if err != nil {
		t.Fatal(err)
	}
	future, err := storage.EncodeContinue(Key("n3"), ResourcePrefix+"/", 1<<60)
	if err != nil {
		t.Fatal(err)
	}
	for token, is := range map[string]func(error) bool{"x": apierrors.IsBadRequest, other: apierrors.IsResourceExpired, future: apierrors.IsResourceExpired} {
		if _, err := r.List(genericapirequest.WithNamespace(t.Context(), metav1.NamespaceNone), &internalversion.ListOptions{Limit: 2, Continue: token}); !is(err) {
			t.Errorf("%q: %v", token, err)
		}
	}
}
