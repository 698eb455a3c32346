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
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
)

// NewDecorator returns what a generic registry store makes its storage with:
// upstream's watch cache over a Store of log and source. It hands the cacher to
// onCacher, for a readiness check.
func NewDecorator(log *Log, source Source, onCacher func(*cacher.Cacher)) generic.StorageDecorator {
	return func(config *storagebackend.ConfigForResource, resourcePrefix string,
		keyFunc func(runtime.Object) (string, error), newFunc, newListFunc func() runtime.Object,
		getAttrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		prefix := resourcePrefix + "/"
		store := NewStore(log, source, prefix, newFunc)
		store.resource = config.GroupResource
		cached, err := cacher.NewCacherFromConfig(cacher.Config{
			Storage:             newFeed(store),
			Versioner:           store.Versioner(),
			GroupResource:       config.GroupResource,
			EventsHistoryWindow: cacher.DefaultEventFreshDuration,
			ResourcePrefix:      prefix,
			KeyFunc:             keyFunc,
			GetAttrsFunc:        getAttrs,
			IndexerFuncs:        triggers,
			Indexers:            indexers,
			NewFunc:             newFunc,
			NewListFunc:         newListFunc,
			Codec:               config.Codec,
		})
		if err != nil {
			return nil, nil, err
		}
		onCacher(cached)
		d := &delegator{cacher.NewCacheDelegator(cached, store), cached, store}
		var once sync.Once
		return d, func() {
			once.Do(func() {
				d.Stop()
				cached.Stop()
			})
		}, nil
	}
}

// delegator is upstream's, which answers from the watch cache, but never refuses
// a request because the watch cache is filling itself anew. It does that for about
// a second whenever the history of changes has reached its limit.
type delegator struct {
	*cacher.CacheDelegator
	cached *cacher.Cacher
	store  *Store
}

// Get implements storage.Interface. Whoever asks for a revision waits: the registry
// does so to learn that a watch that begins now begins with it.
func (d *delegator) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	if opts.ResourceVersion != "" && opts.ResourceVersion != "0" {
		if err := d.cached.Wait(ctx); err != nil {
			return err
		}
	}
	return d.CacheDelegator.Get(ctx, key, opts, out)
}

// GetList implements storage.Interface: meanwhile the Store answers.
func (d *delegator) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	err := d.CacheDelegator.GetList(ctx, key, opts, list)
	if apierrors.IsTooManyRequests(err) {
		return d.store.GetList(ctx, key, opts, list)
	}
	return err
}

// Watch implements storage.Interface: meanwhile the client waits.
func (d *delegator) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	for d.cached.Wait(ctx) == nil {
		w, err := d.CacheDelegator.Watch(ctx, key, opts)
		if !apierrors.IsTooManyRequests(err) {
			return w, err
		}
	}
	return d.CacheDelegator.Watch(ctx, key, opts)
}

// withProgress is upstream's check of etcd's features, with the answer that holds
// for a Store: it can send watchers the revision it has reached.
type withProgress struct {
	feature.FeatureSupportChecker
}

// Supports implements feature.FeatureSupportChecker.
func (c withProgress) Supports(f storage.Feature) bool {
	return f == storage.RequestWatchProgress || c.FeatureSupportChecker.Supports(f)
}

// AnnounceWatchProgress tells k8s.io/apiserver, for the whole process, that the
// storage can send watchers the revision it has reached. Without it a LIST bypasses
// the watch cache and a watch-list fails. Call it before serving. A second call
// does nothing.
func AnnounceWatchProgress() {
	if feature.DefaultFeatureSupportChecker.Supports(storage.RequestWatchProgress) {
		return
	}
	feature.DefaultFeatureSupportChecker = withProgress{feature.DefaultFeatureSupportChecker}
}
