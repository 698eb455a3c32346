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

package bench

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// BenchmarkFlapping measures what a link that goes up and down all the time costs the node's agent, when nobody watches the node and
// when somebody does.
func BenchmarkFlapping(b *testing.B) {
	const pairs, long = 250, 20 * time.Second
	makeVeths(b, pairs)
	s := newSite(b)
	agent := s.agent(b)
	flap := func() {
		for end := time.Now().Add(long); time.Now().Before(end); {
			netns.Run(b, "ip", "link", "set", "b1", "down")
			netns.Run(b, "ip", "link", "set", "b1", "up")
		}
	}
	for watchers := range 2 {
		if watchers > 0 {
			w, err := s.nns.Watch(b.Context(), metav1.ListOptions{})
			if err != nil {
				b.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range w.ResultChan() {
				}
			}()
			defer func() { w.Stop(); <-done }()
		}
		// The first reads follow each other closely, as after any change; then it is seen that the changes have no end.
		flap()
		before, begin := processorTicks(b, agent), time.Now()
		flap()
		share := float64(processorTicks(b, agent)-before) * 10 * float64(time.Millisecond) / float64(time.Since(begin))
		fmt.Printf("a link of %d that flaps for %v, %d watchers: the agent uses %.3f of a core\n", 2*pairs, time.Since(begin).Round(time.Second), watchers, share)
		target(share <= .1, "a flapping link, %d watchers, costs the agent %.3f of a core (at most 0.1)", watchers, share)
	}
}
