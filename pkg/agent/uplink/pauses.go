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

package uplink

import (
	"math"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/util/wait"
)

// lasting is how long a stream lasts that was worth its while. A stream that fails
// because of what one side sends fails within the seconds in which the first object is
// read, sent and decoded. A server that takes over stays for longer.
const lasting = 10 * time.Second

// pauses says how long to wait before each attempt to connect.
type pauses struct {
	config Config
	// unanswered is for attempts that got no Welcome. While one server takes over
	// from another nobody is to wait long for the agents.
	unanswered wait.Backoff
	// shortLived is for streams that ended soon after the Welcome. Whatever is wrong, agent and
	// server have a moment's work with each such stream, and it goes on until somebody mends it.
	shortLived wait.Backoff
}

func newPauses(config Config) *pauses {
	return &pauses{
		config:     config,
		unanswered: growing(config.BackoffMin, config.BackoffMax),
		shortLived: growing(config.BackoffMin, config.BackoffShortLived),
	}
}

// growing returns pauses that double from first to most. Up to half of each is left to
// chance, so that agents that lost their server together do not come back together.
func growing(first, most time.Duration) wait.Backoff {
	return wait.Backoff{Duration: first / 2, Factor: 2, Jitter: 1, Steps: math.MaxInt, Cap: most / 2}
}

// next returns how long to wait before the next attempt, after a stream that ended with
// err and that served for so long, 0 if there was no Welcome. The pauses begin anew
// after a stream that lasted. An agent whose place another one has taken waits longer
// each time, however long it had served, or the two would do nothing else.
func (p *pauses) next(served time.Duration, err error) time.Duration {
	if served > 0 {
		p.unanswered = growing(p.config.BackoffMin, p.config.BackoffMax)
	}
	replaced := status.Code(err) == codes.Aborted
	if served >= lasting && !replaced {
		p.shortLived = growing(p.config.BackoffMin, p.config.BackoffShortLived)
	}
	pause := &p.unanswered
	if served > 0 && (served < lasting || replaced) {
		pause = &p.shortLived
	}
	wanted := pause.Step()
	if refused(err) {
		return max(wanted, wait.Jitter(p.config.BackoffRefused/2, 1))
	}
	return wanted
}

// refused tells whether trying again is of no use until somebody has done something.
func refused(err error) bool {
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied, codes.InvalidArgument:
		return true
	}
	return false
}
