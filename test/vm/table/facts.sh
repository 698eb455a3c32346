# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# Prints what is compared of a node, in sections. It is run by the node's shell, as text.
echo '=== link'; ip -d -j link
echo; echo '=== address'; ip -d -j addr
echo; echo '=== route'; ip -d -j -4 route show table all
echo; echo '=== route'; ip -d -j -6 route show table all
echo; echo '=== rule'; ip -d -j -4 rule
echo; echo '=== rule'; ip -d -j -6 rule
echo; echo '=== sysctl'
grep -rs . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf /proc/sys/net/ipv4/neigh /proc/sys/net/ipv6/neigh | grep -v stable_secret
if ! pidof NetworkManager >/dev/null; then # which sets them as it activates a profile
	echo '=== ethtool' # of the node's ports: what other links have comes of theirs
	for what in k g; do
		ethtool -$what '*' 2>/dev/null | awk -v what="$what" '/ for .*:$/ {link = $NF; next} link ~ /^eth[0-9]+:$/ && NF && !/fixed/ {print "-" what " " link " " $0}'
	done
fi
echo '=== mptcp'; ip mptcp endpoint show 2>/dev/null
echo '=== dns'; grep -v '^#' /etc/resolv.conf 2>/dev/null
echo '=== hostname'; hostname; cat /etc/hostname 2>/dev/null
echo '=== scripts'; ls /etc/NetworkManager/dispatcher.d /etc/NetworkManager/dispatcher.d/*/ 2>/dev/null
echo '=== names'; ls /etc/systemd/network /run/systemd/network 2>/dev/null # by which udev names links
if pidof NetworkManager >/dev/null; then
	echo '=== connections'; nmcli -t -f NAME,UUID,TYPE,DEVICE connection | grep -v ':loopback:lo$' | sort # NetworkManager makes lo's anew with each start
	echo '=== devices'; nmcli -t -f DEVICE,TYPE,STATE,CONNECTION device | sort
	echo '=== profiles'
	for file in /etc/NetworkManager/system-connections/* /run/NetworkManager/system-connections/*; do
		case $file in /run/*/lo.nmconnection) continue ;; esac
		[ -f "$file" ] && sed "s|^|$file: |" "$file"
	done
fi
if pidof ovs-vswitchd >/dev/null; then
	echo '=== ovs'; ovs-vsctl show; ovs-vsctl --columns=external_ids,other_config list open_vswitch
	ovs-vsctl --columns=name,external_ids,other_config list interface; ovs-vsctl --columns=name,external_ids,other_config,stp_enable,rstp_enable,fail_mode list bridge
	ovs-vsctl --columns=name,tag,trunks,vlan_mode,bond_mode,bond_updelay,other_config list port
fi
exit 0
