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

package memory

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestWorthTrimming(t *testing.T) {
	for _, test := range []struct {
		heap heap
		want bool
	}{
		{heap{live: 100 << 20, objects: 100 << 20}, false},
		{heap{live: 100 << 20, objects: 100<<20 + 1}, false},
		{heap{live: 100 << 20, objects: 103 << 20}, true},
		{heap{live: 100 << 20, objects: 90 << 20}, false}, // it is being swept
		{heap{live: 100 << 20, objects: 100 << 20, free: 10 << 20}, false},
		{heap{live: 100 << 20, objects: 100 << 20, free: 11 << 20}, true}, // what was busy has just collected its garbage
	} {
		if got := test.heap.worthTrimming(); got != test.want {
			t.Errorf("%+v is worth it: %v", test.heap, got)
		}
	}
}

// TestMemoryIsTrimmed: garbage of a program that is at rest is collected long before the runtime would.
func TestMemoryIsTrimmed(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- trim(ctx, 10*time.Millisecond) }()
	used := make([]byte, 64<<20)
	runtime.GC()
	before := forced()
	garbage := make([]byte, 16<<20) // far less than what mostGarbage allows
	garbage[0], garbage = 1, nil
	for begin := time.Now(); forced() == before || readHeap().objects >= 80<<20; time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("the garbage is still there: %+v", readHeap())
		}
	}
	runtime.KeepAlive(used)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// forced returns how many garbage collections somebody has asked for.
func forced() uint32 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.NumForcedGC
}
