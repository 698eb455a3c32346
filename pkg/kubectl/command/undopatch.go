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

package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/netstate"
)

// operation is one of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// specAfter returns the spec that a change led to: the one before the next change that was committed, or the one that the object has. It
// is nil if neither is known to be that.
func specAfter(object *v1alpha1.NodeNetworkState, entries []v1alpha1.HistoryEntry, entry *v1alpha1.HistoryEntry) *v1alpha1.NodeNetworkStateSpec {
	var next *v1alpha1.HistoryEntry
	for i := range entries {
		switch one := &entries[i]; {
		case one == entry && next != nil:
			return next.PreviousSpec
		case one == entry && object.Generation == entry.Generation:
			return &object.Spec
		case one == entry:
			return nil // the node has lost its record, or the spec was changed a moment ago
		case one.Outcome == v1alpha1.ApplyCommitted:
			next = one
		}
	}
	return nil
}

// undoneSpec is what becomes of a node's spec when a change is taken back.
type undoneSpec struct {
	// now is the spec as it is, then what it is without the change.
	now, then map[string]any
	// revert is what takes the change back in the network; nil if that is not known.
	revert map[string]any
}

// specWithout returns what becomes of the spec when a change is taken back, which led to the spec after.
func specWithout(object *v1alpha1.NodeNetworkState, entry *v1alpha1.HistoryEntry, after *v1alpha1.NodeNetworkStateSpec) (undoneSpec, error) {
	now, err := asTree(object.Spec)
	if err != nil {
		return undoneSpec{}, fmt.Errorf("reading the spec of %s: %w", object.Name, err)
	}
	revert, err1 := decode(entry.Revert)
	then, err2 := takenBack(now, revert, entry.PreviousSpec, after)
	if err := errors.Join(err1, err2); err != nil {
		return undoneSpec{}, fmt.Errorf("reading the history of %s: %w", object.Name, err)
	}
	return undoneSpec{now, then, revert}, nil
}

// specPatch returns the request that makes another spec of the one of now. It fails if the node has another one by then: what was shown would not be
// what is done.
func specPatch(node string, now, then map[string]any, manager string) (patch, error) {
	body, err := json.Marshal([]operation{{Op: "test", Path: "/spec", Value: now}, {Op: "replace", Path: "/spec", Value: then}})
	return patch{node: node, kind: types.JSONPatchType, body: body, options: metav1.PatchOptions{FieldManager: manager}}, err
}

// takenBack returns the spec without what a change made of it, which led from one spec to another. Each of these is nil if it is not known.
func takenBack(now, revert map[string]any, before, after *v1alpha1.NodeNetworkStateSpec) (map[string]any, error) {
	revert = netstate.Asking(revert)
	desired := tree.Object(now["desiredState"])
	if before == nil || after == nil {
		return withState(now, netstate.Merge(desired, revert)), nil
	}
	from, err1 := asTree(before)
	to, err2 := asTree(after)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	then := netstate.TakeBack(now, from, to)
	if reflect.DeepEqual(from["desiredState"], to["desiredState"]) {
		// The change has mended what had drifted, if anything.
		return withState(then, netstate.Merge(desired, revert)), nil
	}
	// What is desired again counts, also where the network differed from it before the change. It is made anew where the change
	// removed it: nmstate's revert has all that there was of it, default values and what cannot be set included.
	desired = tree.Object(then["desiredState"])
	revert = netstate.WithoutRemoved(revert, tree.Object(to["desiredState"]), desired)
	return withState(then, netstate.Merge(revert, desired)), nil
}

// withState returns a spec with that desired state. An empty one is left out where there was none.
func withState(spec, desired map[string]any) map[string]any {
	if len(desired) == 0 && spec["desiredState"] == nil {
		return spec
	}
	with := maps.Clone(spec)
	with["desiredState"] = desired
	return with
}
