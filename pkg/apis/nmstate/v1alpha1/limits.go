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
	"errors"
	"fmt"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/nmstate/kubernetes-nmstate/pkg/jsonweight"
)

// What an object may carry. A node's agent sends its object in one message, of 16 MiB
// at most, and keeps the durable part in one file. A write that makes the durable part
// too large is refused, or the agent could not send the object any more. The limits below,
// the 256 KiB that Kubernetes allows for annotations, a difference as large as the spec,
// and an outcome of the last change leave more than half of the message to currentState,
// also if masks make the spec and the difference longer than they were written.
const (
	// MaxDesiredState is the size in bytes that spec.desiredState may have as compact
	// JSON, without escapes that only HTML needs.
	MaxDesiredState = 1 << 20
	// MaxManagedFields is the size in bytes that metadata.managedFields may have in all, as compact JSON. The fields of a
	// manager have about as many bytes as what it has applied.
	MaxManagedFields = 2 << 20
	// MaxManagers is the number of entries that metadata.managedFields may have. Each
	// field manager that applies has one of its own.
	MaxManagers = 1000
	// MaxStateValues is the number of values that a state may have: fields, and items of
	// lists. Decoded into Go's maps and lists a value takes about 100 bytes, however short
	// its text is. The largest state that fits a message has half as many values.
	MaxStateValues = 2 << 20
	// MaxDesiredValues is the number of values that a desired state may have: fields, and
	// entries of lists. Upstream notes for each of them who manages it, which costs a
	// hundred times its text with each write. A VLAN with an address has 16.
	MaxDesiredValues = 65_000
	// MaxSiblings is the number of fields that one object, and of entries that one list, may
	// have in a desired state. Upstream sorts them by inserting one after the other.
	MaxSiblings = 5_000
	// MaxProbes is the number of probes that a spec may have.
	MaxProbes = 16
	// MaxDepth is how deep a state may be nested. nmstate's own format needs ten;
	// its JSON parser gives up at 128, and Python's at about 1,000.
	MaxDepth = 100
	// maxDecodedDepth is how deep a state may be nested to be decoded at all. It is more than
	// MaxDepth, so that validation can tell the client in which field the fault is.
	maxDecodedDepth = 2 * MaxDepth
	// maxManagedDepth is how deep a manager's fields may be nested: as deep as a state, and
	// what stands around it. Clients decode them with each list.
	maxManagedDepth = MaxDepth + 10
)

// forgetManagers is what to do about managed fields that are refused.
const forgetManagers = "to forget who manages what, set it to [{}] by a patch"

// ValidateManagedFields tells whether the managed fields of an object are too large, too many or nested too deep.
func ValidateManagedFields(fields []metav1.ManagedFieldsEntry, path *field.Path) field.ErrorList {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(fields); err != nil {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, fmt.Sprintf("is no JSON: %v", err))}
	}
	if size := text.Len() - len("\n"); size > MaxManagedFields {
		return field.ErrorList{tooLarge(path, size, MaxManagedFields, forgetManagers)}
	}
	if len(fields) > MaxManagers {
		err := field.TooMany(path, len(fields), MaxManagers)
		err.Detail += ": " + forgetManagers
		return field.ErrorList{err}
	}
	for i, entry := range fields {
		if entry.FieldsV1 != nil && jsonweight.Depth(entry.FieldsV1.GetRawBytes()) > maxManagedDepth {
			return field.ErrorList{field.Invalid(path.Index(i).Child("fieldsV1"), field.OmitValueType{},
				fmt.Sprintf("must not be nested deeper than %d levels: %s", maxManagedDepth, forgetManagers))}
		}
	}
	return nil
}

// tooLarge names the size and the limit, and says what to do.
func tooLarge(path *field.Path, size, limit int, advice string) *field.Error {
	err := field.TooLong(path, "", limit)
	err.Detail = fmt.Sprintf("has %d bytes as compact JSON, and may have at most %d: %s", size, limit, advice)
	return err
}

// CheckComplexity tells whether a state has too many values, is nested too deep, or has
// a value that some client cannot decode. It decodes nothing: whoever decodes a state
// checks this first.
func (s *State) CheckComplexity() error {
	if s == nil {
		return nil
	}
	return checkText(s.Raw, MaxDepth)
}

// CheckOwned tells whether a desired state has so many values that to note who manages them would take long.
func CheckOwned(weight jsonweight.Weight) error {
	switch {
	case weight.Siblings > MaxSiblings:
		return fmt.Errorf("has a list of %d entries, or an object of as many fields, and may have at most %d in one", weight.Siblings, MaxSiblings)
	case weight.Values > MaxDesiredValues:
		return fmt.Errorf("has about %d values, and may have at most %d", weight.Values, MaxDesiredValues)
	}
	return nil
}

// CheckFields does for the fields of one manager what CheckComplexity does for a state,
// some levels below which they are.
func CheckFields(fields *metav1.FieldsV1) error {
	if fields == nil {
		return nil
	}
	text := fields.GetRawBytes()
	if len(text) > 0 && text[0] != '{' {
		return errors.New("must be an object")
	}
	return checkText(text, maxManagedDepth)
}

// checkText checks a JSON text that stays text here, while clients decode it. A client
// that cannot decode one value fails with the whole list of nodes.
func checkText(text []byte, deepest int) error {
	if !utf8.Valid(text) {
		return errors.New("is not valid UTF-8")
	}
	weight := jsonweight.Of(text)
	if weight.Depth > deepest {
		return fmt.Errorf("must not be nested deeper than %d levels", deepest)
	}
	if weight.Values > MaxStateValues {
		return fmt.Errorf("has about %d values, and may have at most %d", weight.Values, MaxStateValues)
	}
	if weight.OutOfRange {
		return errors.New("must not have a number that is out of the range of a 64-bit float")
	}
	return nil
}
