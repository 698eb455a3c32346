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

package host

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

const (
	// debounce is how long events are gathered before the network is read:
	// they come in swarms.
	debounce = 50 * time.Millisecond
	// breath is how long events are left to gather on the socket: a link that flaps makes thousands a second.
	breath = 2 * time.Millisecond
	// lull is how long there must be no event until a swarm is taken for over, while a change is being applied.
	lull = 10 * time.Millisecond
	// After sendBurst reads in a row there is one a sendInterval: what the
	// server remembers is the state's size times the changes of the last 90 s.
	sendBurst    = 4
	sendInterval = time.Second
	// A network that changes all the time costs less than a tenth of a core: there is no other read by itself for so many times the
	// processor time that the last one took. To hear of changes, and to send what was read, takes a tenth of that.
	readRest = 16
)

// rereads are the pauses before the network is read again that could not be read: NetworkManager may have been away, and the
// kernel need not report that it is back.
var rereads = wait.Backoff{Duration: time.Second, Factor: 2, Steps: 10, Cap: 30 * time.Second}

// listen sends something to events whenever the kernel reports a change, until ctx ends and reports is closed. What changed does not
// matter: all is read anyway. While nobody takes what it sends, reports gather on the socket, and cost nothing.
func listen(ctx context.Context, reports *rtnetlink.Events, events chan<- struct{}) error {
	for {
		err := reports.Wait()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("receiving the kernel's network events: %w", err)
		}
		select {
		case events <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-time.After(breath):
		case <-ctx.Done():
		}
	}
}

// put puts something into a channel that has room for one, unless something is there.
func put(into chan<- struct{}) {
	select {
	case into <- struct{}{}:
	default:
	}
}

// follow reads the network after events, and again if it could not be read, until ctx ends.
func (h *Host) follow(ctx context.Context, reports *rtnetlink.Events) error {
	limit := rate.NewLimiter(rate.Every(sendInterval), sendBurst)
	pauses := rereads
	for {
		var again <-chan time.Time
		if h.isUnread() {
			again = time.After(pauses.Step())
		} else {
			pauses = rereads
		}
		select {
		case <-h.events:
		case <-h.reports:
			if h.applying() != nil {
				continue // the kernel's events tell better when it is over
			}
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		}
		change := h.applying()
		if err := h.gather(ctx, change); err != nil {
			return err
		}
		if change == nil || h.hasRead(change) {
			if err := limit.Wait(ctx); err != nil {
				return err
			}
		}
		if err := h.covered(ctx, reports); err != nil {
			return err
		}
		before := processorTime()
		if err := h.round(ctx); err != nil {
			return err
		}
		limit.SetLimit(paceAfter(processorTime() - before))
	}
}

// covered takes the events until now: the read that follows covers them.
func (h *Host) covered(ctx context.Context, reports *rtnetlink.Events) error {
	select {
	case <-h.events:
	default:
	}
	if err := reports.Drop(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("receiving the kernel's network events: %w", err)
	}
	return nil
}

// paceAfter returns how often the network is read by itself while it changes all the time, when a read took so much of the processor.
func paceAfter(read time.Duration) rate.Limit {
	return rate.Every(max(sendInterval, readRest*read))
}

// processorTime is what this process has had of the processors, in user and system mode.
func processorTime() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0 // there is no such error
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// isUnread tells whether the network could not be read the last time.
func (h *Host) isUnread() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.view.readError != ""
}

// gather waits until a swarm of events is over. While a change is being applied, the network is read soon: if nothing happens any
// more, the change need not wait for another read.
func (h *Host) gather(ctx context.Context, change *underWay) error {
	least := debounce
	if change != nil {
		least = lull
	}
	for most := time.After(debounce); ; {
		select {
		case <-h.events:
		case <-time.After(least):
			return nil
		case <-most:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// applying returns the change that is being applied, or that was applied and is not decided yet; nil if there is none.
func (h *Host) applying() *underWay {
	h.mu.Lock()
	defer h.mu.Unlock()
	if change := h.view.change; change != nil && change.turns() {
		return change
	}
	return nil
}

// hasRead tells whether the network was read since the change has begun to be applied.
func (h *Host) hasRead(change *underWay) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return change.read
}
