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
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/kubectl/fault"
)

// decided has the fake end the change as it is asked to.
func (n *node) decided() {
	n.clients.PrependReactor("create", "nodenetworkstates", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if id := action.(clienttesting.CreateAction).GetObject().(*v1alpha1.TransactionReference).ID; id != "mine" {
			n.t.Errorf("change %s is decided", id)
		}
		if action.GetSubresource() == "confirm" {
			return true, n.becomes(committed), nil
		}
		return true, n.becomes(undone), nil
	})
}

func TestManual(t *testing.T) {
	for decision, want := range map[Decision]v1alpha1.ApplyOutcome{Confirm: v1alpha1.ApplyCommitted, RollBack: v1alpha1.ApplyRolledBack, Leave: v1alpha1.ApplyInProgress} {
		n := newNode(t, earlier)
		n.decided()
		result := n.make(t.Context(), func(context.Context) (*v1alpha1.NodeNetworkState, error) {
			n.watched()
			object := n.becomes(waiting)
			n.shown("AwaitingConfirmation")
			return object, nil
		}, func(context.Context) Decision { return decision }, StageSending, "AwaitingConfirmation")
		if result.LastApply == nil || result.LastApply.Outcome != want || (result.Error != nil) != (want == v1alpha1.ApplyRolledBack) {
			t.Errorf("decision %d: it is %+v", decision, result)
		}
	}
}

// TestManualEnds: nobody is asked any longer about a change that has ended, and the user hears how.
func TestManualEnds(t *testing.T) {
	n := newNode(t, earlier)
	result := n.make(t.Context(), func(context.Context) (*v1alpha1.NodeNetworkState, error) {
		n.watched()
		object := n.becomes(waiting)
		n.shown("AwaitingConfirmation")
		return object, nil
	}, func(ctx context.Context) Decision {
		n.becomes(undone)
		<-ctx.Done()
		return Leave
	}, StageSending, "AwaitingConfirmation")
	if codeOf(result) != fault.Failed || result.LastApply.Outcome != v1alpha1.ApplyRolledBack {
		t.Errorf("it is %+v", result)
	}
}

// TestManualAsksOnThoughTheWatchIsBehind: what the watch tells can be older than what the request has answered, also news of a change that was made
// before by somebody else. It is not the end of the question, and not shown.
func TestManualAsksOnThoughTheWatchIsBehind(t *testing.T) {
	n := newNode(t, earlier)
	n.decided()
	result := n.make(t.Context(), func(context.Context) (*v1alpha1.NodeNetworkState, error) {
		n.watched()
		object := n.becomesAt("100", waiting)
		n.shown("AwaitingConfirmation")
		return object, nil
	}, func(ctx context.Context) Decision {
		for len(n.seen) > 0 {
			<-n.seen
		}
		n.becomesAt("96", *earlier)
		n.becomesAt("97", v1alpha1.LastApply{ID: "others", Manager: "other", Outcome: v1alpha1.ApplyInProgress})
		n.becomesAt("98", v1alpha1.LastApply{ID: "others", Manager: "other", Outcome: v1alpha1.ApplyCommitted})
		n.becomesAt("99", applying)
		n.becomesAt("101", waiting)
		for reports := 0; reports < 5; reports++ { // each event is one, as the change goes on
			select {
			case <-n.seen:
			case <-ctx.Done():
				t.Error("nobody is asked any longer")
				return Leave
			}
		}
		return Confirm
	}, StageSending, "AwaitingConfirmation")
	if result.Error != nil || result.LastApply.Outcome != v1alpha1.ApplyCommitted {
		t.Errorf("it is %+v", result)
	}
}
