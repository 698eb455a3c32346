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

package app

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// mostGarbage and leastGarbage are how many bytes of garbage may gather for each hundred bytes in use, unless the variable GOGC of the
	// environment says otherwise. Most of what is in use are the nodes' states and connections: Go's default, 100, would
	// double the memory.
	mostGarbage, leastGarbage = 50, 12
	// collectorInterval is how often the number of collections is looked at, and busyCollector how many are too many for so long.
	collectorInterval = 15 * time.Second
	busyCollector     = 3
)

// tuneCollector lets little garbage gather while the server has little to do, until ctx ends. A collection then
// comes seldom all the same, so it costs no processor time that matters. Whenever it lets less garbage gather it has garbage collected: what
// memory goes back to the system is decided by a collection.
func tuneCollector(ctx context.Context, interval time.Duration) error {
	percent, before := mostGarbage, collections()
	debug.SetGCPercent(percent)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		next := nextGarbage(percent, collections()-before)
		if next != percent {
			debug.SetGCPercent(next)
		}
		if next < percent {
			runtime.GC()
		}
		percent, before = next, collections()
	}
}

// nextGarbage returns how much garbage may gather after an interval with so many collections.
func nextGarbage(percent int, collections uint64) int {
	switch {
	case collections >= busyCollector:
		return min(2*percent, mostGarbage)
	case collections == 0:
		return max(percent/2, leastGarbage)
	}
	return percent
}

// collections returns how many garbage collections there have been.
func collections() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
