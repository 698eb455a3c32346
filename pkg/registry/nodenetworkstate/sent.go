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
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/jsonweight"
)

// asSent is an update that says what the client sent: upstream's merge loses
// empty maps and lists, and nulls, and its errors either lack the cause or show the
// whole object.
type asSent struct {
	rest.UpdatedObjectInfo
	ownership ownership
	format    format
}

// UpdatedObject implements rest.UpdatedObjectInfo.
func (a asSent) UpdatedObject(ctx context.Context, existing runtime.Object) (runtime.Object, error) {
	body := bodyFrom(ctx)
	before, ok := existing.(*v1alpha1.NodeNetworkState)
	if !ok {
		return a.UpdatedObjectInfo.UpdatedObject(ctx, existing)
	}
	live := *before
	applies, leaves := body.is(types.ApplyYAMLPatchType), body.leavesStatus()
	if leaves {
		live.Status = v1alpha1.NodeNetworkStateStatus{}
	}
	var claims []claim
	if err := checkOwned(before); err == nil {
		live.ManagedFields = a.ownership.split(before)
		if applies {
			claims = a.ownership.hide(&live)
		}
	} else if applies {
		return nil, err
	} else {
		unmanage(&live, body)
	}
	updated, err := a.UpdatedObjectInfo.UpdatedObject(ctx, &live)
	if err != nil {
		return nil, body.explain(a, before, err)
	}
	now, ok := updated.(*v1alpha1.NodeNetworkState)
	if !ok {
		return updated, nil
	}
	if leaves {
		now.Status = *before.Status.DeepCopy()
	}
	if applies && !body.Force {
		if err := a.ownership.takenAway(now, &live, body.Manager); err != nil {
			return nil, err
		}
	}
	if err := body.restore(a.ownership, now, &live, claims); err != nil {
		return nil, err
	}
	if len(claims) > 0 {
		keepTime(now, before)
	}
	if !applies {
		now.ManagedFields = a.ownership.split(now)
	}
	return now, nil
}

// checkOwned refuses to merge with a state that has too many values, which a client
// cannot have written. A node that was taken over may have sent it.
func checkOwned(before *v1alpha1.NodeNetworkState) error {
	state := before.Spec.DesiredState
	if state == nil {
		return nil
	}
	err := v1alpha1.CheckOwned(jsonweight.Of(state.Raw))
	if err == nil {
		return nil
	}
	return apierrors.NewInvalid(v1alpha1.SchemeGroupVersion.WithKind(kind).GroupKind(), before.Name, field.ErrorList{field.Invalid(
		field.NewPath("spec", "desiredState"), field.OmitValueType{}, "of the node "+err.Error()+": replace it, by kubectl replace or a merge patch")})
}

// unmanage has upstream forget who manages what, which costs nothing. An object in a
// PUT says itself who does, so that upstream would compare it with the state.
func unmanage(live *v1alpha1.NodeNetworkState, body Body) {
	live.ManagedFields = nil
	if !body.is(types.MergePatchType) && !body.is(types.JSONPatchType) {
		live.Spec.DesiredState = nil
	}
}

// leavesStatus tells whether the body is a patch that says nothing of the status.
// Upstream is then given the object without: what is read of a network may have
// megabytes, and upstream decodes and walks them several times for each merge.
func (b Body) leavesStatus() bool {
	switch types.PatchType(b.MediaType) {
	case types.ApplyYAMLPatchType, types.MergePatchType:
		object, err := b.parse()
		return err == nil && len(object.Status) == 0
	case types.JSONPatchType:
		operations, err := jsonpatch.DecodePatch(b.Data)
		return err == nil && !slices.ContainsFunc(operations, func(operation jsonpatch.Operation) bool {
			path, err := operation.Path()
			from, _ := operation.From() // most have none
			return err != nil || path == "" || strings.HasPrefix(path, "/status") || strings.HasPrefix(from, "/status")
		})
	}
	return false
}

// explain returns an error of upstream's with its cause, and without the object:
// an answer may be kept in an audit log, where no secret belongs.
func (b Body) explain(a asSent, existing *v1alpha1.NodeNetworkState, err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		if misfit := b.misfits(a, existing, err); misfit != nil {
			return misfit
		}
		if detail, ok := strings.CutPrefix(err.Error(), "failed to create typed patch object "); ok {
			_, detail, _ = strings.Cut(detail, "): ")
			// "expected map, got VALUE": what the client sent may be a secret in the wrong place.
			detail, _, _ = strings.Cut(detail, ", got ")
			return invalidPatch(existing.Name, field.NewPath("patch"), detail)
		}
		return err
	}
	s := status.Status()
	switch {
	case s.Reason != metav1.StatusReasonInvalid:
		return err
	case len(causes(s)) == 1 && causes(s)[0].Field == "patch":
		return invalidPatch(existing.Name, field.NewPath("patch"), withoutValue(causes(s)[0].Message))
	case len(causes(s)) == 0 && b.MediaType == string(types.JSONPatchType):
		return failedOperation(existing, b.Data, err)
	}
	return err
}

// misfits tells which entries of lists made server-side apply fail, because they cannot
// be told apart: entries that were sent, or that the object has already. What nmstate's
// format says of what was sent is told with them, as by any other way to write.
func (b Body) misfits(a asSent, existing *v1alpha1.NodeNetworkState, err error) error {
	path := field.NewPath("spec", "desiredState")
	var misfits field.ErrorList
	switch {
	case strings.HasPrefix(err.Error(), "failed to create typed patch object "):
		sent, _, _ := b.desired()
		misfits = a.ownership.merging.Misfits(sent, path)
		if state, err := encode(sent); err == nil {
			if err := a.format.check(b, existing.Name, state, misfits); err != nil {
				return err
			}
		}
	case strings.HasPrefix(err.Error(), "failed to create typed live object "), strings.HasPrefix(err.Error(), "failed to create manager for existing fields"):
		present, _ := decode(existing.Spec.DesiredState)
		misfits = a.ownership.merging.Misfits(present, path)
		for _, misfit := range misfits {
			misfit.Detail = "the node has this already, and nothing can be merged with it: replace it, by kubectl replace or a merge patch"
		}
	}
	if len(misfits) == 0 {
		return nil
	}
	return apierrors.NewInvalid(v1alpha1.SchemeGroupVersion.WithKind(kind).GroupKind(), existing.Name, misfits)
}

func causes(s metav1.Status) []metav1.StatusCause {
	if s.Details == nil {
		return nil
	}
	return s.Details.Causes
}

// withoutValue takes the quoted value out of a message of field.Invalid.
func withoutValue(message string) string {
	rest := strings.TrimPrefix(message, field.ErrorTypeInvalid.String()+": ")
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return "the patched object cannot be read"
	}
	return strings.TrimPrefix(rest[len(quoted):], ": ")
}

// failedOperation names the first operation of a JSON patch that fails, for which
// upstream has no words.
func failedOperation(existing *v1alpha1.NodeNetworkState, data []byte, unexplained error) error {
	operations, err := jsonpatch.DecodePatch(data)
	if err != nil {
		return unexplained
	}
	if len(operations) > maxSearched {
		return invalidPatch(existing.Name, field.NewPath("patch"),
			fmt.Sprintf("one of its %d operations does not apply: send at most %d at once to be told which", len(operations), maxSearched))
	}
	document := existing.DeepCopy()
	document.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(kind))
	text, err := json.Marshal(document)
	if err != nil {
		return unexplained
	}
	// A search by halves.
	count := sort.Search(len(operations), func(i int) bool {
		_, err := operations[:i+1].Apply(text)
		return err != nil
	})
	if count == len(operations) {
		return unexplained
	}
	_, err = operations[:count+1].Apply(text)
	path, _ := operations[count].Path()
	return invalidPatch(existing.Name, field.NewPath("patch").Index(count), operations[count].Kind()+" "+path+": "+err.Error())
}

// longest is how much an error repeats of what the client sent.
const longest = 1000

// maxSearched is how many operations a patch may have for the failed one to be searched. The search
// applies the patch ten times, and 10,000 operations that insert into a list take a second each time.
const maxSearched = 1000

func invalidPatch(name string, path *field.Path, detail string) error {
	if len(detail) > longest {
		detail = strings.ToValidUTF8(detail[:longest], "") + " …"
	}
	return apierrors.NewInvalid(v1alpha1.SchemeGroupVersion.WithKind(kind).GroupKind(), name,
		field.ErrorList{field.Invalid(path, field.OmitValueType{}, detail)})
}
