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
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/utils/clock"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// firstRevision is the start of the tests' term of office.
const firstRevision = 1

// memory is the source of the tests: what the objects stand for is the log itself.
type memory struct {
	log *Log
	// barrier is told of each barrier, if set.
	barrier func(ctx context.Context, key string, recursive bool) error
}

func (m *memory) Barrier(ctx context.Context, key string, recursive bool) error {
	if m.barrier == nil {
		return nil
	}
	return m.barrier(ctx, key, recursive)
}

func (m *memory) Create(_ context.Context, key string, obj runtime.Object) (runtime.Object, error) {
	created, done, err := m.log.SetIf(key, 0, obj)
	if err == nil && !done {
		return nil, storage.NewKeyExistsError(key, 0)
	}
	return created, err
}

func (m *memory) Update(_ context.Context, key string, current, updated runtime.Object) (runtime.Object, error) {
	revision := revisionOf(current)
	written, done, err := m.log.SetIf(key, revision, updated)
	if err == nil && !done {
		return nil, storage.NewResourceVersionConflictsError(key, int64(revision))
	}
	return written, err
}

func (m *memory) Delete(_ context.Context, key string, current runtime.Object) (runtime.Object, error) {
	revision := revisionOf(current)
	deleted, done, err := m.log.DeleteIf(key, revision)
	if err == nil && !done {
		return nil, storage.NewResourceVersionConflictsError(key, int64(revision))
	}
	return deleted, err
}

func revisionOf(obj runtime.Object) uint64 {
	accessor, err := meta.Accessor(obj)
	utilruntime.Must(err)
	revision, err := storage.APIObjectVersioner{}.ParseResourceVersion(accessor.GetResourceVersion())
	utilruntime.Must(err)
	return revision
}

func newPod() runtime.Object     { return &example.Pod{} }
func newPodList() runtime.Object { return &example.PodList{} }

func codec() runtime.Codec {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	utilruntime.Must(example.AddToScheme(scheme))
	utilruntime.Must(examplev1.AddToScheme(scheme))
	return serializer.NewCodecFactory(scheme).LegacyCodec(examplev1.SchemeGroupVersion)
}

// rig is a store under test: raw, or behind upstream's watch cache.
type rig struct {
	storage.Interface
	log    *Log
	source *memory
}

// begunLog returns an empty Log whose term has begun and that can be listed.
func begunLog(start uint64, clock clock.WithDelayedExecution) *Log {
	log := NewLog(clock)
	log.Begin(start)
	log.Complete()
	return log
}

// newRaw returns a store of Pods over memory.
func newRaw(*testing.T) *rig {
	log := begunLog(firstRevision, clock.RealClock{})
	source := &memory{log: log}
	return &rig{NewStore(log, source, "/pods/", newPod), log, source}
}

// newCached returns such a store behind upstream's watch cache, as NewDecorator
// makes it. keyFunc tells the key of an object.
func newCached(t *testing.T, keyFunc func(prefix string, obj runtime.Object) (string, error)) *rig {
	t.Helper()
	return decorated(t, begunLog(firstRevision, clock.RealClock{}), keyFunc)
}

// decorated returns a store of the Pods in log, as NewDecorator makes it, once
// its watch cache is filled.
func decorated(t *testing.T, log *Log, keyFunc func(prefix string, obj runtime.Object) (string, error)) *rig {
	t.Helper()
	r, cached := filling(t, log, keyFunc)
	if err := cached.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// filling is decorated, before the watch cache is filled.
func filling(t *testing.T, log *Log, keyFunc func(prefix string, obj runtime.Object) (string, error)) (*rig, *cacher.Cacher) {
	t.Helper()
	AnnounceWatchProgress()
	source := &memory{log: log}
	config := storagebackend.NewDefaultConfig("/", codec()).ForResource(schema.GroupResource{Resource: "pods"})
	var cached *cacher.Cacher
	decorate := NewDecorator(log, source, func(c *cacher.Cacher) { cached = c })
	decorated, destroy, err := decorate(config, "/pods", func(obj runtime.Object) (string, error) { return keyFunc("/pods/", obj) },
		newPod, newPodList, podAttrs, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(destroy)
	return &rig{decorated, log, source}, cached
}

func podAttrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	pod := obj.(*example.Pod)
	return pod.Labels, fields.Set{
		"spec.nodeName":      pod.Spec.NodeName,
		"metadata.name":      pod.Name,
		"metadata.namespace": pod.Namespace,
	}, nil
}

// cachedAfterCreate is a cached store whose Create returns when the cache has
// the object, which some of upstream's tests take for granted.
type cachedAfterCreate struct{ storage.Interface }

func (c cachedAfterCreate) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	if err := c.Interface.Create(ctx, key, obj, out, ttl); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, time.Millisecond, wait.ForeverTestTimeout, true, func(ctx context.Context) (bool, error) {
		cached := newPod()
		err := c.Get(ctx, key, storage.GetOptions{ResourceVersion: "0"}, cached)
		if storage.IsNotFound(err) {
			return false, nil
		}
		return err == nil && apiequality.Semantic.DeepEqual(cached, out), err
	})
}
