#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A node as a virtual machine, with a kernel, a disk and processes of its own, on the hub of hack/nodes. vm01 and all odd ones
# have NetworkManager and Open vSwitch, vm02 and all even ones the kernel alone. VM_MEMORY is the memory of a node in MB.
#
#   node.sh up NODE                     boot it; returns when its agent is connected
#   node.sh exec [-i] NODE COMMAND…     run something in it, as root, with no network; -i hands on the input, to its end
#   node.sh console NODE                a shell in it; Ctrl-] leaves
#   node.sh reboot NODE                 end all in it, sync and boot it again; returns when its agent is connected
#   node.sh power-cut NODE              end it as a power cut would: what is on its disk is there when it is booted again
#   node.sh down NODE                   take it away, with its disk
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/vm/lib.sh
source "$here/lib.sh"
command=${1:-} input=no
if [[ $command == exec && ${2:-} == -i ]]; then
	input=yes
	shift
fi
name=${2:-}
dir=$NODES_DIR/$name
consoles=4 # as many commands can run in a node at a time

usage() {
	sed -n '/^#   /s/^#   //p' "${BASH_SOURCE[0]}" >&2
	exit 2
}
[[ $name =~ ^vm(0[1-9]|[1-7][0-9])$ ]] || usage
address=192.0.2.$((30 + $(number "$name")))

in_hub() { nsenter --net="/run/netns/$hub" "$@"; }

taps() {
	local port tap bridge
	for port in 0 1 2 3; do
		tap=$name-$port bridge=data$port
		((port)) || tap=$name-m bridge=mgmt
		in_hub ip link show "$tap" >/dev/null 2>&1 || in_hub ip tuntap add "$tap" mode tap
		in_hub ip link set "$tap" master "$bridge" up
	done
}

# machine sets the arguments of QEMU.
machine() {
	local port tap accelerator drive
	accelerator=$("$here/accelerator.sh")
	machine=(-M pc -smp "${VM_CPUS:-1}" -m "${VM_MEMORY:-512}" -nodefaults -no-user-config -display none -no-reboot)
	case $accelerator in
	kvm) machine+=(-accel kvm -cpu host) ;;
	tcg) machine+=(-accel "tcg,thread=multi,tb-size=128" -cpu max) ;;
	esac
	# shellcheck disable=SC2054
	machine+=(
		-kernel "$image/kernel" -initrd "$image/initramfs" -append "console=ttyS0 quiet loglevel=3 panic=-1 net.ifnames=0 mitigations=off $(
		)NODE_NAME=$name NODE_ADDRESS=$address/24 NODE_BACKEND=$(backend "$name") AGENT_SERVER=192.0.2.1:$AGENT_PORT"
		-device virtio-rng-pci -monitor "unix:$dir/monitor.sock,server=on,wait=off"
		-chardev "socket,id=serial,path=$dir/console.sock,server=on,wait=off,logfile=$dir/console.log,logappend=on" -serial chardev:serial
		-device virtio-serial-pci,max_ports=$((consoles + 1))
	)
	for ((port = 0; port < consoles; port++)); do
		machine+=(-chardev "socket,id=c$port,path=$dir/commands$port.sock,server=on,wait=off" -device "virtconsole,chardev=c$port")
	done
	for port in 0 1 2 3; do
		tap=$name-$port
		((port)) || tap=$name-m
		machine+=(-netdev "tap,id=n$port,ifname=$tap,script=no,downscript=no"
			-device "virtio-net-pci,netdev=n$port,mac=$(printf '52:54:00:00:%02x:%02x' "$(number "$name")" "$port")")
	done
	# What the guest has handed to QEMU is in this machine's files, whatever happens to QEMU: no need to sync it.
	for drive in "$image/root.sqfs,readonly=on" "$programs,readonly=on" "$dir/disk,cache=unsafe"; do
		machine+=(-drive "if=virtio,format=raw,file=$drive")
	done
}

runs() { alive "$dir/pid" && [[ -f $dir/ready ]]; }

# up leaves a node that runs running, unless its programs were built anew. Another image makes another node.
up() {
	if [[ -f $dir/disk ]] && ! cmp -s "$image/root.stamp" "$dir/disk.stamp"; then
		take_away
	fi
	if runs; then
		cmp -s "$programs.stamp" "$dir/programs.stamp" && return
		shut_down
	fi
	boot
}

boot() {
	has_netns "$hub" || { echo "vm: there is no hub to plug $name into: run hack/vm/up.sh" >&2; exit 1; }
	power_off
	mkdir -p "$dir"
	if [[ ! -f $dir/disk ]]; then
		truncate -s "${VM_DISK:-2G}" "$dir/disk.new"
		mkfs.ext4 -q -F "$dir/disk.new"
		cp "$image/root.stamp" "$dir/disk.stamp"
		mv "$dir/disk.new" "$dir/disk"
	fi
	cp "$programs.stamp" "$dir/"
	taps
	machine
	launch "$dir/pid" "$dir/log" nsenter --net="/run/netns/$hub" "${qemu[@]}" "${machine[@]}"
	await "$(patiently 10)" "QEMU of $name, see $dir/log" test -S "$dir/commands0.sock"
	# The request waits in the console until the node reads it.
	limited "$(patiently 300)" "$name to boot, see $dir/console.log" "${BASH_SOURCE[0]}" exec "$name" \
		bash -c 'until [[ -e /run/node-is-up ]]; do sleep 0.1; done'
	agent_connects
	: >"$dir/ready"
}

# agent_connects waits for what a standalone server shows; in a cluster, agents come with pods.
agent_connects() {
	[[ -f $kubeconfig ]] || return 0
	local event
	for event in create condition=Available; do
		limited "$(patiently 300)" "the agent of $name, see $dir/log, and /var/log/node-agent.log in it" \
			"$bin/kubectl" --kubeconfig "$kubeconfig" wait "--for=$event" "nns/$name" --timeout="$(patiently 300)s" 2>>"$dir/log"
	done
}

# limited SECONDS WHAT COMMAND… runs a command that waits by itself.
limited() {
	local seconds=$1 what=$2
	shift 2
	timeout "$seconds" "$@" >/dev/null || { echo "vm: waited in vain for $what" >&2; return 1; }
}

free_console() {
	for ((console = 0; console < consoles; console++)); do
		exec {lock}>"$dir/commands$console.lock"
		flock -n "$lock" && return
		exec {lock}>&-
	done
	console=$((RANDOM % consoles))
	exec {lock}>"$dir/commands$console.lock"
	flock "$lock"
}

# run runs a command in the node, with standard input if it is told to: guest/serve-commands.sh answers.
run() {
	local console lock tag answer status out err given=
	alive "$dir/pid" || { echo "vm: $name does not run" >&2; return 255; }
	[[ $input == no ]] || given=$(base64 -w0)
	free_console
	tag=$(</proc/sys/kernel/random/uuid)
	# Whatever ends this script ends the pipe, and with that socat.
	coproc channel { exec socat - "UNIX-CONNECT:$dir/commands$console.sock"; }
	printf '\n%s %s %s\n' "$tag" "$(base64 -w0 <<<"${*@Q}")" "$given" >&"${channel[1]}"
	answer=$(grep -a -m 1 "^answer $tag " <&"${channel[0]}") || { echo "vm: $name has ended meanwhile" >&2; return 255; }
	# shellcheck disable=SC2154
	kill "$channel_PID" 2>/dev/null || true
	read -r _ _ status out err <<<"$answer"
	base64 -d <<<"${out#:}"
	base64 -d <<<"${err#:}" >&2
	return "$status"
}

shut_down() {
	run kill -TERM 1
	await "$(patiently 90)" "$name to shut down, see $dir/console.log" gone
	power_off
}

gone() { ! alive "$dir/pid"; }

power_off() {
	end "$dir/pid" KILL
	rm -f "$dir"/*.sock "$dir/ready"
}

take_away() {
	power_off
	if has_netns "$hub"; then
		local port
		for port in m 1 2 3; do
			in_hub ip link del "$name-$port" 2>/dev/null || true
		done
	fi
	rm -rf "$dir"
}

case $command in
up) up ;;
exec)
	shift 2
	(($#)) || usage
	run "$@"
	;;
console)
	alive "$dir/pid" || { echo "vm: $name does not run" >&2; exit 1; }
	echo "Ctrl-] leaves; Enter shows the shell"
	socat -,raw,echo=0,escape=0x1d "UNIX-CONNECT:$dir/console.sock"
	;;
reboot)
	shut_down
	boot
	;;
power-cut) power_off ;;
down) take_away ;;
*) usage ;;
esac
