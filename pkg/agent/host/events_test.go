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
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// TestPaceOfANetworkThatChangesAllTheTime: it costs a tenth of a core at most, whatever a read takes.
func TestPaceOfANetworkThatChangesAllTheTime(t *testing.T) {
	for read, every := range map[time.Duration]time.Duration{
		0:                      sendInterval,
		50 * time.Millisecond:  sendInterval,
		300 * time.Millisecond: 4800 * time.Millisecond,
		2 * time.Second:        32 * time.Second,
	} {
		if pace := paceAfter(read); pace != rate.Every(every) {
			t.Errorf("after a read of %v the network is read %v times a second, want once in %v", read, pace, every)
		}
	}
	before := processorTime()
	for processorTime() == before {
	}
}
