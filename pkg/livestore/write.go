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

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
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
	created, err := s.writer.Create(ctx, key, toCreate)
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
		deleted, err := s.writer.Delete(ctx, key, current)
		if storage.IsConflict(err) {
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
	for {
		current := s.log.Get(key)
		updated, err := s.update(key, current, ignoreNotFound, preconditions, tryUpdate)
		if err != nil && !proved {
			if err := s.writer.Barrier(ctx, key, false); err != nil {
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
		if storage.IsConflict(err) && ctx.Err() == nil {
			// What was there first is to be in the log before the next try.
			if err := s.writer.Barrier(ctx, key, false); err != nil {
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
		return s.writer.Create(ctx, key, updated)
	}
	return s.writer.Update(ctx, key, current, updated)
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
