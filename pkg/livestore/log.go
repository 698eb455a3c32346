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
	"reflect"
	"slices"
	"sort"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/clock"
)

// Window is how long the Log remembers changes, at the least. The watch cache
// above remembers 75 s; a list at an exact revision or a watch that starts
// behind it must still find what it needs here.
const Window = 90 * time.Second

// maxChanges is how many changes the Log remembers at most. Beyond it the oldest
// changes are forgotten early.
const maxChanges = 100_000

// changeOverhead is what a change takes beside its objects: its places in the Log
// and in the watch cache, the watch cache's copy of the labels and fields, and what readers are given of
// the object, which is kept for watches that are behind.
const changeOverhead = 4 << 10

// Log orders the observed changes of objects, see the package's documentation.
// An object that was given to it belongs to it and is never changed again.
type Log struct {
	clock     clock.WithDelayedExecution
	versioner storage.Versioner
	metrics   logMetrics
	// limit is how many bytes the changes may have, 0 meaning any number.
	limit int64

	mu sync.RWMutex
	// revision is that of the last change, or the term's start.
	revision uint64
	start    uint64
	// oldest is the oldest revision that can still be listed or watched from.
	oldest  uint64
	objects map[string]entry
	// keys are those of objects, sorted.
	keys []string
	// changes are the remembered ones, in order; those up to oldest are gone.
	changes []change
	// bytes is the sum of the sizes of changes, cached of those that the watch cache holds.
	bytes, cached int64
	// forgetting is whether a timer runs that forgets old changes.
	forgetting bool
	// progress counts the requests to tell watchers how far they are.
	progress uint64
	// moved is closed, and replaced, whenever something above changes.
	moved chan struct{}
	// complete is closed once the log can be listed.
	complete chan struct{}
}

// entry is one object and the revision of its last change.
type entry struct {
	revision uint64
	object   runtime.Object
}

// change is one observed change: object is nil when it was deleted, previous
// when it was added.
type change struct {
	revision         uint64
	at               time.Time
	key              string
	object, previous runtime.Object
	// bytes is what the change keeps in memory: what previous does not share with the
	// object. The object is there anyhow, as the current one or as a later change's previous.
	bytes int64
}

// NewLog returns an empty Log that Begin begins and Complete opens.
func NewLog(clock clock.WithDelayedExecution) *Log {
	return &Log{
		clock:     clock,
		versioner: storage.APIObjectVersioner{},
		metrics:   newLogMetrics(),
		objects:   map[string]entry{},
		moved:     make(chan struct{}),
		complete:  make(chan struct{}),
	}
}

// Limit has the Log, and the watch cache above it, hold no more than about so many
// bytes of past states. The current ones do not count. Call it before Begin.
func (l *Log) Limit(bytes int64) { l.limit = bytes }

// Begin begins the one term of the Log. All its revisions are greater than start,
// which must be greater than 0. Nothing may be set before Begin.
func (l *Log) Begin(start uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revision, l.start, l.oldest = start, start, start
}

// Complete says, once, that all existing objects have been set. Lists wait for it:
// if an early list lacked an object, clients would take the object for deleted.
func (l *Log) Complete() { close(l.complete) }

// awaitComplete returns once the log can be listed, or ctx's error.
func (l *Log) awaitComplete(ctx context.Context) error {
	select {
	case <-l.complete:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Revision returns the revision of the last change, or the term's start.
func (l *Log) Revision() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.revision
}

// Get returns the object at key, or nil. The caller must not change it.
func (l *Log) Get(key string) runtime.Object {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.objects[key].object
}

// Set records that the object at key is now obj, and returns it as recorded: with
// the next revision or, if the content is the same, the object recorded before.
// obj belongs to the Log from then on. Once Set returns, every read sees it.
func (l *Log) Set(key string, obj runtime.Object) (runtime.Object, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set(key, obj)
}

// SetIf does what Set does if the object at key has the given revision, 0 meaning
// that there is no object. Otherwise it does nothing and returns false.
func (l *Log) SetIf(key string, revision uint64, obj runtime.Object) (runtime.Object, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.objects[key].revision != revision {
		return nil, false, nil
	}
	recorded, err := l.set(key, obj)
	return recorded, true, err
}

// DeleteIf does what Delete does if the object at key has the given revision.
// Otherwise it does nothing and returns false.
func (l *Log) DeleteIf(key string, revision uint64) (runtime.Object, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.objects[key].revision != revision {
		return nil, false, nil
	}
	last, err := l.delete(key)
	return last, true, err
}

// Delete records that there is no object at key any more. It returns the last
// object with the deletion's revision, or nil if there was no object.
func (l *Log) Delete(key string) (runtime.Object, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.delete(key)
}

func (l *Log) set(key string, obj runtime.Object) (runtime.Object, error) {
	before, exists := l.objects[key]
	if exists {
		if err := l.versioner.UpdateObject(obj, before.revision); err != nil {
			return nil, fmt.Errorf("stamping %s: %w", key, err)
		}
		if reflect.DeepEqual(before.object, obj) {
			return before.object, nil
		}
	}
	next := l.revision + 1
	if err := l.versioner.UpdateObject(obj, next); err != nil {
		return nil, fmt.Errorf("stamping %s: %w", key, err)
	}
	l.objects[key] = entry{revision: next, object: obj}
	if !exists {
		at, _ := slices.BinarySearch(l.keys, key)
		l.keys = slices.Insert(l.keys, at, key)
	}
	l.append(change{revision: next, key: key, object: obj, previous: before.object, bytes: sizeBeyond(before.object, obj)})
	return obj, nil
}

func (l *Log) delete(key string) (runtime.Object, error) {
	before, exists := l.objects[key]
	if !exists {
		return nil, nil
	}
	next := l.revision + 1
	last := withOwnMetadata(before.object)
	if err := l.versioner.UpdateObject(last, next); err != nil {
		return nil, fmt.Errorf("stamping the deleted %s: %w", key, err)
	}
	delete(l.objects, key)
	at, _ := slices.BinarySearch(l.keys, key)
	l.keys = slices.Delete(l.keys, at, at+1)
	l.append(change{revision: next, key: key, previous: before.object, bytes: sizeBeyond(before.object, nil)})
	return last, nil
}

// append remembers a change, forgets those that are too old or too many, and
// wakes watchers.
func (l *Log) append(c change) {
	c.at = l.clock.Now()
	c.bytes += changeOverhead
	l.changes = append(l.changes, c)
	l.bytes += c.bytes
	l.revision = c.revision
	l.forget(max(0, l.aged(c.at), len(l.changes)-maxChanges, l.beyondLimit()))
	l.forgetLater(Window + time.Second)
	l.wake()
}

// aged returns how many changes are older than the Window.
func (l *Log) aged(now time.Time) int {
	return sort.Search(len(l.changes), func(i int) bool { return now.Sub(l.changes[i].at) <= Window })
}

// beyondLimit returns how many changes to forget so that the rest is within the limit.
func (l *Log) beyondLimit() int {
	n := 0
	for bytes := l.bytes; l.limit > 0 && bytes > l.limit; n++ {
		bytes -= l.changes[n].bytes
	}
	return n
}

// forget drops the n oldest changes, and lets go of their objects.
func (l *Log) forget(n int) {
	if n > 0 {
		l.oldest = l.changes[n-1].revision
	}
	for _, c := range l.changes[:n] {
		l.bytes -= c.bytes
	}
	clear(l.changes[:n])
	l.changes = l.changes[n:]
	l.measure()
}

// forgetLater has old changes forgotten after a while, also if nothing changes any more.
func (l *Log) forgetLater(after time.Duration) {
	if l.forgetting || len(l.changes) == 0 {
		return
	}
	l.forgetting = true
	// The fake clock of tests calls the function itself, with its lock held.
	l.clock.AfterFunc(after, func() { go l.forgetOld() })
}

// forgetOld forgets the changes that are older than the Window.
func (l *Log) forgetOld() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	l.forgetting = false
	l.forget(l.aged(now))
	if len(l.changes) == 0 {
		l.wake()
		return
	}
	// A second late, so that it need not run for each change.
	l.forgetLater(l.changes[0].at.Add(Window + time.Second).Sub(now))
}

func (l *Log) wake() {
	close(l.moved)
	l.moved = make(chan struct{})
}

// Compact forgets what happened up to and including the given revision.
func (l *Log) Compact(revision uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(sort.Search(len(l.changes), func(i int) bool { return l.changes[i].revision > revision }))
}

// compacted returns the last revision that was forgotten, 0 if there is none.
func (l *Log) compacted() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.oldest == l.start {
		return 0
	}
	return l.oldest
}

// requestProgress makes watchers send bookmarks, those that were asked to (see watcher.progress).
func (l *Log) requestProgress() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress++
	l.wake()
}

// CheckRevision returns a 400 Bad Request status error if a client's
// resourceVersion is no number, and 410 Gone if this term has not issued it: it is
// from another term, or from the future. The client then lists again. "" and "0"
// stand for any revision and are fine.
func (l *Log) CheckRevision(resourceVersion string) error {
	return l.checkRevision(resourceVersion, func(revision uint64) bool { return revision >= l.start })
}

// CheckOldest is CheckRevision for a GET. Its resourceVersion says how old the
// answer may be, and every revision of this term is newer than earlier terms.
func (l *Log) CheckOldest(resourceVersion string) error {
	return l.checkRevision(resourceVersion, func(uint64) bool { return true })
}

func (l *Log) checkRevision(resourceVersion string, known func(uint64) bool) error {
	revision, err := l.versioner.ParseResourceVersion(resourceVersion)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("resourceVersion %q is none that was read: list again", resourceVersion))
	}
	if revision == 0 {
		return nil
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !known(revision) || revision > l.revision {
		return apierrors.NewResourceExpired("resourceVersion " + strconv.FormatUint(revision, 10) +
			" was not issued by this server since it started: list again")
	}
	return nil
}
