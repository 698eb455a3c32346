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

// Package witness proves that nothing has changed since a node's network was read, so that a barrier need not read it again:
// that takes libnmstate about half a millisecond for each interface, and with NetworkManager many more.
//
// What libnmstate shows comes from the kernel, from NetworkManager, from Open vSwitch's database and from files. Each has a part
// of its own that proves that this source is as it was; docs/architecture.md says which section of a state comes from where.
package witness

import (
	"bytes"
	"context"
	"sync"
)

// part observes one source of what libnmstate shows.
type part interface {
	// observe returns what is the same as in an earlier call if nothing of the source has changed since that call began.
	observe(ctx context.Context) ([]byte, error)
	close()
}

// Source is where something that libnmstate shows comes from.
type Source int

// These are the sources.
const (
	// Kernel is what the kernel shows, by netlink and in its files.
	Kernel Source = iota
	// Files are those that libnmstate reads, of DNS, the hostname and dispatch scripts.
	Files
	// Database is Open vSwitch's.
	Database
	// Manager is NetworkManager.
	Manager

	sources
)

// WithoutManager are the sources of a read without NetworkManager, WithManager of one with it.
var (
	WithoutManager = []Source{Kernel, Files, Database}
	WithManager    = []Source{Kernel, Files, Database, Manager}
)

// Facts are what was observed at one moment, by source. A source that could not be observed has none.
type Facts [sources][]byte

// Witness compares what its parts observe.
type Witness struct {
	mu     sync.Mutex
	closed bool
	parts  [sources]part
	// manager is the part of NetworkManager.
	manager *manager
	// known are the facts right before the network was read last.
	known Facts
}

// New returns a witness of the network namespace that it is called in. bus reaches NetworkManager; readTells says that Applied is called
// after each read with it. tell is called whenever Open vSwitch's database has changed; it must return at once.
func New(bus Bus, readTells bool, tell func()) (*Witness, error) {
	kernel, err := newKernel()
	if err != nil {
		return nil, err
	}
	w := &Witness{manager: &manager{bus: bus, readTells: readTells}}
	w.parts = [sources]part{Kernel: kernel, Files: files{}, Database: &database{socket: ovsSocket, tell: tell}, Manager: w.manager}
	return w, nil
}

// Close ends it: from then on it proves nothing.
func (w *Witness) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, part := range w.parts {
		part.close()
	}
}

// Look observes sources.
func (w *Witness) Look(ctx context.Context, of []Source) (now Facts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return now
	}
	for _, source := range of {
		if facts, err := w.parts[source].observe(ctx); err == nil {
			now[source] = facts
		}
	}
	return now
}

// Proves tells whether what these facts say of sources is as it was when the network was read last.
func (w *Witness) Proves(now Facts, of []Source) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, source := range of {
		if now[source] == nil || !bytes.Equal(now[source], w.known[source]) {
			return false
		}
	}
	return true
}

// Begin says that the network is read from now on: what is read is at least as new as these facts.
func (w *Witness) Begin(now Facts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known = now
}

// Applied says which version of which profile NetworkManager's devices had applied, by object path, as the read that has begun was told;
// nil if it was told nothing. Until then that read proves nothing of NetworkManager where it has reported something since the read before.
func (w *Witness) Applied(versions map[string]uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[Manager] = w.manager.complete(w.known[Manager], versions)
}

// Forget says that the last read is not to be relied on.
func (w *Witness) Forget() { w.Begin(Facts{}) }
