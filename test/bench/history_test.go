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

package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/nmstate/kubernetes-nmstate/pkg/generated/clientset/versioned/scheme"
)

// whole is the variable of the environment with which BenchmarkHistory has as
// many nodes, for as long, as it would take to fill a large machine.
const whole = "BENCH_WHOLE"

// BenchmarkHistory measures the memory of the server when nodes of 1 MB have
// flapped, once a second each if the machine is fast enough, while somebody
// watches: with a limit of the history of changes, and as good as without.
func BenchmarkHistory(b *testing.B) {
	if os.Getenv(whole) != "" {
		// Without a limit the server would have 18 GB.
		history(b, 200, 90, "256Mi")
		return
	}
	const nodes, flaps, limit = 20, 15, "64Mi"
	with := history(b, nodes, flaps, limit)
	without := history(b, nodes, flaps, "1Ti")
	share := float64(with) / float64(without)
	target(share <= .5, "with a limit of %s the server's heap has %.2f of what it has without (at most 0.5)", limit, share)
}

// history returns the server's heap in MB after each node has flapped so often.
func history(b *testing.B, nodes, flaps int, limit string) int {
	b.Helper()
	const bytes = 1 << 20
	s := newSite(b, "--history-bytes", limit)
	agents := s.fakes(b, nodes, bytes)
	before := memoryMB(b, s.server, "VmHWM:")
	watched := s.watchAll(b)
	begin := time.Now()
	for n := range flaps {
		next := time.Now().Add(time.Second)
		for _, node := range agents {
			if err := node.SetState(stateOf(bytes, n+1)); err != nil {
				b.Fatal(err)
			}
		}
		time.Sleep(time.Until(next))
		s.awaitObjects(b, nodes*(n+2))
	}
	values := s.measured(b)
	// What was alive at the end of the last garbage collection.
	heap := int(values["go_gc_heap_live_bytes"]) >> 20
	fmt.Printf("%d nodes of 1 MB flapped in %v, history limited to %s: %.0f changes came, %d MB were watched; server %d MB resident at most (%d before), heap %d MB, history %.0f MB, dropped %.0f times\n",
		nodes, time.Since(begin).Round(time.Second), limit, values[objects], watched.bytes.Load()>>20,
		memoryMB(b, s.server, "VmHWM:"), before, heap, values["nmstate_history_bytes"]/(1<<20), values["nmstate_history_dropped_total"])
	return heap
}

// objects counts what agents have sent.
const objects = `nmstate_agent_events_total{event="object"}`

// awaitObjects returns when agents have sent so many objects.
func (s *site) awaitObjects(b *testing.B, count int) {
	b.Helper()
	err := wait.PollUntilContextTimeout(b.Context(), time.Second/5, 5*time.Minute, true,
		func(context.Context) (bool, error) { return s.measured(b)[objects] >= float64(count), nil })
	if err != nil {
		b.Fatal(err)
	}
}

// watchAll watches all nodes, begins again when the watch ends, and counts the bytes.
func (s *site) watchAll(b *testing.B) *counter {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	b.Cleanup(func() { cancel(); watching.Wait() })
	var read counter
	watching.Go(func() {
		for ctx.Err() == nil {
			events, err := s.rest.Get().Resource("nodenetworkstates").
				VersionedParams(&metav1.ListOptions{Watch: true}, scheme.ParameterCodec).Stream(ctx)
			if err != nil {
				if ctx.Err() == nil {
					b.Error(err)
				}
				return
			}
			_, _ = io.Copy(&read, events)
			_ = events.Close()
		}
	})
	return &read
}

// counter counts what is written to it.
type counter struct{ bytes atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.bytes.Add(int64(len(p)))
	return len(p), nil
}

// measured returns the server's metrics.
func (s *site) measured(b *testing.B) map[string]float64 {
	b.Helper()
	text, err := s.rest.Get().AbsPath("/metrics").DoRaw(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = number
		}
	}
	return values
}
