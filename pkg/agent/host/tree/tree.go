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

// Package tree reads a network state in nmstate's format as a tree of JSON values, and
// compares the values as nmstate does.
package tree

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
)

// Decode reads JSON with its numbers as they are written.
func Decode(raw []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var root map[string]any
	if err := decoder.Decode(&root); err != nil {
		return nil, err
	}
	return root, nil
}

// Encode is Decode's opposite; nothing is escaped that JSON does not ask for.
func Encode(root any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(root); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(text.Bytes()), nil
}

// List returns the list at key, nil if there is none.
func List(root map[string]any, key string) []any {
	items, _ := root[key].([]any)
	return items
}

// InterfacesByName returns the interfaces of a state by their names.
func InterfacesByName(state map[string]any) map[string]map[string]any {
	named := map[string]map[string]any{}
	for _, item := range List(state, "interfaces") {
		iface, _ := item.(map[string]any)
		named[StringAt(iface, "name")] = iface
	}
	return named
}

// Tags returns the first and the last tag of an entry of trunk-tags, as they are written: a single tag is both.
func Tags(entry map[string]any) (first, last any) {
	if span := Object(entry["id-range"]); span != nil {
		return span["min"], span["max"]
	}
	return entry["id"], entry["id"]
}

// StringAt is a text at key, "" if there is none.
func StringAt(fields map[string]any, key string) string {
	value, _ := fields[key].(string)
	return value
}

// Object returns value if it is an object, else nil.
func Object(value any) map[string]any {
	fields, _ := value.(map[string]any)
	return fields
}

// Items returns value if it is a list, else nil.
func Items(value any) []any {
	list, _ := value.([]any)
	return list
}

// Text returns a value as it is written, without the quotes of a text.
func Text(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(encoded)
}

// SameValue compares values as nmstate reads them: a number may be given as text,
// an IP address in any notation, and a MAC or PCI address in any case.
func SameValue(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	if a == nil || b == nil {
		return false
	}
	one, other := Text(a), Text(b)
	first, err1 := netip.ParseAddr(one)
	second, err2 := netip.ParseAddr(other)
	if err1 == nil && err2 == nil {
		return first == second
	}
	return one == other || isHardware(one) && strings.EqualFold(one, other)
}

// isHardware tells whether a text is a MAC or PCI address.
func isHardware(text string) bool {
	return strings.Contains(text, ":") && strings.Trim(text, "0123456789abcdefABCDEF:.") == ""
}
