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

package fleet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"k8s.io/utils/lru"
)

// errPushedOut is what a stream ends with that is not admitted yet and has to make
// room for a newer one.
var errPushedOut = status.Error(codes.ResourceExhausted,
	"too many agents are connecting at once, and most of them as this one or from its address: try again")

// crowd bounds how many streams, or connections, are there that are not admitted yet.
// Each has an owner: the address it comes from, or who its agent is. In a full crowd a newcomer
// takes the place of the oldest stream of the owner who has most, so that no owner
// can keep others out.
type crowd struct {
	places int

	mu sync.Mutex
	// came counts the streams that have ever entered, present those that are there.
	came    uint64
	present int
	// waiting are the streams of each owner, the oldest first.
	waiting map[string][]*waiter
}

// waiter is one stream in a crowd.
type waiter struct {
	// number tells who came first.
	number uint64
	out    context.CancelCauseFunc
}

func newCrowd(places int) *crowd { return &crowd{places: places, waiting: map[string][]*waiter{}} }

// enter takes a place for a stream of the owner until leave is called. The context
// ends, because of errPushedOut, when another stream takes the place.
func (c *crowd) enter(ctx context.Context, owner string) (inside context.Context, leave func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.came++
	w := &waiter{number: c.came, out: cancel}
	c.waiting[owner] = append(c.waiting[owner], w)
	c.present++
	if c.present > c.places {
		c.pushOut()
	}
	return ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.remove(owner, w)
		cancel(nil)
	}
}

// pushOut takes the place of the oldest stream of the owner who has most; among
// several owners, of the one whose oldest stream came first. The caller holds the lock.
func (c *crowd) pushOut() {
	var owner string
	var most []*waiter
	for name, all := range c.waiting {
		if len(all) > len(most) || len(all) == len(most) && all[0].number < most[0].number {
			owner, most = name, all
		}
	}
	oldest := most[0]
	c.remove(owner, oldest)
	oldest.out(errPushedOut)
}

// remove takes a stream out of the crowd, if it is there. The caller holds the lock.
func (c *crowd) remove(owner string, w *waiter) {
	all := c.waiting[owner]
	for i, there := range all {
		if there != w {
			continue
		}
		c.present--
		if len(all) == 1 {
			delete(c.waiting, owner)
		} else {
			c.waiting[owner] = append(all[:i:i], all[i+1:]...)
		}
		return
	}
}

// pushedOut returns errPushedOut if that is why ctx has ended, and else err.
func pushedOut(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errPushedOut) {
		return cause
	}
	return err
}

const (
	// authentications is how many agents from one address are authenticated in a
	// second, which may take a request to the cluster each.
	authentications = 100
	// maxSources is how many addresses are told apart that agents came from last.
	maxSources = 4096
)

// attempts bounds how often agents from one address are authenticated.
type attempts struct {
	burst int

	mu      sync.Mutex
	sources *lru.Cache
}

func newAttempts(burst int) *attempts { return &attempts{burst: burst, sources: lru.New(maxSources)} }

// wait returns once an agent from the address may be authenticated. The error says
// that it may not before ctx ends. Who waits has reserved nothing: of a thousand agents that come at
// once most are pushed out, and what they had reserved would be lost for those who stay.
func (a *attempts) wait(ctx context.Context, source string) error {
	for {
		delay := a.try(source)
		if delay == 0 {
			return nil
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return pushedOut(ctx, status.Error(codes.ResourceExhausted, "too many agents connect from this address: try again"))
		}
	}
}

// try counts an attempt from the address if there may be one now; else it returns when there may be.
func (a *attempts) try(source string) (delay time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, ok := a.sources.Get(source)
	if !ok {
		known = rate.NewLimiter(authentications, a.burst)
		a.sources.Add(source, known)
	}
	reserved := known.(*rate.Limiter).Reserve()
	if delay = reserved.Delay(); delay > 0 {
		reserved.Cancel()
	}
	return delay
}

// sourceOf returns the address that a stream comes from; see addressOf.
func sourceOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	return addressOf(p.Addr)
}

// addressOf returns an address without its port: of IPv6 the network of 64 bits, in
// which one host can have as many addresses as it likes.
func addressOf(remote net.Addr) string {
	address, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return remote.String()
	}
	source := address.Addr().Unmap()
	if source.Is6() {
		return netip.PrefixFrom(source, 64).Masked().String()
	}
	return source.String()
}
