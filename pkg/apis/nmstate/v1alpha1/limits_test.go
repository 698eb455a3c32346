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

package v1alpha1

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestCompact(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1}`:                              `{"a":1}`,
		"{ \"a\" :\n[ 1 , \"b c\" ] }":         `{"a":[1,"b c"]}`,
		`{"a":"\u003c\u003e\u0026"}`:           `{"a":"<>&"}`,
		`{"a":"\u2028\u2029"}`:                 "{\"a\":\"\u2028\u2029\"}",
		`{"\u003ca":"\\u003c"}`:                `{"<a":"\\u003c"}`,
		`{"a":"\\\u003c\\\\u003c"}`:            `{"a":"\\<\\\\u003c"}`,
		`{"a":"\"\n\u0022\u003C\u0000\ud83d"}`: `{"a":"\"\n\u0022\u003C\u0000\ud83d"}`,
		`{"a":"\\"}`:                           `{"a":"\\"}`,
		`{"a":`:                                `{"a":`,
		``:                                     ``,
	} {
		if got := NewState([]byte(text)).Compact(); string(got.Raw) != want {
			t.Errorf("%s became %s, not %s", text, got.Raw, want)
		}
	}
	if (*State)(nil).Compact() != nil {
		t.Error("no state became one")
	}
}

// FuzzCompact: whatever a state is, it means the same afterwards, and costs no more.
func FuzzCompact(f *testing.F) {
	for _, text := range []string{`{"a":"\u003c\\u003c\\\u003c"}`, `{"\u2028":[1e5,"\\"]}`, `{"a":"\ud800\u0026"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var before, after any
		if json.Unmarshal(text, &before) != nil {
			return
		}
		kept := bytes.Clone(text)
		got := NewState(text).Compact()
		if !bytes.Equal(kept, text) {
			t.Fatalf("%q was changed in place", kept)
		}
		if err := json.Unmarshal(got.Raw, &after); err != nil || !reflect.DeepEqual(before, after) || len(got.Raw) > len(text) {
			t.Errorf("%q became %q, %v", text, got.Raw, err)
		}
		if again := got.Compact(); !bytes.Equal(again.Raw, got.Raw) {
			t.Errorf("%q became %q and then %q", text, got.Raw, again.Raw)
		}
	})
}

func TestValidateState(t *testing.T) {
	for name, test := range map[string]struct{ state, want string }{
		"nothing":          {``, ""},
		"an object":        {" {\"a\":[1]}\n", ""},
		"white space":      {"  ", "must be an object"},
		"a list":           {`[]`, "must be an object"},
		"no JSON":          {`{"a"}`, "is no JSON"},
		"two objects":      {`{}{}`, "is no JSON"},
		"no UTF-8":         {"{\"a\":\"\xff\"}", "is not valid UTF-8"},
		"deep":             {`{"a":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `}`, ""},
		"too deep":         {`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "deeper than 100"},
		"brackets in text": {`{"a":"` + strings.Repeat(`[\"`, 1000) + `"}`, ""},
		"large":            {`{"a":"` + strings.Repeat("x", MaxDesiredState-8) + `"}`, ""},
		"too large":        {`{"a":"` + strings.Repeat("x", MaxDesiredState-7) + `"}`, "has 1048577 bytes as compact JSON, and may have at most 1048576"},
		"only white space": {`{"a":` + strings.Repeat(" ", MaxDesiredState) + `1}`, ""},
		"only escapes":     {`{"a":"` + strings.Repeat(`\u003c`, MaxDesiredState-8) + `"}`, ""},
	} {
		got := ValidateState(NewState([]byte(test.state)), field.NewPath("spec", "desiredState")).ToAggregate()
		if test.want == "" && got != nil || test.want != "" && (got == nil || !strings.Contains(got.Error(), test.want)) {
			t.Errorf("%s: %v, not %q", name, got, test.want)
		}
	}
}

func TestComplexity(t *testing.T) {
	for item, most := range map[string]int{`0,`: MaxStateValues - 2, `[],`: MaxStateValues/2 - 1, `{},`: MaxStateValues/2 - 1} {
		for more, want := range map[int]bool{0: false, 2: true} {
			state := NewState([]byte(`{"a":[` + strings.Repeat(item, most+more) + `0]}`))
			if err := state.CheckComplexity(); (err != nil) != want {
				t.Errorf("%d times %s: %v", most+more, item, err)
			}
		}
	}
}

// TestTextsThatClientsCannotDecode: one of them would have a client fail with the whole list.
func TestTextsThatClientsCannotDecode(t *testing.T) {
	for text, fine := range map[string]bool{
		`{"a":1e999}`: false, `{"a":[0,-1E+400]}`: false, `{"a":1e-999,"b":-1.7e308}`: true, `{"a":"1e999"}`: true,
		`{"a":` + strings.Repeat("9", 300) + `}`: true, `{"a":` + strings.Repeat("9", 400) + `}`: false,
		"{\"\xff\":1}": false, "{\"a\":\"\xc3\"}": false, "{\"a\":\"\u00e9\"}": true,
	} {
		if err := NewState([]byte(text)).CheckComplexity(); (err == nil) != fine {
			t.Errorf("the state %.40q: %v", text, err)
		}
		if err := CheckFields(metav1.NewFieldsV1(text)); (err == nil) != fine {
			t.Errorf("the fields %.40q: %v", text, err)
		}
		if err := json.Unmarshal([]byte(text), &map[string]any{}); fine && err != nil {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	deep := func(levels int) *metav1.FieldsV1 {
		return metav1.NewFieldsV1(nested(levels))
	}
	for text, fine := range map[*metav1.FieldsV1]bool{nil: true, {}: true, metav1.NewFieldsV1(`[1]`): false, deep(maxManagedDepth): true, deep(maxManagedDepth + 1): false} {
		if err := CheckFields(text); (err == nil) != fine {
			t.Errorf("%v: %v", text, err)
		}
	}
}

// nested returns an object of so many levels.
func nested(levels int) string {
	return strings.Repeat(`{"f:a":`, levels-1) + "{}" + strings.Repeat("}", levels-1)
}

// TestDeepStatesAreNotDecoded: what is nested beyond all measure fails before upstream
// works with it, and a little beyond the limit it is validation that says so.
func TestDeepStatesAreNotDecoded(t *testing.T) {
	for levels, refused := range map[int]bool{MaxDepth + 1: false, maxDecodedDepth: false, maxDecodedDepth + 1: true, 9000: true} {
		var state State
		if err := json.Unmarshal([]byte(nested(levels)), &state); (err != nil) != refused {
			t.Errorf("%d levels: %v", levels, err)
		}
	}
}

func TestWhatIsNoObjectIsNoState(t *testing.T) {
	for _, text := range []string{`"s3cret"`, `["s3cret"]`, `12345`, `true`} {
		var spec NodeNetworkStateSpec
		err := json.Unmarshal([]byte(`{"desiredState":`+text+`}`), &spec)
		if err == nil || !strings.Contains(err.Error(), "must be an object") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestValidateManagedFields(t *testing.T) {
	path := field.NewPath("metadata", "managedFields")
	for levels, want := range map[int]string{1: "", maxManagedDepth: "", maxManagedDepth + 1: "metadata.managedFields[1].fieldsV1"} {
		fields := []metav1.ManagedFieldsEntry{{Manager: "a"}, {Manager: "b", FieldsV1: metav1.NewFieldsV1(nested(levels))}}
		got := ValidateManagedFields(fields, path).ToAggregate()
		if (got == nil) != (want == "") || got != nil && !strings.Contains(got.Error(), want) {
			t.Errorf("%d levels: %v, not %q", levels, got, want)
		}
	}
	// Whoever applies under many names adds an entry with each.
	for count, refused := range map[int]bool{MaxManagers: false, MaxManagers + 1: true} {
		got := ValidateManagedFields(make([]metav1.ManagedFieldsEntry, count), path).ToAggregate()
		if (got != nil) != refused || refused && !strings.Contains(got.Error(), "[{}]") {
			t.Errorf("%d managers: %v", count, got)
		}
	}
}

func TestSameState(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{`{"a":1,"b":2}`, `{"b":2.0, "a":1}`, true},
		{`{"a":"<"}`, `{"a":"\u003c"}`, true},
		{`{"a":"<"}`, `{"a":"\u003C"}`, true},
		{`{"a":1}`, `{"a":2}`, false},
		{`{"a":1}`, `{"a"`, false},
	} {
		if got := SameState(NewState([]byte(test.a)), NewState([]byte(test.b))); got != test.want {
			t.Errorf("%s and %s: %v", test.a, test.b, got)
		}
	}
}
