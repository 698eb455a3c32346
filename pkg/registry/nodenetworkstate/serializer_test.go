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
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/handlers"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/utils/ptr"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/install"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// long is a state that is worth sharing, with an interface of that name.
func long(name string) string {
	return fmt.Sprintf(`{"interfaces":[{"name":"%s","type":"dummy","state":"up","ipv4":{"enabled":true,"address":[{"ip":"192.0.2.1","prefix-length":24}]}}],`+
		`"routes":{"running":[{"destination":"0.0.0.0/0","next-hop-interface":"%s","next-hop-address":"192.0.2.254","table-id":254}]},"hostname":{"running":"%s"}}`,
		name, name, strings.Repeat("h", 512))
}

// corpus are objects that are encoded in different ways.
func corpus() map[string]*v1alpha1.NodeNetworkState {
	then := metav1.NewTime(time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC))
	state := func(text string) *v1alpha1.State { return v1alpha1.NewState([]byte(text)) }
	full := func(desired, current, difference *v1alpha1.State) *v1alpha1.NodeNetworkState {
		return &v1alpha1.NodeNetworkState{
			ObjectMeta: metav1.ObjectMeta{
				UID: "u<i>d", Generation: 3, CreationTimestamp: then, Labels: map[string]string{"b": "2", "a": "1"},
				Annotations:     map[string]string{"note": `<&>` + "\u2028", "state": long("eth0")},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n", UID: "x"}},
				ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply, Time: &then,
					FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:desiredState":{}}}`)}},
			},
			Spec: v1alpha1.NodeNetworkStateSpec{DesiredState: desired, Probes: []v1alpha1.Probe{{Name: "p"}}, Reapply: "Always"},
			Status: v1alpha1.NodeNetworkStateStatus{
				CurrentState: current, Difference: difference, ObservedGeneration: 3, Interfaces: &v1alpha1.InterfaceCount{Total: 2, Up: 1},
				Conditions: []metav1.Condition{{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionTrue, LastTransitionTime: then, Message: "a > b"}},
				LastApply:  &v1alpha1.LastApply{StartTime: then, FinishTime: &then, Outcome: v1alpha1.ApplyCommitted},
				Backend:    v1alpha1.BackendKernel, LastSuccessfulUpdateTime: &then,
			},
		}
	}
	same := long("same")
	objects := map[string]*v1alpha1.NodeNetworkState{
		"empty":          {},
		"no-state":       full(nil, nil, nil),
		"no-text":        full(&v1alpha1.State{}, &v1alpha1.State{}, nil),
		"short":          full(state(`{}`), state(`{"interfaces":[]}`), state(`{}`)),
		"long":           full(state(long("d")), state(long("c")), state(long("diff"))),
		"same":           full(state(same), state(same), state(same)),
		"in-annotation":  full(nil, state(long("eth0")), nil),
		"not-compact":    full(state("{ \"a\" :\n 1 }"), state(strings.ReplaceAll(long("c"), ":", " : ")), nil),
		"html":           full(state(long("<d>")), state(long("a&b")), state(long("\u2028"))),
		"escaped":        full(state(long(`\"\\`)), state(long(`\u003c`)), nil),
		"large":          full(nil, state(long(strings.Repeat("x", 135_000))), nil),
		"hostile-column": full(nil, state(`{"interfaces":7,"routes":[]}`), nil),
	}
	for name, object := range objects {
		object.Name = name
	}
	return objects
}

// served is a resource that answers lists, gets and watches with what it has.
type served struct {
	rest.TableConvertor
	list   *v1alpha1.NodeNetworkStateList
	events []watch.Event
}

func (s served) New() runtime.Object     { return &v1alpha1.NodeNetworkState{} }
func (s served) NewList() runtime.Object { return &v1alpha1.NodeNetworkStateList{} }
func (s served) Destroy()                {}

func (s served) List(context.Context, *internalversion.ListOptions) (runtime.Object, error) {
	list := *s.list
	list.Items = slices.Clone(s.list.Items)
	return &list, nil
}

func (s served) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	at := slices.IndexFunc(s.list.Items, func(n v1alpha1.NodeNetworkState) bool { return n.Name == name })
	return s.list.Items[at].DeepCopy(), nil
}

func (s served) Watch(context.Context, *internalversion.ListOptions) (watch.Interface, error) {
	events := make(chan watch.Event, len(s.events))
	for _, event := range s.events {
		events <- event
	}
	close(events)
	return watch.NewProxyWatcher(events), nil
}

// answers are two servers of the same objects: ours, and upstream's alone.
type answers struct {
	t              *testing.T
	ours, upstream handlers.RequestScope
	encodings      *Encodings
}

func newAnswers(t *testing.T) *answers {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	metav1.AddToGroupVersion(scheme, metav1.Unversioned)
	group := genericapiserver.NewDefaultAPIGroupInfo(v1alpha1.SchemeGroupVersion.Group, scheme, runtime.NewParameterCodec(scheme), serializer.NewCodecFactory(scheme))
	scope := handlers.RequestScope{
		Namer:      handlers.ContextBasedNaming{Namer: runtime.Namer(nil), ClusterScoped: true},
		Serializer: group.NegotiatedSerializer, ParameterCodec: group.ParameterCodec,
		Creater: scheme, Convertor: scheme, Defaulter: scheme, Typer: scheme, UnsafeConvertor: runtime.UnsafeObjectConvertor(scheme),
		Resource: v1alpha1.SchemeGroupVersion.WithResource("nodenetworkstates"), Kind: v1alpha1.SchemeGroupVersion.WithKind(kind),
		MetaGroupVersion: metav1.SchemeGroupVersion, TableConvertor: table{NewEncodings()},
	}
	a := &answers{t: t, ours: scope, upstream: scope, encodings: NewEncodings()}
	a.ours.Serializer = NewSerializer(group.NegotiatedSerializer, a.encodings)
	a.ours.TableConvertor = table{a.encodings}
	return a
}

// compare asks both for the same, and returns the answer, which must be the same.
func (a *answers) compare(s served, name, query, accept, encoding string) *httptest.ResponseRecorder {
	a.t.Helper()
	ask := func(scope handlers.RequestScope) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodGet, "/apis/nmstate.io/v1alpha1/nodenetworkstates/"+name+"?"+query, nil)
		request.Header.Set("Accept", accept)
		request.Header.Set("Accept-Encoding", encoding)
		info := &genericapirequest.RequestInfo{IsResourceRequest: true, Verb: "list", APIGroup: "nmstate.io", APIVersion: "v1alpha1", Resource: "nodenetworkstates", Name: name}
		request = request.WithContext(genericapirequest.WithRequestInfo(a.t.Context(), info))
		answer := httptest.NewRecorder()
		if name != "" {
			handlers.GetResource(s, &scope)(answer, request)
		} else {
			handlers.ListResource(s, s, &scope, false, time.Minute)(answer, request)
		}
		return answer
	}
	got, want := ask(a.ours), ask(a.upstream)
	if got.Code != want.Code || !maps.EqualFunc(got.Header(), want.Header(), slices.Equal) || got.Body.String() != want.Body.String() {
		a.t.Errorf("%q?%s as %q, encoded %q:\n%d %v %.4000s\nnot\n%d %v %.4000s", name, query, accept, encoding,
			got.Code, got.Header(), got.Body, want.Code, want.Header(), want.Body)
	}
	return got
}

// accepts are the forms in which clients read.
func accepts() []string {
	forms := []string{"application/json", "application/yaml", "application/cbor", "*/*", "", "application/xml"}
	for _, as := range []string{"Table;v=v1", "Table;v=v1beta1", "PartialObjectMetadata;v=v1", "PartialObjectMetadataList;v=v1", "PartialObjectMetadataList;v=v1beta1", "Table;v=v2"} {
		forms = append(forms, "application/json;as="+as+";g=meta.k8s.io", "application/json;as="+as+";g=meta.k8s.io,application/json", "application/yaml;as="+as+";g=meta.k8s.io")
	}
	return forms
}

// inList puts the objects of the corpus in a list.
func inList(objects map[string]*v1alpha1.NodeNetworkState, but ...string) *v1alpha1.NodeNetworkStateList {
	list := &v1alpha1.NodeNetworkStateList{ListMeta: metav1.ListMeta{ResourceVersion: "17"}}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if !slices.Contains(but, name) {
			list.Items = append(list.Items, *objects[name])
		}
	}
	return list
}

// TestSameAsUpstream: whatever is asked for, the answer is upstream's, byte for byte, also if it is
// compressed; the second time, too, when all is kept.
func TestSameAsUpstream(t *testing.T) {
	a := newAnswers(t)
	objects := corpus()
	for _, object := range objects {
		a.encodings.set(object)
	}
	lists := map[string]*v1alpha1.NodeNetworkStateList{
		"all":         inList(objects),
		"small":       inList(objects, "large"),
		"one":         {Items: []v1alpha1.NodeNetworkState{*objects["long"]}},
		"a page":      {ListMeta: metav1.ListMeta{ResourceVersion: "5", Continue: "t<o>ken", RemainingItemCount: ptr.To[int64](7)}, Items: []v1alpha1.NodeNetworkState{*objects["same"]}},
		"none":        {ListMeta: metav1.ListMeta{ResourceVersion: "5"}},
		"empty":       {Items: []v1alpha1.NodeNetworkState{}},
		"of a kind":   {TypeMeta: metav1.TypeMeta{Kind: "List", APIVersion: "v1"}, Items: []v1alpha1.NodeNetworkState{*objects["html"]}},
		"with a kind": {Items: []v1alpha1.NodeNetworkState{{TypeMeta: metav1.TypeMeta{Kind: kind, APIVersion: "v9"}, ObjectMeta: objects["long"].ObjectMeta}}},
		"not current": {Items: []v1alpha1.NodeNetworkState{{ObjectMeta: metav1.ObjectMeta{Name: "unknown"}}}},
	}
	for _, forms := range [][]string{accepts(), {"application/json"}} {
		for _, list := range lists {
			for _, accept := range forms {
				for _, query := range []string{"", "pretty=true", "includeObject=None", "includeObject=Metadata", "includeObject=Object", "includeObject=wrong"} {
					a.compare(served{list: list}, "", query, accept, "")
				}
				a.compare(served{list: list}, "", "", accept, "gzip")
			}
		}
		for name := range objects {
			for _, accept := range forms {
				a.compare(served{list: lists["all"]}, name, "", accept, "")
				a.compare(served{list: lists["all"]}, name, "pretty=1&includeObject=Object", accept, "gzip")
			}
		}
	}
	answer := a.compare(served{list: lists["all"]}, "", "", "application/json", "gzip")
	if answer.Header().Get("Content-Encoding") != "gzip" {
		t.Error("a large list is not compressed: the comparison proves nothing of compression")
	}
}

// TestSameWatchAsUpstream: events, too, are upstream's.
func TestSameWatchAsUpstream(t *testing.T) {
	a := newAnswers(t)
	objects := corpus()
	var events []watch.Event
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		a.encodings.set(objects[name])
		for _, event := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted} {
			events = append(events, watch.Event{Type: event, Object: objects[name].DeepCopy()})
		}
	}
	bookmark := &v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "9", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}}
	events = append(events, watch.Event{Type: watch.Bookmark, Object: bookmark},
		watch.Event{Type: watch.Error, Object: &metav1.Status{Code: http.StatusGone, Message: "<gone>"}})
	for _, accept := range accepts() {
		for _, query := range []string{"watch=1", "watch=1&pretty=1", "watch=1&includeObject=None", "watch=1&includeObject=Object", "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"} {
			answer := a.compare(served{events: events}, "", query, accept, "")
			if accept == "application/json" && answer.Code == http.StatusOK && strings.Count(answer.Body.String(), "\n") != len(events) {
				t.Errorf("%d lines, not %d: %.200s", strings.Count(answer.Body.String(), "\n"), len(events), answer.Body)
			}
		}
		a.compare(served{events: events}, "", "watch=1", accept, "gzip")
	}
}

// edit changes one byte of a state.
func edit(state *v1alpha1.State, at int) {
	state.Raw = bytes.Clone(state.Raw)
	state.Raw[at] = 'Y'
}

// TestNeverStale: what is kept is of one object alone. A changed object, such as that of a dry
// run, is shown as it is, whatever of it differs.
func TestNeverStale(t *testing.T) {
	a := newAnswers(t)
	current := corpus()["long"]
	a.encodings.set(current)
	list := func(object v1alpha1.NodeNetworkState) served {
		return served{list: &v1alpha1.NodeNetworkStateList{Items: []v1alpha1.NodeNetworkState{object}}}
	}
	first := a.compare(list(*current), "", "", "application/json", "").Body.String()
	for what, change := range map[string]func(*v1alpha1.NodeNetworkState){
		"the revision":       func(n *v1alpha1.NodeNetworkState) { n.ResourceVersion = "2" },
		"a label":            func(n *v1alpha1.NodeNetworkState) { n.Labels["a"] = "3" },
		"an annotation":      func(n *v1alpha1.NodeNetworkState) { n.Annotations["new"] = "" },
		"no managed fields":  func(n *v1alpha1.NodeNetworkState) { n.ManagedFields = nil },
		"the desired state":  func(n *v1alpha1.NodeNetworkState) { edit(n.Spec.DesiredState, 300) },
		"the current state":  func(n *v1alpha1.NodeNetworkState) { edit(n.Status.CurrentState, 17) },
		"the difference":     func(n *v1alpha1.NodeNetworkState) { n.Status.Difference = nil },
		"a condition":        func(n *v1alpha1.NodeNetworkState) { n.Status.Conditions[0].Reason = "Other" },
		"the last apply":     func(n *v1alpha1.NodeNetworkState) { n.Status.LastApply.User = "me" },
		"the time of a read": func(n *v1alpha1.NodeNetworkState) { n.Status.LastSuccessfulUpdateTime = nil },
	} {
		changed := current.DeepCopy()
		change(changed)
		for _, accept := range []string{"application/json", "application/json;as=Table;v=v1;g=meta.k8s.io"} {
			for name := range map[string]bool{"": true, "long": true} {
				answer := a.compare(list(*changed), name, "includeObject=Object", accept, "").Body.String()
				if answer == first {
					t.Errorf("%s was changed, and the answer is the same", what)
				}
			}
		}
	}
	if a.compare(list(*current), "", "", "application/json", "").Body.String() != first {
		t.Error("the current object has changed")
	}
}
