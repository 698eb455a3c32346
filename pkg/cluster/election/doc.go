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

// Package election makes one of several API servers the active one and gives it
// the number after which the resourceVersions of its term begin.
//
// The servers compete for a Lease through client-go's leader election. The package
// adds what client-go lacks:
//
//   - A standby watches the Lease. It tries at once when the Lease is released or
//     deleted, and at the moment when the holder's lease expires. Polling alone
//     takes up to 19 s to notice a crash.
//   - A standby that could not read the Lease begins to count again, because the
//     holder could not renew it either. If a read fails during a real crash, the
//     standby is late by as much.
//   - A server that has lost the Lease learns it at once: from the watch, from any
//     read of the Lease, or from its own clock, even after the process was
//     suspended.
//   - The Lease is released only after the server's work has ended. ReleaseOnCancel
//     is not used: if client-go fails to renew, it releases while the work still
//     runs, and may release another server's Lease.
//
// A term begins at max(clock in µs, start of the last one + 2^32). It is recorded
// in annotation nmstate.io/term of the Lease and of the ConfigMap with the CA
// before it is used. The last term is the highest one that both records and this
// process know, so that the loss of a record never makes resourceVersions go back.
//
// The active server labels its pod nmstate.io/active=true once it calls
// Announce, and removes the label from the other pods. It also sets the annotation
// that makes a rolling update delete its pod last. It never removes its own label:
// a Service that selects no server refuses connections, whereas a server that is
// about to end tells clients to try again.
//
// Rights needed, in the servers' namespace:
//
//	leases (coordination.k8s.io)  get, list, watch, update   resourceNames: the Lease
//	                              create                     (cannot be held to a name)
//	configmaps                    get, patch                 resourceNames: the ConfigMap
//	                              create                     (cannot be held to a name)
//	pods                          list, watch, patch         (none without a pod name)
package election
