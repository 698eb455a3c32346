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

// Package nmstate binds libnmstate, the C library of https://nmstate.io: one Go
// function per C function, and the only cgo of this project.
//
// States go in and come out as JSON, byte for byte. Calls are serialised: the
// library logs into one buffer per process that each call drains whole, so that
// only a call alone can tell which lines are its own. Whatever must not wait
// behind a long call runs it in another process.
//
// The memory of what C.CString made is freed here with C.free, that of what the
// library returned with nmstate_cstring_free; nothing of C leaves the package.
//
// The library is found by pkg-config as "nmstate", 2.2.50 or later.
package nmstate
