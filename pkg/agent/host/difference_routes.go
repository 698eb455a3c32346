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

package host

import (
	"slices"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/preparation"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// compareRoutes returns the wanted routes that differ: those that are not there,
// and those to be absent of which some are there that no other entry wants.
func compareRoutes(c *comparison, p property) (any, bool) {
	return entryKind{key: "destination", matches: c.isRoute}.left(tree.Items(p.wanted), c.notIgnored(tree.Items(p.there)))
}

// compareRouteRules is compareRoutes for rules.
func compareRouteRules(c *comparison, p property) (any, bool) {
	return entryKind{key: "ip-from", matches: c.isRouteRule}.left(tree.Items(p.wanted), c.notIgnored(tree.Items(p.there)))
}

// entryKind is what entries of routes and of rules differ in.
type entryKind struct {
	// key is a field that has to be the same for two entries to match, unless
	// the wanted one does not give it.
	key string
	// matches tells whether an entry has all that a wanted one gives.
	matches func(wanted, there map[string]any) bool
}

// left returns the wanted entries that do not hold.
func (k entryKind) left(wanted, there []any) (any, bool) {
	wantedByKey, thereByKey := k.byKey(wanted), k.byKey(there)
	isWanted := func(entry map[string]any) bool {
		return slices.ContainsFunc(slices.Concat(wantedByKey[k.keyOf(entry)], wantedByKey[""]), func(item any) bool {
			return tree.Object(item)["state"] == nil && k.matches(tree.Object(item), entry)
		})
	}
	var left []any
	for _, item := range wanted {
		one := tree.Object(item)
		if one["state"] == "ignore" {
			continue
		}
		absent := one["state"] == "absent"
		others := thereByKey[k.keyOf(one)]
		if k.keyOf(one) == "" {
			others = there
		}
		found := slices.ContainsFunc(others, func(other any) bool {
			return k.matches(one, tree.Object(other)) && !(absent && isWanted(tree.Object(other)))
		})
		if found == absent {
			left = append(left, item)
		}
	}
	return left, len(left) > 0
}

// byKey returns the entries by their key: all pairs of them would take seconds to
// compare where there are thousands.
func (k entryKind) byKey(entries []any) map[string][]any {
	index := map[string][]any{}
	for _, item := range entries {
		key := k.keyOf(tree.Object(item))
		index[key] = append(index[key], item)
	}
	return index
}

// keyOf returns the network in an entry's key, "" if there is none.
func (k entryKind) keyOf(entry map[string]any) string {
	prefix, err := tree.Prefix(entry[k.key])
	if err != nil {
		return ""
	}
	return prefix.String()
}

// notIgnored leaves out routes and rules over interfaces that nmstate leaves alone.
func (c *comparison) notIgnored(entries []any) []any {
	return slices.DeleteFunc(slices.Clone(entries), func(item any) bool {
		entry := tree.Object(item)
		return entry["state"] == "ignore" || c.isIgnored(entry["next-hop-interface"]) && entry["route-type"] == nil || c.isIgnored(entry["iif"])
	})
}

// isIgnored tells whether nmstate leaves the interface of this name alone, which
// it does not if the state means it.
func (c *comparison) isIgnored(name any) bool {
	if name == nil {
		return false
	}
	if state, isMeant := c.wantedStates[tree.Text(name)]; isMeant {
		return state == "ignore"
	}
	return c.find(name, nil)["state"] == "ignore"
}

// isRoute tells whether a route has all that a wanted one gives. nmstate does not
// compare metrics. Here, a metric that is given and is no default has to be there.
// It does not count for routes to be absent: nmstate takes them away whatever
// their metric is.
func (c *comparison) isRoute(wanted, there map[string]any) bool {
	for name, value := range wanted {
		has := there[name]
		switch name {
		case "state":
		case "destination":
			if value != "" && !tree.SamePrefix(value, has) {
				return false
			}
		case "next-hop-interface":
			// The kernel keeps IPv4's blackholes over no interface.
			if (has != nil || wanted["route-type"] == nil) && c.portName(value) != has {
				return false
			}
		case "weight": // the kernel shows none where there is one next hop
			if (has != nil || wanted["state"] != nil) && !tree.SameValue(value, has) {
				return false
			}
		case "metric":
			unset := wanted["state"] != nil || slices.Contains([]string{"-1", "0"}, tree.Text(value))
			if !unset && !tree.SameValue(value, has) {
				return false
			}
		case "table-id":
			if tree.Text(value) != "0" && !tree.SameValue(value, has) {
				return false
			}
		default:
			if off := value == false && has == nil; !off && !tree.SameValue(value, has) {
				return false
			}
		}
	}
	return true
}

// isRouteRule is isRoute for rules. A wanted rule without table and action is in
// the main table. In a rule to be absent, an empty address means a rule without
// one, and what is not given means any; a wanted rule does not hold by a narrower one.
func (c *comparison) isRouteRule(wanted, there map[string]any) bool {
	for name, value := range wanted {
		has := there[name]
		is := tree.SameValue(value, has)
		switch name {
		case "state":
			is = true
		case "family":
			is = is || has == nil
		case "ip-from", "ip-to":
			if value == "" {
				is = has == nil || has == "" || wanted["state"] == nil
			} else {
				is = tree.SamePrefix(value, has)
			}
		case "priority":
			is = is || tree.Text(value) == "-1" || tree.Text(value) == "0" && has == nil
		case "route-table":
			is = is || tree.Text(value) == "0"
		case "fwmark", "fwmask":
			is = is || isZero(value) && (has == nil || isZero(has))
		case "iif":
			is = is || has != nil && c.portName(value) == has
		}
		if !is {
			return false
		}
	}
	if wanted["state"] != nil {
		return true
	}
	for _, selector := range preparation.RuleSelectors {
		if isAny := wanted[selector] == nil || wanted[selector] == ""; isAny && there[selector] != nil && there[selector] != "" {
			return false
		}
	}
	return wanted["action"] != nil || wanted["route-table"] != nil || tree.Text(there["route-table"]) == "254"
}

func isZero(value any) bool { return tree.Text(value) == "0" || tree.Text(value) == "0x0" }
