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

// Rounds lets any number of callers share the runs of a function that reads. A
// caller that comes while it runs shares the next run: what a caller joins always
// begins after it came.
type Rounds struct {
	run func() (read bool, err error)

	mu sync.Mutex
	// running tells whether a goroutine is at the rounds.
	running bool
	// next is the round that has callers and has not begun; nil if there is none.
	next *Round
}

// Round is one run of the function.
type Round struct {
	done chan struct{}
	read bool
	err  error
}

// NewRounds returns Rounds of the given function, which tells whether it really
// had to read.
func NewRounds(run func() (read bool, err error)) *Rounds { return &Rounds{run: run} }

// Join returns the round that begins next, at once if none is under way. It does
// not wait.
func (r *Rounds) Join() *Round {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = &Round{done: make(chan struct{})}
	}
	if !r.running {
		r.running = true
		go r.loop()
	}
	return r.next
}

// loop runs rounds for as long as there are callers.
func (r *Rounds) loop() {
	for {
		r.mu.Lock()
		round := r.next
		r.next = nil
		r.mu.Unlock()
		round.read, round.err = r.run()
		close(round.done)
		r.mu.Lock()
		if r.next == nil {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
	}
}

// Done is closed when the round has ended.
func (r *Round) Done() <-chan struct{} { return r.done }

// Result returns what the function returned. It may be called once Done is closed.
func (r *Round) Result() (read bool, err error) { return r.read, r.err }
