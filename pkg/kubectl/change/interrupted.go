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

package change

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

// interruptedWait is how long the node's object is asked for when the user has interrupted the command.
const interruptedWait = 2 * time.Second

// interrupted says what goes on on the node although nobody waits for it any more.
func (f *following) interrupted() Result {
	if !f.sent.Load() {
		return Result{Node: f.Node, NotSent: true, Error: fault.Stopped(f.Node)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), interruptedWait)
	defer cancel()
	if obj, err := f.Clients.NmstateV1alpha1().NodeNetworkStates().Get(ctx, f.Node, metav1.GetOptions{ResourceVersion: "0"}); err == nil {
		f.take(obj)
	}
	return Result{Node: f.Node, LastApply: f.own(), Error: f.goesOn()}
}

// goesOn says how far the change is, and what comes of it.
func (f *following) goesOn() *fault.Error {
	found := &fault.Error{Node: f.Node, Code: fault.Interrupted, Message: "interrupted"}
	last := f.own()
	switch {
	case last == nil:
		found.Message = "interrupted: the node has not told of the change yet; if it was sent, it goes on by itself"
		found.Remedy = fmt.Sprintf("Look at \"kubectl nmstate history %s\" before you repeat it.", f.Node)
	case last.Outcome != v1alpha1.ApplyInProgress:
		found.Message = fmt.Sprintf("interrupted: change %s has ended as %s", last.ID, last.Outcome)
	case last.ConfirmBefore != nil:
		found.Message = fmt.Sprintf("interrupted: change %s is in effect and waits for a confirmation until %s; then the node rolls it back",
			last.ID, last.ConfirmBefore.UTC().Format(time.RFC3339))
		found.Remedy = fmt.Sprintf("kubectl nmstate confirm %s\nkubectl nmstate rollback %s", last.ID, last.ID)
	default:
		found.Message = fmt.Sprintf("interrupted: change %s goes on by itself (%s): the node commits it if it is confirmed, and else rolls it back", last.ID, last.Stage)
		found.Remedy = fault.Follow(f.Node)
	}
	return found
}
