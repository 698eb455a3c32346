#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The first process of a node: gives it files of its own, starts what it needs, and stays for as long as the node.
# Arguments: name, backend, folder of the node, folder of NetworkManager's files, what a power cut has left.
set -euo pipefail
name=$1 backend=$2 dir=$3 packages=$4 disk=$5

mount --make-rprivate /
mount -t tmpfs tmpfs "$dir/layers"
if [[ -f $disk ]]; then
	tar --xattrs --xattrs-include='*' -C "$dir/layers" -xf "$disk"
fi
# /etc and /var are copies on write: DNS, the hostname, profiles and the agent's record are the node's own.
for folder in etc var; do
	mkdir -p "$dir/layers/$folder/upper" "$dir/layers/$folder/work"
	# What is mounted onto /etc/resolv.conf and the like would still be the machine's.
	awk -v under="/$folder/" 'index($2, under) == 1 {print $2}' /proc/mounts | while read -r mounted; do
		umount -l "$mounted"
	done
	mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$dir/layers/$folder/upper,workdir=$dir/layers/$folder/work" "/$folder"
done
if [[ ! -f $disk ]]; then
	rm -f /etc/resolv.conf
	: >/etc/resolv.conf
	echo "$name" >/etc/hostname
fi
hostname "$(</etc/hostname)"
umount -R -l /sys/fs/cgroup 2>/dev/null || true # what is hidden would still be counted as mounted
mount -t sysfs -o ro sysfs /sys # this network's /sys/class/net; read-only, NetworkManager waits for no udev
mount -t tmpfs tmpfs /run
mkdir -p /run/dbus /run/NetworkManager /run/lock /var/lib/NetworkManager
ip link set lo up
sysctl -qw net.ipv6.conf.default.accept_dad=0 2>/dev/null || true

if [[ $backend == networkmanager ]]; then
	mount -t overlay overlay -o "lowerdir=$packages/usr:/usr" /usr
	mkdir -p /etc/NetworkManager/conf.d /etc/NetworkManager/system-connections
	cat >/etc/NetworkManager/NetworkManager.conf <<-'CONF'
		[main]
		plugins=keyfile
		no-auto-default=*
		[logging]
		level=INFO
	CONF
	if [[ -n ${NODES_UNMANAGED:-} ]]; then
		printf '[keyfile]\nunmanaged-devices=%s\n' "$NODES_UNMANAGED" >/etc/NetworkManager/conf.d/unmanaged.conf
	fi
	cat >"$dir/bus.conf" <<-'CONF'
		<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
		<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
		<allow send_requested_reply="true"/><allow receive_type="method_call"/><allow receive_type="method_return"/>
		<allow receive_type="error"/><allow receive_type="signal"/></policy></busconfig>
	CONF
	dbus-daemon --config-file="$dir/bus.conf" --fork --nopidfile
	NetworkManager --log-level=INFO 2>"$dir/networkmanager.log"
fi
: >/run/node-is-up
# The first process inherits those whose parent has ended; the shell, while it waits, takes note of their ends.
sleep infinity &
wait
