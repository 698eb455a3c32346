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
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	cachermetrics "k8s.io/apiserver/pkg/storage/cacher/metrics"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
)

const (
	// ballast makes a pod large, in the tests of how much is held.
	ballast = 32 << 10
	// few is how many changes of such pods the limit allows.
	few = 50
)

// limit is the limit of the history in these tests.
func limit() int64 { return few * (sizeBeyond(pod("a", large(0)), nil) + changeOverhead + 100) }

// limited returns an empty log with a limit, whose metrics are registered.
func limited(t *testing.T, clock clock.WithDelayedExecution) *Log {
	t.Helper()
	log := NewLog(clock)
	log.Limit(limit())
	if err := log.RegisterMetrics(metrics.NewKubeRegistry().Register); err != nil {
		t.Fatal(err)
	}
	log.Begin(firstRevision)
	log.Complete()
	return log
}

// large returns the content of version n of a large pod.
func large(n int) string { return fmt.Sprintf("%0*d", ballast, n) }

func (l *Log) remembered() (changes int, bytes int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.changes), l.bytes
}

func TestHistoryIsLimitedByBytes(t *testing.T) {
	log := limited(t, clock.RealClock{})
	r := &rig{Interface: NewStore(log, &memory{log: log}, "/pods/", newPod), log: log}
	old := r.set(t, "a", large(0))
	for i := range 10 * few {
		r.set(t, "a", large(i+1))
		if _, bytes := log.remembered(); bytes > limit() {
			t.Fatalf("%d bytes are held after %d changes, the limit is %d", bytes, i, limit())
		}
	}
	changes, bytes := log.remembered()
	if changes != few {
		t.Errorf("%d changes are held, want %d: as many as the limit allows", changes, few)
	}
	if got, _ := testutil.GetGaugeMetricValue(log.metrics.bytes); got != float64(bytes) {
		t.Errorf("the metric says %v bytes, want %d", got, bytes)
	}
	if err := watchFails(t, r, old); !apierrors.IsResourceExpired(err) {
		t.Errorf("a watch from before what is held: %v", err)
	}
	if _, err := r.list(t, exactly(old)); !apierrors.IsResourceExpired(err) {
		t.Errorf("a list from before what is held: %v", err)
	}
	if got, err := r.list(t, exactly(log.Revision()-few)); err != nil || !strings.HasSuffix(got, large(9*few)+" ") {
		t.Errorf("the oldest list that is held: %v", err)
	}
}

func TestOneObjectAboveTheLimit(t *testing.T) {
	log := limited(t, clock.RealClock{})
	r := &rig{Interface: NewStore(log, &memory{log: log}, "/pods/", newPod), log: log}
	r.set(t, "a", strings.Repeat("x", int(2*limit())))
	r.set(t, "a", "1")
	if changes, bytes := log.remembered(); changes != 0 || bytes != 0 {
		t.Errorf("%d changes of %d bytes are held", changes, bytes)
	}
	if got, err := r.list(t, storage.ListOptions{}); err != nil || got != "a=1 " {
		t.Errorf("the list is %q, %v", got, err)
	}
}

// TestSizeOf: what an object takes is what it points to and itself.
func TestSizeOf(t *testing.T) {
	empty := sizeBeyond(&example.Pod{}, nil)
	for name, test := range map[string]struct {
		pod      *example.Pod
		min, max int64
	}{
		"annotation":       {pod("a", strings.Repeat("x", 1000)), 1000, 1100},
		"owner references": {&example.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: make([]metav1.OwnerReference, 1000)}}, 60_000, 100_000},
		"managed fields": {&example.Pod{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
			{FieldsV1: metav1.NewFieldsV1(strings.Repeat("x", 1000))}, {Manager: "m", Time: &metav1.Time{Time: time.Now()}},
		}}}, 1200, 1500},
	} {
		if got := sizeBeyond(test.pod, nil) - empty; got < test.min || got > test.max {
			t.Errorf("%s: %d bytes, want %d to %d", name, got, test.min, test.max)
		}
	}
}

// TestWhatIsSharedCountsOnce: a node's labels change, and all else is the same. That must
// not use up the history of others.
func TestWhatIsSharedCountsOnce(t *testing.T) {
	log := limited(t, clock.RealClock{})
	r := &rig{Interface: NewStore(log, &memory{log: log}, "/pods/", newPod), log: log}
	first := pod("a", large(0))
	for i := range 5 * few {
		next := *first
		next.Labels = map[string]string{"i": strconv.Itoa(i)}
		if _, err := log.Set("/pods/a", &next); err != nil {
			t.Fatal(err)
		}
	}
	if changes, bytes := log.remembered(); changes != 5*few || bytes > 5*few*(changeOverhead+4<<10) {
		t.Errorf("%d changes of %d bytes are held", changes, bytes)
	}
	// At last it goes, and counts.
	r.set(t, "a", "1")
	if _, bytes := log.remembered(); bytes < ballast {
		t.Errorf("only %d bytes are held", bytes)
	}
}

// TestForgetsWithoutAChange: what is old goes also if nothing changes any more.
func TestForgetsWithoutAChange(t *testing.T) {
	fake := testingclock.NewFakeClock(time.Now())
	log := limited(t, fake)
	r := &rig{log: log}
	r.set(t, "a", large(1))
	fake.Step(Window / 2)
	r.set(t, "a", large(2))
	for _, want := range []int{1, 0} {
		fake.Step(Window/2 + time.Second)
		await(t, func() bool { changes, _ := log.remembered(); return changes == want })
	}
	if _, bytes := log.remembered(); bytes != 0 {
		t.Errorf("%d bytes are held in no change", bytes)
	}
	fake.Step(time.Hour)
	if fake.HasWaiters() {
		t.Error("a timer runs though there is nothing to forget")
	}
}

// cacheHas returns once the watch cache has the revision of a pod.
func (r *rig) cacheHas(t *testing.T, name string, revision uint64) {
	t.Helper()
	opts := storage.GetOptions{ResourceVersion: strconv.FormatUint(revision, 10)}
	if err := r.Get(t.Context(), "/pods/"+name, opts, newPod()); err != nil {
		t.Fatal(err)
	}
}

// await returns once it is so.
func await(t *testing.T, so func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, wait.ForeverTestTimeout, true,
		func(context.Context) (bool, error) { return so(), nil })
	if err != nil {
		t.Fatal(err)
	}
}

// TestRingIsTheWatchCaches: a ring grows and shrinks as upstream's does, which
// tells its capacity by a metric.
func TestRingIsTheWatchCaches(t *testing.T) {
	cachermetrics.Register()
	fake := testingclock.NewFakeClock(time.Now())
	r := decorated(t, begunLog(firstRevision, fake), storage.NoNamespaceKeyFunc)
	ring := newRing()
	seen := map[int]bool{}
	n := 0
	for _, phase := range []struct {
		changes int
		every   time.Duration
	}{
		{99, time.Second}, {2, time.Second}, {500, time.Second}, {2000, 10 * time.Millisecond}, {3000, 0}, {1, time.Minute},
		{5000, time.Second}, {300, 2 * time.Second}, {200, time.Hour}, {100, 75 * time.Second}, {1000, time.Millisecond}, {1000, 200 * time.Millisecond},
	} {
		for range phase.changes {
			fake.Step(phase.every)
			n++
			revision := r.set(t, "a", strconv.Itoa(n))
			ring.add(fake.Now(), 1)
			// The watch cache keeps up: the log soon forgets what is old.
			r.cacheHas(t, "a", revision)
		}
		got, err := testutil.GetGaugeMetricValue(cachermetrics.WatchCacheCapacity.WithLabelValues("", "pods"))
		if err != nil || int(got) != ring.capacity {
			t.Fatalf("after %d changes, the last every %v, the watch cache has room for %v (%v), the ring for %d", n, phase.every, got, err, ring.capacity)
		}
		if len(ring.held) > ring.capacity || ring.bytes != int64(len(ring.held)) {
			t.Fatalf("the ring holds %d changes of %d bytes, and has room for %d", len(ring.held), ring.bytes, ring.capacity)
		}
		seen[ring.capacity] = true
	}
	if len(seen) < 5 {
		t.Errorf("the ring has only had the capacities %v", seen)
	}
}

// TestTheWatchCacheLetsGoToo: what the garbage collector cannot free is no more
// than the limit and the current objects, after any number of changes.
func TestTheWatchCacheLetsGoToo(t *testing.T) {
	const pods = 10
	log := limited(t, clock.RealClock{})
	r := decorated(t, log, storage.NoNamespaceKeyFunc)
	var made []weak.Pointer[example.Pod]
	for n := range 4 * few {
		obj := pod(fmt.Sprint("pod", n%pods), large(n))
		made = append(made, weak.Make(obj))
		if _, err := log.Set("/pods/"+obj.Name, obj); err != nil {
			t.Fatal(err)
		}
		r.cacheHas(t, obj.Name, log.Revision())
	}
	alive := 0
	await(t, func() bool {
		runtime.GC()
		alive = 0
		for _, p := range made {
			if p.Value() != nil {
				alive++
			}
		}
		return alive <= few+pods
	})
	if alive < pods {
		t.Errorf("%d objects are held, and there are %d", alive, pods)
	}
	if dropped, err := testutil.GetCounterMetricValue(log.metrics.dropped); err != nil || dropped == 0 {
		t.Errorf("the history was dropped %v times, %v", dropped, err)
	}
}

// TestTheWatchCacheLetsGoOfWhatIsOld: also if nothing changes any more.
func TestTheWatchCacheLetsGoOfWhatIsOld(t *testing.T) {
	fake := testingclock.NewFakeClock(time.Now())
	log := limited(t, fake)
	r := decorated(t, log, storage.NoNamespaceKeyFunc)
	for n := range few / 2 {
		r.set(t, "a", large(n))
	}
	cached := func() int64 {
		log.mu.RLock()
		defer log.mu.RUnlock()
		return log.cached
	}
	await(t, func() bool { return cached() > limit()/quietShare })
	fake.Step(Window + time.Second)
	await(t, func() bool { return cached() == 0 })
	if got, err := r.list(t, storage.ListOptions{}); err != nil || got != "a="+large(few/2-1)+" " {
		t.Errorf("the list after that: %v", err)
	}
	if dropped, err := testutil.GetCounterMetricValue(log.metrics.dropped); err != nil || dropped != 0 {
		t.Errorf("%v drops at the limit are counted, %v: it was not reached", dropped, err)
	}
}

// follower follows the pods as clients do: it lists, watches from there, watches
// again when the watch ends, and lists again when it is told to.
type follower struct {
	pods          map[string]string
	lists, events int
}

// follow returns when the pod "last" is seen, or ctx has ended.
func (f *follower) follow(ctx context.Context, r *rig) error {
	for ctx.Err() == nil {
		f.lists++
		list := &example.PodList{}
		if err := r.GetList(ctx, "/pods/", storage.ListOptions{Recursive: true, Predicate: storage.Everything}, list); err != nil {
			return fmt.Errorf("LIST: %w", err)
		}
		f.pods = map[string]string{}
		for _, p := range list.Items {
			f.pods[p.Name] = p.Annotations["version"]
		}
		done, err := f.watch(ctx, r, list.ResourceVersion)
		if done || err != nil {
			return err
		}
	}
	return ctx.Err()
}

// watch returns when it is told to list again, or is done.
func (f *follower) watch(ctx context.Context, r *rig, from string) (done bool, err error) {
	for ctx.Err() == nil {
		if f.pods["last"] != "" {
			return true, nil
		}
		w, err := r.Watch(ctx, "/pods/", storage.ListOptions{ResourceVersion: from, Recursive: true, Predicate: storage.Everything})
		if err != nil {
			return false, fmt.Errorf("WATCH: %w", err)
		}
		for event := range w.ResultChan() {
			if event.Type == watch.Error {
				if err := apierrors.FromObject(event.Object); !apierrors.IsResourceExpired(err) {
					return false, fmt.Errorf("WATCH: %w", err)
				}
				w.Stop()
				return false, nil
			}
			f.events++
			object := event.Object
			if cached, ok := object.(apiruntime.CacheableObject); ok {
				object = cached.GetObject()
			}
			p := object.(*example.Pod)
			if p.Annotations["version"] <= f.pods[p.Name] && event.Type != watch.Deleted {
				return false, fmt.Errorf("WATCH: %s came after %s", p.Annotations["version"], f.pods[p.Name])
			}
			from, f.pods[p.Name] = p.ResourceVersion, p.Annotations["version"]
			if event.Type == watch.Deleted {
				delete(f.pods, p.Name)
			}
			if p.Name == "last" {
				break
			}
		}
		w.Stop()
	}
	return false, ctx.Err()
}

// TestNobodyNoticesTheLimit: while the history is dropped again and again, no
// read fails or is stale, and whoever follows ends with what is there.
func TestNobodyNoticesTheLimit(t *testing.T) {
	const drops = 3
	log := limited(t, clock.RealClock{})
	r := decorated(t, log, storage.NoNamespaceKeyFunc)
	r.set(t, "read", large(0))
	followers := make([]follower, 4)
	var following, reading sync.WaitGroup
	for i := range followers {
		following.Go(func() {
			if err := followers[i].follow(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	var written atomic.Int64
	reading.Go(func() {
		for ctx.Err() == nil {
			before := large(int(written.Load()))
			list := &example.PodList{}
			predicate := storage.SelectionPredicate{Label: storage.Everything.Label, Field: fields.OneTermEqualSelector("metadata.name", "read"), GetAttrs: podAttrs}
			if err := r.GetList(t.Context(), "/pods/", storage.ListOptions{Recursive: true, Predicate: predicate}, list); err != nil {
				t.Errorf("LIST: %v", err)
			} else if len(list.Items) != 1 || list.Items[0].Annotations["version"] < before {
				t.Error("a LIST is stale")
			}
			one := &example.Pod{}
			if err := r.Get(t.Context(), "/pods/read", storage.GetOptions{ResourceVersion: "0"}, one); err != nil {
				t.Errorf("GET: %v", err)
			}
		}
	})
	for n := 1; ; n++ {
		r.set(t, "read", large(n))
		written.Store(int64(n))
		if n%7 == 0 {
			r.set(t, fmt.Sprint("other", n%5), large(n))
		}
		if n%35 == 0 {
			if _, err := log.Delete("/pods/other0"); err != nil {
				t.Fatal(err)
			}
		}
		if dropped, _ := testutil.GetCounterMetricValue(log.metrics.dropped); dropped >= drops {
			break
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	reading.Wait()
	r.set(t, "last", "1")
	following.Wait()
	now, err := r.list(t, storage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range followers {
		if len(f.pods) != strings.Count(now, "=") || f.lists < 2 || f.events == 0 {
			t.Errorf("follower %d has %d pods after %d lists and %d events, and there are %d", i, len(f.pods), f.lists, f.events, strings.Count(now, "="))
		}
		for name, version := range f.pods {
			if !strings.Contains(now, name+"="+version+" ") {
				t.Errorf("follower %d has another %s than the list", i, name)
			}
		}
	}
}

// TestWatchesWaitForTheWatchCache: a watch that begins while the watch cache
// fills itself is not refused.
func TestWatchesWaitForTheWatchCache(t *testing.T) {
	log := NewLog(clock.RealClock{})
	log.Begin(firstRevision)
	r, cached := filling(t, log, storage.NoNamespaceKeyFunc)
	started := make(chan watch.Interface)
	go func() {
		w, err := r.Watch(t.Context(), "/pods/", storage.ListOptions{ResourceVersion: strconv.Itoa(firstRevision), Recursive: true, Predicate: storage.Everything})
		if err != nil {
			t.Error(err)
			w = watch.NewEmptyWatch()
		}
		started <- w
	}()
	if cached.Ready() {
		t.Error("the watch cache is filled before the log is complete")
	}
	log.Complete()
	w := <-started
	defer w.Stop()
	want := r.set(t, "a", "1")
	if event := <-w.ResultChan(); event.Type != watch.Added || revisionOf(event.Object.(apiruntime.CacheableObject).GetObject()) != want {
		t.Errorf("got %v", event)
	}
}

// TestARevisionIsAwaited: whoever asks for a revision while the watch cache fills
// itself anew gets it when the watch cache has it, so that a watch can begin there.
func TestARevisionIsAwaited(t *testing.T) {
	log := limited(t, clock.RealClock{})
	r, cached := filling(t, log, storage.NoNamespaceKeyFunc)
	if err := cached.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := 0
	await(t, func() bool {
		n++
		r.set(t, "a", large(n))
		return !cached.Ready()
	})
	r.cacheHas(t, "a", r.set(t, "a", "now"))
	if !cached.Ready() {
		t.Error("the answer came before the watch cache was filled")
	}
}
