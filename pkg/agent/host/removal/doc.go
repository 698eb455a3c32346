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

// Package removal notes what was there before a part of the network came into the desired state, and takes the
// part away again when it leaves: an interface with its fields, a route, a rule, a setting such as DNS.
//
// It computes only. Of a change of the desired state it makes the state that is to be applied, which is the desired
// one and what takes away what leaves it, and the notes that are to be kept with the new desired state.
//
// nmstate's own revert is not used. It takes away a route or a rule that was there before, it leaves out a field
// that is not shown, and a system's library does not have it.
package removal
