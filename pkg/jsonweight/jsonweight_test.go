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

package jsonweight

import "testing"

func TestOf(t *testing.T) {
	for text, want := range map[string]Weight{
		``:                                 {},
		`"[{"`:                             {},
		`{"a":1}`:                          {Values: 1, Fields: 1, Siblings: 1, Depth: 1, Nested: 6},
		`{"a":{"b":[{"c":0}],"d:":":"}}`:   {Values: 5, Fields: 3, Siblings: 2, Depth: 4, Nested: 66},
		`[[0,1],"\"]",{}]`:                 {Values: 6, Siblings: 3, Depth: 2, Nested: 14 + 5 + 1},
		`{"a":[0,[1,2,3],4],"b":5,"c":{}}`: {Values: 10, Fields: 3, Siblings: 3, Depth: 3, Nested: 50},
		`]],]`:                             {Values: 1, Nested: -8},
		`]]]`:                              {Nested: -6},
	} {
		if got := Of([]byte(text)); got != want {
			t.Errorf("%s: %+v, not %+v", text, got, want)
		}
		if got := Depth([]byte(text)); got != want.Depth {
			t.Errorf("%s: depth %d, not %d", text, got, want.Depth)
		}
	}
}

func TestHasSpace(t *testing.T) {
	for text, want := range map[string]bool{
		``: false, `{"a b":"\\\" "}`: false, `{"a":1}`: false, `{"a": 1}`: true, "[\n]": true, "[1,\t2]": true, "{}\r": true, `"\"" `: true, `"a `: false,
	} {
		if got := HasSpace([]byte(text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}
