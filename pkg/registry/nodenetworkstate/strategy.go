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

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// strategy lets a client change the annotations and the spec of a NodeNetworkState.
// The rest belongs to the node.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	format format
}

var (
	_ rest.RESTUpdateStrategy  = strategy{}
	_ rest.ResetFieldsStrategy = strategy{}
)

func newStrategy(typer runtime.ObjectTyper, format format) strategy {
	return strategy{typer, names.SimpleNameGenerator, format}
}

// NamespaceScoped implements rest.RESTUpdateStrategy: nodes are in no namespace.
func (strategy) NamespaceScoped() bool { return false }

// AllowCreateOnUpdate implements rest.RESTUpdateStrategy: objects come with nodes.
func (strategy) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate implements rest.RESTUpdateStrategy.
func (strategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// Canonicalize implements rest.RESTUpdateStrategy.
func (strategy) Canonicalize(runtime.Object) {}

// GetResetFields implements rest.ResetFieldsStrategy. Nobody can own the status, the
// labels and the owner references: server-side apply would remove what a manager
// owned and then leaves out.
func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(
			fieldpath.MakePathOrDie("status"),
			fieldpath.MakePathOrDie("metadata", "labels"),
			fieldpath.MakePathOrDie("metadata", "ownerReferences"),
		),
	}
}

// PrepareForUpdate implements rest.RESTUpdateStrategy. It keeps the present status
// if the update has the same in another encoding. ValidateUpdate refuses any other.
// It replaces the spec by its compact form, because a patch escapes it for HTML.
func (strategy) PrepareForUpdate(_ context.Context, updated, current runtime.Object) {
	now, before := updated.(*v1alpha1.NodeNetworkState), current.(*v1alpha1.NodeNetworkState)
	now.Generation = before.Generation
	now.Spec.DesiredState = now.Spec.DesiredState.Compact()
	if sameStatus(&now.Status, &before.Status) {
		now.Status = before.Status
	}
}

// ValidateUpdate implements rest.RESTUpdateStrategy. It bounds what would make the node's
// object too large, and tells what is wrong with the spec. Of what is within desiredState it tells
// what nmstate's format is sure to refuse. The rest nmstate tells, on the node.
func (s strategy) ValidateUpdate(ctx context.Context, updated, current runtime.Object) field.ErrorList {
	now, before := updated.(*v1alpha1.NodeNetworkState), current.(*v1alpha1.NodeNetworkState)
	var errs field.ErrorList
	metadata := field.NewPath("metadata")
	if !apiequality.Semantic.DeepEqual(now.Labels, before.Labels) {
		errs = append(errs, field.Forbidden(metadata.Child("labels"), "they are the node's: label the node instead"))
	}
	if !apiequality.Semantic.DeepEqual(now.OwnerReferences, before.OwnerReferences) {
		errs = append(errs, field.Forbidden(metadata.Child("ownerReferences"), "the owner is the node and cannot be changed"))
	}
	if len(now.Finalizers) > 0 {
		errs = append(errs, field.Forbidden(metadata.Child("finalizers"), "the object goes with its node, nothing can hold it"))
	}
	if !sameStatus(&now.Status, &before.Status) {
		errs = append(errs, field.Forbidden(field.NewPath("status"), "it is read-only: it shows what the node is"))
	}
	errs = append(errs, v1alpha1.ValidateManagedFields(now.ManagedFields, metadata.Child("managedFields"))...)
	errs = append(errs, v1alpha1.ValidateSpec(&now.Spec, field.NewPath("spec"))...)
	return append(errs, s.format.wrong(ctx, now, before)...)
}

// WarningsOnUpdate implements rest.RESTUpdateStrategy.
func (s strategy) WarningsOnUpdate(ctx context.Context, updated, current runtime.Object) []string {
	return s.format.warnings(ctx, updated.(*v1alpha1.NodeNetworkState), current.(*v1alpha1.NodeNetworkState))
}

// sameStatus compares by meaning: a patch encodes the states anew.
func sameStatus(a, b *v1alpha1.NodeNetworkStateStatus) bool {
	if !v1alpha1.SameState(a.CurrentState, b.CurrentState) || !v1alpha1.SameState(a.Difference, b.Difference) {
		return false
	}
	x, y := *a, *b
	x.CurrentState, x.Difference, y.CurrentState, y.Difference = nil, nil, nil, nil
	return apiequality.Semantic.DeepEqual(x, y)
}

// conditionTypes are the conditions whose status is a field selector and a metric.
var conditionTypes = []string{
	v1alpha1.ConditionAvailable, v1alpha1.ConditionInSync, v1alpha1.ConditionProgressing, v1alpha1.ConditionFailing,
}

// conditionField is the name of the field selector for the status of a condition.
func conditionField(conditionType string) string { return "status.conditions." + conditionType }

// AddFieldLabels registers the field selectors of NodeNetworkStates in scheme.
func AddFieldLabels(scheme *runtime.Scheme) error {
	supported := map[string]bool{"metadata.name": true}
	for _, t := range conditionTypes {
		supported[conditionField(t)] = true
	}
	return scheme.AddFieldLabelConversionFunc(v1alpha1.SchemeGroupVersion.WithKind("NodeNetworkState"),
		func(label, value string) (string, string, error) {
			if !supported[label] {
				return "", "", fmt.Errorf("%q is no field that NodeNetworkStates can be selected by: use metadata.name or status.conditions.%v",
					label, conditionTypes)
			}
			return label, value, nil
		})
}

// getAttrs returns the labels and fields that selectors are matched with.
func getAttrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	state, ok := obj.(*v1alpha1.NodeNetworkState)
	if !ok {
		return nil, nil, fmt.Errorf("not a NodeNetworkState but a %T", obj)
	}
	set := fields.Set{"metadata.name": state.Name}
	for _, t := range conditionTypes {
		set[conditionField(t)] = "Unknown"
	}
	for _, c := range state.Status.Conditions {
		set[conditionField(c.Type)] = string(c.Status)
	}
	return state.Labels, set, nil
}

// predicate returns what selects by labels and fields.
func predicate(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
	return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: getAttrs}
}
