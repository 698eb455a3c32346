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
	"time"

	"k8s.io/apiserver/pkg/storage/cacher"
)

const (
	// minRing and maxRing are the bounds of the watch cache's ring
	// (defaultLowerBoundCapacity and defaultUpperBoundCapacity in upstream's
	// watch_cache_history.go).
	minRing = 100
	maxRing = 100 * 1024
)

// ring tells which changes upstream's watch cache holds. The watch cache keeps
// them, with their objects, in a ring of its own: at least a hundred changes,
// and those of the last 75 s, but it does not know how large they are. A ring
// follows the same rules, which are in upstream's watch_cache_history.go, and
// adds up the bytes.
type ring struct {
	// capacity is how many changes fit in.
	capacity int
	held     []held
	// bytes is the sum of the sizes of what is held.
	bytes int64
}

// held is one change in a ring.
type held struct {
	at    time.Time
	bytes int64
}

func newRing() *ring { return &ring{capacity: minRing} }

// add puts a change into the ring, in place of the oldest one if the ring is full.
func (r *ring) add(at time.Time, bytes int64) {
	if len(r.held) == r.capacity {
		r.resize(at)
	}
	if drop := len(r.held) + 1 - r.capacity; drop > 0 {
		for _, h := range r.held[:drop] {
			r.bytes -= h.bytes
		}
		r.held = r.held[drop:]
	}
	r.held = append(r.held, held{at, bytes})
	r.bytes += bytes
}

// resize doubles the capacity of a full ring if all of it is fresh, and halves
// it if the newest quarter is not.
func (r *ring) resize(now time.Time) {
	const fresh = cacher.DefaultEventFreshDuration
	switch {
	case now.Sub(r.held[0].at) < fresh:
		r.capacity = min(2*r.capacity, maxRing)
	case now.Sub(r.held[len(r.held)-r.capacity/4].at) > fresh:
		r.capacity = max(r.capacity/2, minRing)
	}
}

// clear empties the ring, as the watch cache does when it fills itself anew.
func (r *ring) clear() { r.held, r.bytes = nil, 0 }
