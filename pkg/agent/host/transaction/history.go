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

package transaction

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
	"github.com/nmstate/kubernetes-nmstate/pkg/atomicfile"
)

const (
	historyName = "history.json"
	// maxHistory is how many changes the history has.
	maxHistory = 20
	// maxHistoryState is how large a state in the history may be; a larger one is left out.
	maxHistoryState = 64 << 10
)

// history is the last changes, the newest first, in a file. It has no secrets.
type history struct {
	path string

	mu      sync.Mutex
	entries []v1alpha1.HistoryEntry
}

// historyFile is the file.
type historyFile struct {
	Entries []v1alpha1.HistoryEntry `json:"entries"`
}

// openHistory reads the history. One that cannot be read begins anew: nothing depends on it.
func openHistory(dir string) *history {
	h := &history{path: filepath.Join(dir, historyName)}
	if err := atomicfile.Sweep(h.path); err != nil {
		klog.Background().Error(err, "Sweeping the history of changes")
	}
	text, err := os.ReadFile(h.path)
	if os.IsNotExist(err) {
		return h
	}
	var file historyFile
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		klog.Background().Error(err, "The history of changes cannot be read and begins anew", "file", h.path)
		return h
	}
	h.entries = file.Entries[:min(len(file.Entries), maxHistory)]
	return h
}

// History returns the last changes, the newest first.
func (r *Runner) History() []v1alpha1.HistoryEntry {
	r.history.mu.Lock()
	defer r.history.mu.Unlock()
	return slices.Clone(r.history.entries)
}

// Remember puts a change that has ended into the history, without what is too large for it. A change that is there already is replaced.
// If the file cannot be written, the change stays in memory.
func (r *Runner) Remember(change v1alpha1.HistoryEntry) {
	change.Difference, change.Revert, change.PreviousSpec = small(change.Difference), small(change.Revert), smallSpec(change.PreviousSpec)
	r.history.add(change)
	r.history.save()
}

// add puts a change, which has nothing that is too large, into the history in memory.
func (h *history) add(change v1alpha1.HistoryEntry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(h.entries), func(one v1alpha1.HistoryEntry) bool { return one.ID == change.ID && one.ID != "" })
	h.entries = append([]v1alpha1.HistoryEntry{change}, rest...)
	h.entries = h.entries[:min(len(h.entries), maxHistory)]
}

// save writes the file. If that fails, the changes stay in memory.
func (h *history) save() {
	h.mu.Lock()
	defer h.mu.Unlock()
	text, err := tree.Encode(historyFile{Entries: h.entries})
	if err == nil {
		err = atomicfile.Write(h.path, text, 0o600)
	}
	if err != nil {
		klog.Background().Error(err, "Writing the history of changes")
	}
}

// small returns the state, nil if it is too large for the history.
func small(state *v1alpha1.State) *v1alpha1.State {
	if state == nil || len(state.Raw) > maxHistoryState {
		return nil
	}
	return state
}

// smallSpec returns the spec, nil if its desired state is too large for the history: a spec without it would be another one.
func smallSpec(spec *v1alpha1.NodeNetworkStateSpec) *v1alpha1.NodeNetworkStateSpec {
	if spec == nil || spec.DesiredState != nil && small(spec.DesiredState) == nil {
		return nil
	}
	return spec
}
