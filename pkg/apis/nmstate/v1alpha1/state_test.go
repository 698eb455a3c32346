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

package v1alpha1

import (
	"encoding/json"
	"testing"
)

// TestCopiesShareTheText of a state, and nothing that is done to the copy changes the original: a copy is decoded into, or gets
// another text.
func TestCopiesShareTheText(t *testing.T) {
	const text = `{"interfaces":[{"name":"eth0"}]}`
	original := &NodeNetworkState{}
	original.Spec.DesiredState = NewState([]byte(text))
	copied := original.DeepCopy()
	if &copied.Spec.DesiredState.Raw[0] != &original.Spec.DesiredState.Raw[0] {
		t.Error("the text is in memory twice")
	}
	if err := json.Unmarshal([]byte(`{"spec":{"desiredState":{"routes":{}}}}`), copied); err != nil {
		t.Fatal(err)
	}
	if got := string(copied.Spec.DesiredState.Raw); got != `{"routes":{}}` {
		t.Errorf("the copy is %s", got)
	}
	another := original.DeepCopy()
	another.Spec.DesiredState.Raw = nil
	if got := string(original.Spec.DesiredState.Raw); got != text {
		t.Errorf("the original became %s", got)
	}
	if (*State)(nil).DeepCopy() != nil {
		t.Error("a copy of no state is a state")
	}
}
