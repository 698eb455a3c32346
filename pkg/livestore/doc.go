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

// Package livestore is a storage.Interface that stores nothing: the objects that
// it serves live elsewhere.
//
// It has two parts. The Log puts the observed changes in order: it stamps each
// with one increasing revision, remembers the changes of the last 90 s, and
// serves lists, lists at an exact revision, and watches from them. It knows
// objects and keys, and nothing of what they stand for. The Source is what the
// objects stand for: before a consistent read it makes sure that the Log is
// current, and it carries out writes. Store joins the two.
//
// Whoever observes a change puts it into the Log, with Set and Delete. A write
// does not go into the Log: the Source carries it out, and then it is observed.
//
// Upstream's watch cache stands above, see NewDecorator. What both hold of the
// past is limited by bytes, see Log.Limit and feed.
package livestore
