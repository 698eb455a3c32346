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
	"sync"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Feed delivers an object that changes to any number of watches, as the
// contract of Agent.Watch says: in order, and coalesced while deliver runs.
type Feed struct {
	mu      sync.Mutex
	object  *v1alpha1.NodeNetworkState
	version uint64
	watches map[*feedWatch]struct{}
	// moved is closed, and replaced, whenever something above changes.
	moved chan struct{}
}

// feedWatch is one Watch and the version that it was given last.
type feedWatch struct{ delivered uint64 }

// NewFeed returns a Feed that has no object yet.
func NewFeed() *Feed {
	return &Feed{watches: map[*feedWatch]struct{}{}, moved: make(chan struct{})}
}

// Publish makes obj the object that is delivered. Nobody may change it any more.
func (f *Feed) Publish(obj *v1alpha1.NodeNetworkState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.object = obj
	f.version++
	f.wake()
}

// Last returns what was published last, nil if nothing was.
func (f *Feed) Last() *v1alpha1.NodeNetworkState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.object
}

// Watch delivers the object, as soon as there is one, and then again whenever
// one was published, until ctx ends; it returns ctx's error.
func (f *Feed) Watch(ctx context.Context, deliver func(*v1alpha1.NodeNetworkState)) error {
	w := &feedWatch{}
	f.mu.Lock()
	f.watches[w] = struct{}{}
	f.mu.Unlock()
	defer f.leave(w)
	for ctx.Err() == nil {
		f.mu.Lock()
		object, version, moved := f.object, f.version, f.moved
		f.mu.Unlock()
		if version > w.delivered {
			deliver(object)
			f.mark(w, version)
			continue
		}
		select {
		case <-moved:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// Settled returns once every Watch that is there now was given what is
// published now, or something newer, or has ended.
func (f *Feed) Settled(ctx context.Context) error {
	f.mu.Lock()
	version := f.version
	behind := make([]*feedWatch, 0, len(f.watches))
	for w := range f.watches {
		behind = append(behind, w)
	}
	for f.anyBehind(behind, version) {
		moved := f.moved
		f.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
		f.mu.Lock()
	}
	f.mu.Unlock()
	return nil
}

func (f *Feed) anyBehind(watches []*feedWatch, version uint64) bool {
	for _, w := range watches {
		if _, there := f.watches[w]; there && w.delivered < version {
			return true
		}
	}
	return false
}

func (f *Feed) mark(w *feedWatch, version uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.delivered = version
	f.wake()
}

func (f *Feed) leave(w *feedWatch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.watches, w)
	f.wake()
}

func (f *Feed) wake() {
	close(f.moved)
	f.moved = make(chan struct{})
}
