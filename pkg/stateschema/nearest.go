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

// nearest returns the name that given is most probably meant to be, or "" if none is near: at most one letter in three
// differs, or it is the first part of one name alone. Case, "-", "_" and the plural do not count.
func nearest(given string, names []string) string {
	if len(given) > longestCompared {
		return ""
	}
	best, bestDistance := "", len(given)
	plain := plainName(given)
	slices.Sort(names)
	for _, name := range names {
		if len(name) > longestCompared {
			continue
		}
		other := plainName(name)
		allowed := max(1, max(len(plain), len(other))/3)
		if distance := distance(plain, other); distance <= allowed && distance < bestDistance {
			best, bestDistance = name, distance
		}
	}
	if best == "" && len(plain) > 2 {
		longer := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasPrefix(plainName(name), plain) })
		if len(longer) == 1 {
			best = longer[0]
		}
	}
	return best
}

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
