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

package rtnetlink

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// vrfPriority is the priority of the rule by which the kernel looks up routes of VRFs (FIB_RULE_PREF in drivers/net/vrf.c).
const vrfPriority = 1000

// AddVRFRule adds the rule by which packets of VRFs are routed by their tables, which the library lacks, unless there is one.
func AddVRFRule(family int) error {
	has, err := hasVRFRule(family)
	if has || err != nil {
		return err
	}
	request := nl.NewNetlinkRequest(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	header := nl.NewRtMsg()
	header.Family, header.Table, header.Type, header.Protocol = uint8(family), unix.RT_TABLE_UNSPEC, nl.FR_ACT_TO_TBL, unix.RTPROT_KERNEL
	request.AddData(header)
	request.AddData(nl.NewRtAttr(nl.FRA_PRIORITY, nl.Uint32Attr(vrfPriority)))
	request.AddData(nl.NewRtAttr(nl.FRA_L3MDEV, []byte{1}))
	request.AddData(nl.NewRtAttr(nl.FRA_PROTOCOL, []byte{unix.RTPROT_KERNEL}))
	_, err = request.Execute(unix.NETLINK_ROUTE, 0)
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EAFNOSUPPORT) {
		return nil
	}
	return err
}

// AddRule adds a rule. The library leaves out what a rule suppresses if its table's number has more than a byte.
func AddRule(rule *netlink.Rule) error {
	if rule.Table < 256 || rule.SuppressPrefixlen < 0 && rule.SuppressIfgroup < 0 {
		return netlink.RuleAdd(rule)
	}
	request := nl.NewNetlinkRequest(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	header := nl.NewRtMsg()
	header.Family, header.Table, header.Type, header.Tos = uint8(rule.Family), unix.RT_TABLE_UNSPEC, nl.FR_ACT_TO_TBL, uint8(rule.Tos)
	if rule.Invert {
		header.Flags |= netlink.FibRuleInvert
	}
	request.AddData(header)
	add := func(number int, value []byte) { request.AddData(nl.NewRtAttr(number, value)) }
	ofPrefix := func(number int, prefix *net.IPNet) (length uint8) {
		if prefix == nil || prefix.IP == nil {
			return 0
		}
		ip := prefix.IP.To4()
		if ip == nil {
			ip = prefix.IP.To16()
		}
		add(number, ip)
		ones, _ := prefix.Mask.Size()
		return uint8(ones)
	}
	header.Src_len, header.Dst_len = ofPrefix(unix.RTA_SRC, rule.Src), ofPrefix(unix.RTA_DST, rule.Dst)
	add(nl.FRA_TABLE, nl.Uint32Attr(uint32(rule.Table)))
	for number, value := range map[int]int{nl.FRA_PRIORITY: rule.Priority, nl.FRA_SUPPRESS_PREFIXLEN: rule.SuppressPrefixlen, nl.FRA_SUPPRESS_IFGROUP: rule.SuppressIfgroup} {
		if value >= 0 {
			add(number, nl.Uint32Attr(uint32(value)))
		}
	}
	if rule.Mark != 0 || rule.Mask != nil {
		add(nl.FRA_FWMARK, nl.Uint32Attr(rule.Mark))
	}
	if rule.Mask != nil {
		add(nl.FRA_FWMASK, nl.Uint32Attr(*rule.Mask))
	}
	for number, name := range map[int]string{nl.FRA_IIFNAME: rule.IifName, nl.FRA_OIFNAME: rule.OifName} {
		if name != "" {
			add(number, nl.ZeroTerminated(name))
		}
	}
	if rule.IPProto > 0 {
		add(nl.FRA_IP_PROTO, nl.Uint8Attr(uint8(rule.IPProto)))
	}
	if rule.Protocol > 0 {
		add(nl.FRA_PROTOCOL, nl.Uint8Attr(rule.Protocol))
	}
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// Rules returns the rules of a family with what they do: the library leaves their type out.
func Rules(family int) ([]netlink.Rule, error) {
	return Dump(func() ([]netlink.Rule, error) {
		rules, err := netlink.RuleList(family)
		if err != nil {
			return nil, err
		}
		messages, err := dumpRules(family)
		if err == nil && !addTypes(rules, messages) {
			err = netlink.ErrDumpInterrupted // between the two
		}
		return rules, err
	})
}

// addTypes adds the types that the messages have. It tells whether both are of the same rules.
func addTypes(rules []netlink.Rule, messages [][]byte) bool {
	if len(rules) != len(messages) {
		return false
	}
	for i, message := range messages {
		attributes, err := nl.ParseRouteAttrAsMap(message[unix.SizeofRtMsg:])
		if err != nil {
			return false
		}
		priority := 0
		if value := attributes[nl.FRA_PRIORITY].Value; len(value) == 4 {
			priority = int(nl.NativeEndian().Uint32(value))
		}
		if max(rules[i].Priority, 0) != priority {
			return false
		}
		rules[i].Type = nl.DeserializeRtMsg(message).Type
	}
	return true
}

func dumpRules(family int) ([][]byte, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETRULE, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfInfomsg(family))
	messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWRULE)
	if err != nil {
		return nil, fmt.Errorf("listing rules: %w", err)
	}
	return messages, nil
}

func hasVRFRule(family int) (bool, error) {
	messages, err := dumpRules(family)
	if err != nil {
		return false, err
	}
	for _, message := range messages {
		attributes, err := nl.ParseRouteAttrAsMap(message[unix.SizeofRtMsg:])
		if err != nil {
			return false, err
		}
		if value := attributes[nl.FRA_L3MDEV].Value; len(value) > 0 && value[0] == 1 {
			return true, nil
		}
	}
	return false, nil
}
