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

// Package memory keeps the memory of a program small that has little to do most of the time.
package memory

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// mostGarbage is how many bytes of garbage may gather for each hundred bytes in use. Most of what is in use stays, such as states of
	// nodes and connections: Go's default, 100, would double the memory.
	mostGarbage = 50
	// trimInterval is how often Trim looks whether to give memory back. busyCollections are so many garbage collections in that time
	// that the program has work to do, and will need its memory again.
	trimInterval    = 15 * time.Second
	busyCollections = 3
	// leastGain is what share of the bytes in use must have been allocated since the last collection to be worth another one, 1 of so many.
	leastGain = 100
	// leastFree is what share of the bytes in use must be free and not given back to be worth that, 1 of so many.
	leastFree = 10
)

// Trim keeps garbage from gathering while the program has little to do, until ctx ends: it has garbage collected, and gives all memory
// that is free back to the system. The runtime alone would wait for more garbage, and keep a tenth more than it expects to need. Where
// the variable GOGC of the environment is set, Trim does nothing.
func Trim(ctx context.Context) error {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	return trim(ctx, trimInterval)
}

func trim(ctx context.Context, interval time.Duration) error {
	debug.SetGCPercent(mostGarbage)
	before := readHeap()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		now := readHeap()
		if now.collections-before.collections < busyCollections && now.worthTrimming() {
			debug.FreeOSMemory()
			now = readHeap()
		}
		before = now
	}
}

// heap is what the runtime tells of the memory that it allocates from: how often it has collected garbage, the bytes that were in
// use after the last collection, those of all objects now, and those that are free and that the system does not have back.
type heap struct{ collections, live, objects, free uint64 }

func readHeap() heap {
	samples := []metrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) uint64 { return samples[i].Value.Uint64() }
	return heap{collections: value(0), live: value(1), objects: value(2), free: value(3)}
}

// worthTrimming tells whether enough was allocated since the last collection, or enough is free.
func (h heap) worthTrimming() bool {
	return h.objects > h.live+h.live/leastGain || h.free > h.live/leastFree
}
