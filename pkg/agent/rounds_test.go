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
	"errors"
	"sync"
	"testing"
)

func TestRoundsAreShared(t *testing.T) {
	entered, release := make(chan struct{}, 10), make(chan struct{})
	rounds := NewRounds(func() (bool, error) {
		entered <- struct{}{}
		<-release
		return true, nil
	})
	first := rounds.Join()
	<-entered
	next := rounds.Join()
	if next == first {
		t.Fatal("who comes while a round is under way shares it")
	}
	for range 100 {
		if rounds.Join() != next {
			t.Fatal("those that come while a round is under way do not share the next")
		}
	}
	select {
	case <-next.Done():
		t.Fatal("the next round has ended before it began")
	default:
	}
	close(release)
	<-first.Done()
	<-next.Done()
	if len(entered) != 1 {
		t.Errorf("%d further rounds were run, not 1", len(entered))
	}
	<-rounds.Join().Done()
}

func TestRoundsTellTheirErrors(t *testing.T) {
	failure := errors.New("failed")
	results := make(chan error, 2)
	results <- failure
	results <- nil
	rounds := NewRounds(func() (bool, error) {
		err := <-results
		return err == nil, err
	})
	for _, want := range []error{failure, nil} {
		round := rounds.Join()
		<-round.Done()
		if read, err := round.Result(); err != want || read != (want == nil) {
			t.Errorf("got %t, %v, not %t, %v", read, err, want == nil, want)
		}
	}
}

func TestRoundsStartAfterTheirCallersCame(t *testing.T) {
	var mu sync.Mutex
	now, seen := 0, 0
	rounds := NewRounds(func() (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		seen = now
		return true, nil
	})
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			for range 100 {
				mu.Lock()
				now++
				mine := now
				mu.Unlock()
				<-rounds.Join().Done()
				mu.Lock()
				if seen < mine {
					t.Errorf("a round of the state %d passed for a caller that came at %d", seen, mine)
				}
				mu.Unlock()
			}
		})
	}
	callers.Wait()
}
