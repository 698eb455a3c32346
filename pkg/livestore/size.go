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

	"k8s.io/apimachinery/pkg/runtime"
)

// mapEntryOverhead is about what a map needs for an entry beside key and value.
const mapEntryOverhead = 16

// sizeOf returns about how many bytes an object takes in memory, with all that it
// points to.
func sizeOf(obj runtime.Object) int64 {
	v := reflect.ValueOf(obj)
	return int64(v.Type().Size()) + pointedTo(v)
}

// pointedTo returns how many bytes a value takes beside its own.
func pointedTo(v reflect.Value) int64 {
	var bytes int64
	switch v.Kind() {
	case reflect.String:
		bytes = int64(v.Len())
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			bytes = int64(v.Elem().Type().Size()) + pointedTo(v.Elem())
		}
	case reflect.Slice:
		bytes = int64(v.Cap()) * int64(v.Type().Elem().Size())
		if v.Type().Elem().Kind() == reflect.Uint8 {
			break
		}
		for i := range v.Len() {
			bytes += pointedTo(v.Index(i))
		}
	case reflect.Map:
		entry := int64(v.Type().Key().Size()+v.Type().Elem().Size()) + mapEntryOverhead
		for entries := v.MapRange(); entries.Next(); {
			bytes += entry + pointedTo(entries.Key()) + pointedTo(entries.Value())
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			// It points to its zone, which all times share.
			break
		}
		for i := range v.NumField() {
			bytes += pointedTo(v.Field(i))
		}
	}
	return bytes
}
