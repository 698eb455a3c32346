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
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
)

func pod(name, version string) *example.Pod {
	return &example.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"version": version}}}
}

// set records a pod and returns its revision.
func (r *rig) set(t testing.TB, name, version string) uint64 {
	t.Helper()
	recorded, err := r.log.Set("/pods/"+name, pod(name, version))
	if err != nil {
		t.Fatal(err)
	}
	return revisionOf(recorded)
}

// list returns name=version of the pods that a list with these options has.
func (r *rig) list(t testing.TB, opts storage.ListOptions) (string, error) {
	t.Helper()
	opts.Recursive = true
	if opts.Predicate.Label == nil {
		opts.Predicate = storage.Everything
	}
	list := &example.PodList{}
	if err := r.GetList(t.Context(), "/pods/", opts, list); err != nil {
		return "", err
	}
	text := ""
	for _, p := range list.Items {
		text += p.Name + "=" + p.Annotations["version"] + " "
	}
	return text, nil
}

func exactly(revision uint64) storage.ListOptions {
	return storage.ListOptions{
		ResourceVersion:      strconv.FormatUint(revision, 10),
		ResourceVersionMatch: metav1.ResourceVersionMatchExact,
	}
}

func TestSameContentKeepsItsRevision(t *testing.T) {
	r := newRaw(t)
	first := r.set(t, "a", "1")
	if again := r.set(t, "a", "1"); again != first {
		t.Errorf("the same content went from revision %d to %d", first, again)
	}
	if next := r.set(t, "a", "2"); next != first+1 {
		t.Errorf("a change after revision %d got %d", first, next)
	}
}

// TestDeletionLeavesThePastAsItWas: the deleted object is a copy, with a revision of its own.
func TestDeletionLeavesThePastAsItWas(t *testing.T) {
	r := newRaw(t)
	revision := r.set(t, "a", "1")
	before := r.log.Get("/pods/a")
	last, err := r.log.Delete("/pods/a")
	if err != nil || revisionOf(last) != revision+1 || last.(*example.Pod).Annotations["version"] != "1" {
		t.Errorf("deleted: %v, %v", last, err)
	}
	if got := revisionOf(before); got != revision {
		t.Errorf("the object before has the revision %d now, it had %d", got, revision)
	}
}

func TestListAtAnExactRevision(t *testing.T) {
	r := newRaw(t)
	want := map[uint64]string{}
	note := func(revision uint64, text string) { want[revision] = text }
	note(r.set(t, "b", "1"), "b=1 ")
	note(r.set(t, "a", "1"), "a=1 b=1 ")
	note(r.set(t, "b", "2"), "a=1 b=2 ")
	if _, err := r.log.Delete("/pods/a"); err != nil {
		t.Fatal(err)
	}
	note(r.log.Revision(), "b=2 ")
	note(r.set(t, "c", "1"), "b=2 c=1 ")
	for revision, text := range want {
		if got, err := r.list(t, exactly(revision)); err != nil || got != text {
			t.Errorf("at revision %d: %q, %v; want %q", revision, got, err, text)
		}
	}
	if got, err := r.list(t, exactly(firstRevision)); err != nil || got != "" {
		t.Errorf("at the term's start: %q, %v", got, err)
	}
}

func TestListOfAForgottenOrFutureRevision(t *testing.T) {
	r := newRaw(t)
	old := r.set(t, "a", "1")
	last := r.set(t, "a", "2")
	r.log.Compact(last)
	if _, err := r.list(t, exactly(old)); !apierrors.IsResourceExpired(err) {
		t.Errorf("forgotten: %v", err)
	}
	if _, err := r.list(t, exactly(last+1)); !storage.IsTooLargeResourceVersion(err) {
		t.Errorf("future, exact: %v", err)
	}
	notOlder := storage.ListOptions{ResourceVersion: strconv.FormatUint(last+1, 10)}
	if _, err := r.list(t, notOlder); !storage.IsTooLargeResourceVersion(err) {
		t.Errorf("future, not older than: %v", err)
	}
}

func TestCheckRevision(t *testing.T) {
	log := begunLog(1000, clock.RealClock{})
	r := &rig{log: log}
	last := r.set(t, "a", "1")
	for version, gone := range map[string]bool{
		"": false, "0": false, "1000": false, strconv.FormatUint(last, 10): false,
		"999": true, "1": true, strconv.FormatUint(last+1, 10): true,
	} {
		if err := log.CheckRevision(version); apierrors.IsResourceExpired(err) != gone {
			t.Errorf("%q: %v, want gone %v", version, err, gone)
		}
	}
	if err := log.CheckRevision("seven"); !apierrors.IsBadRequest(err) {
		t.Errorf("no number: %v", err)
	}
}

func TestForgetsAfterTheWindow(t *testing.T) {
	fake := testingclock.NewFakeClock(time.Now())
	log := begunLog(firstRevision, fake)
	r := &rig{Interface: NewStore(log, &memory{log: log}, "/pods/", newPod), log: log}
	old := r.set(t, "a", "1")
	fake.Step(Window / 2)
	young := r.set(t, "a", "2")
	fake.Step(Window/2 + time.Second)
	r.set(t, "a", "3")
	if _, err := r.list(t, exactly(young)); err != nil {
		t.Errorf("a change younger than the window is forgotten: %v", err)
	}
	if got, _ := log.remembered(); got != 2 {
		t.Errorf("%d changes are kept, want 2", got)
	}
	if err := watchFails(t, r, old-1); !apierrors.IsResourceExpired(err) {
		t.Errorf("a watch from before the window: %v", err)
	}
}

// watchFails returns the error with which a watch from a revision ends.
func watchFails(t *testing.T, r *rig, from uint64) error {
	t.Helper()
	opts := storage.ListOptions{ResourceVersion: strconv.FormatUint(from, 10), Recursive: true, Predicate: storage.Everything}
	w, err := r.Watch(t.Context(), "/pods/", opts)
	if err != nil {
		return err
	}
	defer w.Stop()
	event := <-w.ResultChan()
	if event.Type != watch.Error {
		t.Fatalf("got %v", event)
	}
	return apierrors.FromObject(event.Object)
}

// TestAStuckWatcherHoldsUpNobody: its reader comes back when the changes are
// forgotten, and is told to list again.
func TestAStuckWatcherHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t)
		opts := storage.ListOptions{ResourceVersion: strconv.Itoa(firstRevision), Recursive: true, Predicate: storage.Everything}
		w, err := r.Watch(t.Context(), "/pods/", opts)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		for i := range 2 * resultBuffer {
			r.set(t, "a", strconv.Itoa(i))
		}
		// The watcher has read no more than these, and waits for its reader.
		synctest.Wait()
		for i := range maxChanges + 1 {
			r.set(t, "a", strconv.Itoa(2*resultBuffer+i))
		}
		if got, _ := r.log.remembered(); got > maxChanges {
			t.Errorf("%d changes are kept", got)
		}
		var last watch.Event
		for event := range w.ResultChan() {
			last = event
		}
		if last.Type != watch.Error || !apierrors.IsResourceExpired(apierrors.FromObject(last.Object)) {
			t.Errorf("the watch ended with %v", last)
		}
	})
}

// TestReadersAgree: many writers at once, and everybody who watches sees every
// change once, in order, with no gap, and ends where a list ends.
func TestReadersAgree(t *testing.T) {
	const writers, changes, watchers = 8, 500, 4
	r := newRaw(t)
	opts := storage.ListOptions{ResourceVersion: strconv.Itoa(firstRevision), Recursive: true, Predicate: storage.Everything}
	var readers, writing sync.WaitGroup
	for range watchers {
		w, err := r.Watch(t.Context(), "/pods/", opts)
		if err != nil {
			t.Fatal(err)
		}
		readers.Go(func() {
			defer w.Stop()
			for next := uint64(firstRevision + 1); next <= firstRevision+writers*changes; next++ {
				if got := revisionOf((<-w.ResultChan()).Object); got != next {
					t.Errorf("revision %d came where %d was due", got, next)
					return
				}
			}
		})
	}
	for n := range writers {
		writing.Go(func() {
			for i := range changes {
				r.set(t, fmt.Sprint("pod", rand.IntN(5)), fmt.Sprint(n, "/", i))
			}
		})
	}
	writing.Wait()
	readers.Wait()
	now, err := r.list(t, storage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if exact, err := r.list(t, exactly(r.log.Revision())); err != nil || exact != now {
		t.Errorf("now %q, exactly now %q, %v", now, exact, err)
	}
}

// TestConsistentReadsWaitForTheBarrier: what the barrier brings in is in the
// answer of the read that asked, cached or not; a read of the cache asks nobody.
func TestConsistentReadsWaitForTheBarrier(t *testing.T) {
	for name, r := range map[string]*rig{"raw": newRaw(t), "cached": newCached(t, storage.NoNamespaceKeyFunc)} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			type marker struct{}
			ctx := context.WithValue(t.Context(), marker{}, "the request")
			r.source.barrier = func(ctx context.Context, _ string, _ bool) error {
				if ctx.Value(marker{}) != "the request" {
					t.Error("the request's context did not reach the barrier")
				}
				calls++
				r.set(t, "live", strconv.Itoa(calls))
				return nil
			}
			for want := 1; want < 200; want += 2 {
				one := &example.Pod{}
				if err := r.Get(ctx, "/pods/live", storage.GetOptions{}, one); err != nil || one.Annotations["version"] != strconv.Itoa(want) {
					t.Fatalf("GET %d: %v, %v", want, one.Annotations, err)
				}
				list := &example.PodList{}
				opts := storage.ListOptions{Recursive: true, Predicate: storage.Everything}
				if err := r.GetList(ctx, "/pods/", opts, list); err != nil || list.Items[0].Annotations["version"] != strconv.Itoa(want+1) {
					t.Fatalf("LIST %d: %v, %v", want+1, list.Items, err)
				}
			}
			before := calls
			if err := r.GetList(ctx, "/pods/", storage.ListOptions{ResourceVersion: "0", Recursive: true, Predicate: storage.Everything}, &example.PodList{}); err != nil {
				t.Fatal(err)
			}
			if calls != before {
				t.Error("a list at resourceVersion 0 asked the source")
			}
		})
	}
}

func TestBarrierErrorFailsTheRead(t *testing.T) {
	r := newRaw(t)
	r.source.barrier = func(context.Context, string, bool) error { return apierrors.NewServiceUnavailable("no") }
	if err := r.Get(t.Context(), "/pods/a", storage.GetOptions{}, newPod()); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("GET: %v", err)
	}
	if _, err := r.list(t, storage.ListOptions{}); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("LIST: %v", err)
	}
}
