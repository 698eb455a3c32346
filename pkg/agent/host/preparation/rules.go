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

package preparation

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// firstPriority is where nmstate begins to give rules without a priority one.
const firstPriority = 30000

// setRules adds and removes rules, which libnmstate without NetworkManager only verifies.
func (p *planner) setRules() error {
	var absent, wanted []map[string]any
	for _, given := range configured(p.desired, "route-rules") {
		if given["state"] == "absent" {
			absent = append(absent, given)
		} else {
			wanted = append(wanted, given)
		}
	}
	var left []map[string]any
	next := uint64(firstPriority)
	for _, is := range configured(p.current, "route-rules") {
		if slices.ContainsFunc(absent, func(rule map[string]any) bool { return MeansRule(rule, is) }) {
			if err := p.stepRule(is, false); err != nil {
				return err
			}
			continue
		}
		left = append(left, is)
	}
	taken := map[uint64]bool{}
	for _, rule := range slices.Concat(left, wanted) {
		if priority, err := integer(rule["priority"]); err == nil {
			taken[priority] = true
		}
	}
	for _, rule := range wanted {
		if slices.ContainsFunc(left, func(is map[string]any) bool { return isRule(rule, is) }) {
			continue
		}
		if rule["priority"] == nil || tree.Text(rule["priority"]) == "-1" {
			for taken[next] {
				next++
			}
			rule = merged(rule, map[string]any{"priority": fmt.Sprint(next)})
			next++
		}
		if err := p.stepRule(rule, true); err != nil {
			return err
		}
		left = append(left, rule)
	}
	return nil
}

// ruleDefaults are the values of a rule's fields that mean any, or the default.
var ruleDefaults = map[string]string{"priority": "-1", "route-table": "0"}

// MeansRule tells whether an entry means a rule that is there.
func MeansRule(wanted, is map[string]any) bool {
	for _, field := range []string{"family", "ip-from", "ip-to", "priority", "route-table", "fwmark", "fwmask", "action", "iif", "suppress-prefix-length"} {
		value, has := wanted[field], is[field]
		text := tree.Text(value)
		switch {
		case value == nil, ruleDefaults[field] != "" && text == ruleDefaults[field]:
		case field == "ip-from" || field == "ip-to":
			if text == "" && has != nil && tree.Text(has) != "" || text != "" && !tree.SamePrefix(text, has) {
				return false
			}
		case field == "family" || field == "iif" || field == "action":
			if has != nil && text != tree.Text(has) || has == nil && field != "family" {
				return false
			}
		default:
			one, err1 := integer(value)
			other, err2 := integer(has)
			if has == nil && field != "suppress-prefix-length" { // where 0 is not the same as none
				other, err2 = 0, nil
			}
			if err1 != nil || err2 != nil || one != other {
				return false
			}
		}
	}
	return true
}

// RuleSelectors are the fields of a rule by which it is a narrower one than without them.
var RuleSelectors = []string{"ip-from", "ip-to", "fwmark", "iif", "action", "suppress-prefix-length"}

// isRule tells whether a wanted rule is one that is there: that has no other selector, unlike for libnmstate's verification, which
// takes a narrower rule for it.
func isRule(wanted, is map[string]any) bool {
	for _, field := range RuleSelectors {
		if isAny(field, wanted[field]) && !isAny(field, is[field]) {
			return false
		}
	}
	byDefault := wanted["action"] == nil && (wanted["route-table"] == nil || tree.Text(wanted["route-table"]) == "0")
	return MeansRule(wanted, is) && (!byDefault || tree.Text(is["route-table"]) == "254")
}

// isAny tells whether a field of a rule selects nothing.
func isAny(field string, value any) bool {
	if value == nil || value == "" {
		return true
	}
	number, err := integer(value)
	return field == "fwmark" && err == nil && number == 0
}

func (p *planner) stepRule(fields map[string]any, add bool) error {
	rule, err := kernelRule(fields)
	if err != nil {
		return fmt.Errorf("route-rules: %w", err)
	}
	what, do, fine := "add", rtnetlink.AddRule, unix.EEXIST
	if !add {
		what, do, fine = "remove", netlink.RuleDel, unix.ENOENT
		rule.Protocol = 0 // whoever has made it
	}
	p.step(fmt.Sprintf("%s rule %d: from %q to %q table %d", what, rule.Priority, tree.Text(fields["ip-from"]), tree.Text(fields["ip-to"]), rule.Table), func() error {
		if err := do(rule); !errors.Is(err, fine) {
			return err
		}
		return nil
	})
	return nil
}

// kernelRule returns the rule of an entry.
func kernelRule(fields map[string]any) (*netlink.Rule, error) {
	rule := netlink.NewRule()
	rule.Family, rule.Table, rule.Protocol = netlink.FAMILY_V4, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC
	if tree.StringAt(fields, "family") == "ipv6" {
		rule.Family = netlink.FAMILY_V6
	}
	for name, to := range map[string]**net.IPNet{"ip-from": &rule.Src, "ip-to": &rule.Dst} {
		text := tree.StringAt(fields, name)
		if text == "" {
			continue
		}
		prefix, err := tree.Prefix(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if prefix.Addr().Is6() {
			rule.Family = netlink.FAMILY_V6
		}
		*to = &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
	}
	mark, mask := 0, -1
	for name, to := range map[string]*int{
		"priority": &rule.Priority, "route-table": &rule.Table, "fwmark": &mark, "fwmask": &mask, "suppress-prefix-length": &rule.SuppressPrefixlen,
	} {
		if fields[name] == nil || name == "route-table" && tree.Text(fields[name]) == "0" {
			continue
		}
		number, err := integer(fields[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		*to = int(number)
	}
	rule.Mark = uint32(mark)
	if mask >= 0 {
		bits := uint32(mask)
		rule.Mask = &bits
	}
	rule.IifName = tree.StringAt(fields, "iif")
	switch tree.StringAt(fields, "action") {
	case "blackhole":
		rule.Type = unix.FR_ACT_BLACKHOLE
	case "unreachable":
		rule.Type = unix.FR_ACT_UNREACHABLE
	case "prohibit":
		rule.Type = unix.FR_ACT_PROHIBIT
	}
	if rule.Type != 0 && fields["route-table"] == nil {
		rule.Table = -1
	}
	return rule, nil
}

// lookUpByVRF has packets of VRFs routed by their tables. The kernel adds the rule with the first VRF, once: not again if somebody
// has removed it.
func lookUpByVRF() error {
	return errors.Join(rtnetlink.AddVRFRule(netlink.FAMILY_V4), rtnetlink.AddVRFRule(netlink.FAMILY_V6))
}
