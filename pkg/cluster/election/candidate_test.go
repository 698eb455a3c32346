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

package election

import (
	"context"
	"errors"
	"testing"

	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// TestWakeSparesSuccess: an attempt is not ended while its request may succeed,
// nor once it has.
func TestWakeSparesSuccess(t *testing.T) {
	failed := errors.New("failed")
	for name, outcome := range map[string]error{"success": nil, "failure": failed} {
		t.Run(name, func(t *testing.T) {
			c := newCandidate(t.Context(), New(Config{Client: newAPI().client(), Namespace: namespace, PodName: "a"}))
			defer c.close()
			attempt, cancel := context.WithCancel(t.Context())
			c.retry = cancel
			err := c.write(attempt, resourcelock.LeaderElectionRecord{}, func(ctx context.Context, _ resourcelock.LeaderElectionRecord) error {
				c.wake()
				if ctx.Err() != nil {
					t.Error("the request under way is cancelled")
				}
				return outcome
			})
			if !errors.Is(err, outcome) {
				t.Errorf("write: %v", err)
			}
			c.wake()
			if ended := attempt.Err() != nil; ended != (outcome != nil) {
				t.Errorf("the attempt has ended: %t", ended)
			}
		})
	}
}

// TestWakeBetweenReadAndWrite: the two belong together when the Lease is free.
func TestWakeBetweenReadAndWrite(t *testing.T) {
	c := newCandidate(t.Context(), New(Config{Client: newAPI().client(), Namespace: namespace, PodName: "a"}))
	defer c.close()
	attempt, cancel := context.WithCancel(t.Context())
	c.retry = cancel
	if _, _, err := c.Get(attempt); err == nil {
		t.Fatal("there is a lease")
	}
	c.wake()
	if err := c.Create(attempt, resourcelock.LeaderElectionRecord{HolderIdentity: "a"}); err != nil {
		t.Fatal(err)
	}
	c.wake()
	if attempt.Err() != nil || !c.isHeld() {
		t.Errorf("the attempt: %v; held: %t", attempt.Err(), c.isHeld())
	}
}

// TestWakeDuringRead: what it finds may be outdated, so another attempt follows,
// but not before this one has tried to get a Lease that is free or its own.
func TestWakeDuringRead(t *testing.T) {
	for holder, want := range map[string]bool{"b": true, "": false, "a": false} {
		t.Run("held by "+holder, func(t *testing.T) {
			shared := newAPI()
			admin{t, shared.client()}.setLease(hold(holder))
			client := shared.client()
			c := newCandidate(t.Context(), New(Config{Client: client, Namespace: namespace, PodName: "a"}))
			defer c.close()
			attempt, cancel := context.WithCancel(t.Context())
			c.retry = cancel
			client.intercept(func(clienttesting.Action) error {
				c.wake()
				return attempt.Err()
			})
			if _, _, err := c.Get(attempt); err != nil {
				t.Fatal(err)
			}
			if ended := attempt.Err() != nil; ended != want {
				t.Errorf("the attempt has ended: %t", ended)
			}
		})
	}
}

// TestNoWriteAfterTheEnd: neither an attempt that was ended nor a tenure that is
// lost takes the Lease.
func TestNoWriteAfterTheEnd(t *testing.T) {
	put := func(context.Context, resourcelock.LeaderElectionRecord) error {
		t.Error("the lease is written")
		return nil
	}
	c := newCandidate(t.Context(), New(Config{Client: newAPI().client(), Namespace: namespace, PodName: "a"}))
	defer c.close()
	attempt, cancel := context.WithCancel(t.Context())
	c.retry = cancel
	c.wake()
	if err := c.write(attempt, resourcelock.LeaderElectionRecord{}, put); !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v", err)
	}
	c.lose(heldBy("b"))
	if err := c.write(t.Context(), resourcelock.LeaderElectionRecord{}, put); !errors.Is(err, ErrLost) {
		t.Errorf("write: %v", err)
	}
}
