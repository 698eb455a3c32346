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
	"fmt"
	"reflect"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
)

var _ storage.Interface = &Store{}

// Store serves a Log as a storage.Interface, with a Source behind it.
type Store struct {
	log       *Log
	source    Source
	prefix    string
	newObject func() runtime.Object
	// resource is what conflicts call the objects.
	resource schema.GroupResource
}

// NewStore returns a Store of the objects below prefix, which begins and ends with "/".
func NewStore(log *Log, source Source, prefix string, newObject func() runtime.Object) *Store {
	return &Store{log: log, source: source, prefix: prefix, newObject: newObject}
}

// Versioner implements storage.Interface.
func (s *Store) Versioner() storage.Versioner { return s.log.versioner }

// Get implements storage.Interface. Without a resourceVersion the answer includes
// every change from before the call. With one, the log answers as it is, unless it
// is older.
func (s *Store) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	key, err := storage.PrepareKey(s.prefix, key, false)
	if err != nil {
		return err
	}
	if err := s.log.awaitComplete(ctx); err != nil {
		return err
	}
	if opts.ResourceVersion == "" {
		if err := s.source.Barrier(ctx, key, false); err != nil {
			return err
		}
	}
	if err := s.notOlderThan(opts.ResourceVersion); err != nil {
		return err
	}
	object := s.log.Get(key)
	if object == nil {
		if opts.IgnoreNotFound {
			return runtime.SetZeroValue(out)
		}
		return storage.NewKeyNotFoundError(key, 0)
	}
	return copyInto(object, out)
}

// GetList implements storage.Interface. The answer is as fresh as with Get.
func (s *Store) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	if err := s.log.awaitComplete(ctx); err != nil {
		return err
	}
	prefix, err := storage.PrepareKey(s.prefix, key, opts.Recursive)
	if err != nil {
		return err
	}
	items, err := itemsOf(list)
	if err != nil {
		return err
	}
	exact, continueKey, err := storage.ValidateListOptions(prefix, s.log.versioner, opts)
	if err != nil {
		return err
	}
	if opts.ResourceVersion == "" && exact <= 0 {
		if err := s.source.Barrier(ctx, prefix, opts.Recursive); err != nil {
			return err
		}
	}
	if exact <= 0 {
		if err := s.notOlderThan(opts.ResourceVersion); err != nil {
			return err
		}
	}
	found, revision, ok := s.log.snapshot(prefix, uint64(max(exact, 0)))
	if !ok {
		return s.notThere(uint64(exact), revision, prefix, continueKey, opts)
	}
	if !opts.Recursive {
		found = only(found, prefix)
	}
	page, err := cut(found, continueKey, opts.Predicate, items)
	if err != nil {
		return err
	}
	next, remaining, err := storage.PrepareContinueToken(page.last, prefix, int64(revision), page.count, page.more, opts)
	if err != nil {
		return err
	}
	return s.log.versioner.UpdateList(list, revision, next, remaining)
}

// Watch implements storage.Interface.
func (s *Store) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	return s.watch(ctx, key, opts, nil)
}

// watch is Watch. to is the watch cache's feed if the watch cache watches, or nil.
func (s *Store) watch(ctx context.Context, key string, opts storage.ListOptions, to *feed) (watch.Interface, error) {
	prefix, err := storage.PrepareKey(s.prefix, key, opts.Recursive)
	if err != nil {
		return nil, err
	}
	from, err := s.log.versioner.ParseResourceVersion(opts.ResourceVersion)
	if err != nil {
		return nil, err
	}
	wanted := opts.SendInitialEvents != nil && *opts.SendInitialEvents
	w := &watcher{
		log:        s.log,
		feed:       to,
		newObject:  s.newObject,
		prefix:     prefix,
		predicate:  opts.Predicate,
		from:       from,
		initial:    wanted || opts.SendInitialEvents == nil && from == 0,
		initialEnd: wanted && opts.Predicate.AllowWatchBookmarks,
		progress:   opts.ProgressNotify,
		result:     make(chan watch.Event, resultBuffer),
	}
	if !w.initial && from == 0 {
		w.from = s.log.Revision()
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	go w.run()
	// The reader gets all that was there: priority and fairness may let others in.
	utilflowcontrol.WatchInitialized(ctx)
	return w, nil
}

// IsWatchListSemanticsUnSupported makes the watch cache fill itself by a list.
// client-go asks for this method. A list waits in silence until the Log is
// complete; during a watch with initial events client-go would log warnings.
func (s *Store) IsWatchListSemanticsUnSupported() bool { return true }

// Stats implements storage.Interface.
func (s *Store) Stats(context.Context) (storage.Stats, error) {
	s.log.mu.RLock()
	defer s.log.mu.RUnlock()
	return storage.Stats{ObjectCount: int64(len(s.log.below(s.prefix)))}, nil
}

// ReadinessCheck implements storage.Interface: the log is always ready.
func (s *Store) ReadinessCheck() error { return nil }

// RequestWatchProgress implements storage.Interface.
func (s *Store) RequestWatchProgress(context.Context) error {
	s.log.requestProgress()
	return nil
}

// GetCurrentResourceVersion implements storage.Interface. It is the barrier of
// every consistent read from the watch cache. When it returns, the log has every
// change that happened before the call, and its watchers are being told. The
// watch cache then waits until it has the revision that is returned.
func (s *Store) GetCurrentResourceVersion(ctx context.Context) (uint64, error) {
	if err := s.source.Barrier(ctx, s.prefix, true); err != nil {
		return 0, err
	}
	return s.log.Revision(), nil
}

// EnableResourceSizeEstimation implements storage.Interface. Objects are kept
// decoded, so there is no size to tell; Stats counts them only.
func (s *Store) EnableResourceSizeEstimation(keys storage.KeysFunc) error {
	if keys == nil {
		return errors.New("KeysFunc cannot be nil")
	}
	return nil
}

// CompactRevision implements storage.Interface.
func (s *Store) CompactRevision() int64 { return int64(s.log.compacted()) }

// notOlderThan refuses a revision that the log has not reached.
func (s *Store) notOlderThan(resourceVersion string) error {
	minimum, err := s.log.versioner.ParseResourceVersion(resourceVersion)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: %v", err))
	}
	if now := s.log.Revision(); minimum > now {
		return storage.NewTooLargeResourceVersionError(minimum, now, 0)
	}
	return nil
}

// notThere returns the reason why there is no list at an exact revision.
func (s *Store) notThere(exact, now uint64, prefix, continueKey string, opts storage.ListOptions) error {
	if exact > now {
		return storage.NewTooLargeResourceVersionError(exact, now, 0)
	}
	if opts.Predicate.Continue == "" {
		return apierrors.NewResourceExpired("The resourceVersion for the provided list is too old.")
	}
	expired := apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent list result. " +
		"Start a new list without the continue parameter, or go on with the token in this response: " +
		"what follows is then consistent in itself, not with what was listed before.")
	// -1 asks to go on at the newest revision (storage.ValidateListOptions).
	token, err := storage.EncodeContinue(continueKey, prefix, -1)
	if err != nil {
		return err
	}
	expired.ErrStatus.Continue = token
	return expired
}

// copyInto makes out a copy of object.
func copyInto(object, out runtime.Object) error {
	target, err := conversion.EnforcePtr(out)
	if err != nil {
		return fmt.Errorf("unable to convert output object to pointer: %w", err)
	}
	target.Set(reflect.ValueOf(object.DeepCopyObject()).Elem())
	return nil
}

// itemsOf returns the items of a list, to be filled.
func itemsOf(list runtime.Object) (reflect.Value, error) {
	pointer, err := meta.GetItemsPtr(list)
	if err != nil {
		return reflect.Value{}, err
	}
	items, err := conversion.EnforcePtr(pointer)
	if err != nil || items.Kind() != reflect.Slice {
		return reflect.Value{}, fmt.Errorf("need a pointer to a slice: %w", err)
	}
	return items, nil
}

// only returns the item with exactly this key, if there is one.
func only(items []item, key string) []item {
	for _, i := range items {
		if i.key == key {
			return []item{i}
		}
	}
	return nil
}

// page tells what cut has taken.
type page struct {
	last  string
	count int64
	more  bool
}

// cut fills into, a slice, with the items from continueKey on that match, up to the limit.
func cut(items []item, continueKey string, predicate storage.SelectionPredicate, into reflect.Value) (page, error) {
	for len(items) > 0 && continueKey != "" && strings.Compare(items[0].key, continueKey) < 0 {
		items = items[1:]
	}
	p := page{count: int64(len(items))}
	into.Set(reflect.MakeSlice(into.Type(), 0, len(items)))
	for n, i := range items {
		matches, err := predicate.Matches(i.object)
		if err != nil {
			return p, err
		}
		p.last = i.key
		if matches {
			// Like the watch cache's, a list shares what its objects point to: nobody changes it.
			into.Set(reflect.Append(into, reflect.ValueOf(i.object).Elem()))
		}
		if predicate.Limit > 0 && int64(into.Len()) >= predicate.Limit {
			p.more = n < len(items)-1
			break
		}
	}
	return p, nil
}
