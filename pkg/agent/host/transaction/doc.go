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

// Package transaction carries out one change of a node's network at a time, so that the
// node ends in its old state or in its new one, whatever is killed at whatever moment.
//
// A change goes through these states:
//
//		Prepared ──► Applied ──► Confirmed ──► Committed
//		    └───────────┴────────────┴──────► RolledBack
//
//	  - Prepared: nothing is touched yet. The journal has all that is needed to undo the change.
//	  - Applied: libnmstate has applied the change and verified it. Until now it can be undone.
//	    A change that waits for a user's confirmation is Applied once more, as "awaiting".
//	  - Confirmed: the change is to stay. After a crash it is carried to its end.
//	  - Committed: backend and record have the change.
//	  - RolledBack: the network is as it was before, or the entry names what is not.
//
// Each state is an entry in the journal, and is on the disk before the step that it announces
// begins. The journal is emptied when a change has ended and its outcome is in the record.
//
// Two processes take part: the agent and the worker that it has started for the change, which
// calls libnmstate. They share a lock. If the agent dies, the worker undoes the change;
// if the worker dies, the agent does; if both die, the next agent decides by the journal.
// What differs between NetworkManager and the kernel alone is behind the interface backend.
package transaction
