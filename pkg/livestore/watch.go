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
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// resultBuffer is how many events a watcher's reader may be behind before the
// watcher waits for it. The log never waits for a watcher.
const resultBuffer = 100

// watcher sends one reader what happens to the objects below a prefix. It reads
// the log at its own pace and keeps no events of its own.
type watcher struct {
	log *Log
	// feed counts what the watch cache is told. It is nil if somebody else watches.
	feed      *feed
	newObject func() runtime.Object
	prefix    string
	predicate storage.SelectionPredicate
	// from is the revision after which the watch starts.
	from uint64
	// initial is set if the watcher first sends the objects as they are now, as additions.
	initial bool
	// initialEnd is set if it then sends a bookmark.
	initialEnd bool
	// progress is set if it sends bookmarks when they are requested.
	progress bool

	ctx    context.Context
	cancel context.CancelFunc
	result chan watch.Event
}

// Stop implements watch.Interface.
func (w *watcher) Stop() { w.cancel() }

// ResultChan implements watch.Interface.
func (w *watcher) ResultChan() <-chan watch.Event { return w.result }

// run sends everything until the reader stops or has fallen too far behind.
func (w *watcher) run() {
	defer close(w.result)
	defer w.cancel()
	if err := w.log.awaitComplete(w.ctx); err != nil {
		return
	}
	at := w.from
	if w.initial {
		items, now, _ := w.log.snapshot(w.prefix, 0)
		if !w.sendInitial(items, now) {
			return
		}
		at = now
	}
	heard := w.log.since(at).progress
	for {
		n := w.log.since(at)
		if n.gone {
			w.sendError(apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d", at)))
			return
		}
		if w.feed != nil && w.feed.idle() {
			w.sendError(apierrors.NewResourceExpired("nothing has changed for a while: list again"))
			return
		}
		for _, c := range n.changes {
			if !w.sendChange(c) {
				return
			}
			if w.feed != nil && !w.feed.tell(c) {
				w.sendError(apierrors.NewResourceExpired("the history of changes has reached its limit: list again"))
				return
			}
		}
		at = max(at, n.revision)
		if n.more {
			continue
		}
		if w.progress && n.progress != heard {
			if !w.sendBookmark(at, false) {
				return
			}
		}
		heard = n.progress
		select {
		case <-n.moved:
		case <-w.ctx.Done():
			return
		}
	}
}

func (w *watcher) sendInitial(items []item, revision uint64) bool {
	for _, i := range items {
		matches, err := w.predicate.Matches(i.object)
		if err != nil {
			w.sendError(err)
			return false
		}
		if matches && !w.send(watch.Event{Type: watch.Added, Object: i.object}) {
			return false
		}
	}
	return !w.initialEnd || w.sendBookmark(revision, true)
}

// sendChange sends a change as the predicate shows it: an object that begins to
// match is added, and an object that no longer matches is deleted.
func (w *watcher) sendChange(c change) bool {
	if !strings.HasPrefix(c.key, w.prefix) {
		return true
	}
	matches, err := w.matches(c.object)
	if err != nil {
		w.sendError(err)
		return false
	}
	matched, err := w.matches(c.previous)
	if err != nil {
		w.sendError(err)
		return false
	}
	switch {
	case matches && matched:
		return w.send(watch.Event{Type: watch.Modified, Object: w.observed(c, c.object)})
	case matches:
		return w.send(watch.Event{Type: watch.Added, Object: w.observed(c, c.object)})
	case matched:
		// A deleted object carries the revision of its deletion.
		last := withOwnMetadata(c.previous)
		if err := w.log.versioner.UpdateObject(last, c.revision); err != nil {
			w.sendError(err)
			return false
		}
		return w.send(watch.Event{Type: watch.Deleted, Object: w.observed(c, last)})
	}
	return true
}

// observed adds the time of the change to its object if the watch cache reads.
func (w *watcher) observed(c change, object runtime.Object) runtime.Object {
	if w.feed == nil {
		return object
	}
	return observed{object, c.at}
}

func (w *watcher) matches(object runtime.Object) (bool, error) {
	if object == nil {
		return false, nil
	}
	return w.predicate.Matches(object)
}

// sendBookmark sends the revision that the watcher has reached.
func (w *watcher) sendBookmark(revision uint64, initialEnd bool) bool {
	object := w.newObject()
	if err := w.log.versioner.UpdateObject(object, revision); err != nil {
		w.sendError(err)
		return false
	}
	if initialEnd {
		if err := storage.AnnotateInitialEventsEndBookmark(object); err != nil {
			w.sendError(err)
			return false
		}
	}
	return w.send(watch.Event{Type: watch.Bookmark, Object: object})
}

func (w *watcher) sendError(err error) {
	status, ok := err.(apierrors.APIStatus)
	if !ok {
		status = apierrors.NewInternalError(err)
	}
	object := status.Status()
	object.TypeMeta = metav1.TypeMeta{}
	w.send(watch.Event{Type: watch.Error, Object: &object})
}

func (w *watcher) send(event watch.Event) bool {
	select {
	case w.result <- event:
		return true
	case <-w.ctx.Done():
		return false
	}
}
