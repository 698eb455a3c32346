#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A node of the cluster: one of hack/nodes with NetworkManager, and containerd, kubelet and kube-proxy in it. NAME is node01
# to node99; what is made beyond the first three is an addition to the cluster.
#
#   node.sh up NAME                   make it and have it join; whether it is Ready the API server tells
#   node.sh prepare NAME              make all of it that needs no API server
#   node.sh down NAME                 take it away; its Node object stays, as that of a host that broke
#   node.sh start NAME PROGRAM        start one of its programs, and wait until it answers
#   node.sh stop|kill NAME PROGRAM    end one of its programs; pods outlive it
#   node.sh exec NAME COMMAND…        run something in it
#   node.sh enter NAME COMMAND…       run something in it and in its control groups
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=hack/cluster/lib.sh
source "$here/lib.sh"
command=$1 name=${2:?a node}
node=$NODES_DIR/$name
group=$NODES_PREFIX$name # in each hierarchy of control groups
[[ $name =~ ^node(0[1-9]|[1-9][0-9])$ ]] || { echo "cluster: $name is not one of node01 to node99" >&2; exit 2; }
address=192.0.2.$((10 + $(number "$name")))

in_node() { "$root/hack/nodes/node.sh" exec "$name" "$@"; }

# enter becomes a command in the node and in its control groups, as the root of them.
enter() {
	local path
	while read -r path; do
		echo "$BASHPID" >"$path/$group/cgroup.procs"
	done < <(each_cgroup)
	exec "$root/hack/nodes/node.sh" exec "$name" unshare -C "$@"
}

make_groups() {
	local path setting
	while read -r path; do
		mkdir -p "$path/$group"
		for setting in cpuset.cpus cpuset.mems; do
			[[ ! -f $path/$setting ]] || cat "$path/$setting" >"$path/$group/$setting"
		done
	done < <(each_cgroup)
}

remove_groups() {
	local path
	# All that ran in the node has ended with it. Outside, nsenter has stopped together with a program that somebody stopped, and
	# does not go on by itself.
	while read -r path; do
		[[ -d $path/$group ]] || continue
		xargs -r kill -KILL <"$path/$group/cgroup.procs" 2>/dev/null || true
		await 60 "the processes of $name to end" find "$path/$group" -depth -type d -exec rmdir {} +
	done < <(each_cgroup)
}

answers() {
	case $1 in
	containerd) await 60 "its socket" in_node ctr version ;;
	kubelet) in_node curl "${patiently[@]}" http://127.0.0.1:10248/healthz ;;
	kube-proxy) in_node curl "${patiently[@]}" http://127.0.0.1:10256/livez ;;
	esac
}

start() {
	local program=$1 words
	case $program in
	containerd) words=(containerd --log-level warn) ;;
	kubelet)
		words=(
			"$built/bin/kubelet" --config /etc/kubernetes/kubelet.yaml --kubeconfig "$pki/$name.kubeconfig"
			--hostname-override "$name" --node-ip "$address" --node-labels "$(labels)"
		) ;;
	kube-proxy) words=("$built/bin/kube-proxy" --config /etc/kubernetes/kube-proxy.yaml) ;;
	esac
	if ! alive "$node/$program.pid"; then
		launch "$node/$program.pid" "$node/$program.log" "${BASH_SOURCE[0]}" enter "$name" "${words[@]}"
	fi
	answers "$program" || { echo "cluster: $program of $name does not answer, see $node/$program.log" >&2; exit 1; }
}

# finish ends a program. What was noted is the process outside of the node whose child it is, and which ends with it; in
# their session are pods, too.
finish() {
	local program=$1 pid
	if alive "$node/$program.pid"; then
		read -r pid _ <"$node/$program.pid"
		await 10 "$program of $name to start" entered "$pid"
		note "$(tr -d ' ' <"/proc/$pid/task/$pid/children")" "$node/$program.inner"
		end "$node/$program.inner" "$2"
		end "$node/$program.pid"
	fi
}

entered() { [[ $(<"/proc/$1/comm") == nsenter ]] && grep -q . "/proc/$1/task/$1/children"; }

# The demo has the same zones.
labels() { [[ $name == node01 ]] && echo topology.kubernetes.io/zone=a || echo topology.kubernetes.io/zone=b; }

# prepare makes all of the node that needs no API server.
prepare() {
	if ! alive "$node/pid" || [[ ! -f $node/ready || ! -f $node/prepared ]]; then
		down
		"$here/pki.sh" node "$name"
		NODES_UNMANAGED='interface-name:veth????????' "$root/hack/nodes/node.sh" up "$name" "$(number "$name")" networkmanager
		make_groups
		(enter "$here/inside.sh" "$name")
		: >"$node/prepared"
	fi
	in_hub ip route replace "$(pods_of "$name")" via "$address"
	start containerd
	"$here/load-image.sh" --node "$name" "$built/images/pause.tar"
}

up() {
	prepare
	start kubelet
	kubectl wait --for=create "node/$name" --timeout=60s >/dev/null # kube-proxy takes the address from it
	start kube-proxy
}

down() {
	"$root/hack/nodes/node.sh" down "$name"
	remove_groups
	! has_netns "$hub" || in_hub ip route del "$(pods_of "$name")" 2>/dev/null || true
}

program() {
	printf '%s\n' "${node_programs[@]}" | grep -xF -- "${1:-}" || { echo "cluster: no program ${1:-} in a node" >&2; exit 2; }
}

case $command in
up) up ;;
prepare) prepare ;;
down) down ;;
start) start "$(program "${3:-}")" ;;
stop) finish "$(program "${3:-}")" TERM ;;
kill) finish "$(program "${3:-}")" KILL ;;
exec | enter)
	shift 2
	if [[ $command == enter ]]; then enter "$@"; else in_node "$@"; fi
	;;
*)
	sed -n '/^#   /s/^#   //p' "${BASH_SOURCE[0]}" >&2
	exit 2
	;;
esac
