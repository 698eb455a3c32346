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

package transaction

import (
	"fmt"
	"slices"
)

// State is how far a change has come.
type State string

// The states of a change; see the package's documentation.
const (
	// None is the state where there is no change.
	None       State = ""
	Prepared   State = "Prepared"
	Applied    State = "Applied"
	Confirmed  State = "Confirmed"
	Committed  State = "Committed"
	RolledBack State = "RolledBack"
)

// successors are the states that may follow a state.
func (s State) successors() []State {
	switch s {
	case None:
		return []State{Prepared}
	case Prepared:
		return []State{Applied, RolledBack}
	case Applied: // twice, if the change waits for a user
		return []State{Applied, Confirmed, RolledBack}
	case Confirmed:
		return []State{Committed, RolledBack}
	}
	return nil
}

// follow returns an error unless next may follow the state.
func (s State) follow(next State) error {
	if !slices.Contains(s.successors(), next) {
		return fmt.Errorf("a change that is %q cannot become %q", s, next)
	}
	return nil
}

// Open tells whether a change in this state has not ended.
func (s State) Open() bool { return s == Prepared || s == Applied || s == Confirmed }

// Moment is a point in a change's life at which a fault may be injected.
type Moment string

// The moments, in their order. Each state has one before its entry is written and one after.
const (
	BeforePrepared   Moment = "before Prepared"
	AfterPrepared    Moment = "after Prepared"
	BeforeApplied    Moment = "before Applied"
	AfterApplied     Moment = "after Applied"
	BeforeStaged     Moment = "before the record is staged"
	BeforeConfirmed  Moment = "before Confirmed"
	AfterConfirmed   Moment = "after Confirmed"
	AfterCommit      Moment = "after the backend's commit"
	AfterAdopted     Moment = "after the record is adopted"
	AfterCommitted   Moment = "after Committed"
	BeforeUndo       Moment = "before the undo"
	BeforeRolledBack Moment = "before RolledBack"
	AfterRolledBack  Moment = "after RolledBack"
	AfterTold        Moment = "after the outcome is told"
)
