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

	"k8s.io/apimachinery/pkg/runtime"
)

// Source is what the objects of a Log stand for. It makes the Log current before
// a read is answered, and carries out writes.
//
// Create, Update and Delete return when the Log has the outcome. If an error of
// Update or Delete satisfies storage.IsConflict, the Store reads the object again
// and retries. A Source that cannot create or delete returns an API status error.
type Source interface {
	// Barrier returns once every change that happened before the call is in the
	// Log: of the object at key or, if recursive, of all objects below it. It may
	// leave out objects that the request cannot be about.
	Barrier(ctx context.Context, key string, recursive bool) error

	// Create makes the object at key and returns it as the Log has it.
	Create(ctx context.Context, key string, obj runtime.Object) (runtime.Object, error)

	// Update changes the object at key from current to updated and returns it as
	// the Log has it. updated may have the same content as current.
	Update(ctx context.Context, key string, current, updated runtime.Object) (runtime.Object, error)

	// Delete removes the object at key and returns it as it last was.
	Delete(ctx context.Context, key string, current runtime.Object) (runtime.Object, error)
}
