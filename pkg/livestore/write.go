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
	"path"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/storage"
)

// Create implements storage.Interface. Nothing here has a time to live.
func (s *Store) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	key, err := storage.PrepareKey(s.prefix, key, false)
	if err != nil {
		return err
	}
	if ttl != 0 {
		return fmt.Errorf("creating %s: there is no time to live in a live store", key)
	}
	if version, err := s.log.versioner.ObjectResourceVersion(obj); err == nil && version != 0 {
		return storage.ErrResourceVersionSetOnCreate
	}
	toCreate := obj.DeepCopyObject()
	if err := s.log.versioner.PrepareObjectForStorage(toCreate); err != nil {
		return fmt.Errorf("PrepareObjectForStorage failed: %w", err)
	}
	created, err := s.source.Create(ctx, key, toCreate)
	if err != nil || out == nil {
		return err
	}
	return copyInto(created, out)
}

// Delete implements storage.Interface. The suggestion is not needed: what is
// current is at hand.
func (s *Store) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, _ runtime.Object, _ storage.DeleteOptions) error {
	key, err := storage.PrepareKey(s.prefix, key, false)
	if err != nil {
		return err
	}
	pauses := conflictPauses()
	for {
		current := s.log.Get(key)
		if current == nil {
			return storage.NewKeyNotFoundError(key, 0)
		}
		if err := preconditions.Check(key, current); err != nil {
			return err
		}
		if err := validate(ctx, current.DeepCopyObject()); err != nil {
			return err
		}
		deleted, err := s.source.Delete(ctx, key, current)
		if storage.IsConflict(err) {
			if err := s.pause(ctx, key, &pauses); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		return copyInto(deleted, out)
	}
}

// GuaranteedUpdate implements storage.Interface. It starts from what the log has,
// which may be stale: the writer refuses a write that starts from something else
// than what is there. A refusal that comes before the write is judged again on
// what is true after the call, so the suggestion is not needed.
func (s *Store) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, _ runtime.Object) error {
	key, err := storage.PrepareKey(s.prefix, key, false)
	if err != nil {
		return err
	}
	proved := false
	pauses := conflictPauses()
	for {
		current := s.log.Get(key)
		updated, err := s.update(key, current, ignoreNotFound, preconditions, tryUpdate)
		if err != nil && !proved {
			if err := s.source.Barrier(ctx, key, false); err != nil {
				return err
			}
			proved = true
			if s.log.Get(key) != current {
				continue
			}
		}
		if err != nil {
			return err
		}
		written, err := s.write(ctx, key, current, updated)
		if storage.IsConflict(err) {
			if err := s.pause(ctx, key, &pauses); err != nil {
				return err
			}
			// What was there first is to be in the log before the next try.
			if err := s.source.Barrier(ctx, key, false); err != nil {
				return err
			}
			proved = true
			continue
		}
		if err != nil {
			return err
		}
		return copyInto(written, destination)
	}
}

// conflictPauses are the pauses between the tries of a write, 1.3 s or more in all.
// They grow and differ, so that two clients that met do not meet again.
func conflictPauses() wait.Backoff {
	return wait.Backoff{Duration: 10 * time.Millisecond, Factor: 2, Jitter: 1, Steps: 7}
}

// pause waits before a write is tried again whose object somebody else changed
// first. After the last pause, or when ctx ends, it returns a 409 Conflict status error.
func (s *Store) pause(ctx context.Context, key string, pauses *wait.Backoff) error {
	if pauses.Steps > 0 {
		timer := time.NewTimer(pauses.Step())
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
		}
	}
	return apierrors.NewConflict(s.resource, path.Base(key),
		errors.New("others keep changing the object, each time before this change could be made: try again later"))
}

// update returns what becomes of current, nil if there is none, by tryUpdate.
func (s *Store) update(key string, current runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc) (runtime.Object, error) {
	if current == nil && !ignoreNotFound {
		return nil, storage.NewKeyNotFoundError(key, 0)
	}
	input, revision, err := s.input(current)
	if err != nil {
		return nil, err
	}
	if err := preconditions.Check(key, input); err != nil {
		return nil, err
	}
	updated, _, err := tryUpdate(input, storage.ResponseMeta{ResourceVersion: revision})
	if err != nil {
		return nil, err
	}
	updated = updated.DeepCopyObject()
	if err := s.log.versioner.PrepareObjectForStorage(updated); err != nil {
		return nil, fmt.Errorf("PrepareObjectForStorage failed: %w", err)
	}
	return updated, nil
}

// write makes the object at key, which was current, what updated says.
func (s *Store) write(ctx context.Context, key string, current, updated runtime.Object) (runtime.Object, error) {
	if current == nil {
		return s.source.Create(ctx, key, updated)
	}
	return s.source.Update(ctx, key, current, updated)
}

// input returns a copy of current that may be changed, and its revision; the
// zero value if there is no current.
func (s *Store) input(current runtime.Object) (runtime.Object, uint64, error) {
	if current == nil {
		return s.newObject(), 0, nil
	}
	accessor, err := meta.Accessor(current)
	if err != nil {
		return nil, 0, err
	}
	revision, err := s.log.versioner.ParseResourceVersion(accessor.GetResourceVersion())
	return current.DeepCopyObject(), revision, err
}
