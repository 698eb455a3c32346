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

package agent

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// hostileSize is the size of a hostile object: as much as a message carries.
const hostileSize = 15 << 20

// mostAllocated is what decoding one message may allocate: the text of the message a
// few times over, as each part of it is copied once at most at each level of decoding.
const mostAllocated = 4 * MaxMessageSize

// kind begins each object.
const kind = `{"kind":"NodeNetworkState","apiVersion":"nmstate.io/v1alpha1",`

// repeated returns an object in whose middle the item stands as often as fits.
func repeated(before, item, after string) string {
	count := (hostileSize - len(before) - len(after)) / len(item)
	return kind + before + strings.TrimSuffix(strings.Repeat(item, count), ",") + after
}

// numberedKeys returns entries of a JSON object, each with a key of its own.
func numberedKeys() string {
	var text strings.Builder
	for i := 0; text.Len() < hostileSize; i++ {
		fmt.Fprintf(&text, `"%x":"",`, i)
	}
	return strings.TrimSuffix(text.String(), ",")
}

// hostile are texts that are small on the stream and would be large in memory.
func hostile() map[string]string {
	const (
		moment  = `"2026-01-02T03:04:05Z"`
		perhaps = `"status":{"currentState":{}}}`
	)
	return map[string]string{
		"ownerReferences":             repeated(`"metadata":{"ownerReferences":[`, `{},`, `]},`+perhaps),
		"finalizers":                  repeated(`"metadata":{"finalizers":[`, `"",`, `]},`+perhaps),
		"labels":                      kind + `"metadata":{"labels":{` + numberedKeys() + `}}}`,
		"annotations":                 kind + `"metadata":{"annotations":{` + numberedKeys() + `}}}`,
		"managedFields":               repeated(`"metadata":{"managedFields":[`, `{},`, `]}}`),
		"managedFields, of nothing":   repeated(`"metadata":{"managedFields":[`, `null,`, `]}}`),
		"managedFields, again":        repeated(`"metadata":{`, `"managedFields":[{}],`, `}}`),
		"times in managedFields":      repeated(`"metadata":{"managedFields":[{`, `"time":`+moment+`,`, `}]}}`),
		"creationTimestamp, again":    repeated(`"metadata":{`, `"creationTimestamp":`+moment+`,`, `}}`),
		"conditions":                  repeated(`"status":{"conditions":[`, `{},`, `]}}`),
		"conditions, again":           repeated(`"status":{`, `"conditions":[{}],`, `}}`),
		"times in conditions":         repeated(`"status":{"conditions":[{`, `"lastTransitionTime":`+moment+`,`, `}]}}`),
		"lastApply, again":            repeated(`"status":{`, `"lastApply":{"finishTime":`+moment+`},`, `}}`),
		"times in lastApply":          repeated(`"status":{"lastApply":{`, `"finishTime":`+moment+`,`, `}}}`),
		"lastSuccessfulUpdateTime":    repeated(`"status":{`, `"lastSuccessfulUpdateTime":`+moment+`,`, `}}`),
		"deep nesting":                kind + `"status":{"currentState":{"a":` + strings.Repeat("[", hostileSize),
		"nesting in what is not ours": repeated(`"metadata":{"more":[`, `[[[[[[[[]]]]]]]],`, `]}}`),
		"lists in currentState":       repeated(`"status":{"currentState":{"interfaces":[`, `[],`, `]}}}`),
		"lists in difference":         repeated(`"status":{"difference":{"interfaces":[`, `[],`, `]}}}`),
		"lists in desiredState":       repeated(`"spec":{"desiredState":{"interfaces":[`, `{},`, `]}}}`),
		"currentState, again":         repeated(`"status":{`, `"currentState":{},`, `}}`),
		"unknown fields":              kind + numberedKeys() + `}`,
	}
}

// TestHostileObjectsCostNoMoreThanTheirSize measures what is allocated, not how long it takes.
func TestHostileObjectsCostNoMoreThanTheirSize(t *testing.T) {
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			message := []byte(text)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			obj, err := DecodeObject(message, "node01")
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > mostAllocated {
				t.Errorf("decoding %d bytes allocated %d", len(message), allocated)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			runtime.KeepAlive(obj)
		})
	}
}

// TestWhatHasNoBoundIsNotDecodedAtOnce: a field of the spec or the status that is a list, a
// map, a pointer to more or a time must be text in received, and be decoded with a limit.
func TestWhatHasNoBoundIsNotDecodedAtOnce(t *testing.T) {
	late := map[string]bool{}
	for _, part := range []reflect.Type{reflect.TypeFor[receivedSpec](), reflect.TypeFor[receivedStatus]()} {
		for field := range part.Fields() {
			late[field.Name] = true
		}
	}
	for _, whole := range []reflect.Type{reflect.TypeFor[v1alpha1.NodeNetworkStateSpec](), reflect.TypeFor[v1alpha1.NodeNetworkStateStatus]()} {
		for field := range whole.Fields() {
			switch kind := field.Type.Kind(); {
			case late[field.Name], kind == reflect.String, kind == reflect.Int64:
			case field.Type == reflect.TypeFor[*v1alpha1.State](), field.Type == reflect.TypeFor[*v1alpha1.InterfaceCount]():
			default:
				t.Errorf("%s.%s is a %s: let received keep it as text, and decode it with a limit", whole.Name(), field.Name, field.Type)
			}
		}
	}
}
