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
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/change"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/netstate"
)

// restManager is the field manager of the changes that end an undo: each takes out of the spec what the undo has put there besides. It is to alter
// nothing in the network. If something stays desired, the node applies that again, with probes and confirmation. Such a change is not taken
// back by an undo without ID.
const restManager = "kubectl-nmstate-undo-rest"

// besides returns the interfaces that only the revert of a change speaks of, such as the ports of a bridge that it made: the spec does not have
// them now, and did not before. Once they are as they were, the spec does without them again: a bridge with ports that are to be down
// fails on the node.
func besides(object *v1alpha1.NodeNetworkState, entry *v1alpha1.HistoryEntry, revert map[string]any) ([]any, error) {
	if entry.PreviousSpec == nil {
		return nil, nil
	}
	var spoken []any
	for _, state := range []*v1alpha1.State{entry.PreviousSpec.DesiredState, object.Spec.DesiredState} {
		fields, err := decode(state)
		if err != nil {
			return nil, err
		}
		spoken = append(spoken, tree.List(fields, "interfaces")...)
	}
	return netstate.Without(tree.List(revert, "interfaces"), spoken), nil
}

// leave takes the interfaces, as undo has written them, out of the spec; the network keeps them. They stay in the spec where that would be more
// than a word: where a user would have to confirm it, or the node would take them away. The result of the undo is told how it went.
func (u *undo) leave(ctx context.Context, c *connection, undone *change.Result, interfaces []any) {
	if len(interfaces) == 0 {
		return
	}
	object, err := c.nodes.Get(ctx, undone.Node, metav1.GetOptions{})
	if err == nil {
		if confirmation := object.Spec.Confirmation; confirmation != nil && confirmation.Mode == v1alpha1.ConfirmManually || object.Spec.Removal == v1alpha1.RemovalRevert {
			return
		}
		var request *patch
		if request, err = restPatch(object, interfaces); request != nil && err == nil {
			if object, err = c.send(ctx, *request); err == nil {
				undone.Rest = object.Status.LastApply
			}
		}
	}
	if err != nil {
		var names []string
		for _, entry := range interfaces {
			names = append(names, tree.Text(tree.Object(entry)["name"]))
		}
		undone.Warnings = append(undone.Warnings, fmt.Sprintf("the change is taken back, and the spec still has %s as before the change: %v", strings.Join(names, ", "), err))
	}
}

// restPatch returns the request that takes interfaces out of the spec. What somebody else has made of one since stays. It is nil if all stays.
func restPatch(object *v1alpha1.NodeNetworkState, interfaces []any) (*patch, error) {
	now, err := asTree(object.Spec)
	if err != nil {
		return nil, err
	}
	then := maps.Clone(now)
	desired := maps.Clone(tree.Object(now["desiredState"]))
	was := tree.List(desired, "interfaces")
	left := slices.DeleteFunc(slices.Clone(was), func(entry any) bool {
		return slices.ContainsFunc(interfaces, func(written any) bool { return reflect.DeepEqual(entry, written) })
	})
	switch {
	case len(left) == len(was):
		return nil, nil
	case len(left) > 0:
		desired["interfaces"] = left
	default:
		delete(desired, "interfaces")
	}
	if then["desiredState"] = desired; len(desired) == 0 {
		delete(then, "desiredState")
	}
	request, err := specPatch(object.Name, now, then, restManager)
	return &request, err
}
