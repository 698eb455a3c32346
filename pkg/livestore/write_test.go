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

package livestore

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const updatedKey = "/pods/pod"

// podOf returns a Pod of that uid, with that label.
func podOf(uid types.UID, label string) *example.Pod {
	return &example.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod", UID: uid, Labels: map[string]string{"is": label}}}
}

// writing is a store with one Pod, and what happened to it.
type writing struct {
	*rig
	t        *testing.T
	barriers int
	tries    int
}

// newWriting returns one whose log has a stale Pod, nil for none, until a barrier
// brings in the fresh one, nil for nothing new.
func newWriting(t *testing.T, stale, fresh *example.Pod) *writing {
	t.Helper()
	w := &writing{rig: newRaw(t), t: t}
	set := func(pod *example.Pod) error {
		if pod == nil {
			return nil
		}
		_, err := w.log.Set(updatedKey, pod.DeepCopy())
		return err
	}
	if err := set(stale); err != nil {
		t.Fatal(err)
	}
	w.source.barrier = func(context.Context, string, bool) error {
		w.barriers++
		return set(fresh)
	}
	return w
}

var errNotFresh = errors.New("it is not fresh")

// update sets the label of a Pod that is fresh to "updated".
func (w *writing) update(preconditions *storage.Preconditions) error {
	return w.GuaranteedUpdate(w.t.Context(), updatedKey, newPod(), false, preconditions,
		func(input runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
			w.tries++
			pod := input.(*example.Pod)
			if pod.Labels["is"] != "fresh" {
				return nil, nil, errNotFresh
			}
			pod.Labels = map[string]string{"is": "updated"}
			return pod, nil, nil
		}, nil)
}

// want checks what happened.
func (w *writing) want(err, wantErr error, barriers, tries int) {
	w.t.Helper()
	if !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) || w.barriers != barriers || w.tries != tries {
		w.t.Errorf("got %v after %d barriers and %d tries, not %v after %d and %d", err, w.barriers, w.tries, wantErr, barriers, tries)
	}
	if pod, ok := w.log.Get(updatedKey).(*example.Pod); err == nil && (!ok || pod.Labels["is"] != "updated") {
		w.t.Errorf("the log has %+v", pod)
	}
}

// TestUpdateNeedsNoBarrier: the writer tells whether it started from what is there.
func TestUpdateNeedsNoBarrier(t *testing.T) {
	w := newWriting(t, podOf("a", "fresh"), nil)
	w.want(w.update(nil), nil, 0, 1)
}

// TestUpdateIsRefusedOnlyByWhatIsTrue: what fails on data that may be stale is
// judged again on what a barrier brings in.
func TestUpdateIsRefusedOnlyByWhatIsTrue(t *testing.T) {
	uid := types.UID("a")
	preconditions := &storage.Preconditions{UID: &uid}
	for name, test := range map[string]struct {
		stale, fresh    *example.Pod
		preconditions   *storage.Preconditions
		wantErr         error
		barriers, tries int
	}{
		"the update fails, and then not":       {podOf("a", "stale"), podOf("a", "fresh"), nil, nil, 1, 2},
		"the update fails again":               {podOf("a", "stale"), podOf("a", "staler"), nil, errNotFresh, 1, 2},
		"nothing has changed":                  {podOf("a", "stale"), podOf("a", "stale"), nil, errNotFresh, 1, 1},
		"a precondition fails, and then not":   {podOf("b", "fresh"), podOf("a", "fresh"), preconditions, nil, 1, 1},
		"there is none, and then there is one": {nil, podOf("a", "fresh"), nil, nil, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWriting(t, test.stale, test.fresh)
			w.want(w.update(test.preconditions), test.wantErr, test.barriers, test.tries)
		})
	}
	w := newWriting(t, podOf("b", "fresh"), podOf("c", "fresh"))
	if err := w.update(preconditions); !storage.IsInvalidObj(err) || w.barriers != 1 || w.tries != 0 {
		t.Errorf("another object of the same name: %v after %d barriers and %d tries", err, w.barriers, w.tries)
	}
	w = newWriting(t, nil, nil)
	if err := w.update(nil); !storage.IsNotFound(err) || w.barriers != 1 || w.tries != 0 {
		t.Errorf("no object: %v after %d barriers and %d tries", err, w.barriers, w.tries)
	}
}

// TestUpdateOfWhatWasChangedMeanwhile is tried again from what was there first.
func TestUpdateOfWhatWasChangedMeanwhile(t *testing.T) {
	w := newWriting(t, podOf("a", "fresh"), nil)
	first := true
	err := w.GuaranteedUpdate(t.Context(), updatedKey, newPod(), false, nil,
		func(input runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
			w.tries++
			if first {
				first = false
				if _, err := w.log.Set(updatedKey, podOf("a", "changed meanwhile")); err != nil {
					return nil, nil, err
				}
			}
			pod := input.(*example.Pod)
			pod.Annotations = map[string]string{"was": pod.Labels["is"]}
			pod.Labels = map[string]string{"is": "updated"}
			return pod, nil, nil
		}, nil)
	w.want(err, nil, 1, 2)
	if got := w.log.Get(updatedKey).(*example.Pod).Annotations["was"]; got != "changed meanwhile" {
		t.Errorf("the update started from %q", got)
	}
}
