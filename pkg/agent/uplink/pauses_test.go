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
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// attempt is how an attempt ended, and what the pause after it is at most. At least it is half of that.
type attempt struct {
	served time.Duration
	err    error
	want   time.Duration
}

func TestPauses(t *testing.T) {
	lost, denied := status.Error(codes.Unavailable, "lost"), status.Error(codes.PermissionDenied, "denied")
	invalid, replaced := status.Error(codes.InvalidArgument, "invalid"), status.Error(codes.Aborted, "replaced")
	const ms = time.Millisecond
	for what, attempts := range map[string][]attempt{
		"without an answer they grow, up to what a takeover can bear": {
			{0, lost, 200 * ms}, {0, lost, 400 * ms}, {0, lost, 800 * ms}, {0, lost, 1600 * ms}, {0, lost, 2000 * ms}, {0, lost, 2000 * ms},
		},
		"a Welcome begins anew": {
			{0, lost, 200 * ms}, {0, lost, 400 * ms}, {time.Second, lost, 200 * ms}, {0, lost, 200 * ms}, {0, lost, 400 * ms},
		},
		"after a stream that lasted they are short": {
			{time.Hour, lost, 200 * ms}, {lasting, lost, 200 * ms}, {time.Minute, lost, 200 * ms},
		},
		"after short-lived streams they grow, whatever ended them": {
			{300 * ms, lost, 200 * ms}, {500 * ms, replaced, 400 * ms}, {9 * time.Second, lost, 800 * ms}, {0, lost, 200 * ms},
			{time.Second, lost, 1600 * ms}, {time.Second, lost, 3200 * ms}, {time.Second, lost, 6400 * ms}, {time.Second, lost, 12800 * ms},
			{time.Second, lost, 25600 * ms}, {time.Second, lost, 51200 * ms}, {time.Second, lost, time.Minute}, {time.Second, lost, time.Minute},
			{time.Hour, lost, 200 * ms}, {time.Second, lost, 200 * ms},
		},
		"a replaced agent comes back more and more slowly": {
			{time.Hour, replaced, 200 * ms}, {time.Hour, replaced, 400 * ms}, {time.Hour, replaced, 800 * ms}, {time.Hour, lost, 200 * ms},
			{time.Hour, replaced, 200 * ms},
		},
		"a refusal takes its time": {
			{0, denied, 5 * time.Second}, {0, denied, 5 * time.Second}, {time.Hour, denied, 5 * time.Second},
		},
	} {
		pauses := newPauses(New(Config{}).config)
		for i, attempt := range attempts {
			got := pauses.next(attempt.served, attempt.err)
			if got < attempt.want/2 || got > attempt.want {
				t.Errorf("%s: pause %d is %v, not between half of %v and all of it", what, i, got, attempt.want)
			}
		}
	}
	// An object that the server does not take is a refusal after each Welcome.
	pauses := newPauses(New(Config{}).config)
	var last time.Duration
	for range 20 {
		last = pauses.next(time.Second, invalid)
	}
	if last < 30*time.Second {
		t.Errorf("after 20 objects that were refused the pause is %v", last)
	}
}

func TestPausesAreLeftToChance(t *testing.T) {
	got := map[time.Duration]bool{}
	for range 20 {
		got[newPauses(New(Config{}).config).next(0, nil)] = true
	}
	if len(got) < 2 {
		t.Errorf("20 agents come back together, after %v", got)
	}
}
