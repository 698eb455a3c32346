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
	"errors"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/stateschema"
)

// format judges desired states by nmstate's format.
type format struct{ schema *stateschema.Schema }

// newFormat returns a format by the definitions that the program was built with.
func newFormat() (format, error) {
	schema, err := stateschema.Load()
	return format{schema}, err
}

// judge returns what is wrong with, and what is not known of, the desired state that an update brings. A desired state that
// the object had before is not judged: a client that changes an annotation did not write it.
func (f format) judge(ctx context.Context, now, before *v1alpha1.NodeNetworkState) stateschema.Findings {
	state := now.Spec.DesiredState
	if state == nil || before.Spec.DesiredState != nil && bytes.Equal(state.Raw, before.Spec.DesiredState.Raw) {
		return stateschema.Findings{}
	}
	judged := bodyFrom(ctx).judged
	if judged != nil && judged.before == before.Spec.DesiredState && bytes.Equal(judged.state, state.Raw) {
		return judged.found
	}
	found := f.schema.Check(state.Raw, field.NewPath("spec", "desiredState"))
	// To compare by meaning is as dear as the check, and seldom needed.
	if len(found.Unknown)+len(found.Wrong) > 0 && v1alpha1.SameState(state, before.Spec.DesiredState) {
		found = stateschema.Findings{}
	}
	if judged != nil {
		*judged = judgement{before: before.Spec.DesiredState, state: state.Raw, found: found}
	}
	return found
}

// judgement is what was found of a change from one desired state to another one. One request asks for it at a time.
type judgement struct {
	before *v1alpha1.State
	state  []byte
	found  stateschema.Findings
}

// refuseUnknown is a transformation of an update: with the field validation Strict it refuses a desired state that has
// fields which nmstate's format does not have. It answers as upstream does for the fields of a type: 400, and a message that
// begins in the same way. What else is wrong is told along with it.
func (f format) refuseUnknown(ctx context.Context, updated, existing runtime.Object) (runtime.Object, error) {
	now, isOurs := updated.(*v1alpha1.NodeNetworkState)
	before, wasOurs := existing.(*v1alpha1.NodeNetworkState)
	if !isOurs || !wasOurs || bodyFrom(ctx).FieldValidation != metav1.FieldValidationStrict {
		return updated, nil
	}
	if err := strict(f.judge(ctx, now, before), before.Name); err != nil {
		return nil, err
	}
	return updated, nil
}

// strict returns the error for fields that nmstate's format does not have; nil if there are none.
func strict(found stateschema.Findings, node string) error {
	if len(found.Unknown) == 0 {
		return nil
	}
	var messages []string
	var causes []metav1.StatusCause
	for _, unknown := range found.Unknown {
		messages = append(messages, unknown.What)
		causes = append(causes, metav1.StatusCause{Type: metav1.CauseType(field.ErrorTypeForbidden), Field: unknown.Path.String(), Message: unknown.What})
	}
	for _, wrong := range found.Wrong {
		messages = append(messages, wrong.Error())
		causes = append(causes, metav1.StatusCause{Type: metav1.CauseType(wrong.Type), Field: wrong.Field, Message: wrong.ErrorBody()})
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusBadRequest,
		Reason:  metav1.StatusReasonBadRequest,
		Message: "strict decoding error: " + strings.Join(messages, ", "),
		Details: &metav1.StatusDetails{Group: v1alpha1.SchemeGroupVersion.Group, Kind: kind, Name: node, Causes: causes},
	}}
}

// wrong returns what nmstate is sure to refuse. With the field validation Ignore a value that an enumeration does not have
// passes: it may be of a newer nmstate on the node.
func (f format) wrong(ctx context.Context, now, before *v1alpha1.NodeNetworkState) field.ErrorList {
	wrong := slices.Clone(f.judge(ctx, now, before).Wrong)
	for i, err := range wrong {
		if name, isText := err.BadValue.(string); isText && err.Type == field.ErrorTypeDuplicate {
			if owners := whose(now.ManagedFields, func(other string) bool { return other == name }); owners != "" {
				told := *err
				told.Detail += "; " + owners
				wrong[i] = &told
			}
		}
	}
	return bodyFrom(ctx).lenient(wrong)
}

// check judges a state that cannot be merged, as one that was merged is judged: by refuseUnknown and wrong. misfits are what is wrong with it
// besides: those are told with the rest that are of fields of which nothing else is told.
func (f format) check(body Body, node string, state *v1alpha1.State, misfits field.ErrorList) error {
	found := f.schema.Check(state.Raw, field.NewPath("spec", "desiredState"))
	found.Wrong = body.lenient(found.Wrong)
	if len(found.Unknown)+len(found.Wrong) == 0 {
		return nil
	}
	for _, misfit := range misfits {
		if !slices.ContainsFunc(found.Wrong, func(wrong *field.Error) bool { return wrong.Field == misfit.Field }) {
			found.Wrong = append(found.Wrong, misfit)
		}
	}
	if body.FieldValidation == metav1.FieldValidationStrict {
		if err := strict(found, node); err != nil {
			return err
		}
	}
	if len(found.Wrong) > 0 {
		return apierrors.NewInvalid(v1alpha1.SchemeGroupVersion.WithKind(kind).GroupKind(), node, found.Wrong)
	}
	return nil
}

// lenient leaves out what passes with the field validation of the request.
func (b Body) lenient(wrong field.ErrorList) field.ErrorList {
	if b.FieldValidation != metav1.FieldValidationIgnore {
		return wrong
	}
	return wrong.Filter(func(err error) bool {
		var one *field.Error
		return errors.As(err, &one) && one.Type == field.ErrorTypeNotSupported
	})
}

// warnings returns what a client is warned of: the fields that nmstate's format does not have, unless the field validation
// is Ignore.
func (f format) warnings(ctx context.Context, now, before *v1alpha1.NodeNetworkState) []string {
	if bodyFrom(ctx).FieldValidation == metav1.FieldValidationIgnore {
		return nil
	}
	var result []string
	for _, unknown := range f.judge(ctx, now, before).Unknown {
		result = append(result, unknown.What)
	}
	return result
}
