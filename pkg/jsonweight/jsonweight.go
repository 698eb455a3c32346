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

// Package jsonweight tells what it would cost to decode a JSON text, without decoding it.
package jsonweight

import (
	"bytes"
	"strconv"
	"strings"
)

// Weight tells what it costs to decode a JSON text.
type Weight struct {
	// Values is how many values the text has at most.
	Values int
	// Fields is how many fields the text has outside of all lists.
	Fields int
	// Siblings is how many fields one object, or how many items one list, has at most.
	Siblings int
	// Depth is how deep the text is nested.
	Depth int
	// Nested is the sum of the depths of all bytes. A decoder that copies the text of a
	// value at each level copies so many bytes.
	Nested int
	// OutOfRange tells whether the text has a number that no float64 can have.
	OutOfRange bool
}

// Of returns the weight of a JSON text. It decodes nothing. Each value but the first of
// a list or an object comes after a comma.
func Of(text []byte) Weight {
	var weight Weight
	open, lists := 0, 0
	var within []int // how many values each list and each object that is open has so far
	for i := 0; i < len(text); i++ {
		start := i
		switch text[i] {
		case '"':
			i = endOfString(text, i)
		case ',':
			weight.Values++
			if len(within) > 0 {
				within[len(within)-1]++
				weight.Siblings = max(weight.Siblings, within[len(within)-1])
			}
		case ':':
			if lists == 0 {
				weight.Fields++
			}
		case '{', '[':
			weight.Values++
			open++
			within = append(within, 1)
			weight.Siblings = max(weight.Siblings, 1)
			weight.Depth = max(weight.Depth, open)
			if text[i] == '[' {
				lists++
			}
		case '}', ']':
			open--
			within = within[:max(0, len(within)-1)]
			if text[i] == ']' {
				lists--
			}
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			end := endOfNumber(text, i)
			weight.OutOfRange = weight.OutOfRange || !isInRange(text[i:end])
			i = end - 1
		}
		weight.Nested += open * (i + 1 - start)
	}
	return weight
}

// Depth returns how deep a JSON text is nested. It is Of's, for a fraction of the time.
func Depth(text []byte) int {
	depth, open := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = endOfString(text, i)
		case '{', '[':
			open++
			depth = max(depth, open)
		case '}', ']':
			open--
		}
	}
	return depth
}

// HasSpace tells whether a JSON text has white space outside of its strings.
func HasSpace(text []byte) bool {
	const spaces = " \t\r\n"
	isIn := func(space rune) bool { return bytes.IndexByte(text, byte(space)) >= 0 }
	if !strings.ContainsFunc(spaces, isIn) { // nor in a string: this is soon told
		return false
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = endOfString(text, i)
		case ' ', '\t', '\r', '\n':
			return true
		}
	}
	return false
}

// endOfNumber returns where the number that starts at start ends.
func endOfNumber(text []byte, start int) int {
	end := start + 1
	for end < len(text) && strings.IndexByte("0123456789+-.eE", text[end]) >= 0 {
		end++
	}
	return end
}

// isInRange tells whether a float64 can have about the value of a JSON number.
func isInRange(number []byte) bool {
	const digits = 300 // so many are in range without an exponent
	if len(number) <= digits && !bytes.ContainsAny(number, "eE") {
		return true
	}
	_, err := strconv.ParseFloat(string(number), 64)
	return err == nil
}

// endOfString returns where the string that starts at start ends.
func endOfString(text []byte, start int) int {
	for i := start + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(text)
}
