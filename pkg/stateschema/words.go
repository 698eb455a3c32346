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

package stateschema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// shown returns what an error repeats of a value: nothing of a secret, and nothing of an object, which may have one.
func shown(p *property, value any) any {
	if p.format == "password" {
		return field.OmitValueType{}
	}
	switch value := value.(type) {
	case string:
		return shortened(value, 100)
	case bool:
		return value
	case json.Number:
		if number, err := value.Int64(); err == nil {
			return number
		}
		if number, err := value.Float64(); err == nil {
			return number
		}
	}
	return field.OmitValueType{}
}

func shortened(value string, most int) string {
	if len(value) <= most {
		return value
	}
	return strings.ToValidUTF8(value[:most], "") + "…"
}

// notAText is the error for a boolean, a number, a list or an object where a text is meant. Most often the user has
// written a text, and YAML has made something else of it.
func (p *property) notAText(name string, value any, path *field.Path) *field.Error {
	detail := "must be a text"
	if len(p.values) > 0 {
		detail = "must be " + either(quoted(p.values))
	}
	switch value := value.(type) {
	case bool:
		detail += fmt.Sprintf(", in quotes: YAML reads %s without quotes as %t", map[bool]string{
			true: "on, yes, y and true", false: "off, no, n and false"}[value], value)
		if hint := switched(p, value); hint != "" {
			detail += ", " + didYouMean(hint)
		}
	case json.Number:
		detail += ", in quotes: YAML reads " + numberTrap(name, value)
	}
	return field.Invalid(path, shown(p, value), detail)
}

// switched returns the state that on or off probably means.
func switched(p *property, value bool) string {
	meant := map[bool]string{true: "up", false: "down"}[value]
	if slices.Contains(p.values, meant) {
		return meant
	}
	return ""
}

// numberTrap says how YAML makes a number of what was a text, for the kind of text that the field has.
func numberTrap(name string, value json.Number) string {
	switch {
	case strings.HasSuffix(name, "mac-address") || name == "group-addr" || name == "ad_actor_system":
		trap := "digits with colons as a number of base 60"
		if number, err := value.Int64(); err == nil && base60(number) != "" {
			trap += fmt.Sprintf(", %s as %d", base60(number), number)
		}
		return trap
	case strings.Contains(name, "address") || strings.HasPrefix(name, "ip-") || slices.Contains([]string{"server", "destination", "source", "local", "remote"}, name):
		return "digits with a point, such as 10.1, as a number"
	}
	return "digits as a number, 0123 as 83 (base 8) and 1e3 as 1000"
}

// base60 returns a number as the six digits of base 60 that a MAC address would be, or "".
func base60(number int64) string {
	if number <= 0 {
		return ""
	}
	var digits []string
	for ; number > 0; number /= 60 {
		digits = append(digits, fmt.Sprintf("%02d", number%60))
	}
	if len(digits) != 6 {
		return ""
	}
	slices.Reverse(digits)
	return strings.Join(digits, ":")
}

// notAnObject is the error for a value that is to be an object.
func notAnObject(o *object, value any, path *field.Path) *field.Error {
	names := slices.Sorted(maps.Keys(o.properties))
	if at := slices.Index(names, "enabled"); at > 0 {
		names = slices.Insert(slices.Delete(names, at, at+1), 0, "enabled")
	}
	detail := "must be an object"
	if len(o.required) > 0 {
		names = o.required
	}
	if len(names) > 0 {
		detail += " with fields such as " + strings.Join(names[:min(3, len(names))], ", ")
	}
	if text, ok := value.(string); ok && slices.Contains(o.required, "name") {
		detail += fmt.Sprintf(": {name: %s}", strconv.Quote(shortened(text, 100)))
	}
	return field.Invalid(path, field.OmitValueType{}, detail)
}

// number says what a number is.
func (p *property) number() string {
	if p.unit != "" {
		return "a number of " + p.unit
	}
	return "a whole number"
}

// span says between which limits a number must be.
func (p *property) span() string {
	switch {
	case p.min == math.MinInt64 && p.max == math.MaxInt64:
		return p.number()
	case p.max == math.MaxInt64:
		return fmt.Sprintf("at least %d", p.min)
	case p.min == math.MinInt64:
		return fmt.Sprintf("at most %d", p.max)
	}
	return fmt.Sprintf("from %d to %d", p.min, p.max)
}

// example returns what a list looks like whose items are like p: a list of what was given, if that can be an item, or of an item in general.
func (p *property) example(given any) string {
	switch p.kind {
	case composite:
		fields, _ := given.(map[string]any)
		names := slices.DeleteFunc(slices.Sorted(maps.Keys(fields)), func(name string) bool { return p.object.find(name) == nil })
		names = slices.Concat(names, p.object.required, slices.Sorted(maps.Keys(p.object.properties)))
		return "[{" + names[0] + ": …}]"
	case address, text:
		if text, ok := given.(string); ok && p.format != "password" && p.check("", given, nil) == nil {
			return "[" + strconv.Quote(shortened(text, 100)) + "]"
		}
		if p.kind == address {
			return `["192.0.2.1"]`
		}
		if len(p.values) > 0 {
			return "[" + strconv.Quote(p.values[0]) + "]"
		}
		return `["…"]`
	}
	return "[…]"
}

// sentence returns the first sentence of the description.
func (p *property) sentence() string {
	first, _, _ := strings.Cut(p.description, ". ")
	return strings.TrimSuffix(first, ".")
}

func quoted(values []string) []string {
	result := make([]string, len(values))
	for i, value := range values {
		result[i] = strconv.Quote(value)
	}
	return result
}

// either joins values: a, b or c.
func either(values []string) string {
	last := len(values) - 1
	if last < 1 {
		return strings.Join(values, "")
	}
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// didYouMean says which of some names was probably meant, or returns "".
func didYouMean(names ...string) string {
	if len(names) == 0 {
		return ""
	}
	return "did you mean " + either(quoted(names)) + "?"
}
