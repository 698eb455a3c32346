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
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nmstate/kubernetes-nmstate/test/netns"
)

// BenchmarkAgentMemory measures the memory of the agent of a node with 500 interfaces, after as many changes as an hour has seconds if
// the environment has BENCH_WHOLE, else after a tenth. Each change is read and sent. It measures right after them, and when the agent has come to rest.
func BenchmarkAgentMemory(b *testing.B) {
	const pairs, hour, most = 250, 3600, 30
	makeVeths(b, pairs)
	changes := hour / 10
	if os.Getenv(whole) != "" {
		changes = hour
	}
	s := newSite(b)
	agent := s.agent(b)
	begin := residentMB(b, agent)
	for i := range changes {
		netns.Run(b, "ip", "addr", []string{"add", "del"}[i%2], "198.51.100.1/32", "dev", "a1")
		if _, err := s.nns.Get(b.Context(), "node", metav1.GetOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	resident, peak := residentMB(b, agent), memoryMB(b, agent, "VmHWM:")
	<-time.After(40 * time.Second) // nothing tells that it has given back what is free, twice as often as memory.Trim looks
	rest := residentMB(b, agent)
	fmt.Printf("agent of %d interfaces: %d MB resident; right after %d changes %d MB, and meanwhile at most %d MB; at rest again %d MB, of which %d MB are pages of the program\n",
		2*pairs, begin, changes, resident, peak, rest, memoryMB(b, agent, "RssFile:"))
	target(resident <= most, "an agent with %d interfaces has %d MB resident after %d changes (at most %d)", 2*pairs, resident, changes, most)
	target(rest <= most, "at rest again it has %d MB resident (at most %d)", rest, most)
}
