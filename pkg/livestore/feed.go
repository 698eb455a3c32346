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
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/klog/v2"
)

// quietShare is the share of the history's limit above which the watch cache
// gives up its history once nothing has changed for a Window.
const quietShare = 4

// feed is a Store as the watch cache sees it. The watch cache lists once, then
// watches, and holds the changes that it is told of, with their objects, by count
// and time. So feed counts their bytes. When these exceed the limit of the Log's
// history, it ends the watch with 410 Gone: then the watch cache drops all that
// it holds, lists again, and ends the watches of its clients, which watch again
// or list again.
type feed struct {
	*Store
	// ring is what the watch cache holds. The Log's lock guards it.
	ring *ring
	// listed is set when the watch cache has listed: what it held before is gone.
	listed bool
}

func newFeed(store *Store) *feed { return &feed{Store: store, ring: newRing()} }

// GetList implements storage.Interface, with no barrier: a consistent read from
// the watch cache has one of its own (GetCurrentResourceVersion), and a slow node
// must not hold up the watch cache.
func (f *feed) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	if opts.ResourceVersion == "" {
		opts.ResourceVersion = "0"
	}
	if err := f.Store.GetList(ctx, key, opts, list); err != nil {
		return err
	}
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	f.listed = true
	return nil
}

// Watch implements storage.Interface.
func (f *feed) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	f.log.mu.Lock()
	if f.listed {
		f.listed = false
		f.ring.clear()
		f.log.cached = 0
		f.log.measure()
	}
	f.log.mu.Unlock()
	return f.watch(ctx, key, opts, f)
}

// tell counts a change that the watch cache is told of. It returns false if the
// watch cache holds too much and has to begin anew.
func (f *feed) tell(c change) bool {
	l := f.log
	l.mu.Lock()
	defer l.mu.Unlock()
	f.ring.add(c.at, c.bytes)
	l.cached = f.ring.bytes
	l.measure()
	if l.limit == 0 || l.cached <= l.limit {
		return true
	}
	l.metrics.dropped.Inc()
	klog.Background().Info("The history of changes has reached its limit and is dropped: watches end, and clients list again",
		"bytes", l.cached, "limit", l.limit, "changes", len(f.ring.held), "span", c.at.Sub(f.ring.held[0].at))
	return false
}

// idle returns true if the watch cache holds much that nobody needs any more:
// the Log has forgotten all changes, because nothing has changed for a Window.
func (f *feed) idle() bool {
	l := f.log
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.limit == 0 || len(l.changes) > 0 || f.ring.bytes <= l.limit/quietShare {
		return false
	}
	klog.Background().Info("Nothing has changed for a while, so the history of changes is dropped: watches end and begin again", "bytes", f.ring.bytes)
	return true
}

// observed is the object of an event with the time of the change. The watch
// cache asks for it (ListOptions.RecordTimestamps) and takes it apart again.
type observed struct {
	runtime.Object
	at time.Time
}

var _ storage.WatchEventWithRecordTime = observed{}

// RecordTime implements storage.WatchEventWithRecordTime.
func (o observed) RecordTime() time.Time { return o.at }

// Unwrap implements storage.WatchEventWithRecordTime.
func (o observed) Unwrap() runtime.Object { return o.Object }

// GetObjectMeta implements metav1.ObjectMetaAccessor.
func (o observed) GetObjectMeta() metav1.Object {
	accessor, err := meta.Accessor(o.Object)
	if err != nil {
		return nil
	}
	return accessor
}

// DeepCopyObject implements runtime.Object.
func (o observed) DeepCopyObject() runtime.Object {
	return observed{o.Object.DeepCopyObject(), o.at}
}
