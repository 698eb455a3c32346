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
	"testing"
	"time"
)

// TestAgentsHaveLongerWhereOthersAreLate: up to a limit, and not where an agent only reads for long.
func TestAgentsHaveLongerWhereOthersAreLate(t *testing.T) {
	const timeout = 2 * time.Second
	for name, test := range map[string]struct {
		after       time.Duration // how long the other one's answer has taken
		asked       time.Duration // how long ago the agent was asked
		least, most time.Duration // how long the agent has, from when it was asked
	}{
		"others are quick":    {after: time.Second, asked: 1900 * time.Millisecond, least: timeout, most: timeout},
		"another is late":     {after: 1900 * time.Millisecond, asked: 1900 * time.Millisecond, least: 3800 * time.Millisecond, most: 5 * time.Second},
		"others are too late": {after: 1900 * time.Millisecond, asked: time.Minute, least: 3 * timeout, most: 3 * timeout},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, func(c *Config) { c.BarrierTimeout = timeout })
			other := &session{member: newMember(s.Fleet, Node{Name: "node01"})}
			other.asked = time.Now().Add(-test.after)
			other.member.heard(other)
			asked := time.Now().Add(-test.asked)
			has := (&session{member: newMember(s.Fleet, Node{Name: "node02"})}).silentAt(asked).Sub(asked)
			if has < test.least || has > test.most {
				t.Errorf("the agent has %v, want %v to %v", has, test.least, test.most)
			}
		})
	}
}
