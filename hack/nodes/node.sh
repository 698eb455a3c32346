#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A node as namespaces: network, mounts, processes and hostname of its own, files that are copies on write, and, with the
# backend networkmanager, a D-Bus and a NetworkManager of its own, which leaves alone what NODES_UNMANAGED matches, if it is
# set. Nothing of the machine is changed.
#
#   node.sh up NAME NUMBER networkmanager|kernel   make it, with a management link and three ports on the hub
#   node.sh exec NAME COMMAND…                     run something in it
#   node.sh power-cut NAME                         end it as a power cut would: what is on its disk is there when it is made again
#   node.sh down NAME                              take it away
set -euo pipefail
# shellcheck source=hack/nodes/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command=$1 name=$2
dir=$NODES_DIR/$name
netns=$NODES_PREFIX$name
disk=$NODES_DIR/$name.disk # what a power cut leaves of /etc and /var
packages=$root/_output/networkmanager/root

# init prints the pid of the node's first process: the child of the one that was noted.
init() {
	local pid
	read -r pid _ <"$dir/pid"
	tr -d ' ' <"/proc/$pid/task/$pid/children"
}

enter() { nsenter -t "$(init)" -m -n -p -u -C -- "$@"; }

# wire plugs one of the node's links into a bridge of the hub.
wire() {
	local link=$1 bridge=$2 far=$3
	ip netns exec "$hub" ip link add "$far" type veth peer name "$link" netns "$netns"
	ip netns exec "$hub" ip link set "$far" master "$bridge" up
	ip netns exec "$netns" ip link set "$link" up
}

manager_answers() {
	enter dbus-send --system --print-reply --dest=org.freedesktop.NetworkManager /org/freedesktop/NetworkManager \
		org.freedesktop.DBus.Peer.Ping
}

up() {
	local number=$1 backend=$2
	if alive "$dir/pid" && [[ -f $dir/ready ]]; then
		return
	fi
	take_away
	mkdir -p "$dir/layers"
	ip netns add "$netns"
	wire mgmt0 mgmt "$name-m"
	for port in 1 2 3; do
		wire "eth$port" "data$port" "$name-$port"
	done
	ip netns exec "$netns" ip addr add "192.0.2.$((10 + number))/24" dev mgmt0
	# Callers of NetworkManager are told by their process id, so the node needs processes of its own.
	launch "$dir/pid" "$dir/log" nsenter --net="/run/netns/$netns" unshare -m -p -u -f --kill-child --mount-proc \
		bash "$(dirname "${BASH_SOURCE[0]}")/inside.sh" "$name" "$backend" "$dir" "$packages" "$disk"
	await 10 "node $name" enter test -f /run/node-is-up
	if [[ $backend == networkmanager ]]; then
		await 30 "NetworkManager of node $name, see $dir/log" manager_answers
	fi
	rm -f "$disk"
	: >"$dir/ready"
}

# power_cut ends all processes at once, and takes what they had in files from the mounts that they leave behind.
power_cut() {
	exec 8<"/proc/$(init)/ns/mnt"
	end "$dir/pid" KILL
	nsenter --mount=/proc/self/fd/8 tar --xattrs --xattrs-include='*' -C "$dir/layers" -cf - etc/upper var/upper >"$disk.part"
	exec 8<&-
	mv "$disk.part" "$disk"
	take_away
}

take_away() {
	end "$dir/pid" KILL
	if has_netns "$netns"; then
		ip netns del "$netns"
	fi
	# The far ends go with the near ones, a moment later.
	if has_netns "$hub"; then
		local far
		for far in "$name-m" "$name-1" "$name-2" "$name-3"; do
			ip netns exec "$hub" ip link del "$far" 2>/dev/null || true
		done
	fi
	rm -rf "$dir"
}

case $command in
up) up "$3" "$4" ;;
power-cut) power_cut ;;
down)
	take_away
	rm -f "$disk"
	;;
exec)
	shift 2
	exec nsenter -t "$(init)" -m -n -p -u -C -- "$@"
	;;
*)
	sed -n '/^#   /s/^#   //p' "${BASH_SOURCE[0]}" >&2
	exit 2
	;;
esac
