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

package livestore

import (
	"reflect"
	"slices"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// item is one object of a snapshot.
type item struct {
	key    string
	object runtime.Object
}

// snapshot returns the objects below prefix, in the order of their keys, as they
// were at the given revision, 0 meaning now, and that revision. ok is false if
// the log has forgotten the revision, or has not reached it.
func (l *Log) snapshot(prefix string, revision uint64) (items []item, at uint64, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if revision == 0 {
		revision = l.revision
	}
	if revision < l.oldest || revision > l.revision {
		return nil, l.revision, false
	}
	if revision == l.revision {
		return l.below(prefix), revision, true
	}
	return l.undone(prefix, revision), revision, true
}

// below returns the objects below prefix as they are now.
func (l *Log) below(prefix string) []item {
	first, _ := slices.BinarySearch(l.keys, prefix)
	var items []item
	for _, key := range l.keys[first:] {
		if !strings.HasPrefix(key, prefix) {
			break
		}
		items = append(items, item{key, l.objects[key].object})
	}
	return items
}

// Objects returns the objects below prefix as they are now, in the order of their
// keys. The caller must not change them.
func (l *Log) Objects(prefix string) []runtime.Object {
	l.mu.RLock()
	defer l.mu.RUnlock()
	items := l.below(prefix)
	objects := make([]runtime.Object, 0, len(items))
	for _, item := range items {
		objects = append(objects, item.object)
	}
	return objects
}

// undone returns the objects below prefix as they were at revision, by undoing
// what has changed since.
func (l *Log) undone(prefix string, revision uint64) []item {
	then := map[string]runtime.Object{}
	for _, i := range l.below(prefix) {
		then[i.key] = i.object
	}
	for i := len(l.changes) - 1; i >= 0 && l.changes[i].revision > revision; i-- {
		c := l.changes[i]
		if !strings.HasPrefix(c.key, prefix) {
			continue
		}
		if c.previous == nil {
			delete(then, c.key)
		} else {
			then[c.key] = c.previous
		}
	}
	items := make([]item, 0, len(then))
	for key, object := range then {
		items = append(items, item{key, object})
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.key, b.key) })
	return items
}

// withOwnMetadata returns a copy of an object that may get another resourceVersion,
// and shares everything that the object points to.
func withOwnMetadata(object runtime.Object) runtime.Object {
	from := reflect.ValueOf(object).Elem()
	to := reflect.New(from.Type())
	to.Elem().Set(from)
	return to.Interface().(runtime.Object)
}

// news is what a watcher is to send next.
type news struct {
	// changes are the next ones, no more than fit in a watcher's buffer.
	changes []change
	// revision is the one that changes lead up to.
	revision uint64
	// more is set when the log has further changes already.
	more     bool
	progress uint64
	// moved is closed when there is something new.
	moved <-chan struct{}
	// gone is set when the log has forgotten changes that the watcher has not seen.
	gone bool
}

// since returns what happened after the given revision. It copies the changes, so
// that those which the log forgets are not kept in memory.
func (l *Log) since(revision uint64) news {
	l.mu.RLock()
	defer l.mu.RUnlock()
	n := news{revision: l.revision, progress: l.progress, moved: l.moved}
	if revision < l.oldest {
		n.gone = true
		return n
	}
	first := sort.Search(len(l.changes), func(i int) bool { return l.changes[i].revision > revision })
	last := min(first+resultBuffer, len(l.changes))
	n.changes = slices.Clone(l.changes[first:last])
	if last < len(l.changes) {
		n.more, n.revision = true, l.changes[last-1].revision
	}
	return n
}
