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

// Package livestore is a storage.Interface that keeps nothing: what it serves
// lives elsewhere, and is live.
//
// It has two parts. The Log orders what is observed: it stamps each change with
// one increasing revision, remembers the changes of the last minutes, and serves
// lists, exact-revision lists and watches from them. It knows objects and keys,
// nothing of what they stand for. The Writer carries out writes on what the
// objects stand for, and makes sure that the Log has caught up with it before a
// consistent read is answered. Store joins the two.
//
// The Log is fed by whoever observes changes, with Set and Delete; writes do not
// go into it but through the Writer, and come back as observed changes.
package livestore
