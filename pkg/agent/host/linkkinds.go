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
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// linkKind is what the kernel makes of one of nmstate's types of interface.
type linkKind struct {
	// name is the kernel's own (IFLA_INFO_KIND).
	name string
	// minMTU and maxMTU are the limits of a link that is made new: a link that is
	// there has its own, which nmstate checks. maxMTU 0 means that there is none.
	minMTU, maxMTU int64
	// base is where nmstate's format names the link below, if there is one whose
	// MTU this link's cannot exceed.
	base string
}

const (
	etherMinMTU = 68    // ETH_MIN_MTU in include/uapi/linux/if_ether.h, by ether_setup
	etherMaxMTU = 65535 // ETH_MAX_MTU, same file
	vrfMaxMTU   = 65575 // IP6_MAX_MTU in include/net/ipv6.h, by vrf_setup
)

// linkKinds are the types that nmstate makes through the kernel. The limits are
// from each kind's setup function in the kernel (net/bridge/br_device.c,
// net/8021q/vlan_dev.c, and drivers/net for the others). VLAN and MACsec have no
// minimum; a VRF has had one only since Linux 5.1, so it has none here. Kinds with a
// base refuse an MTU above that of the base: vlan_dev_change_mtu, macvlan_change_mtu,
// vxlan_change_mtu, macsec_change_mtu.
func linkKinds() map[string]linkKind {
	return map[string]linkKind{
		"bond":         {name: "bond", minMTU: etherMinMTU, maxMTU: etherMaxMTU},
		"dummy":        {name: "dummy"},
		"hsr":          {name: "hsr"},
		"ipvlan":       {name: "ipvlan", maxMTU: etherMaxMTU},
		"linux-bridge": {name: "bridge", minMTU: etherMinMTU, maxMTU: etherMaxMTU},
		"mac-vlan":     {name: "macvlan", minMTU: etherMinMTU, maxMTU: etherMaxMTU, base: "mac-vlan"},
		"mac-vtap":     {name: "macvtap", minMTU: etherMinMTU, maxMTU: etherMaxMTU, base: "mac-vtap"},
		"macsec":       {name: "macsec", maxMTU: etherMaxMTU, base: "macsec"},
		"veth":         {name: "veth", minMTU: etherMinMTU, maxMTU: etherMaxMTU},
		"vlan":         {name: "vlan", maxMTU: etherMaxMTU, base: "vlan"},
		"vrf":          {name: "vrf", maxMTU: vrfMaxMTU},
		"vxlan":        {name: "vxlan", minMTU: etherMinMTU, maxMTU: etherMaxMTU, base: "vxlan"},
		"wireguard":    {name: "wireguard"},
	}
}

// kernelMakes tells whether the kernel may make links of a kind. It may make any if
// it loads modules: asking it would load one, and a check must not change the node.
//
// The kernel is asked for a link with no queues, which it makes of no kind. It looks
// the kind up first and answers EOPNOTSUPP if it has none such (rtnl_newlink), and
// refuses the queues after that (rtnl_create_link in net/core/rtnetlink.c).
func kernelMakes(kind string) bool {
	if loadsModules() {
		return true
	}
	request := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kind))
	request.AddData(info)
	request.AddData(nl.NewRtAttr(unix.IFLA_NUM_TX_QUEUES, nl.Uint32Attr(0)))
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return !errors.Is(err, unix.EOPNOTSUPP)
}

// loadsModules tells whether the kernel loads a module when it is asked for a kind
// of link that it does not know.
func loadsModules() bool {
	if _, err := os.Stat("/proc/modules"); errors.Is(err, fs.ErrNotExist) {
		return false // it was built without CONFIG_MODULES
	}
	disabled, err := os.ReadFile("/proc/sys/kernel/modules_disabled")
	return err != nil || strings.TrimSpace(string(disabled)) != "1"
}
