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

package witness

import (
	"testing"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

func TestMain(m *testing.M) { netns.Main(m) }

// watch is a witness of a node without NetworkManager that begins anew whenever something has changed, as its caller does who reads then.
type watch struct {
	*Witness
	t *testing.T
}

func newWatch(t *testing.T) *watch {
	t.Helper()
	w, err := New(nil, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return &watch{Witness: w, t: t}
}

func (w *watch) unchanged() bool {
	now := w.Look(w.t.Context(), WithoutManager)
	if w.Proves(now, WithoutManager) {
		return true
	}
	w.Begin(now)
	return false
}

func (w *watch) kernel() *kernel { return w.parts[Kernel].(*kernel) }
