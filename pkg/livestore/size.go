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
	"time"
	"unsafe"

	"k8s.io/apimachinery/pkg/runtime"
)

// mapEntryOverhead is about what a map needs for an entry beside key and value.
const mapEntryOverhead = 16

// sizeBeyond returns about how many bytes an object takes in memory, with all that it
// points to, beside what kept, which may be nil, points to as well.
func sizeBeyond(obj, kept runtime.Object) int64 {
	if obj == nil {
		return 0
	}
	s := sizer{shared: map[unsafe.Pointer]bool{}}
	if kept != nil {
		s.pointedTo(reflect.ValueOf(kept))
	}
	s.counting = true
	v := reflect.ValueOf(obj)
	return int64(v.Type().Size()) + s.pointedTo(v)
}

// sizer measures values. Before counting is set, it notes what they point to as shared.
type sizer struct {
	counting bool
	shared   map[unsafe.Pointer]bool
}

// isShared tells whether what is there is shared, so that it does not count.
func (s sizer) isShared(at unsafe.Pointer) bool {
	if !s.counting {
		s.shared[at] = true
		return false
	}
	return s.shared[at]
}

// pointedTo returns how many bytes a value takes beside its own.
func (s sizer) pointedTo(v reflect.Value) int64 {
	var bytes int64
	switch v.Kind() {
	case reflect.String:
		if text := v.String(); !s.isShared(unsafe.Pointer(unsafe.StringData(text))) {
			bytes = int64(len(text))
		}
	case reflect.Interface:
		if !v.IsNil() {
			bytes = int64(v.Elem().Type().Size()) + s.pointedTo(v.Elem())
		}
	case reflect.Pointer:
		if !v.IsNil() && !s.isShared(v.UnsafePointer()) {
			bytes = int64(v.Elem().Type().Size()) + s.pointedTo(v.Elem())
		}
	case reflect.Slice:
		if v.Cap() == 0 || s.isShared(v.UnsafePointer()) {
			break
		}
		bytes = int64(v.Cap()) * int64(v.Type().Elem().Size())
		if v.Type().Elem().Kind() == reflect.Uint8 {
			break
		}
		for i := range v.Len() {
			bytes += s.pointedTo(v.Index(i))
		}
	case reflect.Map:
		// A map is shared as a whole, or counts as a whole: it can have very many entries.
		if v.IsNil() || s.isShared(v.UnsafePointer()) || !s.counting {
			break
		}
		entry := int64(v.Type().Key().Size()+v.Type().Elem().Size()) + mapEntryOverhead
		for entries := v.MapRange(); entries.Next(); {
			bytes += entry + s.pointedTo(entries.Key()) + s.pointedTo(entries.Value())
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			// It points to its zone, which all times share.
			break
		}
		for i := range v.NumField() {
			bytes += s.pointedTo(v.Field(i))
		}
	}
	return bytes
}
