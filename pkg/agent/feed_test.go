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

package agent

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// numbered returns an object that is told by its generation.
func numbered(n int64) *v1alpha1.NodeNetworkState {
	obj := &v1alpha1.NodeNetworkState{}
	obj.Generation = n
	return obj
}

func TestFeedDeliversInOrderAndCoalesces(t *testing.T) {
	feed := NewFeed()
	ctx, cancel := context.WithCancel(t.Context())
	entered, release := make(chan struct{}), make(chan struct{})
	var given []int64
	ended := make(chan error)
	go func() {
		ended <- feed.Watch(ctx, func(obj *v1alpha1.NodeNetworkState) {
			given = append(given, obj.Generation)
			if len(given) == 1 {
				close(entered)
				<-release
			}
		})
	}()
	feed.Publish(numbered(1))
	<-entered
	for n := range int64(10) {
		feed.Publish(numbered(n + 2))
	}
	close(release)
	if err := feed.Settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended with %v", err)
	}
	if len(given) != 2 || given[0] != 1 || given[1] != 11 {
		t.Errorf("the watch was given %v, not the first and the last", given)
	}
	if feed.Last().Generation != 11 {
		t.Errorf("the last one is %d", feed.Last().Generation)
	}
}

func TestFeedSettlesWithoutThoseThatLeft(t *testing.T) {
	feed := NewFeed()
	feed.Publish(numbered(1))
	ctx, cancel := context.WithCancel(t.Context())
	entered, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error)
	go func() {
		ended <- feed.Watch(ctx, func(*v1alpha1.NodeNetworkState) {
			close(entered)
			<-release
		})
	}()
	<-entered
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := feed.Settled(stopped); !errors.Is(err, context.Canceled) {
		t.Errorf("Settled ended with %v while a watch is behind", err)
	}
	settled := make(chan error)
	go func() { settled <- feed.Settled(t.Context()) }()
	cancel()
	close(release)
	<-ended
	if err := <-settled; err != nil {
		t.Errorf("Settled: %v", err)
	}
}

func TestFeedSettlesManyWatches(t *testing.T) {
	feed := NewFeed()
	feed.Publish(numbered(0))
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	given := map[int]int64{}
	var watches sync.WaitGroup
	for w := range 10 {
		first := make(chan struct{})
		once := sync.OnceFunc(func() { close(first) })
		watches.Go(func() {
			_ = feed.Watch(ctx, func(obj *v1alpha1.NodeNetworkState) {
				mu.Lock()
				given[w] = obj.Generation
				mu.Unlock()
				once()
			})
		})
		<-first
	}
	for n := range int64(100) {
		feed.Publish(numbered(n))
		if err := feed.Settled(t.Context()); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		for w, got := range given {
			if got != n {
				t.Fatalf("watch %d has %d, not %d", w, got, n)
			}
		}
		mu.Unlock()
	}
	cancel()
	watches.Wait()
}
