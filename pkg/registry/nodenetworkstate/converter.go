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
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// typeConverter gives the field manager of server-side apply the objects. Upstream's own one reads a NodeNetworkState by reflection, and
// decodes the JSON text of its states again each time that it walks the object, which it does six times for one apply. This one decodes them once.
type typeConverter struct{ managedfields.TypeConverter }

// NewTypeConverter returns a TypeConverter that decodes the states of NodeNetworkStates once, and has upstream do the rest.
func NewTypeConverter(upstream managedfields.TypeConverter) managedfields.TypeConverter {
	return typeConverter{upstream}
}

// ObjectToTyped implements managedfields.TypeConverter.
func (c typeConverter) ObjectToTyped(object runtime.Object, options ...typed.ValidationOptions) (*typed.TypedValue, error) {
	if ours, ok := object.(*v1alpha1.NodeNetworkState); ok {
		content, err := contentOf(ours)
		if err != nil {
			return nil, err
		}
		object = &unstructured.Unstructured{Object: content}
	}
	return c.TypeConverter.ObjectToTyped(object, options...)
}

// TypedToObject implements managedfields.TypeConverter.
func (c typeConverter) TypedToObject(value *typed.TypedValue) (runtime.Object, error) {
	object, err := c.TypeConverter.TypedToObject(value)
	if err != nil {
		return nil, err
	}
	merged, ok := object.(*unstructured.Unstructured)
	if !ok || merged.GroupVersionKind() != v1alpha1.SchemeGroupVersion.WithKind(kind) {
		return object, nil
	}
	return objectOf(merged.Object)
}

// contentOf returns an object in Go's own types, as upstream's decoder has it.
func contentOf(object *v1alpha1.NodeNetworkState) (map[string]any, error) {
	rest := *object
	rest.Spec.DesiredState, rest.Status.CurrentState, rest.Status.Difference = nil, nil, nil
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&rest)
	if err != nil {
		return nil, err
	}
	for _, state := range []struct {
		within, name string
		state        *v1alpha1.State
	}{
		{"spec", "desiredState", object.Spec.DesiredState},
		{"status", "currentState", object.Status.CurrentState},
		{"status", "difference", object.Status.Difference},
	} {
		if state.state == nil {
			continue
		}
		var decoded any
		if text := state.state.Raw; len(text) > 0 {
			if err := utiljson.Unmarshal(text, &decoded); err != nil {
				return nil, fmt.Errorf("decoding %s.%s: %w", state.within, state.name, err)
			}
		}
		part, _ := content[state.within].(map[string]any)
		if part == nil {
			part = map[string]any{}
			content[state.within] = part
		}
		part[state.name] = decoded
	}
	return content, nil
}

// objectOf is the reverse of contentOf. It leaves content as it is. Its states are not escaped for HTML.
func objectOf(content map[string]any) (*v1alpha1.NodeNetworkState, error) {
	var desired *v1alpha1.State
	if spec, ok := content["spec"].(map[string]any); ok {
		if state, isObject := spec["desiredState"].(map[string]any); isObject {
			text, err := encode(state)
			if err != nil {
				return nil, err
			}
			desired = &v1alpha1.State{}
			if err := desired.UnmarshalJSON(text.Raw); err != nil {
				return nil, err
			}
			rest := maps.Clone(spec)
			delete(rest, "desiredState")
			content = maps.Clone(content)
			content["spec"] = rest
		}
	}
	object := &v1alpha1.NodeNetworkState{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, object); err != nil {
		return nil, err
	}
	if desired != nil {
		object.Spec.DesiredState = desired
	}
	return object, nil
}
