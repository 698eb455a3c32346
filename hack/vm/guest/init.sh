#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The first process of a virtual machine: starts what a node has, keeps the agent running, and ends it all when it gets SIGTERM.
# The kernel's command line says, as environment, which node it is: NODE_NAME, NODE_ADDRESS, NODE_BACKEND, NODE_ZONE, AGENT_SERVER,
# and which terminals it has: NODE_CONSOLES begins the names of those for commands, NODE_SHELL is the one of node.sh console. In a cluster,
# NODE_SERVICES is a route to Services, and what the agent proves itself by comes to /etc/nmstate over a console.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb
keys=/usr/local/etc/nmstate member=/etc/nmstate

say() {
	read -r up _ </proc/uptime
	echo "node $up: $*" >/dev/console
}

mounts() {
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mkdir -p /dev/pts /dev/shm
	mount -t devpts devpts /dev/pts
	mount -t tmpfs tmpfs /dev/shm
	mount -t tmpfs -o mode=755 tmpfs /run
	mount -t tmpfs tmpfs /tmp
	mkdir -p $member /run/dbus /run/NetworkManager /run/openvswitch /run/lock /var/lib/NetworkManager /var/log
}

# first_boot writes what belongs to the node alone; from then on its /etc is its own.
first_boot() {
	echo "$NODE_NAME" >/etc/hostname
	printf '127.0.0.1 localhost\n::1 localhost\n' >/etc/hosts
	rm -f /etc/resolv.conf
	: >/etc/resolv.conf
	tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
	printf '[main]\nplugins=keyfile\nno-auto-default=*\n' >/etc/NetworkManager/NetworkManager.conf
	(
		umask 077
		cat >/etc/NetworkManager/system-connections/mgmt0.nmconnection <<-PROFILE
			[connection]
			id=mgmt0
			uuid=$(cat /proc/sys/kernel/random/uuid)
			type=ethernet
			interface-name=mgmt0
			[ipv4]
			method=manual
			address1=$NODE_ADDRESS
			${NODE_SERVICES:+route1=$NODE_SERVICES}
			[ipv6]
			method=link-local
		PROFILE
	)
	touch /var/lib/first-boot-done
	sync
}

# The links come in the order of their PCI slots, those of virtio first. User-mode Linux has neither driver.
links() {
	modprobe -q virtio_net
	modprobe -q igb
	modprobe -q ipv6
	ip link set lo up
	ip link set eth0 name mgmt0
}

# open_vswitch does what Debian's ovs-ctl does, which forks a hundred times: that takes an emulated machine seconds.
open_vswitch() {
	local database=/etc/openvswitch/conf.db
	modprobe openvswitch
	[[ -f $database ]] || ovsdb-tool create "$database" /usr/share/openvswitch/vswitch.ovsschema
	ovsdb-server "$database" --remote=punix:/run/openvswitch/db.sock "${as_daemon[@]}"
	ovs-vsctl --no-wait init -- set Open_vSwitch . external-ids:system-id="$NODE_NAME"
	ovs-vswitchd "${as_daemon[@]}"
}
as_daemon=(--pidfile --detach --no-chdir --log-file -vconsole:off -vsyslog:off)

with_network_manager() {
	# What udev has not seen, NetworkManager does not touch.
	/usr/lib/systemd/systemd-udevd --daemon
	udevadm trigger --type=devices --subsystem-match=net --action=add
	dbus-daemon --system --fork --nopidfile
	wpa_supplicant -u -B >/var/log/wpa_supplicant.log 2>&1 # speaks 802.1X and MACsec's MKA for NetworkManager
	open_vswitch
	udevadm settle
	NetworkManager --debug --log-level=INFO >>/var/log/networkmanager.log 2>&1 &
}

with_the_kernel_alone() {
	ip addr add "$NODE_ADDRESS" dev mgmt0
	for link in mgmt0 eth1 eth2 eth3; do
		ip link set "$link" up
	done
	[[ -z $NODE_SERVICES ]] || ip route add "${NODE_SERVICES%,*}" via "${NODE_SERVICES#*,}"
}

standalone_agent() {
	node-agent "$@" --server "$AGENT_SERVER" --ca-file "$keys/ca.crt" --join-token-file "$keys/join-token" \
		--node-labels "kubernetes.io/hostname=$NODE_NAME,node-role.kubernetes.io/worker=,topology.kubernetes.io/zone=$NODE_ZONE"
}

# member_agent runs the agent as the DaemonSet's pods do.
member_agent() {
	[[ -f $member/token ]] || return 0
	node-agent "$@" --server "$(<$member/server)" --server-name nmstate-apiserver.nmstate-system.svc --ca-file $member/ca.crt \
		--token-file $member/token
}

# agent keeps the agent running; a node of a cluster gets its token after its first boot.
agent() {
	while true; do
		"$1" --node-name "$NODE_NAME" --state-dir /var/lib/nmstate-agent --backend "$NODE_BACKEND"
		echo "--- the agent has ended with $?"
		sleep 1
	done >>/var/log/node-agent.log 2>&1
}

# ended PROGRAM… waits until none of them runs, for ten seconds at most.
ended() {
	local _
	for _ in {1..100}; do
		pgrep -x "$(IFS='|'; echo "$*")" >/dev/null || return
		sleep 0.1
	done
}

# shut_down ends the agent while what it talks to still runs, then everything else.
shut_down() {
	say "shutting down"
	kill "$agent" 2>/dev/null
	pkill -TERM -x node-agent
	ended node-agent
	kill -TERM -1
	ended NetworkManager ovs-vswitchd ovsdb-server
	kill -KILL -1
	sync
	busybox poweroff -f
}

mounts
say "starting"
[[ -e /var/lib/first-boot-done ]] || first_boot
hostname "$(</etc/hostname)"
links
for console in 0 1 2 3; do
	setsid serve-commands "/dev/$NODE_CONSOLES$console" &
done
case $NODE_BACKEND in
networkmanager) with_network_manager ;;
kernel) with_the_kernel_alone ;;
esac
if [[ -f $keys/join-token ]]; then
	agent standalone_agent &
	agent=$!
elif [[ -n $NODE_SERVICES ]]; then
	agent member_agent &
	agent=$!
fi
trap shut_down TERM
: >/run/node-is-up
say "up"
# A shell for node.sh console; while it is waited for, SIGTERM is heard.
while true; do
	setsid -c bash <"/dev/$NODE_SHELL" >"/dev/$NODE_SHELL" 2>&1 &
	wait $!
	sleep 1
done
