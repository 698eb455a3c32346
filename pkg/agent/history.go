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

package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// EncodeHistory returns a history as it travels on the stream.
func EncodeHistory(history *v1alpha1.NodeNetworkStateHistory) ([]byte, error) {
	text, err := json.Marshal(history)
	if err != nil {
		return nil, fmt.Errorf("encoding the history: %w", err)
	}
	return text, nil
}

const (
	// maxHistory is the size in bytes that a history on the stream may have.
	maxHistory = 8 << 20
	// maxEntries is how many entries it may have; agents keep 20.
	maxEntries = 64
	// maxPreviousSpec is the size in bytes that the spec before a change may have: agents keep desired states of up to 64 KiB, which JSON
	// may escape with six bytes for one.
	maxPreviousSpec = 1 << 20
)

// receivedHistory is a history as it comes from the stream. What has lists stays text
// at first, as in received.
type receivedHistory struct {
	Entries json.RawMessage `json:"entries"`
}

// receivedEntry is an entry whose states, probes and spec stay text at first.
type receivedEntry struct {
	v1alpha1.HistoryEntry `json:",inline"`

	Difference   json.RawMessage `json:"difference"`
	Revert       json.RawMessage `json:"revert"`
	Probes       json.RawMessage `json:"probes"`
	PreviousSpec json.RawMessage `json:"previousSpec"`
}

// DecodeHistory returns the history that EncodeHistory made. Like DecodeObject it takes
// nothing that is beyond the limits, or that clients cannot decode.
func DecodeHistory(text []byte) (*v1alpha1.NodeNetworkStateHistory, error) {
	var r receivedHistory
	if err := decodePart("the history", text, maxHistory, &r); err != nil {
		return nil, err
	}
	received, err := decodeList[receivedEntry]("entries", r.Entries, maxHistory, maxEntries)
	if err != nil {
		return nil, fmt.Errorf("the history is not valid: %w", err)
	}
	history := &v1alpha1.NodeNetworkStateHistory{Entries: make([]v1alpha1.HistoryEntry, 0, len(received))}
	for i := range received {
		entry, err := received[i].entry()
		if err != nil {
			return nil, fmt.Errorf("the history is not valid: entry %d: %w", i, err)
		}
		history.Entries = append(history.Entries, *entry)
	}
	return history, nil
}

// entry decodes what is text still.
func (r *receivedEntry) entry() (*v1alpha1.HistoryEntry, error) {
	entry := &r.HistoryEntry
	var err error
	entry.LastApply.Probes, err = decodeProbeResults(r.Probes)
	if err != nil {
		return nil, err
	}
	if entry.PreviousSpec, err = r.previousSpec(); err != nil {
		return nil, err
	}
	if err = errors.Join(checkLastApply(&entry.LastApply), decodeState("difference", r.Difference, &entry.Difference),
		decodeState("revert", r.Revert, &entry.Revert)); err != nil {
		return nil, err
	}
	shortenLastApply(&entry.LastApply)
	return entry, nil
}

// previousSpec decodes the spec before the change, nil if there is none.
func (r *receivedEntry) previousSpec() (*v1alpha1.NodeNetworkStateSpec, error) {
	var spec *receivedSpec
	if err := decodePart("previousSpec", r.PreviousSpec, maxPreviousSpec, &spec); err != nil || spec == nil {
		return nil, err
	}
	return spec.decode("previousSpec")
}

// Recalled returns a copy of the story of the change with that id: of the last change, of one in the history, or of one of
// those that only their ids are kept of, as annotations alone have changed. It is nil if the change is none of these.
func Recalled(id string, last *v1alpha1.LastApply, history []v1alpha1.HistoryEntry, kept []string) *v1alpha1.LastApply {
	if last != nil && last.ID == id {
		return last.DeepCopy()
	}
	for _, entry := range history {
		if entry.ID == id {
			return entry.LastApply.DeepCopy()
		}
	}
	if slices.Contains(kept, id) {
		return &v1alpha1.LastApply{ID: id, Outcome: v1alpha1.ApplyCommitted}
	}
	return nil
}
