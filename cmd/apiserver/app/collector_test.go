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
	"testing"
	"time"
)

func TestNextGarbage(t *testing.T) {
	for _, test := range []struct {
		percent     int
		collections uint64
		want        int
	}{
		{50, 0, 25}, {25, 0, 12}, {12, 0, 12}, // nothing to do
		{12, 1, 12}, {50, 2, 50}, // little to do
		{12, 3, 24}, {24, 3, 48}, {48, 3, 50}, {50, 100, 50}, // much to do
	} {
		if got := nextGarbage(test.percent, test.collections); got != test.want {
			t.Errorf("after %d collections at %d %%: %d %%, not %d", test.collections, test.percent, got, test.want)
		}
	}
}

// TestCollectorFollowsTheWork: less garbage may gather while nothing happens, and more again once much does.
func TestCollectorFollowsTheWork(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- tuneCollector(ctx, 100*time.Millisecond) }()
	until := func(percent uint64, do func()) {
		t.Helper()
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		for begin := time.Now(); sample[0].Value.Kind() == metrics.KindBad || sample[0].Value.Uint64() != percent; metrics.Read(sample) {
			if time.Since(begin) > time.Minute {
				t.Fatalf("%d %% of garbage may gather, not %d", sample[0].Value.Uint64(), percent)
			}
			do()
		}
	}
	until(leastGarbage, func() { time.Sleep(time.Millisecond) })
	until(mostGarbage, runtime.GC)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
