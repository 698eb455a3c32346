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

import "sync"

// Rounds lets any number of callers share the runs of one function. A caller
// that comes while it runs shares the next run, which starts as soon as this one
// has ended: what a caller joins always starts after it came.
type Rounds struct {
	run func() error

	mu      sync.Mutex
	running bool
	next    *Round
}

// Round is one run of the function.
type Round struct {
	done chan struct{}
	err  error
}

// NewRounds returns Rounds of the given function.
func NewRounds(run func() error) *Rounds { return &Rounds{run: run} }

// Join returns the round that starts next, at once if none is under way. It
// does not wait.
func (r *Rounds) Join() *Round {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil {
		return r.next
	}
	round := &Round{done: make(chan struct{})}
	if r.running {
		r.next = round
		return round
	}
	r.running = true
	go r.start(round)
	return round
}

// start runs a round, and after it those that were joined meanwhile.
func (r *Rounds) start(round *Round) {
	for round != nil {
		round.err = r.run()
		close(round.done)
		r.mu.Lock()
		round, r.next = r.next, nil
		r.running = round != nil
		r.mu.Unlock()
	}
}

// Done is closed when the round has ended.
func (r *Round) Done() <-chan struct{} { return r.done }

// Err returns what the function returned. It may be called once Done is closed.
func (r *Round) Err() error { return r.err }
