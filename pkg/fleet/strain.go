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

package fleet

import (
	"sync/atomic"
	"time"
)

// strain notes when agents answer late. If thousands are asked at once, or the server's machine has no processor time to
// spare, each is late although none hangs: the others then have longer to answer.
type strain struct{ at atomic.Int64 }

// tired is how much of BarrierTimeout an answer takes that is late. An agent that reads answers pings after half of it.
const tired = 0.75

// mostPatience is how many times BarrierTimeout an agent has to answer where others answer late: an agent that is late
// on purpose must not hold up all reads.
const mostPatience = 3

// heard notes an answer that has taken so long.
func (s *strain) heard(after, timeout time.Duration) {
	if after > time.Duration(tired*float64(timeout)) {
		s.at.Store(time.Now().UnixNano())
	}
}

// until returns when an agent counts as silent from which nothing has come since the given time.
func (s *strain) until(since time.Time, timeout time.Duration) time.Time {
	limit, last := since.Add(timeout), time.Unix(0, s.at.Load()).Add(timeout)
	if !last.After(limit) {
		return limit
	}
	if most := since.Add(mostPatience * timeout); most.Before(last) {
		return most
	}
	return last
}
