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
	"maps"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/utils/clock"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/fake"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/install"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/fleet"
	"github.com/nmstate/kubernetes-nmstate/pkg/livestore"
)

// oneNode is a Fleet of one node, whose agent is at hand.
type oneNode struct {
	*fake.Agent
	log *livestore.Log
}

func (f *oneNode) Barrier(ctx context.Context, _ func(fleet.Node) bool) error {
	return f.BarrierNode(ctx, "")
}

func (f *oneNode) BarrierPage(ctx context.Context, _ func(fleet.Node) bool, _ int) (string, error) {
	return "", f.BarrierNode(ctx, "")
}

func (f *oneNode) BarrierNode(ctx context.Context, _ string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_ = f.Watch(ctx, func(obj *v1alpha1.NodeNetworkState) {
		f.record(obj)
		cancel()
	})
	return nil
}

func (f *oneNode) record(obj *v1alpha1.NodeNetworkState) {
	named := obj.DeepCopy()
	named.Name, named.UID = "node1", "uid"
	NewSink(f.log, NewEncodings()).Set(named)
}

func (f *oneNode) Apply(ctx context.Context, _ string, change agent.Change) (*v1alpha1.NodeNetworkState, error) {
	obj, err := f.Agent.Apply(ctx, change)
	if err == nil {
		f.record(obj)
	}
	return obj, err
}

func (f *oneNode) Validate(ctx context.Context, _ string, change agent.Change) (*agent.Plan, error) {
	return f.Agent.Validate(ctx, change)
}

func (f *oneNode) Decide(ctx context.Context, _ string, decision agent.Decision) (*v1alpha1.NodeNetworkState, error) {
	obj, err := f.Agent.Decide(ctx, decision)
	if err == nil {
		f.record(obj)
	}
	return obj, err
}

func (f *oneNode) History(ctx context.Context, _ string) (*v1alpha1.NodeNetworkStateHistory, error) {
	return f.Agent.History(ctx)
}

func (f *oneNode) Ports(ctx context.Context, _ string) (*v1alpha1.NodeNetworkPorts, error) {
	return f.Agent.Ports(ctx)
}

// newOneNode returns the resource with one node, node1.
func newOneNode(t *testing.T) *REST {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	log := livestore.NewLog(clock.RealClock{})
	log.Begin(1)
	node := &oneNode{Agent: fake.New(), log: log}
	writer := NewWriter(node, log)
	if err := node.BarrierNode(t.Context(), "node1"); err != nil {
		t.Fatal(err)
	}
	log.Complete()
	return newResource(t, scheme, writer, log)
}

// newResource returns the resource of what log has, which writer stands behind.
func newResource(t *testing.T, scheme *runtime.Scheme, writer *Writer, log *livestore.Log) *REST {
	t.Helper()
	codec := serializer.NewCodecFactory(scheme).LegacyCodec(v1alpha1.SchemeGroupVersion)
	resource, err := NewREST(scheme, generic.RESTOptions{
		StorageConfig:  storagebackend.NewDefaultConfig("/", codec).ForResource(v1alpha1.Resource("nodenetworkstates")),
		Decorator:      livestore.NewDecorator(log, writer, func(*cacher.Cacher) {}),
		ResourcePrefix: ResourcePrefix,
	}, writer, log, NewEncodings())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(resource.Destroy)
	return resource
}

// annotate updates node1 by one annotation, as a patch does. meanwhile is called
// once the update was made, before it is carried out.
func annotate(t *testing.T, r *REST, key, resourceVersion string, dryRun []string, meanwhile func()) (*v1alpha1.NodeNetworkState, error) {
	t.Helper()
	ctx := genericapirequest.WithRequestInfo(t.Context(), &genericapirequest.RequestInfo{Verb: "patch"})
	ctx = genericapirequest.WithNamespace(ctx, metav1.NamespaceNone)
	info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, existing runtime.Object) (runtime.Object, error) {
		updated := existing.DeepCopyObject().(*v1alpha1.NodeNetworkState)
		updated.Annotations = maps.Clone(updated.Annotations)
		metav1.SetMetaDataAnnotation(&updated.ObjectMeta, key, "yes")
		if resourceVersion != "" {
			updated.ResourceVersion = resourceVersion
		}
		return updated, nil
	})
	validate := func(context.Context, runtime.Object, runtime.Object) error {
		meanwhile()
		return nil
	}
	obj, _, err := r.Update(ctx, "node1", info, rest.ValidateAllObjectFunc, validate, false, &metav1.UpdateOptions{DryRun: dryRun})
	if err != nil {
		return nil, err
	}
	return obj.(*v1alpha1.NodeNetworkState), nil
}

// TestADryRunStartsFromTheObjectThatItWasMadeFrom: a change that is committed after
// that is in its answer, or its resourceVersion is in conflict; it is not undone.
func TestADryRunStartsFromTheObjectThatItWasMadeFrom(t *testing.T) {
	r := newOneNode(t)
	before := r.log.Get(Key("node1")).(*v1alpha1.NodeNetworkState).ResourceVersion
	other := func(key string) func() {
		done := false
		return func() {
			if done {
				return
			}
			done = true
			if _, err := annotate(t, r, key, "", nil, func() {}); err != nil {
				t.Fatal(err)
			}
		}
	}
	planned, err := annotate(t, r, "mine", "", []string{metav1.DryRunAll}, other("others"))
	if err != nil {
		t.Fatal(err)
	}
	if planned.Annotations["mine"] != "yes" || planned.Annotations["others"] != "yes" {
		t.Errorf("the answer has the annotations %v", planned.Annotations)
	}
	if _, err := annotate(t, r, "mine", before, []string{metav1.DryRunAll}, func() {}); !apierrors.IsConflict(err) {
		t.Errorf("a dry run of an old resourceVersion ended with %v", err)
	}
	now := r.log.Get(Key("node1")).(*v1alpha1.NodeNetworkState)
	if _, err := annotate(t, r, "mine", now.ResourceVersion, []string{metav1.DryRunAll}, other("more")); !apierrors.IsConflict(err) {
		t.Errorf("a dry run of a resourceVersion that has become old ended with %v", err)
	}
	if now := r.log.Get(Key("node1")).(*v1alpha1.NodeNetworkState); now.Annotations["mine"] != "" || now.Annotations["more"] != "yes" {
		t.Errorf("what is there has the annotations %v", now.Annotations)
	}
}

func (*oneNode) Warnings(string) []string { return nil }
