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
# shellcheck source=hack/vm/machines.sh
source "$here/machines.sh"
command=${1:-} input=no
if [[ $command == exec && ${2:-} == -i ]]; then
	input=yes
	shift
fi
name=${2:-}
dir=$NODES_DIR/$name
consoles=4 # of guest/init.sh: as many commands can run in a node at a time

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

runs() { alive "$dir/pid" && [[ -f $dir/ready ]]; }

# up leaves a node that runs running, unless its programs were built anew. Another image makes another node.
up() {
	if [[ -f $dir/disk ]] && ! cmp -s "$image/root.stamp" "$dir/disk.stamp"; then
		take_away
	fi
	if runs; then
		cmp -s "$programs.stamp" "$dir/$(basename "$programs").stamp" && return
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
	start_machine
	# The request waits in the console until the node reads it.
	limited "$(patiently 300)" "$name to boot, see $dir/console.log" "${BASH_SOURCE[0]}" exec "$name" \
		bash -c 'until [[ -e /run/node-is-up ]]; do sleep 0.1; done'
	hand_over
	agent_connects
	: >"$dir/ready"
}

# hand_over gives a node of a cluster what its agent proves itself by.
hand_over() {
	[[ -d $VM_DIR/members/$name ]] || return 0
	tar -C "$VM_DIR/members/$name" -c . | "${BASH_SOURCE[0]}" exec -i "$name" tar -C /etc/nmstate -x
}

# agent_connects waits for what the API server shows.
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
	local console lock pipe tag request answer status out err given=
	alive "$dir/pid" || { echo "vm: $name does not run" >&2; return 255; }
	[[ $input == no ]] || given=$(base64 -w0)
	free_console
	tag=$(</proc/sys/kernel/random/uuid)
	request=$(base64 -w0 <<<"${*@Q}"):$given
	# Whatever ends this script ends the pipe, and with that socat: nobody else may have the pipe open, nor the lock.
	coproc channel { exec socat - "$(terminal "commands$console")"; }
	pipe=${channel[1]}
	# A terminal holds 4 kB that nobody has read, and that of User-mode Linux may say nothing more when it was full.
	while ((${#request} > 2000)); do
		printf '\n%s more %s\n' "$tag" "${request:0:2000}" >&"$pipe"
		await_answer || return 255
		request=${request:2000}
	done
	printf '\n%s end %s\n' "$tag" "$request" >&"$pipe"
	await_answer || return 255
	# shellcheck disable=SC2154
	kill "$channel_PID" 2>/dev/null || true
	exec {lock}>&-
	read -r _ _ status out err <<<"$answer"
	base64 -d <<<"${out#:}"
	base64 -d <<<"${err#:}" >&2
	return "$status"
}

# await_answer puts what the node answers into answer.
await_answer() {
	answer=$(exec {pipe}>&- {lock}>&- && exec grep -a -m 1 "^answer $tag " <&"${channel[0]}") || { echo "vm: $name has ended meanwhile" >&2; return 255; }
}

shut_down() {
	run kill -TERM 1 >/dev/null 2>&1 & # a node that ends at once does not answer
	local asking=$!
	await "$(patiently 90)" "$name to shut down, see $dir/console.log" gone
	kill "$asking" 2>/dev/null || true
	power_off
}

gone() { ! alive "$dir/pid"; }

power_off() {
	local process
	end_session "$dir/pid" KILL
	for process in "$dir"/*.terminal; do
		end "$process"
	done
	rm -rf "$dir"/*.sock "$dir/uml" "$dir/ready"
}

take_away() {
	power_off
	if has_netns "$hub"; then
		local port
		for port in m 1 2 3; do
			in_hub ip link del "$name-$port" 2>/dev/null || true
		done
	fi
	# Another node of its name has another key.
	rm -rf "$dir" "$DEMO_DIR/state/nodes/$name.json"
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
	socat -,raw,echo=0,escape=0x1d "$(terminal shell)"
	;;
reboot)
	shut_down
	boot
	;;
power-cut) power_off ;;
down) take_away ;;
*) usage ;;
esac
