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
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/clock"
)

// contended is a source whose objects somebody else always changes first, the
// given number of times.
type contended struct {
	memory
	times, tries int
}

func (c *contended) conflict(key string) error {
	if c.tries++; c.tries > c.times {
		return nil
	}
	return storage.NewResourceVersionConflictsError(key, 0)
}

func (c *contended) Update(ctx context.Context, key string, current, updated runtime.Object) (runtime.Object, error) {
	if err := c.conflict(key); err != nil {
		return nil, err
	}
	return c.memory.Update(ctx, key, current, updated)
}

func (c *contended) Delete(ctx context.Context, key string, current runtime.Object) (runtime.Object, error) {
	if err := c.conflict(key); err != nil {
		return nil, err
	}
	return c.memory.Delete(ctx, key, current)
}

// writes are the two writes that are tried again after a conflict.
func writes(s *Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"update": func(ctx context.Context) error {
			return s.GuaranteedUpdate(ctx, "/pods/a", newPod(), false, nil, func(runtime.Object, storage.ResponseMeta) (runtime.Object, *uint64, error) {
				return pod("a", "2"), nil, nil
			}, nil)
		},
		"delete": func(ctx context.Context) error {
			return s.Delete(ctx, "/pods/a", newPod(), nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
		},
	}
}

// contend does a write that meets so many conflicts.
func contend(ctx context.Context, t *testing.T, kind string, conflicts int) (tries int, took time.Duration, err error) {
	t.Helper()
	log := begunLog(firstRevision, clock.RealClock{})
	source := &contended{memory: memory{log: log}, times: conflicts}
	store := NewStore(log, source, "/pods/", newPod)
	store.resource = schema.GroupResource{Resource: "pods"}
	(&rig{log: log}).set(t, "a", "1")
	begin := time.Now()
	err = writes(store)[kind](ctx)
	return source.tries, time.Since(begin), err
}

// TestConflictsEnd: a write that always meets a conflict is tried a few times,
// with pauses, and is then a conflict for the client. The time is the test's own.
func TestConflictsEnd(t *testing.T) {
	for _, kind := range []string{"update", "delete"} {
		synctest.Test(t, func(t *testing.T) {
			tries, took, err := contend(t.Context(), t, kind, 1<<30)
			if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `pods "a": others keep changing the object`) {
				t.Errorf("%s: %v", kind, err)
			}
			if want := conflictPauses().Steps + 1; tries != want || took < time.Second || took > 5*time.Second {
				t.Errorf("%s: %d tries in %v, want %d", kind, tries, took, want)
			}
			tries, took, err = contend(t.Context(), t, kind, 3)
			if err != nil || tries != 4 || took == 0 {
				t.Errorf("%s after three conflicts: %d tries in %v, %v", kind, tries, took, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			tries, took, err = contend(ctx, t, kind, 1<<30)
			if !apierrors.IsConflict(err) || tries != 1 || took != 0 {
				t.Errorf("%s of a request that has ended: %d tries in %v, %v", kind, tries, took, err)
			}
		})
	}
}

// TestConflictStartsFromWhatIsThere: each try starts from what the one who was first has made.
func TestConflictStartsFromWhatIsThere(t *testing.T) {
	log := begunLog(firstRevision, clock.RealClock{})
	r := &rig{log: log}
	store := NewStore(log, &memory{log: log}, "/pods/", newPod)
	r.set(t, "a", "1")
	tries := 0
	out := &example.Pod{}
	err := store.GuaranteedUpdate(t.Context(), "/pods/a", out, false, nil, func(input runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
		p := input.(*example.Pod)
		if tries++; tries < 3 {
			r.set(t, "a", p.Annotations["version"]+"x")
		}
		return pod("a", p.Annotations["version"]+"y"), nil, nil
	}, nil)
	if err != nil || out.Annotations["version"] != "1xxy" {
		t.Errorf("the update made %q, %v", out.Annotations["version"], err)
	}
}
