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
	"slices"
	"strings"
)

// longestCompared bounds the names that are compared: the comparison of two names costs the product of their lengths.
const longestCompared = 64

// nearest returns the names that given is most probably meant to be; none if no name is near. It is the one name of which at most one letter in
// three differs, or of which given is the first part alone, or else the names of which given is a word: "bridge" of "linux-bridge" and
// "ovs-bridge". Case, "-", "_" and the plural do not count.
func nearest(given string, names []string) []string {
	if len(given) > longestCompared {
		return nil
	}
	best, bestDistance := "", len(given)
	plain := plainName(given)
	var longer, with []string
	for _, name := range slices.Sorted(slices.Values(names)) {
		if len(name) > longestCompared {
			continue
		}
		if slices.Contains(strings.FieldsFunc(strings.ToLower(name), isBreak), strings.ToLower(given)) {
			with = append(with, name)
		}
		other := plainName(name)
		if len(plain) > 2 && strings.HasPrefix(other, plain) {
			longer = append(longer, name)
		}
		allowed := max(1, max(len(plain), len(other))/3)
		if distance := distance(plain, other); distance <= allowed && distance < bestDistance {
			best, bestDistance = name, distance
		}
	}
	switch {
	case bestDistance > 1 && len(plain) > 2 && len(with) > 0:
		return with[:min(3, len(with))]
	case best != "":
		return []string{best}
	case len(longer) == 1:
		return longer
	}
	return nil
}

func isBreak(r rune) bool { return r == '-' || r == '_' }

func plainName(name string) string {
	return strings.TrimSuffix(strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name)), "s")
}

// distance returns how many letters must be added, removed, replaced, or exchanged with the next one to make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
