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

// Package preparation makes and sets, by netlink, what libnmstate without NetworkManager cannot: it makes VLANs, veths
// and plain bridges there, and drops or refuses nearly all else. A plan is pure: it comes from the desired and the
// current state and from the links that the kernel has. Plan.Do carries it out. libnmstate then applies the rest of the state
// and verifies the whole: it stays the judge of what holds. What neither can is refused by name before anything is touched.
package preparation
