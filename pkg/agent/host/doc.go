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

// Package host is the agent of a real host: it reads the host's network through
// libnmstate, hears of changes from the kernel, and applies states to it.
//
// Data flows one way. A wake-up of the kernel, a barrier or the end of an apply
// asks for a round; a round reads everything through libnmstate; what was read,
// the record on disk and the apply that may be under way make the object; the
// object is published if it is not the same as before.
package host
