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
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// takenAway returns a conflict if a server-side apply took something away from another field manager. Upstream finds a conflict
// where a manager writes another value, or another field. It finds none where a manager writes null over a list, or true over an
// object, and all that others have in it goes. manager is who applies. What was in an entry that the manager gives up goes with it
// without a conflict, as upstream has it: whoever patches an entry of another manager does not own the entry.
func (o ownership) takenAway(now, before *v1alpha1.NodeNetworkState, manager string) error {
	var causes []metav1.StatusCause
	var messages []string
	var left, given *fieldpath.Set
	isOwn := func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == manager && entry.Operation == metav1.ManagedFieldsOperationApply
	}
	for _, entry := range before.ManagedFields {
		at := slices.IndexFunc(now.ManagedFields, claim{entry: entry}.isOf)
		if isOwn(entry) || at >= 0 && bytes.Equal(now.ManagedFields[at].FieldsV1.GetRawBytes(), entry.FieldsV1.GetRawBytes()) {
			continue
		}
		lost := inState(fieldsOf(entry))
		if at >= 0 {
			lost = lost.Difference(inState(fieldsOf(now.ManagedFields[at])))
		}
		if left == nil {
			state, err := decode(now.Spec.DesiredState)
			if err == nil {
				left, err = o.fields(state)
			}
			if err != nil {
				return nil // validation tells what is wrong with it
			}
			given = givenUp(now, before, isOwn)
		}
		// A field that is still there has another owner now, as upstream decides.
		lost.Difference(left).Leaves().Iterate(func(path fieldpath.Path) {
			for i := range path {
				if given.Has(path[:i+1]) {
					return
				}
			}
			where := fieldpath.Path(stateAt()).String() + path.String()
			causes = append(causes, metav1.StatusCause{
				Type: metav1.CauseTypeFieldManagerConflict, Message: fmt.Sprintf("conflict with %q", entry.Manager), Field: where})
			messages = append(messages, fmt.Sprintf("%q: %s", entry.Manager, where))
		})
	}
	if len(causes) == 0 {
		return nil
	}
	if len(messages) > mostMet {
		messages = append(messages[:mostMet], "…")
	}
	return apierrors.NewApplyConflict(causes, fmt.Sprintf("Apply failed with %d conflicts: what is applied takes away fields of %s", len(causes), strings.Join(messages, ", ")))
}

// givenUp returns what the manager whose entry isOwn finds has given up: it owns nothing of it any more, and nothing that is in it.
func givenUp(now, before *v1alpha1.NodeNetworkState, isOwn func(metav1.ManagedFieldsEntry) bool) *fieldpath.Set {
	own := func(object *v1alpha1.NodeNetworkState) *fieldpath.Set {
		if at := slices.IndexFunc(object.ManagedFields, isOwn); at >= 0 {
			return inState(fieldsOf(object.ManagedFields[at]))
		}
		return fieldpath.NewSet()
	}
	held := fieldpath.NewSet()
	own(now).Iterate(func(path fieldpath.Path) {
		for i := range path {
			held.Insert(path[:i+1].Copy())
		}
	})
	return own(before).Difference(held)
}
