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
// The servers compete for a Lease through client-go's leader election. Beyond
// that the package sees to what client-go does not:
//
//   - A standby watches the Lease. When it is released or deleted it tries at
//     once, and it knows to the moment when the holder's time is up: polling
//     alone takes up to 19 s to notice a crash.
//   - A standby that could not read the Lease begins to count anew: what was not
//     renewed while nobody could renew it is no crash. So one that fails to read
//     it in the midst of a crash is late by as much.
//   - Who has lost the Lease hears of it at once, from the watch, from any read
//     of the Lease or from its own clock, also after the process was suspended.
//   - The Lease is released when the server's work has ended and never before,
//     so ReleaseOnCancel is not used: client-go then releases while the work
//     still runs when it fails to renew, and may release somebody else's Lease.
//
// A term begins at max(clock in µs, start of the last one + 2^32). It is recorded
// in annotation nmstate.io/term of the Lease and of the ConfigMap with the CA
// before it is used. What the last one was is known from both and from what
// this process has seen, so that the loss of one of them takes no
// resourceVersion back.
//
// The active server labels its pod nmstate.io/active=true once it calls
// Announce, and takes the label off the other pods. With the label goes the
// annotation that has a rolling update delete the pod last. It does not take off
// its own: a Service that selects no server refuses connections, one that is about
// to end has clients try again.
//
// Rights needed, in the servers' namespace:
//
//	leases (coordination.k8s.io)  get, list, watch, update   resourceNames: the Lease
//	                              create                     (cannot be held to a name)
//	configmaps                    get, patch                 resourceNames: the ConfigMap
//	                              create                     (cannot be held to a name)
//	pods                          list, watch, patch         (none without a pod name)
package election
