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
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stamp is a text in a state that says when it was made: a mark and 17 digits of microseconds.
var stamp = regexp.MustCompile(`at-([0-9]{17})`)

// stamped returns a stamp of now.
func stamped() string { return fmt.Sprintf("at-%017d", time.Now().UnixMicro()) }

// resourceVersion is where an object's own, or a list's, is in a text.
var resourceVersion = regexp.MustCompile(`"resourceVersion":"([0-9]+)"`)

// watching are clients that watch all nodes, each over connections of its own, as informers do.
type watching struct {
	*meter
	// from is the revision from which they begin.
	from string
	// events counts those that came, last is when the last one did, again counts watches that had to begin again because they had ended,
	// and lists those that had to list first.
	events, last, again, lists atomic.Int64

	mu    sync.Mutex
	times samples
}

// now returns the revision of the resource.
func (s *subject) now(ctx context.Context, client *http.Client) (string, error) {
	response, err := s.open(ctx, client, "?limit=1", asJSON)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var list metav1.PartialObjectMetadataList
	err = json.NewDecoder(response.Body).Decode(&list)
	return list.ResourceVersion, err
}

// watch is one client.
func (w *watching) watch(ctx context.Context, client *http.Client) {
	for from := w.from; ctx.Err() == nil; w.again.Add(1) {
		response, err := w.s.open(ctx, client, "?watch=1&resourceVersion="+from, asJSON)
		if err == nil {
			from = w.follow(bufio.NewReaderSize(response.Body, longestEvent), from)
			response.Body.Close()
		}
		if from == "" || err != nil {
			w.lists.Add(1)
			if from, err = w.s.now(ctx, client); err != nil {
				time.Sleep(100 * time.Millisecond)
			}
		}
	}
}

// longestEvent is more bytes than an event has: a state has 20 kB.
const longestEvent = 128 << 10

// follow reads the events of a watch until it ends; it returns the revision of the last one, nothing if that is too old. It does not copy
// them, for clients share the machine with the server.
func (w *watching) follow(events *bufio.Reader, from string) string {
	for {
		line, err := events.ReadSlice('\n')
		if err != nil {
			return from
		}
		w.bytes.Add(int64(len(line)))
		if bytes.HasPrefix(line, []byte(`{"type":"ERROR"`)) {
			return ""
		}
		if found := resourceVersion.FindSubmatch(line); found != nil {
			from = string(found[1])
		}
		found := stamp.FindSubmatch(line)
		if found == nil || !bytes.HasPrefix(line, []byte(`{"type":"MODIFIED"`)) {
			continue
		}
		micros, err := strconv.ParseInt(string(found[1]), 10, 64)
		if err != nil {
			return from
		}
		changed := time.UnixMicro(micros)
		if changed.Before(w.begin) {
			continue // the state is as before: it is the node that is shown otherwise
		}
		w.mu.Lock()
		w.times = append(w.times, time.Since(changed))
		w.mu.Unlock()
		w.events.Add(1)
		w.last.Store(time.Now().UnixNano())
	}
}

// awaitStill returns once nodes do not change any more, and the revision then: agents that had no processor time while many informers
// listed have lost the server, and join again.
func (s *subject) awaitStill(b *testing.B) (revision string) {
	b.Helper()
	client := s.client(b)
	pollLong(b, "the nodes go on changing", func(ctx context.Context) bool {
		before, err1 := s.now(ctx, client)
		if revision = before; s.form == stored { // its revision is that of all objects in etcd
			return err1 == nil
		}
		time.Sleep(quiet)
		now, err2 := s.now(ctx, client)
		return err1 == nil && err2 == nil && before == now
	})
	return revision
}

// measureWatch measures watches while a share of the nodes changes each second.
func (s *subject) measureWatch(b *testing.B, nodes int, share float64) {
	ctx, cancel := context.WithCancel(b.Context())
	from := s.awaitStill(b)
	w := &watching{meter: s.meter(b, nodes, fmt.Sprintf("WATCH by %d, %.0f %% of the nodes change each second", clientsAtOnce, 100*share)), from: from}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		b.Fatal(err)
	}
	own := processorTicks(b, self)
	var all sync.WaitGroup
	for range clientsAtOnce {
		client := s.client(b)
		all.Go(func() { w.watch(ctx, client) })
	}
	changes := s.changeNodes(b, nodes, share)
	w.awaitQuiet(int64(changes * clientsAtOnce))
	w.stop()
	own = processorTicks(b, self) - own
	again, lists := w.again.Load(), w.lists.Load()
	cancel()
	all.Wait()
	note := fmt.Sprintf("%d changes in %v, %.0f %% of the events were delivered; %d watches began again, %d of them with a list; "+
		"agents and clients took %v of processor time for each change", changes, changing,
		100*float64(w.events.Load())/float64(changes*clientsAtOnce), again, lists, time.Duration(own)*tick/time.Duration(max(changes, 1)))
	w.keep(max(changes, 1), w.times, note)
}

// quiet is how long no event comes when all have come; patience is how long they are waited for.
const quiet, patience = 3 * time.Second, time.Minute

// awaitQuiet returns when so many events have come, or when none come any more.
func (w *watching) awaitQuiet(want int64) {
	w.last.Store(time.Now().UnixNano())
	for begin := time.Now(); w.events.Load() < want && time.Since(begin) < patience && time.Since(time.Unix(0, w.last.Load())) < quiet; {
		time.Sleep(50 * time.Millisecond)
	}
}

// changers is how many nodes change at the same time.
const changers = 8

// changeNodes has a share of the nodes change each second, for a while, and returns how many changes that were.
func (s *subject) changeNodes(b *testing.B, nodes int, share float64) int {
	perSecond := max(1, int(share*float64(nodes)))
	due := make(chan int)
	var all sync.WaitGroup
	var made atomic.Int64
	var failed atomic.Pointer[error]
	for range changers {
		all.Go(func() {
			for node := range due {
				if err := s.change(b.Context(), node, s.state(node, stamped())); err != nil {
					failed.Store(&err)
					continue
				}
				made.Add(1)
			}
		})
	}
	begin := time.Now()
	interval := time.Second / time.Duration(perSecond)
	for i := 0; time.Since(begin) < changing; i++ {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * interval)))
		due <- i % nodes
	}
	close(due)
	all.Wait()
	if err := failed.Load(); err != nil {
		b.Error(*err)
	}
	return int(made.Load())
}
