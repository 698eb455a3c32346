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
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	openapibuilder3 "k8s.io/kube-openapi/pkg/builder3"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/install"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	generated "github.com/nmstate/kubernetes-nmstate/pkg/generated/openapi"
	"github.com/nmstate/kubernetes-nmstate/pkg/stateschema"
)

// merger merges what clients write as the server does: upstream's field manager, and what is ours around it.
type merger struct {
	*managedfields.FieldManager
	owners ownership
	format format
}

// newUpstreamConverter returns what upstream's field manager knows of types.
func newUpstreamConverter(t testing.TB) (managedfields.TypeConverter, *runtime.Scheme) {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	metav1.AddToGroupVersion(scheme, v1alpha1.SchemeGroupVersion)
	definitions, err := stateschema.WithStructure(generated.GetOpenAPIDefinitions, v1alpha1.State{}.OpenAPIModelName(),
		v1alpha1.NodeNetworkStateStatus{}.OpenAPIModelName(), v1alpha1.CurrentStateModelName)
	if err != nil {
		t.Fatal(err)
	}
	config := genericapiserver.DefaultOpenAPIV3Config(definitions, openapi.NewDefinitionNamer(scheme))
	models, err := openapibuilder3.BuildOpenAPIDefinitionsForResources(config, v1alpha1.NodeNetworkState{}.OpenAPIModelName())
	if err != nil {
		t.Fatal(err)
	}
	converter, err := managedfields.NewTypeConverter(models, false)
	if err != nil {
		t.Fatal(err)
	}
	return converter, scheme
}

func newMerger(t testing.TB) merger {
	t.Helper()
	converter, scheme := newUpstreamConverter(t)
	owners, err := newOwnership()
	if err != nil {
		t.Fatal(err)
	}
	gvk := v1alpha1.SchemeGroupVersion.WithKind(kind)
	manager, err := managedfields.NewDefaultFieldManager(NewTypeConverter(converter), scheme, scheme, scheme, gvk, gvk.GroupVersion(), "",
		fieldpath.NewExcludeFilterSetMap(strategy{}.GetResetFields()))
	if err != nil {
		t.Fatal(err)
	}
	return merger{manager, owners, testFormat(t)}
}

// unmanaged returns an object that nobody has written to.
func unmanaged() *v1alpha1.NodeNetworkState {
	object := &v1alpha1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: "node1", UID: "1"}}
	object.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(kind))
	return object
}

// applied is the body of a server-side apply of a state, which is JSON or YAML, or a value. nil applies no state.
func applied(t testing.TB, state any) map[string]any {
	t.Helper()
	if text, isText := state.(string); isText {
		if err := yaml.Unmarshal([]byte(text), &state); err != nil {
			t.Fatal(err)
		}
	}
	object := map[string]any{"apiVersion": "nmstate.io/v1alpha1", "kind": kind, "metadata": map[string]any{"name": "node1"}}
	if state != nil {
		object["spec"] = map[string]any{"desiredState": state}
	}
	return object
}

// tryApply is a server-side apply as the server carries it out.
func (m merger) tryApply(t testing.TB, live *v1alpha1.NodeNetworkState, manager string, state any, force bool) (*v1alpha1.NodeNetworkState, error) {
	t.Helper()
	data, err := json.Marshal(applied(t, state))
	if err != nil {
		t.Fatal(err)
	}
	return m.applyBody(t.Context(), live, manager, data, force)
}

func (m merger) applyBody(ctx context.Context, live *v1alpha1.NodeNetworkState, manager string, data []byte, force bool) (*v1alpha1.NodeNetworkState, error) {
	merge := func(_ context.Context, _, existing runtime.Object) (runtime.Object, error) {
		// Upstream's handler decodes the body for itself, by way of YAML, and once more to find fields that are there twice.
		var sent map[string]any
		if err := yamlutil.Unmarshal(data, &sent); err != nil {
			return nil, err
		}
		now, err := m.Apply(existing, &unstructured.Unstructured{Object: sent}, manager, force)
		if err != nil {
			return nil, err
		}
		return now, yamlutil.UnmarshalStrict(data, &map[string]any{})
	}
	body := NewBody(string(types.ApplyPatchType), data)
	body.Manager, body.Force = manager, force
	updated, err := asSent{rest.DefaultUpdatedObjectInfo(nil, merge), m.owners, m.format}.UpdatedObject(WithBody(ctx, body), live)
	if err != nil {
		return nil, err
	}
	return updated.(*v1alpha1.NodeNetworkState), nil
}

// apply is tryApply, with force and without an error.
func (m merger) apply(t testing.TB, live *v1alpha1.NodeNetworkState, manager string, state any) *v1alpha1.NodeNetworkState {
	t.Helper()
	now, err := m.tryApply(t, live, manager, state, true)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// put is an update by a client that sends a whole object, of which change changes what it likes.
func (m merger) put(t testing.TB, live *v1alpha1.NodeNetworkState, manager string, change func(*v1alpha1.NodeNetworkState)) *v1alpha1.NodeNetworkState {
	t.Helper()
	sent := live.DeepCopy()
	change(sent)
	update := func(_ context.Context, now, existing runtime.Object) (runtime.Object, error) {
		return m.UpdateNoErrors(existing, now, manager), nil
	}
	data, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	body := NewBody(runtime.ContentTypeJSON, data)
	body.Manager = manager
	updated, err := asSent{rest.DefaultUpdatedObjectInfo(sent, update), m.owners, m.format}.UpdatedObject(WithBody(t.Context(), body), live)
	if err != nil {
		t.Fatal(err)
	}
	return updated.(*v1alpha1.NodeNetworkState)
}
