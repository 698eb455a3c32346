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

package table

import (
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// Batch is a number of cases that are applied together, because a node in a virtual machine takes
// its time for a change and a boot, however much they bring. They have nothing in common.
type Batch []*Case

// Batches groups cases into batches with at most size interfaces each. Cases that a backend refuses, that
// come across a fault upstream, that not all nodes can do, or that ask for it, are alone.
func Batches(cases []*Case, backend v1alpha1.Backend, size int) []Batch {
	var batches []Batch
	open := map[int]bool{}
	for _, c := range cases {
		_, faulty := c.Upstream[backend]
		if c.Alone || c.Leaves || c.Reapply != "" || faulty || c.Needs.Run != "" || c.RefusedBy(backend) != "" {
			batches = append(batches, Batch{c})
			continue
		}
		at := -1
		for i, batch := range batches {
			if open[i] && batch.fits(c, size) {
				at = i
				break
			}
		}
		if at < 0 {
			at = len(batches)
			open[at] = true
			batches = append(batches, nil)
		}
		batches[at] = append(batches[at], c)
	}
	return batches
}

func (b Batch) fits(c *Case, size int) bool {
	total := len(c.State.interfaces())
	u := c.use()
	for _, other := range b {
		total += len(other.State.interfaces())
		// What becomes of a reboot is asked of all cases of a batch, or of none.
		if u.collides(other.use()) || (other.Volatile == "") != (c.Volatile == "") {
			return false
		}
	}
	return total <= size
}

// Halves splits a batch.
func (b Batch) Halves() []Batch {
	middle := len(b) / 2
	return []Batch{b[:middle], b[middle:]}
}

// State returns the state of all cases after so many changes, and what they must show then.
func (b Batch) State(changes int) (State, map[*Case][]Look) {
	var states []State
	looks := map[*Case][]Look{}
	for _, c := range b {
		state, shows := c.State, c.Shows
		if n := min(changes, len(c.Changes)); n > 0 {
			state, shows = c.Changes[n-1].State, c.Changes[n-1].Shows
		}
		states = append(states, state)
		looks[c] = shows
	}
	return Merge(states...), looks
}

// Changes returns how many changes the case with the most changes has.
func (b Batch) Changes() int {
	changes := 0
	for _, c := range b {
		changes = max(changes, len(c.Changes))
	}
	return changes
}

// Away returns the state that takes all cases away.
func (b Batch) Away() State { return away(b) }

// Left returns the facts that are to be once the cases are taken away.
func (b Batch) Left(before Facts, backend v1alpha1.Backend) Facts {
	for _, c := range b {
		if link := c.Gone[backend]; link != "" {
			before = before.withoutLink(link)
		}
	}
	return before
}

// Bad returns what makes the change of the batch fail, usual if no case says otherwise.
func (b Batch) Bad(usual State) State {
	for _, c := range b {
		if len(c.Bad) > 0 {
			return c.Bad
		}
	}
	return usual
}

// Owner returns the case of the batch that a text, such as a line of a comparison, tells of: the
// one with an interface that the text names; nil if there is none, or more than one.
func (b Batch) Owner(text string) *Case {
	var owner *Case
	for _, c := range b {
		for _, state := range c.states() {
			for _, name := range state.Names() {
				if !strings.Contains(text, `"`+name+`"`) {
					continue
				}
				if owner != nil && owner != c {
					return nil
				}
				owner = c
			}
		}
	}
	return owner
}

// Blame tells which cases answer for a comparison, each for the lines that tell of it. It returns nil if there is a line
// that tells of none of them, or of several.
func (b Batch) Blame(text string) map[*Case]string {
	blame := map[*Case]string{}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "- ") && !strings.HasPrefix(line, "+ ") {
			continue
		}
		owner := b.Owner(line)
		if owner == nil {
			return nil
		}
		blame[owner] += line
	}
	if len(blame) == 0 {
		if owner := b.Owner(text); owner != nil {
			blame[owner] = text
		}
	}
	return blame
}

// Title names the batch.
func (b Batch) Title() string {
	var titles []string
	for _, c := range b {
		titles = append(titles, c.Title())
	}
	return strings.Join(titles, "; ")
}
