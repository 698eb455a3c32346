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

package host

import (
	"os"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// TestManagedKilledAtEachStepOfARollback: agent, or agent and worker, die while NetworkManager rolls back what a user has refused.
func TestManagedKilledAtEachStepOfARollback(t *testing.T) {
	if os.Getenv(onNode) == "" {
		t.Skip("TestOnANodeWithNetworkManager runs it on a node")
	}
	moments := rolledBackMoments
	if os.Getenv(allFaults) == "" {
		moments = moments[:2]
	}
	forgetProfiles(t)
	t.Cleanup(func() { forgetProfiles(t) })
	t.Setenv(crashRefuse, "yes")
	for i, moment := range moments {
		for _, victim := range []string{agentDies, bothDie} {
			t.Run(victim+"/"+string(moment), func(t *testing.T) {
				dir := t.TempDir()
				before := managedPicture(t)
				crash(t, dir, BackendNetworkManager, address(120+i), moment, victim, v1alpha1.ConfirmManually)
				h := newManagedHost(t, dir)
				obj := recovered(t, h)
				if oldOrNew(t, obj, before, managedPicture(t), address(120+i)) {
					t.Errorf("it was committed: %+v", obj.Status.LastApply)
				}
			})
		}
	}
}
