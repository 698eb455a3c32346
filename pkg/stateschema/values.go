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
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// check tells what is wrong with a value that is neither an object nor a list, or nil. name is the field's.
func (p *property) check(name string, value any, path *field.Path) *field.Error {
	switch p.kind {
	case boolean:
		if !isBoolean(value, p.takes == "string") {
			return field.Invalid(path, shown(p, value), "must be true or false")
		}
	case integer:
		return p.checkInteger(value, path)
	case address:
		return p.checkAddress(value, path)
	case text:
		return p.checkText(name, value, path)
	}
	return nil
}

// isBoolean tells whether nmstate reads a value as true or false. lenient is whether it reads texts and 0 and 1 so.
func isBoolean(value any, lenient bool) bool {
	switch value := value.(type) {
	case bool:
		return true
	case string:
		return lenient && slices.Contains([]string{"1", "true", "yes", "on", "y", "0", "false", "no", "off", "n"}, strings.ToLower(value))
	case json.Number:
		return lenient && (value == "0" || value == "1")
	}
	return false
}

func (p *property) checkInteger(value any, path *field.Path) *field.Error {
	number, verdict := p.integer(value)
	switch {
	case verdict == notANumber:
		return field.Invalid(path, shown(p, value), "must be "+p.number())
	case verdict == outOfRange || verdict == aNumber && (number < p.min || number > p.max):
		return field.Invalid(path, shown(p, value), "must be "+p.span())
	}
	return nil
}

// verdict is what is found of a value that is to be a whole number.
type verdict int

const (
	aNumber verdict = iota
	notANumber
	outOfRange
	// undecided is a number in a notation of which the node decides, such as 1500.0.
	undecided
)

// integer returns the number that nmstate reads in a value: also in a text, if the property takes one, which for
// numbers that cannot be negative may be hexadecimal.
func (p *property) integer(value any) (int64, verdict) {
	var digits string
	switch value := value.(type) {
	case json.Number:
		digits = value.String()
		if strings.ContainsAny(digits, ".eE") {
			number, err := value.Float64()
			if err != nil || number != float64(int64(number)) {
				return 0, notANumber
			}
			return 0, undecided
		}
	case string:
		if p.takes != "string" {
			return 0, notANumber
		}
		digits = value
		if hexadecimal, ok := strings.CutPrefix(value, "0x"); ok && p.min >= 0 {
			number, err := strconv.ParseUint(hexadecimal, 16, 64)
			return int64(number), decide(err, number > 1<<63-1)
		}
	default:
		return 0, notANumber
	}
	number, err := strconv.ParseInt(strings.TrimPrefix(digits, "+"), 10, 64)
	if err == nil {
		return number, aNumber
	}
	// What is above int64 may be within uint64, where no limit is known.
	_, err = strconv.ParseUint(strings.TrimPrefix(digits, "+"), 10, 64)
	return number, decide(err, true)
}

// decide returns what an error of strconv means for a number, which large says is above int64.
func decide(err error, large bool) verdict {
	switch {
	case err == nil && large:
		return undecided
	case err == nil:
		return aNumber
	case strings.Contains(err.Error(), strconv.ErrRange.Error()):
		return outOfRange
	}
	return notANumber
}

func (p *property) checkAddress(value any, path *field.Path) *field.Error {
	given, ok := value.(string)
	if !ok {
		return field.Invalid(path, shown(p, value), p.family()+", in quotes: YAML reads digits with a point, such as 10.1, as a number")
	}
	parsed, err := netip.ParseAddr(given)
	switch {
	case err != nil || parsed.Zone() != "":
		detail := p.family() + ", such as " + map[string]string{"ipv4": `"192.0.2.1"`, "ipv6": `"2001:db8::1"`, "ip": `"192.0.2.1" or "2001:db8::1"`}[p.format]
		if before, _, hasPrefix := strings.Cut(given, "/"); hasPrefix {
			if _, err := netip.ParseAddr(before); err == nil {
				detail += ": write it without its prefix"
			}
		}
		return field.Invalid(path, shown(p, value), detail)
	case p.format == "ipv4" && !parsed.Is4(), p.format == "ipv6" && !parsed.Is6():
		return field.Invalid(path, shown(p, value), p.family())
	}
	return nil
}

func (p *property) family() string {
	switch p.format {
	case "ipv4":
		return "must be an IPv4 address"
	case "ipv6":
		return "must be an IPv6 address"
	}
	return "must be an IP address"
}

func (p *property) checkText(name string, value any, path *field.Path) *field.Error {
	var given string
	switch value := value.(type) {
	case string:
		given = value
	case json.Number:
		if p.takes != "integer" || strings.ContainsAny(value.String(), ".eE") {
			return p.notAText(name, value, path)
		}
		given = value.String()
	default:
		return p.notAText(name, value, path)
	}
	if len(p.values) == 0 || p.knows(given) {
		return nil
	}
	err := field.NotSupported(path, shortened(given, 100), p.values)
	if hint := didYouMean(nearest(given, append(slices.Clone(p.values), p.others...))...); hint != "" {
		err.Detail += ": " + hint
	}
	if p.format == "password" {
		err.BadValue = field.OmitValueType{}
	}
	return err
}

// knows tells whether a text is a value of the enumeration, as nmstate reads it.
func (p *property) knows(given string) bool {
	if p.anyCase {
		given = strings.ToLower(given)
	}
	return slices.Contains(p.values, given) || slices.Contains(p.others, given)
}
