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
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

var _ resourcelock.Interface = &candidate{}

// expiryMargin is added to the time at which the holder's lease expires. client-go
// begins to count a moment later, and would not take the Lease yet.
const expiryMargin = 50 * time.Millisecond

// candidate is one candidacy: from the start of Run to the loss of the Lease. It
// implements the lock that client-go works on, so it sees each of client-go's
// requests.
type candidate struct {
	*resourcelock.LeaseLock
	election *Election
	// elected is closed when the Lease is this server's.
	elected chan struct{}
	// tenure ends when the Lease is lost; its cause says why. It never begins again,
	// although client-go would take the Lease again after another server had it.
	tenure context.Context
	end    context.CancelCauseFunc
	// check has an entry when the Lease may differ from what this server wrote.
	check chan struct{}

	mu sync.Mutex
	// retry ends client-go's attempt under way, so that the next one begins at once.
	retry context.CancelFunc
	// busy is true while a request is under way. again is true if the Lease has
	// changed since that request began.
	busy, again bool
	held        bool
	closed      bool
	seen        string
	// blind counts the failed reads.
	blind  int
	expiry *time.Timer
	fence  *time.Timer
	// proposed is the term that this server tries to record.
	proposed uint64
}

func newCandidate(ctx context.Context, e *Election) *candidate {
	c := &candidate{
		LeaseLock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: e.config.Namespace, Name: e.config.Name},
			Client:     e.config.Client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: e.identity},
		},
		election: e,
		elected:  make(chan struct{}),
		check:    make(chan struct{}, 1),
		retry:    func() {},
	}
	c.tenure, c.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return c
}

func (c *candidate) leases() coordinationclient.LeaseInterface {
	return c.election.config.Client.CoordinationV1().Leases(c.election.config.Namespace)
}

// lose ends the tenure; the first reason counts.
func (c *candidate) lose(reason error) { c.end(fmt.Errorf("%w: %w", ErrLost, reason)) }

func (c *candidate) elector() (*leaderelection.LeaderElector, error) {
	return leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:          c,
		LeaseDuration: leaseDuration,
		RenewDeadline: renewDeadline,
		RetryPeriod:   retryPeriod,
		Name:          c.election.config.Name,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(c.elected) },
			OnStoppedLeading: func() {},
		},
	})
}

// campaign tries to get the Lease and then keeps it, until ctx ends or the Lease is
// lost. wake may end an attempt; then the next one begins. All attempts use the
// same elector, because the elector remembers since when it has known the
// holder's record.
func (c *candidate) campaign(ctx context.Context, elector *leaderelection.LeaderElector) {
	// client-go logs a line for each attempt and for each renewal.
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).V(4))
	for ctx.Err() == nil {
		attempt, cancel := context.WithCancel(ctx)
		c.mu.Lock()
		c.retry = cancel
		c.mu.Unlock()
		elector.Run(attempt)
		cancel()
		if c.isHeld() {
			if ctx.Err() == nil {
				c.lose(fmt.Errorf("it could not be renewed in %s", renewDeadline))
			}
			return
		}
	}
}

func (c *candidate) isHeld() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// wake makes a standby try again at once. It ends neither an attempt that has
// succeeded nor one whose request is still under way.
func (c *candidate) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.held:
	case c.busy:
		c.again = true
	default:
		c.retry()
	}
}

// Get implements resourcelock.Interface. client-go takes the Lease when the record
// has not changed for the lease's duration. During an outage of the Kubernetes API
// nobody can renew, so that time must not count: after each failed read Get
// appends a blank to the record, and client-go begins to count anew. Without this
// the standby would take the Lease after an outage before the active server could
// renew it.
func (c *candidate) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	c.mu.Lock()
	c.busy = true
	c.mu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	record, raw, err := c.LeaseLock.Get(bounded)

	c.mu.Lock()
	defer c.mu.Unlock()
	own := err == nil && record.HolderIdentity == c.Identity()
	if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
		c.blind++
	}
	raw = append(raw, bytes.Repeat([]byte(" "), c.blind)...)
	if c.held && err == nil && !own {
		c.lose(heldBy(record.HolderIdentity))
	}
	// client-go writes next if the Lease is free or this server's.
	c.busy = own || apierrors.IsNotFound(err) || err == nil && record.HolderIdentity == ""
	if !c.busy {
		c.tryAgain()
		if err == nil && string(raw) != c.seen {
			c.seen = string(raw)
			c.expect(time.Duration(record.LeaseDurationSeconds) * time.Second)
		}
	}
	return record, raw, err
}

// expect wakes the standby when the lease that it has just read expires.
func (c *candidate) expect(end time.Duration) {
	if c.expiry != nil {
		c.expiry.Stop()
	}
	if !c.closed {
		c.expiry = time.AfterFunc(end+expiryMargin, c.wake)
	}
}

func (c *candidate) tryAgain() {
	if c.again && !c.held {
		c.retry()
	}
	c.again = false
}

// Create implements resourcelock.Interface.
func (c *candidate) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return c.write(ctx, record, c.LeaseLock.Create)
}

// Update implements resourcelock.Interface.
func (c *candidate) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return c.write(ctx, record, c.LeaseLock.Update)
}

// write takes or renews the Lease by put, unless the attempt or the tenure has
// ended.
func (c *candidate) write(
	ctx context.Context, record resourcelock.LeaderElectionRecord,
	put func(context.Context, resourcelock.LeaderElectionRecord) error,
) error {
	start := time.Now()
	c.mu.Lock()
	err := errors.Join(ctx.Err(), context.Cause(c.tenure))
	c.busy = err == nil
	c.mu.Unlock()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err = put(ctx, record)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	if err == nil {
		c.held = true
		c.setFence(start.Add(fenceAfter))
	}
	c.tryAgain()
	return err
}

// setFence ends the tenure at end, unless setFence is called again before.
func (c *candidate) setFence(end time.Time) {
	if c.fence != nil {
		c.fence.Stop()
	}
	if !c.closed {
		c.fence = time.AfterFunc(time.Until(end), func() { c.lose(fmt.Errorf("the last renewal is %s old", fenceAfter)) })
	}
}

// close stops the timers.
func (c *candidate) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, timer := range []*time.Timer{c.expiry, c.fence} {
		if timer != nil {
			timer.Stop()
		}
	}
}

// release gives the Lease up if this server holds it, so that a standby need not
// wait until it expires. It reads the Lease first: a request whose answer was not
// awaited may have taken it.
func (c *candidate) release(ctx context.Context) {
	logger := klog.FromContext(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	err := insist(ctx, func(ctx context.Context) error {
		record, _, err := c.LeaseLock.Get(ctx)
		if apierrors.IsNotFound(err) || err == nil && record.HolderIdentity != c.Identity() {
			return nil
		}
		if err != nil {
			return err
		}
		now := metav1.Now()
		return c.LeaseLock.Update(ctx, resourcelock.LeaderElectionRecord{
			LeaderTransitions:    record.LeaderTransitions,
			LeaseDurationSeconds: 1,
			AcquireTime:          now,
			RenewTime:            now,
		})
	})
	if err != nil {
		logger.Error(err, "The lease is not released; it expires by itself", "lease", c.Describe())
	}
}

func heldBy(identity string) error {
	if identity == "" {
		return errors.New("its holder was removed")
	}
	return fmt.Errorf("it is held by %s", identity)
}
