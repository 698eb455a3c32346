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
// library has one log buffer per process, and each call drains all of it. If calls
// overlapped, one would take the other's lines. To avoid waiting behind a long
// call, make that call in another process.
//
// This package frees strings made by C.CString with C.free, and strings returned by
// the library with nmstate_cstring_free. No C value leaves the package.
//
// The library is found by pkg-config as "nmstate", 2.2.50 or later.
package nmstate
